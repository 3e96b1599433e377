"""The effect ledger as pure code (RFC-MYTHOS-0005): keys and entries, the state
of an idempotency id as a fold over its entries, and the rule that decides what
a new call of that id may do. It reads no clock and keeps no data.

An id moves like this. A register opens it and carries a lease. A commit by the
owner of the latest register closes it for good: every later call with the same
request gets that receipt. If the lease ends without a commit, the id is in
doubt, and the tool's retry class decides. Nothing is updated or deleted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from . import cid, sig
from .cid import ZERO, Hash
from .fault import MythosError, fail
from .structs import (
    AgentID,
    DerivedKey,
    DivergenceMark,
    EffectCommit,
    EffectRegister,
    IdempotencyKey,
    LedgerEntry,
    LedgerResolution,
)

# Entry kinds (RFC-MYTHOS-0005 §2).
REGISTER, COMMIT, DIVERGENCE, RESOLUTION, REFUSAL, RUN_RECORD, RUN_SEAL, RING_STATE = range(1, 9)

# Retry classes (RFC-MYTHOS-0005 §5).
NEVER, IDEMPOTENT, PURE, RECONCILE = range(4)

# Outcomes of a resolution, reasons of a divergence mark, origins of a key.
OUTCOME_COMMITTED, OUTCOME_NOT_INVOKED, OUTCOME_DOUBT = 1, 2, 3
REASON_REQUEST, REASON_RESPONSE, REASON_COMMITS = 1, 2, 3
ORIGIN_EXPLICIT, ORIGIN_DERIVED = 1, 2

# Phases: where an id stands, as its entries alone tell.
ABSENT, OPEN, FREE, DOUBT = "absent", "open", "free", "in_doubt"
COMMITTED, DIVERGENT, SETTLED = "committed", "divergent", "settled"

# Verdicts: what an entry did to a state.
APPLIED = "applied"
SUPERSEDED = "superseded"  # kept as evidence, the state is unchanged
DROPPED = "dropped"  # already there to the byte, or already recorded
DIVERGED = "diverged"  # the state became divergent; a mark belongs beside the commit

# Decisions: what a new call of an id may do.
PROCEED, REPLAY, WAIT = "proceed", "replay", "wait"

_RUN_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def idem_id(tool: Hash, key: bytes) -> Hash:
    """Return the idempotency id of a tool and a canonical key
    (RFC-MYTHOS-0005 §7).
    """
    return cid.sum(tool + key)


def explicit_key(authority: Hash, holder: Hash, key: bytes) -> bytes:
    """Return the canonical idempotency key of a caller's own key, 1 to 256
    bytes.
    """
    if not 1 <= len(key) <= 256:
        fail("idempotency_key", f"an explicit key is 1 to 256 bytes, got {len(key)}")
    return IdempotencyKey(authority=authority, key=key, holder=holder, origin=ORIGIN_EXPLICIT).encode()


def derived_key(key: DerivedKey, authority: Hash, holder: Hash) -> bytes:
    """Return the canonical idempotency key that key derives."""
    digest = cid.sum(key.encode())
    return IdempotencyKey(authority=authority, key=digest, holder=holder, origin=ORIGIN_DERIVED).encode()


def check_run_id(id: str) -> None:
    """Refuse what is not 1 to 128 of A-Z a-z 0-9 . _ : -"""
    if not _RUN_ID.fullmatch(id):
        fail("run_id", f"a run id is 1 to 128 letters, digits and . _ : -, got {id[:100]!r}")


def leaf_hash(index: int, kind: int, body: bytes) -> Hash:
    """Return the RFC 6962 leaf hash of an entry (RFC-MYTHOS-0005 §2)."""
    return cid.sum(b"\x00" + LedgerEntry(index=index, kind=kind, body=body).encode())


def open_register(raw: bytes) -> tuple[EffectRegister, Hash]:
    """Decode a register and verify its owner's signature; return the register
    id too.
    """
    x, id = sig.open(EffectRegister, raw)
    check_register(x)
    return x, id


def check_register(x: EffectRegister) -> None:
    """Hold a register against itself."""
    if x.idem_id != idem_id(x.tool_id, x.idempotency_key):
        fail("ledger_entry", "the idempotency id is not that of its tool and key")
    if retry_class(x) > RECONCILE:
        fail("ledger_entry", f"unknown retry class {x.retry}")
    if (x.previous_register is not None) != bool(x.attempt):
        fail("ledger_entry", "previous_register is there if and only if attempt is 1 or more")


def retry_class(x: EffectRegister) -> int:
    """Return the class that the register recorded; absent reads as never."""
    return x.retry or NEVER


def open_commit(raw: bytes, by: AgentID) -> tuple[EffectCommit, Hash]:
    """Decode a commit and verify that by signed it; return the commit id too."""
    return sig.open_by(EffectCommit, raw, by)


def decode_commit(raw: bytes) -> tuple[EffectCommit, Hash]:
    """Decode a commit without verifying its signature."""
    return sig.decode(EffectCommit, raw)


def open_resolution(raw: bytes) -> LedgerResolution:
    """Decode a resolution and verify its signature."""
    x, _ = sig.open(LedgerResolution, raw)
    check_resolution(x)
    return x


def check_resolution(x: LedgerResolution) -> None:
    """Hold a resolution against itself."""
    if not OUTCOME_COMMITTED <= x.outcome <= OUTCOME_DOUBT:
        fail("ledger_entry", f"unknown outcome {x.outcome}")


def decode_divergence(raw: bytes) -> DivergenceMark:
    """Decode a divergence mark; its signature names a key only."""
    x, _ = sig.decode(DivergenceMark, raw)
    check_divergence(x)
    return x


def check_divergence(x: DivergenceMark) -> None:
    """Hold a divergence mark against itself."""
    if not REASON_REQUEST <= x.reason_code <= REASON_COMMITS:
        fail("ledger_entry", f"unknown reason {x.reason_code}")


@dataclass(frozen=True)
class Contradiction:
    """Two commits that cannot both be true: the one that stood and the other."""

    reason: int
    stood: Hash
    other: Hash


@dataclass(frozen=True)
class _Attempt:
    """One register and what is known of it."""

    id: Hash
    owner: AgentID
    retry: int


@dataclass(frozen=True)
class _Valid:
    """A commit of one of the id's registers, signed by its owner."""

    id: Hash
    response: Hash
    by: _Attempt


