package main

import (
	"crypto/sha256"
	"fmt"
)

// Result is what a search found.
type Result struct {
	States, Transitions uint64
	Depth               int
	Evaluated           [invariants]uint64
	Violated            *Invariant
	Trace               []string // the shortest, in words; nil without a violation
}

// key stands for a world: 128 bits of its SHA-256.
type key [16]byte

// node is one state that was found, for the trace that led to it.
type node struct {
	parent uint32
	step   uint16 // the how-many-th step of its parent
}

// search explores every state of c, breadth first, until an invariant does not
// hold. It fails if there are more than limit states.
func search(c Config, limit int) (Result, error) {
	x := &searcher{m: Model{Config: c}, seen: map[key]struct{}{}, orders: [][]uint8{identity(c.Slots)}}
	if c.alike() {
		x.orders = orders(c.Slots)
	}
	first := World{}
	x.reach(&first, node{})
	for len(x.frontier) > 0 && x.m.violated == nil {
		level, base := x.frontier, len(x.nodes)-len(x.frontier)
		x.frontier = nil
		for i := range level {
			x.expand(&level[i], uint32(base+i))
			if x.m.violated != nil {
				break
			}
			if len(x.nodes) > limit {
				return x.result, fmt.Errorf("%s: more than %d states", c.Name, limit)
			}
		}
		if len(x.frontier) > 0 {
			x.result.Depth++
		}
	}
	x.result.States, x.result.Evaluated, x.result.Violated = uint64(len(x.nodes)), x.m.evaluated, x.m.violated
	if x.m.violated != nil {
		x.result.Trace = x.trace()
	}
	return x.result, nil
}

type searcher struct {
	m        Model
	seen     map[key]struct{}
	nodes    []node
	frontier []World
	orders   [][]uint8
	result   Result
	bad      node // what led to the violation
	buffer   []byte
}

func (x *searcher) expand(w *World, from uint32) {
	step := uint16(0)
	x.m.steps(w, func(_ Step, n *World) {
		x.result.Transitions++
		if x.m.violated == nil {
			x.reach(n, node{from, step})
			if x.m.violated != nil {
				x.bad = node{from, step}
			}
		} else if x.bad == (node{}) {
			x.bad = node{from, step} // the step itself broke it
		}
		step++
	})
}

// reach adds a world, unless it or one that is alike was reached before.
func (x *searcher) reach(w *World, by node) {
	c, _ := x.canonical(w)
	sum := sha256.Sum256(x.buffer)
	k := key(sum[:16])
	if _, ok := x.seen[k]; ok {
		return
	}
	x.seen[k] = struct{}{}
	x.nodes = append(x.nodes, by)
	x.m.inspect(&c)
	x.frontier = append(x.frontier, c)
}

// canonical returns the least of the worlds that differ from w only in what the
// executors are called, and how it calls them; its bytes are in x.buffer.
func (x *searcher) canonical(w *World) (World, []uint8) {
	best, order := *w, x.orders[0]
	x.buffer = best.bytes(x.buffer[:0])
	for _, to := range x.orders[1:] {
		n := w.renamed(to, x.m.OneKey)
		if b := n.bytes(nil); string(b) < string(x.buffer) {
			best, order, x.buffer = n, to, b
		}
	}
	return best, order
}

// trace walks from the first world to the step that broke an invariant.
func (x *searcher) trace() []string {
	path := []node{x.bad}
	for at := x.bad.parent; at != 0; at = x.nodes[at].parent {
		path = append(path, x.nodes[at])
	}
	w, names := World{}, identity(x.m.Slots)
	var out []string
	replay := Model{Config: x.m.Config}
	for i := len(path) - 1; i >= 0; i-- {
		var next World
		var words string
		step := uint16(0)
		replay.steps(&w, func(s Step, n *World) {
			if step == path[i].step {
				next, words = *n, s.words(names)
			}
			step++
		})
		out = append(out, words)
		c, order := x.canonical(&next)
		renamed := identity(x.m.Slots)
		for was, is := range order {
			renamed[is] = names[was]
		}
		w, names = c, renamed
	}
	return out
}

func identity(n int) []uint8 {
	out := make([]uint8, n)
	for i := range out {
		out[i] = uint8(i)
	}
	return out
}
