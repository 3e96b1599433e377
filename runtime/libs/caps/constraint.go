package caps

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// The constraint keys of a ToolCall scope besides those about an argument. The
// values of the first three and of ConstraintRequest are as cid.Hash.String
// writes them, that of ConstraintLedger as cid.Hash.Hex does, and ring_max is
// decimal, 0..255.
const (
	ConstraintPackage = "package"      // only this package_id
	ConstraintModule  = "module"       // only this module (ModuleRef.cid)
	ConstraintRequest = "request_hash" // only this one request
	ConstraintLedger  = "ledger"       // only on this ledger
	ConstraintRingMax = "ring_max"     // only in rings up to this one
)

// The operators of a constraint about an argument.
const (
	OpEq     = "eq"     // equal canonical bytes
	OpLe     = "le"     // an integer, at most
	OpGe     = "ge"     // an integer, at least
	OpIn     = "in"     // equal to an item of the LIST
	OpPrefix = "prefix" // TEXT or BYTES that begins with
)

// Arg returns the key and the text value of a constraint about the argument at
// a JSON pointer ("" is the whole payload); value is one canonical value.
func Arg(pointer, op string, value []byte) (string, string) {
	return "arg" + pointer + ":" + op, hex.EncodeToString(value)
}

// Call is a concrete tool call: what constraints are evaluated against.
type Call struct {
	Tool        cid.Hash
	Package     cid.Hash // package_id
	Module      cid.Hash // ModuleRef.cid of the module that would run
	RequestHash cid.Hash
	Ledger      cid.Hash // id of the ledger; zero if it has none
	Ring        uint8
	Payload     []byte // one canonical value
}

// constraint is one parsed entry of a scope's constraints.
type constraint struct {
	key     string
	op      string   // a key of its own, or the operator of an arg
	isArg   bool     // op is one of the operators
	pointer string   // of an arg
	tokens  []string // of the pointer
	place   int      // of the pointer among those of the chain
	hash    cid.Hash // of package, module, request_hash, ledger
	ring    uint8    // of ring_max
	value   []byte   // of an arg: one canonical value
}

// constraints ascend by key.
type constraints []constraint

// parseConstraints reads the closed vocabulary of RFC-MYTHOS-0008 §4.
func parseConstraints(m map[string]string) (constraints, *breach) {
	if len(m) > MaxConstraints {
		return nil, &breach{ErrConstraint, "", fmt.Sprintf("%d constraints, at most %d", len(m), MaxConstraints)}
	}
	out := make(constraints, 0, len(m))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		c, why := parseConstraint(key, m[key])
		if why != "" {
			return nil, unmet(key, why)
		}
		out = append(out, c)
	}
	return out, nil
}

func unmet(key, why string) *breach {
	return &breach{ErrConstraint, key, fmt.Sprintf("constraint %q: %s", key, why)}
}

func parseConstraint(key, text string) (constraint, string) {
	c := constraint{key: key, op: key}
	switch key {
	case ConstraintPackage, ConstraintModule, ConstraintRequest:
		h, err := cid.Parse(text)
		if err != nil {
			return c, "the value is not sha256:<64 lowercase hex digits>"
		}
		c.hash = h
	case ConstraintLedger:
		h, err := cid.Parse("sha256:" + text)
		if err != nil {
			return c, "the value is not 64 lowercase hex digits"
		}
		c.hash = h
	case ConstraintRingMax:
		n, ok := decimal(text)
		if !ok || n > 255 {
			return c, "the value is not a decimal of 0..255"
		}
		c.ring = uint8(n)
	default:
		return parseArg(key, text)
	}
	return c, ""
}

