// Package castest is the acceptance suite of cas.Store: every store runs it,
// and a store that passes can stand in for any other.
package castest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// Harness makes the stores under test and reaches behind them. All fields are
// required.
type Harness struct {
	// New returns an empty store that lives as long as the test.
	New func(t *testing.T) cas.Store
	// Damage makes what s keeps under h be exactly b.
	Damage func(t *testing.T, s cas.Store, h cid.Hash, b []byte)
	// Stored returns what s keeps under h, unchecked.
	Stored func(t *testing.T, s cas.Store, h cid.Hash) []byte
	// Leftovers names what s holds beside objects: unfinished writes.
	Leftovers func(t *testing.T, s cas.Store) []string
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	for name, test := range map[string]func(*testing.T, Harness){
		"RoundTrip":        roundTrip,
		"Absent":           absent,
		"Bound":            bound,
		"CallersBytes":     callersBytes,
		"PutFromRefuses":   putFromRefuses,
		"SourceFails":      sourceFails,
		"List":             list,
		"Damaged":          damaged,
		"DamagedIsKept":    damagedIsKept,
		"StreamStopsEarly": streamStopsEarly,
		"Cancelled":        cancelled,
		"CancelledMidway":  cancelledMidway,
		"SameObject":       sameObject,
		"ManyObjects":      manyObjects,
		"Batch":            batch,
		"BatchDropped":     batchDropped,
		"BatchRefuses":     batchRefuses,
		"BatchConcurrent":  batchConcurrent,
		"BatchDamaged":     batchDamaged,
		"Blobs":            blobs,
		"BlobRefuses":      blobRefuses,
		"BlobDamaged":      blobDamaged,
	} {
		t.Run(name, func(t *testing.T) { test(t, h) })
	}
}

const much = 1 << 40 // a bound that no test object reaches

// sizes are around every buffer size a store is likely to have.
var sizes = []int{0, 1, 31, 4095, 4096, 4097, 64 << 10, 256<<10 + 1, 1 << 20, 4<<20 + 3}

// object returns n bytes that differ for every n.
func object(n int) []byte {
	b := make([]byte, n)
	seed := [32]byte{}
	binary.BigEndian.PutUint64(seed[:], uint64(n))
	_, _ = rand.NewChaCha8(seed).Read(b) // never fails
	return b
}

func put(t *testing.T, s cas.Putter, b []byte) cid.Hash {
	t.Helper()
	h, err := s.Put(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	if h != cid.Sum(b) {
		t.Fatalf("Put returned %s, want %s", h, cid.Sum(b))
	}
	return h
}

func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: error %v, want %v", what, got, want)
	}
}

// wantHeld checks that s holds exactly the objects, each readable both ways,
// and nothing half done.
func wantHeld(t *testing.T, hn Harness, s cas.Store, objects ...[]byte) {
	t.Helper()
	want := []string{}
	for _, b := range objects {
		h := cid.Sum(b)
		want = append(want, h.String())
		wantObject(t, s, h, b)
	}
	slices.Sort(want)
	want = slices.Compact(want)
	if diff := cmp.Diff(want, listed(t, s)); diff != "" {
		t.Errorf("listed (-want +got):\n%s", diff)
	}
	if left := hn.Leftovers(t, s); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func wantObject(t *testing.T, s cas.Store, h cid.Hash, b []byte) {
	t.Helper()
	got, err := s.Get(t.Context(), h, int64(len(b)))
	if err != nil || !bytes.Equal(got, b) {
		t.Errorf("Get %s: %d bytes, %v; want %d", h, len(got), err, len(b))
	}
	if held, err := s.Has(t.Context(), h); !held || err != nil {
		t.Errorf("Has %s: %v, %v", h, held, err)
	}
	r, size, err := s.Open(t.Context(), h)
	if err != nil {
		t.Errorf("Open: %v", err)
		return
	}
	defer r.Close()
	got, err = io.ReadAll(r)
	if err != nil || size != int64(len(b)) || !bytes.Equal(got, b) {
		t.Errorf("Open %s: %d bytes of %d, %v; want %d", h, len(got), size, err, len(b))
	}
}

func listed(t *testing.T, s cas.Store) []string {
	t.Helper()
	got := []string{}
	for h, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, h.String())
	}
	if !slices.IsSorted(got) {
		t.Errorf("List is not ascending: %q", got)
	}
	return got
}

