package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	canon "github.com/mythos-run/mythos/runtime/libs/can"
)

// hashText is the text form of a digest.
func hashText(digest []byte) string { return "sha256:" + hex.EncodeToString(digest) }

// agent is a canonical AgentID.
func agent(scheme byte, key []byte, hint string) []byte {
	fields := []field{{1, []byte{canon.Uint, scheme}}, {2, canon.AppendBytes(nil, key)}}
	if hint != "" {
		fields = append(fields, field{3, canon.AppendText(nil, hint)})
	}
	return encode(fields)
}

// hash is the suite of hashes and ids.
func hash(p *pack) {
	s := p.suite("hash", "RFC-MYTHOS-0001", "Hashes, their text form, and the ids that are made of objects, keys and calls.")
	s.flag("original-bytes", "an id is of the bytes that came, not of what was understood")
	hashSums(s)
	hashTexts(s)
	hashWithout(s)
	hashKeys(s)
	hashIdems(s)
}

func hashSums(s *suite) {
	s.spec = "RFC-MYTHOS-0001 §3.1"
	// FIPS 180-4's own examples, and both sides of SHA-256's block boundaries.
	known := map[string]string{
		"":    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq": "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
	}
	for _, text := range sorted(known) {
		s.valid("sum", "hash.sum", fmt.Sprintf("%d bytes, an example of FIPS 180-4", len(text)), in{"hex": []byte(text)}, out{"hash": "sha256:" + known[text]})
	}
	for _, n := range []int{55, 56, 63, 64, 65, 119, 120, 1000} {
		b := []byte(strings.Repeat("m", n))
		s.valid("sum", "hash.sum", fmt.Sprintf("%d bytes", n), in{"hex": b}, out{"hash": hashText(sum256(b))}, "edge")
	}
}

func hashTexts(s *suite) {
	d := digest("text")
	digits := hex.EncodeToString(d)
	s.valid("parse", "hash.parse", "the text form", in{"text": hashText(d)}, out{"hex": hashOf(d)})
	s.valid("parse", "hash.parse", "all zero", in{"text": hashText(make([]byte, 32))}, out{"hex": hashOf(make([]byte, 32))})
	for _, c := range [][2]string{
		{"nothing", ""},
		{"no prefix", digits},
		{"a prefix alone", "sha256:"},
		{"63 digits", "sha256:" + digits[1:]},
		{"65 digits", "sha256:0" + digits},
		{"capital digits", "sha256:" + strings.ToUpper(digits)},
		{"another algorithm", "sha512:" + digits},
		{"a capital prefix", "SHA256:" + digits},
		{"a letter that is no digit", "sha256:g" + digits[1:]},
		{"a space behind", "sha256:" + digits + " "},
	} {
		s.invalid("parse-form", "hash.parse", c[0], in{"text": c[1]}, "hash_text")
	}
	for _, c := range [][2]string{{"a space before", " sha256:" + digits}, {"a line feed behind", "sha256:" + digits + "\n"}, {"full-width digits", "sha256:\uff10" + digits[1:]}} {
		s.invalid("parse-space", "hash.parse", c[0], in{"text": c[1]}, "hash_text")
	}
}

func hashWithout(s *suite) {
	s.spec = "RFC-MYTHOS-0001 §3.2"
	fields := []field{{1, x("03 01")}, {2, x("06 01 61")}, {5, x("07 01 00")}, {100, extra()}, {127, x("00")}}
	for _, drop := range [][]uint8{{}, {1}, {127}, {2, 5}, {1, 11}, {3}, {1, 2, 5, 100, 127}} {
		nums := []any{}
		for _, n := range drop {
			nums = append(nums, n)
		}
		s.valid("without", "hash.without", fmt.Sprintf("a struct without the fields %v", drop),
			in{"hex": encode(fields), "fields": nums}, out{"hash": hashText(sum256(encode(without(fields, drop...))))}, "original-bytes")
	}
	many := []field{}
	for n := uint8(1); n <= 127; n++ {
		many = append(many, field{n, x("00")})
	}
	s.valid("without", "hash.without", "a struct of all 127 fields", in{"hex": encode(many), "fields": []any{1, 127}},
		out{"hash": hashText(sum256(encode(without(many, 1, 127))))}, "edge")
	bad := func(what, doc, digits, code string, at int) {
		s.invalidAt(what, "hash.without", doc, in{"hex": x(digits), "fields": []any{1}}, code, at)
	}
	bad("without-struct", "a LIST", "07 00", "can_type", 0)
	bad("without-struct", "nothing", "", "can_truncated", 0)
	bad("without-struct", "a TEXT key", "08 01 06 01 61 00", "can_field_number", 2)
	bad("without-struct", "field 0", "08 01 03 00 00", "can_field_number", 2)
	bad("without-struct", "field 128", "08 01 03 80 01 00", "can_field_number", 2)
	bad("without-struct", "a field twice", "08 02 03 01 00 03 01 00", "can_key_duplicate", 5)
	bad("without-struct", "fields out of order", "08 02 03 02 00 03 01 00", "can_key_order", 5)
	bad("without-struct", "bytes behind it", "08 01 03 01 00 00", "can_trailing", 5)
	bad("without-struct", "a dropped field that is not canonical", "08 01 03 01 03 80 00", "can_varint", 4)
	bad("without-struct", "a count beyond the end", "08 02 03 01 00", "can_bounds", 0)
}

func hashKeys(s *suite) {
	s.spec = "RFC-MYTHOS-0001 §4.2"
	key := digest("key")
	id := out{"hash": hashText(sum256(agent(1, key, "")))}
	s.valid("key", "key.id", "an agent", in{"agent": agent(1, key, "")}, id)
	s.valid("key", "key.id", "its hint does not count", in{"agent": agent(1, key, "TEST ONLY")}, id)
	s.valid("key", "key.id", "another scheme is another key", in{"agent": agent(2, key, "")}, out{"hash": hashText(sum256(agent(2, key, "")))})
	bad := func(doc string, raw []byte, code string, at int) {
		s.invalidAt("key-agent", "key.id", doc, in{"agent": raw}, code, at)
	}
	bad("a key of 31 bytes", agent(1, key[:31], ""), "can_length", 8)
	bad("a key of 33 bytes", agent(1, append(key[:32:32], 0), ""), "can_length", 8)
	bad("an empty hint", join(x("08 03"), agent(1, key, "")[2:], x("03 03 06 00")), "can_empty", 44)
	bad("an unknown field", join(x("08 03"), agent(1, key, "")[2:], x("03 04 00")), "can_unknown_field", 42)
	bad("no key", x("08 01 03 01 03 01"), "can_missing", 6)
	bad("bytes behind it", append(agent(1, key, ""), 0), "can_trailing", 42)
}

func hashIdems(s *suite) {
	s.spec = "RFC-MYTHOS-0005 §7"
	tool := digest("tool")
	for _, key := range [][]byte{{}, {0}, []byte("order-1"), digest("long")} {
		h := sha256.Sum256(join(tool, key))
		s.valid("idem", "idem.id", fmt.Sprintf("a key of %d bytes", len(key)), in{"tool_id": hashText(tool), "key": key}, out{"hash": hashText(h[:])})
	}
}
