"""The rules for paths in trees and archives (RFC-MYTHOS-0006 §5)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..fault import fail

MAX_PATH = 1024
MAX_SEGMENT = 255

_SEGMENT = re.compile(r"[A-Za-z0-9._@+~=,()\[\]!$ -]+")
_DEVICE = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9]|lpt[0-9])")
_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


def check_path(path: str) -> None:
    """Refuse a path that is not safe on every system: path_invalid. A path that
    passes is relative, stays below its root and means the same file everywhere.
    """
    size = len(path.encode())
    if not 1 <= size <= MAX_PATH:
        fail("path_invalid", f"a path of {size} bytes, want 1..{MAX_PATH}")
    for segment in path.split("/"):
        why = _bad_segment(segment)
        if why:
            fail("path_invalid", why, subject=ascii(path[:100]))


def _bad_segment(s: str) -> str:
    if not s:
        return "an empty segment (a path neither starts nor ends with a slash)"
    if len(s) > MAX_SEGMENT:
        return "a segment of more than 255 bytes"
    if s in (".", ".."):
        return "a segment that is . or .."
    if s[-1] in ". ":
        return "a segment that ends in a dot or a space"
    if not _SEGMENT.fullmatch(s):
        return "a character other than ASCII letters, digits, space and ._@+~=,()[]!$-"
    if _DEVICE.fullmatch(lower(s.partition(".")[0].rstrip(" "))):
        return "a Windows device name"
    return ""


def lower(s: str) -> str:
    """ASCII lower-casing: it never changes with a newer table of Unicode."""
    return s.translate(_LOWER)


def check_paths(paths: Iterable[str]) -> None:
    """Refuse good paths that cannot lie in one tree on every system:
    path_collision. No two are equal but for case, none is another's folder.
    """
    # With the slash below every other character, whatever lies in a folder
    # follows the folder's own name at once.
    folded = sorted((lower(p) for p in paths), key=lambda p: p.replace("/", "\0"))
    for a, b in zip(folded, folded[1:]):
        if a == b:
            fail("path_collision", "two paths are equal, or equal but for case", subject=ascii(b))
        if b.startswith(a + "/"):
            fail("path_collision", f"a file and the folder of {ascii(b)}", subject=ascii(a))
