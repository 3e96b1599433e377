package dataset

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ir"
	"github.com/mythos-run/mythos/runtime/libs/merkle"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

func hashOf(s string) cid.Hash { return cid.Sum([]byte(s)) }

func ptr[T any](v T) *T { return &v }

// tb is what helpers need of a test, a fuzz target or a property.
type tb interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// world is a Source in memory.
type world struct {
	things map[cid.Hash][]byte
	reads  int
}

func newWorld() *world { return &world{things: map[cid.Hash][]byte{}} }

var errGone = errors.New("gone")

func (w *world) get(id cid.Hash, limit int64) ([]byte, error) {
	w.reads++
	b, ok := w.things[id]
	if !ok || int64(len(b)) > limit {
		return nil, errGone
	}
	return b, nil
}

func (w *world) put(id cid.Hash, b []byte) error {
	w.things[id] = bytes.Clone(b)
	return nil
}

func (w *world) source() Source { return Source{w.get, w.get, w.get} }

// episode stores an episode and returns its id. Its context and outcome are hashes of
// the given texts, its time is at.
func (w *world) episode(t tb, name, context string, at int64, receipts ...cid.Hash) cid.Hash {
	t.Helper()
	x := Episode{
		TraceRef:    TraceRef{TraceBlob: blob.Ref{CID: hashOf(name), Size: uint64(len(name)), Media: "application/octet-stream", Chunks: 1}, ReceiptIDs: receipts},
		ContextHash: hashOf(context), OutcomeHash: hashOf(name), TimeObserved: at,
	}
	raw, id, err := SealEpisode(x)
	if err != nil {
		t.Fatal(err)
	}
	w.things[id] = raw
	return id
}

// receipt stores a receipt and returns its id.
func (w *world) receipt(t tb, tool string, status uint16) cid.Hash {
	t.Helper()
	x := receipt.Receipt{ToolID: hashOf(tool), Status: status}
	raw, id, err := sig.Sign(&x, sig.NewKey([32]byte{7}, ""))
	if err != nil {
		t.Fatal(err)
	}
	w.things[id] = raw
	return id
}

// corpus stores a list of episodes and returns its root.
func (w *world) corpus(t tb, ids ...cid.Hash) cid.Hash {
	t.Helper()
	if len(ids) == 0 {
		return cid.Sum(nil)
	}
	b := merkle.NewBuilder(w.put)
	for _, id := range ids {
		if err := b.Add(id); err != nil {
			t.Fatal(err)
		}
	}
	root, err := b.Root()
	if err != nil {
		t.Fatal(err)
	}
	return *root
}

func yes() ir.Expr { return ir.Expr{Op: ir.ExprTrue} }

// def is a definition without strata.
func def(mode uint8, n *uint64, roots ...cid.Hash) Def {
	return Def{CorpusRoots: roots, Query: Query{Predicate: yes()}, Sampling: Sampling{Mode: mode, N: n, Seed: hashOf("seed")}}
}

// stratified adds strata by context_hash.
func stratified(d Def, n uint64) Def {
	d.Stratify = &Stratify{KeyPath: ir.ExprPath{Root: ir.RootEpisode, Segments: []uint32{3}}, PerBucketN: n, Seed: hashOf("strata")}
	return d
}

func open(t tb, d Def) *Definition {
	t.Helper()
	raw, id, err := Seal(d)
	if err != nil {
		t.Fatal(err)
	}
	x, err := Open(raw)
	if err != nil || x.ID() != id {
		t.Fatalf("Open: %v", err)
	}
	return x
}

