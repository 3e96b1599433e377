package executor

import (
	"context"
	"time"

	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/runner"
)

// Module describes a binding's module to a runner; m is its content, pkg the
// package's id.
func Module(b *manifest.ModuleBinding, m gate.ModuleContent, pkg cid.Hash) runner.Module {
	l := b.Module.Limits
	out := runner.Module{
		Digest: m.SHA256, Kind: b.Module.Kind, ABI: b.Module.ABI, Entry: b.Module.Entry,
		Limits: runner.Limits{
			Timeout: micros(l.TimeoutMicros), MemoryBytes: l.MemoryBytes, Fuel: l.Fuel,
			MaxRequest: l.MaxRequestBytes, MaxResponse: l.MaxResponseBytes, MaxStderr: l.MaxStderrBytes,
			MaxIOCalls: l.MaxIOCalls,
		},
		Package: pkg, Reuse: b.Module.Reuse,
		Load: m.Load, Open: m.Open,
	}
	for _, c := range b.Module.CapsRequired {
		out.Caps = append(out.Caps, c.Kind)
	}
	if rt := b.Module.Runtime; rt != nil {
		out.Runtime = runner.Runtime{Name: rt.Name, Version: rt.Version}
	}
	return out
}

// Probe returns a module of class reconcile with its probe as the entry.
func Probe(b *manifest.ModuleBinding, m runner.Module) runner.Module {
	m.Entry = b.Module.Probe
	return m
}

// CheckModule gives a module to a runner's check, and again with its probe, if it has
// one.
func CheckModule(ctx context.Context, check func(context.Context, runner.Module) error, b *manifest.ModuleBinding, m runner.Module) error {
	err := check(ctx, m)
	if err == nil && len(b.Module.Probe) > 0 {
		err = check(ctx, Probe(b, m))
	}
	return err
}

// micros is a span of microseconds, at most 146 years.
func micros(us uint64) time.Duration {
	return time.Duration(min(us, uint64(1<<62)/1000)) * time.Microsecond
}
