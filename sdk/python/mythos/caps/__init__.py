"""Capabilities and the chains that prove them (RFC-MYTHOS-0008).

A Capability says who (issuer) lets whom (subject) use what power (scope), from
when until when, and whether the subject may pass it on. A proof is the
canonical LIST of BYTES, root first, of 1 to 8 complete Capabilities, at most
16,384 bytes long.

decode_proof checks form only and yields a Chain. Chain.check decides about one
use: every signature, then principals, then time, then scope, then revocation; a
refusal is a Denial that names the link and the rule. The power of a chain is
the meet of its links. Counting is the ledger's part: a Grant says what to
spend. Nothing here reads a clock, resolves a name or fetches a list.
"""

from .chain import Chain, Count, Denial, Grant, Use, decode_proof, encode_proof, issue
from .constraint import Call, arg
from .request import (
    Connect,
    DeleteBlob,
    Evaluate,
    PinBlob,
    Promote,
    PublishPackage,
    ReadBlob,
    ReadCell,
    ReadClock,
    ReadFile,
    ReadRandom,
    ReadSecret,
    Request,
    RunPackage,
    Spawn,
    Train,
    WriteBlob,
    WriteCell,
    WriteFile,
)
from .revocation import ListUse, Mark, Revocations, open_revocations, sign_revocations
from .scope import KINDS, check_scope, covers, kind_name, scope_of

__all__ = [
    "KINDS",
    "Call",
    "Chain",
    "Connect",
    "Count",
    "DeleteBlob",
    "Denial",
    "Evaluate",
    "Grant",
    "ListUse",
    "Mark",
    "PinBlob",
    "Promote",
    "PublishPackage",
    "ReadBlob",
    "ReadCell",
    "ReadClock",
    "ReadFile",
    "ReadRandom",
    "ReadSecret",
    "Request",
    "Revocations",
    "RunPackage",
    "Spawn",
    "Train",
    "Use",
    "WriteBlob",
    "WriteCell",
    "WriteFile",
    "arg",
    "check_scope",
    "covers",
    "decode_proof",
    "encode_proof",
    "issue",
    "kind_name",
    "open_revocations",
    "scope_of",
    "sign_revocations",
]
