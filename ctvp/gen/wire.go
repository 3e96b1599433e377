package main

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// baseline is the id of the baseline codebook.
const baseline = "7ed509c74d47db2ebbb0608a8aa5135208ee8abec769473830c7449cfe9ec37a"

// packet is a MYTHOS-X packet in parts; lengths are made when it is put together.
type packet struct {
	header  []byte
	entries [][]byte
	payload []byte
}

// newPacket is an unsigned packet with codec 1.
func newPacket(payload []byte) packet {
	return packet{x("4d595448 0002 0000 01 01" + baseline), nil, payload}
}

// with returns the packet with bytes of its header replaced.
func (p packet) with(at int, b ...byte) packet {
	p.header = slices.Clone(p.header)
	copy(p.header[at:], b)
	return p
}

// add returns the packet with another entry.
func (p packet) add(entry []byte) packet {
	p.entries = append(slices.Clone(p.entries), entry)
	return p
}

// signed returns the packet with another signature of what it is now.
func (p packet) signed(k signer) packet { return p.add(sigEntry(k.agent(), 1, k.sign(p.digest()))) }

func (p packet) digest() []byte { return sum256(join(p.header, p.payload)) }

func (p packet) bytes() []byte { return p.around(rawL(p.entries...)) }

// around is the packet with another sigblock.
func (p packet) around(sigblock []byte) []byte {
	return join(p.header, sized(sigblock), sized(p.payload))
}

// sized is b behind its length.
func sized(b []byte) []byte { return join(binary.AppendUvarint(nil, uint64(len(b))), b) }

// sigEntry is a SigBlockEntry.
func sigEntry(agent []byte, alg uint64, signature []byte) []byte {
	return rawM(rawF(1, agent), rawF(2, rawU(alg)), rawF(3, rawB(signature)))
}

// wireSuite is the suite of packets.
func wireSuite(p *pack) {
	s := p.suite("wire", "RFC-MYTHOS-0001", "MYTHOS-X packets: their frame, their signatures, and compressed payloads.")
	s.spec = "RFC-MYTHOS-0001 §5"
	s.flag("several-signers", "more than one signature entry")
	s.flag("stripped", "a sigblock that somebody without a key has changed")
	s.flag("zstd", "a compressed payload, which implementations need not read")
	a, b, c := newSigner("alice"), newSigner("bob"), newSigner("carol")
	for _, k := range []signer{a, b, c} {
		p.key(k)
	}
	packets(s, a, b, c)
	packetHeaders(s, a)
	packetParts(s, a)
	packetEntries(s, a)
	packetSigners(s, a, b, c)
	s.level = 1
	bundles(s)
	framesRefused(s)
}

// signedBy is a member of signatures.
func signedBy(k signer, verdict string) out {
	return out{"signer": hashText(k.keyID()), "verdict": verdict}
}

func parsed(s *suite, what, doc string, p packet, signatures []out, flags ...string) {
	if signatures == nil {
		signatures = []out{}
	}
	s.valid(what, "wire.parse", doc, in{"hex": p.bytes()}, out{
		"codec": int(p.header[8]), "codebook": "sha256:" + baseline, "payload_sha256": hashText(sum256(p.payload)),
		"digest": hashText(p.digest()), "signatures": signatures,
	}, flags...)
}

