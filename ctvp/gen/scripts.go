package main

import (
	"fmt"
	"maps"
	"slices"
)

// second is one second, the unit of the clock steps, in microseconds.
const second = 1_000_000

// lease is how long a register's lease is in scripts, in microseconds.
const lease = 10 * second

// play is a script with the states that the specification gives it.
type play struct {
	s      *suite
	now    int64
	steps  []any
	states []any
	state  out
}

// newPlay is a script on an empty store.
func newPlay(s *suite) *play {
	return &play{s: s, now: newYear, state: out{"phase": "absent", "attempt": 0, "marked": false, "live": false}}
}

// fork is a script that begins like p.
func (p *play) fork() *play {
	c := *p
	c.steps, c.states = slices.Clone(p.steps), slices.Clone(p.states)
	return &c
}

// do adds a step: what it gives, and how it changes the state.
func (p *play) do(step in, gives, changes out) *play {
	p.state = merged(p.state, changes)
	p.steps = append(p.steps, step)
	p.states = append(p.states, plain(merged(p.state, gives), nil))
	return p
}

// refuse adds a step that is refused and changes nothing.
func (p *play) refuse(step in, code string) *play { return p.do(step, out{"error": code}, nil) }

// valid adds the script so far, with a last step that cannot be refused.
func (p *play) valid(what, doc string, flags ...string) {
	p = p.fork().do(in{"do": "look"}, nil, nil)
	p.s.valid(what, "ledger.script", doc, in{"now": fmt.Sprint(int64(newYear)), "steps": p.steps}, out{"states": p.states}, flags...)
}

// refused adds the script so far with one more step, which is refused.
func (p *play) refused(what, doc string, step in, code string, flags ...string) {
	steps := append(slices.Clone(p.steps), step)
	p.s.invalid(what, "ledger.script", doc, in{"now": fmt.Sprint(int64(newYear)), "steps": steps}, code, flags...)
}

// on is a step that names the effect's id.
func (e effect) on(do string, members in) in {
	step := in{"do": do, "idem_id": hashText(e.idem)}
	maps.Copy(step, members)
	return step
}

func (e effect) doRegister(r ledgerEntry, spend ...any) in {
	step := e.on("register", in{"hex": r.bytes(), "lease": fmt.Sprint(lease)})
	if len(spend) > 0 {
		step["spend"] = spend
	}
	return step
}

func (e effect) doCommit(c ledgerEntry, response string) in {
	return e.on("commit", in{"hex": c.bytes(), "receipt": encode(e.receipt(response))})
}

func (e effect) doDecide(class int) in {
	return e.on("decide", in{"request_hash": hashText(e.request), "retry": class})
}

func (e effect) doResolve(x ledgerEntry, operator bool) in {
	return e.on("resolve", in{"hex": x.bytes(), "operator": operator})
}

func (e effect) doMark(x ledgerEntry) in { return e.on("diverge", in{"hex": x.bytes()}) }

// clock adds a clock step. over says that a lease that stood has ended.
func (p *play) clock(micros int64, over bool) *play {
	p.now += micros
	changes := out{}
	if over {
		changes = out{"live": false, "lease_expires": nil}
	}
	return p.do(in{"do": "clock", "micros": fmt.Sprint(micros)}, nil, changes)
}

func (p *play) crash() *play { return p.do(in{"do": "crash"}, nil, nil) }

// register adds a register that is accepted, number n from 1 on.
func (p *play) register(e effect, r ledgerEntry, n int) *play {
	return p.do(e.doRegister(r), nil, merged(opened(e, r, n), out{"live": true, "lease_expires": fmt.Sprint(p.now + lease)}))
}

// commit adds a commit that stands.
func (p *play) commit(e effect, c ledgerEntry, response string) *play {
	return p.do(e.doCommit(c, response), out{"verdict": "applied"}, union(e.stands(response), ended()))
}

// union has the members of all maps, nil among them.
func union(all ...out) out {
	u := out{}
	for _, m := range all {
		maps.Copy(u, m)
	}
	return u
}

// ended is how the state changes when the lease does.
func ended() out { return out{"live": false, "lease_expires": nil} }

// resolve adds a resolution that is accepted.
func (p *play) resolve(e effect, x ledgerEntry, operator bool, phase string) *play {
	return p.do(e.doResolve(x, operator), nil, union(out{"phase": phase, "receipt_id": nil, "response_hash": nil, "contradiction": nil}, ended()))
}

