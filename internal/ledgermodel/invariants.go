package main

// Invariant is one property that must hold.
type Invariant uint8

// The invariants. Those of the first group are evaluated in every state, the rest
// at the step that they are about.
const (
	// AtMostOneInvocation: under class never a module gets at most one request of an
	// id, unless an operator resolved that the one before was not invoked.
	AtMostOneInvocation Invariant = iota
	// ReconcileAtMostOnce is the same under class reconcile, for requests that are
	// sent while the lease of their register stands.
	ReconcileAtMostOnce
	// DoubtIsVisible: a register without outcome and lease is listed.
	DoubtIsVisible
	// DivergentRefuses: commits that contradict each other let nobody proceed or
	// replay until an operator resolves it.
	DivergentRefuses
	// OrderIndependentDivergence: two commits give the same phase, and the same
	// response if one stands, in both orders.
	OrderIndependentDivergence
	// BindingForEver: every register of an id is for one request, and a call with
	// another is a conflict in every phase.
	BindingForEver
	// ChargedOncePerRegister: every register is charged once and nothing else is.
	ChargedOncePerRegister
	// NeverOverspent: a capability is not charged beyond max_calls.
	NeverOverspent
	// RegisterBeforeInvoke: whoever sends a request has a durable register.
	RegisterBeforeInvoke
	// CommitFenced: a commit that comes to stand names the latest register and is by
	// its owner.
	CommitFenced
	// OwnersOutcomeCounts: a first outcome of the latest register counts, whatever
	// its lease.
	OwnersOutcomeCounts
	// OutcomeMonotone: a commit that stands stays until it is contradicted, settled
	// until it is contradicted, and only an operator ends a divergence.
	OutcomeMonotone
	// LeaseHonoured: while a lease stands on the store's clock nobody else registers.
	LeaseHonoured
	// ClassNotLoosened: an id in doubt is registered again only if the class that was
	// recorded and the class at hand both allow it.
	ClassNotLoosened
	// NoAnswerWithoutDurableCommit: a caller sees nothing that is not in the log.
	NoAnswerWithoutDurableCommit
	// AnswerStood: what a caller sees was the outcome of its id.
	AnswerStood
	// ReplayEqualsReceipt: callers of an id see one receipt, unless an operator's
	// resolution of a divergence set it aside.
	ReplayEqualsReceipt
	// RestsOnWhatStood: what a request was made of was the outcome of its id, and
	// durable, when the request's register is.
	RestsOnWhatStood
	invariants
)

var invariantName = [invariants]string{
	"AtMostOneInvocation", "ReconcileAtMostOnce", "DoubtIsVisible", "DivergentRefuses", "OrderIndependentDivergence", "BindingForEver",
	"ChargedOncePerRegister", "NeverOverspent", "RegisterBeforeInvoke", "CommitFenced", "OwnersOutcomeCounts", "OutcomeMonotone",
	"LeaseHonoured", "ClassNotLoosened", "NoAnswerWithoutDurableCommit", "AnswerStood", "ReplayEqualsReceipt", "RestsOnWhatStood",
}

func (i Invariant) String() string { return invariantName[i] }

// hold notes that an invariant was evaluated, and if it does not hold.
func (m *Model) hold(i Invariant, ok bool) {
	m.evaluated[i]++
	if !ok && m.violated == nil && (m.Only == nil || *m.Only == i) {
		m.violated = &i
	}
}

