"""Capability chains: RFC-MYTHOS-0008 §2 to §7."""

from __future__ import annotations

from typing import Any

from mythos import caps, sig, structs, value
from mythos.caps import Call, Chain, Denial, Mark, Use
from mythos.cid import ZERO, Hash
from mythos.structs import Capability, CapScope, RevocationList, ToolCallScope
from mythos.value import IVarint, Map, UVarint

from .support import Case, key, named

AUTHORITY, HOLDER, AGENT, EXECUTOR, STRANGER = (key(n) for n in (7, 8, 9, 10, 11))
OPENS, NOON, CLOSES = 1_000, 5_000, 9_000
H1, H2 = named("one"), named("two")


def number(n: int) -> bytes:
    return value.encode(UVarint(n))


def call(**fields: Any) -> Call:
    given: dict[str, Any] = {
        "tool": named("echo"), "package": named("package"), "module": named("module"), "request_hash": named("request"),
        "ledger": named("ledger"), "payload": value.encode(Map.of({"amount": UVarint(250), "to": "acme"})),
    }  # fmt: skip
    return Call(**(given | fields))


def use(**fields: Any) -> Use:
    scope = ToolCallScope(tool_id=named("echo"), max_calls=1).encode()
    given: dict[str, Any] = {
        "subject": EXECUTOR.agent, "now": NOON, "authority": lambda a: sig.same_agent(a, AUTHORITY.agent),
        "kind": 5, "scope": scope, "call": call(),
    }  # fmt: skip
    return Use(**(given | fields))


def tool_scope(max_calls: int = 10, **constraints: str) -> CapScope:
    return caps.scope_of(ToolCallScope(tool_id=named("echo"), max_calls=max_calls, constraints=constraints))


class Step:
    """One link to be signed."""

    def __init__(self, by: sig.Key, subject: sig.Key, scope: CapScope | None = None, **fields: Any) -> None:
        self.by = by
        self.parent: Hash | None | bool = True  # True: the link before
        given: dict[str, Any] = {
            "subject": subject.agent,
            "scope": scope or tool_scope(),
            "not_before": OPENS,
            "expires_at": CLOSES,
        }
        self.cap = Capability(**(given | {"delegable": True} | fields))


def three() -> list[Step]:
    """Return a root, a delegation and a leaf that hold together."""
    return [
        Step(AUTHORITY, HOLDER, tool_scope(10, ring_max="1")),
        Step(HOLDER, AGENT, tool_scope(8, ring_max="1", **dict([caps.arg("/amount", "le", number(500))]))),
        Step(AGENT, EXECUTOR, tool_scope(3, ring_max="0", **dict([caps.arg("/amount", "le", number(300))])), delegable=False),
    ]


def links(steps: list[Step]) -> list[bytes]:
    out: list[bytes] = []
    last: Hash | None = None
    for s in steps:
        s.cap.attenuation_parent = last if s.parent is True else s.parent or None
        raw, last = sig.sign(s.cap, s.by)
        out.append(raw)
    return out


def chain(steps: list[Step]) -> Chain:
    return caps.decode_proof(caps.encode_proof(links(steps)))


def one(scope: CapScope) -> Chain:
    """Return a root for the executor with a scope, as a proof."""
    return chain([Step(AUTHORITY, EXECUTOR, scope)])


