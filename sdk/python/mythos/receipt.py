"""Receipts and attestations, the two signed statements about work done.

A Receipt says that one effect had one outcome (RFC-MYTHOS-0002 §2.8), an
Attestation is a verifier's claim about a subject (RFC-MYTHOS-0002 §2.9). decode
checks the id and says nothing about the signature; open verifies it too.
Whether the signer is trusted is never known here.
"""

from __future__ import annotations

from . import cid, sig
from .cid import Hash
from .fault import fail
from .structs import Attestation, Receipt

CONTRACT_PASS, EVAL_PASS, EVAL_METRIC, QUORUM_SIGNOFF = 1, 2, 3, 4

MAX_METRIC = 10000
"""The largest result of an EvalMetric."""


def decode(raw: bytes) -> tuple[Receipt, Hash]:
    """Decode a receipt and check its id, NOT its signature."""
    return sig.decode(Receipt, raw)


def open(raw: bytes) -> tuple[Receipt, Hash]:
    """decode, and verify the signature by the signer that it names."""
    return sig.open(Receipt, raw)


def check_content(x: Receipt, request: bytes, response: bytes) -> None:
    """Refuse a request or response that the receipt is not about."""
    for word, raw, want in (("request", request, x.request_hash), ("response", response, x.response_hash)):
        got = cid.sum(raw)
        if got != want:
            fail("receipt_content", f"the {word} is {got}, the receipt is about {want}", subject=str(x.receipt_id))


def decode_attestation(raw: bytes) -> tuple[Attestation, Hash]:
    """Decode an attestation and check its id and claim, NOT its signature."""
    x, id = sig.decode(Attestation, raw)
    check_claim(x)
    return x, id


def open_attestation(raw: bytes) -> tuple[Attestation, Hash]:
    """decode_attestation, with the signature by the signer that it names."""
    x, id = sig.open(Attestation, raw)
    check_claim(x)
    return x, id


def check_claim(x: Attestation) -> None:
    """Refuse an unknown claim type and a result that it does not have."""
    if not CONTRACT_PASS <= x.claim_type <= QUORUM_SIGNOFF:
        fail("attestation_claim", f"unknown claim type {x.claim_type}")
    limit = MAX_METRIC if x.claim_type == EVAL_METRIC else 1
    if x.result > limit:
        fail("attestation_claim", f"result {x.result}, at most {limit} for claim type {x.claim_type}")
