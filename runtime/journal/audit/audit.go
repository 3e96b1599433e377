// Package audit verifies the log of a journal as a whole (RFC-MYTHOS-0005 §10.4).
// It hashes every entry again and holds the tree against every checkpoint, those
// that the journal keeps and one from elsewhere; and it holds every entry against
// itself, its signatures and the entries of the same id before it. It names the
// first entry that is not what was logged.
//
// Where a root does not fit, the hashes that the journal keeps tell which entry it
// is: those that lead to the signed root are right, so the first entry that has
// another hash was changed. If they were changed too, what is known is between
// which two checkpoints it happened.
package audit

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"time"

	"github.com/mythos-run/mythos/runtime/journal/logtree"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/libs/tlog"
)

// Codes of this package.
const (
	ErrDamaged  fault.Code = "ledger_log_damaged"   // an entry that is not what was logged
	ErrOtherLog fault.Code = "checkpoint_other_log" // a checkpoint of another ledger
	ErrStranger fault.Code = "resolution_signer"    // a resolution by nobody who is an operator here
)

// Options says what to verify and against what.
type Options struct {
	Executors  []sig.AgentID    // whose checkpoints count; without any, none does
	Outside    *tlog.Checkpoint // verified, and kept elsewhere than in the ledger; nil: none
	From       uint64           // size of a checkpoint: entries before it are taken as its hashes say
	HashesOnly bool             // leave out what entries say of themselves, and all signatures but the newest checkpoint's
	// Operators reports whether a key was an operator's at a time; nil: who signed a
	// resolution is not looked at.
	Operators func(key sig.AgentID, at time.Time) bool
	Workers   int // goroutines that check entries; 0: one for each processor
}

// Report is what was found.
type Report struct {
	Entries     uint64   // hashed, and taken as From says
	Checkpoints uint64   // held against the tree
	Covered     uint64   // entries under the newest checkpoint
	Root        cid.Hash // over all entries
	Origin      string   // of the log; "" without a checkpoint
	Damage      *Damage  // nil: none
}

// Damage is the first thing that is wrong.
type Damage struct {
	Index uint64 // of the entry
	To    uint64 // Index+1 if it is that entry; else the first that was changed is one of Index up to To-1
	What  string // in words
	Sort  Sort

	Entry *ledger.Record // what stands there; nil if nothing does, or To says several
	Leaf  *cid.Hash      // leaf hash of what was logged there; nil if that is not known
}

// Sort says what is damaged.
type Sort string

// The sorts of damage.
const (
	Missing    Sort = "missing"    // no entry stands there
	Altered    Sort = "altered"    // another entry than the one that was logged
	Unsound    Sort = "unsound"    // an entry that contradicts itself, or those before it
	Beside     Sort = "beside"     // what stands beside the entry: its receipt, an object, its id or run
	Hashes     Sort = "hashes"     // the hashes that are kept; the entries are what was logged
	Checkpoint Sort = "checkpoint" // the kept checkpoint of size Index

	// What nobody who is known here signed. It is sound in itself, so that it is
	// reported only where nothing is damaged.
	UnknownExecutor Sort = "unknown_executor" // the kept checkpoint of size Index
	UnknownOperator Sort = "unknown_operator" // a resolution
)

// Unknown reports whether nothing is damaged, and only the signer is not known.
func (s Sort) Unknown() bool { return s == UnknownExecutor || s == UnknownOperator }

// Err returns the damage as an error.
func (d *Damage) Err() error {
	switch {
	case d.Sort == UnknownExecutor:
		return fault.New(tlog.ErrSigner, "the checkpoint of size %d: %s", d.Index, d.What)
	case d.Sort == UnknownOperator:
		return fault.New(ErrStranger, "entry %d: %s", d.Index, d.What)
	case d.Sort == Checkpoint:
		return fault.New(ErrDamaged, "the checkpoint of size %d: %s", d.Index, d.What)
	case d.To > d.Index+1:
		return fault.New(ErrDamaged, "one of the entries %d to %d: %s", d.Index, d.To-1, d.What)
	}
	return fault.New(ErrDamaged, "entry %d: %s", d.Index, d.What)
}

