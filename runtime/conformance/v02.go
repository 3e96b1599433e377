package conformance

import (
	"context"
	"encoding/json"
	"os"
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// The older layout, in which v0.2 was published:
//
//	manifest.json         {"pack", "version", "vectors": [{"id", "description",
//	                      "rfc_reference", "files": {name: path}, "expected": {...}}]}
//	vectors/SUITE/...     the files, each *.bin with its *.bin.sha256 beside it
//	keys/...              TEST-ONLY keys in hex
//
// Its vectors name no ops: each has a rule of its own here. Every one is taken
// through every path: the digests of its files, strict decoding, re-encoding to
// the exact bytes from its JSON and from what was decoded, recomputed ids, and
// signatures, both verified and made again. A vector that this package has no
// rule for fails, and so does one of the pack's vectors that is not there. What
// a vector cannot show is said in a note of a check that passed, never left out.

// verifyV02 runs the selected vectors of an older pack.
func (p *Pack) verifyV02(ctx context.Context, o Options) (Report, error) {
	report := Report{Pack: p.v02.Pack, Version: p.v02.Version, Impl: Info{Name: localName}}
	root, err := os.OpenRoot(p.dir)
	if err != nil {
		return report, fault.New(ErrPack, "%w", err).About(p.dir)
	}
	defer root.Close()
	var picked []*vector
	for _, v := range p.v02.Vectors {
		if o.picks(v.ID, suiteV02(v.ID), 0) {
			picked = append(picked, v)
		}
	}
	for i, v := range picked {
		if err := ctx.Err(); err != nil {
			return report, err
		}
		v.root = root.FS()
		report.Results = append(report.Results, v.run())
		o.progress(i+1, len(picked))
	}
	return report, nil
}

// manifestV02 is manifest.json of the older layout.
type manifestV02 struct {
	Pack    string    `json:"pack"`
	Version string    `json:"version"`
	Vectors []*vector `json:"vectors"`
}

func readManifestV02(b []byte) (manifestV02, error) {
	var m manifestV02
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fault.New(ErrPack, "manifest.json: %w", err)
	}
	if len(m.Vectors) == 0 || len(m.Vectors) > MaxVectors {
		return m, fault.New(ErrPack, "manifest.json lists %d vectors, want 1 to %d", len(m.Vectors), MaxVectors)
	}
	var ids []string
	for _, v := range m.Vectors {
		if v == nil || v.ID == "" || slices.Contains(ids, v.ID) {
			return m, fault.New(ErrPack, "manifest.json lists a vector without an id, or one twice")
		}
		ids = append(ids, v.ID)
	}
	if m.Pack == packV02 {
		for _, id := range vectorsV02() {
			if !slices.Contains(ids, id) {
				m.Vectors = append(m.Vectors, &vector{ID: id})
			}
		}
	}
	return m, nil
}
