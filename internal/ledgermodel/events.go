package main

// crash ends an invocation: nothing of it is left but, perhaps, its commit on its
// way to the store.
func (m *Model) crash(w *World, slot int, yield func(Step, *World)) {
	s := w.Slot[slot]
	if s.At == idle {
		return
	}
	n := *w
	n.Slot[slot] = Slot{}
	yield(say("%v crashes when it is %s", who(slot), atWord[s.At]), &n)
	if s.At == signed && w.Air[slot].On == 0 && w.Used.Late < m.Late {
		n.Air[slot] = Packet{1, s.ID, s.Commit}
		n.Used.Late++
		yield(say("%v crashes with its commit on its way", who(slot)), &n)
	}
}

// arrive is a commit whose sender is gone.
func (m *Model) arrive(w *World, slot int, yield func(Step, *World)) {
	p := w.Air[slot]
	if p.On == 0 {
		return
	}
	n := *w
	n.Air[slot] = Packet{}
	v := m.append(&n, p.ID, p.Commit)
	yield(say("%v's late commit under register %d arrives: %v", who(slot), p.Commit.Which, v), &n)
}

// heartbeat extends the lease of an invocation that runs; one that is lost is a
// step that is not taken.
func (m *Model) heartbeat(w *World, slot int, yield func(Step, *World)) {
	s := w.Slot[slot]
	held := s.At == registered || s.At == sent || s.At == answered || s.At == signed
	if !held || w.Lease[s.ID]&row == 0 || w.Lease[s.ID] == fresh {
		return
	}
	if f := m.fold(w, s.ID); f.Registers != s.Register || f.Phase != Open {
		return
	}
	n := *w
	n.Lease[s.ID] = fresh
	yield(say("%v extends its lease of id %d", who(slot), s.ID+1), &n)
}

// leaseEnds lets time pass beyond a lease.
func (m *Model) leaseEnds(w *World, id uint8, yield func(Step, *World)) {
	l := w.Lease[id]
	if l&row == 0 || l&(mono|wall) == 0 {
		return
	}
	n := *w
	n.Lease[id] = l &^ (mono | wall)
	yield(say("the lease of id %d ends", id+1), &n)
}

// host is what befalls the host of an embedded store: its wall clock is set, or it
// starts again with any time on it.
func (m *Model) host(w *World, yield func(Step, *World)) {
	set := func(n *World, ahead bool) {
		for id := range n.Lease {
			if n.Lease[id]&row == 0 {
				continue
			}
			n.Lease[id] |= wall
			if ahead {
				n.Lease[id] &^= wall
			}
		}
	}
	for _, ahead := range []bool{false, true} {
		way := "back"
		if ahead {
			way = "ahead"
		}
		if w.Used.Jumps < m.Jumps {
			n := *w
			n.Used.Jumps++
			set(&n, ahead)
			yield(say("the store's wall clock is set %s", way), &n)
		}
		if w.Used.Reboots < m.Reboots {
			n := *w
			n.Used.Reboots++
			n.Slot = [maxSlots]Slot{}
			for id := range n.Lease {
				n.Lease[id] &^= sameBoot | mono
			}
			set(&n, ahead)
			yield(say("the host starts again with its wall clock %s", way), &n)
		}
	}
}

// resolveOwn appends what an owner knows of its register.
func (m *Model) resolveOwn(w *World, slot int, outcome uint8, yield func(Step, *World)) {
	s, n := w.Slot[slot], *w
	n.Slot[slot] = Slot{}
	e := Entry{Kind: Resolution, By: m.key(slot), Which: s.Register, What: outcome}
	if s.At == probed {
		e.Extra = 2
	}
	v := m.append(&n, s.ID, e)
	yield(say("%v resolves register %d with outcome %d: %v", who(slot), s.Register, outcome, v), &n)
}

// probe is how doubt under class reconcile ends: the owner first notes it, which
// takes the lease from whoever still runs, and then asks.
func (m *Model) probe(w *World, slot int, id uint8, yield func(Step, *World)) {
	f := m.fold(w, id)
	if !m.Probes || f.latest().class != Reconcile || m.Class[slot][id] != Reconcile || f.latest().owner != m.key(slot) {
		return
	}
	lapsed := f.Phase == Open && !m.live(w, id)
	n := *w
	switch {
	case lapsed && m.Broken != ProbeWithoutNote:
		m.append(&n, id, Entry{Kind: Resolution, By: m.key(slot), Which: f.Registers, What: Noted})
		yield(say("%v notes the doubt of id %d", who(slot), id+1), &n)
	case lapsed || f.Phase == Doubt:
		found := NotInvoked
		if w.Sent[id]&(1<<f.Registers) != 0 {
			found = Happened
		}
		n.Slot[slot] = Slot{At: probed, ID: id, Register: f.Registers, Happened: found}
		yield(say("%v probes id %d: outcome %d", who(slot), id+1, found), &n)
	}
}

// operator resolves an id by any outcome, true or not, also while a lease stands.
func (m *Model) operator(w *World, id uint8, yield func(Step, *World)) {
	if w.Used.Operator >= m.Operator {
		return
	}
	f := m.fold(w, id)
	offer := func(outcome, receipt uint8) {
		n := *w
		n.Used.Operator++
		if m.append(&n, id, Entry{Kind: Resolution, By: Operator, Which: f.Registers, What: outcome, Extra: receipt}) == Applied {
			yield(say("an operator resolves register %d of id %d with outcome %d", f.Registers, id+1, outcome), &n)
		}
	}
	offer(Happened, 0)
	if f.Stood.Kind != 0 {
		offer(Happened, 2)
	}
	offer(NotInvoked, 0)
	offer(Noted, 0)
}

// offers are commits that no pipeline makes: a second one of a register by its
// owner, with either response; one by somebody else; one of an unknown register.
func (m *Model) offers(w *World, id uint8, yield func(Step, *World)) {
	if w.Used.Offers >= m.Offers {
		return
	}
	f := m.fold(w, id)
	offer := func(e Entry) {
		n := *w
		n.Used.Offers++
		v := m.append(&n, id, e)
		if v != Refused && v != Dropped {
			yield(say("a commit of register %d with response %d, signed by key %d, arrives: %v", e.Which, e.Response, e.By, v), &n)
		}
	}
	for register := uint8(1); register <= f.Registers; register++ {
		for response := range m.responses(w, id) {
			offer(Entry{Kind: Commit, By: f.of[register].owner, Request: f.Request, Which: register, Response: response, Extra: 1})
		}
	}
	offer(Entry{Kind: Commit, By: Stranger, Request: f.Request, Which: f.Registers, Extra: 1})
	offer(Entry{Kind: Commit, By: f.latest().owner, Request: f.Request, Which: Unknown, Extra: 1})
}
