package wasm

import (
	"bytes"
	"context"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/runnertest"
)

// BenchmarkCall is one call, instantiation included, with its median.
func BenchmarkCall(b *testing.B) {
	request := abi.Request{Payload: can.AppendBytes(nil, bytes.Repeat([]byte("x"), 256))}
	code := hostcallCode()
	for name, m := range map[string]runner.Module{
		"small": bind(code.behaviour(runnertest.Echo).bytes(), runner.ABIHostcall),
		"go":    goModule(goGuest(b, echoTool), runner.ABIHostcall),
	} {
		b.Run(name, func(b *testing.B) {
			r := open(b, Options{})
			c := runner.Call{Module: m, Request: request.AppendCAN(nil)}
			c.RequestHash = cid.Sum(c.Request)
			if err := r.Check(b.Context(), m); err != nil {
				b.Fatal(err)
			}
			var took []time.Duration
			b.ReportAllocs()
			for b.Loop() {
				start := time.Now()
				res, err := r.Run(context.Background(), c)
				if err != nil || res.Outcome != runner.Answered {
					b.Fatal(res.Outcome, res.Detail, err)
				}
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "p50-ns")
		})
	}
}

// BenchmarkCompile is a module's way from its bytes to its first call, without
// and with compiled code on disk.
func BenchmarkCompile(b *testing.B) {
	m := goModule(goGuest(b, echoTool), runner.ABIHostcall)
	dir := filepath.Join(b.TempDir(), "cache")
	for name, o := range map[string]Options{"none": {}, "disk": {CacheDir: dir, CacheKey: cacheKey}} {
		if o.CacheDir != "" {
			if err := open(b, o).Check(b.Context(), m); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				r, err := New(o)
				if err != nil {
					b.Fatal(err)
				}
				if err := r.Check(b.Context(), m); err != nil {
					b.Fatal(err)
				}
				if err := r.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
