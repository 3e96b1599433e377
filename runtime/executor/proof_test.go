package executor_test

import (
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/executor"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/pack/packtest"
)

// TestPowerEndsInsideARun: what a capability's power depends on is looked at for
// every effect, however good the chain was when the run started and at the
// effects before.
func TestPowerEndsInsideARun(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(b *bench)
		code fault.Code
	}{
		"expired":           {func(b *bench) { b.clock.advance(2 * time.Minute) }, caps.ErrExpired},
		"set back":          {func(b *bench) { b.clock.advance(-2 * time.Hour) }, caps.ErrNotYetValid},
		"authority removed": {func(b *bench) { b.authorityGone = true }, caps.ErrUntrusted},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.config.Authority = func(a sig.AgentID, _ *gate.Package) (cid.Hash, bool) {
				return a.KeyID(), !b.authorityGone && a.Equal(authorityKey.Agent())
			}
			pkg := b.load(packtest.Spec{IR: echoIR(3)})
			proof := b.grant(pkg, func(c *caps.Capability, _ *caps.ToolCall) {
				c.ExpiresAt = b.clock.now().Add(time.Minute).UnixMicro()
			})
			seen := 0
			b.config.Step = func(step string) {
				if step != "authorise" {
					return
				}
				if seen++; seen == 3 {
					c.end(b)
				}
			}
			e, err := executor.New(b.config)
			if err != nil {
				t.Fatal(err)
			}
			_, err = e.Run(t.Context(), pkg, executor.Request{RunID: "r", Proofs: []*caps.Chain{proof}})
			wantCode(t, err, c.code)
			b.wantCalls(2)
			b.wantLog("run_record register commit register commit refusal")
		})
	}
}

// TestAnotherAttemptComesFirst: two attempts at one run, of which the first has
// appended its record and so sees no need to look its first effect up.
func TestAnotherAttemptComesFirst(t *testing.T) {
	for _, step := range []string{"authorise", "consult", "register"} {
		t.Run(step, func(t *testing.T) {
			b := newBench(t)
			pkg := b.load(packtest.Spec{IR: echoIR(2), Modules: []packtest.Module{{Retry: "never"}}})
			var theirs *executor.Result
			e, err := executor.New(b.meanwhile(step, func() { theirs = b.mustRun(pkg, "r") }))
			if err != nil {
				t.Fatal(err)
			}
			ours, err := e.Run(t.Context(), pkg, executor.Request{RunID: "r", Proofs: []*caps.Chain{b.grant(pkg, nil)}})
			if err != nil {
				t.Fatal(err)
			}
			if ours.Seal != theirs.Seal || !ours.Effects[0].Replayed || !ours.Effects[1].Replayed {
				t.Errorf("the outcome that stands was not taken: %+v", ours.Effects)
			}
			b.wantCalls(2)
			b.wantLog("run_record register commit register commit run_seal")
		})
	}
}
