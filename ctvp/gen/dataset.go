package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/blob"
	canon "github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/dataset"
	"github.com/mythos-run/mythos/runtime/libs/ir"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	keys "github.com/mythos-run/mythos/runtime/libs/sig"
)

// dsGen makes vectors of datasets over a small world.
type dsGen struct {
	*suite
	receipts map[cid.Hash][]byte
	raw      map[cid.Hash][]byte // episodes
	ids      []cid.Hash          // of the episodes, in the order in which they were made
	context  map[cid.Hash]string
}

// datasetSuite is the suite of deterministic datasets.
func datasetSuite(p *pack) {
	s := p.suite("dataset", "RFC-MYTHOS-0003", "Deterministic datasets: which episodes a definition chooses, and definitions, episodes and sources that are refused.")
	s.flag("tie", "episodes that only the second key of an order tells apart, or that stand twice")
	s.flag("unread", "what a selection must not need, because nothing there can change its result")
	g := &dsGen{s, map[cid.Hash][]byte{}, map[cid.Hash][]byte{}, nil, map[cid.Hash]string{}}
	ok, bad := g.receipt("echo", 200), g.receipt("rm", 500)
	for i := range 10 {
		g.episode(fmt.Sprint(i), []string{"red", "green", "blue"}[i%3], int64(i)*10, [][]cid.Hash{nil, {ok}, {ok, bad}}[i%3]...)
	}
	g.ranks()
	g.modes()
	g.strata()
	g.predicates()
	g.definitions()
	g.badPredicates()
	g.sources()
}

// receipt makes a receipt and returns its id.
func (g *dsGen) receipt(tool string, status uint16) cid.Hash {
	r := receipt.Receipt{ToolID: h(tool), Status: status}
	k := newSigner("executor")
	raw, id, err := keys.Sign(&r, keys.NewKey([32]byte(k.seed), ""))
	if err != nil {
		g.p.fail("signing a receipt: %w", err)
	}
	g.receipts[id] = raw
	return id
}

func (g *dsGen) episode(name, context string, at int64, receipts ...cid.Hash) cid.Hash {
	e := dataset.Episode{
		TraceRef:    dataset.TraceRef{TraceBlob: blob.Ref{CID: h(name), Size: 1, Media: "application/octet-stream", Chunks: 0}, ReceiptIDs: receipts},
		ContextHash: h(context), OutcomeHash: h(name), TimeObserved: at,
	}
	raw, id, err := dataset.SealEpisode(e)
	if err != nil {
		g.p.fail("an episode: %w", err)
	}
	g.raw[id], g.context[id] = raw, context
	g.ids = append(g.ids, id)
	return id
}

// def is a definition over corpora, of which each is a list of ids.
func dsDef(mode uint8, n *uint64, corpora ...[]cid.Hash) dataset.Def {
	d := dataset.Def{
		Query:    dataset.Query{Predicate: ir.Expr{Op: ir.ExprTrue}},
		Sampling: dataset.Sampling{Mode: mode, N: n, Seed: h("seed")},
	}
	for _, c := range corpora {
		d.CorpusRoots = append(d.CorpusRoots, dsRoot(c))
	}
	return d
}

// dsRoot is a corpus's root; that of no ids is the SHA-256 of no bytes.
func dsRoot(ids []cid.Hash) cid.Hash {
	if len(ids) == 0 {
		return cid.Sum(nil)
	}
	return cid.Sum(listLeaf(ids...))
}

func dsStratified(d dataset.Def, n uint64, segments ...uint32) dataset.Def {
	d.Stratify = &dataset.Stratify{KeyPath: ir.ExprPath{Root: ir.RootEpisode, Segments: segments}, PerBucketN: n, Seed: h("strata")}
	return d
}

func dsN(n uint64) *uint64 { return &n }

// sealed is a definition's bytes with its ids, whatever its rules.
func (g *dsGen) sealed(d dataset.Def) []byte {
	var err error
	if d.Query.QueryID, err = cid.Without(d.Query.AppendCAN(nil), 1); err == nil {
		d.DatasetDefID, err = cid.Without(d.AppendCAN(nil), 1)
	}
	if err != nil {
		g.p.fail("a definition: %w", err)
	}
	return d.AppendCAN(nil)
}

