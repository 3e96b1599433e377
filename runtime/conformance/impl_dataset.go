package conformance

import (
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/dataset"
	"github.com/mythos-run/mythos/runtime/libs/merkle"
)

// datasetOps are the ops of RFC-MYTHOS-0003.
func datasetOps() map[string]opFunc {
	return map[string]opFunc{
		"dataset.select": do(datasetSelect),
		"dataset.rank":   do(datasetRank),
	}
}

// RankInput is the input of dataset.rank: with Key, the seed is that of the
// stratum of Key.
type RankInput struct {
	Seed    cid.Hash `json:"seed"`
	Key     *Hex     `json:"key,omitempty"`
	Episode cid.Hash `json:"episode"`
}

// Ranked is the output of dataset.rank.
type Ranked struct {
	Seed cid.Hash `json:"seed"` // that was used
	Rank U64      `json:"rank"`
}

func datasetRank(in RankInput) (Ranked, error) {
	seed := in.Seed
	if in.Key != nil {
		seed = dataset.StratumSeed(seed, *in.Key)
	}
	return Ranked{seed, U64(dataset.Rank(seed, in.Episode))}, nil
}

// SelectInput is the input of dataset.select. Corpora are lists of episode ids
// whose nodes a source has; Objects is what else it answers, before all of them.
type SelectInput struct {
	Def     Hex          `json:"def"`
	Corpora [][]cid.Hash `json:"corpora"`
	Objects []ObjectView `json:"objects"`
}

// ObjectView is what a source answers to an id, right or wrong.
type ObjectView struct {
	ID  cid.Hash `json:"id"`
	Hex Hex      `json:"hex"`
}

// Selected is the output of dataset.select.
type Selected struct {
	DefID cid.Hash   `json:"dataset_def_id"`
	IDs   []cid.Hash `json:"ids"`            // ascending
	Root  *cid.Hash  `json:"root,omitempty"` // of their MerkleList; none if there are no ids
}

func datasetSelect(in SelectInput) (Selected, error) {
	def, err := dataset.Open(in.Def)
	if err != nil {
		return Selected{}, err
	}
	things, err := in.things()
	if err != nil {
		return Selected{}, err
	}
	get := func(id cid.Hash, limit int64) ([]byte, error) {
		b, ok := things[id]
		if !ok || int64(len(b)) > limit {
			return nil, badInput("the source does not have %s, or more than %d bytes of it", id, limit)
		}
		return b, nil
	}
	nodes := map[cid.Hash][]byte{}
	put := func(id cid.Hash, b []byte) error {
		nodes[id] = slices.Clone(b)
		return nil
	}
	res, err := def.Select(dataset.Source{Nodes: get, Episodes: get, Receipts: get}, put)
	if err != nil {
		return Selected{}, err
	}
	out := Selected{DefID: def.ID(), Root: res.Manifest, IDs: []cid.Hash{}}
	list, err := merkle.OpenList(res.Manifest, func(id cid.Hash, _ int64) ([]byte, error) { return nodes[id], nil })
	if err != nil {
		return Selected{}, err
	}
	for id, err := range list.All() {
		if err != nil {
			return Selected{}, err
		}
		out.IDs = append(out.IDs, id)
	}
	return out, nil
}

// things is the source.
func (in *SelectInput) things() (map[cid.Hash][]byte, error) {
	all := map[cid.Hash][]byte{}
	put := func(id cid.Hash, b []byte) error {
		all[id] = slices.Clone(b)
		return nil
	}
	for _, ids := range in.Corpora {
		b := merkle.NewBuilder(put)
		for _, id := range ids {
			if err := b.Add(id); err != nil {
				return nil, err
			}
		}
		if _, err := b.Root(); err != nil {
			return nil, err
		}
	}
	for _, o := range in.Objects {
		all[o.ID] = o.Hex
	}
	return all, nil
}
