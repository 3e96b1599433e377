"""MYTHOS-CAN v0.2, the canonical encoding of all that is hashed or signed
(RFC-MYTHOS-0001 §2).

A value is one tag byte and its payload::

    00 NULL   01 false   02 true
    03 UVARINT  unsigned LEB128, at most 64 bits, minimal
    04 IVARINT  zigzag, then LEB128
    05 BYTES    length varint, bytes
    06 TEXT     length varint, UTF-8
    07 LIST     count varint, items
    08 MAP      count varint, key value pairs, ascending by encoded key bytes

A struct is a MAP whose keys are the UVARINT field numbers 1..127.

A Reader is a strict cursor that raises at the first fault, with the code and
the offset that RFC-MYTHOS-0001 §2.3 fixes; every length and count is bounded by
the bytes left before anything is allocated. The ``put_`` functions append to a
bytearray. The generated structs (mythos.structs) are built from both; module
mythos.value has values that no struct describes.
"""

from .reader import (
    BYTES,
    FALSE,
    INT,
    LIST,
    MAP,
    MAX_DEPTH,
    NULL,
    TEXT,
    TRUE,
    U64_MAX,
    UINT,
    Fields,
    Reader,
    check,
    tag_name,
    uvarint,
    without,
)
from .struct import (
    Seal,
    Struct,
    seal_of,
)
from .writer import (
    Writes,
    put_bool,
    put_bytes,
    put_fixed,
    put_int,
    put_list,
    put_pairs,
    put_raw,
    put_struct,
    put_text,
    put_text_map,
    put_u8,
    put_u16,
    put_u32,
    put_u32_map,
    put_u64,
    put_uint,
    put_varint,
)

__all__ = [
    "BYTES",
    "FALSE",
    "Fields",
    "INT",
    "LIST",
    "MAP",
    "MAX_DEPTH",
    "NULL",
    "Reader",
    "Seal",
    "Struct",
    "TEXT",
    "TRUE",
    "U64_MAX",
    "UINT",
    "Writes",
    "check",
    "put_bool",
    "put_bytes",
    "put_fixed",
    "put_int",
    "put_list",
    "put_pairs",
    "put_raw",
    "put_struct",
    "put_text",
    "put_text_map",
    "put_u16",
    "put_u32",
    "put_u32_map",
    "put_u64",
    "put_u8",
    "put_uint",
    "put_varint",
    "seal_of",
    "tag_name",
    "uvarint",
    "without",
]
