package executor_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/executor"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/pack/packtest"
)

var (
	holderKey   = sig.NewKey([32]byte{0x11}, "holder")
	delegateKey = sig.NewKey([32]byte{0x12}, "delegate")
	strangerKey = sig.NewKey([32]byte{0x13}, "stranger")
)

// payIR hands its one argument to the tool.
const payIR = `tool echo = demo/echo interface 1 (any) -> any
func main(any) -> any {
  effect echo, r0, r1, r2
  ret r1
}
task main = main(0) budget cpu_us=50000 io=1 writes=0
`

// step is a link to be signed, sense or not.
type step struct {
	caps.Capability
	by     sig.Signer
	orphan bool // names no parent
	calls  caps.ToolCall
	kind   uint8  // another kind than ToolCall
	raw    []byte // the scope of that kind
}

// imposter signs with one key in the name of another.
type imposter struct {
	sig.Signer
	name sig.AgentID
}

func (x imposter) Agent() sig.AgentID { return x.name }

// attack is what an attacker changes, and what must come of it.
type attack struct {
	steps   func(a *attackBench, s []*step) []*step
	links   func(a *attackBench, links [][]byte) [][]byte
	setup   func(a *attackBench, ids []cid.Hash) // of the executor
	payload []byte
	code    fault.Code // "": allowed, to show that the case is about what it says
}

// attackBench is an executor before which chains are brought that go from authority
// to holder to delegate to executor.
type attackBench struct {
	*bench
	pkg  *gate.Package
	tool cid.Hash
	now  time.Time
}

func newAttackBench(t *testing.T) *attackBench {
	a := &attackBench{bench: newBench(t)}
	a.pkg = a.load(packtest.Spec{IR: payIR})
	a.tool = a.pkg.Manifest().Modules[0].ToolID
	a.now = time.Now().Truncate(time.Second)
	a.config.Clock = func() time.Time { return a.now }
	return a
}

// steps is a sound chain: 10 calls for at most 500, then 8, then 3 for at most 300.
func (a *attackBench) steps() []*step {
	link := func(by, to sig.Key, calls uint32, delegable bool, limit string) *step {
		return &step{by: by, calls: caps.ToolCall{ToolID: a.tool, MaxCalls: calls, Constraints: map[string]string{
			"ring_max": "0", "arg/amount:le": limit,
		}}, Capability: caps.Capability{
			Subject: to.Agent(), Delegable: delegable,
			NotBefore: a.now.Add(-time.Hour).UnixMicro(), ExpiresAt: a.now.Add(time.Hour).UnixMicro(),
		}}
	}
	return []*step{
		link(authorityKey, holderKey, 10, true, "03f403"),
		link(holderKey, delegateKey, 8, true, "03f403"),
		link(delegateKey, executorKey, 3, false, "03ac02"),
	}
}

// sign signs the steps as they are.
func (a *attackBench) sign(steps []*step) [][]byte {
	a.t.Helper()
	var links [][]byte
	var last cid.Hash
	for i, s := range steps {
		c := s.Capability
		c.Scope = caps.ScopeOf(&s.calls)
		if s.kind != 0 {
			c.Scope = caps.Scope{Kind: s.kind, Payload: s.raw}
		}
		if i > 0 && !s.orphan && c.AttenuationParent == nil {
			parent := last
			c.AttenuationParent = &parent
		}
		raw, id, err := sig.Sign(&c, s.by)
		if err != nil {
			a.t.Fatal(err)
		}
		links, last = append(links, raw), id
	}
	return links
}

// bring presents the links to the executor, as a run for amount 250 unless the
// attack says otherwise.
func (a *attackBench) bring(x attack) error {
	steps := a.steps()
	if x.steps != nil {
		steps = x.steps(a, steps)
	}
	links := a.sign(steps)
	if x.links != nil {
		links = x.links(a, links)
	}
	proof, err := caps.DecodeProof(caps.EncodeProof(links))
	if err != nil {
		return err
	}
	if x.setup != nil {
		x.setup(a, proof.CapIDs())
	}
	payload := x.payload
	if payload == nil {
		payload = amount(can.AppendUint(nil, 250))
	}
	_, err = a.runWith(a.pkg, executor.Request{RunID: "r", Inputs: append(can.AppendList(nil, 1), payload...), Proofs: []*caps.Chain{proof}})
	return err
}