// over is dataset.select's input: the corpora, and every episode of the world
// with its receipts.
func (g *dsGen) over(def []byte, corpora ...[]cid.Hash) in {
	var objects []any
	for _, id := range g.ids {
		objects = append(objects, in{"id": id, "hex": g.raw[id]})
	}
	for _, id := range slices.SortedFunc(keysOf(g.receipts), cid.Hash.Compare) {
		objects = append(objects, in{"id": id, "hex": g.receipts[id]})
	}
	lists := []any{}
	for _, c := range corpora {
		lists = append(lists, c)
	}
	return in{"def": def, "corpora": lists, "objects": objects}
}

func keysOf[V any](m map[cid.Hash]V) func(func(cid.Hash) bool) {
	return func(yield func(cid.Hash) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// dsChosen is the output for a set of ids.
func dsChosen(ids []cid.Hash) out {
	list := slices.Compact(slices.SortedFunc(slices.Values(ids), cid.Hash.Compare))
	if len(list) == 0 {
		return out{"ids": []cid.Hash{}}
	}
	return out{"ids": list, "root": cid.Sum(listLeaf(list...))}
}

// dsLowest are the n of lowest rank under a seed, the plain way: sort them all.
func dsLowest(seed cid.Hash, ids []cid.Hash, n int) []cid.Hash {
	rank := func(id cid.Hash) []byte {
		sum := sha256.Sum256(join(seed[:], id[:]))
		return join(sum[:8], id[:])
	}
	list := slices.Compact(slices.SortedFunc(slices.Values(ids), cid.Hash.Compare))
	slices.SortFunc(list, func(a, b cid.Hash) int { return bytes.Compare(rank(a), rank(b)) })
	return list[:min(n, len(list))]
}

// ranks are the numbers that order everything.
func (g *dsGen) ranks() {
	g.spec = "RFC-MYTHOS-0003 §4"
	for _, name := range []string{"a", "b", "c"} {
		seed, id := h("seed"), h(name)
		sum := sha256.Sum256(join(seed[:], id[:]))
		g.valid("rank", "dataset.rank", "the specification's example, episode "+name, in{"seed": seed, "episode": id},
			out{"seed": seed, "rank": dec(binary.BigEndian.Uint64(sum[:8]))})
	}
	for _, key := range [][]byte{x("00"), rawH(h("red")), canon.AppendInt(nil, -1)} {
		seed, id := h("strata"), h("a")
		stratum := cid.Sum(join(seed[:], key))
		sum := sha256.Sum256(join(stratum[:], id[:]))
		g.valid("rank-stratum", "dataset.rank", fmt.Sprintf("in the stratum of the key %x", key), in{"seed": seed, "key": key, "episode": id},
			out{"seed": stratum, "rank": dec(binary.BigEndian.Uint64(sum[:8]))})
	}
}

// modes are ALL, FIRST_N and HASH_N over one and two corpora.
func (g *dsGen) modes() {
	one, two := g.ids[:6], g.ids[4:] // the fifth and sixth stand in both
	visited := slices.Concat(one, two)
	if a, b := dsRoot(one), dsRoot(two); b.Compare(a) < 0 {
		visited = slices.Concat(two, one)
	}
	distinct := []cid.Hash{}
	for _, id := range visited {
		if !slices.Contains(distinct, id) {
			distinct = append(distinct, id)
		}
	}
	pick := func(what, doc string, mode uint8, n *uint64, want []cid.Hash, corpora [][]cid.Hash, flags ...string) {
		g.valid(what, "dataset.select", doc, g.over(g.sealed(dsDef(mode, n, corpora...)), corpora...), dsChosen(want), flags...)
	}
	both := [][]cid.Hash{one, two}
	pick("all", "everything of two corpora, each once", dataset.ModeAll, nil, g.ids, both, "tie")
	pick("all", "no corpus", dataset.ModeAll, nil, nil, nil)
	pick("all", "an empty corpus", dataset.ModeAll, nil, nil, [][]cid.Hash{{}})
	pick("all", "one corpus twice", dataset.ModeAll, nil, one, [][]cid.Hash{one, one}, "tie")
	pick("all", "an episode that stands three times in one corpus", dataset.ModeAll, nil, g.ids[:2], [][]cid.Hash{{g.ids[0], g.ids[1], g.ids[0], g.ids[0]}}, "tie")
	pick("first", "the first of one corpus, which is not the lowest id", dataset.ModeFirstN, dsN(1), two[:1], [][]cid.Hash{two})
	pick("first", "three of two corpora, in ascending order of their roots", dataset.ModeFirstN, dsN(3), visited[:3], both)
	pick("first", "three of two corpora, named in the other order", dataset.ModeFirstN, dsN(3), visited[:3], [][]cid.Hash{two, one})
	pick("first", "eight of two corpora that share two", dataset.ModeFirstN, dsN(8), distinct[:8], both, "tie")
	pick("first", "none", dataset.ModeFirstN, dsN(0), nil, both)
	pick("first", "more than there are", dataset.ModeFirstN, dsN(99), g.ids, both)
	pick("hash", "four of lowest rank", dataset.ModeHashN, dsN(4), dsLowest(h("seed"), g.ids, 4), both, "tie")
	pick("hash", "one", dataset.ModeHashN, dsN(1), dsLowest(h("seed"), g.ids, 1), both)
	pick("hash", "none", dataset.ModeHashN, dsN(0), nil, both)
	pick("hash", "as many as there are", dataset.ModeHashN, dsN(10), g.ids, both)
	pick("hash", "2^40, the most", dataset.ModeHashN, dsN(1<<40), g.ids, both)
	pick("hash", "of an episode that stands twice, one", dataset.ModeHashN, dsN(2), g.ids[:2], [][]cid.Hash{{g.ids[0], g.ids[0], g.ids[1]}}, "tie")
	none := func(what, doc string, d dataset.Def, want []cid.Hash, corpora ...[]cid.Hash) {
		i := g.over(g.sealed(d), corpora...)
		i["objects"] = []any{}
		if len(want) > 0 {
			i["objects"] = []any{in{"id": want[0], "hex": g.raw[want[0]]}}
		}
		g.valid(what, "dataset.select", doc, i, dsChosen(want), "unread")
	}
	none("unread", "FIRST_N of 0 reads nothing", dsDef(dataset.ModeFirstN, dsN(0), one), nil)
	none("unread", "HASH_N of 0 reads nothing", dsDef(dataset.ModeHashN, dsN(0), one), nil)
	none("unread", "0 of each stratum reads nothing", dsStratified(dsDef(dataset.ModeAll, nil, one), 0, 3), nil)
	none("unread", "FIRST_N of 1 reads one episode", dsDef(dataset.ModeFirstN, dsN(1), one), one[:1], one)
}

// strata are samples of each colour.
func (g *dsGen) strata() {
	strata := map[string][]cid.Hash{}
	for _, id := range g.ids {
		strata[g.context[id]] = append(strata[g.context[id]], id)
	}
	lowest := func(n int) []cid.Hash {
		var left []cid.Hash
		for _, id := range g.ids { // in visiting order
			key, seed := rawH(h(g.context[id])), h("strata")
			if slices.Contains(dsLowest(cid.Sum(join(seed[:], key)), strata[g.context[id]], n), id) {
				left = append(left, id)
			}
		}
		return left
	}
	pick := func(doc string, d dataset.Def, want []cid.Hash) {
		g.valid("strata", "dataset.select", doc, g.over(g.sealed(d), g.ids), dsChosen(want))
	}
	all := dsDef(dataset.ModeAll, nil, g.ids)
	for n := range 5 {
		pick(fmt.Sprintf("%d of each context", n), dsStratified(all, uint64(n), 3), lowest(n))
	}
	pick("the first two of those that are left", dsStratified(dsDef(dataset.ModeFirstN, dsN(2), g.ids), 2, 3), lowest(2)[:2])
	pick("two of lowest rank of those that are left", dsStratified(dsDef(dataset.ModeHashN, dsN(2), g.ids), 2, 3), dsLowest(h("seed"), lowest(2), 2))
	pick("2^40 of each, all", dsStratified(all, 1<<40, 3), g.ids)
	nothing := cid.Sum(join(func() []byte { s := h("strata"); return s[:] }(), x("00")))
	pick("a key_path that leads nowhere: one stratum, whose key is NULL", dsStratified(all, 3, 9), dsLowest(nothing, g.ids, 3))
	pick("a key_path behind a leaf: missing as well", dsStratified(all, 3, 5, 1), dsLowest(nothing, g.ids, 3))
	whole := dsStratified(all, 1)
	pick("an empty key_path: each episode is a stratum", whole, g.ids)
}
