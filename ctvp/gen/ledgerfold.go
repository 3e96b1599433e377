package main

import (
	"fmt"
	"strings"
)

// views are entries as ledger.fold takes them.
func views(entries []ledgerEntry) in {
	list := []any{}
	for _, e := range entries {
		list = append(list, e.view())
	}
	return in{"entries": list}
}

// folded adds a fold with the members of state; attempt and marked have their
// usual values where state does not say another.
func folded(s *suite, what, doc string, state out, entries ...ledgerEntry) {
	o := merged(out{"marked": false}, state)
	s.valid(what, "ledger.fold", doc, views(entries), o)
}

// folds are ids with one register.
func folds(s *suite) {
	e := newEffect("fold", retryNever)
	r := e.register()
	c := e.commit(r, "a")
	open := opened(e, r, 1)
	s.valid("fold", "ledger.fold", "no entries", in{"entries": []any{}}, out{"phase": "absent", "attempt": 0, "marked": false})
	folded(s, "fold", "a register", open, r)
	folded(s, "fold", "a register and its commit", merged(open, e.stands("a")), r, c)
	folded(s, "fold", "the commit twice, to the byte", merged(open, e.stands("a")), r, c, c)
	for class := range uint64(4) {
		x := e.class(class)
		folded(s, "fold-retry", fmt.Sprintf("retry class %d", class), opened(x, x.register(), 1), x.register())
	}
	bare := r
	bare.fields = signedFields(bare.at, without(r.fields, 9, 11), e.owner, "")
	folded(s, "fold-retry", "a register without attempt and retry: 0 and never", opened(e, bare, 1), bare)
	bob := e.ownedBy(newSigner("bob"))
	for _, x := range []struct {
		doc string
		c   ledgerEntry
	}{
		{"a commit signed by another key", bob.commit(r, "a")},
		{"a commit with a broken signature", c.forged()},
		{"a commit that names no register, as v0.2 had them", ledgerEntry{kindCommit, signedFields(c.at, without(c.fields, 9), e.owner, ""), c.at, e.owner}},
		{"a commit that names a register nobody knows", c.changed(9, hashOf(digest("x")))},
		{"a commit of another request", c.changed(3, hashOf(digest("x")))},
		{"a commit of another tool", c.changed(2, hashOf(digest("x")))},
		{"a commit without a key_id", ledgerEntry{kindCommit, with(c.fields, 8, signature(1, nil, e.owner.sign(c.id()))), c.at, e.owner}},
		{"a commit with the key_id of another key", ledgerEntry{kindCommit, with(c.fields, 8, signature(1, bob.owner.keyID(), e.owner.sign(c.id()))), c.at, e.owner}},
	} {
		s.valid("fold-superseded", "ledger.fold", x.doc+" changes nothing", views([]ledgerEntry{r, x.c}), merged(out{"marked": false}, open), "superseded")
	}
	folded(s, "fold-superseded", "the owner's commit stands after one that did not count", merged(open, e.stands("a")), r, bob.commit(r, "b"), c)
}

