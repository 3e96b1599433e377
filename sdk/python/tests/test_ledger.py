"""Receipts, ledger entries and the state of an id: RFC-MYTHOS-0005."""

from __future__ import annotations

from typing import Any

from mythos import abi, cid, ledger, merkle, receipt, run, sig, structs
from mythos.cid import ZERO, Hash
from mythos.ledger import State
from mythos.structs import AgentID, DerivedKey, DivergenceMark, EffectCommit, EffectRegister, LedgerResolution, Receipt, RunSeal

from .support import Case, digest, key, named

OWNER, OTHER, OPERATOR = key(42), key(1), key(3)
TOOL = digest("4927203fda6a2dfdedfc270963ad1872d7a0da7de72b49ff47b426a2e75df14b")
AUTHORITY = sig.key_id(key(7).agent)
KEY = ledger.explicit_key(AUTHORITY, AUTHORITY, b"order-1")
IDEM = digest("26d6fe3fb92372fb38fc380f9df8f5b44bfa536854fcf027b84b183e042cf129")
REQUEST = digest("80321984a6e1912035eb05393bd97c42190975f7888046de67fb613f4be2da9c")
RESPONSE = digest("19d79c55ad61aacdaff3e42b5ac5b6409bf8fe51ddf625f59283d44e13e14c52")
T = 1767225600000000


def register(by: sig.Key = OWNER, **fields: Any) -> tuple[bytes, Hash]:
    given: dict[str, Any] = {
        "idem_id": IDEM, "tool_id": TOOL, "request_hash": REQUEST, "idempotency_key": KEY,
        "lease_expires_at": T + 40_000_000, "time_observed": T, "attempt": 0, "retry": 0,
    }  # fmt: skip
    return sig.sign(EffectRegister(**(given | fields)), by)


def commit(register_id: Hash | None, by: sig.Key = OWNER, **fields: Any) -> bytes:
    given: dict[str, Any] = {
        "idem_id": IDEM, "tool_id": TOOL, "request_hash": REQUEST, "response_hash": RESPONSE,
        "receipt_id": named("receipt"), "status": 200, "time_observed": T + 1500, "register_id": register_id,
    }  # fmt: skip
    return sig.sign(EffectCommit(**(given | fields)), by)[0]


def resolution(register_id: Hash, outcome: int, by: sig.Key = OPERATOR, **fields: Any) -> LedgerResolution:
    given: dict[str, Any] = {"idem_id": IDEM, "register_id": register_id, "outcome": outcome, "reason": "r", "time": T}
    x = LedgerResolution(**(given | fields))
    sig.sign(x, by)
    return x


def opened(**fields: Any) -> tuple[State, Hash]:
    """Return the state after one register."""
    raw, id = register(**fields)
    s = State()
    s.add_register(*ledger.open_register(raw))
    return s, id


class Published(Case):
    def test_explicit_key(self) -> None:
        self.assertEqual(len(KEY), 105)
        self.assertEqual(ledger.idem_id(TOOL, KEY), IDEM)
        for bad in (b"", bytes(257)):
            self.refused("idempotency_key", ledger.explicit_key, AUTHORITY, AUTHORITY, bad)

    def test_derived_key(self) -> None:
        x = DerivedKey(run_id="demo-run-1", package_id=named("package"), bundle=named("bundle"), task_id=named("task"), ordinal=0)
        self.assertEqual(len(x.encode()), 173)
        self.assertEqual(cid.sum(x.encode()), digest("5b7ba8a4ddc8e0d28ac9cb6b7db4c4f12882f761dd712dd7fcf3f4cc4fe55a6e"))
        got = ledger.derived_key(x, AUTHORITY, AUTHORITY)
        self.assertEqual(len(got), 130)
        self.assertEqual(ledger.idem_id(TOOL, got), digest("655197eddb580fef0909b865bf386a58e12e14d128a40f2b28db59dd0a56c961"))

    def test_entries(self) -> None:
        raw, id = register()
        self.assertEqual((len(raw), id), (393, digest("2b60443ab78d0a0513c29d088017b2e19adfa1b2773ebeae974b21d6f8b2c4a9")))
        leaf = ledger.leaf_hash(0, ledger.REGISTER, raw)
        self.assertEqual(leaf, digest("8949165b95658551db08af7070065cdc265a8f18f719dc7aa27bd36df2bfe723"))
        receipt_id = self.published_receipt()[1]
        body = commit(id, receipt_id=receipt_id)
        self.assertEqual(len(body), 402)
        self.assertEqual(
            ledger.decode_commit(body)[1], digest("bda551678683d1f90f8fbc305b94150b3a26e4c43366ce91821ee6290368b73e")
        )
        self.assertEqual(
            ledger.leaf_hash(1, ledger.COMMIT, body), digest("3fdf77d2ac7ebc9f37da84d6b2fc7188cd23a3c31e84695ad04bb287749039a6")
        )

    def published_receipt(self) -> tuple[bytes, Hash]:
        return sig.sign(
            Receipt(
                tool_id=TOOL, request_hash=REQUEST, response_hash=RESPONSE, idempotency_key=KEY, time_observed=T, status=200,
                evidence=[named("evidence")],
            ),
            key(42, "demo"),
        )  # fmt: skip

    def test_receipt(self) -> None:
        raw, id = self.published_receipt()
        self.assertEqual((len(raw), id), (477, digest("f9377bb05c74b49d3594d50a2c6d7bac9f7b66d1a673e5c093778ce3c1467893")))
        x, got = receipt.open(raw)
        self.assertEqual((got, x.signature.sig_bytes[:4].hex()), (id, "969fa8da"))
        request = structs.ToolRequest(tool_id=TOOL, payload=b"\x06\x05hello", idem_id=IDEM).encode()
        response = structs.ToolResponse(status=200, payload=b"\x06\x05hello").encode()
        receipt.check_content(x, request, response)
        self.refused("receipt_content", receipt.check_content, x, response, request)
        self.refused("receipt_content", receipt.check_content, x, request, abi.failure(500, "x"))