// scripts are what happens to a store. alice registers first, bob takes over,
// carol is nobody's owner.
func scripts(s *suite) {
	s.spec = "RFC-MYTHOS-0005 §3"
	scriptOnce(s)
	s.spec = "RFC-MYTHOS-0005 §4"
	scriptLease(s)
	s.spec = "RFC-MYTHOS-0005 §5"
	scriptTakeover(s)
	scriptClasses(s)
	scriptResolve(s)
	scriptResolveRefused(s)
	s.spec = "RFC-MYTHOS-0005 §6"
	scriptConflict(s)
	scriptDiverge(s)
	s.spec = "RFC-MYTHOS-0005 §9"
	scriptSpend(s)
	scriptBad(s)
	s.spec = "RFC-MYTHOS-0005 §8"
	scriptRuns(s)
	s.spec = "RFC-MYTHOS-0005 §5"
	scriptProbed(s)
}

// scriptOnce is an effect that happens once, however often it is asked for.
func scriptOnce(s *suite) {
	e := newEffect("once", retryNever)
	r := e.register()
	c := e.commit(r, "a")
	open := newPlay(s).register(e, r, 1)
	done := open.fork().commit(e, c, "a")
	newPlay(s).do(e.doDecide(0), out{"decision": "proceed"}, nil).register(e, r, 1).do(e.doDecide(0), out{"decision": "wait"}, nil).
		commit(e, c, "a").do(e.doDecide(0), out{"decision": "replay"}, nil).crash().do(e.doDecide(3), out{"decision": "replay"}, nil).
		do(e.on("receipt", in{"id": hashText(e.receiptID("a"))}), out{"hex": encode(e.receipt("a"))}, nil).
		valid("once", "registered, committed, and replayed for ever after")
	done.fork().do(e.doCommit(c, "a"), out{"verdict": "dropped"}, nil).valid("once", "the same commit again is dropped")
	done.fork().refuse(e.doRegister(r), "effect_in_progress").do(e.doDecide(0), out{"decision": "replay"}, nil).
		valid("once", "a register after the commit is refused and leaves no trace")
	done.refused("register-committed", "a register of a committed id", e.doRegister(r), "effect_in_progress")
	done.refused("register-committed", "the next attempt of a committed id", e.doRegister(e.register(r)), "effect_in_progress")
	open.refused("register-live", "a register while the lease stands", e.doRegister(e.register(r)), "effect_in_progress")
	open.refused("register-live", "the same register again", e.doRegister(r), "effect_in_progress")
	open.refused("register-live", "by another owner", e.doRegister(e.ownedBy(newSigner("bob")).register(r)), "effect_in_progress")
	open.refused("register-live", "of class pure", e.doRegister(e.class(retryPure).register(r)), "effect_in_progress")
	newPlay(s).refused("receipt-missing-id", "a receipt that nobody has", in{"do": "receipt", "id": hashText(digest("x"))}, "ledger_item_not_found")
	open.refused("receipt-missing-id", "the receipt before its commit", in{"do": "receipt", "id": hashText(e.receiptID("a"))}, "ledger_item_not_found")
}

// scriptLease is the time during which nobody else may register.
func scriptLease(s *suite) {
	e := newEffect("lease", retryIdempotent)
	r := e.register()
	open := newPlay(s).register(e, r, 1)
	extend := func(id []byte, micros int64) in {
		return e.on("extend", in{"register_id": hashText(id), "lease": fmt.Sprint(micros)})
	}
	open.fork().clock(lease-1, false).do(e.doDecide(1), out{"decision": "wait"}, nil).clock(1, true).do(e.doDecide(1), out{"decision": "proceed"}, nil).
		valid("lease", "a lease stands up to, and not including, its end", "boundary")
	until := fmt.Sprint(int64(newYear + 5*second + 20*second))
	long := open.fork().clock(5*second, false).do(extend(r.id(), 20*second), nil, out{"lease_expires": until})
	long.fork().clock(20*second-1, false).do(e.doDecide(1), out{"decision": "wait"}, nil).clock(1, true).valid("lease", "extended, from then on", "boundary")
	long.fork().do(extend(r.id(), second), nil, out{"lease_expires": fmt.Sprint(int64(newYear + 6*second))}).clock(second, true).valid("lease", "an extension may end earlier")
	long.fork().crash().do(e.doDecide(1), out{"decision": "wait"}, nil).valid("lease", "a crash does not end a lease")
	open.fork().clock(20*second, true).do(extend(r.id(), second), nil, out{"live": true, "lease_expires": fmt.Sprint(int64(newYear + 21*second))}).
		valid("lease", "extended after it ran out, while nobody else has registered")
	open.refused("extend-other", "a register that nobody knows", extend(digest("x"), second), "ledger_entry")
	newPlay(s).refused("extend-other", "an id that nobody knows", extend(r.id(), second), "ledger_entry")
	open.fork().commit(e, e.commit(r, "a"), "a").refused("extend-other", "after the commit", extend(r.id(), second), "ledger_entry")
	open.fork().resolve(e, e.resolution(r, wasInDoubt), false, "in_doubt").refused("extend-other", "after a resolution", extend(r.id(), second), "ledger_entry")
	bob := e.ownedBy(newSigner("bob"))
	taken := open.fork().clock(lease, true).register(bob, bob.register(r), 2)
	taken.refused("extend-other", "after another register", extend(r.id(), second), "ledger_entry", "fencing")
	open.fork().clock(lease-1, false).refused("register-live-edge", "a microsecond before the lease ends", e.doRegister(e.register(r)), "effect_in_progress", "boundary")
	long.fork().clock(20*second-1, false).refused("register-live-edge", "a microsecond before the extended lease ends", e.doRegister(e.register(r)), "effect_in_progress", "boundary")
	open.fork().clock(3600*second, true).commit(e, e.commit(r, "a"), "a").valid("late", "nobody else has registered: a late commit is the outcome")
}