// besides is what a journal checks that only it knows: it returns the index of the
// first entry beside which something is wrong.
type besides interface {
	CheckBeside(ctx context.Context) (index uint64, what string, err error)
}

// Run verifies a log. An error is a fault that kept it from being verified; damage
// is in the report.
func Run(ctx context.Context, log ledger.Log, o Options) (Report, error) {
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	a := &auditor{ctx: ctx, log: log, o: o, pool: newPool(ctx, log, o)}
	a.complete = a.node
	err := a.begin()
	if err == nil {
		err = a.entries()
	}
	bad := a.pool.close()
	a.found(bad)
	a.narrow(bad)
	if err == nil {
		err = a.pool.err
	}
	if err == nil && a.rep.Damage == nil {
		err = a.beside()
	}
	if a.rep.Damage == nil {
		a.found(earlier(a.unknown, a.pool.unknown))
	}
	a.rep.Entries, a.rep.Root = a.tree.Size(), a.tree.Root()
	return a.rep, err
}

// auditor is a Run at work.
type auditor struct {
	ctx  context.Context
	log  ledger.Log
	o    Options
	rep  Report
	pool *pool

	time     int64      // of the entry before
	shared   bool       // several executors write it at once, so times of neighbours may cross
	tree     tlog.Range // over what was read
	hasher   ledger.LeafHasher
	complete func(level uint8, index uint64, root cid.Hash) // node, bound once
	rings    ledger.RingFold                                // of the states of rings that were read
	unknown  *Damage                                        // the first checkpoint that nobody known signed
	strange  uint64                                         // size of the last such; it proves nothing, and must fit
	fits     uint64                                         // size of the last checkpoint that the tree fits

	kept     []cid.Hash // kept leaf hashes from keptFrom on
	keptFrom uint64
	differs  *difference // since the last checkpoint that fits; nil: none

	targets func() (ledger.Checkpoint, error, bool)
	target  *tlog.Checkpoint // the next to meet; nil: none is left
	err     error            // of node, which cannot return it
}

// difference begins with the first entry whose hash is not the one kept.
type difference struct {
	index uint64
	entry ledger.Record
	leaf  cid.Hash   // kept
	tree  tlog.Range // over the kept hashes
}

// found takes d if it comes before what was found. Of one entry, that it was
// altered says more than what that did to it.
func (a *auditor) found(d *Damage) {
	old := a.rep.Damage
	if d != nil && (old == nil || d.Index < old.Index || d.Index == old.Index && d.Sort == Altered) {
		a.rep.Damage = d
	}
}

// earlier returns which of two, either of which may be nil, comes first.
func earlier(a, b *Damage) *Damage {
	if a == nil || b != nil && b.Index < a.Index {
		return b
	}
	return a
}

// gist is a fault's message without its code.
func gist(err error) string {
	var e *fault.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return err.Error()
}

// narrow adds to damage somewhere among several entries the first of them that
// shows it by itself.
func (a *auditor) narrow(bad *Damage) {
	d := a.rep.Damage
	if d == nil || bad == nil || d.To == d.Index+1 || bad.Index < d.Index || bad.Index >= d.To {
		return
	}
	d.What += fmt.Sprintf("; entry %d shows it: %s", bad.Index, bad.What)
	d.Entry = bad.Entry
}

// begin finds out what the log says of itself, and takes the tree at From.
func (a *auditor) begin() error {
	if x, ok := a.log.(interface{ Shared() bool }); ok {
		a.shared = x.Shared()
	}
	newest, err := a.log.Newest(a.ctx)
	if err != nil && !errors.Is(err, ledger.ErrNoCheckpoint) {
		return err
	}
	if err == nil {
		a.rep.Covered = newest.Size
		if a.rep.Origin, err = a.origin(newest); err != nil {
			return err
		}
	}
	if out := a.o.Outside; out != nil && a.rep.Origin != "" && out.Origin != a.rep.Origin {
		return fault.New(ErrOtherLog, "it is of %s, this ledger is %s", out.Origin, a.rep.Origin)
	}
	if a.o.From > 0 {
		return a.skip()
	}
	return nil
}

