package merkle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// store is a map of nodes for tests.
type store map[cid.Hash][]byte

func (s store) put(id cid.Hash, b []byte) error {
	s[id] = append([]byte(nil), b...)
	return nil
}

func (s store) get(id cid.Hash, limit int64) ([]byte, error) {
	b, ok := s[id]
	if !ok {
		return nil, errMissing
	}
	if int64(len(b)) > limit {
		return nil, errors.New("over the limit")
	}
	return b, nil
}

var errMissing = errors.New("missing")

// value is value i of every list here: the SHA-256 of i in eight bytes.
func value(i uint64) cid.Hash {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], i)
	return cid.Sum(b[:])
}

// build makes the list of n values.
func build(t testing.TB, n uint64) (store, *cid.Hash) {
	t.Helper()
	s := store{}
	b := NewBuilder(s.put)
	for i := range n {
		if err := b.Add(value(i)); err != nil {
			t.Fatal(err)
		}
	}
	root, err := b.Root()
	if err != nil {
		t.Fatal(err)
	}
	return s, root
}

func open(t testing.TB, s store, root *cid.Hash) *List {
	t.Helper()
	l, err := OpenList(root, s.get)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// naive builds a list as RFC-MYTHOS-0004 §2 tells it, layer by layer.
func naive(values []cid.Hash) *cid.Hash {
	if len(values) == 0 {
		return nil
	}
	type node struct {
		id    cid.Hash
		count uint64
	}
	var layer []node
	for len(values) > 0 {
		n := min(Fanout, len(values))
		x := ListLeaf{Values: values[:n]}
		id, _ := CloseNode(KindListLeaf, x.AppendCAN(nil))
		layer = append(layer, node{id, uint64(n)})
		values = values[n:]
	}
	for len(layer) > 1 {
		var next []node
		for len(layer) > 0 {
			n := min(Fanout, len(layer))
			group := layer[:n]
			layer = layer[n:]
			if n == 1 {
				next = append(next, group[0])
				continue
			}
			var x ListInternal
			for _, c := range group {
				x.Children = append(x.Children, c.id)
				x.Count += c.count
			}
			id, _ := CloseNode(KindListInternal, x.AppendCAN(nil))
			next = append(next, node{id, x.Count})
		}
		layer = next
	}
	return &layer[0].id
}

func TestRoots(t *testing.T) {
	// The roots of RFC-MYTHOS-0004 §2.
	for n, want := range map[uint64]string{
		1:       "f7926cff799fef6f5dec319c054cc36fb708e5fdbd2cec40b30859590e89405b",
		1024:    "399ec11bf5e45f2184ffb0d6d2f65c2dabe13fb77cd60e0ef804b1ee789ccd3e",
		1025:    "0886d928f93585d7c4bd1085caaf01a1c24273bcee1d1eebcd1366bd6dd68dc9",
		2048:    "e3cdf4e4270b88cbccc1af54701f31322975cc35b36ceb023cdcf02b88256dc5",
		1048577: "43bb00f6df9cbd328ce04a325b47e9d519d397aeb235c6ee41f506060265297f",
	} {
		b := NewBuilder(nil)
		for i := range n {
			if err := b.Add(value(i)); err != nil {
				t.Fatal(err)
			}
		}
		root, err := b.Root()
		if err != nil || root.Hex() != want || b.Count() != n {
			t.Errorf("%d values: got %v, %v, want %s", n, root, err, want)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	for _, n := range []uint64{0, 1, 2, 1023, 1024, 1025, 2047, 2048, 2049, 3000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			s, root := build(t, n)
			var values []cid.Hash
			for i := range n {
				values = append(values, value(i))
			}
			if want := naive(values); !cmp.Equal(root, want) || !cmp.Equal(Root(values), want) {
				t.Errorf("got roots %v and %v, want %v", root, Root(values), want)
			}
			l := open(t, s, root)
			if l.Count() != n {
				t.Errorf("got %d values, want %d", l.Count(), n)
			}
			i := uint64(0)
			for v, err := range l.All() {
				if err != nil || v != value(i) {
					t.Fatalf("value %d: got %s, %v", i, v, err)
				}
				i++
			}
			if i != n {
				t.Errorf("walked %d values, want %d", i, n)
			}
			if _, err := l.At(n); !errors.Is(err, ErrRange) {
				t.Errorf("value %d: got %v, want %s", n, err, ErrRange)
			}
		})
	}
}

func TestThirdLevel(t *testing.T) {
	const n = 1024*1024 + 1025
	s, root := build(t, n)
	l := open(t, s, root)
	for _, i := range []uint64{0, 1, 1023, 1024, 1024*1024 - 1, 1024 * 1024, 1024*1024 + 1023, n - 1} {
		v, err := l.At(i)
		if err != nil || v != value(i) {
			t.Errorf("value %d: got %s, %v", i, v, err)
		}
		proof, err := l.Prove(i)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Check(*root, proof)
		if want := (Included{value(i), i, n}); err != nil || got != want {
			t.Errorf("proof of %d: got %+v, %v", i, got, err)
		}
	}
	proof, err := l.ProveRange(Span{1024*1024 - 2, 1027})
	if err != nil {
		t.Fatal(err)
	}
	got, err := CheckRange(*root, proof)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range got.IDs {
		if v != value(got.First+uint64(i)) {
			t.Errorf("value %d of the range is wrong", i)
		}
	}
	if len(got.IDs) != 1027 || got.Count != n {
		t.Errorf("got %d of %d values", len(got.IDs), got.Count)
	}
	if _, err := l.ProveRange(Span{0, n}); !errors.Is(err, ErrRange) {
		t.Errorf("a proof over everything: got %v, want %s", err, ErrRange)
	}
}

// TestCursorSeeks walks short ranges at random places with one Cursor.
func TestCursorSeeks(t *testing.T) {
	const n = 5000
	s, root := build(t, n)
	c := NewCursor(ListForm{}, *root)
	wantCode(t, c.Seek(Span{0, 1}), ErrRange)
	wantCode(t, c.Take(), ErrProof)
	if err := c.Node(s[*root]); err != nil {
		t.Fatal(err)
	}
	wantCode(t, c.Take(), ErrProof)
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.Uint64Range(0, n-1).Draw(t, "first")
		span := Span{first, min(rapid.Uint64Range(1, 1500).Draw(t, "count"), n-first)}
		if err := c.Seek(span); err != nil {
			t.Fatal(err)
		}
		at := span.First
		stop := rapid.Uint64Range(at, span.End()).Draw(t, "stop") // the rest is left untaken
		for w, ok := c.Want(); ok && at < stop; w, ok = c.Want() {
			if !w.Item {
				if err := c.Node(s[w.ID]); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if w.ID != value(at) || w.Index != at || !errors.Is(c.Node(s[*root]), ErrProof) {
				t.Fatalf("at %d: %+v", at, w)
			}
			if err := c.Take(); err != nil {
				t.Fatal(err)
			}
			at++
		}
		if at != stop {
			t.Fatalf("ended at %d, want %d", at, stop)
		}
	})
}

