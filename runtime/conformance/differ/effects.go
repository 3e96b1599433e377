package differ

import (
	"math/rand/v2"
	"slices"

	"github.com/mythos-run/mythos/runtime/conformance"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

func ledgerClasses() []class {
	return []class{
		{name: "ledger/fold", share: 30, signed: true, make: func(g *Generator, r *rand.Rand, _ uint64) (string, any) {
			e := g.history(r)
			return "ledger.fold", in{"entries": entryViews(e)}
		}},
		{name: "ledger/entry", share: 15, signed: true, make: func(g *Generator, r *rand.Rand, _ uint64) (string, any) {
			list := g.history(r)
			e := &list[r.IntN(len(list))]
			names := []string{"", "EffectRegister", "EffectCommit", "DivergenceMark", "LedgerResolution"}
			e.raw = g.changeBytes(r, e.raw, names[e.kind])
			return "ledger.fold", in{"entries": entryViews(list)}
		}},
		{name: "ledger/order", share: 10, signed: true, make: func(g *Generator, r *rand.Rand, _ uint64) (string, any) {
			list := g.history(r)
			i, j := r.IntN(len(list)), r.IntN(len(list))
			switch r.IntN(3) {
			case 0:
				list[i], list[j] = list[j], list[i]
			case 1:
				list = slices.Delete(list, i, i+1)
			default:
				list[i].kind = uint8(r.IntN(6))
			}
			return "ledger.fold", in{"entries": entryViews(list)}
		}},
		{name: "ledger/leaf", share: 4, oneSide: true, make: func(_ *Generator, r *rand.Rand, _ uint64) (string, any) {
			return "ledger.leaf", in{"index": decimal(integer(r, 64)), "kind": integer(r, 8), "hex": octets(r, 60, false)}
		}},
	}
}

// logged is one entry of a ledger.
type logged struct {
	kind uint8
	raw  []byte
	id   cid.Hash
}

func entryViews(list []logged) []any {
	views := []any{}
	for _, e := range list {
		views = append(views, in{"kind": e.kind, "hex": e.raw})
	}
	return views
}

// effect is what the entries of one idempotency id have in common.
type effect struct {
	g                   *Generator
	r                   *rand.Rand
	idem, tool, request cid.Hash
	key                 []byte
	registers, commits  []cid.Hash
	owners              []sig.Key
	retry               uint8
	list                []logged
}

// history is a log of one id: registers, commits of some of them, marks and
// resolutions, mostly in an order that can be.
func (g *Generator) history(r *rand.Rand) []logged {
	e := &effect{g: g, r: r, tool: cid.Hash(digest(r)), request: cid.Hash(digest(r)), key: octets(r, 20, true), retry: uint8(r.IntN(4))}
	e.idem = ledger.IdemID(e.tool, e.key)
	e.register()
	for range r.IntN(6) {
		switch r.IntN(8) {
		case 0, 1:
			e.register()
		case 2, 3, 4:
			e.commit()
		case 5:
			e.mark()
		case 6:
			e.resolve()
		default:
			e.list = append(e.list, e.list[r.IntN(len(e.list))])
		}
	}
	return e.list
}

// add signs and appends an entry. Now and then its content is another.
func (e *effect) add(kind uint8, name string, x interface {
	sig.Object
	AppendCAN(b []byte) []byte
}, by sig.Key,
) cid.Hash {
	raw, id, err := sig.Sign(x, by)
	if err != nil {
		panic(err) // the keys sign everything
	}
	if e.r.IntN(12) == 0 {
		t := e.g.schema[name]
		v := rawOf(e.g.schema, raw, name)
		if m := oneMutation(e.r); m.do(e.g.schema, e.r, v) && v.isStruct() {
			e.g.seal(v, t, by)
			raw, id = v.bytes(), idOf(v, conformance.StructInfo(t))
		}
	}
	e.list = append(e.list, logged{kind, raw, id})
	return id
}

func (e *effect) hash() cid.Hash { return cid.Hash(digest(e.r)) }

// response is one of two, so that commits agree and contradict each other.
func (e *effect) response() cid.Hash { return cid.Sum([]byte{byte(e.r.IntN(2))}) }

func (e *effect) register() {
	by := e.g.key(e.r)
	attempt := uint32(len(e.registers))
	x := ledger.Register{
		IdemID: e.idem, ToolID: e.tool, RequestHash: e.request, IdempotencyKey: e.key,
		LeaseExpiresAt: 1_767_225_610_000_000, TimeObserved: 1_767_225_600_000_000, Attempt: &attempt, Retry: &e.retry,
	}
	if n := len(e.registers); n > 0 {
		x.PreviousRegister = &e.registers[n-1]
	}
	switch e.r.IntN(16) {
	case 0:
		attempt += uint32(e.r.IntN(3))
	case 1:
		other := e.hash()
		x.PreviousRegister = &other
	case 2:
		x.PreviousRegister = &cid.Hash{}
	case 3:
		x.Attempt, x.Retry = nil, nil
	case 4:
		x.RequestHash = e.hash()
	case 5:
		other := uint8(e.r.IntN(4))
		x.Retry = &other
	}
	e.registers = append(e.registers, e.add(1, "EffectRegister", &x, by))
	e.owners = append(e.owners, by)
}

func (e *effect) commit() {
	i := e.r.IntN(len(e.registers))
	if e.r.IntN(2) == 0 {
		i = len(e.registers) - 1
	}
	response := e.response()
	x := ledger.Commit{
		IdemID: e.idem, ToolID: e.tool, RequestHash: e.request, ResponseHash: response, ReceiptID: cid.Sum(response[:]),
		Status: 200, TimeObserved: 1_767_225_601_000_000, RegisterID: &e.registers[i],
	}
	by := e.owners[i]
	switch e.r.IntN(12) {
	case 0:
		x.RegisterID = nil
	case 1:
		other := e.hash()
		x.RegisterID = &other
	case 2:
		by = e.g.key(e.r)
	case 3:
		x.RequestHash = e.hash()
	case 4:
		x.Status = uint16(integer(e.r, 16))
	}
	e.commits = append(e.commits, e.add(2, "EffectCommit", &x, by))
}

func (e *effect) mark() {
	pair := []cid.Hash{e.registers[0], e.hash()}
	if len(e.commits) > 1 && e.r.IntN(2) == 0 {
		pair = []cid.Hash{e.commits[0], e.commits[1]}
	}
	x := ledger.Divergence{
		IdemID: e.idem, ToolID: e.tool, ReasonCode: uint8(1 + e.r.IntN(3)), Evidence: pair[:1+e.r.IntN(2)], TimeObserved: 1_767_225_602_000_000,
	}
	if e.r.IntN(8) == 0 {
		x.ReasonCode = uint8(e.r.IntN(5))
	}
	e.add(3, "DivergenceMark", &x, e.g.key(e.r))
}

func (e *effect) resolve() {
	x := ledger.Resolution{
		IdemID: e.idem, RegisterID: e.registers[e.r.IntN(len(e.registers))], Outcome: uint8(1 + e.r.IntN(3)),
		Reason: text(e.r, false), Time: 1_767_225_603_000_000,
	}
	if e.r.IntN(3) == 0 {
		response := e.response()
		id := cid.Sum(response[:])
		x.ReceiptID = &id
	}
	if e.r.IntN(8) == 0 {
		x.Outcome = uint8(e.r.IntN(5))
	}
	e.add(4, "LedgerResolution", &x, e.g.key(e.r))
}
