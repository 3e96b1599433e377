package caps

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// tb is what helpers need of a test, a fuzz target or a property.
type tb interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// The cast of the tests. A power goes from authority to holder to agent to
// executor.
func testKey(n byte) sig.Key { return sig.NewKey([32]byte{n, 1}, "") }

func authority() sig.Key { return testKey(1) }
func holder() sig.Key    { return testKey(2) }
func agent() sig.Key     { return testKey(3) }
func executor() sig.Key  { return testKey(4) }
func stranger() sig.Key  { return testKey(5) }

func trusted(a sig.AgentID) bool { return a.Equal(authority().Agent()) }

const (
	opens  = int64(1_000_000)
	closes = int64(2_000_000)
	noon   = int64(1_500_000)
)

func hashOf(s string) cid.Hash { return cid.Sum([]byte(s)) }

func ptr[T any](v T) *T { return &v }

// step is a link to be made. Everything may be mutated before it is signed.
type step struct {
	cap    Capability
	by     sig.Signer
	parent bool // fill attenuation_parent with the cap_id of the step before
}

// imposter signs with one key in the name of another.
type imposter struct {
	sig.Signer
	name sig.AgentID
}

func (x imposter) Agent() sig.AgentID { return x.name }

// steps returns a sound chain of three links for echo.
func steps() []*step {
	link := func(by sig.Key, to sig.Key, calls uint32, delegable, parent bool, limits map[string]string) *step {
		return &step{by: by, parent: parent, cap: Capability{
			Subject: to.Agent(), NotBefore: opens, ExpiresAt: closes, Delegable: delegable,
			Scope: ScopeOf(&ToolCall{ToolID: hashOf("echo"), MaxCalls: calls, Constraints: limits}),
		}}
	}
	return []*step{
		link(authority(), holder(), 10, true, false, limits("ring_max", "1")),
		link(holder(), agent(), 8, true, true, limits("ring_max", "1", "arg/amount:le", number(500))),
		link(agent(), executor(), 3, false, true, limits("ring_max", "0", "arg/amount:le", number(300))),
	}
}

func limits(pairs ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

func number(n uint64) string {
	_, v := Arg("", OpLe, can.AppendUint(nil, n))
	return v
}

// payload is {"amount": n}.
func payload(n uint64) []byte {
	return can.AppendUint(can.AppendText(can.AppendMap(nil, 1), "amount"), n)
}

func call() *Call {
	return &Call{
		Tool: hashOf("echo"), Package: hashOf("package"), Module: hashOf("module"), RequestHash: hashOf("request"),
		Ledger: hashOf("ledger"), Ring: 0, Payload: payload(250),
	}
}

func use() Use {
	c := call()
	s := ToolCall{ToolID: c.Tool, MaxCalls: 1}
	return Use{
		Kind: KindToolCall, Scope: s.AppendCAN(nil), Call: c,
		Subject: executor().Agent(), Now: noon, Authority: trusted,
	}
}

// editCall changes the ToolCall scope of a step.
func (s *step) editCall(t tb, edit func(*ToolCall)) {
	t.Helper()
	x, err := decode[ToolCall](s.cap.Scope.Payload)
	if err != nil {
		t.Fatal(err)
	}
	x.Constraints = maps.Clone(x.Constraints)
	edit(x)
	s.cap.Scope = ScopeOf(x)
}

// sign makes the links. It signs whatever a step says, sense or not.
func sign(t tb, list []*step) [][]byte {
	t.Helper()
	var out [][]byte
	var last cid.Hash
	for _, s := range list {
		c := s.cap
		if s.parent {
			c.AttenuationParent = &last
		}
		raw, id, err := sig.Sign(&c, s.by)
		if err != nil {
			t.Fatal(err)
		}
		out, last = append(out, raw), id
	}
	return out
}

func proofOf(t tb, list []*step) *Chain {
	t.Helper()
	c, err := DecodeProof(EncodeProof(sign(t, list)))
	if err != nil {
		t.Fatalf("DecodeProof: %v", err)
	}
	return c
}

// one returns a root for the executor with the given scope, as a proof.
func one(t tb, s Scope) *Chain {
	t.Helper()
	return proofOf(t, []*step{{by: authority(), cap: Capability{
		Subject: executor().Agent(), NotBefore: opens, ExpiresAt: closes, Scope: s,
	}}})
}

// wantDenial checks code, link and rule of a refusal, and that it branches.
func wantDenial(t *testing.T, err error, code fault.Code, link int, rule string) {
	t.Helper()
	var d *Denial
	if !errors.As(err, &d) {
		t.Fatalf("got %v, want a Denial with %s", err, code)
	}
	if d.Code != code || d.Link != link || d.Rule != rule {
		t.Errorf("got %s at link %d, rule %s; want %s at link %d, rule %s\n%v", d.Code, d.Link, d.Rule, code, link, rule, err)
	}
	if !errors.Is(err, code) || fault.CodeOf(err) != code {
		t.Errorf("errors.Is or CodeOf miss %s in %v", code, err)
	}
}

func wantCode(t *testing.T, err error, code fault.Code) {
	t.Helper()
	if fault.CodeOf(err) != code {
		t.Errorf("got %v, want %q", err, code)
	}
}

func mustIssue(t *testing.T, c Capability, by sig.Signer) []byte {
	t.Helper()
	raw, _, err := Issue(c, by)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func sortedKinds[V any](m map[uint8]V) []uint8 { return slices.Sorted(maps.Keys(m)) }
