package dataset

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ir"
	"github.com/mythos-run/mythos/runtime/libs/merkle"
)

func TestDefinitionRefused(t *testing.T) {
	n := ptr(uint64(1))
	over := ptr(uint64(MaxCount + 1))
	for name, c := range map[string]struct {
		edit func(*Def)
		code fault.Code
	}{
		"sound":             {func(*Def) {}, ""},
		"mode 0":            {func(d *Def) { d.Sampling.Mode = 0 }, ErrDefinition},
		"mode 4":            {func(d *Def) { d.Sampling.Mode, d.Sampling.N = 4, n }, ErrDefinition},
		"all of n":          {func(d *Def) { d.Sampling.N = n }, ErrDefinition},
		"first without n":   {func(d *Def) { d.Sampling.Mode = ModeFirstN }, ErrDefinition},
		"hash without n":    {func(d *Def) { d.Sampling.Mode = ModeHashN }, ErrDefinition},
		"most":              {func(d *Def) { d.Sampling.Mode, d.Sampling.N = ModeHashN, ptr(uint64(MaxCount)) }, ""},
		"too many":          {func(d *Def) { d.Sampling.Mode, d.Sampling.N = ModeHashN, over }, ErrDefinition},
		"most corpora":      {func(d *Def) { d.CorpusRoots = make([]cid.Hash, MaxCorpora) }, ""},
		"too many corpora":  {func(d *Def) { d.CorpusRoots = make([]cid.Hash, MaxCorpora+1) }, ErrDefinition},
		"strata":            {func(d *Def) { *d = stratified(*d, MaxCount) }, ""},
		"too many a bucket": {func(d *Def) { *d = stratified(*d, MaxCount+1) }, ErrDefinition},
		"key of a subject":  {func(d *Def) { *d = stratified(*d, 1); d.Stratify.KeyPath.Root = ir.RootSubject }, ErrDefinition},
		"key of root 3":     {func(d *Def) { *d = stratified(*d, 1); d.Stratify.KeyPath.Root = 3 }, ErrDefinition},
		"longest key path":  {func(d *Def) { *d = stratified(*d, 1); d.Stratify.KeyPath.Segments = make([]uint32, 64) }, ""},
		"key path too long": {func(d *Def) { *d = stratified(*d, 1); d.Stratify.KeyPath.Segments = make([]uint32, 65) }, ErrDefinition},
	} {
		t.Run(name, func(t *testing.T) {
			d := def(ModeAll, nil)
			c.edit(&d)
			_, _, err := Seal(d)
			wantCode(t, err, c.code)
		})
	}
	_, err := Open(make([]byte, MaxDefinition+1))
	wantCode(t, err, ErrDefinition)
}

func TestSealedWrongly(t *testing.T) {
	raw, _, err := Seal(stratified(def(ModeHashN, ptr(uint64(3)), hashOf("root")), 2))
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		bad := bytes.Clone(raw)
		bad[i] ^= 1 << (i % 8)
		if _, err := Open(bad); err == nil {
			t.Errorf("bit %d of byte %d flipped, and the definition is accepted", i%8, i)
		}
	}
	// A definition whose own id is right and whose query_id is not.
	d := def(ModeAll, nil)
	d.Query.QueryID = hashOf("other")
	if d.DatasetDefID, err = cid.Without(d.AppendCAN(nil), 1); err != nil {
		t.Fatal(err)
	}
	_, err = Open(d.AppendCAN(nil))
	wantCode(t, err, ErrDefinition)
	// An unknown field, with an id that covers it.
	b := def(ModeAll, nil)
	b.Query.QueryID, _ = cid.Without(b.Query.AppendCAN(nil), 1)
	more := b.AppendCAN(nil)
	more[1]++
	more = append(more, 3, 6, can.Null)
	if b.DatasetDefID, err = cid.Without(more, 1); err != nil {
		t.Fatal(err)
	}
	more = append(b.AppendCAN(nil), 3, 6, can.Null)
	more[1]++
	_, err = Open(more)
	wantCode(t, err, ErrDefinition)
}

func TestEpisodeRefused(t *testing.T) {
	w := newWorld()
	id := w.episode(t, "x", "c", 1)
	raw := w.things[id]
	for i := range raw {
		bad := bytes.Clone(raw)
		bad[i] ^= 1 << (i % 8)
		if _, err := OpenEpisode(bad); err == nil {
			t.Errorf("bit %d of byte %d flipped, and the episode is accepted", i%8, i)
		}
	}
	_, err := OpenEpisode(make([]byte, MaxEpisode+1))
	wantCode(t, err, ErrEpisode)
	_, _, err = SealEpisode(Episode{TraceRef: TraceRef{ReceiptIDs: make([]cid.Hash, MaxEpisode/42+1)}})
	wantCode(t, err, ErrEpisode)

	other := w.episode(t, "y", "c", 1)
	root := w.corpus(t, id)
	w.things[id] = w.things[other]
	_, err = open(t, def(ModeAll, nil, root)).Select(w.source(), nil)
	wantCode(t, err, ErrEpisode)
	w.things[root] = w.things[w.corpus(t, other)]
	_, err = open(t, def(ModeAll, nil, root)).Select(w.source(), nil)
	wantCode(t, err, merkle.ErrHash)
}

