package process

import (
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/runner"
)

// reuse returns a module whose worker counts its calls.
func reuse(t testing.TB) runner.Module {
	m := python(t, "serve")
	m.Reuse = true
	return m
}

// counted runs a call and returns the text that the worker answers: how many
// calls it has had.
func counted(t testing.TB, r *Runner, c runner.Call) string {
	t.Helper()
	x, err := abi.DecodeResponse([]byte(answer(t, r, c)))
	if err != nil || x.Status != abi.StatusOK || len(x.Payload) < 2 {
		t.Fatalf("status %d, payload % x, %v", x.Status, x.Payload, err)
	}
	return string(x.Payload[2:])
}

func TestWorkerServesMany(t *testing.T) {
	r := start(t, runner.KindProcess, nil)
	m := reuse(t)
	for _, want := range []string{"1", "2", "3"} {
		if got := counted(t, r, call(m, "q")); got != want {
			t.Errorf("call %s of the worker, want %s", got, want)
		}
	}
	m.Reuse = false
	if got := counted(t, r, call(m, "q")); got != "1" {
		t.Errorf("without reuse: call %s of the process", got)
	}
}

// TestWorkerReplaced: after anything that is not plainly good comes another
// process.
func TestWorkerReplaced(t *testing.T) {
	for request, outcome := range map[string]runner.Outcome{
		"bad":    runner.Answered, // status 500
		"raw":    runner.Answered, // no ToolResponse
		"flood":  runner.Answered, // the log is cut
		"last":   runner.Answered, // the worker ends
		"babble": runner.NoResponse,
		"die":    runner.Exited,
		"hang":   runner.TimedOut,
	} {
		t.Run(request, func(t *testing.T) {
			r := start(t, runner.KindProcess, nil)
			m := reuse(t)
			if got := counted(t, r, call(m, "q")); got != "1" {
				t.Fatalf("call %s of a new worker", got)
			}
			c := call(m, request)
			if request == "hang" {
				c.Module.Limits.Timeout = 200 * time.Millisecond
			}
			if res := run(t, r, c); res.Outcome != outcome {
				t.Errorf("%v (%s), want %v", res.Outcome, res.Detail, outcome)
			}
			if request == "last" { // it ends in its own time
				r.pool.mu.Lock()
				for _, d := range r.pool.idle {
					d.worker.proc.Wait()
				}
				r.pool.mu.Unlock()
			}
			if got := counted(t, r, call(m, "q")); got != "1" {
				t.Errorf("call %s: the same worker served on", got)
			}
		})
	}
}

// TestWorkerSpeaksUnasked: what an idle worker writes is nobody's answer.
func TestWorkerSpeaksUnasked(t *testing.T) {
	r := start(t, runner.KindProcess, nil)
	m := reuse(t)
	if got := counted(t, r, call(m, "late")); got != "1" {
		t.Fatal(got)
	}
	r.pool.mu.Lock()
	w := r.pool.idle[0].worker
	r.pool.mu.Unlock()
	// Wait until the byte is there, without taking it.
	if err := w.out.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	raw, err := w.out.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Read(func(uintptr) bool { return unread(w.out) > 0 }); err != nil {
		t.Fatal(err)
	}
	if got := counted(t, r, call(m, "q")); got != "1" {
		t.Errorf("call %s: a worker that spoke unasked served on", got)
	}
}

// TestWorkerIsNotShared: a worker is for one share, package, entry and
// interpreter.
func TestWorkerIsNotShared(t *testing.T) {
	r := start(t, runner.KindProcess, nil)
	base := call(reuse(t), "q")
	if got := counted(t, r, base); got != "1" {
		t.Fatal(got)
	}
	for name, change := range map[string]func(*runner.Call){
		"share":   func(c *runner.Call) { c.Share = cid.Sum([]byte("another holder")) },
		"package": func(c *runner.Call) { c.Module.Package = cid.Sum([]byte("another package")) },
		"entry":   func(c *runner.Call) { c.Module.Entry = append(c.Module.Entry, "probe") },
		"memory":  func(c *runner.Call) { c.Module.Limits.MemoryBytes -= 1 << 20 },
		"secret": func(c *runner.Call) {
			c.Grants.Secrets = []runner.Secret{{Name: "a", Value: func() ([]byte, error) { return []byte("1"), nil }}}
		},
		"secret's value": func(c *runner.Call) {
			c.Grants.Secrets = []runner.Secret{{Name: "a", Value: func() ([]byte, error) { return []byte("2"), nil }}}
		},
		"read grant": func(c *runner.Call) { c.Grants.Read = []string{t.TempDir()} },
	} {
		t.Run(name, func(t *testing.T) {
			c := base
			change(&c)
			if got := counted(t, r, c); got != "1" {
				t.Errorf("call %s: shares the worker of another call", got)
			}
		})
	}
	if got := counted(t, r, base); got != "2" {
		t.Errorf("call %s: the first worker is lost", got)
	}
}

// TestWorkerOneAtATime: calls that come together get a worker each.
func TestWorkerOneAtATime(t *testing.T) {
	r := start(t, runner.KindProcess, func(o *Options) { o.MaxWorkers = 3 })
	m := reuse(t)
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			if res, err := r.Run(t.Context(), call(m, "q")); err != nil || res.Outcome != runner.Answered {
				t.Errorf("%v, %v", res.Outcome, err)
			}
		})
	}
	all.Wait()
	r.pool.mu.Lock()
	defer r.pool.mu.Unlock()
	if n := len(r.pool.idle); n == 0 || n > 3 {
		t.Errorf("%d workers wait", n)
	}
}

