package executor

import (
	"context"
	"time"

	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/ir"
)

// Gates returns what stands between an effect and its register, for one call of the
// package's first tool: the proofs and powers, the ring policy and the ledger's id.
func Gates(e *Executor, pkg *gate.Package, req Request, payload []byte) (func(context.Context) error, error) {
	r := &run{Executor: e, pkg: pkg, req: req}
	if err := r.prepare(); err != nil {
		return nil, err
	}
	c, err := r.resolve(ir.EffectCall{Tool: pkg.Manifest().Modules[0].ToolID, Payload: payload})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		_, err := r.authorise(ctx, c)
		return err
	}, nil
}

// Hold sets for how long an executor lets a commit wait for the next write.
func Hold(e *Executor, d time.Duration) { e.maxHeld = d }

// Remembered returns how many verified chains an executor remembers.
func Remembered(e *Executor) int { return len(e.chains.held) }