// foldsAgain are ids with several registers and with resolutions.
func foldsAgain(s *suite) {
	e := newEffect("again", retryIdempotent)
	bob := e.ownedBy(newSigner("bob"))
	r0 := e.register()
	r1 := bob.register(r0)
	two := opened(bob, r1, 2)
	folded(s, "fold-takeover", "a second register by another owner", two, r0, r1)
	folded(s, "fold-takeover", "a third", opened(e, e.register(r0, r1), 3), r0, r1, e.register(r0, r1))
	folded(s, "fold-takeover", "the late commit of the first changes nothing", two, r0, r1, e.commit(r0, "a"))
	folded(s, "fold-takeover", "the commit of the second stands", merged(two, bob.stands("b")), r0, r1, bob.commit(r1, "b"))
	folded(s, "fold-takeover", "late first, then the second", merged(two, bob.stands("b")), r0, r1, e.commit(r0, "a"), bob.commit(r1, "b"))
	folded(s, "fold-takeover", "the second, then late first", merged(two, bob.stands("b")), r0, r1, bob.commit(r1, "b"), e.commit(r0, "a"))
	folded(s, "fold-takeover", "the first owner's key for the second register", two, r0, r1, e.commit(r1, "b"))
	pure := e.class(retryPure)
	p0 := pure.register()
	p1 := bob.class(retryPure).register(p0)
	folded(s, "fold-takeover", "two pure attempts with the same response agree", merged(opened(bob.class(retryPure), p1, 2), bob.stands("a")), p0, p1, pure.commit(p0, "a"), bob.commit(p1, "a"))

	open := opened(e, r0, 1)
	res := func(outcome uint64) ledgerEntry { return e.resolution(r0, outcome) }
	phase := func(p string) out { return merged(open, out{"phase": p}) }
	folded(s, "fold-resolution", "it happened, and no commit is known", phase("settled"), r0, res(wasCommitted))
	folded(s, "fold-resolution", "it was not invoked", phase("free"), r0, res(wasNotInvoked))
	folded(s, "fold-resolution", "nobody knows", phase("in_doubt"), r0, res(wasInDoubt))
	folded(s, "fold-resolution", "not invoked, and registered again", two, r0, res(wasNotInvoked), r1)
	folded(s, "fold-resolution", "in doubt, and registered again", two, r0, res(wasInDoubt), r1)
	folded(s, "fold-resolution", "in doubt, then known not to have been invoked", phase("free"), r0, res(wasInDoubt), res(wasNotInvoked))
	folded(s, "fold-resolution", "in doubt, then settled", phase("settled"), r0, res(wasInDoubt), res(wasCommitted))
	folded(s, "fold-resolution", "believed not to have been invoked, but here is the commit", merged(open, e.stands("a")), r0, res(wasNotInvoked), e.commit(r0, "a"))
	folded(s, "fold-resolution", "in doubt, and here is the commit", merged(open, e.stands("a")), r0, res(wasInDoubt), e.commit(r0, "a"))
	folded(s, "fold-resolution", "settled: the commit comes too late", phase("settled"), r0, res(wasCommitted), e.commit(r0, "a"))
	folded(s, "fold-resolution", "with a receipt that is not known: settled", phase("settled"), r0, res(wasCommitted).changed(6, hashOf(digest("x"))))
	folded(s, "fold-mark", "a request conflict is noted", merged(open, out{"marked": true}), r0, e.mark(reasonRequest, r0.id(), digest("x")))
	folded(s, "fold-mark", "a committed id stays committed under it", merged(open, e.stands("a"), out{"marked": true}), r0, e.commit(r0, "a"), e.mark(reasonRequest, r0.id(), digest("x")))
	folded(s, "fold-mark", "twice", merged(open, out{"marked": true}), r0, e.mark(reasonRequest, r0.id(), digest("x")), e.mark(reasonRequest, r0.id(), digest("y")))
}

