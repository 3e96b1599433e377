// Package conformance holds implementations of MYTHOS to conformance packs: this
// one, in process, or any other, as a program that speaks JSON lines. What a
// pack, an op and an answer are is written in ctvp/README.md; a pack is a folder
//
//	manifest.json    schema mythos.ctvp/1: suites and vectors, with digests
//	SHA256SUMS       "<hex>  <path>" of every file under vectors/ and keys/
//	flags.json       why vectors with a flag exist
//	vectors/SUITE/ID.json, and larger inputs beside it
//	keys/            TEST-ONLY keys
//
// and a vector is one call of an op: its input, and what must be answered. For
// example
//
//	{"op": "can.decode", "input": {"hex": "038000"},
//	 "expect": {"error": "can_varint", "offset": 0}}
//
// Open and Embedded check a pack as a whole before anything runs: every file has
// its digest in both lists, none is missing and none is there that no list
// names. Verify then asks an Impl about each vector and judges the answers. The
// layout in which v0.2 was published is read as well; see v02.go.
//
// Only files inside the folder are read, each up to a bound; nothing is
// written.
package conformance

import (
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Codes of this package.
const (
	ErrPack    fault.Code = "ctvp_pack"             // a folder that holds no readable pack
	ErrDamaged fault.Code = "ctvp_damaged"          // a pack whose files are not those of its lists
	ErrVector  fault.Code = "ctvp_vector_not_found" // a suite, id or filter that no vector has
	ErrImpl    fault.Code = "ctvp_impl"             // an implementation that cannot be started or does not say hello
	ErrFailed  fault.Code = "ctvp_failed"           // vectors that did not pass
)

// Bounds on what is read.
const (
	MaxFile    = 64 << 20  // bytes of one file
	MaxPack    = 512 << 20 // bytes of all files
	MaxVectors = 10_000
)

// Report is the outcome of one pack.
type Report struct {
	Pack    string   `json:"pack"`
	Version string   `json:"version"`
	Impl    Info     `json:"impl"`
	Results []Result `json:"results"` // in the pack's order
}

// Result is the outcome of one vector.
type Result struct {
	ID     string  `json:"id"`
	Suite  string  `json:"suite"`
	Absent bool    `json:"not_implemented,omitempty"` // the implementation does not claim to do this
	Checks []Check `json:"checks"`
}

// Check is one thing that a vector was held to.
type Check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Note string `json:"note,omitempty"` // why it failed, or what it does not show
}

// OK reports whether no vector failed and one passed: what is not implemented
// has done neither.
func (r Report) OK() bool {
	passed := func(x Result) bool { return x.OK() }
	return slices.ContainsFunc(r.Results, passed) && !slices.ContainsFunc(r.Results, Result.Failed)
}

// OK reports whether every check passed and there was one.
func (r Result) OK() bool {
	return len(r.Checks) > 0 && !slices.ContainsFunc(r.Checks, func(c Check) bool { return !c.OK })
}

// Failed reports whether the vector ran and did not pass.
func (r Result) Failed() bool { return !r.Absent && !r.OK() }

// Failure describes the first check that failed, or is "".
func (r Result) Failure() string {
	for _, c := range r.Checks {
		if !c.OK && c.Note == "" {
			return c.Name
		}
		if !c.OK {
			return c.Name + ": " + c.Note
		}
	}
	return ""
}

// Summary counts the outcomes of one suite.
type Summary struct {
	Suite  string `json:"suite"`
	Passed int    `json:"passed"`
	Failed int    `json:"failed"`
	Absent int    `json:"not_implemented"`
	Total  int    `json:"total"`
}

// PerCent returns how many of the vectors that ran have passed, rounded down, so
// that 100 means all; -1 if none ran.
func (s Summary) PerCent() int {
	if s.Passed+s.Failed == 0 {
		return -1
	}
	return 100 * s.Passed / (s.Passed + s.Failed)
}

// Suites summarises the results, in the order in which suites first appear.
func (r Report) Suites() []Summary {
	var out []Summary
	for _, x := range r.Results {
		i := slices.IndexFunc(out, func(s Summary) bool { return s.Suite == x.Suite })
		if i < 0 {
			i = len(out)
			out = append(out, Summary{Suite: x.Suite})
		}
		out[i].Total++
		switch {
		case x.Absent:
			out[i].Absent++
		case x.OK():
			out[i].Passed++
		default:
			out[i].Failed++
		}
	}
	return out
}
