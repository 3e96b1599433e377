package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/runner"
)

// folder makes a folder that others may read, with a file in it.
func folder(t testing.TB, text string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for p := dir; p != os.TempDir() && p != "/"; p = filepath.Dir(p) {
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestReadGrant(t *testing.T) {
	r := start(t, runner.KindProcess, nil)
	dir := folder(t, "granted")
	ask := []string{"look", "read:" + dir + "/file", "write:" + dir + "/new=1", "write:" + dir + "/file=1"}
	c := call(python(t, ask...), "q")
	if got := answer(t, r, c); got != "FileNotFoundError\nFileNotFoundError\nFileNotFoundError" {
		t.Errorf("without a grant: %q", got)
	}
	c.Grants.Read = []string{dir}
	if got := answer(t, r, c); got != "granted\nOSError\nOSError" {
		t.Errorf("with a grant to read: %q", got)
	}
	c.Grants.Read = []string{filepath.Join(dir, "file")}
	c.Module.Entry = []string{"guest.py", "look", ask[1], ask[3]}
	if got := answer(t, r, c); got != "granted\nOSError" {
		t.Errorf("with a grant to read one file: %q", got)
	}
}

func TestWriteGrant(t *testing.T) {
	r := start(t, runner.KindProcess, nil)
	dir := folder(t, "0123456789")
	c := call(python(t, "look", "write:"+dir+"/new=1000", "read:"+dir+"/file"), "q")
	c.Module.Reuse = true // which a write grant takes back
	c.Grants.Write = []runner.FsWrite{{Path: dir, MaxBytes: 1000}}
	if got := answer(t, r, c); got != "wrote\n0123456789" {
		t.Errorf("got %q", got)
	}
	if info, err := os.Stat(filepath.Join(dir, "new")); err != nil || info.Size() != 1000 {
		t.Errorf("the file outside: %v, %v", info, err)
	}
	r.pool.mu.Lock()
	if len(r.pool.idle) != 0 {
		t.Error("a worker with a write grant waits for calls")
	}
	r.pool.mu.Unlock()
	c.Module.Entry = []string{"guest.py", "look", "write:" + dir + "/more=1001"}
	res := run(t, r, c)
	if res.Outcome != runner.Killed || !strings.Contains(res.Detail, "added 1001 bytes") || res.Response != nil {
		t.Errorf("over its grant: %v (%s)", res.Outcome, res.Detail)
	}
}

// TestWriteGrantStops: a call that writes on and on is ended while it runs.
func TestWriteGrantStops(t *testing.T) {
	r := start(t, runner.KindProcess, nil)
	dir := folder(t, "")
	ask := []string{"guest.py", "look"}
	for i := range 60 {
		ask = append(ask, fmt.Sprintf("write:%s/%d=%d", dir, i, 1<<20))
	}
	c := call(python(t), "q")
	c.Module.Entry = ask
	c.Grants.Write = []runner.FsWrite{{Path: dir, MaxBytes: 1 << 20}}
	if res := run(t, r, c); res.Outcome != runner.Killed {
		t.Errorf("%v (%s)", res.Outcome, res.Detail)
	}
	// One file alone is stopped by the kernel at what the largest had, plus the
	// grant.
	c.Module.Entry = []string{"guest.py", "look", fmt.Sprintf("write:%s/large=%d", dir, 64<<20)}
	if res := run(t, r, c); res.Outcome != runner.Killed {
		t.Errorf("%v (%s)", res.Outcome, res.Detail)
	}
	if info, err := os.Stat(filepath.Join(dir, "large")); err != nil || info.Size() > 2<<20 {
		t.Errorf("the large file: %v, %v", info, err)
	}
}

func TestSecrets(t *testing.T) {
	r := start(t, runner.KindProcess, nil)
	c := call(python(t, "look", "secret:MYTHOS_SECRET_API_KEY_FD", "secret:MYTHOS_SECRET_B2_FD", "fds:", "env:"), "q")
	secret := func(name, value string) runner.Secret {
		return runner.Secret{Name: name, Value: func() ([]byte, error) { return []byte(value), nil }}
	}
	c.Grants.Secrets = []runner.Secret{secret("api-key", "first value"), secret("b2", "second value")}
	got := strings.Split(answer(t, r, c), "\n")
	if len(got) != 4 || got[0] != "first value" || got[1] != "second value" || !strings.HasPrefix(got[2], "0 1 2 3 4") ||
		!strings.Contains(got[3], "MYTHOS_SECRET_API_KEY_FD=3 MYTHOS_SECRET_B2_FD=4") || strings.Contains(got[3], "value") {
		t.Errorf("got %q", got)
	}
	res := run(t, r, call(python(t, "look", "fds:", "secret:MYTHOS_SECRET_API_KEY_FD"), "q"))
	if !strings.HasSuffix(string(res.Response), "\nKeyError") {
		t.Errorf("the next call: %q", res.Response)
	}
	lost := errors.New("the vault is closed")
	c.Grants.Secrets[1].Value = func() ([]byte, error) { return nil, lost }
	if _, err := r.Run(t.Context(), c); !errors.Is(err, lost) {
		t.Errorf("a secret that cannot be had: %v", err)
	}
	c.Grants.Secrets[1] = secret("API.KEY", "x")
	if _, err := r.Run(t.Context(), c); !errors.Is(err, runner.ErrGrant) {
		t.Errorf("two secrets of one variable: %v", err)
	}
}

// TestRefusedGrants: what this runner cannot enforce it does not give.
func TestRefusedGrants(t *testing.T) {
	r := start(t, runner.KindProcess, nil)
	dir := folder(t, "")
	link := filepath.Join(dir, "link")
	if err := os.Symlink("/etc", link); err != nil {
		t.Fatal(err)
	}
	read := func(p string) runner.Grants { return runner.Grants{Read: []string{p}} }
	for name, g := range map[string]runner.Grants{
		"blob":           {Blob: func(context.Context, cid.Hash, uint64, []byte) (int, error) { return 0, nil }},
		"no proxy":       {Net: &runner.Net{}},
		"relative":       read("etc"),
		"unclean":        read("/etc/../etc"),
		"root":           read("/"),
		"all of tmp":     read("/tmp"),
		"proc":           read("/proc/1"),
		"above module":   read("/module"),
		"below module":   read("/module/x"),
		"interpreter":    read("/usr"),
		"loader's cache": read(loaderCache),
		"link":           read(link),
		"through link":   read(link + "/ssl"),
		"missing":        read(filepath.Join(dir, "missing")),
		"write missing":  {Write: []runner.FsWrite{{Path: filepath.Join(dir, "missing"), MaxBytes: 1}}},
		"twice":          {Read: []string{dir}, Write: []runner.FsWrite{{Path: dir, MaxBytes: 1}}},
		"write twice":    {Write: []runner.FsWrite{{Path: dir, MaxBytes: 1}, {Path: dir, MaxBytes: 2}}},
	} {
		t.Run(name, func(t *testing.T) {
			c := call(python(t, "echo"), "q")
			c.Grants = g
			if res, err := r.Run(t.Context(), c); !errors.Is(err, runner.ErrGrant) {
				t.Errorf("%v (%s), %v; want %v", res.Outcome, res.Detail, err, runner.ErrGrant)
			}
		})
	}
}

// parrot is a Proxy that answers each connection with what it was told and what
// Allow says.
type parrot struct {
	mu    sync.Mutex
	calls int
}

func (p *parrot) Serve(ctx context.Context, l net.Listener, n *runner.Net) error {
	p.mu.Lock()
	p.calls++
	call := p.calls
	p.mu.Unlock()
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		b, err := io.ReadAll(io.LimitReader(c, 100))
		if err != nil {
			return err
		}
		verdict := "allowed"
		if n.Allow(runner.Connect{Host: string(b)}) != nil {
			verdict = "denied"
		}
		if _, err := fmt.Fprintf(c, "%s %s in call %d", b, verdict, call); err != nil {
			return err
		}
		if err := c.Close(); err != nil {
			return err
		}
	}
}

func only(host string) *runner.Net {
	return &runner.Net{Allow: func(c runner.Connect) error {
		if c.Host != host {
			return runner.ErrDenied
		}
		return nil
	}}
}

func TestNetGrant(t *testing.T) {
	r := start(t, runner.KindProcess, func(o *Options) { o.Proxy = &parrot{} })
	c := call(python(t, "look", "connect:a.example", "connect:b.example", "env:"), "q")
	c.Grants.Net = only("a.example")
	got := answer(t, r, c)
	if !strings.HasPrefix(got, "a.example allowed in call 1\nb.example denied in call 1\n") || !strings.Contains(got, "MYTHOS_NET=/run/mythos/net.sock") {
		t.Errorf("got %q", got)
	}
	c.Grants.Net = nil
	if got := answer(t, r, c); !strings.HasPrefix(got, "KeyError\nKeyError\n") {
		t.Errorf("without a grant: %q", got)
	}
}

// TestNetOfWorker: every call of a worker has its own rules.
func TestNetOfWorker(t *testing.T) {
	r := start(t, runner.KindProcess, func(o *Options) { o.Proxy = &parrot{} })
	m := reuse(t)
	for i, host := range []string{"a.example", "b.example"} {
		c := call(m, "fetch a.example")
		c.Grants.Net = only(host)
		x, err := abi.DecodeResponse([]byte(answer(t, r, c)))
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("a.example %s in call %d", []string{"allowed", "denied"}[i], i+1)
		if got := string(x.Payload[2:]); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	r.pool.mu.Lock()
	defer r.pool.mu.Unlock()
	if len(r.pool.idle) != 1 || r.pool.idle[0].worker.served != 2 {
		t.Error("the calls did not share a worker")
	}
}

// TestGatewayBetweenCalls: a connection that comes while no call runs is closed,
// and one that a call left open ends with it.
func TestGatewayBetweenCalls(t *testing.T) {
	r := start(t, runner.KindProcess, nil)
	g, err := newGateway(r.trees, hold{})
	if err != nil {
		t.Fatal(err)
	}
	dial := func() net.Conn {
		c, err := net.Dial("unix", filepath.Join(g.dir, "s"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	if n, err := dial().Read(make([]byte, 1)); err == nil {
		t.Errorf("between calls: read %d", n)
	}
	end := g.open(t.Context(), &runner.Net{})
	c := dial()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	if _, err := io.ReadFull(c, b); err != nil || b[0] != 'x' {
		t.Errorf("in a call: %q, %v", b, err)
	}
	end()
	if _, err := c.Read(b); err == nil {
		t.Error("the connection outlives its call")
	}
	if len(g.places) != 0 {
		t.Errorf("%d places are still taken", len(g.places))
	}
	if err := g.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(g.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket's folder: %v", err)
	}
}

// hold is a Proxy that echoes one byte of each connection and keeps it open.
type hold struct{}

func (hold) Serve(_ context.Context, l net.Listener, _ *runner.Net) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		b := make([]byte, 1)
		if _, err := io.ReadFull(c, b); err == nil {
			_, _ = c.Write(b)
		}
	}
}
