package node_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/executor"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/node"
	"github.com/mythos-run/mythos/runtime/pack/packtest"
)

const (
	raceHome    = "MYTHOS_TEST_RACE_HOME"
	racePackage = "MYTHOS_TEST_RACE_PACKAGE"
)

// TestRaceChild is one process of TestProcessesShareAHome: it runs the package and
// prints what it worked with.
func TestRaceChild(t *testing.T) {
	home := os.Getenv(raceHome)
	if home == "" {
		return
	}
	n := at(t, home)
	r, err := n.Run(t.Context(), node.RunOptions{Package: os.Getenv(racePackage), RunID: "shared"})
	if err != nil {
		t.Fatal(err)
	}
	dev, err := n.DevKey()
	if err != nil {
		t.Fatal(err)
	}
	key, err := n.ExecutorKey()
	if err != nil {
		t.Fatal(err)
	}
	policy, err := n.Policy(0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("used", dev.Agent().KeyID(), key.Agent().KeyID(), policy.PolicyID, r.Result.RunRecordID, r.Result.Effects[0].ReceiptID, r.Result.Seal)
}

// TestProcessesShareAHome starts several processes at once on a home in which
// nothing has been made yet: all end with the same keys, policy, record, receipt
// and seal.
func TestProcessesShareAHome(t *testing.T) {
	home := t.TempDir()
	trust(t, at(t, home), sig.Publisher, packtest.Key().Agent())
	pkg := packtest.Build(t, packtest.Spec{}).Dir
	const processes = 4
	used := make([]string, processes)
	var wg sync.WaitGroup
	for i := range processes {
		wg.Go(func() {
			cmd := exec.Command(os.Args[0], "-test.run=^TestRaceChild$")
			cmd.Env = append(os.Environ(), raceHome+"="+home, racePackage+"="+pkg)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("process %d: %v\n%s", i, err, out)
				return
			}
			for line := range strings.Lines(string(out)) {
				if strings.HasPrefix(line, "used ") {
					used[i] = line
				}
			}
		})
	}
	wg.Wait()
	for i, line := range used {
		if line == "" || line != used[0] {
			t.Errorf("process %d %s\nprocess 0 %s", i, line, used[0])
		}
	}
	for name := range tree(t, home) {
		if strings.Contains(name, ".tmp-") {
			t.Errorf("%s was left behind", name)
		}
	}
}

// TestNodesShareAHome does the same within one process, for the keys and the
// policy alone, more often.
func TestNodesShareAHome(t *testing.T) {
	pkg := packtest.Build(t, packtest.Spec{}).Dir
	for range 5 {
		home := t.TempDir()
		trust(t, at(t, home), sig.Publisher, packtest.Key().Agent())
		const nodes = 8
		var made [nodes]string
		var wg sync.WaitGroup
		for i := range nodes {
			n := at(t, home)
			wg.Go(func() {
				p, err := n.Check(t.Context(), pkg, 0)
				if err != nil {
					t.Error(err)
					return
				}
				dev, err := n.DevKey()
				if err != nil || !dev.Agent().Equal(p.Policy().Signer) {
					t.Errorf("the policy in force is not the dev key's: %v", err)
				}
				key, err := n.ExecutorKey()
				if err != nil {
					t.Error(err)
				}
				made[i] = fmt.Sprint(dev.Agent().KeyID(), key.Agent().KeyID(), p.Policy().PolicyID)
			})
		}
		wg.Wait()
		for i, s := range made {
			if s == "" || s != made[0] {
				t.Fatalf("node %d has %s, node 0 %s", i, s, made[0])
			}
		}
	}
}

// TestUnusableFolders: a file where a folder must be gives a coded error, runs
// nothing and leaves nothing half done; with the folder the run continues.
func TestUnusableFolders(t *testing.T) {
	big := can.AppendText(can.AppendList(nil, 1), strings.Repeat("x", 100<<10))
	for name, code := range map[string]fault.Code{"ledger": journal.ErrUnavailable, "store": cas.ErrUnavailable, "keys": node.ErrPath} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			n := at(t, home)
			trust(t, n, sig.Publisher, packtest.Key().Agent())
			pkg := packtest.Build(t, packtest.Spec{IR: `tool echo = demo/echo interface 1 (any) -> any
func main(any) -> any {
  effect echo, r0, r1, r2
  ret r1
}
task main = main(0) budget cpu_us=500000 io=1 writes=0
`, Modules: []packtest.Module{{Wasm: packtest.SilentWasm()}}}).Dir
			blocked := filepath.Join(home, name)
			if err := os.WriteFile(blocked, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			run := func() (*node.RunReport, error) {
				return at(t, home).Run(t.Context(), node.RunOptions{Package: pkg, RunID: "r", Inputs: big})
			}
			_, err := run()
			wantCode(t, err, code)
			if l, err := n.ReadLedger(); err == nil {
				for rec, err := range l.Records(t.Context(), ledger.Filter{}) {
					t.Errorf("entry %d was written, %v", rec.Index, err)
				}
				l.Close()
			}
			if err := os.Remove(blocked); err != nil {
				t.Fatal(err)
			}
			r, err := run()
			if err != nil || r.Result.Effects[0].ErrorCode != string(executor.CodeBadResponse) {
				t.Errorf("with the folder back: %v", err)
			}
		})
	}
}

// TestLedgerIsOneWriters: a second process that will not wait is told who writes.
func TestLedgerIsOneWriters(t *testing.T) {
	home := t.TempDir()
	n := at(t, home)
	pkg := packHere(t, n, packtest.Spec{})
	held, err := n.Ledger(t.Context(), node.LedgerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = n.Run(t.Context(), node.RunOptions{Package: pkg, RunID: "r", NoWait: true})
	wantCode(t, err, journal.ErrBusy)
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Run(t.Context(), node.RunOptions{Package: pkg, RunID: "r", NoWait: true}); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(home, "ledger", "ledger.lock")); errors.Is(err, fs.ErrNotExist) {
		t.Error("the lock file is gone: two processes could hold two locks")
	}
}

// TestPackThatCannotBeRemembered: a package that this home could not run is not
// written.
func TestPackThatCannotBeRemembered(t *testing.T) {
	home, dir := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "packed"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(dir, "source")
	packtest.WriteSource(t, source, packtest.Spec{})
	before := tree(t, dir)
	_, _, err := at(t, home).Pack(t.Context(), node.PackOptions{Dir: source, Out: filepath.Join(dir, "out")})
	wantCode(t, err, node.ErrPath)
	wantUnchanged(t, dir, before)
}

// TestBrokenTrustFile: a trust file that cannot be read whole trusts nobody and
// lets nothing run.
func TestBrokenTrustFile(t *testing.T) {
	home := t.TempDir()
	n := at(t, home)
	pkg := packHere(t, n, packtest.Spec{})
	if err := os.WriteFile(n.TrustPath(), []byte(`{"schema": "mythos.trust/1", "entries": [], "more": 1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	before := tree(t, home)
	_, err := n.Run(t.Context(), node.RunOptions{Package: pkg, RunID: "r"})
	wantCode(t, err, gate.ErrTrust)
	_, err = n.Verify(t.Context(), pkg)
	wantCode(t, err, gate.ErrTrust)
	wantUnchanged(t, home, before)
}
