"""Package manifests and trees (RFC-MYTHOS-0006 §2, §5).

A manifest is the closed struct PackageManifest; package_id is the SHA-256 of
its bytes without fields 1, 11 and 12, its CID that of all its bytes. What a
manifest says is worth nothing until somebody known has signed it: decode
returns an Unverified, and only Unverified.verify, given the publishers to
believe and what the host offers, makes a Verified.
"""

from .check import CODE_VERSION, Host, check_artifact_content, check_host
from .module import check_module, check_tool_name, check_word, name_covers, tool_id
from .path import check_path, check_paths
from .sign import Publisher, Unverified, Verified, add_signature, decode, sign, signature_list
from .tree import decode_tree, validate_tree
from .validate import validate
from .version import Version, parse_version

__all__ = [
    "CODE_VERSION",
    "Host",
    "Publisher",
    "Unverified",
    "Verified",
    "Version",
    "add_signature",
    "check_artifact_content",
    "check_host",
    "check_module",
    "check_path",
    "check_paths",
    "check_tool_name",
    "check_word",
    "decode",
    "decode_tree",
    "name_covers",
    "parse_version",
    "sign",
    "signature_list",
    "tool_id",
    "validate",
    "validate_tree",
]