// TestWorkerAge: a worker ends with its calls and its time.
func TestWorkerAge(t *testing.T) {
	var clock struct {
		sync.Mutex
		now time.Time
	}
	clock.now = time.Now()
	r := start(t, runner.KindProcess, func(o *Options) {
		o.Now = func() time.Time { clock.Lock(); defer clock.Unlock(); return clock.now }
	})
	m := reuse(t)
	if got := counted(t, r, call(m, "q")); got != "1" {
		t.Fatal(got)
	}
	r.pool.mu.Lock()
	r.pool.idle[0].worker.served = maxServed - 1
	r.pool.mu.Unlock()
	if got := counted(t, r, call(m, "q")); got != "2" {
		t.Errorf("call %s: the worker went before its last call", got)
	}
	if got := counted(t, r, call(m, "q")); got != "1" {
		t.Errorf("call %s after %d calls", got, maxServed)
	}
	clock.Lock()
	clock.now = clock.now.Add(maxAge)
	clock.Unlock()
	if got := counted(t, r, call(m, "q")); got != "1" {
		t.Errorf("call %s after %v", got, maxAge)
	}
}

func TestIdleWorkersAreBounded(t *testing.T) {
	r := start(t, runner.KindProcess, func(o *Options) { o.MaxIdle = 2 })
	m := reuse(t)
	for i := range 4 {
		c := call(m, "q")
		c.Share = cid.Sum([]byte{byte(i)})
		counted(t, r, c)
	}
	r.pool.mu.Lock()
	defer r.pool.mu.Unlock()
	if len(r.pool.idle) != 2 {
		t.Errorf("%d workers wait, at most 2", len(r.pool.idle))
	}
}

// TestIdleWorkerEnds: nobody waits for a call for ever.
func TestIdleWorkerEnds(t *testing.T) {
	r := start(t, runner.KindProcess, func(o *Options) { o.IdleTime = time.Millisecond })
	counted(t, r, call(reuse(t), "q"))
	deadline := time.Now().Add(10 * time.Second)
	for n := 1; n > 0 && time.Now().Before(deadline); {
		r.pool.mu.Lock()
		n = len(r.pool.idle)
		r.pool.mu.Unlock()
	}
	r.pool.mu.Lock()
	defer r.pool.mu.Unlock()
	if len(r.pool.idle) != 0 {
		t.Error("an idle worker stays")
	}
}

// TestWorkerLogs: each call of a worker has its own log.
func TestWorkerLogs(t *testing.T) {
	r := start(t, runner.KindProcess, nil)
	m := reuse(t)
	for _, want := range []string{"STDERR call 1\n", "STDERR call 2\n", "STDERR call 3\n"} {
		if res := run(t, r, call(m, "noisy")); string(res.Log) != want || res.LogTruncated {
			t.Errorf("log %q, want %q", res.Log, want)
		}
	}
}

// TestParked: a call in a parked sandbox is like any other.
func TestParked(t *testing.T) {
	r := start(t, runner.KindProcess, func(o *Options) { o.Parked = 2 })
	m := python(t, "echo")
	for i := range 6 {
		text := strings.Repeat("p", i+1)
		if got := answer(t, r, call(m, text)); got != text {
			t.Errorf("got %q", got)
		}
		r.lot.work.Wait() // so that the next call finds one
		r.lot.mu.Lock()
		n := len(r.lot.parked)
		r.lot.mu.Unlock()
		if n == 0 || n > 2 {
			t.Errorf("%d sandboxes are parked", n)
		}
	}
	m.Limits.MemoryBytes += 1 << 20
	for range 3 {
		answer(t, r, call(m, "other limits"))
		r.lot.work.Wait()
	}
	r.lot.mu.Lock()
	defer r.lot.mu.Unlock()
	if n := len(r.lot.parked); n != 2 {
		t.Errorf("%d sandboxes are parked, want 2", n)
	}
}

// TestGoneParked: a parked sandbox that has died costs a call nothing but time.
func TestGoneParked(t *testing.T) {
	r := start(t, runner.KindProcess, func(o *Options) { o.Parked = 1 })
	m := python(t, "echo")
	answer(t, r, call(m, "q"))
	r.lot.work.Wait()
	r.lot.mu.Lock()
	if len(r.lot.parked) != 1 {
		t.Fatal("nothing is parked")
	}
	err := r.lot.parked[0].box.Close()
	r.lot.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if got := answer(t, r, call(m, "again")); got != "again" {
		t.Errorf("got %q", got)
	}
}

// TestCloseEndsWorkers: an idle worker does not outlive its runner.
func TestCloseEndsWorkers(t *testing.T) {
	r := start(t, runner.KindNative, func(o *Options) { o.Parked = 1 })
	m := native(t, "worker")
	m.Reuse = true
	body := (&abi.Response{Status: 200, Payload: []byte{0}}).AppendCAN(nil)
	for range 2 {
		if got := answer(t, r, call(m, string(body))); got != string(body) {
			t.Fatalf("got %q", got)
		}
	}
	r.pool.mu.Lock()
	if len(r.pool.idle) != 1 || r.pool.idle[0].worker.served != 2 {
		t.Error("no worker waits")
	}
	r.pool.mu.Unlock()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range children(t) {
		t.Errorf("process %s is still there", pid)
	}
}

// children returns the processes that this one has started and not reaped.
func children(t *testing.T) []string {
	t.Helper()
	list, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		b, err := os.ReadFile("/proc/self/task/" + e.Name() + "/children")
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		out = append(out, strings.Fields(string(b))...)
	}
	return out
}