class Chains(Case):
    def denied(self, code: str, link: int, rule: str, c: Chain, u: Use | None = None) -> Denial:
        e = self.refused(code, c.check, u or use())
        assert isinstance(e, Denial)
        self.assertEqual((e.link, e.rule), (link, rule), e)
        return e

    def test_grants(self) -> None:
        c = chain(three())
        g = c.check(use())
        self.assertEqual([s.max for s in g.spend], [10, 8, 3])
        self.assertEqual((g.cap_ids, [s.n for s in g.spend], g.lists), (c.cap_ids, [1, 1, 1], []))
        self.assertTrue(sig.same_agent(c.root, AUTHORITY.agent) and sig.same_agent(c.holder, AGENT.agent))

    def test_form(self) -> None:
        raw = links(three())
        self.refused("cap_chain_too_long", caps.decode_proof, caps.encode_proof([]))
        self.refused("cap_chain_too_long", caps.decode_proof, caps.encode_proof(raw * 3))
        self.refused("cap_chain_too_long", caps.decode_proof, bytes(16385))
        self.refused("can_type", caps.decode_proof, b"\x07\x01\x00", offset=2)
        self.refused("can_trailing", caps.decode_proof, caps.encode_proof(raw) + b"\0")
        self.refused("can_truncated", caps.decode_proof, caps.encode_proof([b""]), offset=0)
        self.refused("can_bounds", caps.decode_proof, caps.encode_proof([raw[0][:-1]]))
        self.refused("cap_kind_unknown", one, CapScope(kind=12, payload=b"\x08\x00"))
        self.refused("can_missing", one, CapScope(kind=5, payload=b"\x08\x00"), offset=None)
        self.refused("can_unknown_field", one, CapScope(kind=35, payload=b"\x08\x01\x03\x01\x00"))

    def test_signatures_come_first(self) -> None:
        steps = three()
        raw = links(steps)
        for i in range(3):
            x = Capability.decode(raw[i])
            x.signature.sig_bytes = bytes(64)
            forged = caps.decode_proof(caps.encode_proof([*raw[:i], x.encode(), *raw[i + 1 :]]))
            self.denied("cap_signature", i, "signature", forged, use(now=0, subject=STRANGER.agent, authority=lambda a: False))
            x = Capability.decode(raw[i])
            x.cap_id = named("x")
            other = caps.decode_proof(caps.encode_proof([*raw[:i], x.encode(), *raw[i + 1 :]]))
            self.denied("cap_signature", i, "signature", other)
            x = Capability.decode(raw[i])
            x.signature.key_id = sig.key_id(x.issuer)
            keyed = caps.decode_proof(caps.encode_proof([*raw[:i], x.encode(), *raw[i + 1 :]]))
            self.denied("cap_signature", i, "signature", keyed)

    def test_principals(self) -> None:
        steps = three()
        steps[0].parent = named("x")
        self.denied("cap_chain_broken", 0, "root", chain(steps))
        self.denied("cap_issuer_untrusted", 0, "authority", chain(three()), use(authority=lambda a: False))
        for parent in (None, named("x")):
            steps = three()
            steps[2].parent = parent
            self.denied("cap_chain_broken", 2, "parent", chain(steps))
        steps = three()
        steps[1].by = STRANGER
        self.denied("cap_chain_broken", 1, "issuer", chain(steps))
        steps = three()
        steps[0].cap.delegable = False
        self.denied("cap_not_delegable", 1, "delegable", chain(steps))
        self.denied("cap_subject", 2, "subject", chain(three()), use(subject=STRANGER.agent))

    def test_an_issuer_narrows_what_it_gave(self) -> None:
        steps = [Step(AUTHORITY, HOLDER, delegable=False), Step(AUTHORITY, EXECUTOR, delegable=False)]
        chain(steps).check(use())
        steps[1].cap.delegable = True
        self.denied("cap_not_delegable", 1, "delegable", chain(steps))

    def test_time(self) -> None:
        for now, code, rule in ((OPENS - 1, "cap_not_yet_valid", "not_before"), (CLOSES, "cap_expired", "expires_at")):
            self.denied(code, 0, rule, chain(three()), use(now=now))
        chain(three()).check(use(now=OPENS))
        chain(three()).check(use(now=CLOSES - 1))
        steps = three()
        steps[1].cap.expires_at = CLOSES + 1
        self.denied("cap_window", 1, "window", chain(steps))
        steps = three()
        steps[2].cap.not_before = steps[2].cap.expires_at = NOON
        self.denied("cap_window", 2, "window", chain(steps))

    def test_scope(self) -> None:
        steps = three()
        steps[2].cap.scope = tool_scope(9, ring_max="0", **dict([caps.arg("/amount", "le", number(300))]))
        self.assertEqual(self.denied("cap_scope", 2, "subset", chain(steps)).field, "max_calls")
        steps[2].cap.scope = tool_scope(3, ring_max="0")
        self.assertEqual(self.denied("cap_constraint", 2, "constraint_subset", chain(steps)).field, "arg/amount:le")
        steps[2].cap.scope = caps.scope_of(structs.ClockScope())
        self.denied("cap_scope", 2, "subset", chain(steps))
        self.denied("cap_scope", 0, "use", chain(three()), use(call=call(tool=named("x"))))
        other = ToolCallScope(tool_id=named("x"), max_calls=1).encode()
        self.denied("cap_scope", 0, "use", chain(three()), use(scope=other, call=call(tool=named("x"))))
        self.denied("cap_constraint", 0, "constraint_use", chain(three()), use(call=call(ring=2)))
        self.denied(
            "cap_constraint",
            2,
            "constraint_use",
            chain(three()),
            use(call=call(payload=value.encode(Map.of({"amount": UVarint(400)})))),
        )
        self.denied("cap_scope", 0, "use", chain(three()), use(kind=35, scope=b"\x08\x00", call=None))
        self.denied("cap_scope", 0, "use", chain(three()), use(kind=35, scope=b"\x08\x00"))
        self.denied("cap_scope", 0, "use", chain(three()), use(kind=99))
        self.denied("cap_scope", 0, "use", chain(three()), use(request=caps.ReadClock()))

    def test_a_bare_scope_spends_nothing(self) -> None:
        constraints = {"ring_max": "0", "arg/amount:le": number(300).hex()}
        scope = ToolCallScope(tool_id=named("echo"), max_calls=3, constraints=constraints)
        self.assertEqual(chain(three()).check(use(scope=scope.encode(), call=None)).spend, [])
        scope.constraints = {}
        self.denied("cap_constraint", 0, "constraint_use", chain(three()), use(scope=scope.encode(), call=None))
        scope.max_calls, scope.constraints = 4, constraints
        self.denied("cap_scope", 2, "use", chain(three()), use(scope=scope.encode(), call=None))

    def test_issue(self) -> None:
        x = three()[0].cap
        raw, id = caps.issue(x, AUTHORITY)
        self.assertEqual(sig.open(Capability, raw)[1], id)
        x.expires_at = x.not_before
        self.refused("cap_window", caps.issue, x, AUTHORITY)
        x.expires_at, x.scope = CLOSES, tool_scope(1, nothing="x")
        self.refused("cap_constraint", caps.issue, x, AUTHORITY)
        x.scope = caps.scope_of(structs.FsReadScope(path="a"))
        self.refused("cap_scope", caps.issue, x, AUTHORITY)


