"""The rules for tools and modules (RFC-MYTHOS-0006 §4, §13)."""

from __future__ import annotations

import re

from .. import abi, can
from ..cid import Hash
from ..fault import MythosError, fail
from ..structs import CapRequirement, Limits, ModuleBinding, ModuleRef, Tool

# Artifact kinds.
IR, MODULE, TREE, POLICY, CODEBOOK, CTVP, SCHEMA, DOC, SBOM, IMAGE = range(1, 11)

# Module kinds, retry classes and calling conventions.
WASM, PROCESS, OCI, NATIVE = 1, 2, 3, 4
RECONCILE = 3
HOSTCALL, STDIO = 1, 2

MAX_NAME = 128
MAX_WORD = 64

_NAME = re.compile(r"[a-z0-9]+(?:[._/-][a-z0-9]+)*")
_WORD = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_PLATFORM = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*/[a-z0-9]+(?:_[a-z0-9]+)*")
_NUMBER = r"(?:0|[1-9][0-9]{0,8})"
_COMPARISON = rf"(?:>=|<=|>|<|=){_NUMBER}(?:\.{_NUMBER}){{0,2}}"
_COMPARISONS = re.compile(rf"{_COMPARISON}(?: {_COMPARISON})*")


def check_name(s: str) -> bool:
    """Report whether s may name a package or a tool."""
    return len(s) <= MAX_NAME and bool(_NAME.fullmatch(s))


def check_tool_name(s: str) -> bool:
    """check_name for a tool that a package brings: names below mythos/ are the
    executor's own.
    """
    return check_name(s) and not s.startswith("mythos/")


def name_covers(glob: str, name: str) -> bool:
    """Report whether a glob of a trust entry covers a package's whole name: *
    is any run of characters other than /, ** any run (RFC-MYTHOS-0008 §9).
    """
    # The set of prefixes of name that the glob so far can match, by length:
    # no glob makes this slow.
    reached = {0}
    for part in re.findall(r"\*\*|\*|[^*]", glob):
        if part == "**":
            reached = set(range(min(reached), len(name) + 1))
        elif part == "*":
            reached = {end for start in reached for end in _run(name, start)}
        else:
            reached = {start + 1 for start in reached if name[start : start + 1] == part}
        if not reached:
            return False
    return len(name) in reached


def _run(name: str, start: int) -> range:
    """Return where a run of characters other than / from start on may end."""
    slash = name.find("/", start)
    return range(start, (len(name) if slash < 0 else slash) + 1)


def check_word(s: str) -> bool:
    """Report whether s may name a variant, an entry point or a feature."""
    return len(s) <= MAX_WORD and bool(_WORD.fullmatch(s))


def tool_id(tool: Tool) -> Hash:
    """Return the tool's id: it covers name, interface and types."""
    return abi.tool_id(tool.name, tool.interface, tool.request_type_id, tool.response_type_id)


def label(b: ModuleBinding) -> str:
    """Name a binding for people: tool, variant and platform."""
    text = ascii(b.tool.name[:100])
    if b.variant:
        text += "=" + ascii(b.variant[:100])
    if b.module.platform:
        text += f" ({ascii(b.module.platform[:100])})"
    return text


def check_module(b: ModuleBinding) -> None:
    """Check one binding by itself: tool_invalid, id_mismatch,
    module_ref_invalid, module_limits_invalid.
    """
    if not check_tool_name(b.tool.name):
        fail("tool_invalid", f"{ascii(b.tool.name[:100])}: want lower-case words joined by . _ / or -, not below mythos/")
    want = tool_id(b.tool)
    if b.tool_id != want:
        fail("id_mismatch", f"tool_id says {b.tool_id}, the tool says {want}", subject=label(b))
    if b.variant and not check_word(b.variant):
        fail("module_ref_invalid", "the variant's name is not one", subject=label(b))
    why = _bad(b.module) or _bad_runtime(b.module) or _bad_caps(b.module.caps_required)
    if why:
        fail("module_ref_invalid", why, subject=label(b))
    why = _bad_limits(b.module.limits, b.module.kind)
    if why:
        fail("module_limits_invalid", why, subject=label(b))


