package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// logSuite is the suite of logs: roots and proofs made by the definitions of RFC
// 6962, and checkpoints written by hand.
func logSuite(p *pack) {
	s := p.suite("tlog", "RFC-MYTHOS-0005", "Roots of append-only logs, proofs of inclusion and consistency, and signed checkpoints.")
	s.flag("boundary", "a number at which the shape of a tree changes, or the last one that is allowed")
	s.spec, s.level = "RFC-MYTHOS-0005 §10.1", 2
	logRoots(s)
	s.spec = "RFC-MYTHOS-0005 §10.3"
	logInclusions(s)
	logConsistencies(s)
	s.spec = "RFC-MYTHOS-0005 §10.2"
	g := &noteGen{s, newSigner("log"), newSigner("witness")}
	g.valid()
	g.unsigned()
	g.malformed()
	p.key(g.log)
	p.key(g.witness)
}

// logTree is the root over leaves as RFC 6962 section 2.1 defines it.
func logTree(leaves []cid.Hash) cid.Hash {
	switch len(leaves) {
	case 0:
		return cid.Sum(nil)
	case 1:
		return leaves[0]
	}
	k := logSplit(len(leaves))
	return logNode(logTree(leaves[:k]), logTree(leaves[k:]))
}

func logNode(l, r cid.Hash) cid.Hash { return cid.Sum(slices.Concat([]byte{1}, l[:], r[:])) }

func logSplit(n int) int {
	k := 1
	for 2*k < n {
		k *= 2
	}
	return k
}

// logPath is PATH(m, D[n]) of RFC 6962 section 2.1.1.
func logPath(m int, leaves []cid.Hash) []cid.Hash {
	if len(leaves) == 1 {
		return []cid.Hash{}
	}
	k := logSplit(len(leaves))
	if m < k {
		return append(logPath(m, leaves[:k]), logTree(leaves[k:]))
	}
	return append(logPath(m-k, leaves[k:]), logTree(leaves[:k]))
}

// logProof is SUBPROOF(m, D[n], b) of RFC 6962 section 2.1.2.
func logProof(m int, leaves []cid.Hash, b bool) []cid.Hash {
	switch {
	case m == len(leaves) && b:
		return []cid.Hash{}
	case m == len(leaves):
		return []cid.Hash{logTree(leaves)}
	}
	k := logSplit(len(leaves))
	if m <= k {
		return append(logProof(m, leaves[:k], b), logTree(leaves[k:]))
	}
	return append(logProof(m-k, leaves[k:], false), logTree(leaves[:k]))
}

// logSlug makes a mutation's name of what it does.
func logSlug(doc string) string {
	keep := func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r == ' ':
			return '-'
		}
		return -1
	}
	return strings.Map(keep, strings.ToLower(doc))
}

func logRoots(s *suite) {
	for _, n := range []uint64{0, 1, 2, 3, 4, 5, 7, 8} {
		leaves := append([]cid.Hash{}, listValues(n, "leaf")...)
		s.valid("root", "tlog.root", fmt.Sprintf("%d leaves", n), in{"values": leaves}, out{"root": logTree(leaves)})
	}
	for _, n := range []uint64{255, 256, 257, 1000, 65_536} {
		s.valid("root-large", "tlog.root", fmt.Sprintf("%d leaves", n), in{"formula": in{"count": dec(n), "seed": []byte("leaf")}},
			out{"root": logTree(listValues(n, "leaf"))}, "boundary")
	}
}

