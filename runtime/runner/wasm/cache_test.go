package wasm

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/fuel"
	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/runnertest"
)

// numbered is the i-th of many different modules; each answers its number.
func numbered(i int32) runner.Module {
	a := hostcallCode()
	return bind(a.with(join(c32(outAt), c32(i), opI32Store8, 0, 0, a.answer(outAt, 1)), "").bytes(), a.abi)
}

// counted counts how often a module is loaded.
func counted(m runner.Module, n *atomic.Int32) runner.Module {
	load := m.Load
	m.Load = func(ctx context.Context) ([]byte, error) {
		n.Add(1)
		return load(ctx)
	}
	return m
}

// TestLeastRecentlyUsed: two modules fit; the third drops the one that was not
// used for longest.
func TestLeastRecentlyUsed(t *testing.T) {
	r := open(t, Options{Modules: 2})
	var loads [3]atomic.Int32
	use := func(i int32) {
		t.Helper()
		if res := invoke(t, r, counted(numbered(i), &loads[i]), "q"); string(res.Response) != string(rune(i)) {
			t.Errorf("module %d: %v % x", i, res.Outcome, res.Response)
		}
	}
	for _, i := range []int32{0, 1, 0, 2, 0, 1, 1} {
		use(i)
	}
	for i, want := range []int32{1, 2, 1} {
		if got := loads[i].Load(); got != want {
			t.Errorf("module %d was loaded %d times, want %d", i, got, want)
		}
	}
}

// TestEvictionUnderLoad: a module that is dropped while calls use it lives until
// they end.
func TestEvictionUnderLoad(t *testing.T) {
	r := open(t, Options{Modules: 1})
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for i := range 40 {
				n := int32((i*w + i) % 5)
				res, err := r.Run(t.Context(), runner.Call{Module: numbered(n), Request: []byte("q")})
				if err != nil || string(res.Response) != string(rune(n)) {
					t.Errorf("module %d: %v % x, %v", n, res.Outcome, res.Response, err)
				}
			}
		})
	}
	all.Wait()
}

// TestSingleFlight: calls that need the same module at once load it once, and
// one that gives up does not take it from the others.
func TestSingleFlight(t *testing.T) {
	r := open(t, Options{})
	var loads atomic.Int32
	started, proceed := make(chan struct{}), make(chan struct{})
	m := counted(numbered(7), &loads)
	inner := m.Load
	m.Load = func(ctx context.Context) ([]byte, error) {
		close(started)
		<-proceed
		return inner(ctx)
	}
	impatient, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan runner.Outcome)
	go func() {
		res, _ := r.Run(impatient, runner.Call{Module: m})
		gaveUp <- res.Outcome
	}()
	<-started
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			res, err := r.Run(t.Context(), runner.Call{Module: m})
			if err != nil || string(res.Response) != "\x07" {
				t.Errorf("%v % x, %v", res.Outcome, res.Response, err)
			}
		})
	}
	cancel()
	if o := <-gaveUp; o != runner.NotStarted {
		t.Errorf("the impatient call ended as %v", o)
	}
	close(proceed)
	all.Wait()
	if n := loads.Load(); n != 1 {
		t.Errorf("loaded %d times", n)
	}
}

// TestFailureIsNotKept: a module that could not be loaded is tried again.
func TestFailureIsNotKept(t *testing.T) {
	r := open(t, Options{})
	good := numbered(1)
	bad := good
	lost := errors.New("lost")
	bad.Load = func(context.Context) ([]byte, error) { return nil, lost }
	if err := r.Check(t.Context(), bad); !errors.Is(err, lost) {
		t.Errorf("Check: %v", err)
	}
	if err := r.Check(t.Context(), good); err != nil {
		t.Error(err)
	}
	if err := r.Check(t.Context(), bad); err != nil {
		t.Errorf("a cached module was loaded: %v", err)
	}
	bad.Digest, bad.Load = cid.Hash{}, nil
	if err := r.Check(t.Context(), bad); !errors.Is(err, runner.ErrDigest) {
		t.Errorf("without Load: %v", err)
	}
}

// cacheKey is the MAC key of these tests.
var cacheKey = bytes.Repeat([]byte("k"), 32)

// cachedFiles lists the files of compiled code under dir.
func cachedFiles(t *testing.T, dir string) []string {
	t.Helper()
	names, err := fs.Glob(os.DirFS(dir), "*")
	if err != nil {
		t.Fatal(err)
	}
	for i := range names {
		names[i] = filepath.Join(dir, names[i])
	}
	return names
}