// foldsDiverge are commits that cannot both be true.
func foldsDiverge(s *suite) {
	s.spec = "RFC-MYTHOS-0005 §6"
	e := newEffect("diverge", retryPure)
	bob := e.ownedBy(newSigner("bob"))
	r0 := e.register()
	r1 := bob.register(r0)
	a, b := e.commit(r0, "a"), e.commit(r0, "b")
	open := opened(e, r0, 1)
	torn := func(reason int, stood, other ledgerEntry) out {
		return out{"phase": "divergent", "contradiction": out{"reason": reason, "stood": hashText(stood.id()), "other": hashText(other.id())}}
	}
	same := merged(open, e.stands("a"), torn(reasonCommits, a, b))
	folded(s, "fold-divergent", "one register, two responses", same, r0, a, b)
	folded(s, "fold-divergent", "in the other order", merged(open, e.stands("b"), torn(reasonCommits, b, a)), r0, b, a)
	folded(s, "fold-divergent", "retries and further commits change nothing", same, r0, a, b, a, e.commit(r0, "c"))
	folded(s, "fold-divergent", "the mark says what is known", same, r0, a, b, e.mark(reasonCommits, a.id(), b.id()))
	again := opened(bob, r1, 2)
	second := bob.commit(r1, "b")
	folded(s, "fold-divergent", "two pure attempts with two responses", merged(again, bob.stands("b"), torn(reasonResponse, second, a)), r0, r1, second, a)
	folded(s, "fold-divergent", "two pure attempts, the older commit first: none stood", merged(again, torn(reasonResponse, a, second)), r0, r1, a, second)
	mark := merged(open, out{"phase": "divergent"})
	folded(s, "fold-divergent", "a mark of reason 2 before any commit is met", mark, r0, e.mark(reasonResponse, a.id(), b.id()))
	folded(s, "fold-divergent", "a mark of reason 3", mark, r0, e.mark(reasonCommits, a.id(), b.id()))
	for _, class := range []uint64{retryNever, retryIdempotent, retryReconcile} {
		x := e.class(class)
		y := bob.class(class)
		x0 := x.register()
		y1 := y.register(x0)
		folded(s, "fold-not-divergent", fmt.Sprintf("attempts of class %d may have other responses", class),
			merged(opened(y, y1, 2), y.stands("b")), x0, y1, y.commit(y1, "b"), x.commit(x0, "a"))
	}
	idem := bob.class(retryIdempotent)
	m1 := idem.register(r0)
	folded(s, "fold-not-divergent", "one pure and one idempotent attempt, too", merged(opened(idem, m1, 2), idem.stands("b")), r0, m1, idem.commit(m1, "b"), a)
	folded(s, "fold-not-divergent", "commits that are not the owner's are not compared", merged(open, e.stands("a")), r0, a, bob.commit(r0, "b"))
	s.spec = "RFC-MYTHOS-0005 §5"
	heal := func(outcome uint64) ledgerEntry { return bob.resolution(r0, outcome) }
	folded(s, "fold-healed", "the one that stood stands again", merged(open, e.stands("a")), r0, a, b, heal(wasCommitted))
	folded(s, "fold-healed", "its receipt is named", merged(open, e.stands("a")), r0, a, b, heal(wasCommitted).changed(6, hashOf(e.receiptID("a"))))
	folded(s, "fold-healed", "the other's receipt is named: settled", merged(open, out{"phase": "settled"}), r0, a, b, heal(wasCommitted).changed(6, hashOf(e.receiptID("b"))))
	folded(s, "fold-healed", "it was not invoked", merged(open, out{"phase": "free"}), r0, a, b, heal(wasNotInvoked))
	folded(s, "fold-healed", "nobody knows", merged(open, out{"phase": "in_doubt"}), r0, a, b, heal(wasInDoubt))
	folded(s, "fold-healed", "a later commit is not compared with those before", merged(open, e.stands("c")), r0, a, b, heal(wasNotInvoked), e.commit(r0, "c"))
	s.spec = "RFC-MYTHOS-0005 §3"
}

// corrupt adds a fold that is refused.
func corrupt(s *suite, what, doc string, entries ...ledgerEntry) {
	s.invalid(what, "ledger.fold", doc, views(entries), "ledger_corrupt")
}

