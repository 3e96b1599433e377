//go:build linux || darwin

package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// childEnv makes the test binary act as another process that uses the store:
// ROLE DIR, as in children.
const childEnv = "MYTHOS_CAS_TEST_CHILD"

var children = map[string]func(dir, arg string) error{
	"killed":       childKilled,
	"killed-batch": childKilledBatch,
	"writer":       childWriter,
	"limited":      childLimited,
	"unprivileged": childUnprivileged,

	"stress-writer":    childStressWriter,
	"stress-reader":    childStressReader,
	"stress-collector": childStressCollector,
	"acknowledger":     childAcknowledger,
	"full":             childFull,
}

func TestMain(m *testing.M) {
	role, rest, child := strings.Cut(os.Getenv(childEnv), "\n")
	if !child {
		os.Exit(m.Run())
	}
	dir, arg, _ := strings.Cut(rest, "\n")
	if err := children[role](dir, arg); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func child(t *testing.T, role, dir, arg string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+role+"\n"+dir+"\n"+arg)
	return cmd
}

const (
	survivor = "acknowledged before the kill"
	victim   = "in flight at the kill"
)

// killAt kills this process at step p of its writes, from now on.
func killAt(s *Store, p string) {
	s.probe = func(at step) error {
		if string(at) != p {
			return nil
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
			return err
		}
		runtime.Goexit() // the signal may take a moment
		return nil
	}
}

// victimAt returns an object whose write comes to step p.
func victimAt(p step) []byte {
	if slices.Contains(packSteps, p) {
		return []byte(victim)
	}
	return large(victim)
}

func childKilled(dir, arg string) error {
	s, err := Open(dir)
	if err != nil {
		return err
	}
	if err := putOne(context.Background(), s, []byte(survivor)); err != nil {
		return err
	}
	killAt(s, arg)
	return errors.Join(errors.New("lived on"), putOne(context.Background(), s, victimAt(step(arg))))
}

func childKilledBatch(dir, arg string) error {
	s, err := Open(dir)
	if err != nil {
		return err
	}
	if err := putOne(context.Background(), s, []byte(survivor)); err != nil {
		return err
	}
	killAt(s, arg)
	return errors.Join(errors.New("lived on"), putBatch(context.Background(), s, victimAt(step(arg))))
}

// TestKilledAtEveryStep kills a process at each step of a write. What it had
// acknowledged is there, what it was writing is whole or absent, and the first
// write of the next store removes the rest.
func TestKilledAtEveryStep(t *testing.T) {
	for _, role := range []string{"killed", "killed-batch"} {
		for _, p := range slices.Concat(steps, packSteps) {
			dir := t.TempDir()
			out, err := child(t, role, dir, string(p)).CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("%s at %s: %v, %s", role, p, err, out)
			}
			s := open(t, dir)
			if len(leftovers(t, s)) == 0 {
				t.Errorf("%s at %s: the killed process left no lock; the test proves nothing", role, p)
			}
			wantWholeOrAbsent(t, s, role+" at "+string(p))
			check(t, putOne(t.Context(), s, []byte("the next write")))
			if left := leftovers(t, s); len(left) > 0 {
				t.Errorf("%s at %s: not swept: %q", role, p, left)
			}
			wantWholeOrAbsent(t, s, role+" at "+string(p)+", swept")
			check(t, putBatch(t.Context(), s, victimAt(p)))
		}
	}
}