// scriptTakeover is a second owner, and the first one's late commit.
func scriptTakeover(s *suite) {
	for _, class := range []uint64{retryIdempotent, retryPure} {
		e := newEffect("takeover", class)
		bob := e.ownedBy(newSigner("bob"))
		r0 := e.register()
		r1 := bob.register(r0)
		taken := newPlay(s).register(e, r0, 1).crash().clock(lease, true).do(e.doDecide(int(class)), out{"decision": "proceed"}, nil).register(bob, r1, 2)
		late := e.doCommit(e.commit(r0, "a"), "a")
		doc := fmt.Sprintf("class %d: ", class)
		taken.fork().do(late, out{"verdict": "superseded"}, nil).commit(bob, bob.commit(r1, "a"), "a").do(late, out{"verdict": "dropped"}, nil).
			do(e.doDecide(0), out{"decision": "replay"}, nil).valid("takeover", doc+"a late commit under the old token, then the new one, with the same response", "fencing", "superseded")
		taken.fork().commit(bob, bob.commit(r1, "a"), "a").do(late, out{"verdict": "superseded"}, nil).
			valid("takeover", doc+"the new commit first", "fencing", "superseded")
		taken.refused("takeover-again", doc+"the first owner registers again while the second's lease stands", e.doRegister(e.register(r0, r1)), "effect_in_progress", "fencing")
		free := taken.fork().clock(lease, true)
		free.fork().register(e, e.register(r0, r1), 3).valid("takeover", doc+"a third attempt when that lease is over")
		free.refused("takeover-token", doc+"a third attempt that follows the first", e.doRegister(e.register(r0, r1).changed(10, hashOf(r0.id()))), "ledger_entry", "fencing")
		free.refused("takeover-token", doc+"a third attempt with the second's number", e.doRegister(e.register(r0, r1).changed(9, rawU(1))), "ledger_entry", "fencing")
		free.refused("takeover-token", doc+"the second register again", e.doRegister(r1), "ledger_entry", "fencing")
	}
	e := newEffect("takeover", retryIdempotent)
	bob := e.ownedBy(newSigner("bob"))
	r0 := e.register()
	r1 := bob.register(r0)
	taken := newPlay(s).register(e, r0, 1).clock(lease, true).register(bob, r1, 2)
	taken.fork().do(e.doCommit(e.commit(r0, "a"), "a"), out{"verdict": "superseded"}, nil).commit(bob, bob.commit(r1, "b"), "b").
		do(e.doDecide(1), out{"decision": "replay"}, nil).valid("takeover", "idempotent attempts may answer differently: the latest register's answer stands", "fencing")
	taken.fork().do(e.doCommit(e.commit(r1, "b"), "b"), out{"verdict": "superseded"}, nil).valid("takeover", "the first owner commits the second's register", "fencing", "superseded")
}