func TestDiskCache(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "[a", "modules*")
	m := bind(hostcallCode().behaviour(runnertest.Echo).bytes(), runner.ABIHostcall)
	run := func() {
		t.Helper()
		r, err := New(Options{CacheDir: dir, CacheKey: cacheKey})
		if err != nil {
			t.Fatal(err)
		}
		if res := invoke(t, r, m, "hello"); string(res.Response) != "hello" {
			t.Errorf("%v %q (%s)", res.Outcome, res.Response, res.Detail)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	run()
	files := cachedFiles(t, dir)
	if len(files) != 1 {
		t.Fatalf("cached files %v", files)
	}
	written, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	before, _ := os.Stat(files[0])
	run()
	after, err := os.Stat(files[0])
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("the cached file was written again: %v", err)
	}
	flipped := append([]byte(nil), written...)
	flipped[len(flipped)/2] ^= 1
	for name, damaged := range map[string][]byte{
		"flipped": flipped, "cut": written[:len(written)/2], "empty": {}, "foreign": []byte("not compiled code at all, but long enough"),
	} {
		if err := os.WriteFile(files[0], damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		run()
		if again, err := os.ReadFile(files[0]); err != nil || string(again) != string(written) {
			t.Errorf("%s: the cached file was not written anew: %v", name, err)
		}
	}
	bad := bind([]byte("\x00asm\x01\x00\x00\x00\x0a"), runner.ABIHostcall)
	r := open(t, Options{CacheDir: dir, CacheKey: cacheKey})
	if err := r.Check(t.Context(), bad); !errors.Is(err, fuel.ErrMalformed) {
		t.Errorf("an invalid module: %v", err)
	}
	if len(cachedFiles(t, dir)) != 1 {
		t.Error("an invalid module emptied the cache")
	}
}

// TestDiskCacheOfOthers: code under another key, or of another module, is never
// executed: it is removed and made anew.
func TestDiskCacheOfOthers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	run := func(key []byte, i int32) {
		t.Helper()
		r, err := New(Options{CacheDir: dir, CacheKey: key})
		if err != nil {
			t.Fatal(err)
		}
		if res := invoke(t, r, numbered(i), "q"); string(res.Response) != string(rune(i)) {
			t.Errorf("module %d: %v % x (%s)", i, res.Outcome, res.Response, res.Detail)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	read := func(name string) string {
		t.Helper()
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	run(cacheKey, 1)
	one := cachedFiles(t, dir)[0]
	mine := read(one)
	run(bytes.Repeat([]byte("x"), 32), 1)
	if read(one) == mine {
		t.Error("another node's key was accepted")
	}
	run(cacheKey, 1)
	if read(one) != mine {
		t.Error("the file was not written anew")
	}
	run(cacheKey, 2)
	for _, two := range cachedFiles(t, dir) {
		if two == one {
			continue
		}
		before := read(two)
		if err := os.WriteFile(two, []byte(mine), 0o600); err != nil {
			t.Fatal(err)
		}
		run(cacheKey, 2)
		if read(two) != before {
			t.Error("one module's code was accepted for another")
		}
	}
	for _, key := range [][]byte{nil, make([]byte, 31)} {
		if _, err := New(Options{CacheDir: dir, CacheKey: key}); !errors.Is(err, ErrCache) {
			t.Errorf("a key of %d bytes: %v", len(key), err)
		}
	}
}

// TestDiskCacheUnwritable: a folder that cannot be written after it was opened
// costs time and no call.
func TestDiskCacheUnwritable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	r := open(t, Options{CacheDir: dir, CacheKey: cacheKey})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if res := invoke(t, r, numbered(3), "q"); string(res.Response) != "\x03" {
		t.Errorf("%v % x (%s)", res.Outcome, res.Response, res.Detail)
	}
}

// TestDiskCacheIsPrivate: compiled code is executed, so the folder is refused
// where others could write it.
func TestDiskCacheIsPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // folders have no mode there
	}
	root := t.TempDir()
	made := filepath.Join(root, "made")
	open(t, Options{CacheDir: made, CacheKey: cacheKey})
	if info, err := os.Stat(made); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	for _, mode := range []os.FileMode{0o755, 0o770, 0o701, 0o777} {
		if err := os.Chmod(made, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Options{CacheDir: made, CacheKey: cacheKey}); !errors.Is(err, ErrCache) {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	link := filepath.Join(root, "link")
	if err := os.Chmod(made, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(made, link); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{link, file} {
		if _, err := New(Options{CacheDir: dir, CacheKey: cacheKey}); fault.CodeOf(err) != ErrCache {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// TestEngineName: the name is stable, and its version is the one go.mod asks for.
func TestEngineName(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(repoRoot, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(regexp.QuoteMeta(wazeroPath) + ` (v\S+)`).FindSubmatch(b)
	if found == nil || string(found[1]) != wazeroVersion {
		t.Errorf("go.mod has %s, this package %s", found, wazeroVersion)
	}
	r := open(t, Options{})
	want := "wazero/" + wazeroVersion + " compiler " + runtime.GOOS + "/" + runtime.GOARCH
	if compilerSupported() && r.Engine() != want {
		t.Errorf("engine %q, want %q", r.Engine(), want)
	}
	if got := open(t, Options{Interpreter: true}).Engine(); !strings.Contains(got, " interpreter ") {
		t.Errorf("engine %q", got)
	}
}