// An episode may have fields that this build does not know: its id covers them.
func TestEpisodeMayGrow(t *testing.T) {
	w := newWorld()
	raw := w.things[w.episode(t, "x", "c", 1)]
	raw = append(bytes.Clone(raw), 3, 6, can.Uint, 7)
	raw[1]++
	id, err := cid.Without(raw, 1)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(raw, []byte{5, 32}) + 2
	copy(raw[at:], id[:])
	e, err := OpenEpisode(raw)
	if err != nil || e.ID() != id || !bytes.Equal(e.at(ir.RootEpisode, []uint32{6}), []byte{can.Uint, 7}) {
		t.Errorf("got %v", err)
	}
}

// What is kept is bounded, whatever the definition asks for.
func TestTooLarge(t *testing.T) {
	for name, d := range map[string]Def{
		"all":    def(ModeAll, nil),
		"first":  def(ModeFirstN, ptr(uint64(MaxCount))),
		"hash":   def(ModeHashN, ptr(uint64(MaxCount))),
		"strata": stratified(def(ModeHashN, ptr(uint64(1))), MaxCount),
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, d).NewSelector()
			s.held = MaxKept - 1 // as if so many were kept already
			var e Entry
			add := func(i uint64) error {
				e = Entry{raw: []byte{can.Map, 0}}
				binary.BigEndian.PutUint64(e.id[:], i)
				return s.Add(&e)
			}
			wantCode(t, add(1), "")
			wantCode(t, add(1), "") // a duplicate keeps nothing
			wantCode(t, add(2), ErrTooLarge)
			_, err := s.Chosen()
			wantCode(t, err, ErrTooLarge)
		})
	}
	s := open(t, def(ModeHashN, ptr(uint64(5)))).NewSelector()
	for i := range uint64(100) {
		e := Entry{raw: []byte{can.Map, 0}}
		binary.BigEndian.PutUint64(e.id[:], i)
		if err := s.Add(&e); err != nil || s.held > 5 || len(s.sample.has) > 5 {
			t.Fatalf("%d are kept of 5; %v", s.held, err)
		}
	}
}

// A Source's own errors come out as they are.
func TestSourceErrors(t *testing.T) {
	w := newWorld()
	root := w.corpus(t, w.episode(t, "x", "c", 1))
	for name, src := range map[string]Source{
		"nodes":    {newWorld().get, w.get, w.get},
		"episodes": {w.get, newWorld().get, w.get},
	} {
		if _, err := open(t, def(ModeAll, nil, root)).Select(src, nil); !bytes.Contains([]byte(err.Error()), []byte("gone")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := open(t, def(ModeAll, nil, root)).Select(w.source(), func(cid.Hash, []byte) error { return errGone }); err != errGone {
		t.Errorf("put: %v", err)
	}
}

// What opens is canonical and sealed, and opens again from its own parts.
func FuzzOpen(f *testing.F) {
	for _, d := range []Def{
		def(ModeAll, nil), def(ModeFirstN, ptr(uint64(3)), hashOf("a"), hashOf("b")), stratified(def(ModeHashN, ptr(uint64(3))), 2),
	} {
		d.Query.Predicate = join(ir.ExprAnd, compareTo(ir.ExprGE, i64(3), 5), ir.Expr{Op: ir.ExprHasTool, Lit: hashLit("x")})
		raw, _, err := Seal(d)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		x, err := Open(raw)
		if err != nil {
			if fault.CodeOf(err) == "" {
				t.Fatalf("no code in %v", err)
			}
			return
		}
		again, id, err := Seal(x.def)
		if err != nil || id != x.ID() || !bytes.Equal(again, raw) {
			t.Fatalf("it seals otherwise: %v", err)
		}
		if !slices.IsSortedFunc(x.corpora(), cid.Hash.Compare) {
			t.Fatal("corpora are not visited ascending")
		}
	})
}

// An episode that opens has the id that it says, and any path into it is safe.
func FuzzOpenEpisode(f *testing.F) {
	w := newWorld()
	f.Add(w.things[w.episode(f, "x", "c", 1, hashOf("r"))], []byte{2, 2, 0})
	f.Add(w.things[w.episode(f, "x", "c", 1)], []byte{3, 2})
	f.Fuzz(func(t *testing.T, raw, path []byte) {
		e, err := OpenEpisode(raw)
		if err != nil {
			if fault.CodeOf(err) == "" {
				t.Fatalf("no code in %v", err)
			}
			return
		}
		if id, err := cid.Without(raw, 1); err != nil || id != e.ID() {
			t.Fatalf("id %s, %v", e.ID(), err)
		}
		var segments []uint32
		for _, b := range path {
			segments = append(segments, uint32(b))
		}
		if v := e.at(ir.RootEpisode, segments); v != nil && can.Valid(v) != nil {
			t.Fatalf("%x at %v", v, segments)
		}
	})
}