// origin returns what the newest checkpoint calls the log, or, if it does not
// verify, what follows from the first leaf.
func (a *auditor) origin(newest ledger.Checkpoint) (string, error) {
	c, err := tlog.Open(newest.Note, a.o.Executors, nil)
	if err == nil {
		return c.Origin, nil
	}
	first, err := a.log.Leaves(a.ctx, 0, 1)
	if err != nil || len(first) == 0 {
		return "", err
	}
	return logtree.Origin(first[0]), nil
}

// skip begins at a checkpoint, whose tree the kept hashes must lead to.
func (a *auditor) skip() error {
	from := a.o.From
	var at ledger.Checkpoint
	for c, err := range a.log.Checkpoints(a.ctx, from) {
		if err != nil {
			return err
		}
		at = c
		break
	}
	if at.Size != from {
		return fault.New(tlog.ErrRange, "the ledger has no checkpoint of size %d to begin at", from)
	}
	c := a.open(at)
	if c == nil {
		return nil
	}
	tree, err := tlog.Load(logtree.Of(a.ctx, a.log), from)
	if err == nil && tree.Root() == c.Root {
		a.tree, a.fits = tree, from
		return a.outsideAt(from)
	}
	if err != nil && !errors.Is(err, ledger.ErrCorrupt) {
		return err
	}
	a.found(&Damage{Index: 0, To: from, Sort: Hashes, What: "the hashes kept do not lead to the checkpoint; verify without --from"})
	return nil
}

// outsideAt holds an outside checkpoint of at most that size against the kept
// hashes.
func (a *auditor) outsideAt(from uint64) error {
	out := a.o.Outside
	if out == nil || out.Size > from {
		return nil
	}
	tree, err := tlog.Load(logtree.Of(a.ctx, a.log), out.Size)
	if err == nil && tree.Root() != out.Root {
		a.found(rewritten(0, *out))
	}
	return err
}

func rewritten(from uint64, out tlog.Checkpoint) *Damage {
	return &Damage{Index: from, To: out.Size, Sort: Altered, What: fmt.Sprintf(
		"the log does not lead to the outside checkpoint of size %d; its own hashes and checkpoints were changed to hide it", out.Size)}
}

// open verifies a kept checkpoint; nil if it is damage.
func (a *auditor) open(c ledger.Checkpoint) *tlog.Checkpoint {
	a.rep.Checkpoints++
	out, _, err := tlog.Parse(c.Note)
	if err == nil && (!a.o.HashesOnly || c.Size == a.rep.Covered) {
		_, err = tlog.Open(c.Note, a.o.Executors, nil)
	}
	switch {
	case err != nil && (!errors.Is(err, tlog.ErrSigner) || out.Size != c.Size || out.Origin != a.rep.Origin):
		a.found(&Damage{Index: c.Size, To: c.Size + 1, Sort: Checkpoint, What: err.Error()})
	case out.Size != c.Size || out.Origin != a.rep.Origin:
		a.found(&Damage{Index: c.Size, To: c.Size + 1, Sort: Checkpoint, What: fmt.Sprintf("it is of size %d of %s", out.Size, out.Origin)})
	default:
		if err != nil {
			a.unknown = earlier(a.unknown, &Damage{Index: c.Size, To: c.Size + 1, Sort: UnknownExecutor, What: gist(err)})
			a.strange = c.Size
		}
		return &out
	}
	return nil
}

// advance makes target the next checkpoint beyond the tree that can be met. What
// was signed after the audit began is left out.
func (a *auditor) advance() error {
	a.target = nil
	for a.target == nil {
		c, err, ok := a.targets()
		switch {
		case err != nil:
			return err
		case !ok || c.Size > a.rep.Covered:
			return nil
		}
		a.target = a.open(c)
	}
	return nil
}

