package main

import (
	"fmt"
	"slices"
)

// Model makes the steps of a world and evaluates the invariants at them.
type Model struct {
	Config
	evaluated [invariants]uint64
	violated  *Invariant
}

// Step is one transition in words; they are made only when a trace is printed.
type Step struct {
	format string
	args   [4]any
	n      int
}

func say(format string, args ...any) Step {
	s := Step{format: format, n: len(args)}
	copy(s.args[:], args)
	return s
}

// who names an executor in a step; traces of renamed executors put the first
// name back.
type who uint8

func (s Step) words(names []uint8) string {
	args := s.args
	for i, a := range args {
		if w, ok := a.(who); ok {
			args[i] = fmt.Sprintf("executor %c", 'A'+names[w])
		}
	}
	return fmt.Sprintf(s.format, args[:s.n]...)
}

func (m *Model) fold(w *World, id uint8) State { return Fold(w.log(id), m.Probes, m.Broken) }

// steps yields every world that follows w. yield must not keep the pointer.
func (m *Model) steps(w *World, yield func(Step, *World)) {
	for slot := range m.Slots {
		m.pipeline(w, slot, yield)
		m.crash(w, slot, yield)
		m.heartbeat(w, slot, yield)
		m.arrive(w, slot, yield)
	}
	for id := range uint8(m.IDs) {
		m.leaseEnds(w, id, yield)
		m.operator(w, id, yield)
		m.offers(w, id, yield)
	}
	if m.Embedded {
		m.host(w, yield)
	}
}

// pipeline is the next step of one invocation.
func (m *Model) pipeline(w *World, slot int, yield func(Step, *World)) {
	s, a := w.Slot[slot], who(slot)
	move := func(to at, words Step) {
		n := *w
		n.Slot[slot].At = to
		yield(words, &n)
	}
	switch s.At {
	case idle:
		for id := range uint8(m.IDs) {
			if m.Chain && id > 0 {
				continue // it follows the first
			}
			m.call(w, slot, id, 0, yield)
			if w.Used.Conflicts < m.Conflicts && w.N[id] > 0 { // which request comes first is a name only
				m.call(w, slot, id, 1, yield)
			}
			m.probe(w, slot, id, yield)
		}
	case looked:
		m.register(w, slot, yield)
	case registered:
		m.send(w, slot, yield)
		move(unsent, say("%v fails before the first byte of its request", a))
	case sent:
		for r := range m.responses(w, s.ID) {
			n := *w
			n.Slot[slot].At, n.Slot[slot].Response = answered, r
			yield(say("the module answers %d to %v", r, a), &n)
		}
		move(unsure, say("%v gives up waiting for the module", a))
		if m.Sandboxed {
			n := *w
			n.Slot[slot].At = unsent
			n.Sent[s.ID] &^= 1 << s.Register
			yield(say("%v kills a module that could have no outside effect", a), &n)
		}
	case answered:
		n := *w
		n.Slot[slot].At = signed
		n.Slot[slot].Commit = Entry{Kind: Commit, By: m.key(slot), Request: s.Request, Which: s.Register, Response: s.Response}
		yield(say("%v signs receipt and commit", a), &n)
	case signed:
		m.commit(w, slot, yield)
		m.together(w, slot, yield)
	case stored:
		n := *w
		n.Slot[slot] = m.after(s.ID, s.Commit)
		m.hand(&n, s.ID, s.Commit)
		yield(say("%v hands the answer back", a), &n)
	case between:
		m.call(w, slot, 1, s.Request, yield)
	case unsent:
		m.resolveOwn(w, slot, NotInvoked, yield)
	case unsure:
		m.resolveOwn(w, slot, Noted, yield)
	case probed:
		m.resolveOwn(w, slot, s.Happened, yield)
	case clashed:
		n := *w
		n.Slot[slot] = Slot{}
		m.append(&n, s.ID, Entry{Kind: Mark, By: m.key(slot), What: 3})
		yield(say("%v marks the contradiction", a), &n)
	}
}

// responses returns how many responses there are to choose from: two, but what the
// first one of an id is called makes no difference.
func (m *Model) responses(w *World, id uint8) uint8 {
	for i := range w.Slot {
		if s := &w.Slot[i]; s.ID == id && (s.At == answered || s.At == signed || s.At == stored) || w.Air[i].On != 0 && w.Air[i].ID == id {
			return 2
		}
	}
	for _, e := range w.log(id) {
		if e.Kind == Commit {
			return 2
		}
	}
	return 1
}