// amount is the payload {"amount": v}.
func amount(v []byte) []byte {
	return append(can.AppendText(can.AppendMap(nil, 1), "amount"), v...)
}

// at edits one step.
func at(i int, edit func(a *attackBench, s *step)) func(*attackBench, []*step) []*step {
	return func(a *attackBench, s []*step) []*step {
		edit(a, s[i])
		return s
	}
}

// limit sets a constraint on every link.
func limit(key, value string) func(*attackBench, []*step) []*step {
	return func(_ *attackBench, s []*step) []*step {
		for _, x := range s {
			x.calls.Constraints[key] = value
		}
		return s
	}
}

// bent flips a bit of a link's signature, its last bytes.
func bent(i int) func(*attackBench, [][]byte) [][]byte {
	return func(_ *attackBench, links [][]byte) [][]byte {
		links = slices.Clone(links)
		links[i] = bytes.Clone(links[i])
		links[i][len(links[i])-1] ^= 1
		return links
	}
}

// revokes makes a list of one issuer known that names link i.
func revokes(by sig.Key, i int, age, freshFor time.Duration) func(*attackBench, []cid.Hash) {
	return func(a *attackBench, ids []cid.Hash) {
		x := caps.Revocations{Seq: 1, Issued: a.now.Add(-age).UnixMicro(), NextUpdate: a.now.Add(freshFor).UnixMicro()}
		if i >= 0 {
			x.Revoked = []cid.Hash{ids[i]}
		}
		raw, _, err := caps.SignRevocations(x, by)
		if err != nil {
			a.t.Fatal(err)
		}
		list, err := caps.OpenRevocations(raw)
		if err != nil {
			a.t.Fatal(err)
		}
		a.config.Revocations = func() func(sig.AgentID) (*caps.RevocationList, error) {
			return func(issuer sig.AgentID) (*caps.RevocationList, error) {
				if issuer.Equal(by.Agent()) {
					return list, nil
				}
				return nil, nil
			}
		}
	}
}

func demanding(i int) func(*attackBench, []*step) []*step {
	return at(i, func(_ *attackBench, s *step) { s.RevocationRequired = true })
}