// scriptClasses is what an effect in doubt may do by its retry class.
func scriptClasses(s *suite) {
	for recorded := range uint64(4) {
		e := newEffect("class", recorded)
		r := e.register()
		over := newPlay(s).register(e, r, 1).clock(lease, true)
		for _, now := range []uint64{retryNever, retryIdempotent, retryPure, retryReconcile} {
			again := e.class(now)
			may := (recorded == retryIdempotent || recorded == retryPure) && (now == retryIdempotent || now == retryPure)
			if may {
				over.fork().do(e.doDecide(int(now)), out{"decision": "proceed"}, nil).register(again, again.register(r), 2).
					valid("class", fmt.Sprintf("recorded class %d, class %d at hand: again", recorded, now), "retry-class")
				continue
			}
			over.refused("class-register-"+[...]string{"never", "idempotent", "pure", "reconcile"}[recorded], fmt.Sprintf("recorded class %d, class %d at hand", recorded, now), e.doRegister(again.register(r)), "effect_in_doubt", "retry-class")
		}
		if recorded == retryNever || recorded == retryReconcile {
			over.refused("class-decide", fmt.Sprintf("recorded class %d, class 2 at hand", recorded), e.doDecide(2), "effect_in_doubt", "retry-class")
			over.fork().refuse(e.doDecide(2), "effect_in_doubt").commit(e, e.commit(r, "a"), "a").do(e.doDecide(0), out{"decision": "replay"}, nil).
				valid("class", fmt.Sprintf("recorded class %d: in doubt until its owner commits", recorded), "retry-class")
		}
		noted := newPlay(s).register(e, r, 1).resolve(e, e.resolution(r, wasInDoubt), false, "in_doubt")
		noted.refused("class-noted", fmt.Sprintf("the owner noted doubt: recorded class %d, never at hand", recorded), e.doDecide(0), "effect_in_doubt", "retry-class")
	}
	pure := newEffect("class", retryPure)
	bare := pure.register()
	bare.fields = signedFields(bare.at, without(bare.fields, 11), pure.owner, "")
	newPlay(s).do(pure.doRegister(bare), nil, merged(opened(pure.class(0), bare, 1), out{"live": true, "lease_expires": fmt.Sprint(newYear + lease)})).clock(lease, true).
		refused("class-decide", "no class recorded reads as never", pure.doDecide(2), "effect_in_doubt", "retry-class")
}

// scriptResolve are resolutions that are accepted.
func scriptResolve(s *suite) {
	e := newEffect("resolve", retryNever)
	carol := e.ownedBy(newSigner("carol"))
	r := e.register()
	open := newPlay(s).register(e, r, 1)
	free := open.fork().resolve(e, e.resolution(r, wasNotInvoked), false, "free")
	free.fork().do(e.doDecide(0), out{"decision": "proceed"}, nil).register(e, e.register(r), 2).valid("resolve", "not invoked, says the owner: the next attempt may begin at once")
	free.fork().commit(e, e.commit(r, "a"), "a").valid("resolve", "believed not to have been invoked, but here is the commit")
	free.refused("resolve-token", "freed: the next register must follow the first all the same", e.doRegister(r), "ledger_entry", "fencing")
	doubt := open.fork().resolve(e, e.resolution(r, wasInDoubt), false, "in_doubt")
	doubt.fork().refuse(e.doDecide(1), "effect_in_doubt").commit(e, e.commit(r, "a"), "a").valid("resolve", "doubt is noted, and then the commit comes")
	doubt.fork().resolve(carol, carol.resolution(r, wasNotInvoked), true, "free").do(e.doDecide(0), out{"decision": "proceed"}, nil).valid("resolve", "an operator frees what was in doubt")
	settled := open.fork().clock(lease, true).resolve(carol, carol.resolution(r, wasCommitted), true, "settled")
	settled.fork().refuse(e.doDecide(0), "effect_settled").do(e.doCommit(e.commit(r, "a"), "a"), out{"verdict": "superseded"}, nil).
		refuse(e.doDecide(0), "effect_settled").valid("resolve", "an operator settles: for good, and a late commit does not change it", "superseded")
	settled.refused("settled", "a call", e.doDecide(1), "effect_settled")
	settled.refused("settled", "a register", e.doRegister(e.register(r)), "effect_settled")
	settled.refused("settled", "a call with another request: the conflict is looked at first", e.asking("x").doDecide(1), "idempotency_conflict")
	settled.refused("settled", "another resolution", e.doResolve(carol.resolution(r, wasNotInvoked), true), "ledger_entry")
}

