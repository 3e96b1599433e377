package merkle

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

func proof(t testing.TB, l *List, i uint64) Proof {
	t.Helper()
	raw, err := l.Prove(i)
	if err != nil {
		t.Fatal(err)
	}
	p, err := DecodeProof(raw)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func rangeProof(t testing.TB, l *List, s Span) RangeProof {
	t.Helper()
	raw, err := l.ProveRange(s)
	if err != nil {
		t.Fatal(err)
	}
	p, err := DecodeRangeProof(raw)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestProofExample checks the worked example of RFC-MYTHOS-0004 §5.1.
func TestProofExample(t *testing.T) {
	s, root := build(t, 1025)
	got, err := open(t, s, root).Prove(1024)
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Concat(
		[]byte("\x08\x04\x03\x01\x06\x13mythos.merkle.proof\x03\x02\x05\x3e"), s[leafOf(s, 1024, 1025)],
		[]byte("\x03\x03\x03\x00\x03\x04\x07\x01\x08\x02\x03\x01\x05\x6d"), s[*root],
		[]byte("\x03\x02\x03\x01"))
	if !bytes.Equal(got, want) || len(got) != 218 {
		t.Errorf("got %d bytes: %x", len(got), got)
	}
}

func TestProofs(t *testing.T) {
	for _, n := range []uint64{1, 2, 1023, 1024, 1025, 2049, 5000} {
		s, root := build(t, n)
		l := open(t, s, root)
		rapid.Check(t, func(t *rapid.T) {
			i := rapid.Uint64Range(0, n-1).Draw(t, "index")
			raw, err := l.Prove(i)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := Check(*root, raw); err != nil || got != (Included{value(i), i, n}) {
				t.Fatalf("got %+v, %v", got, err)
			}
			span := Span{i, rapid.Uint64Range(1, n-i).Draw(t, "count")}
			if raw, err = l.ProveRange(span); err != nil {
				t.Fatal(err)
			}
			got, err := CheckRange(*root, raw)
			if err != nil || got.First != i || got.Count != n || uint64(len(got.IDs)) != span.Count {
				t.Fatalf("got %d of %d from %d, %v", len(got.IDs), got.Count, got.First, err)
			}
			for k, v := range got.IDs {
				if v != value(i+uint64(k)) {
					t.Fatalf("value %d is wrong", i+uint64(k))
				}
			}
		})
	}
}

func TestProofRefuses(t *testing.T) {
	s, root := build(t, 1025)
	_, bigRoot := build(t, 2049)
	l := open(t, s, root)
	for name, c := range map[string]struct {
		change func(p *Proof)
		want   fault.Code
	}{
		"parents dropped":        {func(p *Proof) { p.Parents = nil }, ErrHash},
		"parent twice":           {func(p *Proof) { p.Parents = append(p.Parents, p.Parents[0]) }, ErrHash},
		"leaf and parent change": {func(p *Proof) { p.Leaf, p.Parents[0].Node = p.Parents[0].Node, p.Leaf }, ErrHash},
		"ends at a parent":       {func(p *Proof) { p.Leaf, p.Parents = p.Parents[0].Node, nil }, ErrProof},
		"too deep":               {func(p *Proof) { p.Parents = append(p.Parents, Step{}, Step{}, Step{}) }, ErrProof},
		"leaf of another index":  {func(p *Proof) { p.Leaf = proof(t, l, 1024).Leaf }, ErrHash},
		"parent position 1":      {func(p *Proof) { p.Parents[0].Position = 1 }, ErrHash},
		"parent position 2":      {func(p *Proof) { p.Parents[0].Position = 2 }, ErrProof},
		"position at the end":    {func(p *Proof) { p.Position = 1024 }, ErrProof},
		"position 65535":         {func(p *Proof) { p.Position = 65535 }, ErrProof},
		"leaf cut":               {func(p *Proof) { p.Leaf = p.Leaf[:100] }, ErrHash},
		"leaf empty":             {func(p *Proof) { p.Leaf = nil }, ErrHash},
	} {
		t.Run(name, func(t *testing.T) {
			p := proof(t, l, 7)
			c.change(&p)
			_, err := Check(*root, p.AppendCAN(nil))
			wantCode(t, err, c.want)
		})
	}
	p := proof(t, l, 7)
	raw := p.AppendCAN(nil)
	_, err := Check(*bigRoot, raw)
	wantCode(t, err, ErrHash)
	_, err = Check(*root, raw[:len(raw)-1])
	wantCode(t, err, can.ErrTruncated)
	_, err = Check(*root, append(raw, 0))
	wantCode(t, err, can.ErrTrailing)
	_, err = Check(*root, make([]byte, MaxProof+1))
	wantCode(t, err, ErrProof)
}

// TestProofStopsAtLeaf takes a value for a node: a list whose one value is the
// id of another list's root.
func TestProofStopsAtLeaf(t *testing.T) {
	s, inner := build(t, 3)
	b := NewBuilder(s.put)
	if err := b.Add(*inner); err != nil {
		t.Fatal(err)
	}
	outer, err := b.Root()
	if err != nil {
		t.Fatal(err)
	}
	p := Proof{Leaf: s[*inner], Position: 1, Parents: []Step{{s[*outer], 0}}}
	_, err = Check(*outer, p.AppendCAN(nil))
	wantCode(t, err, ErrProof)
	r := RangeProof{First: 0, Count: 1, Nodes: [][]byte{s[*outer], s[*inner]}}
	_, err = CheckRange(*outer, r.AppendCAN(nil))
	wantCode(t, err, ErrProof)
}

func TestRangeProofRefuses(t *testing.T) {
	s, root := build(t, 3000)
	l := open(t, s, root)
	span := Span{1000, 1100} // all three leaves
	for name, c := range map[string]struct {
		change func(p *RangeProof)
		want   fault.Code
	}{
		"truncated":      {func(p *RangeProof) { p.Nodes = p.Nodes[:3] }, ErrProof},
		"no nodes":       {func(p *RangeProof) { p.Nodes = nil }, ErrProof},
		"extended":       {func(p *RangeProof) { p.Nodes = append(p.Nodes, p.Nodes[3]) }, ErrProof},
		"reordered":      {func(p *RangeProof) { p.Nodes[1], p.Nodes[2] = p.Nodes[2], p.Nodes[1] }, ErrHash},
		"root last":      {func(p *RangeProof) { p.Nodes = append(p.Nodes[1:], p.Nodes[0]) }, ErrHash},
		"node twice":     {func(p *RangeProof) { p.Nodes = slices.Insert(p.Nodes, 1, p.Nodes[1]) }, ErrHash},
		"wrong child":    {func(p *RangeProof) { p.Nodes[2] = p.Nodes[1] }, ErrHash},
		"leaf not due":   {func(p *RangeProof) { p.Count = 1000 }, ErrProof},
		"leaf missing":   {func(p *RangeProof) { p.Nodes = slices.Delete(p.Nodes, 2, 3) }, ErrHash},
		"starts later":   {func(p *RangeProof) { p.First, p.Count = 1024, 1000 }, ErrHash},
		"count 0":        {func(p *RangeProof) { p.Count = 0 }, ErrRange},
		"beyond the end": {func(p *RangeProof) { p.Count = 2001 }, ErrRange},
		"wraps around":   {func(p *RangeProof) { p.Count = 1<<64 - 900 }, ErrRange},
	} {
		t.Run(name, func(t *testing.T) {
			p := rangeProof(t, l, span)
			c.change(&p)
			_, err := CheckRange(*root, p.AppendCAN(nil))
			wantCode(t, err, c.want)
		})
	}
	p := rangeProof(t, l, span)
	raw := p.AppendCAN(nil)
	if _, err := CheckRange(*root, raw); err != nil {
		t.Errorf("the unchanged proof: %v", err)
	}
	_, err := CheckRange(*root, append(raw, 0))
	wantCode(t, err, can.ErrTrailing)
	_, err = CheckRange(*root, raw[:len(raw)-1])
	wantCode(t, err, can.ErrBounds)
	_, err = CheckRange(*root, make([]byte, MaxRangeProof+1))
	wantCode(t, err, ErrProof)
}

// TestBitFlips flips every bit of a small proof: none may show anything else.
func TestBitFlips(t *testing.T) {
	s, root := build(t, 3)
	l := open(t, s, root)
	p := proof(t, l, 1)
	raw := p.AppendCAN(nil)
	for i := range len(raw) * 8 {
		bad := slices.Clone(raw)
		bad[i/8] ^= 1 << (i % 8)
		got, err := Check(*root, bad)
		if err == nil && got.ID != value(got.Index) {
			t.Fatalf("bit %d: a proof shows %+v", i, got)
		}
		if err == nil && bytes.Equal(bad, raw) {
			t.Fatalf("bit %d was not flipped", i)
		}
	}
}

func FuzzNode(f *testing.F) {
	s, root := build(f, 1025)
	f.Add(s[*root])
	f.Add(s[leafOf(s, 1024, 1025)])
	f.Add(s[extended(s)])
	f.Add(s[other(s, KindChunkLeaf)])
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := openBranch(ListForm{}, cid.Sum(raw), raw, Span{})
		if err != nil {
			if fault.CodeOf(err) == "" {
				t.Fatalf("an error without a code: %v", err)
			}
			return
		}
		// One input, one root: what was accepted has only this encoding.
		var again []byte
		if b.leaf() {
			x := ListLeaf{Values: b.ids}
			_, again = CloseNode(KindListLeaf, x.AppendCAN(nil))
		} else {
			x := ListInternal{Children: b.ids, Count: b.Count}
			_, again = CloseNode(KindListInternal, x.AppendCAN(nil))
		}
		if !bytes.Equal(raw, again) || len(b.ids) != b.Children() {
			t.Fatal("accepted a node that no writer makes")
		}
	})
}

