// Package diff tells what changed between two packages (RFC-MYTHOS-0006 §2), for
// whoever reviews the second: what it may do that the first might not, in front.
// It compares what their manifests and programs say and decides nothing; whether
// either is sound is the gate's to tell.
package diff

import (
	"cmp"
	"context"
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
)

// Area is what a change is in.
type Area string

// The areas, in the order in which changes of one Power are listed.
const (
	Authority  Area = "authority"  // capabilities that a module or a program needs, tools that a program calls
	Isolation  Area = "isolation"  // the kind of a module: how it is kept apart from the host
	Signers    Area = "signers"    // who signed
	Budget     Area = "budget"     // of an entry point's task
	Limits     Area = "limits"     // of a module
	Retry      Area = "retry"      // what may happen to a call in doubt
	Tool       Area = "tool"       // names, interfaces and descriptions
	Code       Area = "code"       // modules and programs
	Entrypoint Area = "entrypoint" // where a run begins
	Needs      Area = "needs"      // what the package asks of an executor
	Policy     Area = "policy"     // policies that it carries
	Attested   Area = "attested"   // what others attest of it
	Content    Area = "content"    // other artifacts
	Identity   Area = "identity"   // name and version
)

var order = []Area{Authority, Isolation, Signers, Budget, Limits, Retry, Tool, Code, Entrypoint, Needs, Policy, Attested, Content, Identity}

// Power says what a change does to what a package may do.
type Power string

// The powers.
const (
	More Power = "more" // the second may do what the first might not
	Less Power = "less"
	None Power = "none" // neither, or it cannot be told
)

// Change is one thing that is not the same in both.
type Change struct {
	Area    Area    `json:"area"`
	Power   Power   `json:"power"`
	Subject string  `json:"subject"` // what it is about: a module, an entry point
	What    string  `json:"what"`    // in words
	Before  *string `json:"before"`  // in the first; null if it was not there
	After   *string `json:"after"`   // in the second; null if it is not there
}

// Side is one of the two packages.
type Side struct {
	Manifest *manifest.Manifest
	// Read returns an artifact of at most limit bytes, its hashes checked.
	Read func(ctx context.Context, a *manifest.Artifact, limit uint64) ([]byte, error)
}

// Compare lists what changed from a to b: what adds power first, then what takes
// some away, then the rest. What of their contents cannot be read is compared by
// its hash.
func Compare(ctx context.Context, a, b Side) []Change {
	c := &comparer{ctx: ctx, a: a, b: b}
	c.identity()
	c.needs()
	c.signers()
	c.modules()
	c.entrypoints()
	c.lists()
	slices.SortStableFunc(c.out, func(x, y Change) int {
		return cmp.Or(cmp.Compare(rank(x.Power), rank(y.Power)), cmp.Compare(slices.Index(order, x.Area), slices.Index(order, y.Area)))
	})
	return c.out
}

func rank(p Power) int { return slices.Index([]Power{More, Less, None}, p) }

type comparer struct {
	ctx  context.Context
	a, b Side
	out  []Change
}

func (c *comparer) add(area Area, power Power, subject, what string, before, after *string) {
	c.out = append(c.out, Change{area, power, subject, what, before, after})
}

// text is a value of a Change; "" is one that is there.
func text(s string) *string { return &s }

// opt is a value that "" says is not there.
func opt(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// changed notes a value that is not the same in both.
func (c *comparer) changed(area Area, subject, what string, before, after *string) {
	if deref(before) != deref(after) || (before == nil) != (after == nil) {
		c.add(area, None, subject, what, before, after)
	}
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func (c *comparer) identity() {
	a, b := c.a.Manifest, c.b.Manifest
	c.changed(Identity, "package", "name", &a.Name, &b.Name)
	c.changed(Identity, "package", "version", &a.Version, &b.Version)
}

func (c *comparer) needs() {
	a, b := &c.a.Manifest.Requires, &c.b.Manifest.Requires
	c.changed(Needs, "executor", "lowest version", &a.ExecutorMinVersion, &b.ExecutorMinVersion)
	c.changed(Needs, "codebook", "id", text(a.CodebookID.String()), text(b.CodebookID.String()))
	c.changed(Needs, "conformance pack", "id", hash(a.CTVPID), hash(b.CTVPID))
	c.set(Needs, None, None, "feature", a.Features, b.Features)
}

func hash(id *cid.Hash) *string {
	if id == nil {
		return nil
	}
	return text(id.String())
}

// set compares two sets of words.
func (c *comparer) set(area Area, gained, lost Power, subject string, a, b []string) {
	for _, s := range b {
		if !slices.Contains(a, s) {
			c.add(area, gained, subject, "added", nil, text(s))
		}
	}
	for _, s := range a {
		if !slices.Contains(b, s) {
			c.add(area, lost, subject, "removed", text(s), nil)
		}
	}
}

// signers compares whose keys are named in the signatures. Whether they verify is
// the verdict's to say.
func (c *comparer) signers() {
	c.set(Signers, None, None, "signature", keyIDs(c.a.Manifest), keyIDs(c.b.Manifest))
}

func keyIDs(m *manifest.Manifest) (ids []string) {
	for _, s := range m.Signatures {
		id := "a key that it does not name"
		if s.KeyID != nil {
			id = s.KeyID.String()
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// lists compares what is told apart by its hash alone.
func (c *comparer) lists() {
	a, b := c.a.Manifest, c.b.Manifest
	c.set(Policy, None, None, "policy", hashes(a.Policies), hashes(b.Policies))
	c.set(Attested, None, None, "attestation", attested(a), attested(b))
	c.set(Content, None, None, "artifact", contents(a), contents(b))
}

func hashes(ids []cid.Hash) (out []string) {
	for _, id := range ids {
		out = append(out, id.String())
	}
	return out
}

func attested(m *manifest.Manifest) (ids []string) {
	for i := range m.Attestations {
		ids = append(ids, m.Attestations[i].AttestationID.String())
	}
	return ids
}

// contents lists the artifacts that are neither modules, programs nor
// descriptions, which are compared where they are used.
func contents(m *manifest.Manifest) (out []string) {
	used := map[cid.Hash]bool{}
	for i := range m.Modules {
		used[m.Modules[i].Module.CID] = true
		if d := m.Modules[i].Tool.Description; d != nil {
			used[*d] = true
		}
	}
	for i := range m.Entrypoints {
		used[m.Entrypoints[i].Bundle] = true
	}
	for _, a := range m.Artifacts {
		if !used[a.CID] {
			out = append(out, manifest.KindName(a.Kind)+" "+a.CID.String())
		}
	}
	return out
}
