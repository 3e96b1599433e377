"""Revocation lists (RFC-MYTHOS-0008 §7)."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from .. import sig
from ..cid import Hash
from ..fault import MythosError, fail
from ..structs import AgentID, RevocationList

MAX_REVOKED = 65536
MAX_BYTES = 4 << 20


@dataclass(frozen=True)
class Mark:
    """Which list of an issuer is known."""

    seq: int
    id: Hash


@dataclass(frozen=True)
class ListUse:
    """A revocation list that a verdict rests on, by its issuer's key id."""

    issuer: Hash
    mark: Mark


@dataclass(frozen=True)
class Revocations:
    """An opened list: its form, its rules and its issuer's signature hold."""

    list: RevocationList
    id: Hash

    @property
    def issuer(self) -> AgentID:
        return self.list.issuer

    @property
    def mark(self) -> Mark:
        return Mark(self.list.seq, self.id)

    def check_follows(self, last: Mark | None) -> None:
        """Hold the list against the last one of its issuer that was accepted:
        a lower seq, and another list with the same seq, are cap_revocation_seq.
        """
        if last is None or self.list.seq > last.seq:
            return
        if self.list.seq < last.seq:
            fail("cap_revocation_seq", f"seq {self.list.seq}, and {last.seq} is known already")
        if self.id != last.id:
            fail("cap_revocation_seq", f"seq {self.list.seq} stands for list {self.id}, and {last.id} is known")

    def fresh(self, now: int) -> bool:
        """Report whether the list counts as the latest word at a time in
        microseconds.
        """
        return self.list.issued <= now < self.list.next_update

    def names(self, id: Hash) -> bool:
        """Report whether the list holds a cap_id, fresh or not: a revocation is
        not taken back by waiting.
        """
        at = bisect_left(self.list.revoked, id)
        return at < len(self.list.revoked) and self.list.revoked[at] == id


def open_revocations(raw: bytes) -> Revocations:
    """Decode a list and verify it: cap_revocation_list and the codes of modules
    can and sig.
    """
    if len(raw) > MAX_BYTES:
        fail("cap_revocation_list", f"a list of {len(raw)} bytes, at most {MAX_BYTES}")
    try:
        x, id = sig.open(RevocationList, raw)
    except MythosError as e:
        raise e.about("the revocation list") from None
    check_list(x)
    return Revocations(x, id)


def sign_revocations(x: RevocationList, by: sig.Signer) -> tuple[bytes, Hash]:
    """Sign a list; return its canonical bytes and id."""
    check_list(x)
    raw, id = sig.sign(x, by)
    if len(raw) > MAX_BYTES:
        fail("cap_revocation_list", f"a list of {len(raw)} bytes, at most {MAX_BYTES}")
    return raw, id


def check_list(x: RevocationList) -> None:
    """Hold a list against its own rules: cap_revocation_list."""
    if len(x.revoked) > MAX_REVOKED:
        fail("cap_revocation_list", f"{len(x.revoked)} revoked ids, at most {MAX_REVOKED}")
    if x.issued >= x.next_update:
        fail("cap_revocation_list", f"issued {x.issued} is not before next_update {x.next_update}")
    for i, (a, b) in enumerate(zip(x.revoked, x.revoked[1:]), 1):
        if a >= b:
            fail("cap_revocation_list", f"revoked id {i} does not come after the one before it")
