"""What the tests share: keys, hexadecimal, refusals, and data from elsewhere."""

from __future__ import annotations

import json
import os
import random
import re
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mythos import cid, sig
from mythos.cid import Hash
from mythos.fault import MythosError

REPOSITORY = Path(__file__).resolve().parents[3]


def unhex(text: str) -> bytes:
    """Read hexadecimal digits, ignoring white space."""
    return bytes.fromhex(re.sub(r"\s", "", text))


def digest(text: str) -> Hash:
    """Read a hash of 64 digits."""
    return Hash(bytes.fromhex(text))


def named(text: str) -> Hash:
    """Return the SHA-256 of a text: a hash that stands for something."""
    return cid.sum(text.encode())


def key(byte: int, hint: str = "") -> sig.Key:
    """Return the TEST-ONLY key whose seed is 32 equal bytes."""
    return sig.Key(bytes([byte]) * 32, hint)


def missing(test: unittest.TestCase, what: str) -> None:
    """Skip for want of data, loudly; fail in CI."""
    if os.environ.get("CI") == "true":
        test.fail(what)
    print(f"\nSKIPPED: {what}")
    test.skipTest(what)


def folder(test: unittest.TestCase, variable: str, what: str) -> Path:
    """Return the folder that an environment variable names."""
    path = os.environ.get(variable, "")
    if not path:
        missing(test, f"{variable} is not set: {what} are NOT checked.")
    return Path(path)


def read_json(path: Path) -> Any:
    return json.loads(path.read_bytes())


class Case(unittest.TestCase):
    """A test that knows refusals."""

    def refused(self, code: str, call: Callable[..., object], *args: Any, offset: int | None = -1, **kwargs: Any) -> MythosError:
        """Expect a MythosError with a code and, if given, an offset."""
        with self.assertRaises(MythosError) as caught:
            call(*args, **kwargs)
        self.assertEqual(caught.exception.code, code, caught.exception)
        if offset != -1:
            self.assertEqual(caught.exception.offset, offset, caught.exception)
        return caught.exception


def shuffled(items: list[Any], seed: int) -> list[Any]:
    """Return the items in a seeded order."""
    out = list(items)
    random.Random(seed).shuffle(out)
    return out
