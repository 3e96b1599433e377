package executor_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mythos-run/mythos/ctvp"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/pack/packtest"
)

// capsVector is a vector of caps.check.
type capsVector struct {
	ID    string `json:"id"`
	Op    string `json:"op"`
	Input struct {
		Proof   string   `json:"proof"`
		Subject string   `json:"subject"`
		Now     string   `json:"now"`
		Trust   []string `json:"trust"`
	} `json:"input"`
	Expect struct {
		Error fault.Code `json:"error"`
	} `json:"expect"`
}

// TestVectorsReachNoModule takes the proof of every refused caps.check vector to an
// executor that is its subject, at its time, under its trust: whatever the vector's
// code, no module runs; and what is refused before any use is looked at has that code.
func TestVectorsReachNoModule(t *testing.T) {
	early := []fault.Code{caps.ErrTooLong, caps.ErrKind, caps.ErrSignature, caps.ErrBroken, caps.ErrDelegable, caps.ErrUntrusted}
	b := newBench(t)
	pkg := b.load(packtest.Spec{IR: echoIR(1)})
	files, err := fs.Glob(ctvp.Files(), "vectors/caps/*.json")
	if err != nil {
		t.Fatal(err)
	}
	brought := 0
	for _, name := range files {
		raw, err := fs.ReadFile(ctvp.Files(), name)
		if err != nil {
			t.Fatal(err)
		}
		var v capsVector
		if err := json.Unmarshal(raw, &v); err != nil || v.Op != "caps.check" || v.Expect.Error == "" || v.Input.Proof == "" {
			continue
		}
		brought++
		got := b.bringVector(pkg, &v, path.Base(name))
		if got == nil || slices.Contains(early, v.Expect.Error) && !errors.Is(got, v.Expect.Error) {
			t.Errorf("%s: %v, want %s", v.ID, got, v.Expect.Error)
		}
	}
	b.wantCalls(0)
	if brought < 100 {
		t.Errorf("only %d vectors were brought", brought)
	}
}

// bringVector runs the package with the vector's proof.
func (b *bench) bringVector(pkg *gate.Package, v *capsVector, run string) error {
	proof, err := hex.DecodeString(v.Input.Proof)
	if err != nil {
		return err
	}
	chain, err := caps.DecodeProof(proof)
	if err != nil {
		return err
	}
	at, err := json.Number(v.Input.Now).Int64()
	if err != nil {
		return err
	}
	b.config.Clock = func() time.Time { return time.UnixMicro(at) }
	b.config.Key = subjectKey(b.t, v.Input.Subject)
	b.config.TrustedExecutor = b.config.Key.Agent().Equal
	b.config.Authority = func(a sig.AgentID, _ *gate.Package) (cid.Hash, bool) {
		raw := hex.EncodeToString(a.AppendCAN(nil))
		return a.KeyID(), slices.Contains(v.Input.Trust, raw)
	}
	_, err = b.run(pkg, run, chain)
	return err
}

// subjectKey returns the pack's key of an agent; for one that has none there, the
// executor's own, to which the proof is as foreign.
func subjectKey(t testing.TB, agent string) sig.Signer {
	t.Helper()
	files, err := fs.Glob(ctvp.Files(), "keys/*.key")
	if err != nil || len(files) == 0 {
		t.Fatalf("no keys: %v", err)
	}
	for _, name := range files {
		raw, err := fs.ReadFile(ctvp.Files(), name)
		if err != nil {
			t.Fatal(err)
		}
		k, _, err := sig.ParseSecret(raw)
		if err != nil {
			t.Fatal(err)
		}
		if a := k.Agent(); strings.Contains(agent, hex.EncodeToString(a.Key[:])) {
			return k
		}
	}
	return executorKey
}
