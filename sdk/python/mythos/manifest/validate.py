"""Every rule that a manifest's own bytes can decide, in the order of its fields
(RFC-MYTHOS-0006 §2, §3 and §4): step 9 of the loading order.
"""

from __future__ import annotations

import re

from ..cid import Hash
from ..fault import fail
from ..structs import Artifact, ModuleBinding, PackageManifest, Requires, Signature
from . import module
from .module import check_module, check_name, check_word, label
from .tree import artifact_id
from .version import Version, parse_version

FORMAT_VERSION = 1
MAX_ARTIFACT_SIZE = 8_589_934_591

_MEDIA_TYPE = re.compile(r"[ -~]{1,255}")

Kinds = dict[Hash, int]


def validate(x: PackageManifest) -> None:
    """Check a manifest, its signatures and attestations apart from their form."""
    if x.format_version != FORMAT_VERSION:
        fail("package_format", f"format_version is {x.format_version}, this version reads {FORMAT_VERSION}")
    if not check_name(x.name):
        fail("package_name", f"{ascii(x.name[:100])}: want lower-case words joined by . _ / or -, at most 128 bytes")
    parse_version(x.version, "version")
    _validate_requires(x.requires)
    kinds = _artifact_kinds(x.artifacts)
    _validate_modules(x.modules, kinds)
    _validate_entrypoints(x, kinds)
    for i, p in enumerate(x.policies):
        if i and x.policies[i - 1] >= p:
            fail("package_order", "policies must ascend, none twice", subject=str(p))
        _resolve(kinds, p, module.POLICY, "policies")
    _at_most("signatures", len(x.signatures), 64)
    check_signature_list(x.signatures)
    _at_most("attestations", len(x.attestations), 64)
    for a, b in zip(x.attestations, x.attestations[1:]):
        if a.attestation_id >= b.attestation_id:
            fail("package_order", "attestations must ascend by id, none twice", subject=str(b.attestation_id))


def _at_most(what: str, got: int, most: int) -> None:
    if got > most:
        fail("package_limit", f"{got} {what}, at most {most}")


def min_version(x: Requires) -> Version:
    """Return the least executor, a version without a build."""
    v = parse_version(x.executor_min_version, "requires.executor_min_version")
    if v.build:
        fail("package_version", "it has build metadata", subject="requires.executor_min_version")
    return v


def _validate_requires(x: Requires) -> None:
    min_version(x)
    _at_most("features", len(x.features), 64)
    for i, f in enumerate(x.features):
        if not check_word(f):
            fail("feature_missing", f"{ascii(f[:100])} is no feature's name")
        if i and x.features[i - 1] >= f:
            fail("package_order", f"features must ascend, none twice: {ascii(f)}", subject="requires.features")


def _artifact_kinds(artifacts: list[Artifact]) -> Kinds:
    """Check the artifacts and index their kinds by cid."""
    _at_most("artifacts", len(artifacts), 10_000)
    kinds: Kinds = {}
    for i, a in enumerate(artifacts):
        subject = f"artifact {a.cid}"
        if i and artifacts[i - 1].cid >= a.cid:
            fail("package_order", "artifacts must ascend by cid, none twice", subject=subject)
        if a.size > MAX_ARTIFACT_SIZE:
            fail("package_limit", f"{a.size} bytes, at most {MAX_ARTIFACT_SIZE}", subject=subject)
        if not module.IR <= a.kind <= module.IMAGE:
            fail("artifact_invalid", f"kind {a.kind}, want 1..10", subject=subject)
        if not _MEDIA_TYPE.fullmatch(a.media_type):
            fail("artifact_invalid", "media_type is not 1 to 255 bytes of printable ASCII", subject=subject)
        if not artifact_id(a).plausible:
            fail("artifact_hash", f"{a.size} bytes: the cid is the SHA-256 up to 4 MiB, a chunk root above", subject=subject)
        kinds[a.cid] = a.kind
    return kinds


def _validate_modules(modules: list[ModuleBinding], kinds: Kinds) -> None:
    _at_most("modules", len(modules), 1024)
    for i, b in enumerate(modules):
        if i and _order(modules[i - 1]) >= _order(b):
            fail("package_order", "modules must ascend by tool_id, variant and platform, no three twice", subject=label(b))
        check_module(b)
        for ref, kind, word in (
            (b.tool.description, module.DOC, "description"),
            (b.tool.request_schema, module.SCHEMA, "request_schema"),
            (b.tool.response_schema, module.SCHEMA, "response_schema"),
            (b.module.cid, module.artifact_kind(b.module.kind), "module"),
        ):
            if ref is not None:
                _resolve(kinds, ref, kind, f"{label(b)} {word}")
        if i and modules[i - 1].tool_id == b.tool_id:
            _same_outside(modules[i - 1], b)


def _order(b: ModuleBinding) -> tuple[Hash, str, str]:
    return b.tool_id, b.variant, b.module.platform


def _same_outside(a: ModuleBinding, b: ModuleBinding) -> None:
    """Bindings of one tool share what result, hashes and idempotency depend on."""
    x, y = a.module, b.module
    for word, one, other in (
        ("tool", a.tool.encode(), b.tool.encode()),
        ("retry", x.retry, y.retry),
        ("max_request_bytes", x.limits.max_request_bytes, y.limits.max_request_bytes),
        ("max_response_bytes", x.limits.max_response_bytes, y.limits.max_response_bytes),
    ):
        if one != other:
            fail("package_variant_mismatch", f"{word} differs from that of {label(a)}", subject=label(b))


def _validate_entrypoints(x: PackageManifest, kinds: Kinds) -> None:
    if not 1 <= len(x.entrypoints) <= 1024:
        fail("package_limit", f"{len(x.entrypoints)} entry points, want 1..1024")
    for i, e in enumerate(x.entrypoints):
        subject = f"entry point {ascii(e.name[:100])}"
        if i and x.entrypoints[i - 1].name >= e.name:
            fail("package_order", "entry points must ascend by name, none twice", subject=subject)
        if not check_word(e.name):
            fail("entrypoint_invalid", "want lower-case words joined by . _ or -, at most 64 bytes", subject=subject)
        if len(e.doc.encode()) > 4096:
            fail("entrypoint_invalid", f"doc has {len(e.doc.encode())} bytes, at most 4096", subject=subject)
        _resolve(kinds, e.bundle, module.IR, subject)


def check_signature_list(signatures: list[Signature]) -> None:
    """Want a key_id on each signature, ascending."""
    last: Hash | None = None
    for i, s in enumerate(signatures):
        if s.key_id is None:
            fail("key_id", f"signature {i} has no key_id")
        if last is not None and last >= s.key_id:
            fail("package_order", "signatures must ascend by key_id, none twice", subject=str(s.key_id))
        last = s.key_id


def _resolve(kinds: Kinds, h: Hash, want: int, subject: str) -> None:
    """Check that h names an artifact of the kind that a reference wants."""
    got = kinds.get(h)
    if got is None:
        fail("package_reference", f"{h} is not among the artifacts", subject=subject)
    if got != want:
        fail("package_reference", f"{h} is an artifact of kind {got}, want {want}", subject=subject)
