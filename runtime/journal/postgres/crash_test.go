package postgres_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mythos-run/mythos/runtime/journal/journaltest"
	"github.com/mythos-run/mythos/runtime/journal/postgres"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

const script = "../../../scripts/postgres.sh"

// own starts a server that the test may stop, and returns its address and folder.
func own(t *testing.T) (url, folder string) {
	t.Helper()
	server(t) // without one to test with there are no packages to start one from
	cmd := exec.Command("bash", script)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close() // it stops the server when its input ends
		io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	url, folder, _ = strings.Cut(strings.TrimSpace(line), " ")
	return url, folder
}

func restart(t *testing.T, folder string) {
	t.Helper()
	if out, err := exec.Command("bash", script, "--restart", folder).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// load writes effects until it is stopped, and knows what was acknowledged.
type load struct {
	t       *testing.T
	acks    chan struct{}
	stop    chan struct{}
	workers sync.WaitGroup

	mu     sync.Mutex
	acked  map[cid.Hash]ledger.Phase // by id
	before map[cid.Hash]cid.Hash     // the id of the effect before, by id
}

var charged = ledger.Spend{CapID: cid.Sum([]byte("capability")), Max: 1 << 30}

func startLoad(t *testing.T, stores []*postgres.Store, callers int) *load {
	l := &load{t: t, acks: make(chan struct{}, 1024), stop: make(chan struct{}), acked: map[cid.Hash]ledger.Phase{}, before: map[cid.Hash]cid.Hash{}}
	for i, s := range stores {
		for c := range callers {
			l.workers.Go(func() { l.work(s, fmt.Sprint(i, " ", c, " ")) })
		}
	}
	return l
}

// work commits each effect with the register of the next, and some by themselves.
func (l *load) work(s *postgres.Store, name string) {
	ctx := context.Background()
	effect := func(n int) (*journaltest.Effect, cid.Hash, ledger.Registration) {
		e := journaltest.NewEffect(l.t, fmt.Sprint(name, n), ledger.Pure)
		raw, id := e.Register(ledger.State{}, "request")
		return e, id, ledger.Registration{Body: raw, LeaseFor: 1e9, Spend: []ledger.Spend{charged}}
	}
	e, id, r := effect(0)
	err := s.Register(ctx, r)
	for n := 1; err == nil; n++ {
		l.note(e, ledger.Open)
		next, nextID, r := effect(n)
		l.comesAfter(next, e)
		v, c := ledger.Applied, e.Commit(id, "request", name)
		if n%4 == 0 {
			if v, err = s.Commit(ctx, c); err == nil {
				err = s.Register(ctx, r)
			}
		} else {
			v, err = s.CommitAndRegister(ctx, c, r)
		}
		if v != ledger.Applied {
			l.t.Errorf("effect %s: verdict %d", e.Key, v)
		}
		if err != nil {
			break
		}
		l.note(e, ledger.Committed)
		e, id = next, nextID
		select {
		case <-l.stop:
			return
		case l.acks <- struct{}{}:
		}
	}
	l.t.Errorf("effect %s: %v", e.Key, err)
}

func (l *load) note(e *journaltest.Effect, p ledger.Phase) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked[e.Idem()] = p
}

func (l *load) comesAfter(next, e *journaltest.Effect) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before[next.Idem()] = e.Idem()
}

// wait lets n effects pass.
func (l *load) wait(n int) {
	for range n {
		<-l.acks
	}
}

// check stops the load and compares what was acknowledged with the log.
func (l *load) check(s *postgres.Store) {
	l.t.Helper()
	close(l.stop)
	l.workers.Wait()
	found := map[cid.Hash]ledger.Phase{}
	registers := 0
	for rec, err := range s.Records(context.Background(), ledger.Filter{}) {
		if err != nil {
			l.t.Fatal(err)
		}
		switch {
		case rec.Kind == ledger.KindRegister && found[rec.Idem] == ledger.Absent:
			found[rec.Idem] = ledger.Open
			registers++
		case rec.Kind == ledger.KindCommit && found[rec.Idem] == ledger.Open:
			found[rec.Idem] = ledger.Committed
		default:
			l.t.Errorf("entry %d, a %s, is there twice", rec.Index, rec.Kind)
		}
	}
	for id, p := range l.acked {
		if found[id] < p {
			l.t.Errorf("id %s was acknowledged as %s and is %s", id, p, found[id])
		}
	}
	for id := range found {
		if e, ok := l.before[id]; ok && found[e] != ledger.Committed {
			l.t.Errorf("id %s is there, and the one before it is %s", id, found[e])
		}
	}
	// Each register that is there was charged once, and nothing else.
	full := charged
	full.Max = uint32(registers)
	raw, _ := journaltest.NewEffect(l.t, "last", ledger.Pure).Register(ledger.State{}, "request")
	want(l.t, s.Register(context.Background(), ledger.Registration{Body: raw, LeaseFor: 1e9, Spend: []ledger.Spend{full}}), ledger.ErrExhausted)
	full.Max++
	if err := s.Register(context.Background(), ledger.Registration{Body: raw, LeaseFor: 1e9, Spend: []ledger.Spend{full}}); err != nil {
		l.t.Errorf("%d registers were charged more than that: %v", registers, err)
	}
}