func FuzzPayload(f *testing.F) {
	leaf := ListLeaf{Values: []cid.Hash{value(0), value(1)}}
	inner := ListInternal{Children: leaf.Values, Count: 1025}
	f.Add(KindListLeaf, leaf.AppendCAN(nil))
	f.Add(KindListInternal, inner.AppendCAN(nil))
	f.Fuzz(func(t *testing.T, kind uint8, payload []byte) {
		c, err := ListForm{}.Open(kind, payload, Span{})
		if err == nil && c.Leaf && uint64(len(c.IDs)) != c.Count {
			t.Fatalf("a leaf of %d with %d values", c.Count, len(c.IDs))
		}
	})
}

func FuzzProof(f *testing.F) {
	s, root := build(f, 1025)
	l := open(f, s, root)
	p := proof(f, l, 1024) // short: the leaf has one value
	f.Add(p.AppendCAN(nil))
	r := rangeProof(f, l, Span{1024, 1})
	f.Add(r.AppendCAN(nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if got, err := Check(*root, raw); err == nil && (got.ID != value(got.Index) || got.Count != 1025) {
			t.Fatalf("a proof shows %+v", got)
		}
		got, err := CheckRange(*root, raw)
		if err != nil {
			return
		}
		for i, v := range got.IDs {
			if v != value(got.First+uint64(i)) {
				t.Fatalf("a range proof shows %s at %d", v, got.First+uint64(i))
			}
		}
	})
}
