package image

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/sandbox"
)

// look runs /bin/look in an image that has more than its program.
func look(t testing.TB, ask ...string) (*built, runner.Call) {
	t.Helper()
	b := withProgram(t, "look", item{name: "etc/name", text: "image"}, item{name: "data", kind: '5'}, item{name: "data/own", text: "own"},
		item{name: "etc/link", kind: '2', link: "/data/own"})
	return b, call(b.module(append([]string{"bin/look"}, ask...)...), "q")
}

// TestSurroundings: what a module finds is its image and little else.
func TestSurroundings(t *testing.T) {
	each(t, func(t *testing.T, on Runtime) {
		r := open(t, options(t, on.Path, nil))
		_, c := look(t, "env", "argv0", "cwd", "id", "read:/etc/name", "read:/etc/link", "read:/etc/shadow", "list:/data", "list:/tmp", "write:/tmp/x=1", "fds")
		id := "1000 1000"
		if on.tool.inside == 0 {
			id = "0 0"
		}
		want := []string{
			"HOME=/tmp LANG=C.UTF-8 PATH=/usr/bin:/bin TMPDIR=/tmp", "/bin/look", "/", id, "image", "own", "no such file or directory", "own", "", "ok", "",
		}
		if got := answer(t, r, c); got != strings.Join(want, "\n") {
			t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
		}
		_, c = look(t, "list:/", "list:/dev", "caps")
		t.Logf("what is there:\n%s", answer(t, r, c))
		res, err := r.Run(t.Context(), c)
		if err != nil || res.Engine != "oci-image "+on.Engine() || res.SandboxLevel != on.Level {
			t.Errorf("engine %q, level %d, %v", res.Engine, res.SandboxLevel, err)
		}
	})
}

// TestAttacks: what works without a sandbox is denied in it.
func TestAttacks(t *testing.T) {
	attacks := map[string]string{
		"unshare": "operation not permitted", "clone": "operation not permitted", "inet": "permission denied", "vsock": "permission denied",
		"mount": "operation not permitted", "ptrace": "operation not permitted", "chroot": "operation not permitted", "keyctl": "operation not permitted",
		"bpf": "operation not permitted", "io_uring": "operation not permitted", "tiocsti": "operation not permitted", "write:/etc/new=1": "read-only file system",
		"write:/bin/look=1": "read-only file system", "write:/dev/new=1": "read-only file system",
	}
	code, err := shared.program("look")
	if err != nil {
		t.Fatal(err)
	}
	bare := filepath.Join(t.TempDir(), "look")
	if err := os.WriteFile(bare, code, 0o755); err != nil {
		t.Fatal(err)
	}
	each(t, func(t *testing.T, on Runtime) {
		r := open(t, options(t, on.Path, nil))
		for attack, want := range attacks {
			if on.tool.ownKernel && !strings.HasPrefix(attack, "write:/etc") {
				continue // there it is another kernel that is attacked
			}
			// An ordinary user cannot do these two anyway.
			if !strings.HasPrefix(attack, "write:") && (os.Geteuid() == 0 || attack != "mount" && attack != "chroot") {
				if got := unsandboxed(t, bare, attack); got == want {
					t.Errorf("%s: without a sandbox it is %q too: this shows nothing", attack, got)
				}
			}
			_, c := look(t, attack)
			if on.tool.ownKernel {
				want = "permission denied"
			}
			if got := answer(t, r, c); got != want {
				t.Errorf("%s: got %q, want %q", attack, got, want)
			}
		}
		_, c := look(t, "memory")
		outcome := runner.MemoryExceeded
		if on.Level == sandbox.LevelNamespaces { // the limit is the process's own: the Go runtime gives up
			outcome = runner.Exited
		}
		if res, err := r.Run(t.Context(), c); err != nil || res.Outcome != outcome {
			t.Errorf("memory: %v (%s), %v, want %v", res.Outcome, res.Detail, err, outcome)
		}
		_, c = look(t, "fork")
		if res, err := r.Run(t.Context(), c); err != nil || !strings.HasPrefix(string(res.Response), "stopped below ") {
			t.Errorf("fork: %v %q (%s), %v", res.Outcome, res.Response, res.Detail, err)
		}
	})
}

