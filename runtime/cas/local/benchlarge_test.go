package local

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// BenchmarkPaired prints what scripts/bench-store.sh records: in each round every
// contender runs once, one after the other, and ratios are of medians. The sizes
// are MYTHOS_BENCH_MIB, of the large object, and MYTHOS_BENCH_OBJECTS.
func BenchmarkPaired(b *testing.B) {
	b.Run("large", benchLarge)
	b.Run("small", benchSmall)
}

func number(b *testing.B, name string, otherwise int) int {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n <= 0 {
		b.Fatalf("%s=%q", name, text)
	}
	return n
}

// contest is what one contender took, round by round.
type contest map[string][]time.Duration

func (c contest) run(b *testing.B, name string, f func() error) {
	b.Helper()
	start := time.Now()
	if err := f(); err != nil {
		b.Fatalf("%s: %v", name, err)
	}
	c[name] = append(c[name], time.Since(start))
}

func (c contest) median(name string) time.Duration {
	all := slices.Sorted(slices.Values(c[name]))
	return all[len(all)/2]
}

func benchLarge(b *testing.B) {
	size := int64(number(b, "MYTHOS_BENCH_MIB", 64)) << 20
	dir := b.TempDir()
	src := filepath.Join(dir, "source")
	took := contest{}
	for round := range b.N {
		id := writeRandom(b, src, size, uint64(round))
		s, err := Open(filepath.Join(dir, "store"))
		if err != nil {
			b.Fatal(err)
		}
		if err := putOne(b.Context(), s, []byte("makes the folder")); err != nil {
			b.Fatal(err)
		}
		copied := filepath.Join(dir, "copy")
		took.run(b, "cp", func() error { return copySynced(copied, src) })
		took.run(b, "put", func() error {
			f, err := os.Open(src)
			if err != nil {
				return err
			}
			return errors.Join(s.PutFrom(b.Context(), f, id, size), f.Close())
		})
		took.run(b, "sha", func() error {
			f, err := os.Open(copied)
			if err != nil {
				return err
			}
			_, err = io.CopyBuffer(sha256.New(), struct{ io.Reader }{f}, make([]byte, 256<<10))
			return errors.Join(err, f.Close())
		})
		took.run(b, "get", func() error {
			r, _, err := s.Open(b.Context(), id)
			if err != nil {
				return err
			}
			_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, make([]byte, 256<<10))
			return errors.Join(err, r.Close())
		})
		if err := errors.Join(os.Remove(s.path(id)), os.Remove(copied), s.Close()); err != nil {
			b.Fatal(err)
		}
	}
	if b.N == 1 {
		return // the warm-up that package testing runs first
	}
	rate := func(name string) float64 { return float64(size) / 1e6 / took.median(name).Seconds() }
	fmt.Printf("\n  cp and sync of %d MiB: %.0f MB/s\n", size>>20, rate("cp"))
	fmt.Printf("  durable put: %.0f MB/s, %.2f of cp and sync\n", rate("put"), rate("put")/rate("cp"))
	fmt.Printf("  bare SHA-256 of a file: %.0f MB/s\n", rate("sha"))
	fmt.Printf("  verified get: %.0f MB/s, %.2f of bare SHA-256\n", rate("get"), rate("get")/rate("sha"))
}

// writeRandom writes a file that nothing can compress, and returns its hash.
func writeRandom(b *testing.B, path string, size int64, seed uint64) cid.Hash {
	b.Helper()
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	sum := sha256.New()
	_, err = io.CopyN(io.MultiWriter(f, sum), rand.NewChaCha8(key), size)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		b.Fatal(err)
	}
	return cid.Hash(sum.Sum(nil))
}

func copySynced(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in) // the kernel copies, as cp does
	return errors.Join(err, out.Sync(), out.Close())
}

func benchSmall(b *testing.B) {
	count := number(b, "MYTHOS_BENCH_OBJECTS", 2000)
	s, err := Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	if err := putOne(b.Context(), s, []byte("makes the folder")); err != nil {
		b.Fatal(err)
	}
	took, serial := contest{}, 0
	objects := func() [][]byte {
		var all [][]byte
		for range count {
			serial++
			all = append(all, append(bytes.Repeat([]byte{'x'}, 180), fmt.Sprintf("%020d", serial)...))
		}
		return all
	}
	for range b.N {
		packed := objects()
		took.run(b, "pack", func() error {
			return from16(packed, func(o []byte) error { return putOne(b.Context(), s, o) })
		})
		took.run(b, "get", func() error {
			return from16(packed, func(o []byte) error { _, err := s.Get(b.Context(), cid.Sum(o), 1000); return err })
		})
		took.run(b, "file", func() error {
			return from16(objects(), func(o []byte) error { return putFile(b.Context(), s, o) })
		})
	}
	if b.N == 1 {
		return // the warm-up that package testing runs first
	}
	rate := func(name string) float64 { return float64(count) / took.median(name).Seconds() }
	fmt.Printf("\n  %d durable puts of 200 bytes, a file each, 16 callers: %.0f/s\n", count, rate("file"))
	fmt.Printf("  into packs: %.0f/s, %.1f times that\n", rate("pack"), rate("pack")/rate("file"))
	fmt.Printf("  verified gets of these: %.0f/s\n", rate("get"))
}

// from16 calls f for each object from 16 goroutines.
func from16(objects [][]byte, f func([]byte) error) error {
	work, errs := make(chan []byte), make(chan error)
	for range 16 {
		go func() {
			var first error
			for o := range work {
				if err := f(o); err != nil && first == nil {
					first = err
				}
			}
			errs <- first
		}()
	}
	for _, o := range objects {
		work <- o
	}
	close(work)
	var all []error
	for range 16 {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}