// parseArg reads arg POINTER ":" OP and its value.
func parseArg(key, text string) (constraint, string) {
	c := constraint{key: key, isArg: true}
	rest, isArg := strings.CutPrefix(key, "arg")
	colon := strings.LastIndexByte(rest, ':')
	if !isArg || colon < 0 {
		return c, "the vocabulary has no such key"
	}
	c.pointer, c.op = rest[:colon], rest[colon+1:]
	var ok bool
	if c.tokens, ok = splitPointer(c.pointer); !ok {
		return c, "the vocabulary has no such key: arg is followed by a JSON pointer"
	}
	raw, err := hex.DecodeString(text)
	if err != nil || hex.EncodeToString(raw) != text {
		return c, "the value is not lowercase hex"
	}
	if err := can.Valid(raw); err != nil {
		return c, fmt.Sprintf("the value is not one canonical value: %v", err)
	}
	c.value = raw
	return c, c.badOperand()
}

// badOperand says why the value does not suit the operator.
func (c *constraint) badOperand() string {
	tag := c.value[0]
	switch c.op {
	case OpEq:
		return ""
	case OpLe, OpGe:
		if tag != can.Uint && tag != can.Int {
			return "the value is " + can.TagName(tag) + ", not an integer"
		}
	case OpIn:
		if tag != can.List {
			return "the value is " + can.TagName(tag) + ", not a LIST"
		}
	case OpPrefix:
		if tag != can.Text && tag != can.Bytes {
			return "the value is " + can.TagName(tag) + ", not TEXT or BYTES"
		}
	default:
		return "the vocabulary has no such operator"
	}
	return ""
}

// holds reports why c denies the call; found holds the values that the payload has
// at the pointers of the chain, nil where it has none.
func (c *constraint) holds(call *Call, found [][]byte) string {
	switch c.key {
	case ConstraintPackage:
		return unequal("the package is", c.hash, call.Package)
	case ConstraintModule:
		return unequal("the module is", c.hash, call.Module)
	case ConstraintRequest:
		return unequal("the request is", c.hash, call.RequestHash)
	case ConstraintLedger:
		if call.Ledger.IsZero() {
			return "the ledger has no id"
		}
		return unequal("the ledger is", c.hash, call.Ledger)
	case ConstraintRingMax:
		return above("ring", c.ring, call.Ring)
	}
	var v []byte
	if c.place < len(found) {
		v = found[c.place]
	}
	switch {
	case v == nil:
		return "the request has " + c.missing(call.Payload)
	case !c.admits(v):
		return "the request has " + c.refused(v)
	}
	return ""
}

// missing says why the payload has no value at the pointer.
func (c *constraint) missing(payload []byte) string {
	name := shortPointer(c.pointer)
	if ambiguous(payload, c.tokens) {
		return "two arguments that " + name + " may mean"
	}
	return "no argument " + name
}

// refused says what the canonical value v is that c does not admit: integers in full,
// of anything else no more than the type, because a refusal may be shown to others than
// who asked.
func (c *constraint) refused(v []byte) string {
	what := can.TagName(v[0])
	text, err := can.AppendJSON(nil, v)
	_, _, isInteger := integer(v)
	if isInteger = isInteger && err == nil; isInteger {
		what = string(text)
	}
	_, _, wantInteger := integer(c.value)
	switch {
	case wantInteger && !isInteger:
		return what + " there, want an integer"
	case c.op != OpIn && !wantInteger && v[0] != c.value[0]:
		return what + " there, want " + can.TagName(c.value[0])
	case isInteger:
		return what + " there"
	}
	return "another " + what + " there"
}

// admits reports whether the operator of an arg holds for the canonical value v.
func (c *constraint) admits(v []byte) bool {
	switch c.op {
	case OpEq:
		return bytes.Equal(v, c.value)
	case OpLe:
		order, ok := compareIntegers(v, c.value)
		return ok && order <= 0
	case OpGe:
		order, ok := compareIntegers(v, c.value)
		return ok && order >= 0
	case OpIn:
		return hasItem(c.value, v)
	case OpPrefix:
		return hasPrefix(v, c.value)
	}
	return false
}

// String renders c for people.
func (c *constraint) String() string {
	switch {
	case c.isArg:
		return FormatConstraint(c.key, hex.EncodeToString(c.value))
	case c.key == ConstraintRingMax:
		return fmt.Sprintf("%s=%d", c.key, c.ring)
	case c.key == ConstraintLedger:
		return c.key + "=" + c.hash.Hex()
	}
	return c.key + "=" + c.hash.String()
}

