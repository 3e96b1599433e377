"""Ring policies: what a node allows in one ring (RFC-MYTHOS-0008 §10)."""

from __future__ import annotations

from . import sig
from .fault import fail
from .structs import RingPolicy


def open_policy(raw: bytes) -> RingPolicy:
    """Strictly decode a policy, verify it against the signer that it names and
    check its rules. Whether that signer may is for the trust file to say.
    """
    x, _ = sig.open(RingPolicy, raw)
    check_policy(x)
    return x


def check_policy(x: RingPolicy) -> None:
    """Refuse a policy that breaks its own rules: ring_policy_invalid."""
    subject = f"policy {x.policy_id}"
    if not _ascending(x.module_kinds) or any(not 1 <= k <= 4 for k in x.module_kinds):
        fail("ring_policy_invalid", "module_kinds must be 1..4, ascending, none twice", subject=subject)
    if not _ascending(x.cap_kinds) or 0 in x.cap_kinds:
        fail("ring_policy_invalid", "cap_kinds must ascend from 1, none twice", subject=subject)
    if x.min_sandbox > 4:
        fail("ring_policy_invalid", "min_sandbox must be 0..4", subject=subject)
    if not _ascending([c.claim_type for c in x.claims]):
        fail("ring_policy_invalid", "claims must ascend by claim_type, none twice", subject=subject)
    for c in x.claims:
        if not 1 <= c.quorum <= len({(v.scheme, v.key) for v in c.verifiers}):
            fail("ring_policy_invalid", "a claim's quorum must be 1 to the number of its distinct verifiers", subject=subject)


def _ascending(numbers: list[int]) -> bool:
    return all(a < b for a, b in zip(numbers, numbers[1:]))
