"""The one error of this package.

A failure has a stable code in snake_case (``can_truncated``), the same in every
language; callers branch on ``error.code`` and never on the message. Every code
is listed in ``ctvp/errors.json`` of the project (RFC-MYTHOS-0001 §7).
"""

from __future__ import annotations

from typing import NoReturn


class MythosError(ValueError):
    """Why bytes, an id, a signature or a rule was refused.

    ``offset`` is a byte offset into the input, or None where there is none;
    ``subject`` names what failed and may be empty.
    """

    def __init__(self, code: str, message: str, offset: int | None = None, subject: str = "") -> None:
        super().__init__(code, message, offset, subject)
        self.code = code
        self.message = message
        self.offset = offset
        self.subject = subject

    def __str__(self) -> str:
        subject = self.subject + ": " if self.subject else ""
        at = "" if self.offset is None else f" at byte {self.offset}"
        return f"{subject}{self.message}{at} ({self.code})"

    def about(self, subject: str, shift: int = 0) -> MythosError:
        """Return a copy that names its subject, with the offset moved by shift."""
        offset = None if self.offset is None else self.offset + shift
        return MythosError(self.code, self.message, offset, subject)


def fail(code: str, message: str, offset: int | None = None, subject: str = "") -> NoReturn:
    """Raise a MythosError."""
    raise MythosError(code, message, offset, subject)