// scriptProbed are resolutions by which an owner says what a probe showed: it names
// the probe's receipt, and its register recorded class reconcile.
func scriptProbed(s *suite) {
	shown := digest("the probe's receipt")
	e := newEffect("probed", retryReconcile)
	carol := e.ownedBy(newSigner("carol"))
	r := e.register()
	open := newPlay(s).register(e, r, 1)
	over := open.fork().clock(lease, true)
	over.fork().resolve(e, e.probed(r, wasCommitted, shown), false, "settled").refuse(e.doDecide(3), "effect_settled").
		valid("resolve-probed", "a probe showed that it happened, and no answer is known")
	over.fork().resolve(e, e.probed(r, wasNotInvoked, shown), false, "free").do(e.doDecide(3), out{"decision": "proceed"}, nil).
		register(e, e.register(r), 2).valid("resolve-probed", "a probe showed that it did not happen: the next attempt may begin")
	over.fork().resolve(e, e.resolution(r, wasInDoubt), false, "in_doubt").resolve(e, e.probed(r, wasCommitted, shown), false, "settled").
		do(e.doCommit(e.commit(r, "a"), "a"), out{"verdict": "superseded"}, nil).valid("resolve-probed", "doubt was noted before; a late commit changes nothing", "superseded")
	over.fork().refuse(e.doDecide(3), "effect_in_doubt").commit(e, e.commit(r, "a"), "a").do(e.doDecide(3), out{"decision": "replay"}, nil).
		valid("resolve-probed", "a probe gave the answer, which the owner commits")
	over.refused("resolve-probed-refused", "without the probe's receipt", e.doResolve(e.resolution(r, wasCommitted), false), "ledger_entry")
	over.refused("resolve-probed-refused", "by another key than the owner's", e.doResolve(carol.probed(r, wasCommitted, shown), false), "ledger_entry")
	taken := over.fork().resolve(e, e.probed(r, wasNotInvoked, shown), false, "free").register(e, e.register(r), 2)
	taken.refused("resolve-probed-refused", "of a register that is not the latest", e.doResolve(e.probed(r, wasCommitted, shown), false), "ledger_entry")
	for _, class := range []uint64{retryNever, retryIdempotent, retryPure} {
		x := newEffect(fmt.Sprintf("unprobed-%d", class), class)
		first := x.register()
		newPlay(s).register(x, first, 1).clock(lease, true).
			refused("resolve-probed-refused", fmt.Sprintf("of a register of class %d", class), x.doResolve(x.probed(first, wasCommitted, shown), false), "ledger_entry")
	}
}

// scriptResolveRefused are resolutions that are not accepted.
func scriptResolveRefused(s *suite) {
	e := newEffect("resolve", retryIdempotent)
	carol := e.ownedBy(newSigner("carol"))
	r := e.register()
	open := newPlay(s).register(e, r, 1)
	no := func(doc string, p *play, x ledgerEntry, operator bool) {
		p.refused("resolve-refused", doc, e.doResolve(x, operator), "ledger_entry")
	}
	no("by a key that is neither operator nor owner: not invoked", open, carol.resolution(r, wasNotInvoked), false)
	no("by a key that is neither operator nor owner: in doubt", open, carol.resolution(r, wasInDoubt), false)
	no("the owner says that it happened", open, e.resolution(r, wasCommitted), false)
	no("an id that nobody knows", newPlay(s), e.resolution(r, wasInDoubt), true)
	no("a committed id", open.fork().commit(e, e.commit(r, "a"), "a"), carol.resolution(r, wasNotInvoked), true)
	bob := e.ownedBy(newSigner("bob"))
	taken := open.fork().clock(lease, true).register(bob, bob.register(r), 2)
	no("the first owner resolves their own register, which is not the latest", taken, e.resolution(r, wasNotInvoked), false)
	no("the first owner resolves the second's register", taken, e.resolution(bob.register(r), wasNotInvoked), false)
	no("an operator resolves a register that is not the latest", taken, carol.resolution(r, wasNotInvoked), true)
	no("outcome 4", open, e.resolution(r, 4), true)
	torn := open.fork().commit(e, e.commit(r, "a"), "a")
	b := e.commit(r, "b")
	torn.do(e.doCommit(b, "b"), out{"verdict": "diverged"}, diverged(reasonCommits, e.commit(r, "a"), b))
	no("the owner resolves a divergence", torn, e.resolution(r, wasNotInvoked), false)
	open.refused("resolve-forged", "with a broken signature", e.doResolve(e.resolution(r, wasNotInvoked).forged(), false), "signature_invalid")
	changed := e.resolution(r, wasInDoubt)
	changed.fields = with(changed.fields, 5, rawU(wasNotInvoked))
	open.refused("resolve-forged", "with another outcome than was signed", e.doResolve(changed, false), "id_mismatch")
	changed.fields = with(changed.fields, 1, hashOf(idOf(changed.at, changed.fields)))
	open.refused("resolve-forged", "with another outcome and the id that goes with it", e.doResolve(changed, true), "signature_invalid")
}

// diverged is how the state changes when two commits contradict each other.
func diverged(reason int, stood, other ledgerEntry) out {
	return union(out{"phase": "divergent", "contradiction": out{"reason": reason, "stood": hashText(stood.id()), "other": hashText(other.id())}}, ended())
}