def artifact_kind(module_kind: int) -> int:
    """Return the kind of artifact that a module is, 0 if there is no such module."""
    return {WASM: MODULE, NATIVE: MODULE, PROCESS: TREE, OCI: IMAGE}.get(module_kind, 0)


def _bad(m: ModuleRef) -> str:
    wasm = m.kind == WASM
    if not artifact_kind(m.kind):
        return "module kind is not 1..4"
    if m.retry > RECONCILE:
        return "retry is not 0..3"
    if m.abi != STDIO and not (wasm and m.abi == HOSTCALL):
        return "abi is 1 (hostcall, wasm only) or 2 (stdio)"
    if wasm and m.reuse:
        return "reuse does not apply to wasm: every call has a fresh instance"
    if bool(m.probe) != (m.retry == RECONCILE):
        return "a probe goes with retry 3 (reconcile), and with no other"
    if m.probe and _bad_args(m.probe, wasm) or _bad_args(m.entry, wasm):
        return "entry and probe are one export's name for wasm, else 1 to 64 words of 1 to 4096 bytes without NUL"
    return ""


def _bad_args(args: list[str], wasm: bool) -> bool:
    if not 1 <= len(args) <= (1 if wasm else 64):
        return True
    return any(not 1 <= len(a.encode()) <= 4096 or "\0" in a for a in args)


def _bad_runtime(m: ModuleRef) -> str:
    if (m.runtime is not None) != (m.kind == PROCESS):
        return "a process module names its runtime, and only a process module does"
    if m.runtime and m.runtime.name not in ("node", "python3"):
        return "runtime is node or python3"
    if m.runtime and not (len(m.runtime.version) <= MAX_WORD and _COMPARISONS.fullmatch(m.runtime.version)):
        return 'runtime version is comparisons such as ">=3.10 <4"'
    if not m.platform and m.kind == NATIVE:
        return "a native module names its platform"
    if m.platform and m.kind not in (NATIVE, OCI):
        return "only native and image modules have a platform"
    if m.platform and not (len(m.platform) <= MAX_WORD and _PLATFORM.fullmatch(m.platform)):
        return "platform is not OS/ARCH in lower case"
    return ""


def _bad_caps(caps: list[CapRequirement]) -> str:
    if len(caps) > 64:
        return "more than 64 caps_required"
    for i, c in enumerate(caps):
        try:
            if c.scope:
                can.check(c.scope)
        except MythosError:
            return "a scope in caps_required is not one canonical value"
        if i and (caps[i - 1].kind, caps[i - 1].scope) >= (c.kind, c.scope):
            return "caps_required must ascend by kind and scope, none twice"
    return ""


def _bad_limits(x: Limits, kind: int) -> str:
    if not 1_000 <= x.timeout_us <= 3_600_000_000:
        return "timeout_us is not 1,000 (1 ms) to 3,600,000,000 (1 h)"
    if not 64 << 10 <= x.memory_bytes <= 65_535 << 16:
        return "memory_bytes is not 64 KiB to 4 GiB less a page"
    if (x.fuel is not None) != (kind == WASM):
        return "a wasm module has fuel, and only a wasm module does"
    if x.fuel is not None and not 1 <= x.fuel < 1 << 63:
        return "fuel is not 1 to 2^63-1"
    if not 256 <= x.max_request_bytes <= 16 << 20:
        return "max_request_bytes is not 256 to 16,777,216"
    if not 256 <= x.max_response_bytes <= 16 << 20:
        return "max_response_bytes is not 256 to 16,777,216"
    if x.max_stderr_bytes > 16 << 20:
        return "max_stderr_bytes is over 16,777,216"
    if x.max_io_calls > 1_000_000:
        return "max_io_calls is over 1,000,000"
    return ""