@dataclass
class State:
    """The fold of one id's entries (RFC-MYTHOS-0005 §3); new, it is absent."""

    phase: str = ABSENT
    idem_id: Hash = ZERO
    tool_id: Hash = ZERO
    request_hash: Hash = ZERO
    commit: EffectCommit | None = None  # the one that stands, or stood before a divergence
    commit_raw: bytes = b""
    marked: bool = False  # a request conflict was recorded
    contradiction: Contradiction | None = None  # what made the state divergent
    _attempts: list[_Attempt] = field(default_factory=list)
    _valid: list[_Valid] = field(default_factory=list)  # since the last divergence was resolved
    _seen: set[Hash] = field(default_factory=set)

    @property
    def attempt(self) -> int:
        """How many registers there are."""
        return len(self._attempts)

    @property
    def register_id(self) -> Hash:
        """The latest register: the fencing token."""
        return self._attempts[-1].id if self._attempts else ZERO

    @property
    def owner(self) -> AgentID | None:
        """Who owns the latest register."""
        return self._attempts[-1].owner if self._attempts else None

    @property
    def retry(self) -> int:
        """The retry class that the latest register recorded."""
        return self._attempts[-1].retry if self._attempts else NEVER

    def add_register(self, x: EffectRegister, id: Hash) -> None:
        """Apply an opened register."""
        check_register(x)
        if self.phase in (COMMITTED, DIVERGENT, SETTLED):
            fail("ledger_entry", f"a register of an id that is {self.phase}")
        if self.phase != ABSENT and x.idem_id != self.idem_id:
            fail("ledger_entry", f"a register of id {x.idem_id} among those of {self.idem_id}")
        if self.phase != ABSENT and (x.request_hash != self.request_hash or x.tool_id != self.tool_id):
            fail("idempotency_conflict", f"the id was registered for request {self.request_hash}, not {x.request_hash}")
        previous, number = x.previous_register or ZERO, x.attempt or 0
        if previous != self.register_id or number != self.attempt:
            fail("ledger_entry", f"attempt {number} after {previous}, want attempt {self.attempt} after {self.register_id}")
        self._attempts.append(_Attempt(id, x.owner, retry_class(x)))
        self.phase, self.idem_id, self.tool_id, self.request_hash = OPEN, x.idem_id, x.tool_id, x.request_hash

    def _attempt_of(self, x: EffectCommit) -> _Attempt | None:
        return next((a for a in self._attempts if a.id == x.register_id), None)

    def offer(self, raw: bytes) -> str:
        """Apply a commit, new or stored, and return what becomes of it."""
        x, id = decode_commit(raw)
        if self.phase == ABSENT:
            fail("ledger_entry", "a commit of an id that was never registered")
        if x.idem_id != self.idem_id:
            fail("ledger_entry", f"a commit of id {x.idem_id} among the entries of {self.idem_id}")
        return self._add_commit(x, id, raw)

    def _add_commit(self, x: EffectCommit, id: Hash, raw: bytes) -> str:
        """Valid commits are compared whatever order they come in
        (RFC-MYTHOS-0005 §6); one that is not by the owner of its register
        changes nothing.
        """
        key = cid.sum(raw)
        if key in self._seen:
            return DROPPED
        self._seen.add(key)
        a = self._attempt_of(x)
        if a is None or x.request_hash != self.request_hash or x.tool_id != self.tool_id or not _signed(raw, a.owner):
            return SUPERSEDED
        if self.phase != DIVERGENT and self._contradicts(_Valid(id, x.response_hash, a)):
            self.phase = DIVERGENT
            return DIVERGED
        if self.phase in (OPEN, DOUBT, FREE) and a.id == self.register_id:
            self.phase, self.commit, self.commit_raw = COMMITTED, x, raw
            return APPLIED
        return SUPERSEDED

    def _contradicts(self, c: _Valid) -> bool:
        """Compare c with every valid commit before it and keep it."""
        before = list(self._valid)
        self._valid.append(c)
        for old in before:
            if old.response == c.response:
                continue
            if old.by.id == c.by.id:
                reason = REASON_COMMITS
            elif old.by.retry == PURE and c.by.retry == PURE:
                reason = REASON_RESPONSE
            else:
                continue
            self.contradiction = Contradiction(reason, old.id, c.id)
            return True
        return False

    def add_divergence(self, x: DivergenceMark) -> str:
        """Apply a mark; a request conflict never changes the state and is kept
        once.
        """
        if self.phase == ABSENT or x.idem_id != self.idem_id or x.tool_id != self.tool_id:
            fail("ledger_entry", f"a mark of id {x.idem_id} and tool {x.tool_id} on an id that is {self.phase}")
        if x.reason_code != REASON_REQUEST:
            self.phase = DIVERGENT
            return APPLIED
        if self.marked:
            return DROPPED
        self.marked = True
        return SUPERSEDED

    def add_resolution(self, x: LedgerResolution, by_operator: bool) -> None:
        """Apply an opened resolution; by_operator says whether its signer holds
        that role (RFC-MYTHOS-0005 §5).
        """
        owner = self.owner is not None and sig.same_agent(x.signer, self.owner) and x.outcome != OUTCOME_COMMITTED
        if self.phase in (ABSENT, COMMITTED, SETTLED):
            fail("ledger_entry", f"a resolution of an id that is {self.phase}")
        check_resolution(x)
        if x.idem_id != self.idem_id:
            fail("ledger_entry", f"a resolution of id {x.idem_id} among the entries of {self.idem_id}")
        if x.register_id != self.register_id:
            fail("ledger_entry", f"a resolution of register {x.register_id}, the latest is {self.register_id}")
        if not by_operator and not owner:
            fail("ledger_entry", "a resolution by neither an operator nor the register's owner")
        if self.phase == DIVERGENT and not by_operator:
            fail("ledger_entry", "only an operator resolves a divergence")
        if self.phase == DIVERGENT:
            self._valid.clear()  # set aside: not compared with later commits
        self.phase = self._resolved(x)

    def _resolved(self, x: LedgerResolution) -> str:
        if x.outcome == OUTCOME_NOT_INVOKED:
            return FREE
        if x.outcome == OUTCOME_DOUBT:
            return DOUBT
        if self.commit and x.receipt_id in (None, self.commit.receipt_id):
            return COMMITTED
        return SETTLED

    def decide(self, request_hash: Hash, live: bool, retry: int) -> str:
        """Say what a call with request_hash may do. live: the latest register's
        lease stands on the store's clock; retry: the class of the module at
        hand, which must agree with the recorded one.
        """
        if self.phase != ABSENT and self.request_hash != request_hash:
            fail("idempotency_conflict", f"the key was used for request {self.request_hash}, this one is {request_hash}")
        if self.phase in (ABSENT, FREE):
            return PROCEED
        if self.phase == COMMITTED:
            return REPLAY
        if self.phase == DIVERGENT:
            fail("effect_divergent", "two commits of this id contradict each other")
        if self.phase == SETTLED:
            fail("effect_settled", "an operator settled this id without a response")
        if self.phase == OPEN and live:
            return WAIT
        if self.retry in (IDEMPOTENT, PURE) and retry in (IDEMPOTENT, PURE):
            return PROCEED
        fail("effect_in_doubt", f"register {self.register_id} ended without a commit and its retry class forbids another try")

    def apply(self, kind: int, body: bytes) -> None:
        """Fold one stored entry. A store only appends what the state accepted,
        so one that does not fit means damage: ledger_corrupt.
        """
        try:
            self._apply(kind, body)
        except MythosError as e:
            raise MythosError("ledger_corrupt", str(e)) from e

    def _apply(self, kind: int, body: bytes) -> None:
        if kind == REGISTER:
            self.add_register(*sig.decode(EffectRegister, body))
        elif kind == COMMIT:
            self.offer(body)
        elif kind == DIVERGENCE:
            self.add_divergence(decode_divergence(body))
        elif kind == RESOLUTION:
            self.add_resolution(sig.decode(LedgerResolution, body)[0], by_operator=True)
        else:
            fail("ledger_entry", f"an entry of kind {kind} under an idempotency id")


def _signed(raw: bytes, owner: AgentID) -> bool:
    try:
        open_commit(raw, owner)
    except MythosError:
        return False
    return True


def fold(entries: Iterable[tuple[int, bytes]]) -> State:
    """Return the state of one id from its entries (kind, body) in log order."""
    state = State()
    for kind, body in entries:
        state.apply(kind, body)
    return state