// scriptConflict is one key for two requests.
func scriptConflict(s *suite) {
	e := newEffect("conflict", retryIdempotent)
	other := e.asking("other")
	r := e.register()
	open := newPlay(s).register(e, r, 1)
	done := open.fork().commit(e, e.commit(r, "a"), "a")
	mark := e.mark(reasonRequest, r.id(), other.request)
	second := e.mark(reasonRequest, r.id(), digest("third"))
	done.fork().refuse(other.doDecide(1), "idempotency_conflict").do(e.doMark(mark), out{"verdict": "superseded"}, out{"marked": true}).
		do(e.doMark(second), out{"verdict": "dropped"}, nil).do(e.doDecide(1), out{"decision": "replay"}, nil).refuse(other.doDecide(1), "idempotency_conflict").
		valid("conflict", "marked once, and the committed id still replays for its own request")
	open.fork().do(e.doMark(mark), out{"verdict": "superseded"}, out{"marked": true}).commit(e, e.commit(r, "a"), "a").valid("conflict", "marked while it is open: the lease stands and the commit counts")
	no := func(doc string, p *play) {
		p.refused("conflict-decide", doc, other.doDecide(1), "idempotency_conflict")
		p.refused("conflict-register", doc, other.doRegister(other.register(r)), "idempotency_conflict")
	}
	no("while the lease stands", open)
	no("when the lease is over", open.fork().clock(lease, true))
	no("committed", done)
	no("freed", open.fork().resolve(e, e.resolution(r, wasNotInvoked), false, "free"))
	no("in doubt", open.fork().resolve(e, e.resolution(r, wasInDoubt), false, "in_doubt"))
	newPlay(s).refused("mark-refused", "a mark of an id that nobody knows", e.doMark(mark), "ledger_entry")
	open.refused("mark-refused", "a mark of two commits that are not there", e.doMark(e.mark(reasonCommits, digest("a"), digest("b"))), "ledger_entry")
	done.refused("mark-refused", "a mark alone does not take an outcome away", e.doMark(e.mark(reasonResponse, digest("a"), digest("b"))), "ledger_entry")
	open.refused("mark-refused", "reason 4", e.doMark(e.mark(4)), "ledger_entry")
	open.refused("mark-refused", "a mark of another tool", e.doMark(mark.changed(2, hashOf(digest("x")))), "ledger_entry")
}

// scriptDiverge is two commits that cannot both be true.
func scriptDiverge(s *suite) {
	e := newEffect("torn", retryPure)
	bob, carol := e.ownedBy(newSigner("bob")), e.ownedBy(newSigner("carol"))
	r := e.register()
	a, b := e.commit(r, "a"), e.commit(r, "b")
	done := newPlay(s).register(e, r, 1).commit(e, a, "a")
	torn := done.fork().do(e.doCommit(b, "b"), out{"verdict": "diverged"}, diverged(reasonCommits, a, b))
	mark := e.doMark(e.mark(reasonCommits, a.id(), b.id()))
	torn.fork().do(mark, out{"verdict": "applied"}, nil).refuse(e.doDecide(2), "effect_divergent").do(e.doCommit(e.commit(r, "c"), "c"), out{"verdict": "superseded"}, nil).
		crash().valid("divergent", "one register, two responses: refused until an operator speaks", "superseded")
	healed := torn.fork().do(e.doResolve(carol.resolution(r, wasCommitted), true), nil, out{"phase": "committed", "contradiction": nil})
	healed.fork().do(e.doDecide(2), out{"decision": "replay"}, nil).do(e.doCommit(b, "b"), out{"verdict": "dropped"}, nil).
		do(e.doCommit(e.commit(r, "c"), "c"), out{"verdict": "superseded"}, nil).valid("divergent", "an operator lets the first stand again")
	torn.fork().resolve(carol, carol.resolution(r, wasNotInvoked), true, "free").do(e.doDecide(0), out{"decision": "proceed"}, nil).valid("divergent", "an operator says that neither happened")
	torn.fork().resolve(carol, carol.resolution(r, wasCommitted).changed(6, hashOf(e.receiptID("b"))), true, "settled").refuse(e.doDecide(2), "effect_settled").
		valid("divergent", "an operator names the other's receipt: settled")
	r1 := bob.register(r)
	two := newPlay(s).register(e, r, 1).clock(lease, true).register(bob, r1, 2).commit(bob, bob.commit(r1, "b"), "b").
		do(e.doCommit(a, "a"), out{"verdict": "diverged"}, diverged(reasonResponse, bob.commit(r1, "b"), a))
	two.fork().refuse(e.doDecide(2), "effect_divergent").valid("divergent", "two pure attempts, two responses", "fencing")
	early := newPlay(s).register(e, r, 1).clock(lease, true).register(bob, r1, 2).do(e.doCommit(a, "a"), out{"verdict": "superseded"}, nil).
		do(bob.doCommit(bob.commit(r1, "b"), "b"), out{"verdict": "diverged"}, diverged(reasonResponse, a, bob.commit(r1, "b")))
	early.valid("divergent", "the late one first: none of them ever stood", "fencing")
	torn.refused("divergent-call", "a call with class pure", e.doDecide(2), "effect_divergent")
	torn.refused("divergent-call", "a call with class never", e.doDecide(0), "effect_divergent")
	torn.refused("divergent-call", "a register", e.doRegister(r1), "effect_divergent")
	torn.refused("divergent-call", "with another request: the conflict is looked at first", e.asking("x").doDecide(2), "idempotency_conflict")
	two.refused("divergent-call", "a call after two pure attempts", e.doDecide(2), "effect_divergent")
	early.refused("divergent-call", "a call where none of them stood", e.doDecide(2), "effect_divergent")
}

