"""What the generated structs have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeVar

from .reader import Reader

S = TypeVar("S", bound="Struct")


@dataclass(frozen=True)
class Seal:
    """Where a signed struct keeps its id, signature and signer: attribute names
    and field numbers, "" and 0 where it has none.
    """

    id: str
    id_field: int
    signature: str
    signature_field: int
    signer: str  # "": no field names the signer, so its signature has a key_id
    keyless: bool  # readers accept it without a key_id all the same


class Struct:
    """The base of the generated structs: they have ``write`` and ``read``."""

    __slots__ = ()

    SEAL: ClassVar[Seal | None] = None
    """Set in structs that are signed."""

    def write(self, out: bytearray) -> None:
        """Append the canonical bytes."""
        raise TypeError(f"{type(self).__name__} is no generated struct")

    @classmethod
    def read(cls: type[S], r: Reader) -> S:
        """Read the struct at the cursor."""
        raise TypeError(f"{cls.__name__} is no generated struct")

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        out = bytearray()
        self.write(out)
        return bytes(out)

    @classmethod
    def decode(cls: type[S], raw: bytes | bytearray | memoryview) -> S:
        """Strictly decode raw, which is exactly one struct.

        Ids cover fields that this version does not know: keep raw, and never
        forward what encode() makes of a decoded object.
        """
        r = Reader(raw)
        value = cls.read(r)
        r.done()
        return value


def seal_of(x: Struct | type[Struct]) -> Seal:
    """Return the seal of a signed struct."""
    if x.SEAL is None:
        raise TypeError(f"{x!r} is not signed")
    return x.SEAL