func logInclusions(s *suite) {
	ask := func(leaf cid.Hash, index, size int, root cid.Hash, hashes []cid.Hash) in {
		return in{"leaf": leaf, "index": dec(uint64(index)), "size": dec(uint64(size)), "root": root, "hashes": hashes}
	}
	all := listValues(40, "leaf")
	for _, c := range []struct{ index, size int }{{0, 1}, {0, 2}, {1, 2}, {2, 3}, {3, 7}, {6, 7}, {8, 9}, {15, 17}, {20, 33}, {32, 33}} {
		leaves := all[:c.size]
		root, path, leaf := logTree(leaves), logPath(c.index, leaves), all[c.index]
		what := fmt.Sprintf("leaf %d of %d", c.index, c.size)
		s.valid("inclusion", "tlog.inclusion", what, ask(leaf, c.index, c.size, root, path), out{})
		bad := func(doc, code string, input in) {
			s.invalid("inclusion-"+logSlug(doc), "tlog.inclusion", what+": "+doc, input, code)
		}
		bad("another leaf", "log_proof", ask(all[39], c.index, c.size, root, path))
		bad("a root of other leaves", "log_proof", ask(leaf, c.index, c.size, logTree(all[1:c.size+1]), path))
		bad("a hash left over", "log_proof", ask(leaf, c.index, c.size, root, append(slices.Clone(path), root)))
		bad("the index is the size", "log_range", ask(leaf, c.size, c.size, root, path))
		if len(path) == 0 {
			continue
		}
		bad("the last hash missing", "log_proof", ask(leaf, c.index, c.size, root, path[:len(path)-1]))
		flipped := slices.Clone(path)
		flipped[0][31] ^= 1
		bad("one bit of the first hash", "log_proof", ask(leaf, c.index, c.size, root, flipped))
		other := (c.index + 1) % c.size
		bad("the index of its neighbour", "log_proof", ask(leaf, other, c.size, root, path))
		if len(path) > 1 {
			turned := slices.Clone(path)
			slices.Reverse(turned)
			bad("the hashes turned round", "log_proof", ask(leaf, c.index, c.size, root, turned))
		}
	}
	s.invalid("inclusion-size", "tlog.inclusion", "a tree of no leaves", ask(all[0], 0, 0, cid.Sum(nil), []cid.Hash{}), "log_range", "boundary")
	huge := ask(all[0], 0, 0, all[1], []cid.Hash{})
	huge["size"] = dec(1 << 63)
	s.invalid("inclusion-size", "tlog.inclusion", "a tree larger than any", huge, "log_range", "boundary")
}

func logConsistencies(s *suite) {
	ask := func(from, to int, old, now cid.Hash, hashes []cid.Hash) in {
		return in{"from": dec(uint64(from)), "to": dec(uint64(to)), "old": old, "new": now, "hashes": hashes}
	}
	all := listValues(40, "leaf")
	for _, c := range []struct{ from, to int }{{1, 2}, {1, 3}, {2, 3}, {3, 4}, {6, 8}, {3, 7}, {8, 9}, {16, 33}, {17, 33}, {31, 33}} {
		old, now := logTree(all[:c.from]), logTree(all[:c.to])
		proof := logProof(c.from, all[:c.to], true)
		what := fmt.Sprintf("from %d to %d", c.from, c.to)
		s.valid("consistency", "tlog.consistency", what, ask(c.from, c.to, old, now, proof), out{})
		bad := func(doc, code string, input in) {
			s.invalid("consistency-"+logSlug(doc), "tlog.consistency", what+": "+doc, input, code)
		}
		other := logTree(all[1 : c.to+1])
		bad("another old root", "log_proof", ask(c.from, c.to, other, now, proof))
		bad("another new root", "log_proof", ask(c.from, c.to, old, other, proof))
		bad("no hashes", "log_proof", ask(c.from, c.to, old, now, []cid.Hash{}))
		bad("a hash left over", "log_proof", ask(c.from, c.to, old, now, append(slices.Clone(proof), now)))
		bad("the last hash missing", "log_proof", ask(c.from, c.to, old, now, proof[:len(proof)-1]))
		flipped := slices.Clone(proof)
		flipped[0][0] ^= 0x80
		bad("one bit of the first hash", "log_proof", ask(c.from, c.to, old, now, flipped))
		bad("the tree shrinks", "log_range", ask(c.to, c.from, now, old, proof))
	}
	empty, five := cid.Sum(nil), logTree(all[:5])
	s.valid("consistency", "tlog.consistency", "every log begins with the empty one", ask(0, 5, empty, five, []cid.Hash{}), out{}, "boundary")
	s.valid("consistency", "tlog.consistency", "equal sizes need no hash", ask(5, 5, five, five, []cid.Hash{}), out{}, "boundary")
	s.invalid("consistency-needless", "tlog.consistency", "equal sizes, a hash", ask(5, 5, five, five, all[:1]), "log_proof")
	s.invalid("consistency-needless", "tlog.consistency", "equal sizes, other roots", ask(5, 5, five, logTree(all[1:6]), []cid.Hash{}), "log_proof")
	s.invalid("consistency-needless", "tlog.consistency", "from no leaves, a hash", ask(0, 5, empty, five, all[:1]), "log_proof")
	s.invalid("consistency-needless", "tlog.consistency", "no leaves have another root", ask(0, 5, five, five, []cid.Hash{}), "log_proof")
}

