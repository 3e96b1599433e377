package main

import (
	"fmt"
	"strings"
)

const kindRingState = 8

// ringState is a signed state of a ring; without a package it demotes.
func ringState(ring, seq uint64, name, pkg string) ledgerEntry {
	at, by := place{1, 9, 11}, newSigner("carol")
	fields := []field{
		{2, rawT("mythos.ring.state")},
		{3, rawU(ring)},
		{4, rawU(seq)},
		{5, rawT(name)},
	}
	if pkg != "" {
		fields = append(fields, field{6, hashOf(digest(pkg))})
	}
	fields = append(fields, field{10, rawTime(newYear)})
	return ledgerEntry{kindRingState, signedFields(at, fields, by, ""), at, by}
}

// stands is a state as ledger.rings returns it.
func (x ledgerEntry) stands(ring uint64, name string, seq uint64) any {
	return in{"ring": ring, "name": name, "seq": fmt.Sprint(seq), "id": "sha256:" + fmt.Sprintf("%x", x.id())}
}

// ringStates are states that are appended one after the other.
func ringStates(s *suite) {
	s.spec = "RFC-MYTHOS-0005 §2.2"
	good := func(doc string, states []any, entries ...ledgerEntry) {
		s.valid("rings", "ledger.rings", doc, views(entries), out{"states": states})
	}
	bad := func(doc, code string, entries ...ledgerEntry) {
		s.invalid("rings-refused", "ledger.rings", doc, views(entries), code)
	}
	badForm := func(doc string, entries ...ledgerEntry) {
		s.invalid("rings-form", "ledger.rings", doc, views(entries), "ledger_entry")
	}
	one, two := ringState(1, 1, "demo", "a"), ringState(1, 2, "demo", "b")
	high, other := ringState(2, 1, "demo", "a"), ringState(1, 1, "another", "a")
	gone, jump := ringState(1, 3, "demo", ""), ringState(1, 1<<63, "demo", "a")
	good("no states", []any{}, []ledgerEntry{}...)
	good("one state", []any{one.stands(1, "demo", 1)}, one)
	good("the higher seq stands", []any{two.stands(1, "demo", 2)}, one, two)
	good("rings and names are apart, and come in order", []any{other.stands(1, "another", 1), two.stands(1, "demo", 2), high.stands(2, "demo", 1)}, high, one, other, two)
	good("a state without a package stands too", []any{gone.stands(1, "demo", 3)}, one, two, gone)
	good("seq may leave numbers out, and begin anywhere", []any{jump.stands(1, "demo", 1<<63)}, two, jump)
	bad("the same state twice", "ring_state_stale", one, one)
	bad("another state of the same seq", "ring_state_stale", one, ringState(1, 1, "demo", "b"))
	bad("a lower seq", "ring_state_stale", two, one)
	bad("an old state after a demotion", "ring_state_stale", one, gone, two)
	bad("the highest seq is a number without a sign", "ring_state_stale", jump, two)
	bad("a broken signature", "signature_invalid", one, two.forged())
	bad("a field that was not signed", "id_mismatch", ledgerEntry{kindRingState, with(one.fields, 6, hashOf(digest("b"))), one.at, one.owner})
	badForm("ring 3", ringState(3, 1, "demo", "a"))
	badForm("an empty name", ringState(1, 1, "", "a"))
	badForm("a name of 129 bytes", ringState(1, 1, strings.Repeat("a", 129), "a"))
	badForm("a rollback without a package", gone.changed(7, hashOf(digest("a"))))
	badForm("a promotion without a package", gone.changed(8, hashOf(digest("a"))))
}