// TestServerCrash pulls the server's plug three times under load: no executor sees
// an error, and nothing that was acknowledged is lost or there twice.
func TestServerCrash(t *testing.T) {
	url, folder := own(t)
	var again atomic.Int64
	var stores []*postgres.Store
	for range 3 {
		stores = append(stores, open(t, postgres.Options{URL: url, OnReconnect: func(error) { again.Add(1) }, Patience: 1 << 36}))
	}
	l := startLoad(t, stores, 6)
	for range 3 {
		l.wait(150)
		restart(t, folder)
	}
	l.wait(150)
	l.check(stores[0])
	if again.Load() == 0 {
		t.Error("no connection was lost: the test shows nothing")
	}
}

// TestLostConnections ends the connections of executors again and again, at
// whatever they are at: what was on its way is carried out once.
func TestLostConnections(t *testing.T) {
	o := fresh(t)
	o.URL = with(t, o.URL, "application_name", o.Schema)
	var again atomic.Int64
	o.OnReconnect = func(error) { again.Add(1) }
	stores := []*postgres.Store{open(t, o), open(t, o)}
	conn, err := pgx.Connect(t.Context(), server(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	l := startLoad(t, stores, 8)
	for range 40 {
		l.wait(7)
		if _, err := conn.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1", o.Schema); err != nil {
			t.Fatal(err)
		}
	}
	l.check(stores[1])
	if again.Load() == 0 {
		t.Error("no connection was lost: the test shows nothing")
	}
}

// TestServerGone checks that callers get an answer when the server does not come
// back, and the next one when it does.
func TestServerGone(t *testing.T) {
	url, folder := own(t)
	s := open(t, postgres.Options{URL: url, Patience: 1})
	if err := register(t, s, "a"); err != nil {
		t.Fatal(err)
	}
	standby := filepath.Join(folder, "data", "standby.signal")
	if err := os.WriteFile(standby, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	restart(t, folder)
	want(t, register(t, s, "b"), postgres.ErrNotPrimary)
	_, err := s.Lookup(t.Context(), journaltest.NewEffect(t, "a", ledger.Pure).Idem())
	want(t, err, postgres.ErrNotPrimary)
	_, err = postgres.Open(t.Context(), postgres.Options{URL: url})
	want(t, err, postgres.ErrNotPrimary)
	if err := os.Remove(standby); err != nil {
		t.Fatal(err)
	}
	restart(t, folder)
	if err := register(t, s, "c"); err != nil {
		t.Error(err)
	}
	if n := count(t, s); n != 2 {
		t.Errorf("%d entries, want those of a and c", n)
	}
}

// TestLostEntries checks that a store stops when the database, after a lost
// connection, lacks what it had acknowledged: a standby that took over too early,
// or a backup, is no place to go on.
func TestLostEntries(t *testing.T) {
	o := fresh(t)
	o.URL = with(t, o.URL, "application_name", o.Schema)
	s := open(t, o)
	if err := register(t, s, "a"); err != nil {
		t.Fatal(err)
	}
	admin(t, o, "ALTER TABLE entry DISABLE TRIGGER append_only; DELETE FROM entry; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '"+o.Schema+"'")
	for _, name := range []string{"b", "c"} {
		err := register(t, s, name)
		if !errors.Is(err, ledger.ErrCorrupt) || !strings.Contains(err.Error(), "lost entry") {
			t.Fatalf("got %v, want %s", err, ledger.ErrCorrupt)
		}
	}
}

// TestStandbyAway: what a synchronous standby does not have is not acknowledged, also
// if the wait for it is broken off, which commits the entry all the same; and an entry
// that was found after a lost connection is one that the store looks for later.
func TestStandbyAway(t *testing.T) {
	url, _ := own(t)
	s := open(t, postgres.Options{URL: url, Patience: time.Minute})
	conn, exec := console(t, url)
	exec("SET synchronous_commit = local; SET search_path = mythos")
	exec("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
	exec("SELECT pg_reload_conf()")
	done, stopped := make(chan error, 1), false
	waiting := 0
	// waits returns whether another backend than before waits for the standby before
	// the write is answered.
	waits := func() bool {
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			pid := 0
			err := conn.QueryRow(t.Context(), "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND pid <> $1", waiting).Scan(&pid)
			if err == nil {
				waiting = pid
				return true
			}
			if !errors.Is(err, pgx.ErrNoRows) {
				t.Fatal(err)
			}
			if len(done) > 0 {
				return false
			}
		}
		t.Fatal("the write neither waits nor is answered")
		return false
	}
	for i := 0; !stopped; i++ { // until the server has seen its new setting
		go func() { done <- register(t, s, fmt.Sprint("entry ", i)) }()
		if stopped = waits(); !stopped {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, end := range []string{"pg_terminate_backend", "pg_cancel_backend", "pg_cancel_backend"} {
		exec(fmt.Sprintf("SELECT %s(%d)", end, waiting))
		if !waits() {
			t.Fatalf("%s: acknowledged without a standby, %v", end, <-done)
		}
	}
	exec("ALTER SYSTEM RESET synchronous_standby_names")
	exec("SELECT pg_reload_conf()")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	exec("ALTER TABLE entry DISABLE TRIGGER append_only; DELETE FROM entry WHERE seq = (SELECT max(seq) FROM entry)")
	exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mythos'")
	if err := register(t, s, "next"); !errors.Is(err, ledger.ErrCorrupt) {
		t.Errorf("a register after the loss of the entry: %v", err)
	}
}
