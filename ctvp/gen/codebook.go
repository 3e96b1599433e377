package main

import (
	"fmt"

	canon "github.com/mythos-run/mythos/runtime/libs/can"
	book "github.com/mythos-run/mythos/runtime/libs/codebook"
)

// entry is a canonical CodebookEntry.
func entry(codeword, kind, value uint64) []byte {
	return encode([]field{{1, canon.AppendUint(nil, codeword)}, {2, canon.AppendUint(nil, kind)}, {3, canon.AppendUint(nil, value)}})
}

// codebook is the suite of codebooks.
func codebook(p *pack) {
	s := p.suite("codebook", "RFC-MYTHOS-0002", "Codebooks: the baseline, its id, and lists that are none.")
	s.spec = "RFC-MYTHOS-0002 §8"
	ok := func(doc string, entries ...[]byte) {
		raw := join(canon.AppendList(nil, len(entries)), join(entries...))
		s.valid("decode", "codebook.decode", doc, in{"hex": raw}, out{"id": hashText(sum256(raw)), "entries": len(entries)})
	}
	s.valid("baseline", "codebook.decode", "the baseline codebook", in{"hex": p.file("book", book.Encode(book.Baseline()))},
		out{"id": "sha256:7ed509c74d47db2ebbb0608a8aa5135208ee8abec769473830c7449cfe9ec37a", "entries": 541})
	ok("no entry")
	ok("one entry", entry(0, 1, 0))
	ok("the edges of codewords and values", entry(0, 1, 0), entry(65535, 4, 1<<64-1))
	ok("an unknown field, which the id covers", encode([]field{{1, x("03 01")}, {2, x("03 01")}, {3, x("03 01")}, {4, x("00")}}))
	bad := func(what, doc, code string, offset int, entries ...[]byte) {
		raw := join(canon.AppendList(nil, len(entries)), join(entries...))
		s.invalidAt(what, "codebook.decode", doc, in{"hex": raw}, code, offset)
	}
	a, b := entry(1, 1, 1), entry(2, 1, 1)
	n := len(a)
	bad("order", "descending codewords", "codebook_order", 2+n, b, a)
	bad("order", "a codeword twice", "codebook_order", 2+n, a, a)
	bad("order", "a codeword twice with another value", "codebook_order", 2+n, a, entry(1, 2, 9))
	bad("order", "the last of three", "codebook_order", 2+2*n, a, b, a)
	for _, kind := range []uint64{0, 5, 255} {
		bad("kind", fmt.Sprintf("kind %d", kind), "codebook_kind", 2, entry(1, kind, 1))
	}
	bad("kind", "the second entry's kind", "codebook_kind", 2+n, a, entry(2, 0, 1))
	bad("kind", "order is checked before kind", "codebook_order", 2+n, b, entry(1, 0, 1))
	bad("entry", "codeword 65536", "can_range", 6, entry(65536, 1, 1))
	bad("entry", "kind 256", "can_range", 10, entry(1, 256, 1))
	bad("entry", "no value", "can_missing", 2+len(a)-4, encode([]field{{1, x("03 01")}, {2, x("03 01")}}))
	bad("entry", "a LIST as an entry", "can_type", 2, x("07 00"))
	form := func(doc string, raw []byte, code string, offset int) {
		s.invalidAt("form", "codebook.decode", doc, in{"hex": raw}, code, offset)
	}
	form("a MAP", x("08 00"), "can_type", 0)
	form("nothing", nil, "can_truncated", 0)
	form("a count beyond the end", x("07 7f 00"), "can_bounds", 0)
	form("a second value", x("07 00 00"), "can_trailing", 2)
	form("one entry too few", join(x("07 02"), a), "can_truncated", 2+n)
}