class Constraints(Case):
    def holds(self, key: str, text: str, c: Call | None = None) -> bool:
        try:
            one(tool_scope(1, **{key: text})).check(use(call=c or call()))
        except Denial as e:
            self.assertEqual((e.code, e.rule, e.field), ("cap_constraint", "constraint_use", key))
            return False
        return True

    def test_published_examples(self) -> None:
        for key_, text, want in (
            ("arg/to:eq", "060461636d65", True),
            ("arg/to:in", "0702060461636d6506046265746f", True),
            ("arg/amount:le", "03f403", True),
            ("arg/amount:le", "04c801", False),
            ("arg/amount:prefix", "0332", False),
            ("arg/cc:eq", "00", False),
            ("max_amount", "500", False),
            ("package", str(named("package")), True),
            ("package", named("package").hex(), False),
            ("package", str(named("x")), False),
            ("module", str(named("module")), True),
            ("request_hash", str(named("request")), True),
            ("ledger", named("ledger").hex(), True),
            ("ledger", str(named("ledger")), False),
            ("ring_max", "0", True),
            ("ring_max", "00", False),
            ("ring_max", "256", False),
            ("arg/amount:ge", number(250).hex(), True),
            ("arg/amount:ge", number(251).hex(), False),
            ("arg/amount:le", value.encode(IVarint(250)).hex(), True),
            ("arg/to:prefix", value.encode("ac").hex(), True),
            ("arg/to:prefix", value.encode(b"ac").hex(), False),
            ("arg/to:in", value.encode(["beto"]).hex(), False),
            ("arg/to:like", "00", False),
            ("arg/to", "00", False),
            ("argto:eq", "00", False),
            ("arg/to:eq", "060461636D65", False),
            ("arg/to:eq", "09", False),
            ("arg:eq", call().payload.hex(), True),
            ("arg/amount/x:eq", "00", False),
        ):
            with self.subTest(key_, text=text):
                self.assertEqual(self.holds(key_, text), want)
        self.assertFalse(self.holds("ledger", ZERO.hex(), call(ledger=ZERO)))

    def test_pointers(self) -> None:
        payload = value.encode(
            Map(
                [
                    ("a/b", "slash"),
                    ("m~n", "tilde"),
                    ("", "empty"),
                    (UVarint(7), "seven"),
                    ("l", [UVarint(1), [UVarint(2)]]),
                    ("1", "both"),
                    (UVarint(1), "x"),
                ]
            )
        )
        c = call(payload=payload)
        for pointer, want in (
            ("/a~1b", "slash"), ("/m~0n", "tilde"), ("/", "empty"), ("/7", "seven"), ("/l/0", UVarint(1)), ("/l/1/0", UVarint(2)),
        ):  # fmt: skip
            self.assertTrue(self.holds(f"arg{pointer}:eq", value.encode(want).hex(), c), pointer)
        for pointer in ("/1", "/07", "/l/00", "/l/2", "/l/x", "/a~1b/x", "/l/0/0"):
            self.assertFalse(self.holds(f"arg{pointer}:eq", "00", c), pointer)
        self.assertFalse(self.holds("arg/~2:eq", "00", c))
        self.assertFalse(self.holds("arg/7:eq", value.encode("seven").hex(), call(payload=payload + b"\0")))

    def test_too_many(self) -> None:
        many = {f"arg/{i}:eq": "00" for i in range(65)}
        self.refused("cap_constraint", one(tool_scope(1, **many)).check, use())

    def test_subsets(self) -> None:
        def covers(parent: dict[str, str], child: dict[str, str]) -> None:
            caps.covers(5, tool_scope(1, **parent).payload, tool_scope(1, **child).payload)

        text = {c: value.encode(c).hex() for c in ("a", "ab", "b")}
        lists = {n: value.encode([UVarint(i) for i in range(n)]).hex() for n in (0, 1, 2)}
        for key_, parent, good, bad in (
            ("ring_max", "3", "3", "4"),
            ("package", str(H1), str(H1), str(H2)),
            ("arg:eq", "00", "00", "01"),
            ("arg:le", number(5).hex(), value.encode(IVarint(-1)).hex(), number(6).hex()),
            ("arg:ge", number(5).hex(), number(6).hex(), number(4).hex()),
            ("arg:in", lists[2], lists[1], value.encode(["x"]).hex()),
            ("arg:in", lists[2], lists[0], value.encode([IVarint(0)]).hex()),
            ("arg:prefix", text["a"], text["ab"], text["b"]),
            ("arg:prefix", text["ab"], text["ab"], text["a"]),
        ):
            covers({key_: parent}, {key_: good, "ledger": H1.hex()})
            self.refused("cap_constraint", covers, {key_: parent}, {key_: bad})
            self.refused("cap_constraint", covers, {key_: parent}, {})


