// Package second is a second evaluator of capability chains, written from
// RFC-MYTHOS-0008 alone, in 300 lines of code. Of the product it uses the codec (package
// can, the generated structs of package caps), ids and strict Ed25519, and no rule.
package second

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"math/big"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// Use is what a chain is asked for: a call, or the narrowest scope that is needed.
type Use struct {
	Call    *caps.Call
	Kind    uint8       // without a call
	Scope   []byte      // canonical, of Kind
	Dial    *netip.Addr // where the one host of a NetConnect leads; nil for a bare scope
	Subject [32]byte
	Now     int64
	Trusts  func(key [32]byte) bool
	Lists   map[[32]byte]*caps.Revocations // opened ones, by issuer
}

// Verdict is "" or a code, and where: Rule is the row of the table in
// RFC-MYTHOS-0008 §3; Link is -1 if the proof could not be read.
type Verdict struct {
	Code fault.Code
	Link int
	Rule string
}

func (v *Verdict) must(ok bool, code fault.Code, link int, rule string) {
	if v.Code == "" && !ok {
		*v = Verdict{code, link, rule}
	}
}

type (
	link struct {
		caps.Capability
		id     cid.Hash
		scope  fields
		limits []limit // nil if one of them means nothing
	}
	fields  []value // numbers and values in turn
	decoder interface{ ReadCAN(r *can.Reader) }
	value   struct { // one canonical value; raw is nil where there is none
		raw  []byte
		n    *big.Int // of an integer
		s    string   // of TEXT and BYTES
		list []value  // items of a LIST; keys and values of a MAP in turn
	}
	limit struct { // one constraint; op is 0 where the texts must be equal
		key, text, pointer string
		op                 byte
		value              value
	}
)

func of[T any]() decoder { return any(new(T)).(decoder) }

// kinds has, of each kind, the struct and, for its fields in order, the rule of
// RFC-MYTHOS-0008 §5 by the letter that admits knows.
var kinds = map[uint8]struct {
	decoder func() decoder
	rules   string
}{
	1: {of[caps.BlobRead], "e"}, 2: {of[caps.BlobWrite], "els"}, 3: {of[caps.BlobPin], "el"}, 4: {of[caps.BlobDelete], "e"}, 5: {of[caps.ToolCall], "el"},
	6: {of[caps.TrainRun], "elll"}, 7: {of[caps.EvalRun], "el"}, 8: {of[caps.DeployPromote], "ee"}, 9: {of[caps.ComputeSpawn], "elll"},
	10: {of[caps.CellRead], "ep"}, 11: {of[caps.CellWrite], "els"}, 32: {of[caps.NetConnect], "hss"}, 33: {of[caps.FsRead], "/"}, 34: {of[caps.FsWrite], "/l"},
	35: {of[caps.Clock], ""}, 36: {of[caps.Random], ""}, 37: {of[caps.SecretRead], "e"}, 38: {of[caps.PackageRun], "el"}, 39: {of[caps.PackagePublish], "p"},
}

func open(raw []byte, depth int) value {
	v, r, left := value{raw: raw}, can.NewReader(raw), 0
	switch raw[0] {
	case can.Uint:
		v.n = new(big.Int).SetUint64(r.Uint())
	case can.Int:
		v.n = big.NewInt(r.Int())
	case can.Text:
		v.s = r.Text()
	case can.Bytes:
		v.s = string(r.Bytes())
	case can.List:
		left = r.List()
	case can.Map:
		left = 2 * r.MapHead()
	}
	for ; left > 0 && depth > 0; left-- {
		v.list = append(v.list, open(r.Raw(), depth-1))
	}
	return v
}

func (v value) is(o value) bool         { return bytes.Equal(v.raw, o.raw) }
func (v value) among(list []value) bool { return slices.ContainsFunc(list, v.is) }

func all[T any](list []T, ok func(T) bool) bool {
	return !slices.ContainsFunc(list, func(x T) bool { return !ok(x) })
}

func (f fields) at(field uint64) value {
	for ; len(f) > 0; f = f[2:] {
		if f[0].n.Uint64() == field {
			return f[1]
		}
	}
	return value{}
}