// attacks are the classes of attack on capabilities, with a neighbour that is
// allowed where a case might be refused for another reason.
func attacks() map[string]attack {
	const zero = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	hour := time.Hour
	return map[string]attack{
		"sound": {},

		// Forged and spliced links.
		"forged root":                 {links: bent(0), code: caps.ErrSignature},
		"forged middle":               {links: bent(1), code: caps.ErrSignature},
		"forged leaf":                 {links: bent(2), code: caps.ErrSignature},
		"root signed by the holder":   {steps: at(0, func(_ *attackBench, s *step) { s.by = imposter{holderKey, authorityKey.Agent()} }), code: caps.ErrSignature},
		"middle signed by a stranger": {steps: at(1, func(_ *attackBench, s *step) { s.by = imposter{strangerKey, holderKey.Agent()} }), code: caps.ErrSignature},
		"root of a stranger":          {steps: at(0, func(_ *attackBench, s *step) { s.by = strangerKey }), code: caps.ErrUntrusted},
		"middle of a stranger":        {steps: at(1, func(_ *attackBench, s *step) { s.by = strangerKey }), code: caps.ErrBroken},
		"spliced": {links: func(a *attackBench, links [][]byte) [][]byte {
			other := a.steps()
			other[0].calls.MaxCalls = 1000
			return append(a.sign(other)[:1], links[1:]...)
		}, code: caps.ErrBroken},
		"reordered":  {links: func(_ *attackBench, l [][]byte) [][]byte { return [][]byte{l[0], l[2], l[1]} }, code: caps.ErrBroken},
		"twice":      {links: func(_ *attackBench, l [][]byte) [][]byte { return [][]byte{l[0], l[1], l[1], l[2]} }, code: caps.ErrBroken},
		"middle cut": {links: func(_ *attackBench, l [][]byte) [][]byte { return [][]byte{l[0], l[2]} }, code: caps.ErrBroken},
		"root cut":   {links: func(_ *attackBench, l [][]byte) [][]byte { return l[1:] }, code: caps.ErrBroken},
		"orphan":     {steps: at(1, func(_ *attackBench, s *step) { s.orphan = true }), code: caps.ErrBroken},
		"a receipt as a link": {links: func(a *attackBench, l [][]byte) [][]byte {
			x := receipt.Receipt{ToolID: a.tool, IdempotencyKey: []byte{0}, Status: 200}
			raw, _, err := sig.Sign(&x, authorityKey)
			if err != nil {
				a.t.Fatal(err)
			}
			return append([][]byte{raw}, l[1:]...)
		}, code: can.ErrType},

		// Who and whom.
		"another executor's":         {steps: at(2, func(_ *attackBench, s *step) { s.Subject = strangerKey.Agent() }), code: caps.ErrSubject},
		"not for passing on":         {steps: at(1, func(_ *attackBench, s *step) { s.Delegable = false }), code: caps.ErrDelegable},
		"root not for passing on":    {steps: at(0, func(_ *attackBench, s *step) { s.Delegable = false }), code: caps.ErrDelegable},
		"subject swapped mid-chain":  {steps: at(1, func(_ *attackBench, s *step) { s.Subject = strangerKey.Agent() }), code: caps.ErrBroken},
		"delegable again at the end": {steps: func(_ *attackBench, s []*step) []*step { s[1].Delegable, s[2].Delegable = false, true; return s }, code: caps.ErrDelegable},

		// Time, at both edges.
		"expires now":          {steps: at(2, func(a *attackBench, s *step) { s.ExpiresAt = a.now.UnixMicro() }), code: caps.ErrExpired},
		"expires next":         {steps: at(2, func(a *attackBench, s *step) { s.ExpiresAt = a.now.UnixMicro() + 1 })},
		"begins now":           {steps: at(2, func(a *attackBench, s *step) { s.NotBefore = a.now.UnixMicro() })},
		"begins next":          {steps: at(2, func(a *attackBench, s *step) { s.NotBefore = a.now.UnixMicro() + 1 }), code: caps.ErrNotYetValid},
		"outlives its parent":  {steps: at(1, func(_ *attackBench, s *step) { s.ExpiresAt++ }), code: caps.ErrWindow},
		"begins before parent": {steps: at(1, func(_ *attackBench, s *step) { s.NotBefore-- }), code: caps.ErrWindow},
		"root expired": {steps: func(a *attackBench, s []*step) []*step {
			for _, x := range s {
				x.ExpiresAt = a.now.Add(-time.Minute).UnixMicro()
			}
			return s
		}, code: caps.ErrExpired},

		// Scope.
		"more calls than the parent": {steps: at(1, func(_ *attackBench, s *step) { s.calls.MaxCalls = 11 }), code: caps.ErrScope},
		"another tool at the leaf":   {steps: at(2, func(_ *attackBench, s *step) { s.calls.ToolID = cid.Sum(nil) }), code: executor.ErrCapMissing},
		"another tool above":         {steps: at(0, func(_ *attackBench, s *step) { s.calls.ToolID = cid.Sum(nil) }), code: caps.ErrScope},
		"no calls at all":            {steps: at(2, func(_ *attackBench, s *step) { s.calls.MaxCalls = 0 }), code: ledger.ErrExhausted},
		"of another kind":            {steps: at(2, func(_ *attackBench, s *step) { s.kind, s.raw = caps.KindClock, (&caps.Clock{}).AppendCAN(nil) }), code: executor.ErrCapMissing},
		"of another kind above":      {steps: at(0, func(_ *attackBench, s *step) { s.kind, s.raw = caps.KindClock, (&caps.Clock{}).AppendCAN(nil) }), code: caps.ErrScope},
		"of an unknown kind":         {steps: at(0, func(_ *attackBench, s *step) { s.kind, s.raw = 77, []byte{8, 0} }), code: caps.ErrKind},

		// Constraints.
		"dropped":  {steps: at(2, func(_ *attackBench, s *step) { delete(s.calls.Constraints, "arg/amount:le") }), code: caps.ErrConstraint},
		"loosened": {steps: at(2, func(_ *attackBench, s *step) { s.calls.Constraints["arg/amount:le"] = "03f503" }), code: caps.ErrConstraint},
		"substituted": {steps: at(2, func(_ *attackBench, s *step) {
			s.calls.Constraints = map[string]string{"ring_max": "0", "arg/amount:ge": "00"}
		}), code: caps.ErrConstraint},
		"unknown key":           {steps: limit("max_amount", "500"), code: caps.ErrConstraint},
		"unknown operator":      {steps: limit("arg/amount:lt", "03f403"), code: caps.ErrConstraint},
		"malformed value":       {steps: limit("ring_max", "00"), code: caps.ErrConstraint},
		"above the root's":      {payload: amount(can.AppendUint(nil, 501)), code: caps.ErrConstraint},
		"above the leaf's":      {payload: amount(can.AppendUint(nil, 301)), code: caps.ErrConstraint},
		"at the leaf's":         {payload: amount(can.AppendUint(nil, 300))},
		"negative is lower":     {payload: amount(can.AppendInt(nil, -5))},
		"amount as text":        {payload: amount(can.AppendText(nil, "1")), code: caps.ErrConstraint},
		"amount as bytes":       {payload: amount(can.AppendBytes(nil, []byte{1})), code: caps.ErrConstraint},
		"amount in a list":      {payload: amount(can.AppendUint(can.AppendList(nil, 1), 1)), code: caps.ErrConstraint},
		"amount as null":        {payload: amount(can.AppendNull(nil)), code: caps.ErrConstraint},
		"amount missing":        {payload: can.AppendMap(nil, 0), code: caps.ErrConstraint},
		"payload is no map":     {payload: can.AppendUint(nil, 1), code: caps.ErrConstraint},
		"two keys, one token":   {steps: limit("arg/0:le", "03f403"), payload: twoKeys(), code: caps.ErrConstraint},
		"amount under a case":   {payload: append(can.AppendText(can.AppendMap(nil, 1), "Amount"), can.AppendUint(nil, 1)...), code: caps.ErrConstraint},
		"amount beneath amount": {payload: amount(amount(can.AppendUint(nil, 1))), code: caps.ErrConstraint},

		// Bindings: the confused deputy.
		"another package": {steps: limit("package", zero), code: caps.ErrConstraint},
		"this package":    {steps: func(a *attackBench, s []*step) []*step { return limit("package", a.pkg.ID().String())(a, s) }},
		"another module":  {steps: limit("module", zero), code: caps.ErrConstraint},
		"this module": {steps: func(a *attackBench, s []*step) []*step {
			return limit("module", a.pkg.Manifest().Modules[0].Module.CID.String())(a, s)
		}},
		"another request":   {steps: limit("request_hash", zero), code: caps.ErrConstraint},
		"no ledger id":      {steps: limit("ledger", zero[7:]), code: caps.ErrConstraint},
		"another ledger":    {steps: limit("ledger", zero[7:]), setup: ledgerIs(cid.Sum([]byte("here"))), code: caps.ErrConstraint},
		"this ledger":       {steps: limit("ledger", cid.Sum([]byte("here")).Hex()), setup: ledgerIs(cid.Sum([]byte("here")))},
		"authority no more": {setup: func(a *attackBench, _ []cid.Hash) { a.authorityGone = true }, code: caps.ErrUntrusted},

		// Revocation.
		"revoked root":                     {setup: revokes(authorityKey, 0, hour, hour), code: caps.ErrRevoked},
		"revoked middle":                   {setup: revokes(holderKey, 1, hour, hour), code: caps.ErrRevoked},
		"revoked leaf":                     {setup: revokes(delegateKey, 2, hour, hour), code: caps.ErrRevoked},
		"leaf revoked from above":          {setup: revokes(authorityKey, 2, hour, hour), code: caps.ErrRevoked},
		"revoked by a stale list":          {setup: revokes(holderKey, 1, hour, -time.Minute), code: caps.ErrRevoked},
		"a stranger's word":                {setup: revokes(strangerKey, 0, hour, hour)},
		"the subject's word":               {setup: revokes(delegateKey, 1, hour, hour)},
		"demands a list, none":             {steps: demanding(1), code: caps.ErrRevocation},
		"demands a list, stale":            {steps: demanding(1), setup: revokes(holderKey, -1, hour, -time.Minute), code: caps.ErrRevocation},
		"demands a list, ends now":         {steps: demanding(1), setup: revokes(holderKey, -1, hour, 0), code: caps.ErrRevocation},
		"demands a list, another issuer's": {steps: demanding(1), setup: revokes(authorityKey, -1, hour, hour), code: caps.ErrRevocation},
		"demands a list, fresh":            {steps: demanding(1), setup: revokes(holderKey, -1, hour, hour)},
		"a list that cannot be read": {setup: func(a *attackBench, _ []cid.Hash) {
			a.config.Revocations = func() func(sig.AgentID) (*caps.RevocationList, error) {
				return func(sig.AgentID) (*caps.RevocationList, error) {
					return nil, fault.New(caps.ErrRevocationList, "damaged")
				}
			}
		}, code: caps.ErrRevocationList},

		// Bombs.
		"nine links": {links: func(_ *attackBench, l [][]byte) [][]byte { return slices.Repeat(l, 3) }, code: caps.ErrTooLong},
		"no links":   {links: func(*attackBench, [][]byte) [][]byte { return nil }, code: caps.ErrTooLong},
		"17 KiB":     {steps: at(0, func(_ *attackBench, s *step) { s.calls.Constraints["arg/x:eq"] = "05" + hexLen(8500) }), code: caps.ErrTooLong},
	}
}