class Revocation(Case):
    def signed(self, by: sig.Key = AUTHORITY, **fields: Any) -> caps.Revocations:
        given: dict[str, Any] = {"seq": 1, "issued": OPENS, "next_update": CLOSES, "revoked": []}
        return caps.open_revocations(caps.sign_revocations(RevocationList(**(given | fields)), by)[0])

    def test_lists(self) -> None:
        x = self.signed(revoked=sorted([H1, H2]))
        self.assertTrue(x.names(H1) and x.names(H2) and not x.names(named("x")))
        self.assertEqual([x.fresh(t) for t in (OPENS - 1, OPENS, CLOSES - 1, CLOSES)], [False, True, True, False])
        for fields in ({"issued": CLOSES}, {"revoked": [H1, H1]}, {"revoked": sorted([H1, H2], reverse=True)}):
            self.refused("cap_revocation_list", self.signed, **fields)
        raw = bytearray(x.list.encode())
        raw[-1] ^= 1
        self.refused("signature_invalid", caps.open_revocations, bytes(raw))
        self.refused("cap_revocation_list", caps.open_revocations, bytes((4 << 20) + 1))

    def test_order(self) -> None:
        first, second = self.signed(), self.signed(seq=2)
        first.check_follows(None)
        second.check_follows(first.mark)
        first.check_follows(first.mark)
        self.refused("cap_revocation_seq", first.check_follows, second.mark)
        self.refused("cap_revocation_seq", first.check_follows, Mark(1, H1))

    def test_chains(self) -> None:
        steps = three()
        c = chain(steps)
        for revoked in range(3):
            for by, n in ((AUTHORITY, 0), (HOLDER, 1), (AGENT, 2)):
                x = self.signed(by, revoked=[c.cap_ids[revoked]], issued=1, next_update=2)  # stale, and still its word
                u = use(revocations=lambda a: x if sig.same_agent(a, x.issuer) else None)
                if n > revoked:
                    self.assertEqual(len(c.check(u).lists), 1)
                    continue
                e = self.refused("cap_revoked", c.check, u)
                assert isinstance(e, Denial)
                self.assertEqual((e.link, e.rule), (revoked, "revoked"))

    def test_required(self) -> None:
        steps = three()
        steps[1].cap.revocation_required = True
        c = chain(steps)
        self.refused("cap_revocation_required", c.check, use())
        for by, window, code in (
            (HOLDER, CLOSES, ""),
            (HOLDER, NOON, "cap_revocation_required"),
            (STRANGER, CLOSES, "cap_revocation_required"),
        ):
            x = self.signed(by, next_update=window)
            u = use(revocations=lambda a: x)
            if code:
                self.refused(code, c.check, u)
            else:
                self.assertEqual([lu.mark for lu in c.check(u).lists], [x.mark])
