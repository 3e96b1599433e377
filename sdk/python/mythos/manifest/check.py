"""What a package asks of its executor, and the content of its artifacts
(RFC-MYTHOS-0006 §2, §3).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import BinaryIO

from .. import blob, sig
from ..blob import ArtifactID
from ..cid import Hash
from ..fault import MythosError, fail
from ..structs import Attestation, PackageManifest
from .validate import FORMAT_VERSION, min_version
from .version import parse_version

CODE_VERSION = "0.2.0"
"""The semantic version of this package, for a Host that is made of it."""


@dataclass(frozen=True)
class Host:
    """What an executor offers."""

    version: str  # its semantic version
    codebooks: Collection[Hash]  # those it has; none fits no package
    features: Collection[str] = ()  # those it knows
    ctvps: Collection[Hash] = ()  # SHA-256 of SHA256SUMS of the conformance packs it passed


def check_host(x: PackageManifest, host: Host) -> None:
    """Perform steps 4 to 8 of the loading order: format, executor's version,
    codebook, features, conformance pack.
    """
    r = x.requires
    if x.format_version != FORMAT_VERSION:
        fail("package_format", f"format_version is {x.format_version}, this version reads {FORMAT_VERSION}")
    least = min_version(r)
    if parse_version(host.version).key < least.key:
        fail("executor_too_old", f"this executor is {host.version}, the package wants {r.executor_min_version} or later")
    if r.codebook_id not in host.codebooks:
        fail("codebook_mismatch", f"the package uses codebook {r.codebook_id}, which this executor does not have")
    for f in r.features:
        if f not in host.features:
            fail("feature_missing", f"the package needs feature {ascii(f[:100])}, which this executor lacks")
    if r.ctvp_id is not None and r.ctvp_id not in host.ctvps:
        fail("ctvp_unknown", f"the package wants an executor that passed conformance pack {r.ctvp_id}")


def check_attestations(x: PackageManifest, package_id: Hash) -> None:
    """Perform step 10: each attestation is about this package, its id
    recomputes and its signature verifies.
    """
    for a in x.attestations:
        subject = f"attestation {a.attestation_id}"
        if a.subject_hash != package_id:
            fail("attestation_invalid", f"it is about {a.subject_hash}, not about this package", subject=subject)
        try:
            # Attestations are closed here, so that encoding what was decoded
            # gives the original bytes.
            sig.open(Attestation, a.encode())
        except MythosError as e:
            fail("attestation_invalid", str(e), subject=subject)


def check_artifact_content(id: ArtifactID, source: bytes | BinaryIO) -> None:
    """Refuse content that is not exactly what id names: artifact_size,
    artifact_hash.
    """
    try:
        blob.check_artifact(id, source)
    except MythosError as e:
        code = {"blob_size": "artifact_size", "blob_hash": "artifact_hash"}.get(e.code, e.code)
        raise MythosError(code, e.message, e.offset, f"artifact {id.cid}") from None