func decodeScope(kind uint8, payload []byte) (fields, fault.Code) {
	r, k := can.NewReader(payload), kinds[kind]
	if k.decoder == nil {
		return nil, "cap_kind_unknown"
	}
	if k.decoder().ReadCAN(&r); r.Done() == nil {
		return open(payload, 3).list, ""
	}
	return nil, fault.CodeOf(r.Done())
}

// read is step 1.
func read(proof []byte) (links []link, code fault.Code) {
	r, items := can.NewReader(proof), [][]byte{}
	n := r.List()
	if len(proof) > 16384 || r.OK() && (n < 1 || n > 8) {
		return nil, "cap_chain_too_long"
	}
	for ; n > 0 && r.OK(); n-- {
		items = append(items, r.Bytes())
	}
	r.EndList()
	code = fault.CodeOf(r.Done())
	for i := 0; i < len(items) && code == ""; i++ {
		l, r := link{}, can.NewReader(items[i])
		if l.ReadCAN(&r); r.Done() != nil {
			return nil, fault.CodeOf(r.Done())
		}
		l.scope, code = decodeScope(l.Scope.Kind, l.Scope.Payload)
		l.limits = limits(l.Scope.Kind, l.scope)
		all := fields(open(items[i], 1).list)
		kept := can.AppendMap(nil, len(all)/2-2)
		for ; len(all) > 0; all = all[2:] {
			if n := all[0].n.Uint64(); n != 1 && n != 10 {
				kept = append(append(kept, all[0].raw...), all[1].raw...)
			}
		}
		l.id = cid.Sum(kept)
		links = append(links, l)
	}
	return links, code
}

// Evaluate decides by the steps of RFC-MYTHOS-0008 §3, spending apart.
func Evaluate(proof []byte, u Use) (v Verdict) {
	links, code := read(proof)
	if v.must(code == "", code, -1, ""); code != "" {
		return v
	}
	for i, l := range links {
		form := l.CapID == l.id && l.Signature.KeyID == nil && l.Signature.Alg == 1 && l.Issuer.Scheme == 1
		v.must(form && sig.VerifyStrict(l.Issuer.Key[:], l.id[:], l.Signature.SigBytes[:]), "cap_signature", i, "signature")
	}
	v.must(links[0].AttenuationParent == nil, "cap_chain_broken", 0, "root")
	v.must(u.Trusts(links[0].Issuer.Key), "cap_issuer_untrusted", 0, "authority")
	for i, c := range links[1:] {
		v.must(c.AttenuationParent != nil && *c.AttenuationParent == links[i].id, "cap_chain_broken", i+1, "parent")
		v.must(c.Issuer.Equal(links[i].Subject) || c.Issuer.Equal(links[i].Issuer), "cap_chain_broken", i+1, "issuer")
	}
	for i, c := range links[1:] {
		v.must(links[i].Delegable || c.Issuer.Equal(links[i].Issuer) && !c.Delegable, "cap_not_delegable", i+1, "delegable")
	}
	last := len(links) - 1
	v.must(links[last].Subject.Equal(sig.AgentID{Scheme: 1, Key: u.Subject}), "cap_subject", last, "subject")
	for i, l := range links {
		p := links[max(i-1, 0)]
		v.must(l.NotBefore < l.ExpiresAt && l.NotBefore >= p.NotBefore && l.ExpiresAt <= p.ExpiresAt, "cap_window", i, "window")
		v.must(u.Now >= l.NotBefore, "cap_not_yet_valid", i, "not_before")
		v.must(u.Now < l.ExpiresAt, "cap_expired", i, "expires_at")
	}
	need, code := decodeScope(u.Kind, u.Scope)
	for i, l := range links {
		kind, p := l.Scope.Kind, links[max(i-1, 0)]
		v.must(i == 0 || p.Scope.Kind == kind && subset(kind, p.scope, l.scope), "cap_scope", i, "subset")
		v.must(i == 0 || within(p.limits, l.limits), "cap_constraint", i, "constraint_subset")
		if u.Call != nil {
			v.must(kind == 5 && bytes.Equal(l.scope.at(1).raw, u.Call.Tool.AppendCAN(nil)), "cap_scope", i, "use")
			v.must(l.limits != nil && all(l.limits, func(x limit) bool { return x.holds(u.Call) }), "cap_constraint", i, "constraint_use")
			continue
		}
		v.must(code == "" && u.Kind == kind && subset(kind, l.scope, need) && (u.Dial == nil || reaches(l.scope, need, *u.Dial)), "cap_scope", i, "use")
		v.must(within(l.limits, limits(u.Kind, need)), "cap_constraint", i, "constraint_use")
	}
	for i, l := range links {
		own := u.Lists[l.Issuer.Key]
		v.must(!l.RevocationRequired || own != nil && own.Issued <= u.Now && u.Now < own.NextUpdate, "cap_revocation_required", i, "revocation")
		for _, above := range links[:i+1] {
			list := u.Lists[above.Issuer.Key]
			v.must(list == nil || !slices.Contains(list.Revoked, l.id), "cap_revoked", i, "revoked")
		}
	}
	return v
}

