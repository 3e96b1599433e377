package cli_test

import (
	"bytes"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// kills is how often a transfer is killed before it may end.
const kills = 5

// TestKilledTransfers kills a pull and a push without warning at random requests,
// and starts them again: what had come is not sent again, but for the objects that
// were on the way, of which there are four at most.
func TestKilledTransfers(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(build(t, root), "mythos")
	p := heavy(t, 100<<20) // 25 chunks
	id := p.ManifestCID.String()
	for _, x := range []struct {
		name, method string
		args         func(url string) []string
	}{
		{"push", http.MethodPut, func(url string) []string { return []string{"push", p.Dir, url} }},
		{"pull", http.MethodGet, func(url string) []string { return []string{"pull", id, "--from", url} }},
	} {
		t.Run(x.name, func(t *testing.T) {
			s := newRegistry(t, open())
			if x.name == "pull" {
				newPerson(t).run(0, "", "push", p.Dir, s.URL)
			}
			s.count("")
			u := newPerson(t)
			asked := map[string]int{}
			add := func() {
				for path, n := range s.count(x.method + " /objects/") {
					asked[path] += n
				}
			}
			for range kills {
				cmd := exec.CommandContext(t.Context(), bin, x.args(s.URL)...)
				cmd.Env = append(os.Environ(), "MYTHOS_HOME="+u.env["MYTHOS_HOME"])
				var out bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, &out
				at := killAt(s, x.method, 2+rand.Int64N(8))
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				at <- cmd.Process
				if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != -1 {
					t.Fatalf("it ended by itself: %v\n%s", err, &out)
				}
				s.CloseClientConnections()
				add()
				nothingHalf(t, s, u, id, x.name)
			}
			s.ServeWith(nil)
			u.run(0, id, x.args(s.URL)...)
			add()
			again := 0
			for _, n := range asked {
				again += n - 1
			}
			t.Logf("%d objects, %d requests too many in %d kills", len(asked), again, kills)
			if again > 4*kills {
				t.Errorf("%d objects were sent again in %d kills, at most 4 in each", again, kills)
			}
			newPerson(t).trust().run(0, "hello", "run", id, "--from", s.URL)
		})
	}
}

// killAt kills the process that it is sent when that has begun a number of requests
// for objects.
func killAt(s *registryServer, method string, at int64) chan<- *os.Process {
	var n atomic.Int64
	victim := make(chan *os.Process, 1)
	s.ServeWith(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Method == method && strings.HasPrefix(r.URL.Path, "/objects/") && n.Add(1) == at {
			_ = (<-victim).Kill()
		}
		return false
	})
	return victim
}

// nothingHalf checks that a manifest is not where its closure is not.
func nothingHalf(t *testing.T, s *registryServer, u *person, id, what string) {
	t.Helper()
	if what == "pull" {
		u.run(6, "is not in the store", "run", id)
		return
	}
	resp, err := http.Head(s.URL + "/objects/" + id)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("the manifest is there after a push that was killed: %s, %v", resp.Status, err)
	}
}
