package caps

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"math/big"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// The oracle is a second verifier, written from RFC-MYTHOS-0008 alone and as
// plainly as can be: a proof is a tree of values, every rule is spelled out where it
// applies, and it shares only the CAN reader, strict Ed25519 and, but for connections,
// what scope a request needs. It expects what DecodeProof accepts.

// tree is one canonical value.
type tree struct {
	tag  byte
	n    *big.Int // UVARINT, IVARINT
	s    string   // TEXT, BYTES
	list []tree   // items; of a MAP keys and values in turn
	raw  string
}

func plant(raw []byte) tree {
	r := can.NewReader(raw)
	return grow(&r, raw)
}

func grow(r *can.Reader, raw []byte) (t tree) {
	at := r.Pos()
	t.tag, _ = r.Kind()
	switch t.tag {
	case can.Uint:
		t.n = new(big.Int).SetUint64(r.Uint())
	case can.Int:
		t.n = big.NewInt(r.Int())
	case can.Bytes:
		t.s = string(r.Bytes())
	case can.Text:
		t.s = r.Text()
	case can.List:
		for range r.List() {
			t.list = append(t.list, grow(r, raw))
		}
		r.EndList()
	case can.Map:
		for range r.MapHead() {
			t.list = append(t.list, grow(r, raw), grow(r, raw))
		}
		r.EndMap()
	default:
		r.Skip()
	}
	t.raw = string(raw[at:r.Pos()])
	return t
}

// f is field i of a struct; that of an absent one has tag 255.
func (t tree) f(i int64) tree {
	for k := 0; k+1 < len(t.list); k += 2 {
		if t.list[k].n.Cmp(big.NewInt(i)) == 0 {
			return t.list[k+1]
		}
	}
	return tree{tag: 255}
}

func (t tree) absent() bool { return t.tag == 255 }

func (t tree) texts() (out []string) {
	for _, x := range t.list {
		out = append(out, x.raw)
	}
	return out
}

// id hashes a struct without two fields.
func (t tree) id(without ...int64) (h [32]byte) {
	var b []byte
	n := 0
	for k := 0; k < len(t.list); k += 2 {
		if !slices.Contains(without, t.list[k].n.Int64()) {
			b, n = append(append(b, t.list[k].raw...), t.list[k+1].raw...), n+1
		}
	}
	return sha256.Sum256(append(can.AppendMap(nil, n), b...))
}

// verdict is "" or a code, and the link that it is about.
type verdict struct {
	code fault.Code
	link int
}