var (
	isName   = regexp.MustCompile(`^(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z]([a-z0-9_-]{0,61}[a-z0-9_])?$`).MatchString
	isMethod = regexp.MustCompile(`^[A-Z-]{1,32}$`).MatchString
	isPath   = regexp.MustCompile(`^(/|(/[^/\x00]+)+)$`).MatchString
	hasDots  = regexp.MustCompile(`/\.\.?(/|$)`).MatchString
	// isLimit matches key, LF and value, and finds ring, pointer, op and operand.
	isLimit = regexp.MustCompile(`(?s)^(?:(?:package|module|request_hash)\nsha256:[0-9a-f]{64}|ledger\n[0-9a-f]{64}|` +
		`ring_max\n(0|[1-9][0-9]?|1[0-9][0-9]|2[0-4][0-9]|25[0-5])|arg((?:/(?:[^~/]|~[01])*)*):(eq|le|ge|in|prefix)\n((?:[0-9a-f]{2})+))$`).FindStringSubmatch
	operand = map[string]string{"eq": "\x00\x01\x02\x03\x04\x05\x06\x07\x08", "le": "\x03\x04", "ge": "\x03\x04", "in": "\x07", "prefix": "\x05\x06"}
)

func isHost(h value) bool {
	a, err := netip.ParseAddr(h.s)
	return err == nil && a.String() == h.s && a.Zone() == "" && !a.Is4In6() || len(h.s) <= 253 && isName(h.s)
}

// span is where a BlobRead starts and ends; without an end, beyond 2^64.
func span(s fields) (start, end *big.Int) {
	start = cmp.Or(s.at(2).n, new(big.Int))
	return start, new(big.Int).Add(start, cmp.Or(s.at(3).n, new(big.Int).Lsh(big.NewInt(1), 99)))
}

func sound(kind uint8, s fields) bool {
	_, end := span(s)
	return (kind != 1 || s.at(3).raw == nil || end.IsUint64()) && (kind != 33 && kind != 34 || isPath(s.at(1).s) && !hasDots(s.at(1).s)) &&
		(kind != 32 || all(s.at(1).list, isHost) && all(s.at(2).list, func(p value) bool { return p.n.Sign() > 0 && p.n.Cmp(big.NewInt(65536)) < 0 }) && all(s.at(3).list, func(m value) bool { return isMethod(m.s) }))
}

func subset(kind uint8, p, c fields) bool {
	for i := range kinds[kind].rules {
		x, y := p.at(uint64(i)+1), c.at(uint64(i)+1)
		if x.raw != nil && (y.raw == nil || !admits(kinds[kind].rules[i], y, x)) {
			return false
		}
	}
	least, most := span(p)
	start, end := span(c)
	return sound(kind, p) && sound(kind, c) && (kind != 1 || start.Cmp(least) >= 0 && (p.at(3).raw == nil || end.Cmp(most) <= 0))
}

// special is RFC-MYTHOS-0008 §5.2, but for what is outside 2000::/3.
var special = strings.Fields("0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 168.63.129.16/32 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 " +
	"192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 2001::/23 2001:db8::/32 2002::/16 3fff::/20")