// hexLen is BYTES content of n zero bytes with its length, in hex.
func hexLen(n int) string { return hex.EncodeToString(can.AppendBytes(nil, make([]byte, n))[1:]) }

// twoKeys is {0: 1, "0": 1000, "amount": 1}: one token stands for two members.
func twoKeys() []byte {
	b := can.AppendUint(can.AppendUint(can.AppendMap(nil, 3), 0), 1)
	b = can.AppendUint(can.AppendText(b, "0"), 1000)
	return can.AppendUint(can.AppendText(b, "amount"), 1)
}

func ledgerIs(id cid.Hash) func(*attackBench, []cid.Hash) {
	return func(a *attackBench, _ []cid.Hash) { a.config.LedgerID = ledgerID(id) }
}

// TestAttacks brings every class of attack on capabilities before the whole executor:
// none reaches the module, and each is refused for what it is.
func TestAttacks(t *testing.T) {
	for name, x := range attacks() {
		t.Run(name, func(t *testing.T) {
			a := newAttackBench(t)
			a.config.Authority = func(k sig.AgentID, _ *gate.Package) (cid.Hash, bool) {
				return k.KeyID(), !a.authorityGone && k.Equal(authorityKey.Agent())
			}
			err := a.bring(x)
			if x.code == "" {
				if err != nil {
					t.Fatalf("a sound use was refused: %v", err)
				}
				a.wantCalls(1)
				return
			}
			wantCode(t, err, x.code)
			a.wantCalls(0)
		})
	}
}