// packets are packets that are read, whatever their signatures are worth.
func packets(s *suite, a, b, c signer) {
	empty := newPacket(x("08 00"))
	parsed(s, "unsigned", "no signature around the empty MAP", empty, nil)
	parsed(s, "unsigned", "an entry without a signature", empty.add(sigEntry(a.agent(), 1, nil)), []out{signedBy(a, "unsigned")})
	parsed(s, "unsigned", "an entry without a signature and with another algorithm", empty.add(sigEntry(a.agent(), 9, nil)), []out{signedBy(a, "unsigned")})
	parsed(s, "signed", "one signature", empty.signed(a), []out{signedBy(a, "verified")})
	hint := agent(1, a.public, "a hint is not part of the key id")
	parsed(s, "signed", "a signer with a hint", empty.add(sigEntry(hint, 1, a.sign(empty.digest()))), []out{signedBy(a, "verified")})
	parsed(s, "signed", "three signatures, in any order", empty.signed(c).signed(a).signed(b),
		[]out{signedBy(c, "verified"), signedBy(a, "verified"), signedBy(b, "verified")}, "several-signers")
	parsed(s, "signed", "one signed, one unsigned, one wrong", empty.signed(a).add(sigEntry(b.agent(), 1, nil)).add(sigEntry(c.agent(), 1, a.sign(empty.digest()))),
		[]out{signedBy(a, "verified"), signedBy(b, "unsigned"), signedBy(c, "invalid")}, "several-signers")
	parsed(s, "signed", "one key twice", empty.signed(a).signed(a), []out{signedBy(a, "verified"), signedBy(a, "verified")}, "several-signers")
	parsed(s, "signed", "one key twice, unsigned first", empty.add(sigEntry(a.agent(), 1, nil)).signed(a),
		[]out{signedBy(a, "unsigned"), signedBy(a, "verified")}, "several-signers")
	parsed(s, "signed", "an entry with an unknown field", empty.add(rawM(rawF(1, a.agent()), rawF(2, rawU(1)), rawF(3, rawB(a.sign(empty.digest()))), rawF(9, rawU(1)))),
		[]out{signedBy(a, "verified")})
	long := newPacket(rawB(make([]byte, 300)))
	parsed(s, "signed", "a payload whose length takes two bytes", long.signed(a), []out{signedBy(a, "verified")})
	parsed(s, "codec", "codec 2: the payload is not looked at", newPacket(x("ff")).with(8, 2).signed(a), []out{signedBy(a, "verified")})
	wrong := func(doc string, e []byte) {
		parsed(s, "verdict-invalid", doc, empty.add(e), []out{signedBy(a, "invalid")})
	}
	mine := a.sign(empty.digest())
	wrong("a bit of the signature is another", sigEntry(a.agent(), 1, flipped(mine, 7)))
	wrong("a signature of 63 bytes", sigEntry(a.agent(), 1, mine[:63]))
	wrong("a signature of 65 bytes", sigEntry(a.agent(), 1, append(slices.Clone(mine), 0)))
	wrong("a signature of one byte", sigEntry(a.agent(), 1, mine[:1]))
	wrong("another algorithm", sigEntry(a.agent(), 2, mine))
	wrong("a signature of the payload alone", sigEntry(a.agent(), 1, a.sign(sum256(x("08 00")))))
	wrong("a signature of the digest's bytes twice hashed", sigEntry(a.agent(), 1, a.sign(sum256(empty.digest()))))
	many := empty
	var verdicts []out
	for range 256 {
		many = many.add(sigEntry(a.agent(), 1, nil))
		verdicts = append(verdicts, signedBy(a, "unsigned"))
	}
	s.valid("signers-most", "wire.parse", "256 entries, the most", in{"hex": s.p.file("packet", many.bytes())}, out{"codec": 1, "signatures": verdicts}, "boundary", "large")
	s.invalid("signers-many", "wire.parse", "257 entries", in{"hex": s.p.file("packet", many.add(sigEntry(a.agent(), 1, nil)).bytes())}, "wire_signers", "boundary", "large")
}