// TestSeekKeepsNodes checks that a Cursor asks again only for nodes that it
// does not hold, at the edges of a leaf.
func TestSeekKeepsNodes(t *testing.T) {
	s, root := build(t, 3000)
	c := NewCursor(ListForm{}, *root)
	if err := c.Node(s[*root]); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		index uint64
		held  bool
	}{{1023, false}, {1023, true}, {0, true}, {1024, false}, {2047, true}, {1023, false}, {2048, false}, {2047, false}} {
		if err := c.Seek(Span{step.index, 1}); err != nil {
			t.Fatal(err)
		}
		w, ok := c.Want()
		if !ok || w.Item != step.held {
			t.Errorf("at %d: wants %+v, want an item: %t", step.index, w, step.held)
		}
		if !w.Item {
			if err := c.Node(s[w.ID]); err != nil {
				t.Fatal(err)
			}
		}
		if w, _ := c.Want(); w.ID != value(step.index) {
			t.Errorf("at %d: wants %+v", step.index, w)
		}
	}
}

func TestGetErrorsPassThrough(t *testing.T) {
	s, root := build(t, 1025)
	other := cid.Sum(nil)
	if _, err := OpenList(&other, s.get); !errors.Is(err, errMissing) {
		t.Errorf("OpenList: %v", err)
	}
	l := open(t, s, root)
	delete(s, leafOf(store{}, 1024, 1025))
	if _, err := l.At(1024); !errors.Is(err, errMissing) {
		t.Errorf("At: %v", err)
	}
	if _, err := l.Prove(1024); !errors.Is(err, errMissing) {
		t.Errorf("Prove: %v", err)
	}
	if _, err := l.ProveRange(Span{0, 1025}); !errors.Is(err, errMissing) {
		t.Errorf("ProveRange: %v", err)
	}
}

