package main

import (
	"fmt"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// Kinds of entries, retry classes, outcomes and reasons of RFC-MYTHOS-0005.
const (
	kindRegister, kindCommit, kindMark, kindResolution = 1, 2, 3, 4

	retryNever, retryIdempotent, retryPure, retryReconcile = 0, 1, 2, 3

	wasCommitted, wasNotInvoked, wasInDoubt = 1, 2, 3

	reasonRequest, reasonResponse, reasonCommits = 1, 2, 3
)

// effect makes the entries of one idempotency id.
type effect struct {
	tool, idem, request []byte // digests
	key                 []byte
	retry               uint64
	owner               signer
}

// newEffect is an effect whose first registers alice owns.
func newEffect(name string, retry uint64) effect {
	tool, key := digest("tool"), []byte(name)
	return effect{tool, sum256(join(tool, key)), digest("request"), key, retry, newSigner("alice")}
}

func (e effect) ownedBy(k signer) effect {
	e.owner = k
	return e
}

func (e effect) asking(request string) effect {
	e.request = digest(request)
	return e
}

func (e effect) class(retry uint64) effect {
	e.retry = retry
	return e
}

// ledgerEntry is a signed entry of the ledger.
type ledgerEntry struct {
	kind   int
	fields []field
	at     place
	owner  signer
}

func (x ledgerEntry) bytes() []byte { return encode(x.fields) }

// id is the register_id, commit_id or id of the mark or resolution.
func (x ledgerEntry) id() []byte { return idOf(x.at, x.fields) }

// changed is the entry with another field, signed again.
func (x ledgerEntry) changed(num uint8, raw []byte) ledgerEntry {
	x.fields = signedFields(x.at, with(x.fields, num, raw), x.owner, "")
	return x
}

// forged is the entry with a bit of its signature changed.
func (x ledgerEntry) forged() ledgerEntry {
	var keyID []byte
	if x.at.by == 0 {
		keyID = x.owner.keyID()
	}
	x.fields = with(x.fields, x.at.sig, signature(1, keyID, flipped(x.owner.sign(x.id()), 9)))
	return x
}

// view is the entry as ledger.fold takes it.
func (x ledgerEntry) view() any { return in{"kind": x.kind, "hex": x.bytes()} }

// register is the register after others.
func (e effect) register(before ...ledgerEntry) ledgerEntry {
	fields := []field{
		{1, hashOf(e.idem)},
		{2, hashOf(e.tool)},
		{3, hashOf(e.request)},
		{4, rawB(e.key)},
		{6, rawTime(newYear + 10_000_000)},
		{7, rawTime(newYear)},
		{9, rawU(uint64(len(before)))},
		{11, rawU(e.retry)},
	}
	if len(before) > 0 {
		fields = with(fields, 10, hashOf(before[len(before)-1].id()))
	}
	at := place{0, 5, 8}
	return ledgerEntry{kindRegister, signedFields(at, fields, e.owner, ""), at, e.owner}
}

// receipt is the receipt of a response.
func (e effect) receipt(response string) []field {
	at := receiptPlace()
	return signedFields(at, []field{
		{2, hashOf(e.tool)},
		{3, hashOf(e.request)},
		{4, hashOf(digest(response))},
		{5, rawB(e.key)},
		{7, rawTime(newYear)},
		{8, rawU(200)},
	}, e.owner, "")
}

func (e effect) receiptID(response string) []byte { return idOf(receiptPlace(), e.receipt(response)) }

// commit is the commit of a register with a response.
func (e effect) commit(register ledgerEntry, response string) ledgerEntry {
	at := place{0, 0, 8}
	return ledgerEntry{kindCommit, signedFields(at, []field{
		{1, hashOf(e.idem)},
		{2, hashOf(e.tool)},
		{3, hashOf(e.request)},
		{4, hashOf(digest(response))},
		{5, hashOf(e.receiptID(response))},
		{6, rawU(200)},
		{7, rawTime(newYear)},
		{9, hashOf(register.id())},
	}, e.owner, ""), at, e.owner}
}

// mark is a divergence mark.
func (e effect) mark(reason uint64, evidence ...[]byte) ledgerEntry {
	var hashes [][]byte
	for _, d := range evidence {
		hashes = append(hashes, hashOf(d))
	}
	at := place{0, 0, 6}
	return ledgerEntry{kindMark, signedFields(at, []field{
		{1, hashOf(e.idem)},
		{2, hashOf(e.tool)},
		{3, rawU(reason)},
		{4, rawL(hashes...)},
		{5, rawTime(newYear)},
	}, e.owner, ""), at, e.owner}
}

// resolution is a resolution of a register by the effect's owner.
func (e effect) resolution(register ledgerEntry, outcome uint64) ledgerEntry {
	at := place{1, 8, 10}
	return ledgerEntry{kindResolution, signedFields(at, []field{
		{2, rawT("mythos.ledger.resolution")},
		{3, hashOf(e.idem)},
		{4, hashOf(register.id())},
		{5, rawU(outcome)},
		{7, rawT("because")},
		{9, rawTime(newYear)},
	}, e.owner, ""), at, e.owner}
}

// probed is a resolution that names the receipt of a probe.
func (e effect) probed(register ledgerEntry, outcome uint64, receipt []byte) ledgerEntry {
	at := place{1, 8, 10}
	return ledgerEntry{kindResolution, signedFields(at, []field{
		{2, rawT("mythos.ledger.resolution")},
		{3, hashOf(e.idem)},
		{4, hashOf(register.id())},
		{5, rawU(outcome)},
		{6, hashOf(receipt)},
		{7, rawT("probe")},
		{9, rawTime(newYear)},
	}, e.owner, ""), at, e.owner}
}

// opened is the state after a register that is accepted as number n, from 1 on.
func opened(e effect, register ledgerEntry, n int) out {
	return out{
		"phase": "open", "attempt": n, "request_hash": hashText(e.request),
		"register_id": hashText(register.id()), "owner": hashText(e.owner.keyID()), "retry": int(e.retry),
	}
}

// stands is what a commit that stands adds to the state.
func (e effect) stands(response string) out {
	return out{"phase": "committed", "receipt_id": hashText(e.receiptID(response)), "response_hash": hashText(digest(response))}
}

// merged is a with the members of b; nil takes one away.
func merged(maps ...out) out {
	all := out{}
	for _, m := range maps {
		for k, v := range m {
			if v == nil {
				delete(all, k)
			} else {
				all[k] = v
			}
		}
	}
	return all
}

// ledgerSuite is the suite of the effect ledger.
func ledgerSuite(p *pack) {
	s := p.suite("ledger", "RFC-MYTHOS-0005", "The effect ledger: keys and leaves, the fold of entries, and scripts of what happens to a store.")
	s.flag("fencing", "an executor that wakes up after somebody else took over")
	s.flag("retry-class", "what a tool has promised decides about a second try")
	s.flag("superseded", "an entry that is kept as evidence and changes nothing")
	for _, k := range []signer{newSigner("alice"), newSigner("bob"), newSigner("carol"), exampleKey()} {
		p.key(k)
	}
	ledgerKeys(s)
	ledgerLeaves(s)
	runIDs(s)
	s.spec = "RFC-MYTHOS-0005 §3"
	folds(s)
	foldsAgain(s)
	foldsDiverge(s)
	foldRegisters(s)
	foldOthers(s)
	s.level = 2
	ringStates(s)
	s.spec = "RFC-MYTHOS-0005 §3"
	scripts(s)
}

// ledgerKeys are idempotency keys.
func ledgerKeys(s *suite) {
	s.spec = "RFC-MYTHOS-0005 §7"
	who := cid.Hash(x("4eeb5ddf96f5a9965e5c6e862ec2d2243b2d79d2d9730d453931b24f842d4cd9"))
	explicit := func(key []byte) in { return in{"authority": who, "holder": who, "explicit": key} }
	hand := func(authority, holder cid.Hash, key []byte, origin uint64) []byte {
		return rawM(rawF(1, rawH(authority)), rawF(2, rawB(key)), rawF(3, rawH(holder)), rawF(4, rawU(origin)))
	}
	s.valid("key-explicit", "ledger.key", "the worked example: order-1, 105 bytes", explicit([]byte("order-1")), out{"hex": orderKey()})
	s.valid("key-explicit", "ledger.key", "one byte", explicit([]byte{0}), out{"hex": hand(who, who, []byte{0}, 1)}, "boundary")
	long := []byte(strings.Repeat("k", 256))
	s.valid("key-explicit", "ledger.key", "256 bytes", explicit(long), out{"hex": hand(who, who, long, 1)}, "boundary")
	s.valid("key-explicit", "ledger.key", "authority and holder are not the same", in{"authority": who, "holder": h("x"), "explicit": []byte("k")},
		out{"hex": hand(who, h("x"), []byte("k"), 1)})
	s.invalid("key-length", "ledger.key", "no bytes", explicit([]byte{}), "idempotency_key", "boundary")
	s.invalid("key-length", "ledger.key", "257 bytes", explicit([]byte(strings.Repeat("k", 257))), "idempotency_key", "boundary")
	derived := func(ordinal uint64) in {
		return in{"authority": who, "holder": who, "derived": in{
			"run_id": "demo-run-1", "package_id": cid.Sum([]byte("package")), "bundle": cid.Sum([]byte("bundle")), "task_id": cid.Sum([]byte("task")), "ordinal": dec(ordinal),
		}}
	}
	s.valid("key-derived", "ledger.key", "the worked example: 130 bytes", derived(0),
		out{"hex": hand(who, who, x("5b7ba8a4ddc8e0d28ac9cb6b7db4c4f12882f761dd712dd7fcf3f4cc4fe55a6e"), 2)})
	for _, n := range []uint64{1, 1<<64 - 1} {
		pre := rawM(rawF(1, rawT("mythos.effect.key")), rawF(2, rawT("demo-run-1")), rawF(3, rawH(cid.Sum([]byte("package")))),
			rawF(4, rawH(cid.Sum([]byte("bundle")))), rawF(5, rawH(cid.Sum([]byte("task")))), rawF(6, rawU(n)))
		s.valid("key-derived", "ledger.key", "ordinal "+dec(n), derived(n), out{"hex": hand(who, who, sum256(pre), 2)})
	}
	s.valid("key-idem", "idem.id", "the idempotency id of the explicit key for demo/echo",
		in{"tool_id": "sha256:4927203fda6a2dfdedfc270963ad1872d7a0da7de72b49ff47b426a2e75df14b", "key": orderKey()}, out{"hash": "sha256:" + orderIdem})
}

// exampleRegister is the worked example of RFC-MYTHOS-0005 §2.
func exampleRegister() ledgerEntry {
	at := place{0, 5, 8}
	k := exampleKey()
	return ledgerEntry{kindRegister, signedFields(at, []field{
		{1, x("08 02 03 01 03 01 03 02 05 20" + orderIdem)},
		{2, x("08 02 03 01 03 01 03 02 05 20 4927203fda6a2dfdedfc270963ad1872d7a0da7de72b49ff47b426a2e75df14b")},
		{3, x("08 02 03 01 03 01 03 02 05 20 80321984a6e1912035eb05393bd97c42190975f7888046de67fb613f4be2da9c")},
		{4, rawB(orderKey())},
		{6, rawTime(newYear + 40_000_000)},
		{7, rawTime(newYear)},
		{9, rawU(0)},
		{11, rawU(0)},
	}, k, ""), at, k}
}

// exampleCommit is the commit of exampleRegister.
func exampleCommit() ledgerEntry {
	at := place{0, 0, 8}
	k := exampleKey()
	return ledgerEntry{kindCommit, signedFields(at, []field{
		{1, x("08 02 03 01 03 01 03 02 05 20" + orderIdem)},
		{2, x("08 02 03 01 03 01 03 02 05 20 4927203fda6a2dfdedfc270963ad1872d7a0da7de72b49ff47b426a2e75df14b")},
		{3, x("08 02 03 01 03 01 03 02 05 20 80321984a6e1912035eb05393bd97c42190975f7888046de67fb613f4be2da9c")},
		{4, x("08 02 03 01 03 01 03 02 05 20 19d79c55ad61aacdaff3e42b5ac5b6409bf8fe51ddf625f59283d44e13e14c52")},
		{5, x("08 02 03 01 03 01 03 02 05 20 f9377bb05c74b49d3594d50a2c6d7bac9f7b66d1a673e5c093778ce3c1467893")},
		{6, rawU(200)},
		{7, rawTime(newYear + 1500)},
		{9, hashOf(exampleRegister().id())},
	}, k, ""), at, k}
}

// ledgerLeaves are leaf hashes and the entries that the specification prints.
func ledgerLeaves(s *suite) {
	s.spec = "RFC-MYTHOS-0005 §2"
	r, c := exampleRegister(), exampleCommit()
	k := exampleKey()
	s.valid("example", "object.open", "the worked example's register: 393 bytes", in{"type": "EffectRegister", "hex": r.bytes()},
		out{"id": "sha256:2b60443ab78d0a0513c29d088017b2e19adfa1b2773ebeae974b21d6f8b2c4a9", "signer": hashText(k.keyID())})
	s.valid("example", "object.open", "the worked example's commit: 402 bytes", in{"type": "EffectCommit", "hex": c.bytes(), "by": k.agent()},
		out{"id": "sha256:bda551678683d1f90f8fbc305b94150b3a26e4c43366ce91821ee6290368b73e", "signer": hashText(k.keyID())})
	leaf := func(doc string, index uint64, kind int, body []byte, hash string) {
		s.valid("leaf", "ledger.leaf", doc, in{"index": dec(index), "kind": kind, "hex": body}, out{"hash": "sha256:" + hash})
	}
	leaf("entry 0 of the worked example", 0, 1, r.bytes(), "8949165b95658551db08af7070065cdc265a8f18f719dc7aa27bd36df2bfe723")
	leaf("entry 1 of the worked example", 1, 2, c.bytes(), "3fdf77d2ac7ebc9f37da84d6b2fc7188cd23a3c31e84695ad04bb287749039a6")
	for _, c := range []struct {
		index uint64
		kind  int
	}{{0, 0}, {1, 1}, {1<<64 - 1, 255}} {
		raw := rawM(rawF(1, rawT("mythos.ledger.entry")), rawF(2, rawU(c.index)), rawF(3, rawU(uint64(c.kind))), rawF(4, rawB([]byte("body"))))
		leaf(fmt.Sprintf("index %d, kind %d: nothing is checked", c.index, c.kind), c.index, c.kind, []byte("body"), fmt.Sprintf("%x", sum256(join([]byte{0}, raw))))
	}
}

// runIDs are run ids.
func runIDs(s *suite) {
	s.spec = "RFC-MYTHOS-0005 §8"
	for _, id := range []string{"a", "Z", "0", "demo-run-1", "a.b_c:d-E9", "azAZ09", strings.Repeat("r", 128)} {
		s.valid("run-id", "ledger.runid", fmt.Sprintf("%d characters", len(id)), in{"text": id}, out{})
	}
	for _, c := range [][2]string{
		{"nothing", ""},
		{"129 characters", strings.Repeat("r", 129)},
		{"a space", "a b"},
		{"a slash", "a/b"},
		{"a letter that is not ASCII", "é"},
		{"a newline at the end", "a\n"},
		{"a NUL", "\x00"},
		{"an at sign, the byte before A", "@"},
		{"a bracket, the byte after Z", "["},
		{"a brace, the byte after z", "{"},
	} {
		s.invalid("run-id-form", "ledger.runid", c[0], in{"text": c[1]}, "run_id")
	}
	s.invalid("run-id-byte", "ledger.runid", "a grave accent, the byte before a", in{"text": "`"}, "run_id")
	s.invalid("run-id-byte", "ledger.runid", "a semicolon, the byte after the colon", in{"text": ";"}, "run_id")
	s.invalid("run-id-byte", "ledger.runid", "a comma", in{"text": ","}, "run_id")
}