// noteGen makes checkpoints.
type noteGen struct {
	*suite
	log, witness signer
}

const logOrigin = "mythos.run/ledger/0123456789abcdef0123456789abcdef"

func noteText(origin, size string, root cid.Hash, more ...string) string {
	lines := append([]string{origin, size, base64.StdEncoding.EncodeToString(root[:])}, more...)
	return strings.Join(lines, "\n") + "\n"
}

// keyID is the id of a key in signature lines.
func noteKeyID(name string, kind byte, k signer) []byte {
	return sum256(slices.Concat([]byte(name), []byte{'\n', kind}, k.public))[:4]
}

func noteLine(name string, id, signature []byte) string {
	return "\u2014 " + name + " " + base64.StdEncoding.EncodeToString(slices.Concat(id, signature)) + "\n"
}

// signed is a text with the log's signature.
func (g *noteGen) signed(text, name string) string {
	return text + "\n" + noteLine(name, noteKeyID(name, 1, g.log), g.log.sign([]byte(text)))
}

// cosigned is a witness's line.
func (g *noteGen) cosigned(text, name string, seconds uint64) string {
	msg := fmt.Sprintf("cosignature/v1\ntime %d\n%s", seconds, text)
	return noteLine(name, noteKeyID(name, 4, g.witness), slices.Concat(binary.BigEndian.AppendUint64(nil, seconds), g.witness.sign([]byte(msg))))
}

func (g *noteGen) witnessKey(name string) string {
	material := base64.StdEncoding.EncodeToString(slices.Concat([]byte{4}, g.witness.public))
	return fmt.Sprintf("%s+%x+%s", name, noteKeyID(name, 4, g.witness), material)
}

func (g *noteGen) ask(note string, witnesses ...string) in {
	input := in{"checkpoint": []byte(note), "keys": []string{fmt.Sprintf("%x", g.log.public)}}
	if len(witnesses) > 0 {
		input["witnesses"] = witnesses
	}
	return input
}

func (g *noteGen) good(doc, note string, size string, root cid.Hash, origin string, cosignatures []in, witnesses ...string) {
	g.suite.valid("checkpoint", "tlog.checkpoint", doc, g.ask(note, witnesses...), out{"origin": origin, "size": size, "root": root, "cosignatures": cosignatures})
}

func (g *noteGen) valid() {
	root, none := h("root"), []in{}
	for _, size := range []string{"0", "1", "42", "9223372036854775807"} {
		g.good(size+" entries", g.signed(noteText(logOrigin, size, root), logOrigin), size, root, logOrigin, none)
	}
	text := noteText(logOrigin, "42", root)
	note := g.signed(text, logOrigin)
	g.good("an origin of other letters", g.signed(noteText("log.example/\u00e9", "7", root), "log.example/\u00e9"), "7", root, "log.example/\u00e9", none)
	g.good("extension lines", g.signed(noteText(logOrigin, "42", root, "more", "and more"), logOrigin), "42", root, logOrigin, none)
	stranger := noteLine("somebody.example", []byte{1, 2, 3, 4}, []byte("any bytes"))
	g.good("a signature of an unknown key is ignored", note+stranger, "42", root, logOrigin, none)
	g.good("so is one of a known name and another id", note+noteLine(logOrigin, []byte{1, 2, 3, 4}, make([]byte, 64)), "42", root, logOrigin, none)
	const w = "witness.example/w1"
	line := g.cosigned(text, w, 1_700_000_000)
	g.good("a witness that is not known", note+line, "42", root, logOrigin, none)
	g.good("a witness that is known", note+line, "42", root, logOrigin, []in{{"witness": g.witnessKey(w), "seconds": "1700000000"}}, g.witnessKey(w))
	g.good("a witness before the log", text+"\n"+line+note[len(text)+1:], "42", root, logOrigin, []in{{"witness": g.witnessKey(w), "seconds": "1700000000"}}, g.witnessKey(w))
}

func (g *noteGen) refused(doc, note, code string, witnesses ...string) {
	g.suite.invalid("checkpoint-"+logSlug(doc), "tlog.checkpoint", doc, g.ask(note, witnesses...), code)
}