func roundTrip(t *testing.T, hn Harness) {
	s := hn.New(t)
	objects := [][]byte{}
	for i, n := range sizes {
		b := object(n)
		objects = append(objects, b)
		if i%2 == 0 {
			put(t, s, b)
		}
		// One byte at a time, the end reported with the last one or after it.
		for _, r := range []io.Reader{bytes.NewReader(b), iotest.DataErrReader(bytes.NewReader(b))} {
			if n <= 4097 {
				r = iotest.OneByteReader(r)
			}
			if err := s.PutFrom(t.Context(), r, cid.Sum(b), int64(n)); err != nil {
				t.Fatalf("%d bytes: %v", n, err)
			}
		}
		put(t, s, b) // again
	}
	wantHeld(t, hn, s, objects...)
}

func absent(t *testing.T, hn Harness) {
	s := hn.New(t)
	for range 2 { // before and after the first write
		h := cid.Sum([]byte("absent"))
		_, err := s.Get(t.Context(), h, much)
		wantErr(t, "Get", err, cas.ErrNotFound)
		_, _, err = s.Open(t.Context(), h)
		wantErr(t, "Open", err, cas.ErrNotFound)
		if !strings.Contains(fmt.Sprint(err), h.String()) {
			t.Errorf("the error does not name the object: %v", err)
		}
		if held, err := s.Has(t.Context(), h); held || err != nil {
			t.Errorf("Has: %v, %v", held, err)
		}
		put(t, s, []byte("present"))
	}
	wantHeld(t, hn, s, []byte("present"))
}

func bound(t *testing.T, hn Harness) {
	s := hn.New(t)
	for _, n := range sizes {
		h := put(t, s, object(n))
		got, err := s.Get(t.Context(), h, int64(n))
		if err != nil || len(got) != n {
			t.Errorf("Get of %d bytes, at most %d: %v", n, n, err)
		}
		for _, limit := range []int64{int64(n) - 1, -1} {
			b, err := s.Get(t.Context(), h, limit)
			wantErr(t, fmt.Sprintf("Get of %d bytes, at most %d", n, limit), err, cas.ErrTooLarge)
			if b != nil {
				t.Error("bytes came with the error")
			}
		}
	}
}

// callersBytes checks that neither side can change the other's memory.
func callersBytes(t *testing.T, hn Harness) {
	s := hn.New(t)
	b := object(4096)
	h := put(t, s, b)
	b[0] ^= 1
	got, err := s.Get(t.Context(), h, much)
	if err != nil {
		t.Fatal(err)
	}
	got[1] ^= 1
	b[0] ^= 1
	wantHeld(t, hn, s, b)
}