class Receipts(Case):
    def test_decode_is_not_open(self) -> None:
        x = Receipt(tool_id=TOOL, request_hash=REQUEST, response_hash=RESPONSE, idempotency_key=b"k", time_observed=1, status=200)
        _, id = sig.sign(x, OWNER)
        x.signature.sig_bytes = bytes(64)
        self.assertEqual(receipt.decode(x.encode())[1], id)
        self.refused("signature_invalid", receipt.open, x.encode())

    def test_claims(self) -> None:
        for claim, result, code in (
            (1, 1, ""),
            (2, 0, ""),
            (3, 10000, ""),
            (4, 1, ""),
            (0, 1, "x"),
            (5, 1, "x"),
            (1, 2, "x"),
            (3, 10001, "x"),
        ):
            x = structs.Attestation(subject_hash=TOOL, claim_type=claim, result=result, time_observed=1)
            raw, _ = sig.sign(x, OWNER)
            for call in (receipt.open_attestation, receipt.decode_attestation):
                if code:
                    self.refused("attestation_claim", call, raw)
                else:
                    call(raw)


class Fold(Case):
    def test_one_effect(self) -> None:
        s, id = opened()
        self.assertEqual((s.phase, s.attempt, s.register_id), (ledger.OPEN, 1, id))
        raw = commit(id)
        self.assertEqual(s.offer(raw), ledger.APPLIED)
        self.assertEqual(
            (s.phase, s.offer(raw), s.offer(commit(id, time_observed=1))), (ledger.COMMITTED, ledger.DROPPED, ledger.SUPERSEDED)
        )
        folded = ledger.fold([(ledger.REGISTER, register()[0]), (ledger.COMMIT, raw)])
        self.assertEqual((folded.phase, folded.commit_raw), (ledger.COMMITTED, raw))

    def test_registers_that_do_not_fit(self) -> None:
        s, id = opened()
        for fields, code in (
            ({"attempt": 0}, "ledger_entry"),
            ({"attempt": 1}, "ledger_entry"),
            ({"attempt": 1, "previous_register": named("x")}, "ledger_entry"),
            ({"previous_register": id}, "ledger_entry"),
            ({"attempt": 2, "previous_register": id}, "ledger_entry"),
            ({"attempt": 1, "previous_register": id, "request_hash": named("x")}, "idempotency_conflict"),
            ({"attempt": 1, "previous_register": id, "retry": 4}, "ledger_entry"),
            ({"attempt": 1, "previous_register": id, "idem_id": named("x")}, "ledger_entry"),
        ):
            raw, _ = register(**fields)
            self.refused(code, lambda: s.add_register(*sig.decode(EffectRegister, raw)))
            self.assertEqual(s.attempt, 1)
        s.add_register(*ledger.open_register(register(attempt=1, previous_register=id)[0]))
        self.assertEqual(s.attempt, 2)
        s.offer(commit(s.register_id))
        self.refused(
            "ledger_entry", lambda: s.add_register(*ledger.open_register(register(attempt=2, previous_register=s.register_id)[0]))
        )
        self.refused("ledger_entry", ledger.open_register, register(retry=4)[0])
        self.refused("ledger_entry", ledger.open_register, register(previous_register=ZERO)[0])
        self.refused("ledger_entry", ledger.open_register, register(attempt=1)[0])

    def test_commits_that_change_nothing(self) -> None:
        s, id = opened()
        for raw in (
            commit(None),
            commit(named("x")),
            commit(id, by=OTHER),
            commit(id, request_hash=named("x")),
            commit(id, tool_id=named("x")),
        ):
            self.assertEqual(s.offer(raw), ledger.SUPERSEDED)
            self.assertEqual(s.offer(raw), ledger.DROPPED)
        self.assertEqual(s.phase, ledger.OPEN)
        self.refused("ledger_entry", State().offer, commit(id))
        self.refused("ledger_entry", s.offer, commit(id, idem_id=named("x")))

    def test_fencing(self) -> None:
        s, first = opened(retry=1)
        s.add_register(*ledger.open_register(register(by=OTHER, retry=1, attempt=1, previous_register=first)[0]))
        self.assertEqual(s.offer(commit(first)), ledger.SUPERSEDED)  # fenced off
        self.assertEqual(s.phase, ledger.OPEN)
        self.assertEqual(s.offer(commit(s.register_id, by=OTHER, response_hash=named("other"))), ledger.APPLIED)

    def test_divergence(self) -> None:
        for retry, reason in ((0, ledger.REASON_COMMITS), (2, ledger.REASON_RESPONSE)):
            s, first = opened(retry=retry)
            if retry:
                s.add_register(*ledger.open_register(register(retry=retry, attempt=1, previous_register=first)[0]))
            s.offer(commit(first))
            self.assertEqual(s.offer(commit(s.register_id, response_hash=named("other"))), ledger.DIVERGED)
            assert s.contradiction is not None
            self.assertEqual((s.phase, s.contradiction.reason), (ledger.DIVERGENT, reason))
            self.refused("effect_divergent", s.decide, REQUEST, False, 2)
            self.refused("ledger_entry", s.add_resolution, resolution(s.register_id, 2, OWNER), False)
            s.add_resolution(resolution(s.register_id, 2), True)
            self.assertEqual(s.phase, ledger.FREE)

    def test_idempotent_retries_may_differ(self) -> None:
        s, first = opened(retry=1)
        s.add_register(*ledger.open_register(register(retry=1, attempt=1, previous_register=first)[0]))
        s.offer(commit(first))
        self.assertEqual(s.offer(commit(s.register_id, response_hash=named("other"))), ledger.APPLIED)

    def test_resolutions(self) -> None:
        for outcome, phase in ((1, ledger.SETTLED), (2, ledger.FREE), (3, ledger.DOUBT)):
            s, id = opened()
            s.add_resolution(resolution(id, outcome), True)
            self.assertEqual(s.phase, phase)
        s, id = opened()
        self.refused("ledger_entry", s.add_resolution, resolution(id, 1, OWNER), False)
        self.refused("ledger_entry", s.add_resolution, resolution(id, 2, OTHER), False)
        self.refused("ledger_entry", s.add_resolution, resolution(named("x"), 2), True)
        self.refused("ledger_entry", s.add_resolution, resolution(id, 2, idem_id=named("x")), True)
        self.refused("ledger_entry", s.add_resolution, resolution(id, 4), True)
        self.refused("ledger_entry", State().add_resolution, resolution(ZERO, 2, idem_id=ZERO), True)
        s.add_resolution(resolution(id, 2, OWNER), False)
        self.assertEqual(s.offer(commit(id)), ledger.APPLIED)  # it was invoked after all
        self.refused("ledger_entry", s.add_resolution, resolution(id, 2), True)

    def test_a_divergence_resolved_as_committed(self) -> None:
        s, id = opened()
        s.offer(commit(id))
        s.offer(commit(id, response_hash=named("other")))
        s.add_resolution(resolution(id, 1, receipt_id=named("receipt")), True)
        self.assertEqual(s.phase, ledger.COMMITTED)
        s, id = opened()
        s.offer(commit(id))
        s.offer(commit(id, response_hash=named("other")))
        s.add_resolution(resolution(id, 1, receipt_id=named("another")), True)
        self.assertEqual(s.phase, ledger.SETTLED)
        self.refused("effect_settled", s.decide, REQUEST, False, 0)

    def test_marks(self) -> None:
        s, id = opened()
        mark = DivergenceMark(idem_id=IDEM, tool_id=TOOL, reason_code=1, evidence=[id, named("x")], time_observed=T)
        raw, _ = sig.sign(mark, OWNER)
        x = ledger.decode_divergence(raw)
        self.assertEqual((s.add_divergence(x), s.add_divergence(x), s.phase), (ledger.SUPERSEDED, ledger.DROPPED, ledger.OPEN))
        mark.reason_code = 3
        self.assertEqual((s.add_divergence(mark), s.phase), (ledger.APPLIED, ledger.DIVERGENT))
        self.refused("ledger_entry", State().add_divergence, mark)
        mark.reason_code = 4
        self.refused("ledger_entry", ledger.decode_divergence, sig.sign(mark, OWNER)[0])

    def test_decisions(self) -> None:
        s = State()
        self.assertEqual(s.decide(REQUEST, False, 0), ledger.PROCEED)
        s, id = opened(retry=1)
        self.refused("idempotency_conflict", s.decide, named("x"), True, 1)
        self.assertEqual(s.decide(REQUEST, True, 0), ledger.WAIT)
        self.assertEqual([s.decide(REQUEST, False, r) for r in (1, 2)], [ledger.PROCEED] * 2)
        for r in (0, 3):
            self.refused("effect_in_doubt", s.decide, REQUEST, False, r)
        s.add_resolution(resolution(id, 3), True)
        self.assertEqual(s.decide(REQUEST, True, 1), ledger.PROCEED)
        s.offer(commit(id))
        self.assertEqual(s.decide(REQUEST, False, 0), ledger.REPLAY)
        self.refused("effect_in_doubt", opened(retry=0)[0].decide, REQUEST, False, 1)

    def test_damage(self) -> None:
        raw, id = register()
        for entries in (
            [(ledger.COMMIT, commit(id))],
            [(ledger.REGISTER, raw), (ledger.REGISTER, raw)],
            [(ledger.REGISTER, raw[:-1])],
            [(ledger.REGISTER, raw), (ledger.RUN_RECORD, raw)],
        ):
            self.refused("ledger_corrupt", ledger.fold, entries)

    def test_run_ids(self) -> None:
        for ok in ("a", "demo-run_1.2:3", "x" * 128):
            ledger.check_run_id(ok)
        for bad in ("", "x" * 129, "a b", "a/b", "\u00e9", "a\n"):
            self.refused("run_id", ledger.check_run_id, bad)


