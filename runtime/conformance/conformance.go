// Package conformance runs published conformance packs against this
// implementation. A pack is a folder:
//
//	manifest.json         {"pack", "version", "vectors": [{"id", "description",
//	                      "rfc_reference", "files": {name: path}, "expected": {...}}]}
//	vectors/SUITE/...     the files, each *.bin with its *.bin.sha256 beside it
//	keys/...              TEST-ONLY keys in hex
//
// Every vector is taken through every path: the digests of its files, strict
// decoding, re-encoding to the exact bytes from its JSON and from what was
// decoded, recomputed ids, and signatures, both verified and made again. A
// vector that this package has no rule for fails, and so does one of the pack's
// vectors that is not there. What a vector cannot show is said in a note of a
// check that passed, never left out.
//
// Only files inside the folder are read, each up to a bound; nothing is
// written.
package conformance

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path"
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// ErrPack is the code of a folder that holds no readable pack.
const ErrPack fault.Code = "ctvp_pack"

// Bounds on what is read.
const (
	MaxFile    = 64 << 20 // bytes of one file
	MaxVectors = 10_000
)

// Report is the outcome of one pack.
type Report struct {
	Pack    string   `json:"pack"`
	Version string   `json:"version"`
	Results []Result `json:"results"` // in the pack's order
}

// Result is the outcome of one vector.
type Result struct {
	ID     string  `json:"id"`
	Suite  string  `json:"suite"` // the id up to its last "_"
	Checks []Check `json:"checks"`
}

// Check is one thing that a vector was held to.
type Check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Note string `json:"note,omitempty"` // why it failed, or what it does not show
}

// OK reports whether every vector passed and there was one.
func (r Report) OK() bool {
	return len(r.Results) > 0 && !slices.ContainsFunc(r.Results, func(x Result) bool { return !x.OK() })
}

// OK reports whether every check passed and there was one.
func (r Result) OK() bool {
	return len(r.Checks) > 0 && !slices.ContainsFunc(r.Checks, func(c Check) bool { return !c.OK })
}

// Run checks the pack in dir. An error means that there is no pack that could
// be read, or that ctx ended; vectors that fail are in the report.
func Run(ctx context.Context, dir string) (Report, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Report{}, fault.New(ErrPack, "%w", err).About(dir)
	}
	defer root.Close()
	m, err := readManifest(root)
	if err != nil {
		return Report{}, fault.New(ErrPack, "%w", err).About(dir)
	}
	report := Report{Pack: m.Pack, Version: m.Version}
	for _, v := range m.Vectors {
		if err := ctx.Err(); err != nil {
			return report, err
		}
		v.root = root
		report.Results = append(report.Results, v.run())
	}
	return report, nil
}

// manifest is manifest.json.
type manifest struct {
	Pack    string    `json:"pack"`
	Version string    `json:"version"`
	Vectors []*vector `json:"vectors"`
}

func readManifest(root *os.Root) (manifest, error) {
	var m manifest
	b, err := readFile(root, "manifest.json")
	if err != nil {
		return m, err
	}
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

// readFile reads a regular file inside the pack, at most MaxFile bytes.
func readFile(root *os.Root, name string) ([]byte, error) {
	name = path.Clean(name)
	info, err := root.Stat(name) // before Open, which would wait for a pipe's writer
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fault.New(ErrPack, "not a regular file").About(name)
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(b) > MaxFile:
		return nil, fault.New(ErrPack, "larger than %d bytes", MaxFile).About(name)
	}
	return b, nil
}