// call is a caller's request of an id: look it up and decide.
func (m *Model) call(w *World, slot int, id, request uint8, yield func(Step, *World)) {
	s, n, a := m.fold(w, id), *w, who(slot)
	switch d := s.Decide(request, m.live(w, id), m.Class[slot][id], m.Broken); d {
	case Proceed:
		if s.Registers == m.Attempts || m.MaxCalls != 0 && w.Charged >= m.MaxCalls {
			return
		}
		if request != 0 && !m.Chain {
			n.Used.Conflicts++
		}
		n.Slot[slot] = Slot{At: looked, ID: id, Request: request, Saw: s.Registers}
		yield(say("%v looks id %d up for request %d: %v", a, id+1, request, d), &n)
	case Replay:
		if contradiction(w.log(id)) {
			m.hold(DivergentRefuses, false)
		}
		answer := s.Stood
		if m.Broken == ReplayNewest {
			answer = s.commits[s.stored-1]
		}
		if m.Broken == ReplayCharges {
			n.Charged++
		}
		m.hand(&n, id, answer)
		n.Slot[slot] = m.after(id, answer)
		yield(say("%v replays id %d", a, id+1), &n)
	case Conflict:
		if s.Marked {
			return
		}
		n.Used.Conflicts++
		n.Slot[slot] = Slot{}
		m.append(&n, id, Entry{Kind: Mark, By: m.key(slot), Request: request, What: 1})
		yield(say("%v is refused by a conflict on id %d and marks it", a, id+1), &n)
	}
}

// live is what the store says about a lease.
func (m *Model) live(w *World, id uint8) bool {
	l := w.Lease[id]
	if m.Broken == WallClockDecides {
		return l&row != 0 && l&wall != 0
	}
	return stands(l)
}

// register is the transaction of step 2.
func (m *Model) register(w *World, slot int, yield func(Step, *World)) {
	s, n, a := w.Slot[slot], *w, who(slot)
	before := m.fold(w, s.ID)
	if m.Broken == InvokeBeforeRegister {
		early := *w
		early.Slot[slot].Register = before.Registers + 1
		m.send(&early, slot, yield)
	}
	n.Slot[slot] = Slot{}
	live, class := m.live(w, s.ID), m.Class[slot][s.ID]
	if m.Broken == ExecutorsClock {
		live = false // by a clock that runs ahead
	}
	e := Entry{Kind: Register, By: m.key(slot), Request: s.Request, Which: s.Saw, Attempt: s.Saw, What: class}
	spent := m.MaxCalls != 0 && w.Charged >= m.MaxCalls && m.Broken != CheckedBeforeCharged
	if spent || before.Decide(s.Request, live, class, m.Broken) != Proceed || m.append(&n, s.ID, e) != Applied {
		yield(say("the store refuses %v's register of id %d", a, s.ID+1), &n)
		return
	}
	m.hold(LeaseHonoured, before.Phase != Open || !stands(w.Lease[s.ID]))
	if before.Phase == Open || before.Phase == Doubt {
		recorded := before.latest().class
		m.hold(ClassNotLoosened, (recorded == Idempotent || recorded == Pure) && (class == Idempotent || class == Pure))
	}
	m.begin(&n, slot, s.ID, e)
	yield(say("the store appends register %d of id %d by %v", before.Registers+1, s.ID+1, a), &n)
}

// begin is what comes with a register.
func (m *Model) begin(n *World, slot int, id uint8, e Entry) {
	if m.Chain && id == 1 {
		m.hold(RestsOnWhatStood, m.stood(n, 0, func(c Entry) bool { return c.Response == e.Request }))
	}
	n.Lease[id] = fresh
	n.Charged++
	n.Slot[slot] = Slot{At: registered, ID: id, Request: e.Request, Register: e.Attempt + 1}
}

// after is where an invocation stands that has an answer: a run goes on to its second
// effect.
func (m *Model) after(id uint8, answer Entry) Slot {
	if m.Chain && id == 0 {
		return Slot{At: between, Request: answer.Response}
	}
	return Slot{}
}

// together is step 5 in one write with step 2 of the run's next effect, which is not
// looked up before: the register is appended if the commit stands.
func (m *Model) together(w *World, slot int, yield func(Step, *World)) {
	s, n, a := w.Slot[slot], *w, who(slot)
	if !m.Chain || s.ID != 0 {
		return
	}
	v := Applied
	if m.Broken != NextBeforeCommit {
		v = m.append(&n, 0, s.Commit)
	}
	switch {
	case v == Diverged:
		n.Slot[slot] = Slot{At: clashed}
		yield(say("%v's commit is %v, and its next register is not written", a, v), &n)
		return
	case v != Applied && m.Broken != NextThoughSuperseded:
		n.Slot[slot] = Slot{}
		yield(say("%v's commit is %v, and its next register is not written", a, v), &n)
		return
	}
	class, next := m.Class[slot][1], m.fold(&n, 1)
	e := Entry{Kind: Register, By: m.key(slot), Request: s.Commit.Response, What: class}
	if next.Decide(e.Request, m.live(&n, 1), class, m.Broken) != Proceed || m.append(&n, 1, e) != Applied {
		n.Slot[slot] = m.after(0, s.Commit)
		yield(say("the store has %v's commit under register %d with response %d and refuses the next register", a, s.Register, s.Response), &n)
		return
	}
	m.begin(&n, slot, 1, e)
	yield(say("the store has %v's commit under register %d with response %d: %v, and register 1 of id 2", a, s.Register, s.Response, v), &n)
}

