// Package runnertest is the acceptance suite of runner.Runner: what every
// runner must do with good and bad modules, whatever their kind
// (RFC-MYTHOS-0006 §10). The runner's own tests bring the modules.
package runnertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/runner"
)

// Behaviour names what a module of the suite does.
type Behaviour string

// The behaviours. Each module reads its request first.
const (
	Echo    Behaviour = "echo"    // answers its request
	Log     Behaviour = "log"     // logs LogText at level info, then answers its request
	Chatty  Behaviour = "chatty"  // logs LogText 100 times, then answers its request
	Garbage Behaviour = "garbage" // answers GarbageText, which is no canonical value
	Nothing Behaviour = "nothing" // ends cleanly without a response
	TooMuch Behaviour = "toomuch" // answers MaxResponse+1 bytes
	Trap    Behaviour = "trap"    // crashes
	Loop    Behaviour = "loop"    // never ends
	Grow    Behaviour = "grow"    // asks for much more memory than it may have and crashes when refused
	Exit    Behaviour = "exit"    // exits with status 3
	Random  Behaviour = "random"  // answers 64 bytes of its random source
	Count   Behaviour = "count"   // answers a counter that it keeps in all its state, as one byte from 1
)

// What the modules write and the limits they run under.
const (
	LogText     = "line one\n\x1b[31mred\x07"
	GarbageText = "\xff\xfegarbage"
	MaxRequest  = 16 << 10
	MaxResponse = 16 << 10
	MemoryBytes = 1 << 20
)

// Fixture is a runner under test and its modules.
type Fixture struct {
	// New returns a runner; the suite closes it.
	New func(testing.TB) runner.Runner
	// Module returns the module that behaves so, with Digest, Kind, ABI, Entry
	// and Load set; the suite sets the limits.
	Module func(testing.TB, Behaviour) runner.Module
	// Deterministic: random bytes are a function of the request hash.
	Deterministic bool
	// MemoryBytes is the memory limit of the modules, for those that cannot start
	// with little. 0: the constant of that name.
	MemoryBytes uint64
	// Short is a timeout within which every module begins to run. 0: 50 ms.
	Short time.Duration
	// OwnMemory: a module that grows too much is not stopped; its allocation
	// fails, and what it then does is its own end.
	OwnMemory bool
}

// Limits returns the suite's limits.
func Limits() runner.Limits {
	return runner.Limits{
		Timeout: 30 * time.Second, MemoryBytes: MemoryBytes,
		MaxRequest: MaxRequest, MaxResponse: MaxResponse, MaxStderr: 1 << 10,
	}
}

// Run runs the suite.
func Run(t *testing.T, f Fixture) {
	s := suite{f}
	t.Run("answers", s.answers)
	t.Run("ends badly", s.endsBadly)
	t.Run("log", s.log)
	t.Run("log is bounded", s.logBound)
	t.Run("isolation", s.isolation)
	t.Run("determinism", s.determinism)
	t.Run("refusals", s.refusals)
	t.Run("contexts", s.contexts)
	t.Run("concurrency", s.concurrency)
	t.Run("close", s.close)
}

type suite struct{ Fixture }

// short returns the timeout of modules that are to exceed it.
func (s suite) short() time.Duration {
	if s.Short != 0 {
		return s.Short
	}
	return 50 * time.Millisecond
}

func (s suite) open(t *testing.T) runner.Runner {
	t.Helper()
	r := s.New(t)
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return r
}

// call returns a call of a module under the suite's limits.
func (s suite) call(t testing.TB, b Behaviour, request []byte) runner.Call {
	m := s.Module(t, b)
	m.Limits = Limits()
	if s.MemoryBytes != 0 {
		m.Limits.MemoryBytes = s.MemoryBytes
	}
	return runner.Call{Module: m, Request: request, RequestHash: cid.Sum(request)}
}

func run(t *testing.T, r runner.Runner, c runner.Call) runner.Result {
	t.Helper()
	if err := r.Check(t.Context(), c.Module); err != nil {
		t.Fatalf("Check: %v", err)
	}
	res, err := r.Run(t.Context(), c)
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
	if (res.Outcome == runner.Answered) != (res.Response != nil) {
		t.Errorf("outcome %v with a response of %d bytes", res.Outcome, len(res.Response))
	}
	if res.Engine == "" || res.Wall < 0 {
		t.Errorf("engine %q, wall %v", res.Engine, res.Wall)
	}
	if res.Outcome != runner.Answered && res.Detail == "" {
		t.Errorf("outcome %v without a detail", res.Outcome)
	}
	return res
}