// TestDeputyIsNotConfused: a chain that is bound to one package does not serve
// another one with the same tool, whatever else holds.
func TestDeputyIsNotConfused(t *testing.T) {
	b := newBench(t)
	mine := b.load(packtest.Spec{IR: echoIR(1)})
	theirs := b.load(packtest.Spec{IR: echoIR(1), Name: "test/evil"})
	proof := b.grant(mine, func(_ *caps.Capability, s *caps.ToolCall) {
		s.Constraints = map[string]string{caps.ConstraintPackage: mine.ID().String()}
	})
	_, err := b.run(theirs, "theirs", proof)
	wantCode(t, err, caps.ErrConstraint)
	b.wantCalls(0)
	if _, err := b.run(mine, "r", proof); err != nil {
		t.Fatal(err)
	}
	b.wantCalls(1)
}

// TestNextCandidate: of several chains the first that passes, in ascending order of
// leaf cap_id, is spent; when it has nothing left the next one is; when none has, the
// refusal is the first one's.
func TestNextCandidate(t *testing.T) {
	b := newBench(t)
	pkg := b.load(packtest.Spec{IR: echoIR(4)})
	var proofs []*caps.Chain
	for i := range 3 {
		proofs = append(proofs, b.grant(pkg, func(c *caps.Capability, s *caps.ToolCall) { s.MaxCalls = 1; c.ExpiresAt += int64(i) }))
	}
	_, err := b.run(pkg, "r", proofs...)
	wantCode(t, err, ledger.ErrExhausted)
	b.wantCalls(3)
	slices.SortFunc(proofs, func(a, b *caps.Chain) int { return a.LeafID().Compare(b.LeafID()) })
	if !bytes.Contains([]byte(err.Error()), []byte("capability "+proofs[0].LeafID().String()+" allows 1 calls")) {
		t.Errorf("the refusal is not the first candidate's: %v", err)
	}
}