// broken is the breach of a constraint that can be read.
func (c *constraint) broken(why string) *breach {
	return &breach{ErrConstraint, c.key, "constraint " + c.String() + ": " + why}
}

// within reports why child is no subset of parent: a key that was dropped, or
// one that was loosened. New keys are allowed, they only restrict.
func (child constraints) within(parent constraints) *breach {
	for i := range parent {
		p := &parent[i]
		at, ok := slices.BinarySearchFunc(child, p.key, func(c constraint, key string) int { return cmp.Compare(c.key, key) })
		if !ok {
			return p.broken("it was dropped")
		}
		if !child[at].tighter(p) {
			return p.broken("it was loosened to " + child[at].String())
		}
	}
	return nil
}

// tighter reports whether c restricts at least as much as p, both of one key.
func (c *constraint) tighter(p *constraint) bool {
	switch {
	case p.key == ConstraintRingMax:
		return c.ring <= p.ring
	case !p.isArg:
		return c.hash == p.hash
	case p.op == OpIn:
		return itemsWithin(p.value, c.value)
	}
	// For the other operators, that p admits c's own operand is the subset
	// rule: equal, lower or equal, higher or equal, begins with.
	return p.admits(c.value)
}

// compareIntegers orders two canonical integers mathematically, whichever of
// UVARINT and IVARINT they are; ok is false if one is no integer.
func compareIntegers(a, b []byte) (order int, ok bool) {
	an, am, ok1 := integer(a)
	bn, bm, ok2 := integer(b)
	switch {
	case !ok1 || !ok2:
		return 0, false
	case an != bn && an:
		return -1, true
	case an != bn:
		return 1, true
	case an:
		return cmp.Compare(bm, am), true
	}
	return cmp.Compare(am, bm), true
}

// integer splits a canonical integer into sign and magnitude.
func integer(v []byte) (negative bool, magnitude uint64, ok bool) {
	r := can.NewReader(v)
	switch tag, _ := r.Kind(); tag {
	case can.Uint:
		return false, r.Uint(), true
	case can.Int:
		i := r.Int()
		if i < 0 {
			return true, -uint64(i), true
		}
		return false, uint64(i), true
	}
	return false, 0, false
}

// items calls yield with each item of a canonical LIST until it returns false.
func items(list []byte, yield func(item []byte) bool) {
	r := can.NewReader(list)
	for n := r.List(); n > 0 && yield(r.Raw()); n-- {
	}
}

func hasItem(list, v []byte) (found bool) {
	items(list, func(item []byte) bool {
		found = bytes.Equal(item, v)
		return !found
	})
	return found
}

// itemsWithin reports whether every item of the LIST child is one of parent's.
func itemsWithin(parent, child []byte) bool {
	allowed := map[string]bool{}
	items(parent, func(item []byte) bool {
		allowed[string(item)] = true
		return true
	})
	within := true
	items(child, func(item []byte) bool {
		within = allowed[string(item)]
		return within
	})
	return within
}

// hasPrefix reports whether v and prefix are of one type, TEXT or BYTES, and
// v's content begins with prefix's.
func hasPrefix(v, prefix []byte) bool {
	content, ok1 := spanOf(v)
	want, ok2 := spanOf(prefix)
	return ok1 && ok2 && v[0] == prefix[0] && bytes.HasPrefix(content, want)
}

// spanOf returns the content of canonical TEXT or BYTES.
func spanOf(v []byte) ([]byte, bool) {
	if len(v) == 0 || v[0] != can.Text && v[0] != can.Bytes {
		return nil, false
	}
	n, head, err := can.Uvarint(v[1:])
	if err != nil || n != uint64(len(v)-1-head) {
		return nil, false
	}
	return v[1+head:], true
}

// decimal reads a u64 without sign, leading zeros or spaces.
func decimal(s string) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil && strconv.FormatUint(n, 10) == s
}