class Runs(Case):
    def seal(self, **fields: Any) -> bytes:
        given: dict[str, Any] = {
            "run_record": named("run"), "receipt_count": 0, "result_hash": named("result"), "fuel_used": 1, "io_used": 0,
            "state_writes": 0, "time": T,
        }  # fmt: skip
        return sig.sign(RunSeal(**(given | fields)), OWNER)[0]

    def test_seals(self) -> None:
        x, _ = run.open_seal(self.seal())
        run.check_receipts(x, [])
        self.refused("run_seal_receipts", run.check_receipts, x, [named("r")])
        ids = [named("a"), named("b")]
        x, _ = run.open_seal(self.seal(receipt_count=2, receipts_root=merkle.root(ids)))
        run.check_receipts(x, ids)
        self.refused("run_seal_receipts", run.check_receipts, x, ids[::-1])
        for fields in (
            {"receipt_count": 1},
            {"receipts_root": named("x")},
            {"result_hash": None},
            {"error_code": "trap"},
            {"result_hash": None, "error_code": "Trap!"},
        ):
            self.refused("run_seal", run.open_seal, self.seal(**fields))

    def test_records(self) -> None:
        def record(run_id: str) -> bytes:
            h = {n: named(n) for n in ("package_id", "manifest_cid", "bundle", "task_id", "inputs_hash", "authority", "holder")}
            x = structs.RunRecord(run_id=run_id, executor=AgentID(scheme=0, key=bytes(32)), time=T, **h)
            return sig.sign(x, OWNER)[0]

        self.assertEqual(run.open_record(record("r-1"))[0].executor, OWNER.agent)
        self.refused("run_id", run.open_record, record("r 1"))

    def test_evidence(self) -> None:
        h = {n: named(n) for n in ("package_id", "manifest_cid", "run_record", "register_id", "policy_id")}
        base: dict[str, Any] = {
            **h,
            "ordinal": 0,
            "module_kind": 1,
            "engine": "wazero",
            "sandbox_level": 4,
            "cap_ids": [],
            "checked_at": T,
        }

        def evidence(**fields: Any) -> bytes:
            return structs.EffectEvidence(**(base | {"module": named("m")} | fields)).encode()

        run.decode_effect(evidence(fuel_schedule=1, fuel_used=0))
        run.decode_effect(evidence(module_kind=0, module=None))
        for fields in (
            {"module": None},
            {"module_kind": 0},
            {"module_kind": 0, "module": None, "variant": "v"},
            {"engine": ""},
            {"fuel_used": 1},
        ):
            self.refused("effect_evidence", run.decode_effect, evidence(**fields))
