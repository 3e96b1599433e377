package node

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mythos-run/mythos/internal/config"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/rings"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

func verifier(n byte) sig.AgentID { return sig.NewKey([32]byte{n, 9}, "TEST ONLY").Agent() }

// source is the draft of a ring as a source, changed.
func source(t testing.TB, ring uint8, change func(*rings.Policy)) []byte {
	t.Helper()
	p, err := rings.Draft(ring, []sig.AgentID{verifier(1), verifier(2)}, 2)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(p)
	}
	raw, err := FormatPolicySource(p)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestPolicySource(t *testing.T) {
	for ring := range uint8(3) {
		raw := source(t, ring, nil)
		p, err := ParsePolicySource(raw)
		if err != nil {
			t.Fatalf("ring %d: %v", ring, err)
		}
		again, err := FormatPolicySource(p)
		if err != nil || !bytes.Equal(again, raw) {
			t.Errorf("ring %d came back as %s, %v", ring, again, err)
		}
	}
	raw := string(source(t, 2, nil))
	first := strings.Index(raw, `"hint"`)
	key := raw[first-75 : first-9]
	for name, in := range map[string]string{
		"empty": "", "a list": "[]", "unknown key": strings.Replace(raw, `"ring"`, `"rings"`, 1),
		"another case":   strings.Replace(raw, `"ring"`, `"Ring"`, 1),
		"a key missing":  strings.Replace(raw, `"version": 1,`, "", 1),
		"a key twice":    strings.Replace(raw, `"version": 1,`, `"version": 1, "version": 2,`, 1),
		"another schema": strings.Replace(raw, "mythos.policy/1", "mythos.policy/2", 1),
		"ring 256":       strings.Replace(raw, `"ring": 2`, `"ring": 256`, 1),
		"module kind":    strings.Replace(raw, `"wasm"`, `"wasm2"`, 1),
		"kind twice":     strings.Replace(raw, `"process"`, `"wasm"`, 1),
		"cap kind":       strings.Replace(raw, `"ToolCall"`, `"toolcall"`, 1),
		"claim":          strings.Replace(raw, `"eval"`, `"evaluation"`, 1),
		"no budget":      strings.Replace(raw, `"io_count": 100000,`, "", 1),
		"no verifiers":   string(source(t, 1, func(p *rings.Policy) { p.Claims[0].Verifiers = nil })),
		"no key":         strings.Replace(raw, key, strings.Repeat("g", len(key)), 1),
		"no point":       strings.Replace(raw, key, `"`+strings.Repeat("0", len(key)-1), 1),
		"too long":       raw + strings.Repeat(" ", maxPolicy),
	} {
		if _, err := ParsePolicySource([]byte(in)); !errors.Is(err, ErrPolicySource) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParsePolicySource(source(t, 1, func(p *rings.Policy) { p.Claims[0].Quorum = 3 })); !errors.Is(err, rings.ErrPolicy) {
		t.Errorf("a quorum above the number of verifiers: %v", err)
	}
}

// policyNode is a node that trusts key 5 with policies; the file is that key's.
func policyNode(t *testing.T) (n *Node, keyFile string) {
	t.Helper()
	dir := t.TempDir()
	n = New(Options{
		Paths: config.Paths{Config: dir, Data: dir, Cache: dir}, Version: "0.1.0",
		Clock: func() time.Time { return time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC) },
	})
	keyFile = dir + "/policy.key"
	key, err := GenerateKey(keyFile, sig.Policy, "")
	if err == nil {
		_, _, err = n.AddTrust(t.Context(), gate.TrustEntry{Role: sig.Policy, Keys: []sig.AgentID{key.Agent()}})
	}
	if err != nil {
		t.Fatal(err)
	}
	return n, keyFile
}