// foldRegisters are registers that do not fit.
func foldRegisters(s *suite) {
	e := newEffect("registers", retryIdempotent)
	r0 := e.register()
	r1 := e.register(r0)
	corrupt(s, "fold-register", "attempt 1 without attempt 0", r1)
	corrupt(s, "fold-register", "attempt 1 that follows nothing", r0.changed(9, rawU(1)))
	corrupt(s, "fold-register", "attempt 0 that follows something", r0.changed(10, hashOf(digest("x"))))
	corrupt(s, "fold-register", "the same register twice", r0, r0)
	corrupt(s, "fold-register", "attempt 2 after attempt 0", r0, r1.changed(9, rawU(2)))
	corrupt(s, "fold-register", "attempt 0 again, after the first", r0, r1.changed(9, rawU(0)))
	corrupt(s, "fold-register", "attempt 1 after another register", r0, r1.changed(10, hashOf(digest("x"))))
	corrupt(s, "fold-register", "attempt 2 after the register before the latest", r0, r1, e.register(r0, r1).changed(10, hashOf(r0.id())))
	corrupt(s, "fold-register", "the second attempt twice", r0, r1, r1)
	corrupt(s, "fold-register", "attempt 1 without the one before it", r0, ledgerEntry{kindRegister, signedFields(r1.at, without(r1.fields, 10), e.owner, ""), r1.at, e.owner})
	foldPrevious(s, e)
	corrupt(s, "fold-register-content", "another request", r0, e.asking("x").register(r0))
	other := newEffect("another", retryIdempotent)
	corrupt(s, "fold-register-content", "another id", r0, other.register(r0))
	corrupt(s, "fold-register-content", "an id that is not of its tool and key", r0.changed(4, rawB([]byte("x"))))
	corrupt(s, "fold-register-content", "an id that is of another tool", r0.changed(2, hashOf(digest("x"))))
	corrupt(s, "fold-register-content", "retry class 4", r0.changed(11, rawU(4)))
	corrupt(s, "fold-register-content", "retry class 256", r0.changed(11, rawU(256)))
	c := e.commit(r0, "a")
	corrupt(s, "fold-register-phase", "after the commit", r0, c, r1)
	corrupt(s, "fold-register-phase", "after divergence", r0, c, e.commit(r0, "b"), r1)
	corrupt(s, "fold-register-phase", "after it was settled", r0, e.resolution(r0, wasCommitted), r1)
	corrupt(s, "fold-register-phase", "the first one again after the commit", r0, c, r0)
}

// foldPrevious are registers whose previous_register is there without need, or
// names nothing: 32 zero bytes are a register id like any other.
func foldPrevious(s *suite, e effect) {
	r0 := e.register()
	r1 := e.register(r0)
	zero := hashOf(make([]byte, 32))
	alone := func(r ledgerEntry, nums ...uint8) ledgerEntry {
		r.fields = signedFields(r.at, without(r.fields, nums...), r.owner, "")
		return r
	}
	corrupt(s, "fold-register-previous", "attempt 0 that follows 32 zero bytes", r0.changed(10, zero))
	corrupt(s, "fold-register-previous", "no attempt, and it follows 32 zero bytes", alone(r0.changed(10, zero), 9))
	corrupt(s, "fold-register-previous", "no attempt, and it follows something", alone(r0.changed(10, hashOf(digest("x"))), 9))
	corrupt(s, "fold-register-previous", "attempt 1 that follows 32 zero bytes, and nothing before it", r1.changed(10, zero))
	corrupt(s, "fold-register-previous", "attempt 1 that follows 32 zero bytes, after attempt 0", r0, r1.changed(10, zero))
	corrupt(s, "fold-register-previous", "no attempt, after attempt 0", r0, alone(r1, 9))
	corrupt(s, "fold-register-previous", "neither attempt nor what it follows, after attempt 0", r0, alone(r1, 9, 10))
}

