//go:build linux || darwin

package local

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

var stressOps = flag.Int("store.stress", 60, "objects that each writer of the stress test stores")

// fast is a clock on which an hour takes half a second, so that whatever nobody
// keeps is old at once. start is in Unix nanoseconds.
func fast(start int64) func() time.Time {
	return func() time.Time {
		at := time.Unix(0, start)
		return at.Add(7200 * time.Since(at))
	}
}

// stressObject returns object i of those that all writers share, small or large.
func stressObject(i int) []byte {
	b := fmt.Appendf(nil, "stress %d ", i)
	if i%5 == 0 {
		return append(b, make([]byte, smallLimit)...)
	}
	return append(b, make([]byte, i*13)...)
}

func openFast(dir, start string) (*Store, error) {
	n, err := strconv.ParseInt(start, 10, 64)
	if err != nil {
		return nil, err
	}
	return OpenWith(dir, Options{Clock: fast(n), PackSize: 300_000})
}

func stopped(dir string) bool {
	_, err := os.Lstat(filepath.Join(filepath.Dir(dir), "stop"))
	return err == nil
}

// childStressWriter tags what it is about to store, stores or finds it, tags it as
// there for readers to check, and lets older ones go.
func childStressWriter(dir, arg string) error {
	start, rest, _ := strings.Cut(arg, " ")
	me, ops, _ := strings.Cut(rest, " ")
	s, err := openFast(dir, start)
	if err != nil {
		return err
	}
	count, err := strconv.Atoi(ops)
	if err != nil {
		return err
	}
	ctx := context.Background()
	for n := range count {
		o := stressObject(rand.IntN(60))
		h := cid.Sum(o)
		name := me + "-" + strconv.Itoa(n)
		if err := s.SetTag("pending-"+name, h); err != nil {
			return err
		}
		there, err := s.Has(ctx, h)
		if err == nil && !there {
			_, err = s.Put(ctx, o)
		}
		if err == nil {
			err = s.SetTag("there-"+name, h)
		}
		if err == nil {
			err = errors.Join(s.RemoveTag("pending-"+name), wantStressed(ctx, s, h, "just stored"))
		}
		if err == nil && n >= 10 {
			err = s.RemoveTag("there-" + me + "-" + strconv.Itoa(n-10))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return s.Close()
}

func wantStressed(ctx context.Context, s *Store, h cid.Hash, what string) error {
	if _, err := s.Get(ctx, h, 2*smallLimit); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// childStressReader reads what is tagged as there.
func childStressReader(dir, start string) error {
	s, err := openFast(dir, start)
	if err != nil {
		return err
	}
	for !stopped(dir) {
		tags, err := s.Tags()
		if err != nil {
			return err
		}
		for _, x := range tags {
			if !strings.HasPrefix(x.Name, "there-") {
				continue
			}
			if err := wantStressed(context.Background(), s, x.CID, x.Name); err != nil {
				if _, gone := s.TagOf(x.Name); !errors.Is(gone, ErrNoTag) {
					return err
				}
			}
		}
	}
	return s.Close()
}

// childStressCollector collects all the time.
func childStressCollector(dir, start string) error {
	s, err := openFast(dir, start)
	if err != nil {
		return err
	}
	removed := int64(0)
	for !stopped(dir) {
		x, err := s.Collect(context.Background(), CollectOptions{Mark: func(_ context.Context, keep func(cid.Hash)) error {
			tags, err := s.Tags()
			for _, x := range tags {
				keep(x.CID)
			}
			return err
		}})
		if err != nil && !errors.Is(err, ErrBusy) {
			return err
		}
		removed += x.Removed
	}
	fmt.Println("removed", removed)
	return s.Close()
}

// TestStress runs eight writers, four readers and two collectors, each a process,
// on one store: nothing that a tag keeps is ever missing.
func TestStress(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	start := strconv.FormatInt(time.Now().UnixNano(), 10)
	var writers, others []*exec.Cmd
	outputs := map[*exec.Cmd]*bytes.Buffer{}
	run := func(list *[]*exec.Cmd, n int, role string, arg func(i int) string) {
		for i := range n {
			cmd, out := child(t, role, dir, arg(i)), new(bytes.Buffer)
			cmd.Stdout, cmd.Stderr = out, out
			outputs[cmd] = out
			check(t, cmd.Start())
			*list = append(*list, cmd)
		}
	}
	run(&writers, 8, "stress-writer", func(i int) string { return fmt.Sprintf("%s w%d %d", start, i, *stressOps) })
	run(&others, 4, "stress-reader", func(int) string { return start })
	run(&others, 2, "stress-collector", func(int) string { return start })
	for _, cmd := range writers {
		if err := cmd.Wait(); err != nil {
			t.Errorf("a writer: %v, %s", err, outputs[cmd])
		}
	}
	check(t, os.WriteFile(filepath.Join(filepath.Dir(dir), "stop"), nil, 0o600))
	removed := 0
	for _, cmd := range others {
		if err := cmd.Wait(); err != nil {
			t.Errorf("a reader or collector: %v, %s", err, outputs[cmd])
		}
		var n int
		if _, err := fmt.Sscanf(outputs[cmd].String(), "removed %d", &n); err == nil {
			removed += n
		}
	}
	t.Logf("%d objects were collected", removed)
	if removed == 0 {
		t.Error("nothing was ever collected; the test proves nothing")
	}
	s := open(t, dir)
	v, err := s.Verify(t.Context(), VerifyOptions{})
	if err != nil || len(v.Damaged) > 0 {
		t.Errorf("verify says %+v, %v", v, err)
	}
}

// childAcknowledger stores objects from several goroutines and says so of each
// when it is stored, until it is killed.
func childAcknowledger(dir, seed string) error {
	s, err := Open(dir)
	if err != nil {
		return err
	}
	errs := make(chan error)
	for g := range 4 {
		go func() {
			for i := 0; ; i++ {
				o := fmt.Appendf(nil, "%s %d %d", seed, g, i)
				if i%20 == 0 {
					o = append(o, make([]byte, smallLimit)...)
				}
				h, err := s.Put(context.Background(), o)
				if err != nil {
					errs <- err
					return
				}
				fmt.Println(h)
			}
		}()
	}
	return <-errs
}

// TestKilledAtRandom kills writers in the middle of their work: what they said was
// stored is there, and nothing is damaged.
func TestKilledAtRandom(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	r := rand.New(rand.NewPCG(1, 2))
	var acknowledged []cid.Hash
	for round := range 8 {
		var running []*exec.Cmd
		for i := range 2 {
			cmd := child(t, "acknowledger", dir, fmt.Sprintf("%d-%d", round, i))
			out, err := cmd.StdoutPipe()
			check(t, err)
			check(t, cmd.Start())
			running = append(running, cmd)
			lines := bufio.NewScanner(out)
			for n := 5 + r.IntN(60); n > 0 && lines.Scan(); n-- {
				h, err := cid.Parse(lines.Text())
				check(t, err)
				acknowledged = append(acknowledged, h)
			}
		}
		for _, cmd := range running {
			check(t, cmd.Process.Kill())
			_ = cmd.Wait() // it was killed
		}
		s := open(t, dir)
		for _, h := range acknowledged {
			if _, err := s.Get(t.Context(), h, 2*smallLimit); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
		}
		check(t, putOne(t.Context(), s, fmt.Appendf(nil, "round %d", round)))
		v, err := s.Verify(t.Context(), VerifyOptions{})
		if err != nil || len(v.Damaged) > 0 {
			t.Fatalf("round %d: verify says %+v, %v", round, v.Damaged, err)
		}
		check(t, s.Close())
	}
	if n := len(packPaths(t, dir)); n > 4 {
		t.Errorf("%d packs; those of the dead are not taken over", n)
	}
}

// childFull meets a refusal of the kernel in the middle of a pack: a file size
// limit of 20 KB.
func childFull(dir, _ string) error {
	if err := limitFiles(20_000); err != nil {
		return err
	}
	s, err := Open(dir)
	if err != nil {
		return err
	}
	ctx := context.Background()
	var stored [][]byte
	for i := 0; ; i++ {
		o := append(fmt.Appendf(nil, "object %d", i), make([]byte, 3000)...)
		h, err := s.Put(ctx, o)
		if err == nil {
			stored = append(stored, o)
			continue
		}
		if !errors.Is(err, cas.ErrFull) || !strings.Contains(err.Error(), h.String()) || len(stored) < 5 {
			return fmt.Errorf("object %d: %w, want %w", i, err, cas.ErrFull)
		}
		break
	}
	for _, o := range stored {
		if err := wantStressed(ctx, s, cid.Sum(o), "stored before"); err != nil {
			return err
		}
	}
	_, err = s.Put(ctx, []byte("it fits"))
	return errors.Join(err, s.Close())
}

func TestPackSizeLimit(t *testing.T) {
	dir := t.TempDir()
	if out, err := child(t, "full", dir, "").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	s := open(t, dir)
	wantAll(t, s, "after the limit", [][]byte{[]byte("it fits")})
	v, err := s.Verify(t.Context(), VerifyOptions{})
	if err != nil || len(v.Damaged) > 0 || v.Objects != 7 {
		t.Errorf("verify says %+v, %v; want 7 objects", v, err)
	}
}
