package image

import (
	"bufio"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/runner"
)

// BenchmarkCold measures one call of a fresh module, from its start to its end,
// by each runtime that is here and as a bare process. Each round runs every way
// once, one after the other, so that what else the machine does falls on all of
// them. What is reported are medians in microseconds, and what a runtime adds to
// the bare process.
func BenchmarkCold(b *testing.B) {
	host(b)
	found, err := shared.runtimes()
	if err != nil {
		b.Fatal(err)
	}
	code, err := shared.program("guest")
	if err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(b.TempDir(), "guest")
	if err := os.WriteFile(path, code, 0o755); err != nil {
		b.Fatal(err)
	}
	ways := map[string]func(){"bare": func() { bare(b, path) }}
	names := []string{"bare"}
	m := withProgram(b, "guest").module("bin/guest", "echo")
	for _, on := range found {
		if on.Level == 0 {
			continue
		}
		r := open(b, options(b, on.Path, nil))
		c := call(m, "q")
		names = append(names, on.Name)
		ways[on.Name] = func() {
			if res, err := r.Run(b.Context(), c); err != nil || res.Outcome != runner.Answered {
				b.Fatalf("%s: %v (%s), %v", on.Name, res.Outcome, res.Detail, err)
			}
		}
		ways[on.Name]() // unpacks, and looks for the runtime
	}
	times := map[string][]float64{}
	for b.Loop() {
		for _, name := range names {
			start := time.Now()
			ways[name]()
			times[name] = append(times[name], float64(time.Since(start))/1e3)
		}
	}
	median := func(name string) float64 {
		slices.Sort(times[name])
		return times[name][len(times[name])/2]
	}
	for _, name := range names {
		b.ReportMetric(median(name), name+"-us")
		if name != "bare" {
			b.ReportMetric(median(name)-median("bare"), name+"-bare-us")
		}
	}
}

// bare runs the module as a plain process.
func bare(b *testing.B, path string) {
	cmd := exec.Command(path, "echo")
	cmd.Env = environment()
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	if _, err := in.Write(abi.AppendFrame(nil, []byte("q"))); err != nil {
		b.Fatal(err)
	}
	if err := in.Close(); err != nil {
		b.Fatal(err)
	}
	buf := bufio.NewReader(out)
	n, err := binary.ReadUvarint(buf)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, buf, int64(n)); err != nil {
		b.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
}