// entries goes through the log.
func (a *auditor) entries() error {
	next, stop := iter.Pull2(a.log.Checkpoints(a.ctx, a.o.From+1))
	defer stop()
	a.targets = next
	if err := a.advance(); err != nil {
		return err
	}
	for rec, err := range a.log.Entries(a.ctx, a.o.From) {
		if err == nil {
			err = a.err
		}
		if err != nil {
			return err
		}
		if rec.Index != a.tree.Size() {
			break
		}
		if err := a.entry(rec); err != nil {
			return err
		}
		done, err := a.meet()
		if err != nil || done {
			return err
		}
	}
	return a.end()
}

// entry takes one entry into the tree.
func (a *auditor) entry(rec ledger.Record) error {
	index := rec.Index
	leaf := a.hasher.Hash(index, rec.Kind, rec.Body)
	if index < a.rep.Covered {
		kept, err := a.keptLeaf(index)
		if err != nil {
			return err
		}
		if a.differs != nil {
			a.differs.tree.Append(kept)
		} else if kept != leaf {
			a.differ(rec, kept)
		}
	}
	a.tree.Grow(leaf, a.complete)
	if rec.Time < a.time && !a.shared {
		a.found(own(rec, Beside, "its time is before that of the entry before it"))
	}
	a.time = rec.Time
	if !a.o.HashesOnly {
		a.pool.add(rec)
		a.ring(rec)
	}
	return nil
}

// ring holds a state of a ring against those before it. The pool verifies it by
// itself, in no order.
func (a *auditor) ring(rec ledger.Record) {
	if rec.Kind != ledger.KindRingState {
		return
	}
	var x ledger.RingState
	if _, err := sig.Decode(slices.Clone(rec.Body), &x); err != nil {
		return // the pool says so
	}
	if err := a.rings.Add(x); err != nil {
		a.found(own(rec, Unsound, "it does not follow from the states of its ring before it: %s", err))
	}
}

// glance is how many entries are hashed before the checks of entries are asked
// whether they have found anything.
const glance = 4096

func (a *auditor) differ(rec ledger.Record, kept cid.Hash) {
	rec.Body = append([]byte{}, rec.Body...)
	a.differs = &difference{index: rec.Index, entry: rec, leaf: kept, tree: a.tree}
	a.differs.tree.Append(kept)
}

// keptLeaf returns the kept leaf hash of an entry; zero if there is none.
func (a *auditor) keptLeaf(index uint64) (cid.Hash, error) {
	if index >= a.keptFrom+uint64(len(a.kept)) || index < a.keptFrom {
		kept, err := a.log.Leaves(a.ctx, index, min(index-index%logtree.Segment+logtree.Segment, a.rep.Covered))
		if err != nil {
			return cid.Hash{}, err
		}
		if len(kept) == 0 {
			kept = []cid.Hash{{}}
		}
		a.kept, a.keptFrom = kept, index
	}
	return a.kept[index-a.keptFrom], nil
}

// node holds an inner node against the one that is kept.
func (a *auditor) node(level uint8, index uint64, root cid.Hash) {
	end := (index + 1) << level
	if level == 0 || level%logtree.Stride != 0 || end > a.rep.Covered || a.differs != nil || a.err != nil {
		return
	}
	kept, err := a.log.Node(a.ctx, level, index)
	switch {
	case err != nil && !errors.Is(err, ledger.ErrCorrupt):
		a.err = err
	case err != nil || kept != root:
		a.found(&Damage{Index: index << level, To: end, Sort: Hashes, What: fmt.Sprintf("the hash kept of node %d of level %d is not theirs", index, level)})
	}
}

// meet holds the tree against the checkpoints of its size. It reports whether
// there is no need to go on.
func (a *auditor) meet() (done bool, err error) {
	size := a.tree.Size()
	if out := a.o.Outside; out != nil && out.Size == size {
		done = a.judge(*out, true)
	}
	for a.target != nil && a.target.Size == size && !done {
		if a.strange != size {
			done = a.judge(*a.target, false)
		} else if a.tree.Root() != a.target.Root {
			a.found(&Damage{Index: size, To: size + 1, Sort: Checkpoint, What: "nobody known here signed it, and the entries do not lead to it"})
		}
		if err := a.advance(); err != nil {
			return true, err
		}
	}
	if size%glance == 0 || done {
		a.found(a.pool.worst())
	}
	return done || a.rep.Damage != nil && a.rep.Damage.Index+glance < size && a.differs == nil, nil
}