// inspect evaluates what must hold in every state.
func (m *Model) inspect(w *World) {
	registers := 0
	for id := range uint8(m.IDs) {
		log := w.log(id)
		s := m.fold(w, id)
		registers += int(s.Registers)
		if s.Phase == Absent {
			continue
		}
		live := stands(w.Lease[id])
		if sentUnder(w, id, Never) {
			m.hold(AtMostOneInvocation, m.invokedOnce(w, id, Never, 0))
		}
		if sentUnder(w, id, Reconcile) {
			m.hold(ReconcileAtMostOnce, m.invokedOnce(w, id, Reconcile, w.Overdue[id]))
		}
		m.hold(BindingForEver, oneRequest(log) && s.Decide(1-s.Request, live, Pure, m.Broken) == Conflict)
		open, clash := unanswered(log), contradiction(log)
		if open && !live && !clash {
			m.hold(DoubtIsVisible, s.Listed(live, m.Broken))
		}
		if clash {
			m.hold(DivergentRefuses, s.Decide(s.Request, live, Pure, m.Broken) == IsDivergent)
		}
		if n := len(log); n > 1 && log[n-1].Kind == Commit && log[n-2].Kind == Commit {
			swapped := w.Log[id]
			swapped[n-1], swapped[n-2] = swapped[n-2], swapped[n-1]
			o := Fold(swapped[:n], m.Probes, m.Broken)
			m.hold(OrderIndependentDivergence, o.Phase == s.Phase && (s.Phase != Committed || o.Stood.Response == s.Stood.Response))
		}
	}
	m.hold(ChargedOncePerRegister, int(w.Charged) == registers)
	m.hold(NeverOverspent, m.MaxCalls == 0 || w.Charged <= m.MaxCalls)
}

// sentUnder says whether a module got a request of the id under a class.
func sentUnder(w *World, id, class uint8) bool {
	for _, e := range w.log(id) {
		if e.Kind == Register && e.What == class && w.Sent[id]&(2<<e.Attempt) != 0 {
			return true
		}
	}
	return false
}

// invokedOnce looks for two requests of one id of which the first was under a
// class and nobody entitled said that it had not been invoked. Registers in except
// do not count.
func (m *Model) invokedOnce(w *World, id, class, except uint8) bool {
	got := func(register uint8) bool { return w.Sent[id]&^except&(1<<register) != 0 }
	if w.Again[id] != 0 {
		return false
	}
	before, number := false, uint8(0)
	for _, e := range w.log(id) {
		switch {
		case e.Kind == Register:
			number++
			if before && got(number) {
				return false
			}
			before = before || got(number) && e.What == class
		case e.Kind == Resolution && e.By == Operator && e.What == NotInvoked:
			before = false
		}
	}
	return true
}

func oneRequest(log []Entry) bool {
	for _, e := range log {
		if e.Kind == Register && e.Request != log[0].Request {
			return false
		}
	}
	return true
}

// ours says whether e is a commit of one of the registers in log, by its owner.
func ours(log []Entry, e Entry) bool {
	number := uint8(0)
	for _, r := range log {
		if r.Kind != Register {
			continue
		}
		if number++; number == e.Which {
			return e.Kind == Commit && r.By == e.By && r.Request == e.Request
		}
	}
	return false
}

// unanswered says, from the entries alone, whether nobody knows what became of the
// latest register.
func unanswered(log []Entry) bool {
	last, unknown := uint8(0), false
	for i, e := range log {
		switch e.Kind {
		case Register:
			last, unknown = last+1, true
		case Commit:
			unknown = unknown && !(e.Which == last && ours(log[:i], e))
		case Resolution:
			unknown = e.What == Noted
		}
	}
	return unknown
}

// contradiction says, from the entries alone and in whatever order they came,
// whether commits contradict each other that no operator has set aside.
func contradiction(log []Entry) bool {
	var counted []Entry
	found := false
	class := func(register uint8) uint8 {
		for _, e := range log {
			if e.Kind == Register && e.Attempt+1 == register {
				return e.What
			}
		}
		return Never
	}
	for i, e := range log {
		switch {
		case e.Kind == Mark && e.What != 1:
			found = true
		case e.Kind == Commit && ours(log[:i], e):
			for _, c := range counted {
				pure := class(c.Which) == Pure && class(e.Which) == Pure
				found = found || c.Response != e.Response && (c.Which == e.Which || pure)
			}
			counted = append(counted, e)
		case e.Kind == Resolution && e.By == Operator && found:
			counted, found = nil, false
		}
	}
	return found
}