// foldOthers are other entries that do not fit.
func foldOthers(s *suite) {
	e := newEffect("others", retryIdempotent)
	other := newEffect("another", retryIdempotent)
	r0 := e.register()
	r1 := e.register(r0)
	c := e.commit(r0, "a")
	corrupt(s, "fold-commit", "a commit of an absent id", c)
	corrupt(s, "fold-commit", "a commit of another id", r0, other.commit(r0, "a"))
	corrupt(s, "fold-commit", "the commit before the register", c, r0)
	raw := func(kind int, fields []field) ledgerEntry { return ledgerEntry{kind, fields, place{}, e.owner} }
	corrupt(s, "fold-commit", "a commit without a response hash", r0, raw(kindCommit, without(c.fields, 4)))
	mark := e.mark(reasonRequest, r0.id(), digest("x"))
	corrupt(s, "fold-mark-refused", "a mark of an absent id", mark)
	corrupt(s, "fold-mark-refused", "a mark of another id", r0, other.mark(reasonRequest, r0.id(), digest("x")))
	corrupt(s, "fold-mark-refused", "a mark of another tool", r0, mark.changed(2, hashOf(digest("x"))))
	corrupt(s, "fold-mark-refused", "reason 0", r0, e.mark(0))
	corrupt(s, "fold-mark-refused", "reason 4", r0, e.mark(4))
	corrupt(s, "fold-mark-refused", "a mark of reason 3 of another tool", r0, e.mark(reasonCommits).changed(2, hashOf(digest("x"))))
	res := e.resolution(r0, wasNotInvoked)
	corrupt(s, "fold-resolution-refused", "a resolution of an absent id", res)
	corrupt(s, "fold-resolution-refused", "of a committed id", r0, c, res)
	corrupt(s, "fold-resolution-refused", "of a settled id", r0, e.resolution(r0, wasCommitted), res)
	corrupt(s, "fold-resolution-refused", "of another id", r0, other.resolution(r0, wasNotInvoked))
	corrupt(s, "fold-resolution-refused", "of a register that is not the latest", r0, r1, res)
	corrupt(s, "fold-resolution-refused", "of a register that nobody knows", r0, e.resolution(c, wasNotInvoked))
	corrupt(s, "fold-resolution-refused", "outcome 0", r0, e.resolution(r0, 0))
	corrupt(s, "fold-resolution-refused", "outcome 4", r0, e.resolution(r0, 4))
	corrupt(s, "fold-resolution-refused", "with an id that is not its own", r0, raw(kindResolution, with(res.fields, 1, hashOf(digest("x")))))
	corrupt(s, "fold-resolution-refused", "with a field more, which is closed", r0, raw(kindResolution, with(res.fields, 11, rawU(1))))
	for _, kind := range []int{0, 5, 6, 7, 8, 9, 255} {
		corrupt(s, "fold-kind", fmt.Sprintf("an entry of kind %d under an id", kind), r0, raw(kind, r0.fields))
	}
	corrupt(s, "fold-kind-other", "a commit as a register", raw(kindRegister, c.fields))
	corrupt(s, "fold-kind-other", "a register as a commit", r0, raw(kindCommit, r0.fields))
	corrupt(s, "fold-kind-other", "a resolution as a mark", r0, raw(kindMark, res.fields))
	corrupt(s, "fold-kind-other", "a mark as a resolution", r0, raw(kindResolution, mark.fields))
	foldBytes(s, r0, c, mark, res)
	corrupt(s, "fold-keyid", "a register with a key_id, though it names its owner", raw(kindRegister, with(r0.fields, 8, signature(1, e.owner.keyID(), e.owner.sign(r0.id())))))
	corrupt(s, "fold-keyid", "a mark without a key_id", r0, raw(kindMark, with(mark.fields, 6, signature(1, nil, e.owner.sign(mark.id())))))
}

// foldBytes are entries that do not decode.
func foldBytes(s *suite, r0, c, mark, res ledgerEntry) {
	for _, x := range []struct {
		name   string
		before []ledgerEntry
		e      ledgerEntry
	}{{"register", nil, r0}, {"commit", []ledgerEntry{r0}, c}, {"mark", []ledgerEntry{r0}, mark}, {"resolution", []ledgerEntry{r0}, res}} {
		for _, bad := range []struct {
			doc string
			raw []byte
		}{
			{"no bytes", []byte{}},
			{"cut before its last byte", x.e.bytes()[:len(x.e.bytes())-1]},
			{"a byte behind it", join(x.e.bytes(), rawU(0))},
			{"the empty MAP", rawM()},
		} {
			list := views(x.before)["entries"].([]any)
			list = append(list, in{"kind": x.e.kind, "hex": bad.raw})
			s.invalid("fold-bytes-"+x.name, "ledger.fold", "a "+x.name+": "+bad.doc, in{"entries": list}, "ledger_corrupt")
		}
	}
	wrong := res.fields
	corrupt(s, "fold-schema", "a resolution with another schema", r0, ledgerEntry{kindResolution, signedFields(res.at, with(wrong, 2, rawT("mythos.ledger.entry")), res.owner, ""), res.at, res.owner})
	corrupt(s, "fold-hash", "a register whose tool_id has another algorithm", r0.changed(2, x("08 02 03 01 03 02 03 02 05 20"+strings.Repeat("00", 32))))
}
