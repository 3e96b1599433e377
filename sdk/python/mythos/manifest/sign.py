"""Manifests as signed objects: decoding, who has signed, signing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .. import can, cid, sig
from ..cid import Hash
from ..fault import MythosError, fail
from ..structs import AgentID, PackageManifest, Signature
from .check import Host, check_attestations, check_host
from .validate import FORMAT_VERSION, check_signature_list, validate

MAX_BYTES = 4 << 20


@dataclass(frozen=True)
class Publisher:
    """One answer to "who may sign this package": threshold distinct keys must
    have signed it together. covers: this publisher may speak for its name.
    """

    keys: Sequence[AgentID]
    threshold: int = 1
    covers: bool = True

    def met(self, signers: list[AgentID]) -> bool:
        """Report whether enough of the keys are among signers."""
        n = sum(any(sig.same_agent(s, k) for k in self.keys) for s in signers)
        return self.covers and 0 < self.threshold <= n


@dataclass(frozen=True)
class Unverified:
    """A manifest that decodes and whose package_id recomputes; nobody has
    vouched for what it claims.
    """

    raw: bytes
    claims: PackageManifest
    package_id: Hash

    @property
    def cid(self) -> Hash:
        """The hash of all bytes, signatures included."""
        return cid.sum(self.raw)

    def verify(self, publishers: Sequence[Publisher], host: Host) -> Verified:
        """Perform steps 3 to 10 of the loading order (RFC-MYTHOS-0006 §9) but
        for manifest.sig, and stop at the first failure.
        """
        signers, by = self.authorise(publishers)
        check_host(self.claims, host)
        validate(self.claims)
        self.check_attestations()
        return Verified(self, signers, by)

    def check_attestations(self) -> None:
        """Check that every attestation is about this package and verifies."""
        check_attestations(self.claims, self.package_id)

    def authorise(self, publishers: Sequence[Publisher]) -> tuple[list[AgentID], int]:
        """Check the signatures: unsigned, signer_unknown, signature_invalid
        (one of a known key, even if others suffice), signer_threshold. Return
        the known keys that have signed and the first publisher that is met.
        """
        signers = self._known_signers(publishers)
        for i, p in enumerate(publishers):
            if p.met(signers):
                return signers, i
        fail(
            "signer_threshold",
            f"{len(signers)} known keys have signed, too few of any publisher for this name",
            subject=str(self.package_id),
        )

    def _known_signers(self, publishers: Sequence[Publisher]) -> list[AgentID]:
        subject = str(self.package_id)
        if not self.claims.signatures:
            fail("unsigned", "the package carries no signature", subject=subject)
        check_signature_list(self.claims.signatures)
        known = {sig.key_id(k): k for p in publishers for k in p.keys}
        signers: list[AgentID] = []
        invalid: Signature | None = None
        for s in self.claims.signatures:
            key = known.get(s.key_id) if s.key_id is not None else None
            if key is None:
                continue
            signers.append(key)
            try:
                sig.verify(key, self.package_id, s)
            except MythosError:
                invalid = invalid or s
        if not signers:
            fail("signer_unknown", "no known key has signed", subject=subject)
        if invalid:
            fail("signature_invalid", f"the signature by {invalid.key_id} does not verify over package_id", subject=subject)
        return signers


@dataclass(frozen=True)
class Verified:
    """A manifest that a publisher has signed, that the host can run and that
    follows every rule of its format.
    """

    unverified: Unverified
    signers: list[AgentID]
    publisher: int  # the first one that was met

    @property
    def manifest(self) -> PackageManifest:
        """The verified content."""
        return self.unverified.claims


def decode(raw: bytes) -> Unverified:
    """Strictly decode a manifest and recompute package_id, no more."""
    if len(raw) > MAX_BYTES:
        fail("package_limit", f"{len(raw)} bytes, at most {MAX_BYTES}")
    raw = bytes(raw)
    claims = PackageManifest.decode(raw)
    id = cid.without(raw, 1, 11, 12)
    if id != claims.package_id:
        fail("id_mismatch", f"package_id says {claims.package_id}, the bytes say {id}")
    return Unverified(raw, claims, id)


def signature_list(x: PackageManifest) -> bytes:
    """Return the content of manifest.sig: field 11 as a LIST, empty if absent."""
    out = bytearray()
    can.put_list(out, x.signatures, can.put_struct)
    return bytes(out)


def sign(x: PackageManifest, *signers: sig.Signer) -> bytes:
    """Return the bytes of x with its format version and package_id, signed by
    each signer, after checking it. x itself is not changed.
    """
    x = replace(x, format_version=FORMAT_VERSION, signatures=[])
    x.package_id = cid.without(x.encode(), 1, 11, 12)
    validate(x)
    for by in signers:
        _add(x, by)
    raw = x.encode()
    if len(raw) > MAX_BYTES:
        fail("package_limit", f"{len(raw)} bytes, at most {MAX_BYTES}")
    return raw


def add_signature(raw: bytes, by: sig.Signer) -> bytes:
    """Return the manifest raw with by's signature added or replaced."""
    u = decode(raw)
    x = replace(u.claims)
    _add(x, by)
    out = x.encode()
    if cid.without(out, 1, 11, 12) != u.package_id:
        fail("id_mismatch", f"signing changed the package {u.package_id}")
    return out


def _add(x: PackageManifest, by: sig.Signer) -> None:
    key_id = sig.key_id(by.agent)
    signature = Signature(alg=sig.ED25519, key_id=key_id, sig_bytes=by.sign(x.package_id))
    others = [s for s in x.signatures if s.key_id != key_id]
    x.signatures = sorted([*others, signature], key=lambda s: s.key_id or b"")