func (g *noteGen) unsigned() {
	root := h("root")
	text := noteText(logOrigin, "42", root)
	note := g.signed(text, logOrigin)
	const w = "witness.example/w1"
	key := g.witnessKey(w)
	g.refused("a text that was changed", strings.Replace(note, "\n42\n", "\n43\n", 1), "checkpoint_signature")
	g.refused("an extension line that was added", strings.Replace(note, "\n\n", "\nmore\n\n", 1), "checkpoint_signature")
	g.refused("signed under another name than the origin", g.signed(text, "mythos.run/ledger/x"), "checkpoint_signer")
	g.refused("only a stranger's signature", text+"\n"+noteLine(logOrigin, noteKeyID(logOrigin, 1, g.witness), g.witness.sign([]byte(text))), "checkpoint_signer")
	g.refused("only a witness's", text+"\n"+g.cosigned(text, w, 5), "checkpoint_signer", key)
	line := noteLine(logOrigin, noteKeyID(logOrigin, 1, g.log), make([]byte, 64))
	g.refused("zeros for the signature", text+"\n"+line, "checkpoint_signature")
	g.refused("one byte too many", text+"\n"+noteLine(logOrigin, noteKeyID(logOrigin, 1, g.log), append(g.log.sign([]byte(text)), 0)), "checkpoint_signature")
	g.refused("a good one and a bad one of the same key", note+line, "checkpoint_signature")
	other := noteText(logOrigin, "43", root)
	g.refused("a cosignature of another checkpoint", note+g.cosigned(other, w, 5), "checkpoint_signature", key)
	bad := slices.Concat(binary.BigEndian.AppendUint64(nil, 6), g.witness.sign([]byte("cosignature/v1\ntime 5\n"+text)))
	g.refused("a cosignature of another time", note+noteLine(w, noteKeyID(w, 4, g.witness), bad), "checkpoint_signature", key)
	g.refused("a cosignature without its time", note+noteLine(w, noteKeyID(w, 4, g.witness), bad[8:]), "checkpoint_signature", key)
	g.refused("a witness key of another id", note, "checkpoint_key", strings.Replace(key, "+", "x+", 1))
	g.refused("a time of 2^63", note+g.cosigned(text, w, 1<<63), "checkpoint_signature", key)
}

func (g *noteGen) malformed() {
	root := h("root")
	note := g.signed(noteText(logOrigin, "42", root), logOrigin)
	swap := func(doc, old, with string) {
		g.refused(doc, strings.Replace(note, old, with, 1), "checkpoint_format")
	}
	swap("no empty line", "\n\n", "\n")
	swap("two empty lines", "\n\n", "\n\n\n")
	swap("a leading zero", "\n42\n", "\n042\n")
	swap("a sign", "\n42\n", "\n+42\n")
	swap("a negative size", "\n42\n", "\n-42\n")
	swap("a size of 2^63", "\n42\n", "\n9223372036854775808\n")
	swap("a space before the size", "\n42\n", "\n 42\n")
	swap("no size", "\n42\n", "\n")
	swap("an empty origin", logOrigin+"\n42", "\n42")
	swap("an origin of 256 bytes", logOrigin+"\n42", strings.Repeat("o", 256)+"\n42")
	swap("a hyphen for the dash", "\u2014", "-")
	swap("no name", "\u2014 "+logOrigin+" ", "\u2014 ")
	swap("a plus in the name", "\u2014 "+logOrigin, "\u2014 a+b")
	swap("a tab", "\n42\n", "\n42\t\n")
	swap("not UTF-8", "mythos", "\xffythos")
	text := base64.StdEncoding.EncodeToString(root[:])
	swap("a root of 31 bytes", text, base64.StdEncoding.EncodeToString(root[:31]))
	swap("a root without padding", text, strings.TrimRight(text, "="))
	swap("a root in base64 for URLs", text, base64.URLEncoding.EncodeToString(slices.Concat([]byte{0xfb, 0xff}, root[2:])))
	swap("a signature of four bytes", note[strings.Index(note, "\u2014"):], "\u2014 "+logOrigin+" AAAAAA==\n")
	g.refused("CRLF", strings.ReplaceAll(note, "\n", "\r\n"), "checkpoint_format")
	g.refused("no last line end", strings.TrimSuffix(note, "\n"), "checkpoint_format")
	g.refused("no signature", note[:strings.Index(note, "\u2014")], "checkpoint_format")
	g.refused("a line after", note+"more\n", "checkpoint_format")
	g.refused("nothing", "", "checkpoint_format")
	g.refused("65 signatures", note+strings.Repeat(noteLine("a", []byte{0, 0, 0, 1}, []byte{1}), 64), "checkpoint_format")
}