// chosen selects and returns the ids of the manifest.
func chosen(t tb, w *world, d Def) []cid.Hash {
	t.Helper()
	got, err := open(t, d).Select(w.source(), w.put)
	if err != nil {
		t.Fatal(err)
	}
	list, err := merkle.OpenList(got.Manifest, w.get)
	if err != nil || list.Count() != got.Count {
		t.Fatalf("manifest of %d: %v", got.Count, err)
	}
	ids := []cid.Hash{}
	for id, err := range list.All() {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

func sorted(ids ...cid.Hash) []cid.Hash {
	out := append([]cid.Hash{}, ids...)
	slices.SortFunc(out, cid.Hash.Compare)
	return slices.Compact(out)
}

func wantCode(t *testing.T, err error, code fault.Code) {
	t.Helper()
	if fault.CodeOf(err) != code {
		t.Errorf("got %v, want %q", err, code)
	}
}

// The example of the package comment and of the RFC.
func TestExample(t *testing.T) {
	names := map[string]cid.Hash{"a": hashOf("a"), "b": hashOf("b"), "c": hashOf("c")}
	b := newBucket(hashOf("seed"), 2)
	var lines []string
	for at, n := range []string{"a", "b", "c"} {
		b.add(names[n], uint64(at))
		h := names[n].Hex()
		lines = append(lines, fmt.Sprintf("%s  sha256:%s...%s  rank %016x", n, h[:4], h[60:], Rank(hashOf("seed"), names[n])))
	}
	var ids []cid.Hash
	for _, k := range b.list {
		ids = append(ids, k.id)
	}
	lines = append(lines, merkle.Root(sorted(ids...)).String())
	for _, file := range []string{"dataset.go", "../../../spec/RFC-MYTHOS-0003.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			if !strings.Contains(string(text), l) {
				t.Errorf("%s does not say %q", file, l)
			}
		}
	}
}

