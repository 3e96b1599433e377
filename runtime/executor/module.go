package executor

import (
	"context"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/runner"
)

// Module describes a binding's module to a runner. digest is the SHA-256 of its
// bytes, load returns them verified.
func Module(b *manifest.ModuleBinding, digest cid.Hash, load func(context.Context) ([]byte, error)) runner.Module {
	l := b.Module.Limits
	return runner.Module{
		Digest: digest, Kind: b.Module.Kind, ABI: b.Module.ABI, Entry: b.Module.Entry,
		Limits: runner.Limits{
			Timeout: micros(l.TimeoutMicros), MemoryBytes: l.MemoryBytes, Fuel: l.Fuel,
			MaxRequest: l.MaxRequestBytes, MaxResponse: l.MaxResponseBytes, MaxStderr: l.MaxStderrBytes,
			MaxIOCalls: l.MaxIOCalls,
		},
		Load: load,
	}
}

// micros is a span of microseconds, at most 146 years.
func micros(us uint64) time.Duration {
	return time.Duration(min(us, uint64(1<<62)/1000)) * time.Microsecond
}
