"""Agents, signatures and the objects that carry them (RFC-MYTHOS-0001 §4).

A signature is Ed25519 over the raw 32 bytes of an object's id; an id is the
SHA-256 of the object's original bytes without its id and signature fields.
decode checks an object's id and its signature's form, NOT the signature; open
verifies it too. Whether a signer is trusted is never known here.

The functions that take bytes return the object and its recomputed id.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from . import can, cid, ed25519
from .cid import Hash
from .fault import fail
from .structs import AgentID, Signature

ED25519 = 1
"""The one scheme and algorithm number."""

T = TypeVar("T", bound=can.Struct)


def same_agent(a: AgentID, b: AgentID) -> bool:
    """Report whether two agents have the same scheme and key; hints do not count."""
    return a.scheme == b.scheme and a.key == b.key


def key_id(agent: AgentID) -> Hash:
    """Return the SHA-256 of the canonical agent without its hint
    (RFC-MYTHOS-0001 §4.2).
    """
    return cid.sum(AgentID(scheme=agent.scheme, key=agent.key).encode())


def verify(agent: AgentID, id: Hash, signature: Signature) -> None:
    """Refuse a signature over an id: signature_alg or signature_invalid."""
    if agent.scheme != ED25519 or signature.alg != ED25519:
        fail("signature_alg", f"scheme {agent.scheme} with algorithm {signature.alg}, want 1 and 1 (Ed25519)")
    if not ed25519.verify(agent.key, id, signature.sig_bytes):
        fail("signature_invalid", f"the signature of {id} does not verify")


class Signer(Protocol):
    """Signs ids."""

    @property
    def agent(self) -> AgentID:
        """The public identity."""
        ...

    def sign(self, id: Hash) -> bytes:
        """Return the 64 bytes of the signature over id."""
        ...


@dataclass(frozen=True)
class Key:
    """An Ed25519 secret key in memory, from its 32-byte seed."""

    seed: bytes = field(repr=False)
    hint: str = ""

    @property
    def agent(self) -> AgentID:
        return AgentID(scheme=ED25519, key=ed25519.public_key(self.seed), hint=self.hint)

    def sign(self, id: Hash) -> bytes:
        return ed25519.sign(self.seed, id)


def sign(x: can.Struct, by: Signer) -> tuple[bytes, Hash]:
    """Fill x's signer, id and signature; return its canonical bytes and id."""
    seal = can.seal_of(x)
    agent = by.agent
    signature = Signature(alg=ED25519, sig_bytes=bytes(64))
    if seal.signer:
        setattr(x, seal.signer, agent)
    else:
        signature.key_id = key_id(agent)
    setattr(x, seal.signature, signature)
    id = _id(x.encode(), seal)
    signature.sig_bytes = by.sign(id)
    if seal.id:
        setattr(x, seal.id, id)
    return x.encode(), id


def _id(raw: bytes, seal: can.Seal) -> Hash:
    return cid.without(raw, *((seal.id_field,) if seal.id_field else ()), seal.signature_field)


def object_id(kind: type[T], raw: bytes) -> Hash:
    """Return the id of the signed object raw, from its original bytes."""
    return _id(raw, can.seal_of(kind))


def check_form(x: can.Struct, id: Hash) -> None:
    """Refuse an id field that is not id, and a key_id where none or another is
    due: id_mismatch, key_id.
    """
    seal = can.seal_of(x)
    if seal.id and getattr(x, seal.id) != id:
        fail("id_mismatch", f"the object says {getattr(x, seal.id)}, its bytes say {id}")
    carried = getattr(x, seal.signature).key_id
    if seal.signer and carried is not None:
        fail("key_id", "a signature whose object names its signer has no key_id")
    if not seal.signer and carried is None and not seal.keyless:
        fail("key_id", "a signature whose object names no signer needs a key_id")


def decode(kind: type[T], raw: bytes) -> tuple[T, Hash]:
    """Strictly decode raw and check its id and its signature's form, NOT the
    signature itself.
    """
    x = kind.decode(raw)
    id = object_id(kind, raw)
    check_form(x, id)
    return x, id


def open(kind: type[T], raw: bytes) -> tuple[T, Hash]:
    """decode, and verify the signature by the signer that the object names."""
    x, id = decode(kind, raw)
    seal = can.seal_of(x)
    if not seal.signer:
        fail("key_id", "the object names no signer")
    verify(getattr(x, seal.signer), id, getattr(x, seal.signature))
    return x, id


def open_by(kind: type[T], raw: bytes, by: AgentID) -> tuple[T, Hash]:
    """decode for an object that names no signer, and verify its signature
    against by, whose key id the signature must carry.
    """
    x, id = decode(kind, raw)
    signature = getattr(x, can.seal_of(x).signature)
    if signature.key_id != key_id(by):
        fail("key_id", f"the signature is not by key {key_id(by)}")
    verify(by, id, signature)
    return x, id