func want(t *testing.T, res runner.Result, outcome runner.Outcome, response string) {
	t.Helper()
	if res.Outcome != outcome || string(res.Response) != response {
		t.Errorf("got %v %.80q (%s), want %v %.80q", res.Outcome, res.Response, res.Detail, outcome, response)
	}
}

func (s suite) answers(t *testing.T) {
	r := s.open(t)
	if r.Kind() != s.Module(t, Echo).Kind {
		t.Errorf("Kind() = %d", r.Kind())
	}
	for _, n := range []int{1, 127, 128, 5000, MaxRequest} {
		request := bytes.Repeat([]byte("q"), n)
		res := run(t, r, s.call(t, Echo, request))
		want(t, res, runner.Answered, string(request))
	}
	want(t, run(t, r, s.call(t, Garbage, []byte("q"))), runner.Answered, GarbageText)
}

func (s suite) endsBadly(t *testing.T) {
	r := s.open(t)
	for b, outcome := range map[Behaviour]runner.Outcome{
		Nothing: runner.NoResponse,
		TooMuch: runner.ResponseTooLarge,
		Trap:    runner.Trapped,
		Exit:    runner.Exited,
		Grow:    runner.MemoryExceeded,
	} {
		t.Run(string(b), func(t *testing.T) {
			res := run(t, r, s.call(t, b, []byte("q")))
			if s.OwnMemory && b == Grow && (res.Outcome == runner.Trapped || res.Outcome == runner.Exited) {
				return
			}
			want(t, res, outcome, "")
		})
	}
	t.Run(string(Loop), func(t *testing.T) {
		c := s.call(t, Loop, []byte("q"))
		c.Module.Limits.Timeout = s.short()
		start := time.Now()
		want(t, run(t, r, c), runner.TimedOut, "")
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("stopped after %v", d)
		}
	})
	t.Run("still serves", func(t *testing.T) {
		want(t, run(t, r, s.call(t, Echo, []byte("q"))), runner.Answered, "q")
	})
}

func (s suite) log(t *testing.T) {
	res := run(t, s.open(t), s.call(t, Log, []byte("q")))
	want(t, res, runner.Answered, "q")
	text := string(res.Log)
	for _, part := range []string{"line one\n", `\x1b[31mred\a` + "\n"} {
		if !strings.Contains(text, part) {
			t.Errorf("log %q lacks %q", text, part)
		}
	}
	if lines := strings.Count(text, "\n"); lines != 2 || strings.ContainsAny(text, "\x1b\x07") || res.LogTruncated {
		t.Errorf("log %q, %d lines, truncated %v", text, lines, res.LogTruncated)
	}
}

func (s suite) logBound(t *testing.T) {
	r := s.open(t)
	for _, limit := range []uint64{0, 1, 5, 20, 100} {
		c := s.call(t, Chatty, []byte("q"))
		c.Module.Limits.MaxStderr = limit
		res := run(t, r, c)
		want(t, res, runner.Answered, "q")
		if uint64(len(res.Log)) > limit || !res.LogTruncated {
			t.Errorf("limit %d: log %q, truncated %v", limit, res.Log, res.LogTruncated)
		}
	}
}

func (s suite) isolation(t *testing.T) {
	r := s.open(t)
	for range 3 {
		want(t, run(t, r, s.call(t, Count, []byte("q"))), runner.Answered, "\x01")
	}
}

func (s suite) determinism(t *testing.T) {
	r := s.open(t)
	first := run(t, r, s.call(t, Random, []byte("one")))
	if len(first.Response) != 64 || bytes.Count(first.Response, first.Response[:1]) > 32 {
		t.Fatalf("random bytes % x", first.Response)
	}
	if !s.Deterministic {
		return
	}
	again := run(t, r, s.call(t, Random, []byte("one")))
	other := run(t, s.open(t), s.call(t, Random, []byte("one")))
	want(t, again, runner.Answered, string(first.Response))
	want(t, other, runner.Answered, string(first.Response))
	if res := run(t, r, s.call(t, Random, []byte("two"))); bytes.Equal(res.Response, first.Response) {
		t.Error("another request has the same random bytes")
	}
}