// oracle judges a proof.
func oracle(proof []byte, u Use) verdict {
	var links []tree
	var ids [][32]byte
	for _, item := range plant(proof).list {
		links = append(links, plant([]byte(item.s)))
		ids = append(ids, links[len(links)-1].id(1, 10))
	}
	agent := func(t tree) string { return t.f(1).raw + t.f(2).raw }
	hash := func(h [32]byte) string { return "\x08\x02\x03\x01\x03\x01\x03\x02\x05\x20" + string(h[:]) }
	for i, l := range links {
		s := l.f(10)
		if l.f(1).raw != hash(ids[i]) || !s.f(2).absent() || s.f(1).raw != "\x03\x01" || l.f(2).f(1).raw != "\x03\x01" ||
			!sig.VerifyStrict([]byte(l.f(2).f(2).s), ids[i][:], []byte(s.f(3).s)) {
			return verdict{ErrSignature, i}
		}
	}
	if !links[0].f(8).absent() {
		return verdict{ErrBroken, 0}
	}
	var root sig.AgentID
	root.Scheme = 1
	copy(root.Key[:], links[0].f(2).f(2).s)
	if !u.Authority(root) {
		return verdict{ErrUntrusted, 0}
	}
	for i := 1; i < len(links); i++ {
		c, p := links[i], links[i-1]
		if c.f(8).raw != hash(ids[i-1]) || agent(c.f(2)) != agent(p.f(3)) && agent(c.f(2)) != agent(p.f(2)) {
			return verdict{ErrBroken, i}
		}
	}
	for i := 1; i < len(links); i++ {
		c, p := links[i], links[i-1]
		if p.f(7).tag == can.False && (agent(c.f(2)) != agent(p.f(2)) || c.f(7).tag == can.True) {
			return verdict{ErrDelegable, i}
		}
	}
	last := len(links) - 1
	if agent(links[last].f(3)) != string(can.AppendUint(nil, 1))+string(can.AppendBytes(nil, u.Subject.Key[:])) {
		return verdict{ErrSubject, last}
	}
	now := big.NewInt(u.Now)
	for i, l := range links {
		from, to := l.f(5).n, l.f(6).n
		switch {
		case from.Cmp(to) >= 0, i > 0 && (from.Cmp(links[i-1].f(5).n) < 0 || to.Cmp(links[i-1].f(6).n) > 0):
			return verdict{ErrWindow, i}
		case now.Cmp(from) < 0:
			return verdict{ErrNotYetValid, i}
		case now.Cmp(to) >= 0:
			return verdict{ErrExpired, i}
		}
	}
	for i, l := range links {
		kind, s := l.f(4).f(1).n.Int64(), plant([]byte(l.f(4).f(2).s))
		if i > 0 {
			p := plant([]byte(links[i-1].f(4).f(2).s))
			if kind != links[i-1].f(4).f(1).n.Int64() || !sound(kind, s) || !sound(kind, p) || !subset(kind, p, s) {
				return verdict{ErrScope, i}
			}
			if kind == 5 && !constraintSubset(p.f(3), s.f(3)) {
				return verdict{ErrConstraint, i}
			}
		}
		if !sound(kind, s) || !serves(kind, s, u) {
			return verdict{ErrScope, i}
		}
		if u.Call != nil && !constraintsHold(s.f(3), u.Call) {
			return verdict{ErrConstraint, i}
		}
	}
	for i, l := range links {
		key := func(j int) (a sig.AgentID) {
			a.Scheme = 1
			copy(a.Key[:], links[j].f(2).f(2).s)
			return a
		}
		if l.f(9).tag == can.True {
			if r := u.Revocations(key(i)); r == nil || u.Now < r.list.Issued || u.Now >= r.list.NextUpdate {
				return verdict{ErrRevocation, i}
			}
		}
		for j := 0; j <= i; j++ {
			if r := u.Revocations(key(j)); r != nil && slices.Contains(r.list.Revoked, ids[i]) {
				return verdict{ErrRevoked, i}
			}
		}
	}
	return verdict{}
}

// Limits by kind and field; a field of the first table must be equal, of the second
// at most the parent's, of the third (absent: any) too, of the fourth a subset, of
// the fifth (absent: any) too, of the sixth an extension.
var (
	oracleEqual  = map[int64][]int64{1: {1}, 2: {1}, 3: {1}, 4: {1}, 5: {1}, 6: {1}, 7: {1}, 8: {1, 2}, 9: {1}, 10: {1}, 11: {1}, 37: {1}, 38: {1}}
	oracleLimit  = map[int64][]int64{2: {2}, 3: {2}, 5: {2}, 6: {2, 3}, 7: {2}, 9: {2, 3, 4}, 11: {2}, 34: {2}, 38: {2}}
	oracleMaybe  = map[int64]int64{6: 4}
	oracleSet    = map[int64]int64{2: 3, 32: 2}
	oracleOption = map[int64]int64{11: 3, 32: 3}
	oraclePrefix = map[int64]int64{10: 2, 39: 1}
)

func subset(kind int64, p, c tree) bool {
	for _, f := range oracleEqual[kind] {
		if p.f(f).raw != c.f(f).raw {
			return false
		}
	}
	for _, f := range oracleLimit[kind] {
		if c.f(f).n.Cmp(p.f(f).n) > 0 {
			return false
		}
	}
	if f := oracleMaybe[kind]; f > 0 && !p.f(f).absent() && (c.f(f).absent() || c.f(f).n.Cmp(p.f(f).n) > 0) {
		return false
	}
	within := func(f int64) bool {
		return !slices.ContainsFunc(c.f(f).texts(), func(s string) bool { return !slices.Contains(p.f(f).texts(), s) })
	}
	if f := oracleSet[kind]; f > 0 && !within(f) {
		return false
	}
	if f := oracleOption[kind]; f > 0 && !p.f(f).absent() && (c.f(f).absent() || !within(f)) {
		return false
	}
	if f := oraclePrefix[kind]; f > 0 && !strings.HasPrefix(c.f(f).s, p.f(f).s) {
		return false
	}
	switch kind {
	case 1:
		ps, pe := span(p)
		cs, ce := span(c)
		return cs.Cmp(ps) >= 0 && (pe == nil || ce != nil && ce.Cmp(pe) <= 0)
	case 32:
		for _, h := range c.f(1).list {
			if !slices.ContainsFunc(p.f(1).list, func(a tree) bool { return matches(a.s, h.s) }) {
				return false
			}
		}
	case 33, 34:
		return c.f(1).s == p.f(1).s || p.f(1).s == "/" || strings.HasPrefix(c.f(1).s, p.f(1).s+"/")
	}
	return true
}