// send delivers the request to the module: from here on it may have happened.
func (m *Model) send(w *World, slot int, yield func(Step, *World)) {
	n := *w
	s := &n.Slot[slot]
	number, mine := uint8(0), false
	for _, e := range w.log(s.ID) {
		if e.Kind == Register {
			number++
			mine = mine || number == s.Register && e.By == m.key(slot)
		}
	}
	m.hold(RegisterBeforeInvoke, mine)
	bit := uint8(1) << s.Register
	n.Again[s.ID] |= n.Sent[s.ID] & bit
	n.Sent[s.ID] |= bit
	if number != s.Register || !stands(w.Lease[s.ID]) {
		n.Overdue[s.ID] |= bit
	}
	s.At = sent
	yield(say("%v sends its request of register %d of id %d to the module", who(slot), s.Register, s.ID+1), &n)
}

// commit is step 5: it lands, or it lands and the answer is lost while a copy is
// still on its way.
func (m *Model) commit(w *World, slot int, yield func(Step, *World)) {
	s, n, a := w.Slot[slot], *w, who(slot)
	n.Slot[slot] = Slot{}
	if m.Broken == AnswerBeforeCommit {
		early := *w
		m.hand(&early, s.ID, s.Commit)
		early.Slot[slot].At = signed
		yield(say("%v hands the answer back", a), &early)
	}
	v := m.append(&n, s.ID, s.Commit)
	if w.Air[slot].On == 0 && w.Used.Late < m.Late {
		lost := n
		lost.Air[slot], lost.Used.Late = Packet{1, s.ID, s.Commit}, w.Used.Late+1
		yield(say("%v's commit is %v, it loses the answer, and a copy is on its way", a, v), &lost)
	}
	switch {
	case v == Applied || v == Superseded && m.Broken == SupersededAnswers:
		n.Slot[slot] = s
		n.Slot[slot].At = stored
	case v == Diverged:
		n.Slot[slot] = Slot{At: clashed, ID: s.ID}
	}
	yield(say("the store has %v's commit under register %d with response %d: %v", a, s.Register, s.Response, v), &n)
}

// hand gives an answer to a caller.
func (m *Model) hand(w *World, id uint8, answer Entry) {
	m.hold(NoAnswerWithoutDurableCommit, slices.Contains(w.log(id), answer))
	m.hold(AnswerStood, m.stood(w, id, func(c Entry) bool { return c == answer }))
	if now := m.fold(w, id); now.aside > 0 && (now.Phase != Committed || now.Stood != answer) {
		return // it was the outcome until an operator set it aside
	}
	m.hold(ReplayEqualsReceipt, w.Answer[id].Kind == 0 || w.Answer[id] == answer)
	w.Answer[id] = answer
}

// stood says whether such a commit is or was the outcome of an id.
func (m *Model) stood(w *World, id uint8, such func(Entry) bool) bool {
	for i := range w.log(id) {
		if s := Fold(w.log(id)[:i+1], m.Probes, m.Broken); s.Phase == Committed && such(s.Stood) {
			return true
		}
	}
	return false
}

// append offers an entry to the store, which holds it against the state.
func (m *Model) append(w *World, id uint8, e Entry) Verdict {
	before := m.fold(w, id)
	if e.Kind == Commit && m.Broken == CommitNeedsLease && before.Phase == Open && !stands(w.Lease[id]) {
		w.add(id, e)
		m.hold(OwnersOutcomeCounts, e.Which != before.Registers || !ours(w.log(id), e))
		return Superseded
	}
	after := before
	v := after.Apply(e, m.Probes, m.Broken)
	if v == Refused || v == Dropped {
		return v
	}
	log := w.log(id)
	w.add(id, e)
	waited := before.Phase == Open || before.Phase == Free || before.Phase == Doubt
	if e.Kind == Commit && waited && e.Which == before.Registers && ours(log, e) {
		m.hold(OwnersOutcomeCounts, v == Applied || v == Diverged)
	}
	if e.Kind == Commit && v == Applied {
		m.hold(CommitFenced, e.Which == before.Registers && ours(log, e))
	}
	m.monotone(&before, &after, e)
	if e.Kind == Resolution || e.Kind == Commit && v == Applied {
		w.Lease[id] = 0
	}
	if e.Kind == Resolution && before.Phase == Divergent && after.Phase != Committed {
		w.Answer[id] = Entry{}
	}
	return v
}

func (m *Model) monotone(before, after *State, e Entry) {
	switch before.Phase {
	case Committed:
		same := after.Phase == Committed && after.Stood == before.Stood
		m.hold(OutcomeMonotone, same || after.Phase == Divergent && e.Kind != Register)
	case Settled:
		m.hold(OutcomeMonotone, after.Phase == Settled || after.Phase == Divergent && e.Kind != Register)
	case Divergent:
		m.hold(OutcomeMonotone, after.Phase == Divergent || e.Kind == Resolution && e.By == Operator)
	}
}