func putFromRefuses(t *testing.T, hn Harness) {
	s := hn.New(t)
	b := object(300 << 10)
	put(t, s, []byte("held"))
	for _, want := range []cid.Hash{cid.Sum(b), cid.Sum([]byte("held"))} {
		for name, c := range map[string]struct {
			b    []byte
			size int64
		}{
			"wrong bytes":    {append(bytes.Clone(b[:len(b)-1]), b[len(b)-1]^1), int64(len(b))},
			"one byte less":  {b[:len(b)-1], int64(len(b))},
			"one byte more":  {append(bytes.Clone(b), 0), int64(len(b))},
			"nothing":        {nil, int64(len(b))},
			"nothing wanted": {b, 0},
			"negative size":  {b, -1},
			"smaller size":   {b, int64(len(b)) - 1},
		} {
			err := s.PutFrom(t.Context(), bytes.NewReader(c.b), want, c.size)
			wantErr(t, name, err, cas.ErrMismatch)
		}
	}
	// A size is a promise, not a buffer to be made before the bytes are there.
	err := s.PutFrom(t.Context(), bytes.NewReader(b), cid.Sum(b), much)
	wantErr(t, "a huge size", err, cas.ErrMismatch)
	endless := &counter{r: zeros{}}
	err = s.PutFrom(t.Context(), endless, cid.Sum(b), int64(len(b)))
	wantErr(t, "an endless body", err, cas.ErrMismatch)
	if endless.n > int64(len(b))+1 {
		t.Errorf("read %d bytes of an endless body, want at most %d", endless.n, len(b)+1)
	}
	wantHeld(t, hn, s, []byte("held"))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func sourceFails(t *testing.T, hn Harness) {
	s := hn.New(t)
	b := object(100_000)
	broken := errors.New("the network went away")
	for _, n := range []int{0, 1, 50_000, len(b)} {
		r := io.MultiReader(bytes.NewReader(b[:n]), iotest.ErrReader(broken))
		err := s.PutFrom(t.Context(), r, cid.Sum(b), int64(len(b)))
		wantErr(t, fmt.Sprintf("source fails after %d bytes", n), err, broken)
		for _, code := range []error{cas.ErrUnavailable, cas.ErrFull, cas.ErrCorrupt} {
			if errors.Is(err, code) {
				t.Errorf("the store took the blame: %v", err)
			}
		}
	}
	wantHeld(t, hn, s)
}

func list(t *testing.T, hn Harness) {
	s := hn.New(t)
	wantHeld(t, hn, s)
	objects := [][]byte{}
	for i := range 300 {
		objects = append(objects, fmt.Appendf(nil, "object %d", i))
		put(t, s, objects[i])
	}
	wantHeld(t, hn, s, objects...)
	seen := 0
	for _, err := range s.List(t.Context()) { // stopping early is allowed
		if err != nil {
			t.Fatal(err)
		}
		if seen++; seen == 3 {
			break
		}
	}
	if seen != 3 {
		t.Errorf("saw %d objects before stopping, want 3", seen)
	}
}

func streamStopsEarly(t *testing.T, hn Harness) {
	s := hn.New(t)
	b := object(1 << 20)
	h := put(t, s, b)
	r, _, err := s.Open(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 1000)
	if _, err := io.ReadFull(r, head); err != nil || !bytes.Equal(head, b[:1000]) {
		t.Errorf("first bytes: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("closing early: %v", err)
	}
	wantHeld(t, hn, s, b)
}

func cancelled(t *testing.T, hn Harness) {
	s := hn.New(t)
	kept := object(100)
	h := put(t, s, kept)
	ctx, cancel := context.WithCancel(t.Context())
	open, _, err := s.Open(ctx, h)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	cancel()
	lost := object(200)
	_, putErr := s.Put(ctx, lost)
	_, getErr := s.Get(ctx, h, much)
	_, _, openErr := s.Open(ctx, h)
	_, hasErr := s.Has(ctx, h)
	_, readErr := open.Read(make([]byte, 10))
	for what, err := range map[string]error{
		"Put":     putErr,
		"PutFrom": s.PutFrom(ctx, bytes.NewReader(lost), cid.Sum(lost), 200),
		"Get":     getErr,
		"Open":    openErr,
		"Has":     hasErr,
		"Read":    readErr,
	} {
		wantErr(t, what, err, context.Canceled)
	}
	for _, err := range s.List(ctx) {
		wantErr(t, "List", err, context.Canceled)
	}
	wantHeld(t, hn, s, kept)
}

// hook calls f once, before the read that would pass n bytes.
type hook struct {
	r io.Reader
	n int
	f func()
}

func (h *hook) Read(p []byte) (int, error) {
	if h.n -= len(p); h.n < 0 && h.f != nil {
		h.f()
		h.f = nil
	}
	return h.r.Read(p)
}

func cancelledMidway(t *testing.T, hn Harness) {
	s := hn.New(t)
	b := object(3 << 20)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := s.PutFrom(ctx, &hook{bytes.NewReader(b), 1 << 20, cancel}, cid.Sum(b), int64(len(b)))
	wantErr(t, "PutFrom", err, context.Canceled)
	wantHeld(t, hn, s)
}

func sameObject(t *testing.T, hn Harness) {
	s := hn.New(t)
	b := object(100_000)
	h := cid.Sum(b)
	concurrently(t, 24, func(i int) error {
		if i%3 == 0 {
			return s.PutFrom(t.Context(), bytes.NewReader(b), h, int64(len(b)))
		}
		if _, err := s.Put(t.Context(), b); err != nil {
			return err
		}
		got, err := s.Get(t.Context(), h, much) // from now on it is there, whole
		if err == nil && !bytes.Equal(got, b) {
			err = errors.New("other bytes")
		}
		return err
	})
	wantHeld(t, hn, s, b)
}

func manyObjects(t *testing.T, hn Harness) {
	s := hn.New(t)
	objects := make(map[int][]byte)
	for i := range 64 {
		objects[i] = object(i * 100)
	}
	concurrently(t, len(objects), func(i int) error {
		_, err := s.Put(t.Context(), objects[i])
		for _, listErr := range s.List(t.Context()) {
			err = errors.Join(err, listErr)
		}
		return err
	})
	wantHeld(t, hn, s, slices.Collect(maps.Values(objects))...)
}

// concurrently runs f(0) to f(n-1), all started before any may end.
func concurrently(t *testing.T, n int, f func(i int) error) {
	t.Helper()
	start, errs := make(chan struct{}), make(chan error)
	for i := range n {
		go func() {
			<-start
			errs <- f(i)
		}()
	}
	close(start)
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