func wantWholeOrAbsent(t *testing.T, s *Store, what string) {
	t.Helper()
	if got, err := s.Get(t.Context(), cid.Sum([]byte(survivor)), 100); err != nil || string(got) != survivor {
		t.Errorf("%s: the acknowledged object: %q, %v", what, got, err)
	}
	for h, err := range s.List(t.Context()) {
		check(t, err)
		if _, err := s.Get(t.Context(), h, 2*smallLimit); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

const sharedObjects = 60

func sharedObject(i int) []byte { return fmt.Appendf(nil, "shared object %d", i) }

func childWriter(dir, _ string) error {
	s, err := Open(dir)
	if err != nil {
		return err
	}
	ctx := context.Background()
	b, err := s.Batch(ctx)
	if err != nil {
		return err
	}
	for i := range sharedObjects {
		var to cas.Putter = s
		if i%2 == 0 {
			to = b
		}
		if _, err := to.Put(ctx, sharedObject(i)); err != nil {
			return err
		}
	}
	return errors.Join(b.Commit(ctx), b.Close(), s.Close())
}

// TestManyProcesses has several processes make one store and write the same
// objects into it at the same time.
func TestManyProcesses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	var running []*exec.Cmd
	outputs := make([]bytes.Buffer, 6)
	for i := range outputs {
		cmd := child(t, "writer", dir, "")
		cmd.Stdout, cmd.Stderr = &outputs[i], &outputs[i]
		check(t, cmd.Start())
		running = append(running, cmd)
	}
	for i, cmd := range running {
		if err := cmd.Wait(); err != nil {
			t.Errorf("writer %d: %v, %s", i, err, &outputs[i])
		}
	}
	s := open(t, dir)
	for i := range sharedObjects {
		b := sharedObject(i)
		if got, err := s.Get(t.Context(), cid.Sum(b), 100); err != nil || !bytes.Equal(got, b) {
			t.Errorf("object %d: %q, %v", i, got, err)
		}
	}
	if left := leftovers(t, s); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// limitFiles bounds the size of files that this process writes, in bytes.
func limitFiles(n uint64) error {
	signal.Ignore(syscall.SIGXFSZ)
	limit := syscall.Rlimit{Cur: n, Max: n}
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)
}

// childLimited meets a real refusal of the kernel in the middle of a write: a
// file size limit of 64 KiB.
func childLimited(dir, _ string) error {
	if err := limitFiles(64 << 10); err != nil {
		return err
	}
	s, err := Open(dir)
	if err != nil {
		return err
	}
	ctx := context.Background()
	large := make([]byte, 100<<10)
	if err := putOne(ctx, s, large); !errors.Is(err, cas.ErrFull) {
		return fmt.Errorf("Put: %v, want %v", err, cas.ErrFull)
	}
	err = s.PutFrom(ctx, bytes.NewReader(large), cid.Sum(large), int64(len(large)))
	if !errors.Is(err, cas.ErrFull) {
		return fmt.Errorf("PutFrom: %v, want %v", err, cas.ErrFull)
	}
	if entries, err := os.ReadDir(filepath.Join(dir, tmpDir)); err != nil || len(entries) != 1 { // its lock
		return fmt.Errorf("tmp holds %v, %v", entries, err)
	}
	return errors.Join(putOne(ctx, s, large[:64<<10]), s.Close())
}

func TestFileSizeLimit(t *testing.T) {
	dir := t.TempDir()
	if out, err := child(t, "limited", dir, "").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	s := open(t, dir)
	n := 0
	for h, err := range s.List(t.Context()) {
		check(t, err)
		if _, err := s.Get(t.Context(), h, 64<<10); err != nil {
			t.Error(err)
		}
		n++
	}
	if n != 1 {
		t.Errorf("%d objects, want 1", n)
	}
}

// childUnprivileged uses a store that it may read and not write, as a user
// for whom modes count.
func childUnprivileged(dir, _ string) error {
	if err := os.Chdir(dir); err != nil {
		return err
	}
	if os.Getuid() == 0 {
		const nobody = 65534
		if err := errors.Join(syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
			return err
		}
	}
	s := newStore(".", Options{}) // Open would go through directories that nobody may
	ctx := context.Background()
	for _, want := range [][]byte{[]byte("packed"), large("readable")} {
		h := cid.Sum(want)
		if got, err := s.Get(ctx, h, smallLimit); err != nil || !bytes.Equal(got, want) {
			return fmt.Errorf("Get: %d bytes, %v", len(got), err)
		}
		if there, err := s.Has(ctx, h); !there || err != nil {
			return fmt.Errorf("Has: %v, %v", there, err)
		}
	}
	secret := cid.Sum(large("unreadable"))
	_, err := s.Get(ctx, secret, 100)
	if !errors.Is(err, cas.ErrUnavailable) {
		return fmt.Errorf("Get of what may not be read: %v, want %v", err, cas.ErrUnavailable)
	}
	if err := putOne(ctx, s, []byte("new")); !errors.Is(err, cas.ErrUnavailable) {
		return fmt.Errorf("Put: %v, want %v", err, cas.ErrUnavailable)
	}
	return s.Close()
}

func TestReadOnlyStore(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	readable, err := s.Put(t.Context(), large("readable"))
	check(t, err)
	check(t, putOne(t.Context(), s, large("unreadable")))
	check(t, putOne(t.Context(), s, []byte("packed")))
	dirs := []string{dir, filepath.Join(dir, objectsDir), filepath.Join(dir, tmpDir), s.packs.dir}
	for _, name := range fanout() {
		dirs = append(dirs, filepath.Join(dir, objectsDir, name))
	}
	for _, d := range dirs {
		check(t, os.Chmod(d, 0o555))
	}
	check(t, os.Chmod(filepath.Join(dir, formatName), 0o444))
	check(t, os.Chmod(s.packs.list[0].path, 0o444))
	check(t, os.Chmod(s.path(readable), 0o444))
	check(t, os.Chmod(s.path(cid.Sum(large("unreadable"))), 0))
	if out, err := child(t, "unprivileged", dir, "").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	for _, d := range dirs {
		check(t, os.Chmod(d, 0o700))
	}
}
