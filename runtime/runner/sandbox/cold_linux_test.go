package sandbox

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// coldProgram is something that answers one byte as soon as it runs.
type coldProgram struct {
	name string
	spec Spec
	bare []string
}

// hello returns machine code that writes one byte and exits.
func hello() []byte {
	return []byte{
		0x6a, 'x', 0xb8, 1, 0, 0, 0, 0xbf, 1, 0, 0, 0, 0x48, 0x89, 0xe6, 0xba, 1, 0, 0, 0, 0x0f, 0x05,
		0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05,
	}
}

func coldPrograms(b *testing.B) []coldProgram {
	b.Helper()
	native := filepath.Join(b.TempDir(), "hello")
	if err := os.WriteFile(native, elfImage("amd64", hello()), 0o755); err != nil {
		b.Fatal(err)
	}
	out := []coldProgram{{"native", Spec{Argv: []string{"/module/hello"}, Mounts: []Mount{{Source: native, Target: "/module/hello"}}}, []string{native}}}
	for _, argv := range [][]string{
		{"/usr/bin/python3", "-I", "-S", "-B", "-c", "import sys; sys.stdout.write('x')"},
		{"/usr/bin/node", "-e", "require('fs').writeSync(1, 'x')"},
	} {
		if !exists(argv[0]) {
			b.Logf("SKIPPED: no %s", argv[0])
			continue
		}
		out = append(out, coldProgram{filepath.Base(argv[0]), interpreterSpec(argv), argv})
	}
	return out
}

// BenchmarkCold compares start to first byte: without a sandbox, in a new one,
// and in a parked one, one after the other in each round. Medians are printed.
func BenchmarkCold(b *testing.B) {
	if canaryImage() == nil || elfImage("amd64", nil) == nil {
		b.Skip("no machine code for this architecture")
	}
	h := sandboxHost(b)
	for _, c := range coldPrograms(b) {
		b.Run(c.name, func(b *testing.B) {
			took := map[string][]time.Duration{}
			for b.Loop() {
				took["bare"] = append(took["bare"], bareCold(b, c.bare))
				took["full"] = append(took["full"], fullCold(b, h, c.spec))
				took["parked"] = append(took["parked"], parkedCold(b, h, c.spec))
			}
			bare := median(took["bare"])
			for _, k := range []string{"bare", "full", "parked"} {
				m := median(took[k])
				b.ReportMetric(float64(m)/1e6, k+"-ms")
				fmt.Printf("  %-8s %-6s level %d: median %7.2f ms, %+6.2f ms, %.2fx, n=%d\n",
					c.name, k, h.Level(), float64(m)/1e6, float64(m-bare)/1e6, float64(m)/float64(bare), len(took[k]))
			}
		})
	}
}

func median(d []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(d))
	return s[len(s)/2]
}

func bareCold(b *testing.B, argv []string) time.Duration {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = []string{"HOME=/tmp"}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
		b.Fatal(err)
	}
	took := time.Since(begin)
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
	return took
}

func fullCold(b *testing.B, h *Host, s Spec) time.Duration {
	begin := time.Now()
	p, err := h.Start(b.Context(), s)
	if err != nil {
		b.Fatal(err)
	}
	return firstByte(b, p, begin)
}

func parkedCold(b *testing.B, h *Host, s Spec) time.Duration {
	parked, err := h.Park(b.Context(), s.Limits)
	if err != nil {
		b.Fatal(err)
	}
	begin := time.Now()
	p, err := parked.Start(b.Context(), s)
	if err != nil {
		b.Fatal(err)
	}
	return firstByte(b, p, begin)
}

func firstByte(b *testing.B, p *Process, begin time.Time) time.Duration {
	if _, err := io.ReadFull(p.Stdout, make([]byte, 1)); err != nil {
		b.Fatal(err, p.Wait())
	}
	took := time.Since(begin)
	if err := p.Close(); err != nil {
		b.Fatal(err)
	}
	return took
}

// BenchmarkKill kills 64 processes.
func BenchmarkKill(b *testing.B) {
	h := sandboxHost(b)
	var took []time.Duration
	for b.Loop() {
		s := attackSpec(b, "tree", "63")
		s.Limits.Pids = 128
		p, err := h.Start(b.Context(), s)
		if err != nil {
			b.Fatal(err)
		}
		line(b, p.Stdout)
		begin := time.Now()
		p.Kill()
		p.Wait()
		if _, err := io.Copy(io.Discard, p.Stdout); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begin))
		if err := p.Close(); err != nil {
			b.Fatal(err)
		}
	}
	fmt.Printf("  kill to empty, 64 processes, level %d: median %.2f ms, worst %.2f ms, n=%d\n", h.Level(),
		float64(median(took))/1e6, float64(slices.Max(took))/1e6, len(took))
}

// BenchmarkJoin shows what joining version 1 cgroups costs by thread, as it is
// done here, and by process number, as it is not.
func BenchmarkJoin(b *testing.B) {
	h := sandboxHost(b)
	if h.groups == nil || h.groups.pure || h.Level() != LevelFull {
		b.Skip("no version 1 controllers")
	}
	l := mustLimits()
	var thread, process []time.Duration
	for b.Loop() {
		g, err := h.groups.create(l)
		if err != nil {
			b.Fatal(err)
		}
		done := make(chan error)
		<-time.After(60 * time.Millisecond)
		begin := time.Now()
		h.spawns <- func() {
			err := g.enter()
			if err == nil {
				err = g.leave()
			}
			done <- err
		}
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		thread = append(thread, time.Since(begin))
		cmd := exec.Command(attackerBinary(b), "attack", "pause")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		<-time.After(60 * time.Millisecond) // one join right after another pays nothing
		begin = time.Now()
		for _, base := range []string{h.groups.memory, h.groups.pids} {
			if err := writeFile(filepath.Join(base, g.name, "cgroup.procs"), strconv.Itoa(cmd.Process.Pid)); err != nil {
				b.Fatal(err)
			}
		}
		process = append(process, time.Since(begin))
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if err := g.remove(); err != nil {
			b.Fatal(err)
		}
	}
	fmt.Printf("  joining two version 1 cgroups: by the spawner's thread %v, by process number %v (medians, n=%d)\n", median(thread), median(process), len(thread))
}