// unsandboxed runs an attack as a plain process.
func unsandboxed(t testing.TB, path, attack string) string {
	t.Helper()
	cmd := exec.Command(path, attack)
	cmd.Stdin = bytes.NewReader(abi.AppendFrame(nil, []byte("q")))
	out, err := cmd.Output()
	if err != nil {
		return err.Error() // it may be the attack that ended it
	}
	in := bufio.NewReader(bytes.NewReader(out))
	n, err := binary.ReadUvarint(in)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(io.LimitReader(in, int64(n)))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestGrants: what is granted is there, at its place, and nothing else.
func TestGrants(t *testing.T) {
	each(t, func(t *testing.T, on Runtime) {
		r := open(t, options(t, on.Path, func(o *Options) { o.Proxy = parrot{} }))
		dir, out := granted(t, "granted"), granted(t, "0123456789")
		_, c := look(t, "read:"+dir+"/file", "write:"+dir+"/new=1", "write:"+out+"/new=12345", "read:"+out+"/file", "read:/etc/name",
			"unix:/run/mythos/net.sock", "fd:MYTHOS_SECRET_API_KEY_FD")
		c.Grants = runner.Grants{
			Read: []string{dir}, Write: []runner.FsWrite{{Path: out, MaxBytes: 1000}}, Net: &runner.Net{},
			Secrets: []runner.Secret{{Name: "api-key", Value: func() ([]byte, error) { return []byte("s3cret"), nil }}},
		}
		refused := "read-only file system"
		if on.tool.ownKernel {
			refused = "permission denied"
		}
		if got, want := answer(t, r, c), "granted\n"+refused+"\nok\n0123456789\nimage\npolly\ns3cret"; got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		if b, err := os.ReadFile(filepath.Join(out, "new")); err != nil || string(b) != "12345" {
			t.Errorf("outside: %q, %v", b, err)
		}
		c.Grants = runner.Grants{}
		want := "no such file or directory\nno such file or directory\nno such file or directory\nno such file or directory\nimage\n"
		if got := answer(t, r, c); !strings.HasPrefix(got, want) || strings.Contains(got, "polly") || strings.Contains(got, "s3cret") {
			t.Errorf("without grants: got\n%s", got)
		}
		_, c = look(t, "write:"+out+"/more=1001")
		c.Grants.Write = []runner.FsWrite{{Path: out, MaxBytes: 3}}
		if res, err := r.Run(t.Context(), c); err != nil || res.Outcome != runner.Killed {
			t.Errorf("over its grant: %v (%s), %v", res.Outcome, res.Detail, err)
		}
		c.Grants = runner.Grants{Read: []string{"/bin"}}
		if _, err := r.Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "program") {
			t.Errorf("a grant over the program: %v", err)
		}
	})
}

// parrot is a proxy that says one word.
type parrot struct{}

func (parrot) Serve(ctx context.Context, l net.Listener, _ *runner.Net) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	var all sync.WaitGroup
	defer all.Wait()
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		all.Go(func() {
			_, _ = io.WriteString(c, "polly")
			_ = c.Close()
		})
	}
}

// TestReuse: a worker serves many calls, one of each share.
func TestReuse(t *testing.T) {
	each(t, func(t *testing.T, on Runtime) {
		r := open(t, options(t, on.Path, nil))
		m := withProgram(t, "look").module("bin/look", "serve")
		m.Reuse = true
		ok := abi.Response{Status: abi.StatusOK, Payload: []byte{'a'}}
		request := string(ok.AppendCAN(nil))
		want := func(c runner.Call, count string) {
			t.Helper()
			if got := answer(t, r, c); got[len(got)-1:] != count {
				t.Errorf("the answer ends in %q, want %q", got[len(got)-1:], count)
			}
		}
		for _, count := range []string{"b", "c", "d"} {
			want(call(m, request), count)
		}
		c := call(m, request)
		c.Share = cid.Sum([]byte("another"))
		want(c, "b")
		want(call(m, request), "e")
	})
}