// packetHeaders are packets with a wrong header.
func packetHeaders(s *suite, a signer) {
	good := newPacket(x("08 00")).signed(a)
	raw := good.bytes()
	cutAt := func(n int, code string, offset int) {
		s.invalidAt("header-cut", "wire.parse", fmt.Sprintf("the first %d bytes", n), in{"hex": raw[:n]}, code, offset)
	}
	cutAt(0, "wire_magic", 0)
	cutAt(3, "wire_magic", 0)
	for _, n := range []int{4, 6, 8, 9, 10, 41} {
		cutAt(n, "wire_truncated", n)
	}
	cutAt(42, "can_truncated", 42)
	bad := func(what, doc, code string, at int, b ...byte) {
		offset := at
		if code == "wire_codebook" {
			offset = 9
		}
		s.invalidAt(what, "wire.parse", doc, in{"hex": good.with(at, b...).bytes()}, code, offset)
	}
	s.invalidAt("header-magic", "wire.parse", "in lower case", in{"hex": good.with(0, []byte("myth")...).bytes()}, "wire_magic", 0)
	s.invalidAt("header-magic", "wire.parse", "MYTI", in{"hex": good.with(3, 'I').bytes()}, "wire_magic", 0)
	s.invalidAt("header-magic", "wire.parse", "a byte in front", in{"hex": join([]byte{0}, raw)}, "wire_magic", 0)
	bad("header-version", "version 0", "wire_version", 4, 0, 0)
	bad("header-version", "version 1", "wire_version", 4, 0, 1)
	bad("header-version", "version 3", "wire_version", 4, 0, 3)
	bad("header-version", "version 2 in the other byte order", "wire_version", 4, 2, 0)
	bad("header-version", "version 258", "wire_version", 4, 1, 2)
	bad("header-flags", "the lowest bit", "wire_flags", 6, 0, 1)
	bad("header-flags", "the highest bit", "wire_flags", 6, 0x80, 0)
	bad("header-flags", "a bit of the first byte", "wire_flags", 6, 1, 0)
	bad("header-flags", "every bit", "wire_flags", 6, 0xff, 0xff)
	bad("header-codec", "codec 0", "wire_codec", 8, 0)
	bad("header-codec", "codec 3", "wire_codec", 8, 3)
	bad("header-codec", "codec 255", "wire_codec", 8, 255)
	bad("header-codebook", "hash algorithm 0", "wire_codebook", 9, 0)
	bad("header-codebook", "hash algorithm 2", "wire_codebook", 9, 2)
	bad("header-codebook", "the first byte of the id", "wire_codebook", 10, 0x7f)
	bad("header-codebook", "the last byte of the id", "wire_codebook", 41, 0x7b)
	s.invalidAt("header-codebook", "wire.parse", "another codebook", in{"hex": good.with(10, digest("codebook")...).bytes()}, "wire_codebook", 9)
	order := func(doc, code string, p packet, at int) {
		s.invalidAt("header-order", "wire.parse", doc, in{"hex": p.bytes()}, code, at, "precedence")
	}
	order("magic before version", "wire_magic", good.with(0, 'N').with(5, 9), 0)
	order("version before flags", "wire_version", good.with(5, 9).with(7, 1), 4)
	order("flags before codec", "wire_flags", good.with(7, 1).with(8, 9), 6)
	order("codec before codebook", "wire_codec", good.with(8, 9).with(9, 9), 8)
	s.invalidAt("header-order", "wire.parse", "codebook before the sigblock's length", in{"hex": good.with(9, 9).header}, "wire_codebook", 9, "precedence")
	s.invalidAt("header-order", "wire.parse", "a header that is cut before its version", in{"hex": good.with(5, 9).header[:41]}, "wire_truncated", 41, "precedence")
}

