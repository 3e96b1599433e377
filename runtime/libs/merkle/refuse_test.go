package merkle

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// leafOf and internalOf store nodes that no builder makes.
func leafOf(s store, from, to uint64) cid.Hash {
	var x ListLeaf
	for i := from; i < to; i++ {
		x.Values = append(x.Values, value(i))
	}
	id, raw := CloseNode(KindListLeaf, x.AppendCAN(nil))
	s[id] = raw
	return id
}

func internalOf(s store, count uint64, children ...cid.Hash) cid.Hash {
	x := ListInternal{Children: children, Count: count}
	id, raw := CloseNode(KindListInternal, x.AppendCAN(nil))
	s[id] = raw
	return id
}

// TestWrongTrees stores trees whose hashes all match but whose shape is wrong.
func TestWrongTrees(t *testing.T) {
	for name, c := range map[string]struct {
		root func(s store) cid.Hash
		want fault.Code
	}{
		"empty leaf":          {func(s store) cid.Hash { return leafOf(s, 0, 0) }, ErrShape},
		"overfull leaf":       {func(s store) cid.Hash { return leafOf(s, 0, 1025) }, ErrShape},
		"internal of one":     {func(s store) cid.Hash { return internalOf(s, 1024, leafOf(s, 0, 1024)) }, ErrShape},
		"internal of none":    {func(s store) cid.Hash { return internalOf(s, 0) }, ErrShape},
		"internal for a leaf": {func(s store) cid.Hash { return internalOf(s, 2, leafOf(s, 0, 1), leafOf(s, 1, 2)) }, ErrShape},
		"count too low":       {func(s store) cid.Hash { return internalOf(s, 1025, leafOf(s, 0, 1024), leafOf(s, 1024, 1026)) }, ErrShape},
		"count too high":      {func(s store) cid.Hash { return internalOf(s, 1027, leafOf(s, 0, 1024), leafOf(s, 1024, 1026)) }, ErrShape},
		"count beyond 2^40":   {func(s store) cid.Hash { return internalOf(s, 1<<40+1, leafOf(s, 0, 1024), leafOf(s, 1024, 1026)) }, ErrShape},
		"count of all ones":   {func(s store) cid.Hash { return internalOf(s, 1<<64-1, leafOf(s, 0, 1024), leafOf(s, 1024, 1026)) }, ErrShape},
		"short leaf first":    {func(s store) cid.Hash { return internalOf(s, 1026, leafOf(s, 0, 1023), leafOf(s, 1023, 1026)) }, ErrShape},
		"child missing":       {func(s store) cid.Hash { return internalOf(s, 2049, leafOf(s, 0, 1024), leafOf(s, 1024, 2048)) }, ErrShape},
		"child too many": {func(s store) cid.Hash {
			return internalOf(s, 1025, leafOf(s, 0, 1024), leafOf(s, 1024, 1025), leafOf(s, 1024, 1025))
		}, ErrShape},
		"last leaf not passed up":  {func(s store) cid.Hash { return oneWrapped(s) }, ErrShape},
		"leaf at the wrong height": {func(s store) cid.Hash { return internalOf(s, 1<<20+1, leafOf(s, 0, 1024), leafOf(s, 0, 1)) }, ErrShape},
		"node of the other tree":   {func(s store) cid.Hash { return other(s, KindChunkLeaf) }, ErrKind},
		"unknown kind":             {func(s store) cid.Hash { return other(s, 5) }, ErrKind},
		"kind 0":                   {func(s store) cid.Hash { return other(s, 0) }, ErrKind},
		"version 0":                {func(s store) cid.Hash { return versioned(s, 0) }, ErrVersion},
		"version 2":                {func(s store) cid.Hash { return versioned(s, 2) }, ErrVersion},
		"unknown node field":       {func(s store) cid.Hash { return extended(s) }, ErrShape},
		"unknown leaf field":       {func(s store) cid.Hash { return extendedLeaf(s) }, ErrShape},
		"node too long":            {func(s store) cid.Hash { return leafOf(s, 0, 1600) }, ErrShape},
	} {
		t.Run(name, func(t *testing.T) {
			s := store{}
			root := c.root(s)
			wantCode(t, walkAll(root, s), c.want)
		})
	}
}

// walkAll returns the first error of a walk over everything, without a limit
// in the store's Get.
func walkAll(root cid.Hash, s store) error {
	l, err := OpenList(&root, func(id cid.Hash, _ int64) ([]byte, error) { return s.get(id, 1<<30) })
	if err != nil {
		return err
	}
	for _, err := range l.All() {
		if err != nil {
			return err
		}
	}
	return nil
}

// oneWrapped is the list of 2^20+1 values whose last leaf got a parent of its
// own instead of being passed up.
func oneWrapped(s store) cid.Hash {
	full := make([]cid.Hash, Fanout)
	for i := range full {
		full[i] = leafOf(s, 0, 1024)
	}
	return internalOf(s, 1<<20+1, internalOf(s, 1<<20, full...), internalOf(s, 1, leafOf(s, 0, 1)))
}

func other(s store, kind uint8) cid.Hash {
	id, raw := CloseNode(kind, []byte{can.Map, 0})
	s[id] = raw
	return id
}

