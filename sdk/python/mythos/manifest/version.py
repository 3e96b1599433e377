"""Semantic versions (semver.org 2.0.0) and their order."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..fault import fail

MAX_VERSION = 128

_NUMBER = r"(?:0|[1-9][0-9]*)"
_PRE = rf"(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_FORM = re.compile(rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-({_PRE}(?:\.{_PRE})*))?(\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?")

Key = tuple[int, int, str]


@dataclass(frozen=True)
class Version:
    """A parsed version. key orders by precedence; a build takes no part in it."""

    core: tuple[str, str, str]
    pre: tuple[str, ...]
    build: bool

    @property
    def key(self) -> tuple[list[Key], bool, list[Key]]:
        """A pre-release comes before its release, numbers before words."""
        return [_key(n) for n in self.core], not self.pre, [_key(p) for p in self.pre]


def _key(identifier: str) -> Key:
    # Numbers have no leading zeros, so the longer one is the greater; none is
    # ever converted, whatever its length.
    if identifier.isdecimal():
        return 0, len(identifier), identifier
    return 1, 0, identifier


def parse_version(text: str, subject: str = "") -> Version:
    """Read MAJOR.MINOR.PATCH with an optional -PRE and +BUILD: package_version."""
    match = _FORM.fullmatch(text) if len(text) <= MAX_VERSION else None
    if not match:
        fail("package_version", f"{text[:100]!r} is not a semantic version of at most {MAX_VERSION} bytes", subject=subject)
    pre = tuple(match[4].split(".")) if match[4] else ()
    return Version((match[1], match[2], match[3]), pre, bool(match[5]))