func reaches(have, need fields, to netip.Addr) bool {
	name := need.at(1).list[0].s
	literal, err := netip.ParseAddr(name)
	inside := func(prefix string) bool { return netip.MustParsePrefix(prefix).Contains(to) }
	free := !slices.ContainsFunc(special, inside) && (to.Is4() || inside("2000::/3"))
	return name[0] != '*' && to.IsValid() && (err != nil || literal == to) && (free || open(can.AppendText(nil, to.String()), 0).among(have.at(1).list))
}

func limits(kind uint8, s fields) []limit {
	out := []limit{}
	for m := s.at(3).list; kind == 5 && len(m) > 0; m = m[2:] {
		f := isLimit(m[0].s + "\n" + m[1].s)
		if f == nil || len(m) > 128 {
			return nil
		}
		x := limit{key: m[0].s, text: m[1].s, pointer: f[2]}
		if raw, _ := hex.DecodeString(f[4]); f[3] != "" {
			if strings.IndexByte(operand[f[3]], raw[0]) < 0 || can.Valid(raw) != nil {
				return nil
			}
			x.op, x.value = f[3][0], open(raw, 9)
		} else if ring, err := strconv.Atoi(f[1]); err == nil {
			x.op, x.value = 'l', value{n: big.NewInt(int64(ring))}
		}
		out = append(out, x)
	}
	return out
}

// within says whether every limit of the parent is in the child, no wider.
func within(parent, child []limit) bool {
	narrower := func(p, c limit) bool {
		return c.key == p.key && (c.text == p.text || p.op == 'i' && admits('s', c.value, p.value) || p.op != 'i' && admits(p.op, c.value, p.value))
	}
	return parent != nil && child != nil && all(parent, func(p limit) bool {
		return slices.ContainsFunc(child, func(c limit) bool { return narrower(p, c) })
	})
}

func (x limit) holds(u *caps.Call) bool {
	facts := map[string]string{"package": u.Package.String(), "module": u.Module.String(), "request_hash": u.RequestHash.String(), "ledger": u.Ledger.Hex()}
	switch {
	case x.key == "ring_max":
		return admits('l', value{n: big.NewInt(int64(u.Ring))}, x.value)
	case x.op == 0:
		return facts[x.key] == x.text && (x.key != "ledger" || !u.Ledger.IsZero())
	case can.Valid(u.Payload) != nil:
		return false
	}
	v := open(u.Payload, 99)
	for _, token := range strings.Split(x.pointer, "/")[1:] {
		hits, isMap := []value{}, v.raw[0] == can.Map
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		for i, item := range v.list {
			if isMap && i%2 == 0 && (item.raw[0] == can.Text && item.s == token || item.raw[0] == can.Uint && item.n.String() == token) {
				hits = append(hits, v.list[i+1])
			} else if !isMap && strconv.Itoa(i) == token {
				hits = append(hits, item)
			}
		}
		if len(hits) != 1 {
			return false
		}
		v = hits[0]
	}
	return admits(x.op, v, x.value)
}

// admits is the table of operators (eq, le, ge, in, prefix by their first letters) and
// the rules of scopes: v is the value found, or the child's; c the constraint's, or the
// parent's; s is a subset, h are hosts, / is a path.
func admits(op byte, v, c value) bool {
	covers := func(host value) bool {
		label, rest, _ := strings.Cut(host.s, ".")
		return host.among(c.list) || label != "*" && open(can.AppendText(nil, "*."+rest), 0).among(c.list)
	}
	integers := v.n != nil && c.n != nil
	return op == 'e' && v.is(c) || op == 'i' && v.among(c.list) || op == 'p' && v.raw[0] == c.raw[0] && strings.HasPrefix(v.s, c.s) ||
		op == 'l' && integers && v.n.Cmp(c.n) <= 0 || op == 'g' && integers && v.n.Cmp(c.n) >= 0 ||
		op == 's' && all(v.list, func(x value) bool { return x.among(c.list) }) || op == 'h' && all(v.list, covers) ||
		op == '/' && (v.is(c) || c.s == "/" || strings.HasPrefix(v.s, c.s+"/"))
}
