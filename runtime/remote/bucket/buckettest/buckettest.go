// Package buckettest is the acceptance suite of bucket.Bucket.
package buckettest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
)

// Run tries a bucket; open returns a new, empty one.
func Run(t *testing.T, open func(t *testing.T) bucket.Bucket) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, bucket.Bucket)
	}{
		{"PutGet", putGet},
		{"Ranges", ranges},
		{"Absent", absent},
		{"PutIfAbsent", putIfAbsent},
		{"Race", race},
		{"WrongBytes", wrongBytes},
		{"CutOff", cutOff},
		{"List", list},
		{"Keys", keys},
		{"Cancelled", cancelled},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := open(t)
			t.Cleanup(func() { noError(t, b.Close()) })
			test.run(t, b)
		})
	}
}

// Value returns a value of bytes.
func Value(b []byte) bucket.Value {
	return bucket.Value{Size: int64(len(b)), Sum: cid.Sum(b), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b)), nil
	}}
}

// Random returns n bytes of a seed.
func Random(seed uint64, n int) []byte {
	b := make([]byte, n)
	src := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	src.Read(b) // never fails
	return b
}

// sizes go from nothing to more than one part of an upload.
var sizes = []int{0, 1, 300, 64 << 10, 1<<20 + 1, 17 << 20}

func putGet(t *testing.T, b bucket.Bucket) {
	for i, size := range sizes {
		key := fmt.Sprintf("objects/ab/%d", i)
		data := Random(uint64(i), size)
		noError(t, b.Put(t.Context(), key, Value(data)))
		got, whole := get(t, b, key, 0, -1)
		if !bytes.Equal(got, data) || whole != int64(size) {
			t.Errorf("%d bytes: got %d of %d, equal %t", size, len(got), whole, bytes.Equal(got, data))
		}
		head, err := b.Head(t.Context(), key)
		if noError(t, err); head != int64(size) {
			t.Errorf("head of %d bytes: %d", size, head)
		}
		noError(t, b.Delete(t.Context(), key))
		noError(t, b.Delete(t.Context(), key))
		if _, err := b.Head(t.Context(), key); !errors.Is(err, cas.ErrNotFound) {
			t.Errorf("head of a deleted value: %v", err)
		}
	}
}

func ranges(t *testing.T, b bucket.Bucket) {
	data := Random(1, 1000)
	noError(t, b.Put(t.Context(), "r", Value(data)))
	noError(t, b.Put(t.Context(), "empty", Value(nil)))
	for _, r := range []struct{ off, n, from, to int64 }{
		{0, 10, 0, 10},
		{0, 0, 0, 0},
		{990, 10, 990, 1000},
		{990, 11, 990, 1000},
		{500, -1, 500, 1000},
		{999, 1, 999, 1000},
		{1000, 5, 0, 0},
		{1000, -1, 0, 0},
		{2000, 5, 0, 0},
		{0, 1 << 40, 0, 1000},
	} {
		got, whole := get(t, b, "r", r.off, r.n)
		if !bytes.Equal(got, data[r.from:r.to]) || whole != 1000 {
			t.Errorf("%d bytes from %d: got %d of %d", r.n, r.off, len(got), whole)
		}
		if got, whole := get(t, b, "empty", r.off, r.n); len(got) != 0 || whole != 0 {
			t.Errorf("%d bytes from %d of an empty value: got %d of %d", r.n, r.off, len(got), whole)
		}
	}
}

func absent(t *testing.T, b bucket.Bucket) {
	if _, _, err := b.Get(t.Context(), "no/such", 0, -1); !errors.Is(err, cas.ErrNotFound) {
		t.Errorf("get: %v", err)
	}
	if _, _, err := b.Get(t.Context(), "no/such", 0, 0); !errors.Is(err, cas.ErrNotFound) {
		t.Errorf("get of nothing: %v", err)
	}
	if _, err := b.Head(t.Context(), "no/such"); !errors.Is(err, cas.ErrNotFound) {
		t.Errorf("head: %v", err)
	}
	for range b.List(t.Context(), "no/") {
		t.Error("an empty bucket lists a value")
	}
}

func putIfAbsent(t *testing.T, b bucket.Bucket) {
	for _, size := range []int{10, 17 << 20} {
		key := fmt.Sprintf("once/%d", size)
		first := Random(1, size)
		noError(t, b.Put(t.Context(), key, Value(first)))
		for _, second := range [][]byte{first, Random(2, size), nil} {
			if err := b.Put(t.Context(), key, Value(second)); !errors.Is(err, bucket.ErrExists) {
				t.Errorf("another put: %v", err)
			}
		}
		if got, _ := get(t, b, key, 0, -1); !bytes.Equal(got, first) {
			t.Error("a value was replaced")
		}
	}
}

