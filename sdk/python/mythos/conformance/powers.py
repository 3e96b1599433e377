"""The ops of the suite caps."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

from .. import caps, sig
from ..cid import ZERO, Hash
from ..structs import AgentID, ToolCallScope
from .values import BadInput, Input, Op, Output, digest, known_agent, number, octets

# The requests of each kind, from their members.
_REQUESTS: dict[int, Callable[[Input], caps.Request]] = {
    1: lambda x: caps.ReadBlob(digest(x["cid"]), number(x.get("start", 0)), number(x["length"]) if "length" in x else None),
    2: lambda x: caps.WriteBlob(x["namespace"], number(x["size"]), x["media"]),
    3: lambda x: caps.PinBlob(digest(x["cid"]), number(x.get("ttl_us", 0))),
    4: lambda x: caps.DeleteBlob(digest(x["cid"])),
    6: lambda x: caps.Train(digest(x["recipe_id"]), number(x["tokens"]), number(x["gpu_ms"])),
    7: lambda x: caps.Evaluate(digest(x["suite_id"])),
    8: lambda x: caps.Promote(x["ring"], digest(x["policy_id"])),
    9: lambda x: caps.Spawn(digest(x["pool_id"]), x["workers"], number(x["cpu_us"]), x["io"]),
    10: lambda x: caps.ReadCell(digest(x["cell_id"]), octets(x.get("key", ""))),
    11: lambda x: caps.WriteCell(digest(x["cell_id"]), tuple(x.get("types", ()))),
    32: lambda x: _connect(x),
    33: lambda x: caps.ReadFile(x["path"]),
    34: lambda x: caps.WriteFile(x["path"], number(x.get("written", 0))),
    35: lambda x: caps.ReadClock(),
    36: lambda x: caps.ReadRandom(),
    37: lambda x: caps.ReadSecret(x["name"]),
    38: lambda x: caps.RunPackage(digest(x["package_id"]), x["ring"]),
    39: lambda x: caps.PublishPackage(x["name"]),
}


def _connect(x: Input) -> caps.Connect:
    raw = octets(x.get("address", ""))
    return caps.Connect(x["host"], ip_address(raw) if raw else None, x["port"], x.get("method", ""))


def _call(x: Input) -> caps.Call:
    hashes = {name: digest(x[name]) for name in ("tool", "package", "module", "request_hash")}
    ledger = digest(x["ledger"]) if "ledger" in x else ZERO
    return caps.Call(**hashes, ledger=ledger, ring=x["ring"], payload=octets(x["payload"]))


def _accepted(lists: list[object]) -> dict[Hash, caps.Revocations]:
    """Open revocation lists and accept each after those before it."""
    known: dict[Hash, caps.Revocations] = {}
    for raw in lists:
        opened = caps.open_revocations(octets(raw))
        issuer = sig.key_id(opened.issuer)
        opened.check_follows(known[issuer].mark if issuer in known else None)
        known[issuer] = opened
    return known


def _caps_check(x: Input) -> Output:
    if sum(name in x for name in ("call", "request", "scope")) != 1:
        raise BadInput("want one of call, request and scope")
    kind, scope, call, request = 0, b"", None, None
    if "call" in x:
        call = _call(x["call"])
        kind, scope = 5, ToolCallScope(tool_id=call.tool, max_calls=1).encode()
    elif "request" in x:
        request = _REQUESTS[x["request"]["kind"]](x["request"])
    else:
        kind, scope = x["scope"]["kind"], octets(x["scope"]["hex"])
    subject = known_agent(x["subject"])
    trusted = [known_agent(a) for a in x["trust"]]
    known = _accepted(x["revocations"])

    def authority(agent: AgentID) -> bool:
        return any(sig.same_agent(agent, a) for a in trusted)

    grant = caps.decode_proof(octets(x["proof"])).check(
        caps.Use(
            subject=subject,
            now=number(x["now"]),
            authority=authority,
            kind=kind,
            scope=scope,
            call=call,
            request=request,
            revocations=lambda issuer: known.get(sig.key_id(issuer)),
        )
    )
    return {
        "cap_ids": [str(id) for id in grant.cap_ids],
        "spend": [{"cap_id": str(s.cap_id), "max": s.max, "n": s.n} for s in grant.spend],
        "lists": [{"issuer": str(u.issuer), "seq": str(u.mark.seq), "id": str(u.mark.id)} for u in grant.lists],
    }


def _caps_subset(x: Input) -> Output:
    caps.covers(x["kind"], octets(x["parent"]), octets(x["child"]))
    return {}


OPS: dict[str, Op] = {"caps.check": _caps_check, "caps.subset": _caps_subset}