// TestPackageRun: a run that brings a PackageRun capability is one that it covers, and
// a node may demand one.
func TestPackageRun(t *testing.T) {
	b := newBench(t)
	pkg := b.load(packtest.Spec{IR: echoIR(1)})
	over := func(id cid.Hash, ring uint8, edit func(*caps.Capability)) *caps.Chain {
		now := b.clock.now()
		c := caps.Capability{
			Subject: executorKey.Agent(), NotBefore: now.Add(-time.Hour).UnixMicro(), ExpiresAt: now.Add(time.Hour).UnixMicro(),
			Scope: caps.ScopeOf(&caps.PackageRun{PackageID: id, Ring: ring}),
		}
		if edit != nil {
			edit(&c)
		}
		return b.issue(authorityKey, c)
	}
	expired := func(c *caps.Capability) { c.NotBefore, c.ExpiresAt = 0, 1 }
	call := b.grant(pkg, nil)
	for name, x := range map[string]struct {
		need   bool
		proofs []*caps.Chain
		code   fault.Code
	}{
		"none":              {false, nil, ""},
		"none, demanded":    {true, nil, executor.ErrCapMissing},
		"over it":           {true, []*caps.Chain{over(pkg.ID(), 0, nil)}, ""},
		"over it, ring 2":   {true, []*caps.Chain{over(pkg.ID(), 2, nil)}, ""},
		"over another":      {false, []*caps.Chain{over(cid.Sum(nil), 0, nil)}, caps.ErrScope},
		"expired":           {true, []*caps.Chain{over(pkg.ID(), 0, expired)}, caps.ErrExpired},
		"one of two":        {true, []*caps.Chain{over(cid.Sum(nil), 0, nil), over(pkg.ID(), 0, nil)}, ""},
		"another authority": {true, []*caps.Chain{b.issue(strangerKey, over(pkg.ID(), 0, nil).Leaf())}, caps.ErrUntrusted},
	} {
		b.config.NeedPackageRun = x.need
		before := b.engine.calls
		_, err := b.run(pkg, strings.NewReplacer(" ", "-", ",", "").Replace(name), append(slices.Clone(x.proofs), call)...)
		if !errors.Is(err, x.code) && (x.code != "" || err != nil) {
			t.Errorf("%s: %v, want %q", name, err, x.code)
		}
		if ran := b.engine.calls > before; ran != (x.code == "") {
			t.Errorf("%s: the module ran: %v", name, ran)
		}
	}
}