func race(t *testing.T, b bucket.Bucket) {
	var won atomic.Int32
	var winner atomic.Uint64
	var all sync.WaitGroup
	for i := range uint64(8) {
		all.Go(func() {
			err := b.Put(t.Context(), "names/a/1.0.0", Value(Random(i, 100)))
			switch {
			case err == nil:
				won.Add(1)
				winner.Store(i)
			case !errors.Is(err, bucket.ErrExists):
				t.Errorf("put: %v", err)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Fatalf("%d of 8 writers won, want 1", won.Load())
	}
	if got, _ := get(t, b, "names/a/1.0.0", 0, -1); !bytes.Equal(got, Random(winner.Load(), 100)) {
		t.Error("the value is not the winner's")
	}
}

func wrongBytes(t *testing.T, b bucket.Bucket) {
	good := Random(1, 1000)
	flipped := slices.Clone(good)
	flipped[999] ^= 1
	for name, data := range map[string][]byte{"flipped": flipped, "short": good[:999], "long": append(slices.Clone(good), 0), "empty": nil} {
		v := Value(data)
		v.Sum, v.Size = cid.Sum(good), 1000
		if err := b.Put(t.Context(), "w/"+name, v); !errors.Is(err, cas.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	v := Value(good)
	broken := errors.New("broken pipe")
	v.Open = func() (io.ReadCloser, error) { return nil, broken }
	if err := b.Put(t.Context(), "w/broken", v); !errors.Is(err, broken) {
		t.Errorf("broken source: %v", err)
	}
	for info, err := range b.List(t.Context(), "w/") {
		t.Errorf("something was kept: %v, %v", info, err)
	}
}

// cutOff has sources that end early in every way that a body can, also of a size that
// is sent in several parts: no value comes of them.
func cutOff(t *testing.T, b bucket.Bucket) {
	const size = 33 << 20
	whole := Random(1, size)
	for _, at := range []int{0, 17 << 20, size - 1} {
		for _, cause := range []error{io.EOF, io.ErrUnexpectedEOF} {
			v := Value(whole)
			opened := false
			v.Open = func() (io.ReadCloser, error) {
				if opened {
					return nil, cause // what was read cannot be read again
				}
				opened = true
				return io.NopCloser(io.MultiReader(bytes.NewReader(whole[:at]), iotest.ErrReader(cause))), nil
			}
			if err := b.Put(t.Context(), "k", v); err == nil {
				t.Errorf("%v after %d bytes: stored", cause, at)
			}
			if n, err := b.Head(t.Context(), "k"); !errors.Is(err, cas.ErrNotFound) {
				t.Fatalf("%v after %d bytes: %d bytes are stored, %v", cause, at, n, err)
			}
		}
	}
}

func list(t *testing.T, b bucket.Bucket) {
	all := []string{"a+", "a-b/c", "a/b", "a/b-c", "a/c", "ab", "b/a", "b/b/c", "b/b_2f", "c.d/e"}
	for i, key := range all {
		noError(t, b.Put(t.Context(), "l/"+key, Value(Random(1, i))))
	}
	for _, prefix := range []string{"", "l", "l/", "l/a", "l/a/", "l/b/b", "l/x", "m"} {
		var want, got []string
		for _, key := range all {
			if key = "l/" + key; len(key) >= len(prefix) && key[:len(prefix)] == prefix {
				want = append(want, key)
			}
		}
		slices.Sort(want)
		for info, err := range b.List(t.Context(), prefix) {
			noError(t, err)
			got = append(got, info.Key)
			if want := slices.Index(all, info.Key[2:]); info.Size != int64(want) {
				t.Errorf("%s has %d bytes, want %d", info.Key, info.Size, want)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("prefix %q: got %q, want %q", prefix, got, want)
		}
	}
	for range b.List(t.Context(), "l/") {
		break // a caller may stop
	}
}

func keys(t *testing.T, b bucket.Bucket) {
	for _, key := range []string{"", "/", "a/", "/a", "a//b", "..", "a/../b", ".a", "a/.b", "A", "a b", "a\x00", "é", "a/b/c/d/e/f/g/h/i"} {
		_, _, get := b.Get(t.Context(), key, 0, -1)
		_, head := b.Head(t.Context(), key)
		for _, err := range []error{b.Put(t.Context(), key, Value(nil)), get, head, b.Delete(t.Context(), key)} {
			if fault.CodeOf(err) != bucket.ErrKey {
				t.Errorf("key %q: %v", key, err)
			}
		}
	}
}

func cancelled(t *testing.T, b bucket.Bucket) {
	noError(t, b.Put(t.Context(), "c", Value(Random(1, 100))))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Put(ctx, "d", Value(Random(1, 100))); !errors.Is(err, context.Canceled) {
		t.Errorf("put: %v", err)
	}
	if _, _, err := b.Get(ctx, "c", 0, -1); !errors.Is(err, context.Canceled) {
		t.Errorf("get: %v", err)
	}
	for _, err := range b.List(ctx, "") {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("list: %v", err)
		}
	}
	if _, err := b.Head(t.Context(), "d"); !errors.Is(err, cas.ErrNotFound) {
		t.Errorf("a cancelled put left a value: %v", err)
	}
}

func get(t *testing.T, b bucket.Bucket, key string, off, n int64) (data []byte, whole int64) {
	t.Helper()
	rc, whole, err := b.Get(t.Context(), key, off, n)
	if err != nil {
		t.Fatalf("get %s: %v", key, err)
	}
	data, err = io.ReadAll(rc)
	noError(t, errors.Join(err, rc.Close()))
	return data, whole
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