func (s suite) refusals(t *testing.T) {
	r := s.open(t)
	unused := func(context.Context) ([]byte, error) {
		t.Error("a refused module was loaded")
		return nil, errors.New("loaded")
	}
	refuse := func(name string, code error, change func(*runner.Call)) {
		t.Run(name, func(t *testing.T) {
			c := s.call(t, Echo, []byte("q"))
			change(&c)
			if res, err := r.Run(t.Context(), c); !errors.Is(err, code) {
				t.Errorf("Run: %v, %v; want %v", res.Outcome, err, code)
			}
		})
	}
	refuse("request", runner.ErrRequestTooLarge, func(c *runner.Call) {
		c.Request = make([]byte, MaxRequest+1)
		c.Module.Load = unused
	})
	refuse("timeout", runner.ErrLimits, func(c *runner.Call) { c.Module.Limits.Timeout = 0; c.Module.Load = unused })
	refuse("response limit", runner.ErrLimits, func(c *runner.Call) { c.Module.Limits.MaxResponse = 0; c.Module.Load = unused })
	refuse("huge response limit", runner.ErrLimits, func(c *runner.Call) {
		c.Module.Limits.MaxResponse = runner.MaxMessage + 1
		c.Module.Load = unused
	})
	refuse("kind", runner.ErrKind, func(c *runner.Call) { c.Module.Kind = 99; c.Module.Load = unused })
	refuse("abi", runner.ErrKind, func(c *runner.Call) { c.Module.ABI = 99; c.Module.Load = unused })
	lost := errors.New("the store lost it")
	refuse("load", lost, func(c *runner.Call) {
		c.Module.Digest = cid.Sum([]byte("unknown"))
		c.Module.Load = func(context.Context) ([]byte, error) { return nil, lost }
	})
	refuse("digest", runner.ErrDigest, func(c *runner.Call) { c.Module.Digest = cid.Sum([]byte("another")) })
}

func (s suite) contexts(t *testing.T) {
	r := s.open(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	res, err := r.Run(ended, s.call(t, Echo, []byte("q")))
	if err != nil || res.Outcome != runner.NotStarted {
		t.Errorf("an ended context: %v, %v", res.Outcome, err)
	}
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	c := s.call(t, Loop, []byte("q"))
	if err := r.Check(t.Context(), c.Module); err != nil {
		t.Fatal(err)
	}
	res, err = r.Run(short, c)
	if err != nil || (res.Outcome != runner.TimedOut && res.Outcome != runner.NotStarted) {
		t.Errorf("a short context: %v, %v", res.Outcome, err)
	}
}

func (s suite) concurrency(t *testing.T) {
	r := s.open(t)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			request := fmt.Appendf(nil, "request %d", i)
			res, err := r.Run(t.Context(), s.call(t, Echo, request))
			if err != nil || !bytes.Equal(res.Response, request) {
				t.Errorf("got %v %q, %v; want %q", res.Outcome, res.Response, err, request)
			}
		})
	}
	all.Wait()
}

func (s suite) close(t *testing.T) {
	r := s.open(t)
	c := s.call(t, Loop, []byte("q"))
	c.Module.Limits.Timeout = 100 * time.Millisecond
	if err := r.Check(t.Context(), c.Module); err != nil {
		t.Fatal(err)
	}
	ended := make(chan runner.Outcome, 1)
	go func() {
		res, _ := r.Run(t.Context(), c)
		ended <- res.Outcome
	}()
	if err := r.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	// The call began before Close, and was waited for, or was refused.
	if o := <-ended; o != runner.TimedOut && o != runner.NotStarted && o != 0 {
		t.Errorf("a call during Close ended as %v", o)
	}
	if _, err := r.Run(t.Context(), c); !errors.Is(err, runner.ErrClosed) {
		t.Errorf("Run after Close: %v", err)
	}
	if err := r.Check(t.Context(), c.Module); !errors.Is(err, runner.ErrClosed) {
		t.Errorf("Check after Close: %v", err)
	}
}
