// Package history holds what callers of one idempotency key saw against the
// sequential specification of a key (RFC-MYTHOS-0005 §3), with porcupine: whether
// there is one order of all calls, in which each takes effect at one moment
// between its beginning and its end, that the specification allows.
//
// The specification of one key, of a tool whose class is never:
//
//	nothing yet    a call may be invoked and get a fresh receipt; it stands from then on
//	               a call may be refused, since another one's lease stands
//	               a call may find the key in doubt; it stays so
//	in doubt       every call is refused as in doubt
//	a receipt      every call replays this one
//
// A call whose caller died has no outcome: it may have done nothing, or what a
// fresh call does, with a receipt that nobody has seen yet.
package history

import (
	"math"
	"time"

	"github.com/anishathalye/porcupine"
)

// How says how a call ended.
type How uint8

// The ends of a call.
const (
	Died       How = iota // nobody knows
	Fresh                 // invoked; Receipt is its own
	Replayed              // Receipt stood before
	InProgress            // refused: somebody else's lease stands
	InDoubt               // refused: nobody knows the outcome
)

// Call is one call by one caller, with times of one clock.
type Call struct {
	Key          string
	Caller       int
	Begun, Ended int64 // Ended is ignored for a call that died
	How          How
	Receipt      string // of Fresh and Replayed
}

// state is what stands under a key.
type state struct {
	phase   phase
	receipt string
}

type phase uint8

const (
	nothing phase = iota
	doubt
	unseen // a receipt that nobody has seen yet
	stands
)

// Check reports whether the calls are linearizable, each key for itself, and
// whether that was found out within the limit.
func Check(calls []Call, limit time.Duration) (ok, known bool) {
	ops := make([]porcupine.Operation, len(calls))
	for i, c := range calls {
		ops[i] = porcupine.Operation{ClientId: c.Caller, Input: c.Key, Output: c, Call: c.Begun, Return: c.Ended}
		if c.How == Died {
			ops[i].Return = math.MaxInt64
		}
	}
	spec := model()
	result := porcupine.CheckOperationsTimeout(spec.ToModel(), ops, limit)
	return result == porcupine.Ok, result != porcupine.Unknown
}

func model() porcupine.NondeterministicModel {
	return porcupine.NondeterministicModel{
		Partition: byKey,
		Init:      func() []any { return []any{state{}} },
		Step:      func(s, _, out any) []any { return step(s.(state), out.(Call)) },
	}
}

// byKey splits a history: keys know nothing of each other.
func byKey(ops []porcupine.Operation) [][]porcupine.Operation {
	at := map[string]int{}
	var parts [][]porcupine.Operation
	for _, op := range ops {
		key := op.Input.(string)
		i, ok := at[key]
		if !ok {
			i = len(parts)
			at[key], parts = i, append(parts, nil)
		}
		parts[i] = append(parts[i], op)
	}
	return parts
}

// step returns the states that a call may leave, none if it may not be.
func step(s state, c Call) []any {
	to := func(next ...state) (all []any) {
		for _, n := range next {
			all = append(all, n)
		}
		return all
	}
	switch {
	case c.How == Died && s.phase == nothing:
		return to(s, state{phase: unseen})
	case c.How == Died:
		return to(s)
	case c.How == Fresh && s.phase == nothing:
		return to(state{stands, c.Receipt})
	case c.How == Replayed && (s == state{stands, c.Receipt} || s.phase == unseen):
		return to(state{stands, c.Receipt})
	case c.How == InProgress && s.phase == nothing:
		return to(s)
	case c.How == InDoubt && (s.phase == nothing || s.phase == doubt):
		return to(state{phase: doubt})
	}
	return nil
}