func write(t *testing.T, path string, raw []byte) string {
	t.Helper()
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestPoliciesLoad: whatever is wrong with a policy of a ring up to the one asked for
// is found, and what is wrong above it is nobody's matter.
func TestPoliciesLoad(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, n *Node)
		want  fault.Code
		zero  fault.Code // in ring 0
	}{
		"as signed":     {func(*testing.T, *Node) {}, "", ""},
		"no policy":     {func(t *testing.T, n *Node) { _ = os.Remove(n.PolicyPath(2)) }, ErrPolicyOld, ""},
		"no policies":   {func(t *testing.T, n *Node) { _ = os.Remove(n.PolicyPath(0)) }, ErrPolicyOld, ErrPolicyOld},
		"another ring":  {func(t *testing.T, n *Node) { _ = os.Rename(n.PolicyPath(1), n.PolicyPath(2)) }, rings.ErrPolicy, ""},
		"no record":     {func(t *testing.T, n *Node) { _ = os.Remove(n.acceptedPath()) }, "", ""},
		"a bad record":  {func(t *testing.T, n *Node) { write(t, n.acceptedPath(), []byte("{}")) }, ErrPolicyOld, ErrPolicyOld},
		"junk":          {func(t *testing.T, n *Node) { write(t, n.PolicyPath(1), []byte("junk")) }, "can_tag", ""},
		"nobody's word": {func(t *testing.T, n *Node) { _ = os.Remove(n.TrustPath()) }, rings.ErrRing, rings.ErrRing},
	} {
		t.Run(name, func(t *testing.T) {
			n, key := policyNode(t)
			var files []string
			for ring := range uint8(3) {
				files = append(files, write(t, n.Paths.Config+"/"+string('a'+rune(ring))+".json", source(t, ring, nil)))
			}
			if _, err := n.SignPolicies(t.Context(), files, key, ""); err != nil {
				t.Fatal(err)
			}
			c.spoil(t, n)
			for ring, want := range map[uint8]fault.Code{0: c.zero, 2: c.want} {
				list, err := n.Policies(ring)
				if fault.CodeOf(err) != want || err == nil && len(list) != int(ring)+1 {
					t.Errorf("ring %d: %d policies, %v", ring, len(list), err)
				}
			}
		})
	}
}

// TestPolicyVersions: a policy comes into force only after those that were.
func TestPolicyVersions(t *testing.T) {
	n, key := policyNode(t)
	sign := func(version uint64, promotion bool) error {
		file := write(t, n.Paths.Config+"/p.json", source(t, 1, func(p *rings.Policy) { p.Version, p.NeedsPromotion = version, promotion }))
		_, err := n.SignPolicies(t.Context(), []string{file}, key, "")
		return err
	}
	if err := sign(3, true); err != nil {
		t.Fatal(err)
	}
	three, err := os.ReadFile(n.PolicyPath(1))
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []uint64{2, 3} {
		if err := sign(version, false); !errors.Is(err, ErrPolicyOld) {
			t.Errorf("version %d after 3: %v", version, err)
		}
	}
	if now, err := os.ReadFile(n.PolicyPath(1)); err != nil || !bytes.Equal(now, three) {
		t.Errorf("what was refused was written: %v", err)
	}
	if err := sign(4, false); err != nil {
		t.Fatal(err)
	}
	write(t, n.PolicyPath(1), three)
	if _, err := n.Policies(1); !errors.Is(err, ErrPolicyOld) {
		t.Errorf("the older policy came back: %v", err)
	}
	// The dev key's default does not take a signed policy's place either.
	dev, err := n.DevKey()
	if err != nil {
		t.Fatal(err)
	}
	p := rings.Default(0)
	p.Ring, p.Version = 1, 9
	raw, err := rings.Sign(p, dev)
	if err != nil {
		t.Fatal(err)
	}
	write(t, n.PolicyPath(1), raw)
	if _, err := n.Policies(1); !errors.Is(err, rings.ErrRing) {
		t.Errorf("the dev key set ring 1: %v", err)
	}
}

func FuzzPolicySource(f *testing.F) {
	f.Add(source(f, 2, nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := ParsePolicySource(raw)
		if err != nil {
			if fault.CodeOf(err) == "" {
				t.Fatalf("no code: %v", err)
			}
			return
		}
		text, err := FormatPolicySource(p)
		if err == nil {
			_, err = ParsePolicySource(text)
		}
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	})
}
