package process

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/runner"
)

// The benchmarks measure in pairs: each round runs every way once, one after
// the other, so that what else the machine does falls on all of them. What is
// reported are medians in microseconds and their ratios; ns/op is that of a
// whole round.

// paired collects rounds.
type paired struct {
	names []string
	times map[string][]float64
}

func (p *paired) time(name string, f func()) {
	if p.times == nil {
		p.times = map[string][]float64{}
	}
	if !slices.Contains(p.names, name) {
		p.names = append(p.names, name)
	}
	start := time.Now()
	f()
	p.times[name] = append(p.times[name], float64(time.Since(start))/1e3)
}

func (p *paired) median(name string) float64 {
	t := slices.Clone(p.times[name])
	slices.Sort(t)
	return t[len(t)/2]
}

// report gives medians, and their ratio to the first way's.
func (p *paired) report(b *testing.B) {
	for i, name := range p.names {
		b.ReportMetric(p.median(name), name+"-us")
		if i > 0 {
			b.ReportMetric(p.median(name)/p.median(p.names[0]), name+"/"+p.names[0])
		}
	}
}

// bare is a module's process without a sandbox.
type bare struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out io.ReadCloser
	buf *bufio.Reader
}

func startBare(b testing.TB, argv ...string) *bare {
	b.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
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
	return &bare{cmd, in, out, bufio.NewReaderSize(out, readStep)}
}

// exchange is the least that a caller can do: it writes a frame, and reads one
// into memory that it then owns.
func (p *bare) exchange(b testing.TB, request []byte) {
	if _, err := p.in.Write(abi.AppendFrame(nil, request)); err != nil {
		b.Fatal(err)
	}
	n, err := binary.ReadUvarint(p.buf)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.ReadFull(p.buf, make([]byte, n)); err != nil {
		b.Fatal(err)
	}
}

func (p *bare) end(b testing.TB) {
	if err := p.in.Close(); err != nil {
		b.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, p.buf); err != nil {
		b.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		b.Fatal(err)
	}
}

// guests are the modules of the benchmarks, and how to run them bare.
func guests(b testing.TB, kind, how string) (uint8, runner.Module, []string) {
	b.Helper()
	if kind == "native" {
		path, err := shared.guest()
		if err != nil {
			b.Fatal(err)
		}
		return runner.KindNative, native(b, how), []string{path, how}
	}
	name := map[string]string{"python3": "guest.py", "node": "guest.js"}[kind]
	return runner.KindProcess, guest(b, kind, name, how), []string{interpreter(b, kind).Path, "testdata/" + name, how}
}

// BenchmarkCold: from nothing to the end of one call, bare, in a sandbox, and in
// a parked one.
func BenchmarkCold(b *testing.B) {
	for _, kind := range []string{"native", "python3", "node"} {
		b.Run(kind, func(b *testing.B) {
			k, m, argv := guests(b, kind, "echo")
			request := bytes.Repeat([]byte("q"), 256)
			cold := start(b, k, nil)
			parked := start(b, k, func(o *Options) { o.Parked = 1 })
			c := call(m, string(request))
			answer(b, cold, c)
			answer(b, parked, c)
			var p paired
			for b.Loop() {
				p.time("bare", func() {
					x := startBare(b, argv...)
					x.exchange(b, request)
					x.end(b)
				})
				p.time("sandbox", func() { answer(b, cold, c) })
				cold.reaping.Wait()
				parked.lot.work.Wait()
				p.time("parked", func() { answer(b, parked, c) })
				parked.reaping.Wait()
			}
			p.report(b)
		})
	}
}

// BenchmarkWarm: one round trip with a process that runs: bare; bare, over this
// package's pipes (ours); in a sandbox, over the same (pipe); and a whole call
// with a worker of the pool, whose time beyond pipe is pool-us.
func BenchmarkWarm(b *testing.B) {
	for _, kind := range []string{"native", "python3", "node"} {
		for size, text := range map[int]string{256: "256B", 64 << 10: "64KiB"} {
			b.Run(kind+"/"+text, func(b *testing.B) { warm(b, kind, size) })
		}
	}
}

func warm(b *testing.B, kind string, size int) {
	how := "worker"
	if kind == "python3" {
		how = "mirror"
	}
	k, m, argv := guests(b, kind, how)
	m.Reuse = true
	m.Limits.MaxRequest, m.Limits.MaxResponse = 1<<20, 1<<20
	payload := abi.RequestLen(nil)
	body := (&abi.Response{Status: 200, Payload: append([]byte{5}, make([]byte, size-payload)...)}).AppendCAN(nil)
	x := startBare(b, argv...)
	defer x.end(b)
	y := startBare(b, argv...)
	defer y.end(b)
	same := &worker{pipes: newPipes(y.in.(*os.File), y.out.(*os.File), os.Stdin)}
	r := start(b, k, nil)
	c := call(m, string(body))
	j := &job{r: r, call: &c}
	if err := j.prepare(b.Context()); err != nil {
		b.Fatal(err)
	}
	w, err := j.launch(b.Context())
	j.release()
	if err != nil {
		b.Fatal(err)
	}
	defer r.reap(w)
	var p paired
	const each = 20 // round trips of one way at a time
	round := func(name string, f func()) {
		f() // the processor changes over from the other process
		p.time(name, func() {
			for range each {
				f()
			}
		})
		t := p.times[name]
		t[len(t)-1] /= each
	}
	for b.Loop() {
		round("bare", func() { x.exchange(b, body) })
		round("ours", func() { same.exchange(b, body) })
		round("pipe", func() { w.exchange(b, body) })
		round("call", func() {
			if res, err := r.Run(b.Context(), c); err != nil || res.Outcome != runner.Answered {
				b.Fatal(res.Outcome, res.Detail, err)
			}
		})
	}
	p.report(b)
	b.ReportMetric(p.median("pipe")/p.median("ours"), "pipe/ours")
	b.ReportMetric(p.median("call")-p.median("pipe"), "pool-us")
}

// exchange is what serve does on the pipes.
func (w *worker) exchange(b testing.TB, request []byte) {
	frame := runner.NewFrame(1 << 20)
	<-w.send(request, false)
	if err := w.receive(frame, func() bool { return frame.Complete() || frame.Failed() }); err != nil || !frame.Complete() {
		b.Fatal(err, frame.Complete())
	}
}

// BenchmarkKill: from the kill of a module with 64 processes to nothing left of
// it: no process, no cgroup, no descriptor.
func BenchmarkKill(b *testing.B) {
	_, m, _ := guests(b, "python3", "many")
	r := start(b, runner.KindProcess, func(o *Options) { o.MaxPids = 128 })
	c := call(m, "q")
	var p paired
	for b.Loop() {
		j := &job{r: r, call: &c}
		if err := j.prepare(context.Background()); err != nil {
			b.Fatal(err)
		}
		w, err := j.launch(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		w.exchange(b, []byte("q"))
		p.time("kill64", func() {
			if err := w.proc.Close(); err != nil {
				b.Fatal(err)
			}
		})
		w.release()
		j.release()
	}
	p.report(b)
}
