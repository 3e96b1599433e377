package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// reply is how a run ended; the zero reply is that of a run whose executor died.
type reply struct {
	code     string // of a failure; "" with a receipt
	receipt  string
	bytes    string
	replayed bool
	text     string
}

// member is an executor that serves: it does what it is asked to, until it is told
// to stop or is killed.
type member struct {
	p     *process
	asked sync.Mutex // one writer of lines

	mu      sync.Mutex
	waiting map[runName]chan reply
	done    chan struct{}
	opened  chan struct{}
	waits   []string // holders of the lock that it waited for
	ok      chan struct{}
	failed  []string // what it could not do, beside runs
}

// hire starts a serving executor. It may not have its ledger yet; opened tells.
func (w *World) hire(o Order) (*member, error) {
	p, err := w.start()
	if err != nil {
		return nil, err
	}
	m := &member{
		p: p, waiting: map[runName]chan reply{}, done: make(chan struct{}), opened: make(chan struct{}), ok: make(chan struct{}, 1),
	}
	o.Serve = true
	go m.listen()
	return m, p.tell(o)
}

func (m *member) listen() {
	defer close(m.done)
	for line := range m.p.lines {
		f := strings.SplitN(line, " ", 4)
		m.mu.Lock()
		switch {
		case f[0] == "open":
			close(m.opened)
		case f[0] == "wait":
			m.waits = append(m.waits, strings.TrimPrefix(line, "wait "))
		case f[0] == "ok":
			m.ok <- struct{}{}
		case f[0] == "D" && len(f) == 4:
			how, receipt, _ := strings.Cut(f[3], " ")
			m.answered(runName(f[1]), reply{bytes: f[2], replayed: how == "replayed", receipt: receipt, text: line})
		case f[0] == "E" && len(f) >= 3 && m.waiting[runName(f[1])] != nil:
			m.answered(runName(f[1]), reply{code: f[2], text: line})
		case f[0] == "E":
			m.failed = append(m.failed, line)
		}
		m.mu.Unlock()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for n := range m.waiting {
		m.answered(n, reply{})
	}
}

// answered gives a caller its answer; mu is held.
func (m *member) answered(n runName, a reply) {
	if c := m.waiting[n]; c != nil {
		delete(m.waiting, n)
		c <- a
	}
}

// run has the executor perform a run, under a name that it was not asked before,
// and waits for the end.
func (m *member) run(n runName) reply {
	c := make(chan reply, 1)
	m.mu.Lock()
	m.waiting[n] = c
	m.mu.Unlock()
	if err := m.ask("run " + string(n)); err != nil {
		return reply{} // it is dead
	}
	select {
	case a := <-c:
		return a
	case <-m.done:
		select {
		case a := <-c:
			return a
		default:
			return reply{}
		}
	}
}

func (m *member) ask(line string) error {
	m.asked.Lock()
	defer m.asked.Unlock()
	return m.p.ask(line)
}

// shift moves one of the executor's clocks, "shift" the wall clock, "boot" the other.
func (m *member) shift(clock string, by time.Duration) error {
	if err := m.ask(fmt.Sprint(clock, " ", by)); err != nil {
		return err
	}
	select {
	case <-m.ok:
		return nil
	case <-m.done:
		return errors.New("the executor has ended")
	}
}

// ready waits until the executor has its ledger, or has ended.
func (m *member) ready() error {
	select {
	case <-m.opened:
		return nil
	case <-m.done:
		return fmt.Errorf("an executor has no ledger: %s", strings.Join(m.failed, "; "))
	}
}

// dismiss lets the executor end and reports what went wrong beside runs.
func (m *member) dismiss() error {
	m.p.in.Close()
	<-m.done
	killed, err := m.p.wait()
	if killed {
		err = errors.Join(err, errors.New("an executor was killed, and not by the harness"))
	}
	if len(m.failed) > 0 {
		err = errors.Join(err, errors.New(strings.Join(m.failed, "; ")))
	}
	return err
}

// slay kills the executor.
func (m *member) slay() error {
	m.p.kill()
	<-m.done
	_, err := m.p.wait()
	return err
}

// team is executors on one ledger.
func (h *harness) team(ctx context.Context, w *World, p place, name string, n int, o Order) ([]*member, error) {
	var all []*member
	for range n {
		o.Boot = true
		p.fill(&o, name)
		m, err := w.hire(o)
		if err != nil {
			return nil, errors.Join(err, dismiss(all))
		}
		all = append(all, m)
	}
	return all, nil
}

func dismiss(all []*member) error {
	var errs []error
	for _, m := range all {
		errs = append(errs, m.dismiss())
	}
	return errors.Join(errs...)
}