// span is where a BlobRead starts and ends; no end is nil.
func span(t tree) (start, end *big.Int) {
	start = new(big.Int)
	if !t.f(2).absent() {
		start = t.f(2).n
	}
	if !t.f(3).absent() {
		end = new(big.Int).Add(start, t.f(3).n)
	}
	return start, end
}

func matches(allowed, host string) bool {
	if !strings.HasPrefix(allowed, "*.") {
		return allowed == host
	}
	return allowed == host || regexp.MustCompile(`^[^.*]+`+regexp.QuoteMeta(allowed[1:])+`$`).MatchString(host)
}

var (
	hostName   = regexp.MustCompile(`^(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z]([a-z0-9_-]{0,61}[a-z0-9_])?$`)
	goodMethod = regexp.MustCompile(`^[A-Z-]{1,32}$`)
	goodPath   = regexp.MustCompile(`^/$|^(/[^/\x00]+)+$`)
	dotted     = regexp.MustCompile(`/\.\.?(/|$)`)
	argKey     = regexp.MustCompile(`(?s)^arg((?:/(?:[^~/]|~[01])*)*):(eq|le|ge|in|prefix)$`)
	digest     = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

func sound(kind int64, s tree) bool {
	switch kind {
	case 1:
		_, end := span(s)
		return end == nil || s.f(2).absent() || end.IsUint64()
	case 32:
		for _, h := range s.f(1).list {
			a, err := netip.ParseAddr(h.s)
			isAddr := err == nil && a.String() == h.s && a == a.Unmap() && a.Zone() == ""
			if len(h.s) > 253 || !isAddr && !hostName.MatchString(h.s) {
				return false
			}
		}
		for _, p := range s.f(2).list {
			if p.n.Sign() == 0 || p.n.Cmp(big.NewInt(65535)) > 0 {
				return false
			}
		}
		for _, m := range s.f(3).list {
			if !goodMethod.MatchString(m.s) {
				return false
			}
		}
	case 33, 34:
		return goodPath.MatchString(s.f(1).s) && !dotted.MatchString(s.f(1).s)
	}
	return true
}

// serves reports whether a scope covers the use, constraints apart.
func serves(kind int64, s tree, u Use) bool {
	if u.Call != nil {
		return kind == 5 && s.f(1).f(2).s == string(u.Call.Tool[:])
	}
	c, isNet := u.Request.(*Connect)
	if !isNet {
		p, why := u.Request.need()
		return why == "" && int64(p.Kind()) == kind && sound(kind, plant(p.AppendCAN(nil))) && subset(kind, s, plant(p.AppendCAN(nil)))
	}
	if kind != 32 || strings.HasPrefix(c.Host, "*") || c.Addr == (Addr{}) || c.Port == 0 {
		return false
	}
	literal, err := netip.ParseAddr(c.Host)
	to := netip.MustParseAddr(c.Addr.String())
	if err == nil && literal != to || err != nil && !hostName.MatchString(c.Host) {
		return false
	}
	named := slices.ContainsFunc(s.f(1).list, func(a tree) bool { return matches(a.s, c.Host) })
	port := slices.ContainsFunc(s.f(2).list, func(p tree) bool { return p.n.Uint64() == uint64(c.Port) })
	method := s.f(3).absent() || slices.ContainsFunc(s.f(3).list, func(m tree) bool { return m.s == c.Method })
	listed := slices.ContainsFunc(s.f(1).list, func(a tree) bool { return a.s == to.String() })
	return named && port && method && (c.Method == "" || goodMethod.MatchString(c.Method)) && (listed || !special(to))
}

func special(a netip.Addr) bool {
	for _, p := range strings.Fields("0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 168.63.129.16/32 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 " +
		"192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 " +
		"2001::/23 2001:db8::/32 2002::/16 3fff::/20") {
		if netip.MustParsePrefix(p).Contains(a) {
			return true
		}
	}
	return a.Is6() && !netip.MustParsePrefix("2000::/3").Contains(a)
}

// rule of a constraint: its op (or the key), pointer and value.
type limit struct {
	key, op, pointer, text string
	value                  tree
}

// limitsOf reads constraints; ok is false if one means nothing.
func limitsOf(t tree) (out []limit, ok bool) {
	for k := 0; k+1 < len(t.list); k += 2 {
		x := limit{key: t.list[k].s, op: t.list[k].s, text: t.list[k+1].s}
		bare := strings.TrimPrefix(x.text, "sha256:")
		n, err := strconv.ParseUint(x.text, 10, 8)
		switch m := argKey.FindStringSubmatch(x.key); {
		case x.key == "package" || x.key == "module" || x.key == "request_hash":
			ok = bare != x.text && digest.MatchString(bare)
		case x.key == "ledger":
			ok = digest.MatchString(x.text)
		case x.key == "ring_max":
			ok = err == nil && strconv.FormatUint(n, 10) == x.text
		case m != nil:
			raw, err := hex.DecodeString(x.text)
			if ok = err == nil && strings.ToLower(x.text) == x.text && can.Valid(raw) == nil; ok {
				x.pointer, x.op, x.value = m[1], m[2], plant(raw)
				v := x.value
				ok = x.op == "eq" || x.op == "in" && v.tag == can.List || x.op == "prefix" && (v.tag == can.Text || v.tag == can.Bytes) ||
					(x.op == "le" || x.op == "ge") && v.n != nil
			}
		default:
			ok = false
		}
		if !ok {
			return nil, false
		}
		out = append(out, x)
	}
	return out, len(out) <= 64
}

func constraintSubset(parent, child tree) bool {
	p, ok1 := limitsOf(parent)
	c, ok2 := limitsOf(child)
	for _, x := range p {
		i := slices.IndexFunc(c, func(y limit) bool { return x.key == y.key })
		if i < 0 {
			return false
		}
		a, b := x.value, c[i].value
		ok := x.text == c[i].text
		switch x.op {
		case "ring_max":
			n, _ := strconv.Atoi(x.text)
			m, _ := strconv.Atoi(c[i].text)
			ok = m <= n
		case "le":
			ok = b.n.Cmp(a.n) <= 0
		case "ge":
			ok = b.n.Cmp(a.n) >= 0
		case "in":
			ok = !slices.ContainsFunc(b.texts(), func(s string) bool { return !slices.Contains(a.texts(), s) })
		case "prefix":
			ok = a.tag == b.tag && strings.HasPrefix(b.s, a.s)
		}
		if !ok {
			return false
		}
	}
	return ok1 && ok2
}

func constraintsHold(t tree, call *Call) bool {
	list, ok := limitsOf(t)
	for _, x := range list {
		switch x.op {
		case "package":
			ok = ok && x.text == call.Package.String()
		case "module":
			ok = ok && x.text == call.Module.String()
		case "request_hash":
			ok = ok && x.text == call.RequestHash.String()
		case "ledger":
			ok = ok && !call.Ledger.IsZero() && x.text == call.Ledger.Hex()
		case "ring_max":
			n, _ := strconv.Atoi(x.text)
			ok = ok && int(call.Ring) <= n
		default:
			ok = ok && argHolds(x, call.Payload)
		}
	}
	return ok
}

func argHolds(x limit, payload []byte) bool {
	if can.Valid(payload) != nil {
		return false
	}
	v := plant(payload)
	for _, token := range strings.Split(x.pointer, "/")[1:] {
		token = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
		var hits []tree
		for k := 0; v.tag == can.Map && k < len(v.list); k += 2 {
			key := v.list[k]
			if key.tag == can.Text && key.s == token || key.tag == can.Uint && key.n.String() == token {
				hits = append(hits, v.list[k+1])
			}
		}
		for i := 0; v.tag == can.List && i < len(v.list); i++ {
			if strconv.Itoa(i) == token {
				hits = append(hits, v.list[i])
			}
		}
		if len(hits) != 1 {
			return false
		}
		v = hits[0]
	}
	c := x.value
	switch x.op {
	case "eq":
		return v.raw == c.raw
	case "in":
		return slices.Contains(c.texts(), v.raw)
	case "prefix":
		return v.tag == c.tag && bytes.HasPrefix([]byte(v.s), []byte(c.s))
	case "le":
		return v.n != nil && v.n.Cmp(c.n) <= 0
	}
	return v.n != nil && v.n.Cmp(c.n) >= 0
}