// packetParts are packets whose lengths or values are wrong.
func packetParts(s *suite, a signer) {
	good := newPacket(x("08 00")).signed(a)
	h, block, n := good.header, rawL(good.entries...), 42+1+120
	tail := func(parts ...[]byte) []byte { return join(append([][]byte{h}, parts...)...) }
	bad := func(what, doc, code string, raw []byte, at int) {
		s.invalidAt(what, "wire.parse", doc, in{"hex": raw}, code, at)
	}
	bad("sigblock-length", "one byte more than there is", "wire_sigblock_length", tail(x("03 07 00")), 42)
	bad("sigblock-length", "2^63 bytes", "wire_sigblock_length", tail(x("80 80 80 80 80 80 80 80 80 01 07 00")), 42)
	bad("sigblock-length", "2^64-1 bytes", "wire_sigblock_length", tail(x("ff ff ff ff ff ff ff ff ff 01 07 00")), 42)
	bad("sigblock-length", "nothing behind the length", "wire_sigblock_length", tail(x("02")), 42)
	bad("length-varint", "the sigblock's length is not minimal", "can_varint", tail(x("82 00 07 00 02 08 00")), 42)
	bad("length-varint", "the sigblock's length has more than 64 bits", "can_overflow", tail(x("ff ff ff ff ff ff ff ff ff 02")), 42)
	bad("length-varint", "the sigblock's length is cut", "can_truncated", tail(x("80")), 42)
	bad("length-varint", "the payload's length is not minimal", "can_varint", tail(x("02 07 00 82 00 08 00")), 45)
	bad("length-varint", "the payload's length is cut", "can_truncated", tail(x("02 07 00 80")), 45)
	bad("length-varint", "no payload length", "can_truncated", tail(x("02 07 00")), 45)
	bad("payload-length", "one byte more than there is", "wire_payload_length", tail(x("02 07 00 03 08 00")), 45)
	bad("payload-length", "one byte more, behind a signature", "wire_payload_length", tail(sized(block), x("03 08 00")), n)
	bad("payload-length", "2^64-1 bytes", "wire_payload_length", tail(x("02 07 00 ff ff ff ff ff ff ff ff ff 01 08 00")), 45)
	bad("payload-length", "nothing behind the length", "wire_payload_length", tail(x("02 07 00 02")), 45)
	bad("trailing", "a byte after the payload", "wire_trailing", join(good.bytes(), []byte{0}), len(good.bytes()))
	bad("trailing", "a second packet", "wire_trailing", join(good.bytes(), good.bytes()), len(good.bytes()))
	bad("trailing", "the payload's length is a byte too small", "wire_trailing", tail(x("02 07 00 01 08 00")), 47)
	for _, c := range []struct {
		doc, digits, code string
		at                int
	}{
		{"no bytes", "", "can_truncated", 0},
		{"two values", "00 00", "can_trailing", 1},
		{"an unknown tag", "09", "can_tag", 0},
		{"a varint that is not minimal", "07 01 03 80 00", "can_varint", 2},
		{"a MAP out of order", "08 02 03 02 00 03 01 00", "can_key_order", 5},
		{"a TEXT that is not UTF-8", "06 01 ff", "can_utf8", 0},
		{"a LIST that is cut", "07 02 00", "can_bounds", 0},
	} {
		p := newPacket(x(c.digits))
		bad("payload-value", c.doc, c.code, p.bytes(), 46+c.at)
	}
	bad("payload-value", "33 containers, one too many", "can_depth", newPacket(lists(32, x("07 00"))).bytes(), 46+64)
}

// packetEntries are sigblocks that are no list of entries.
func packetEntries(s *suite, a signer) {
	p := newPacket(x("08 00"))
	good := sigEntry(a.agent(), 1, a.sign(p.digest()))
	bad := func(doc, code string, sigblock []byte, at int) {
		s.invalidAt("sigblock-value", "wire.parse", doc, in{"hex": p.around(sigblock)}, code, 43+at)
	}
	bad("no value", "can_truncated", nil, 0)
	bad("NULL", "can_type", x("00"), 0)
	bad("a MAP", "can_type", x("08 00"), 0)
	bad("two values", "can_trailing", x("07 00 07 00"), 2)
	bad("one entry is announced and none is there", "can_bounds", x("07 01"), 0)
	bad("an entry without a list", "can_type", good, 0)
	bad("an entry that is a LIST", "can_type", x("07 01 07 00"), 2)
	bad("a byte after the last entry", "can_trailing", join(rawL(good), []byte{0}), 2+len(good))
	bad("more entries are announced than there are bytes for", "can_bounds", x("07 ff ff ff ff 0f"), 0)
	field := func(doc, code string, at int, fields ...[]byte) {
		s.invalidAt("entry-value", "wire.parse", doc, in{"hex": p.around(rawL(rawM(fields...)))}, code, 45+at)
	}
	sig := rawB(a.sign(p.digest()))
	n := len(a.agent())
	field("no signer", "can_missing", 2, rawF(2, rawU(1)), rawF(3, sig))
	field("no algorithm", "can_missing", 4+n, rawF(1, a.agent()), rawF(3, sig))
	field("no signature", "can_missing", 4+n+4, rawF(1, a.agent()), rawF(2, rawU(1)))
	field("algorithm 256", "can_range", 4+n+2, rawF(1, a.agent()), rawF(2, rawU(256)), rawF(3, sig))
	field("the signature as TEXT", "can_type", 4+n+6, rawF(1, a.agent()), rawF(2, rawU(1)), rawF(3, rawT("signature")))
	field("a signer with a field more, which is closed", "can_unknown_field", 4+n, rawF(1, rawM(rawF(1, rawU(1)), rawF(2, rawB(a.public)), rawF(4, rawU(0)))), rawF(2, rawU(1)), rawF(3, sig))
	field("a signer with an empty hint", "can_empty", 4+n+2, rawF(1, rawM(rawF(1, rawU(1)), rawF(2, rawB(a.public)), rawF(3, rawT("")))), rawF(2, rawU(1)), rawF(3, sig))
	field("a signer whose key has 31 bytes", "can_length", 4+8, rawF(1, rawM(rawF(1, rawU(1)), rawF(2, rawB(a.public[:31])))), rawF(2, rawU(1)), rawF(3, sig))
}