func versioned(s store, v uint8) cid.Hash {
	leaf := ListLeaf{Values: []cid.Hash{value(0)}}
	n := Node{Version: v, Kind: KindListLeaf, Payload: leaf.AppendCAN(nil)}
	raw := n.AppendCAN(nil)
	id := cid.Sum(raw)
	s[id] = raw
	return id
}

func extended(s store) cid.Hash {
	raw := slices.Clone(s[leafOf(s, 0, 1)])
	raw[1]++ // one more field, number 4
	raw = append(raw, can.Uint, 4, can.True)
	id := cid.Sum(raw)
	s[id] = raw
	return id
}

func extendedLeaf(s store) cid.Hash {
	leaf := ListLeaf{Values: []cid.Hash{value(0)}}
	payload := leaf.AppendCAN(nil)
	payload[1]++
	id, raw := CloseNode(KindListLeaf, append(payload, can.Uint, 2, can.True))
	s[id] = raw
	return id
}

func TestDamagedNodes(t *testing.T) {
	s, root := build(t, 1025)
	whole := s[*root]
	for name, c := range map[string]struct {
		raw  []byte
		want fault.Code
	}{
		"truncated": {whole[:len(whole)-1], ErrHash},
		"extended":  {append(slices.Clone(whole), 0), ErrHash},
		"empty":     {nil, ErrHash},
		"another":   {s[leafOf(s, 0, 1024)], ErrHash},
		"too long":  {make([]byte, MaxNode+1), ErrShape},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := OpenList(root, func(cid.Hash, int64) ([]byte, error) { return c.raw, nil })
			wantCode(t, err, c.want)
		})
	}
	for i := range whole {
		raw := slices.Clone(whole)
		raw[i] ^= 1 << (i % 8)
		c := NewCursor(ListForm{}, *root)
		wantCode(t, c.Node(raw), ErrHash)
		if err := c.Node(whole); err != nil {
			t.Fatalf("a refused node changed the cursor: %v", err)
		}
	}
}

func TestWalkStopsAtMissingNode(t *testing.T) {
	s, root := build(t, 3000)
	delete(s, leafOf(store{}, 1024, 2048))
	n := 0
	var last error
	for _, err := range open(t, s, root).All() {
		if last = err; err == nil {
			n++
		}
	}
	if n != 1024 || !errors.Is(last, errMissing) {
		t.Errorf("got %d values, then %v", n, last)
	}
}

func TestWalkStopsWhenAsked(t *testing.T) {
	s, root := build(t, 3000)
	n := 0
	for range open(t, s, root).All() {
		if n++; n == 1500 {
			break
		}
	}
	if n != 1500 {
		t.Errorf("got %d values", n)
	}
}

func TestRanges(t *testing.T) {
	s, root := build(t, 3000)
	l := open(t, s, root)
	for _, span := range []Span{{0, 1}, {1023, 2}, {1024, 1024}, {2999, 1}, {0, 3000}, {5, 2990}} {
		i := span.First
		for v, err := range l.Range(span) {
			if err != nil || v != value(i) {
				t.Fatalf("%+v: value %d: %s, %v", span, i, v, err)
			}
			i++
		}
		if i != span.End() {
			t.Errorf("%+v: ended before %d", span, i)
		}
	}
	for _, span := range []Span{{0, 0}, {3000, 1}, {2999, 2}, {0, 3001}, {1, 1<<64 - 1}, {1<<64 - 1, 2}} {
		for _, err := range l.Range(span) {
			wantCode(t, err, ErrRange)
		}
		_, err := l.ProveRange(span)
		wantCode(t, err, ErrRange)
	}
	for _, i := range []uint64{3000, 1 << 40, 1<<64 - 1} {
		_, err := l.Prove(i)
		wantCode(t, err, ErrRange)
	}
	empty := open(t, nil, nil)
	_, err := empty.Prove(0)
	wantCode(t, err, ErrRange)
	_, err = empty.ProveRange(Span{0, 1})
	wantCode(t, err, ErrRange)
	for _, err := range empty.Range(Span{0, 1}) {
		wantCode(t, err, ErrRange)
	}
}

func TestDecodeNode(t *testing.T) {
	s, root := build(t, 1025)
	n, err := DecodeNode(s[*root])
	if err != nil || n.Kind != KindListInternal {
		t.Fatalf("got %+v, %v", n, err)
	}
	if _, raw := CloseNode(n.Kind, n.Payload); !bytes.Equal(raw, s[*root]) {
		t.Error("closing what was opened gives other bytes")
	}
	for kind := range uint8(8) {
		_, raw := CloseNode(kind, n.Payload)
		n, err := DecodeNode(raw)
		if kind < KindListLeaf || kind > KindChunkInternal {
			wantCode(t, err, ErrKind)
		} else if err != nil || n.Kind != kind {
			t.Errorf("kind %d: got %+v, %v", kind, n, err)
		}
	}
	if _, err := DecodeNode(make([]byte, MaxNode+1)); !errors.Is(err, ErrShape) {
		t.Errorf("got %v", err)
	}
}
