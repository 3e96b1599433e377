"""What an executor records around its effects: the signed beginning and end of
a run (RFC-MYTHOS-0005 §8), and how one effect was performed
(RFC-MYTHOS-0006 §15).
"""

from __future__ import annotations

import re

from . import ledger, merkle, sig
from .cid import Hash
from .fault import fail
from .structs import EffectEvidence, RunRecord, RunSeal

_CODE = re.compile(r"[a-z0-9_]{0,128}")


def open_record(raw: bytes) -> tuple[RunRecord, Hash]:
    """Decode a run record, check its id and form, verify its signature."""
    x, id = sig.open(RunRecord, raw)
    ledger.check_run_id(x.run_id)
    return x, id


def open_seal(raw: bytes) -> tuple[RunSeal, Hash]:
    """Decode a run seal, check its id and fields, verify its signature."""
    x, id = sig.open(RunSeal, raw)
    check_seal(x)
    return x, id


def check_seal(x: RunSeal) -> None:
    """Hold the fields of a seal against each other: run_seal."""
    if (x.receipts_root is None) != (x.receipt_count == 0):
        fail("run_seal", f"{x.receipt_count} receipts, and receipts_root is {x.receipts_root}")
    if (x.result_hash is None) == (x.error_code == ""):
        fail("run_seal", "a run ends with a result_hash or an error_code, exactly one")
    if not _CODE.fullmatch(x.error_code):
        fail("run_seal", f"error_code {x.error_code[:80]!r} is not of the form of a code")


def check_receipts(x: RunSeal, ids: list[Hash]) -> None:
    """Refuse ids that are not the receipt ids that the seal covers, in the
    order of their effects: run_seal_receipts.
    """
    if len(ids) != x.receipt_count:
        fail("run_seal_receipts", f"got {len(ids)} receipts, the seal covers {x.receipt_count}", subject=str(x.id))
    if merkle.root(ids) != x.receipts_root:
        fail("run_seal_receipts", "the receipts are not those that the seal covers, or in another order", subject=str(x.id))


def decode_effect(raw: bytes) -> EffectEvidence:
    """Decode the evidence of one effect and hold its fields against each other:
    effect_evidence. Its name is the SHA-256 of raw.
    """
    x = EffectEvidence.decode(raw)
    builtin = x.module_kind == 0
    if builtin != (x.module is None):
        fail("effect_evidence", f"module kind {x.module_kind}, and module is {x.module}")
    if builtin and x.variant:
        fail("effect_evidence", "a built-in tool has no variant")
    if not x.engine:
        fail("effect_evidence", "no engine is named")
    if (x.fuel_schedule is None) != (x.fuel_used is None):
        fail("effect_evidence", "fuel_schedule and fuel_used stand together or not at all")
    return x
