"""The ops of the suites can, hash, sig, confusion, receipt and codebook."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .. import can, cid, codebook, ed25519, jsonview, ledger, receipt, rings, run, sig, value
from ..caps.revocation import check_list
from ..fault import MythosError, fail
from ..structs import (
    STRUCTS,
    Attestation,
    DivergenceMark,
    EffectRegister,
    LedgerResolution,
    RevocationList,
    RingPolicy,
    RunRecord,
    RunSeal,
)
from .values import BadInput, Input, Op, Output, agent, decode_type, digest, known_agent, octets


def _can_decode(x: Input) -> Output:
    decoded = value.decode(octets(x["hex"]))
    return {"hex": value.encode(decoded).hex(), "json": json.loads(value.json_view(decoded))}


def _can_encode(x: Input) -> Output:
    if ("text" in x) == ("hex" in x):
        raise BadInput("want text or hex")
    return {"hex": jsonview.parse(x["text"] if "text" in x else octets(x["hex"])).hex()}


def _struct_decode(x: Input) -> Output:
    name, raw = x["type"], octets(x["hex"])
    decoded = decode_type(name, raw)
    out = bytearray()
    decoded.write(out)
    answer: Output = {"hex": out.hex()}
    if name in STRUCTS and STRUCTS[name].SEAL is not None:
        answer["id"] = str(sig.object_id(STRUCTS[name], raw))
    return answer


def _hash_without(x: Input) -> Output:
    fields = x["fields"]
    if any(not 1 <= f <= 127 for f in fields) or fields != sorted(set(fields)):
        raise BadInput("fields must ascend within 1..127")
    return {"hash": str(cid.without(octets(x["hex"]), *fields))}


def _idem_id(x: Input) -> Output:
    return {"hash": str(ledger.idem_id(digest(x["tool_id"]), octets(x["key"])))}


def _sig_verify(x: Input) -> Output:
    if not ed25519.verify(octets(x["key"]), octets(x["message"]), octets(x["sig"])):
        fail("signature_invalid", "the signature does not verify")
    return {}


# The rules that the content of a type has beside its form.
_CONTENT: dict[type[can.Struct], Callable[[Any], None]] = {
    Attestation: receipt.check_claim,
    DivergenceMark: ledger.check_divergence,
    EffectRegister: ledger.check_register,
    LedgerResolution: ledger.check_resolution,
    RevocationList: check_list,
    RingPolicy: rings.check_policy,
    RunRecord: lambda x: ledger.check_run_id(x.run_id),
    RunSeal: run.check_seal,
}


def _object_open(x: Input) -> Output:
    kind = STRUCTS.get(x["type"])
    if kind is None:
        raise MythosError("struct_unknown", "no struct of the schema")
    if kind.SEAL is None:
        raise BadInput("no signed struct")
    raw = octets(x["hex"])
    if kind.SEAL.signer or "by" not in x:
        opened, id = sig.open(kind, raw)
        signer = getattr(opened, kind.SEAL.signer)
    else:
        signer = known_agent(x["by"])
        opened, id = sig.open_by(kind, raw, signer)
    _CONTENT.get(kind, lambda _: None)(opened)
    return {"id": str(id), "signer": str(sig.key_id(signer))}


def _codebook_decode(x: Input) -> Output:
    entries, id = codebook.decode(octets(x["hex"]))
    return {"id": str(id), "entries": len(entries)}


OPS: dict[str, Op] = {
    "can.decode": _can_decode,
    "can.encode": _can_encode,
    "struct.decode": _struct_decode,
    "hash.sum": lambda x: {"hash": str(cid.sum(octets(x["hex"])))},
    "hash.parse": lambda x: {"hex": cid.parse(x["text"]).encode().hex()},
    "hash.without": _hash_without,
    "key.id": lambda x: {"hash": str(sig.key_id(agent(x["agent"])))},
    "idem.id": _idem_id,
    "sig.verify": _sig_verify,
    "object.open": _object_open,
    "codebook.decode": _codebook_decode,
}
