"""The ops of the suites wire, tool, receipt, ledger and package, and of seals."""

from __future__ import annotations

import io
from typing import Any

from .. import abi, cid, ledger, manifest, receipt, run, sig, wire
from ..fault import fail
from ..ledger import State
from ..structs import DerivedKey
from .values import BadInput, Input, Op, Output, Unsupported, digest, known_agent, number, octets


def _wire_parse(x: Input) -> Output:
    p = wire.parse(octets(x["hex"]))
    signers = {sig.key_id(a) for a in p.signers()}
    for id in map(digest, x.get("need", ())):
        if id not in signers:
            fail("signature_invalid", f"no verified signature by key {id}")
    return {
        "codec": p.codec,
        "codebook": str(p.codebook),
        "payload_sha256": str(cid.sum(p.payload)),
        "digest": str(p.digest()),
        "signatures": [{"signer": str(sig.key_id(a)), "verdict": state} for a, state in p.verify()],
    }


def _wire_bundle(x: Input) -> Output:
    p = wire.parse(octets(x["hex"]))
    if p.codec == wire.CODEC_ZSTD:
        raise Unsupported  # this package brings no zstd
    return {"bundle": str(cid.sum(p.bundle()))}


def _tool_request(x: Input) -> Output:
    raw = octets(x["hex"])
    request = abi.decode_request(raw)
    return {
        "hash": str(cid.sum(raw)),
        "tool_id": str(request.tool_id),
        "idem_id": str(request.idem_id),
        "payload": request.payload.hex(),
    }


def _tool_response(x: Input) -> Output:
    raw = octets(x["hex"])
    response = abi.decode_response(raw)
    out: Output = {"hash": str(cid.sum(raw)), "status": response.status, "payload": response.payload.hex()}
    if response.error is not None:
        message = {"message": response.error.message} if response.error.message else {}
        out["error"] = {"code": response.error.code} | message
    return out


def _tool_id(x: Input) -> Output:
    abi.check_tool_name(x["name"])
    return {"id": str(abi.tool_id(x["name"], x["interface"], digest(x["request"]), digest(x["response"])))}


def _tool_frame(x: Input) -> Output:
    raw = octets(x["hex"])
    stream = io.BytesIO(raw)
    message = abi.read_frame(stream, x["max"])
    return {"message": message.hex(), "left": len(raw) - stream.tell()}


def _receipt_content(x: Input) -> Output:
    opened, id = receipt.open(octets(x["hex"]))
    receipt.check_content(opened, octets(x["request"]), octets(x["response"]))
    return {"id": str(id), "signer": str(sig.key_id(opened.signer))}


def _seal_check(x: Input) -> Output:
    seal, id = run.open_seal(octets(x["hex"]))
    run.check_receipts(seal, [digest(h) for h in x["receipts"]])
    return {"id": str(id), "signer": str(sig.key_id(seal.signer))}


def _state(s: State) -> Output:
    out: Output = {"phase": s.phase, "attempt": s.attempt, "marked": s.marked}
    if s.owner is None:
        return out
    out |= {
        "request_hash": str(s.request_hash),
        "register_id": str(s.register_id),
        "owner": str(sig.key_id(s.owner)),
        "retry": s.retry,
    }
    if s.commit is not None and s.phase in (ledger.COMMITTED, ledger.DIVERGENT):
        out |= {"receipt_id": str(s.commit.receipt_id), "response_hash": str(s.commit.response_hash)}
    if s.contradiction is not None and s.phase == ledger.DIVERGENT:
        c = s.contradiction
        out["contradiction"] = {"reason": c.reason, "stood": str(c.stood), "other": str(c.other)}
    return out


def _ledger_fold(x: Input) -> Output:
    return _state(ledger.fold((e["kind"], octets(e["hex"])) for e in x["entries"]))


def _ledger_key(x: Input) -> Output:
    authority, holder = digest(x["authority"]), digest(x["holder"])
    if ("explicit" in x) == ("derived" in x):
        raise BadInput("want explicit or derived")
    if "explicit" in x:
        return {"hex": ledger.explicit_key(authority, holder, octets(x["explicit"])).hex()}
    d: dict[str, Any] = x["derived"]
    ids = {name: digest(d[name]) for name in ("package_id", "bundle", "task_id")}
    key = DerivedKey(run_id=d["run_id"], ordinal=number(d["ordinal"]), **ids)
    return {"hex": ledger.derived_key(key, authority, holder).hex()}


def _ledger_leaf(x: Input) -> Output:
    return {"hash": str(ledger.leaf_hash(number(x["index"]), x["kind"], octets(x["hex"])))}


def _ledger_runid(x: Input) -> Output:
    ledger.check_run_id(x["text"])
    return {}


def _path_check(x: Input) -> Output:
    for path in x["paths"]:
        manifest.check_path(path)
    manifest.check_paths(x["paths"])
    return {}


def _tree_open(x: Input) -> Output:
    return {"paths": [e.path for e in manifest.decode_tree(octets(x["hex"])).entries]}


def _publisher(entry: Input, name: str) -> manifest.Publisher:
    keys = [known_agent(k) for k in entry["keys"]]
    covers = any(manifest.name_covers(glob, name) for glob in entry.get("names") or ["**"])
    return manifest.Publisher(keys, entry.get("threshold") or 1, covers)


def _manifest_open(x: Input) -> Output:
    given = x["host"]
    host = manifest.Host(
        given["version"],
        [digest(h) for h in given.get("codebooks") or ()],
        given.get("features") or (),
        [digest(h) for h in given.get("ctvps") or ()],
    )
    u = manifest.decode(octets(x["hex"]))
    v = u.verify([_publisher(p, u.claims.name) for p in x["publishers"] or ()], host)
    signers = [str(sig.key_id(a)) for a in v.signers]
    return {"package_id": str(u.package_id), "manifest_cid": str(u.cid), "signers": signers}


OPS: dict[str, Op] = {
    "wire.parse": _wire_parse,
    "wire.bundle": _wire_bundle,
    "tool.request": _tool_request,
    "tool.response": _tool_response,
    "tool.id": _tool_id,
    "tool.frame": _tool_frame,
    "receipt.content": _receipt_content,
    "seal.check": _seal_check,
    "ledger.fold": _ledger_fold,
    "ledger.key": _ledger_key,
    "ledger.leaf": _ledger_leaf,
    "ledger.runid": _ledger_runid,
    "path.check": _path_check,
    "tree.open": _tree_open,
    "manifest.open": _manifest_open,
}