// packetSigners are packets that lack a signature which their recipient needs.
func packetSigners(s *suite, a, b, c signer) {
	good := newPacket(x("08 00")).signed(a).signed(b)
	need := func(p packet, keys ...signer) in {
		var ids []string
		for _, k := range keys {
			ids = append(ids, hashText(k.keyID()))
		}
		return in{"hex": p.bytes(), "need": ids}
	}
	ok := func(doc string, p packet, keys ...signer) {
		s.valid("need", "wire.parse", doc, need(p, keys...), out{"digest": hashText(p.digest())}, "several-signers")
	}
	ok("the first of two signers", good, a)
	ok("both signers", good, b, a)
	ok("one signer twice", good, a, a)
	ok("an entry without a signature does not hide the one that has it", newPacket(x("08 00")).add(sigEntry(a.agent(), 1, nil)).signed(a), a)
	bad := func(what, doc string, p packet, keys ...signer) {
		s.invalid(what, "wire.parse", doc, need(p, keys...), "signature_invalid", "stripped")
	}
	plain := newPacket(x("08 00"))
	bad("need-missing", "nobody signed", plain, a)
	bad("need-missing", "another one signed", plain.signed(b), a)
	bad("need-missing", "one of three is not there", good, a, b, c)
	bad("need-unsigned", "the entry has no signature", plain.add(sigEntry(a.agent(), 1, nil)), a)
	bad("need-other-key", "the signature is by another key", plain.add(sigEntry(a.agent(), 1, b.sign(plain.digest()))), a)
	bad("need-other-key", "the entries' signers have changed places", plain.add(sigEntry(a.agent(), 1, b.sign(plain.digest()))).add(sigEntry(b.agent(), 1, a.sign(plain.digest()))), a)
	bad("need-scheme", "a signer of scheme 2 with the same key", plain.add(sigEntry(agent(2, a.public, ""), 1, a.sign(plain.digest()))), a)
	bad("need-alg", "signature algorithm 2", plain.add(sigEntry(a.agent(), 2, a.sign(plain.digest()))), a)
	bad("need-alg", "signature algorithm 0", plain.add(sigEntry(a.agent(), 0, a.sign(plain.digest()))), a)
	other := good
	other.payload = x("07 00")
	bad("payload-swapped", "another payload under the same signatures", other, a)
	other.payload = x("08 01 00 00")
	bad("payload-swapped", "a longer payload under the same signatures", other, b)
	bad("header-swapped", "another codec under the same signatures", good.with(8, 2), a)
	bare := func(msg []byte) packet { return plain.add(sigEntry(a.agent(), 1, a.sign(msg))) }
	bad("digest-other", "a signature of the payload's hash", bare(sum256(plain.payload)), a)
	bad("digest-other", "a signature of header and payload, not hashed", bare(join(plain.header, plain.payload)), a)
	bad("digest-other", "a signature of header, length and payload", bare(sum256(join(plain.header, sized(plain.payload)))), a)
	bad("digest-other", "a signature of the whole unsigned packet", bare(sum256(plain.bytes())), a)
	bad("digest-other", "a signature that covers the sigblock", bare(sum256(join(plain.header, sized(rawL()), sized(plain.payload)))), a)
	bad("digest-other", "a signature of the header alone", bare(sum256(plain.header)), a)
}