// scriptSpend are capabilities that are charged by registers.
func scriptSpend(s *suite) {
	link := func(name string, most int) any { return in{"cap_id": hashText(digest(name)), "max": most} }
	first, second := newEffect("spend 1", retryIdempotent), newEffect("spend 2", retryIdempotent)
	r1, r2 := first.register(), second.register()
	pay := func(p *play, e effect, r ledgerEntry, n int, spend ...any) *play {
		return p.do(e.doRegister(r, spend...), nil, merged(opened(e, r, n), out{"live": true, "lease_expires": fmt.Sprint(p.now + lease)}))
	}
	one := pay(newPlay(s), first, r1, 1, link("cap", 1))
	absent := out{"phase": "absent", "attempt": 0, "request_hash": nil, "register_id": nil, "owner": nil, "retry": nil, "live": false, "lease_expires": nil}
	one.fork().do(second.doRegister(r2, link("cap", 1)), out{"error": "cap_exhausted"}, absent).valid("spend", "the second call of a capability for one leaves nothing")
	one.refused("spend-exhausted", "the second call of a capability for one", second.doRegister(r2, link("cap", 1)), "cap_exhausted")
	newPlay(s).refused("spend-exhausted", "a capability for no calls", first.doRegister(r1, link("cap", 0)), "cap_exhausted", "boundary")
	newPlay(s).refused("spend-exhausted", "one capability twice, for one call", first.doRegister(r1, link("cap", 1), link("cap", 1)), "cap_exhausted")
	newPlay(s).refused("spend-exhausted", "the second link of a chain is spent", first.doRegister(r1, link("root", 5), link("leaf", 0)), "cap_exhausted")
	pay(one.fork(), second, r2, 1, link("other", 1)).crash().valid("spend", "another capability, of another id: after a crash each has its own state")
	pay(one.fork(), second, r2, 1, link("cap", 2)).valid("spend", "a link that says more")
	again := one.fork().clock(lease, true)
	again.refused("spend-exhausted", "a retry is charged again", first.doRegister(first.register(r1), link("cap", 1)), "cap_exhausted")
	pay(again.fork(), first, first.register(r1), 2, link("cap", 2)).valid("spend", "a retry that is paid for")
	free := newPlay(s).refuse(first.doRegister(r1, link("root", 1), link("leaf", 0)), "cap_exhausted")
	pay(free, first, r1, 1, link("root", 1)).valid("spend", "all or nothing: a refused register has charged no link")
	twice := pay(newPlay(s), first, r1, 1, link("cap", 2), link("cap", 2))
	twice.refused("spend-exhausted", "one capability twice, for two calls, is two calls", second.doRegister(r2, link("cap", 2)), "cap_exhausted")
	busy := one.fork().refuse(first.doRegister(first.register(r1), link("cap", 5)), "effect_in_progress")
	busy.do(second.doRegister(r2, link("cap", 2)), nil, merged(opened(second, r2, 1), out{"live": true, "lease_expires": fmt.Sprint(newYear + lease)}))
	busy.valid("spend", "a register that is refused for its lease charges nothing")
}

