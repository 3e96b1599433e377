package runnertest

import (
	"bytes"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/runner"
)

// The behaviours of modules that are processes of the host, beside those that
// every kind has. Each reads its request first.
const (
	Twice      Behaviour = "twice"      // answers its request in two frames
	Tail       Behaviour = "tail"       // answers its request, then writes one more byte
	Early      Behaviour = "early"      // writes a byte that begins no frame, then its answer
	Claim      Behaviour = "claim"      // begins a frame of 4 GiB, then waits for ever
	Partial    Behaviour = "partial"    // writes half of its answer, then waits for ever
	Broken     Behaviour = "broken"     // writes half of its answer, then ends cleanly
	Flood      Behaviour = "flood"      // writes 8 MiB to stderr, then answers its request
	Crash      Behaviour = "crash"      // answers its request, then crashes by a signal
	Fail       Behaviour = "fail"       // answers its request, then exits with status 3
	Linger     Behaviour = "linger"     // answers its request, then never ends
	Closed     Behaviour = "closed"     // closes stdout without an answer, then never ends
	Daemon     Behaviour = "daemon"     // leaves a child in a session of its own, with all its pipes, and answers
	Fork       Behaviour = "fork"       // starts a child that would answer late, and ends without an answer
	Deaf       Behaviour = "deaf"       // ignores every signal that it can and never ends
	Unread     Behaviour = "unread"     // answers UnreadText without reading its request
	Incoherent Behaviour = "incoherent" // answers before it has read its request, which is large
)

// UnreadText is what the modules that do not echo answer.
const UnreadText = "unread"

// Processes runs the part of the suite for modules that are processes of the
// host. Every module is to run freshly; grace is how long one may take to end
// after its answer.
func Processes(t *testing.T, f Fixture, grace time.Duration) {
	s := suite{f}
	t.Run("out of order", s.outOfOrder)
	t.Run("stops", func(t *testing.T) { s.stops(t, grace) })
	t.Run("flood", s.flood)
	t.Run("descendants", s.descendants)
	t.Run("large requests", s.largeRequests)
}

// outOfOrder: what is on stdout is one whole frame, or it is no answer.
func (s suite) outOfOrder(t *testing.T) {
	r := s.open(t)
	for b, outcome := range map[Behaviour]runner.Outcome{
		Twice:  runner.NoResponse,
		Tail:   runner.NoResponse,
		Early:  runner.NoResponse,
		Broken: runner.NoResponse,
		Claim:  runner.ResponseTooLarge,
		Crash:  runner.Trapped,
		Fail:   runner.Exited,
	} {
		t.Run(string(b), func(t *testing.T) {
			want(t, run(t, r, s.call(t, b, []byte("request"))), outcome, "")
		})
	}
	want(t, run(t, r, s.call(t, Unread, []byte("request"))), runner.Answered, UnreadText)
}

// stops: what does not end is ended, by the timeout or after its answer.
func (s suite) stops(t *testing.T, grace time.Duration) {
	r := s.open(t)
	for _, b := range []Behaviour{Partial, Deaf} {
		t.Run(string(b), func(t *testing.T) {
			c := s.call(t, b, []byte("request"))
			c.Module.Limits.Timeout = s.short()
			want(t, run(t, r, c), runner.TimedOut, "")
		})
	}
	for _, b := range []Behaviour{Linger, Closed} {
		t.Run(string(b), func(t *testing.T) {
			start := time.Now()
			c := s.call(t, b, []byte("request"))
			if b == Closed {
				c.Module.Limits.Timeout = 2 * time.Second
			}
			want(t, run(t, r, c), runner.TimedOut, "")
			if took := time.Since(start); took > grace+20*time.Second {
				t.Errorf("ended after %v, its grace is %v", took, grace)
			}
		})
	}
}

// flood: a module is not blocked by what it logs, and the log stays bounded.
func (s suite) flood(t *testing.T) {
	c := s.call(t, Flood, []byte("request"))
	res := run(t, s.open(t), c)
	want(t, res, runner.Answered, "request")
	if uint64(len(res.Log)) > c.Module.Limits.MaxStderr || !res.LogTruncated {
		t.Errorf("log of %d bytes, truncated %v", len(res.Log), res.LogTruncated)
	}
}

// descendants: a module ends with its main process, whatever it has started.
func (s suite) descendants(t *testing.T) {
	r := s.open(t)
	want(t, run(t, r, s.call(t, Daemon, []byte("request"))), runner.Answered, "request")
	want(t, run(t, r, s.call(t, Fork, []byte("request"))), runner.NoResponse, "")
}

// largeRequests: a request that no pipe holds reaches a module that answers
// before, while or after it reads.
func (s suite) largeRequests(t *testing.T) {
	r := s.open(t)
	request := bytes.Repeat([]byte("0123456789abcdef"), 3<<20/16)
	for b, answer := range map[Behaviour]string{Echo: string(request), Incoherent: UnreadText, Unread: UnreadText} {
		t.Run(string(b), func(t *testing.T) {
			c := s.call(t, b, request)
			c.Module.Limits.MaxRequest, c.Module.Limits.MaxResponse = 4<<20, 4<<20
			res := run(t, r, c)
			if res.Outcome != runner.Answered || string(res.Response) != answer {
				t.Errorf("got %v, %d bytes (%s); want %d bytes", res.Outcome, len(res.Response), res.Detail, len(answer))
			}
		})
	}
}
