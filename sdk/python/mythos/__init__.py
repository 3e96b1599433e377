"""MYTHOS v0.2: canonical encoding, ids, signatures and the objects made of them.

A program imports the module it needs::

    from mythos import cid, receipt, sig, structs, value

    value        values that no struct describes: encode, decode, JSON view
    structs      the structs of RFC-MYTHOS-0002, generated from the schema
    cid, sig     hashes and object ids; keys, signatures, signed objects
    merkle, blob lists of hashes and chunked blobs, with their proofs
    receipt, ledger, caps, wire, manifest, abi, codebook
                 receipts, ledger entries, capability chains, packets, package
                 manifests, tool calls, codebooks
    conformance  the adapter for ``mythos ctvp verify --impl``

What comes from outside is decoded strictly, and refused with a MythosError
whose code is the same in every language.
"""

from .cid import Hash
from .fault import MythosError

__all__ = ["Hash", "MythosError"]

__version__ = "0.2.0"