func TestBuilderGoesOn(t *testing.T) {
	// Root may be asked for at any time and changes nothing.
	b := NewBuilder(nil)
	var values []cid.Hash
	for i := range uint64(2100) {
		values = append(values, value(i))
		if err := b.Add(value(i)); err != nil {
			t.Fatal(err)
		}
		if i%97 != 0 && i != 1023 && i != 1024 {
			continue
		}
		if got, err := b.Root(); err != nil || *got != *naive(values) {
			t.Fatalf("after %d values: got %s, %v", i+1, got, err)
		}
	}
}

func TestBuilderErrors(t *testing.T) {
	fail := errors.New("disk full")
	b := NewBuilder(func(cid.Hash, []byte) error { return fail })
	for i := range uint64(Fanout - 1) {
		if err := b.Add(value(i)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := b.Add(value(0)); !errors.Is(err, fail) {
			t.Errorf("got %v, want the put's error", err)
		}
	}
	if root, err := b.Root(); !errors.Is(err, fail) || root != nil {
		t.Errorf("got %v, %v", root, err)
	}
	b = NewBuilder(nil)
	b.count = MaxCount
	if err := b.Add(value(0)); !errors.Is(err, ErrRange) {
		t.Errorf("got %v, want %s", err, ErrRange)
	}
}

func TestWidth(t *testing.T) {
	for n, want := range map[uint64]uint64{
		1: 1, 1023: 1, 1024: 1, 1025: 1024, 1 << 20: 1024, 1<<20 + 1: 1 << 20,
		1 << 30: 1 << 20, 1<<30 + 1: 1 << 30, 1 << 40: 1 << 30,
	} {
		if got := Width(n); got != want {
			t.Errorf("Width(%d): got %d, want %d", n, got, want)
		}
	}
}

// TestShapeTiles checks that children tile their parent, at every count.
func TestShapeTiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Span{rapid.Uint64Range(0, MaxCount).Draw(t, "first"), rapid.Uint64Range(1, MaxCount).Draw(t, "count")}
		for depth := 1; s.Count > Fanout; depth++ {
			n := s.Children()
			if n < 2 || n > Fanout || depth >= MaxHeight {
				t.Fatalf("%d children at depth %d", n, depth)
			}
			if s.Child(0).First != s.First || s.Child(n-1).End() != s.End() {
				t.Fatalf("%+v is not tiled: %+v to %+v", s, s.Child(0), s.Child(n-1))
			}
			i := rapid.IntRange(1, n-1).Draw(t, "child")
			if s.Child(i-1).End() != s.Child(i).First || s.Child(i-1).Count < s.Child(i).Count {
				t.Fatalf("children %d and %d of %+v do not meet", i-1, i, s)
			}
			s = s.Child(i)
		}
		if s.Children() != int(s.Count) {
			t.Fatalf("a leaf of %d with %d items", s.Count, s.Children())
		}
	})
}

// wantCode fails unless err has the code.
func wantCode(t testing.TB, err error, want fault.Code) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %s", err, want)
	}
}
