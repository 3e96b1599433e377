package journal_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/mythos-run/mythos/runtime/journal/journaltest"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

const crashDir = "MYTHOS_TEST_CRASH_DIR"

// TestCrashWriter is the child of TestKilledWriterLosesNothing: it registers and
// commits effects from several goroutines and prints each name once its commit
// is acknowledged.
func TestCrashWriter(t *testing.T) {
	dir := os.Getenv(crashDir)
	if dir == "" {
		return
	}
	s := openSigned(t, dir)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("%d-%d-%d", os.Getpid(), g, i)
				if err := effect(t, s, name); err != nil {
					panic(err)
				}
				mu.Lock()
				fmt.Println("acked", name)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// effect registers and commits one effect.
func effect(t *testing.T, s ledger.Store, name string) error {
	e := journaltest.NewEffect(t, name, ledger.Pure)
	raw, id := e.Register(ledger.State{}, "request")
	if err := s.Register(t.Context(), ledger.Registration{Body: raw, LeaseFor: 1e6}); err != nil {
		return err
	}
	_, err := s.Commit(t.Context(), e.Commit(id, "request", "answer "+name))
	return err
}

// TestKilledWriterLosesNothing kills a writing process several times and checks
// that every commit it acknowledged is there with its receipt and response, that
// no commit is there without them, and that the log has no gap.
func TestKilledWriterLosesNothing(t *testing.T) {
	dir := t.TempDir()
	acked := map[string]bool{}
	for round := range 5 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestCrashWriter$")
		cmd.Env = append(os.Environ(), crashDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; n < 40+round*25 && lines.Scan(); {
			var name string
			if _, err := fmt.Sscanf(lines.Text(), "acked %s", &name); err == nil {
				acked[name] = true
				n++
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // acknowledged before the kill reached it
			var name string
			if _, err := fmt.Sscanf(lines.Text(), "acked %s", &name); err == nil {
				acked[name] = true
			}
		}
		_ = cmd.Wait()
	}
	if len(acked) < 5*40 {
		t.Fatalf("only %d commits were acknowledged", len(acked))
	}
	s := openSigned(t, dir)
	defer s.Close()
	if err := s.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	journaltest.Checkpoints(t, s)
	next := uint64(0)
	for rec, err := range s.Records(t.Context(), ledger.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if rec.Index != next {
			t.Fatalf("entry %d stands at %d", rec.Index, next)
		}
		next++
		if rec.Kind == ledger.KindCommit {
			wantWhole(t, s, rec.Body)
		}
	}
	for name := range acked {
		v, err := s.Lookup(t.Context(), journaltest.NewEffect(t, name, ledger.Pure).Idem())
		if err != nil || v.Phase != ledger.Committed {
			t.Fatalf("acknowledged commit %s: %s, %v", name, v.Phase, err)
		}
	}
	t.Logf("%d acknowledged, %d stored, 5 kills", len(acked), next)
}

// wantWhole checks that a commit stands with its receipt and its response.
func wantWhole(t *testing.T, s ledger.Store, commit []byte) {
	t.Helper()
	x, _, err := ledger.DecodeCommit(commit)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Receipt(t.Context(), x.ReceiptID); err != nil {
		t.Fatalf("a commit without its receipt: %v", err)
	}
	if _, err := s.Object(t.Context(), x.ResponseHash); err != nil {
		t.Fatalf("a commit without its response: %v", err)
	}
}