// scriptBad are entries that a store does not take.
func scriptBad(s *suite) {
	e := newEffect("bad", retryIdempotent)
	bob := e.ownedBy(newSigner("bob"))
	r := e.register()
	empty, open := newPlay(s), newPlay(s).register(e, r, 1)
	no := func(what, doc string, p *play, step in, code string) { p.refused(what, doc, step, code) }
	no("register-bad", "a broken signature", empty, e.doRegister(r.forged()), "signature_invalid")
	moved := r
	moved.fields = with(r.fields, 5, bob.owner.agent())
	no("register-bad", "another owner than signed", empty, e.doRegister(moved), "signature_invalid")
	no("register-bad", "an id that is not of its tool and key", empty, e.doRegister(r.changed(4, rawB([]byte("x")))), "ledger_entry")
	no("register-bad", "retry class 4", empty, e.doRegister(r.changed(11, rawU(4))), "ledger_entry")
	no("register-bad", "attempt 1 of an id that nobody knows", empty, e.doRegister(e.register(r)), "ledger_entry")
	no("register-bad", "attempt 1 that follows nothing", empty, e.doRegister(r.changed(9, rawU(1))), "ledger_entry")
	no("register-bad", "attempt 0 that follows something", empty, e.doRegister(r.changed(10, hashOf(digest("x")))), "ledger_entry")
	no("register-bad", "no bytes", empty, e.on("register", in{"lease": "1"}), "can_truncated")
	no("register-bad", "a commit", empty, e.on("register", in{"hex": e.commit(r, "a").bytes(), "lease": "1"}), "can_type")
	c := e.commit(r, "a")
	no("commit-bad", "of an id that was never registered", empty, e.doCommit(c, "a"), "ledger_entry")
	no("commit-bad", "with the receipt of another response", open, e.doCommit(c, "b"), "ledger_entry")
	no("commit-bad", "without a receipt", open, e.on("commit", in{"hex": c.bytes()}), "ledger_entry")
	no("commit-bad", "with an object that is not what it is called", open, merged(e.doCommit(c, "a"), in{"items": []any{in{"cid": hashText(digest("x")), "hex": []byte("x")}}}), "ledger_entry")
	no("commit-bad", "no bytes", open, e.on("commit", in{}), "can_truncated")
	open.fork().do(merged(e.doCommit(c, "a"), in{"items": []any{in{"cid": hashText(sum256([]byte("answer"))), "hex": []byte("answer")}}}), out{"verdict": "applied"}, union(e.stands("a"), ended())).
		do(in{"do": "object", "id": hashText(sum256([]byte("answer")))}, out{"hex": []byte("answer")}, nil).valid("object", "an object that came with a commit")
	no("object-missing", "an object that nobody has stored", open, in{"do": "object", "id": hashText(sum256([]byte("answer")))}, "ledger_item_not_found")
	kept := func(doc string, x ledgerEntry) {
		open.fork().do(e.doCommit(x, "a"), out{"verdict": "superseded"}, nil).crash().valid("commit-superseded", doc+" is kept and changes nothing", "superseded")
	}
	forged := ledgerEntry{kindCommit, with(c.fields, 8, signature(1, e.owner.keyID(), bob.owner.sign(c.id()))), c.at, e.owner}
	kept("a commit that another key signed in the owner's name", forged)
	kept("a commit with a broken signature", c.forged())
	kept("a commit of a register that nobody knows", c.changed(9, hashOf(digest("x"))))
	kept("a commit of another request", c.changed(3, hashOf(digest("x"))))
	kept("a commit of another tool", c.changed(2, hashOf(digest("x"))))
	kept("a commit without a register, as v0.2 had them", ledgerEntry{kindCommit, signedFields(c.at, without(c.fields, 9), e.owner, ""), c.at, e.owner})
}

// scriptRuns are run records, unique for an authority, a holder and a run id.
func scriptRuns(s *suite) {
	samples := newSampler()
	t := samples.structs["RunRecord"]
	alice := newSigner("alice")
	record := func(seen int64) []field {
		return seal(t, with(with(samples.fields(t, false, 1), 3, rawT("run-1")), 13, rawTime(seen)), alice)
	}
	authority, holder := hashText(digest("authority")), hashText(digest("holder"))
	start := func(fields []field, run string) in {
		return in{"do": "run", "authority": authority, "holder": holder, "run_id": run, "hex": encode(fields), "id": hashText(objectID(t, fields))}
	}
	find := func(authority, holder, run string) in {
		return in{"do": "find", "authority": authority, "holder": holder, "run_id": run}
	}
	a, b := record(newYear), record(newYear+1)
	begun := newPlay(s).do(start(a, "run-1"), out{"hex": encode(a)}, nil)
	begun.fork().do(start(b, "run-1"), out{"hex": encode(a)}, nil).do(find(authority, holder, "run-1"), out{"hex": encode(a)}, nil).crash().
		do(find(authority, holder, "run-1"), out{"hex": encode(a)}, nil).valid("run", "the first record of a run id stands")
	begun.fork().do(start(b, "run-2"), out{"hex": encode(b)}, nil).do(find(authority, holder, "run-1"), out{"hex": encode(a)}, nil).valid("run", "another run id is another run")
	no := func(doc string, p *play, step in) { p.refused("run-missing", doc, step, "ledger_item_not_found") }
	no("nothing has run", newPlay(s), find(authority, holder, "run-1"))
	no("another run id", begun, find(authority, holder, "run-2"))
	no("another authority", begun, find(holder, holder, "run-1"))
	no("another holder", begun, find(authority, authority, "run-1"))
	no("authority and holder exchanged", begun, find(holder, authority, "run-1"))
	bad := start(a, "run-1")
	bad["items"] = []any{in{"cid": hashText(digest("x")), "hex": []byte("x")}}
	newPlay(s).refused("run-items", "inputs that are not what they are called", bad, "ledger_entry")
}