// judge holds the tree against one checkpoint of its size, and says whether the
// first damage before it is known.
func (a *auditor) judge(c tlog.Checkpoint, outside bool) bool {
	if a.tree.Root() == c.Root {
		if d := a.differs; d != nil {
			a.found(&Damage{Index: d.index, To: d.index + 1, Sort: Hashes, Leaf: nil, Entry: &d.entry, What: "the hash kept of it was changed; the entry is what was logged"})
		}
		a.fits, a.differs = c.Size, nil
		return a.rep.Damage != nil && a.rep.Damage.Index < c.Size
	}
	switch d := a.differs; {
	case d != nil && d.tree.Root() == c.Root:
		a.found(d.damage())
	case d != nil:
		a.found(&Damage{Index: a.fits, To: c.Size, Sort: Altered, What: fmt.Sprintf("they do not lead to the checkpoint of size %d, nor do the hashes kept of them; entry %d is the first to differ from its own", c.Size, d.index)})
	case outside:
		a.found(rewritten(0, c))
	default:
		a.found(&Damage{Index: a.fits, To: c.Size, Sort: Altered, What: fmt.Sprintf("they do not lead to the checkpoint of size %d; the hashes kept of them were changed to hide it", c.Size)})
	}
	return true
}

func (d *difference) damage() *Damage {
	return &Damage{Index: d.index, To: d.index + 1, Sort: Altered, Entry: &d.entry, Leaf: &d.leaf, What: "it is not the entry that was logged there"}
}

// end says what is missing once there is no further entry, or none where it should
// be.
func (a *auditor) end() error {
	size := a.tree.Size()
	last := a.rep.Covered
	if out := a.o.Outside; out != nil {
		last = max(last, out.Size)
	}
	if a.differs != nil {
		return a.endDiffering()
	}
	missing, err := a.missing(size)
	if err != nil || !missing && size >= last {
		return err
	}
	d := &Damage{Index: size, To: size + 1, Sort: Missing, What: "it is missing"}
	if size < a.rep.Covered {
		leaf, err := a.keptLeaf(size)
		if err != nil {
			return err
		}
		if !leaf.IsZero() {
			d.Leaf = &leaf
		}
	}
	if size < last {
		d.What = fmt.Sprintf("it is missing; a checkpoint says that there are %d entries", last)
	}
	a.found(d)
	return nil
}

// missing reports whether an entry stands after one that does not.
func (a *auditor) missing(index uint64) (bool, error) {
	for _, err := range a.log.Entries(a.ctx, index) {
		return err == nil, err
	}
	return false, nil
}

// endDiffering brings the tree of the kept hashes to the next checkpoint, to know
// whether they are right.
func (a *auditor) endDiffering() error {
	d := a.differs
	if a.target != nil {
		for i := d.tree.Size(); i < a.target.Size; i++ {
			kept, err := a.keptLeaf(i)
			if err != nil {
				return err
			}
			d.tree.Append(kept)
		}
		if d.tree.Root() == a.target.Root {
			a.found(d.damage())
			return nil
		}
	}
	a.found(&Damage{Index: a.fits, To: d.index + 1, Sort: Altered, What: fmt.Sprintf("they do not lead to a checkpoint, and entries after them are missing; entry %d is the first to differ from the hash kept of it", d.index)})
	return nil
}

// beside asks the journal for what only it knows.
func (a *auditor) beside() error {
	b, ok := a.log.(besides)
	if !ok || a.o.HashesOnly {
		return nil
	}
	index, what, err := b.CheckBeside(a.ctx)
	if err == nil && what != "" {
		a.found(&Damage{Index: index, To: index + 1, Sort: Beside, What: what})
	}
	return err
}