func TestModes(t *testing.T) {
	w := newWorld()
	var ids []cid.Hash
	for i := range 10 {
		ids = append(ids, w.episode(t, fmt.Sprint(i), "c", int64(i)))
	}
	one, two := w.corpus(t, ids[:6]...), w.corpus(t, ids[4:]...) // 4 and 5 stand in both
	inOrder := slices.Concat(ids[:6], ids[4:])
	if two.Compare(one) < 0 {
		inOrder = slices.Concat(ids[4:], ids[:6])
	}
	byRank := slices.Clone(ids)
	slices.SortFunc(byRank, func(a, b cid.Hash) int {
		return kept{Rank(hashOf("seed"), a), a, 0}.compare(kept{Rank(hashOf("seed"), b), b, 0})
	})
	for name, c := range map[string]struct {
		d    Def
		want []cid.Hash
	}{
		"all":                        {def(ModeAll, nil, one, two), ids},
		"no corpus":                  {def(ModeAll, nil), nil},
		"empty corpus":               {def(ModeAll, nil, w.corpus(t)), nil},
		"one of one corpus":          {def(ModeFirstN, ptr(uint64(1)), two), ids[4:5]},
		"first 3":                    {def(ModeFirstN, ptr(uint64(3)), one, two), inOrder[:3]},
		"first 7, each counted once": {def(ModeFirstN, ptr(uint64(7)), two, one, two), distinct(inOrder)[:7]},
		"first 0":                    {def(ModeFirstN, ptr(uint64(0)), one), nil},
		"first of too few":           {def(ModeFirstN, ptr(uint64(99)), one, two), ids},
		"hash 4":                     {def(ModeHashN, ptr(uint64(4)), one, two), byRank[:4]},
		"hash 0":                     {def(ModeHashN, ptr(uint64(0)), one, two), nil},
		"hash of too few":            {def(ModeHashN, ptr(uint64(1<<40)), one, two), ids},
		"hash of just enough":        {def(ModeHashN, ptr(uint64(10)), one, two), ids},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(sorted(c.want...), chosen(t, w, c.d)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// distinct returns ids without repetitions, in order.
func distinct(ids []cid.Hash) []cid.Hash {
	var out []cid.Hash
	for _, id := range ids {
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// A root that is named twice is visited once.
func TestVisitsOnce(t *testing.T) {
	w := newWorld()
	root := w.corpus(t, w.episode(t, "a", "c", 1))
	for _, roots := range [][]cid.Hash{{root}, {root, root, root}} {
		w.reads = 0
		if _, err := open(t, def(ModeAll, nil, roots...)).Select(w.source(), nil); err != nil || w.reads != 2 {
			t.Errorf("%d reads for %d roots, %v", w.reads, len(roots), err)
		}
	}
}

// FIRST_N reads no more than it needs; the empty selection reads nothing.
func TestFirstStops(t *testing.T) {
	w := newWorld()
	root := w.corpus(t, w.episode(t, "a", "c", 1), w.episode(t, "b", "c", 2), hashOf("missing"))
	chosen(t, w, def(ModeFirstN, ptr(uint64(2)), root))
	w.reads = 0
	if _, err := open(t, def(ModeFirstN, ptr(uint64(0)), hashOf("nowhere"))).Select(w.source(), nil); err != nil || w.reads != 0 {
		t.Errorf("%d reads, %v", w.reads, err)
	}
	_, err := open(t, def(ModeFirstN, ptr(uint64(3)), root)).Select(w.source(), nil)
	if !errors.Is(err, errGone) {
		t.Errorf("a missing episode: %v", err)
	}
}

// Equal ranks are decided by id, whatever came first.
func TestTies(t *testing.T) {
	want := sorted(hashOf("a"), hashOf("b"), hashOf("c"))
	for _, order := range [][]string{{"a", "b", "c"}, {"a", "c", "b"}, {"b", "a", "c"}, {"b", "c", "a"}, {"c", "a", "b"}, {"c", "b", "a"}} {
		for n := range 4 {
			b := newBucket(hashOf("seed"), uint64(max(n, 1)))
			for at, name := range order {
				b.offer(kept{5, hashOf(name), uint64(at)}) // a rank that all share
			}
			var got []cid.Hash
			for _, k := range b.list {
				got = append(got, k.id)
			}
			if !slices.Equal(sorted(got...), want[:max(n, 1)]) {
				t.Errorf("%d of %v: %v", n, order, got)
			}
		}
	}
	b := newBucket(hashOf("seed"), 1)
	b.offer(kept{5, want[0], 0})
	if b.offer(kept{4, want[2], 1}); b.list[0].id != want[2] {
		t.Error("id goes before rank")
	}
}

func TestStrata(t *testing.T) {
	w := newWorld()
	var red, blue, all []cid.Hash
	for i := range 6 {
		red = append(red, w.episode(t, fmt.Sprint("r", i), "red", int64(i)))
		blue = append(blue, w.episode(t, fmt.Sprint("b", i), "blue", int64(i)))
		all = append(all, red[i], blue[i])
	}
	root := w.corpus(t, slices.Concat(all, all[:5])...)
	lowest := func(key string, n int, ids []cid.Hash) []cid.Hash {
		h := hashOf(key)
		seed := StratumSeed(hashOf("strata"), h.AppendCAN(nil))
		out := slices.Clone(ids)
		slices.SortFunc(out, func(a, b cid.Hash) int { return kept{Rank(seed, a), a, 0}.compare(kept{Rank(seed, b), b, 0}) })
		return out[:min(n, len(out))]
	}
	two := slices.Concat(lowest("red", 2, red), lowest("blue", 2, blue))
	var first []cid.Hash
	for _, id := range all {
		if slices.Contains(two, id) {
			first = append(first, id)
		}
	}
	byRank := slices.Clone(two)
	slices.SortFunc(byRank, func(a, b cid.Hash) int {
		return kept{Rank(hashOf("seed"), a), a, 0}.compare(kept{Rank(hashOf("seed"), b), b, 0})
	})
	elsewhere := stratified(def(ModeAll, nil, root), 2)
	elsewhere.Stratify.KeyPath.Segments = []uint32{9, 9}
	nothing := []byte{0}
	whole := StratumSeed(hashOf("strata"), nothing)
	byWhole := slices.Clone(all)
	slices.SortFunc(byWhole, func(a, b cid.Hash) int { return kept{Rank(whole, a), a, 0}.compare(kept{Rank(whole, b), b, 0}) })
	for name, c := range map[string]struct {
		d    Def
		want []cid.Hash
	}{
		"two of each":       {stratified(def(ModeAll, nil, root), 2), two},
		"more than there":   {stratified(def(ModeAll, nil, root), 7), all},
		"none":              {stratified(def(ModeAll, nil, root), 0), nil},
		"the first of them": {stratified(def(ModeFirstN, ptr(uint64(3)), root), 2), first[:3]},
		"three of them":     {stratified(def(ModeHashN, ptr(uint64(3)), root), 2), byRank[:3]},
		"more than is left": {stratified(def(ModeHashN, ptr(uint64(9)), root), 2), two},
		"no key":            {elsewhere, byWhole[:2]},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(sorted(c.want...), chosen(t, w, c.d)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A plain selection: everything in memory, sorted, cut.
func plain(w *world, d Def, visited []cid.Hash) []cid.Hash {
	rank := func(seed, id cid.Hash) uint64 {
		h := sha256.Sum256([]byte(string(seed[:]) + string(id[:])))
		return binary.BigEndian.Uint64(h[:8])
	}
	lowest := func(ids []cid.Hash, seed cid.Hash, n uint64) []cid.Hash {
		out := slices.Clone(ids)
		slices.SortFunc(out, func(a, b cid.Hash) int {
			if x, y := rank(seed, a), rank(seed, b); x != y {
				return 1 - 2*map[bool]int{true: 1}[x < y]
			}
			return bytes.Compare(a[:], b[:])
		})
		return out[:min(n, uint64(len(out)))]
	}
	left := distinct(visited)
	if x := d.Stratify; x != nil {
		groups := map[string][]cid.Hash{}
		for _, id := range left {
			r := can.NewReader(w.things[id])
			var e Episode
			e.ReadCAN(&r)
			key := string(e.ContextHash.AppendCAN(nil))
			groups[key] = append(groups[key], id)
		}
		var in []cid.Hash
		for key, ids := range groups {
			in = append(in, lowest(ids, sha256.Sum256([]byte(string(x.Seed[:])+key)), x.PerBucketN)...)
		}
		left = slices.DeleteFunc(left, func(id cid.Hash) bool { return !slices.Contains(in, id) })
	}
	switch d.Sampling.Mode {
	case ModeFirstN:
		left = left[:min(*d.Sampling.N, uint64(len(left)))]
	case ModeHashN:
		left = lowest(left, d.Sampling.Seed, *d.Sampling.N)
	}
	return sorted(left...)
}

// The streaming selection is the plain one; the order in which a definition names
// its corpora never counts, and but for FIRST_N neither does the order in them.
func TestSelectionIsDeterministic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		var ids []cid.Hash
		for i := range rapid.IntRange(0, 24).Draw(t, "episodes") {
			ids = append(ids, w.episode(t, fmt.Sprint(i), rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "context"), int64(i)))
		}
		lists := map[cid.Hash][]cid.Hash{}
		var roots, shuffled []cid.Hash
		for range rapid.IntRange(0, 4).Draw(t, "corpora") {
			var list []cid.Hash
			if len(ids) > 0 {
				list = rapid.SliceOfN(rapid.SampledFrom(ids), 0, 30).Draw(t, "list")
			}
			roots = append(roots, w.corpus(t, list...))
			lists[roots[len(roots)-1]] = list
			shuffled = append(shuffled, w.corpus(t, rapid.Permutation(list).Draw(t, "order")...))
		}
		mode := rapid.SampledFrom([]uint8{ModeAll, ModeFirstN, ModeHashN}).Draw(t, "mode")
		var n *uint64
		if mode != ModeAll {
			n = ptr(rapid.Uint64Range(0, 30).Draw(t, "n"))
		}
		d := def(mode, n, roots...)
		if rapid.Bool().Draw(t, "stratified") {
			d = stratified(d, rapid.Uint64Range(0, 8).Draw(t, "per bucket"))
		}
		var visited []cid.Hash
		for _, r := range sorted(roots...) {
			visited = append(visited, lists[r]...)
		}
		want := plain(w, d, visited)
		if got := chosen(t, w, d); !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		d.CorpusRoots = rapid.Permutation(roots).Draw(t, "roots")
		if got := chosen(t, w, d); !slices.Equal(got, want) {
			t.Fatalf("the order of the roots counts: %v, want %v", got, want)
		}
		if d.CorpusRoots = shuffled; mode != ModeFirstN {
			if got := chosen(t, w, d); !slices.Equal(got, want) {
				t.Fatalf("the order in the corpora counts: %v, want %v", got, want)
			}
		}
	})
}
