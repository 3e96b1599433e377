package main

import "slices"

// Bounds of a world.
const (
	maxIDs   = 2
	maxSlots = 3
)

// at is where an invocation stands between two steps of its pipeline
// (RFC-MYTHOS-0005 §1).
type at uint8

const (
	idle       at = iota // nothing in flight; what it knew is lost
	looked               // it looked the id up and may proceed
	registered           // its register is durable
	sent                 // the module has the request
	answered             // the module answered
	signed               // receipt and commit are signed
	stored               // the commit is durable and stands
	unsent               // it failed before the first byte
	unsure               // it ended and nobody knows how
	probed               // a probe told whether it happened
	clashed              // its commit contradicted another: a mark is due
	between              // of a run: it has the response to the first effect, and the second is next
)

var atWord = [...]string{
	"idle", "looked up", "registered", "invoking", "answered", "receipt signed", "committed", "not sent", "unsure", "probed", "contradicted", "between two effects",
}

// Slot is one invocation at a time. A crash makes it idle; the caller retries.
type Slot struct {
	At       at
	ID       uint8
	Request  uint8
	Saw      uint8 // registers that the look-up saw
	Register uint8 // its own
	Response uint8
	Happened uint8 // what a probe showed: an outcome
	Commit   Entry
}

// Packet is a commit whose sender is gone: it may still arrive.
type Packet struct {
	On     uint8
	ID     uint8
	Commit Entry
}

// The bits of a lease row. Within a boot the monotonic clock decides, after a
// reboot the wall clock (RFC-MYTHOS-0005 §4).
const (
	row      = 1 << iota // there is one
	mono                 // its end is ahead on the monotonic clock
	wall                 // its end is ahead on the wall clock
	sameBoot             // it was written in this boot
)

// stands says whether a lease does.
func stands(lease uint8) bool {
	if lease&row == 0 {
		return false
	}
	if lease&sameBoot != 0 {
		return lease&mono != 0
	}
	return lease&wall != 0
}

const fresh = row | mono | wall | sameBoot

// Used is what has been spent of each bound of a configuration.
type Used struct{ Operator, Offers, Jumps, Reboots, Late, Conflicts uint8 }

// World is one state of everything: logs, lease rows, invocations, what modules
// did and what callers saw. It is a value without pointers.
type World struct {
	Log     [maxIDs][maxEntries]Entry
	N       [maxIDs]uint8 // entries of each log
	Lease   [maxIDs]uint8
	Slot    [maxSlots]Slot
	Air     [maxSlots]Packet
	Sent    [maxIDs]uint8 // bit i: the module got the request under register i
	Again   [maxIDs]uint8 // and got it twice
	Overdue [maxIDs]uint8 // and its lease had ended by then
	Answer  [maxIDs]Entry // what callers were given
	Charged uint8
	Used    Used
}

func (w *World) log(id uint8) []Entry { return w.Log[id][:w.N[id]] }

func (w *World) add(id uint8, e Entry) {
	w.Log[id][w.N[id]] = e // a configuration that outgrows maxEntries is refused by a panic
	w.N[id]++
}

// bytes appends w in a form in which equal worlds are equal.
func (w *World) bytes(b []byte) []byte {
	for id := range maxIDs {
		b = append(b, w.N[id], w.Lease[id], w.Sent[id], w.Again[id], w.Overdue[id])
		for _, e := range w.log(uint8(id)) {
			b = e.bytes(b)
		}
		b = w.Answer[id].bytes(b)
	}
	for i := range maxSlots {
		s, p := &w.Slot[i], &w.Air[i]
		b = append(b, byte(s.At), s.ID, s.Request, s.Saw, s.Register, s.Response, s.Happened, p.On, p.ID)
		b = p.Commit.bytes(s.Commit.bytes(b))
	}
	u := w.Used
	return append(b, w.Charged, u.Operator, u.Offers, u.Jumps, u.Reboots, u.Late, u.Conflicts)
}

func (e Entry) bytes(b []byte) []byte {
	return append(b, byte(e.Kind), e.By, e.Request, e.Which, e.Attempt, e.What, e.Response, e.Extra)
}

// renamed returns w with executor i called to[i], and its key too unless all have
// one. Only a configuration whose executors are alike may be renamed.
func (w *World) renamed(to []uint8, oneKey bool) World {
	out := *w
	for i, j := range to {
		out.Slot[j], out.Air[j] = w.Slot[i], w.Air[i]
	}
	if oneKey {
		return out
	}
	name := func(e *Entry) {
		if int(e.By) < len(to) && e.Kind != 0 {
			e.By = to[e.By]
		}
	}
	for i := range out.Slot {
		name(&out.Slot[i].Commit)
		name(&out.Air[i].Commit)
	}
	for id := range out.Log {
		for i := range out.log(uint8(id)) {
			name(&out.Log[id][i])
		}
		name(&out.Answer[id])
	}
	return out
}

// orders returns every order of n executors, the given one first.
func orders(n int) [][]uint8 {
	if n == 0 {
		return [][]uint8{{}}
	}
	var out [][]uint8
	for _, short := range orders(n - 1) {
		for i := len(short); i >= 0; i-- {
			out = append(out, slices.Insert(slices.Clone(short), i, uint8(n-1)))
		}
	}
	return out
}
