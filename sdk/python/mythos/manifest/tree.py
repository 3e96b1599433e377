"""Trees: modules of many files (RFC-MYTHOS-0006 §5)."""

from __future__ import annotations

from ..blob import ArtifactID
from ..fault import fail
from ..structs import Artifact, Tree, TreeEntry
from .path import check_path, check_paths

MAX_FILES = 100_000
MAX_TOTAL = 4 << 30
MAX_ENCODED = 128 << 20


def artifact_id(x: Artifact | TreeEntry) -> ArtifactID:
    """Return what x names."""
    return ArtifactID(x.cid, x.size, x.sha256)


def decode_tree(raw: bytes) -> Tree:
    """Strictly decode a tree and check its rules."""
    if len(raw) > MAX_ENCODED:
        fail("tree_invalid", f"{len(raw)} bytes, at most {MAX_ENCODED}")
    x = Tree.decode(raw)
    validate_tree(x)
    return x


def validate_tree(x: Tree) -> None:
    """Check order, limits and paths of a tree."""
    if not 1 <= len(x.entries) <= MAX_FILES:
        fail("tree_invalid", f"{len(x.entries)} files, want 1..{MAX_FILES}")
    total = 0
    last: str | None = None
    for e in x.entries:
        check_path(e.path)
        if last is not None and e.path == last:
            fail("path_collision", "the file stands twice", subject=e.path)
        if last is not None and e.path < last:
            fail("tree_invalid", "files must ascend by path", subject=e.path)
        if e.mode > 1:
            fail("tree_invalid", f"mode {e.mode}, want 0 (file) or 1 (executable)", subject=e.path)
        if not artifact_id(e).plausible:
            fail("artifact_hash", f"{e.size} bytes: the cid is the SHA-256 up to 4 MiB and a chunk root above", subject=e.path)
        total += e.size
        if total > MAX_TOTAL:
            fail("tree_invalid", "more than 4 GiB in all", subject=e.path)
        last = e.path
    check_paths(e.path for e in x.entries)
