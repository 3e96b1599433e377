"""Scopes: what each kind means, and when one is a subset of another
(RFC-MYTHOS-0008 §5).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..can import Struct
from ..fault import MythosError, fail
from ..structs import (
    BlobDeleteScope,
    BlobPinScope,
    BlobReadScope,
    BlobWriteScope,
    CapScope,
    CellReadScope,
    CellWriteScope,
    ClockScope,
    ComputeSpawnScope,
    DeployPromoteScope,
    EvalRunScope,
    FsReadScope,
    FsWriteScope,
    NetConnectScope,
    PackagePublishScope,
    PackageRunScope,
    RandomScope,
    SecretReadScope,
    ToolCallScope,
    TrainRunScope,
)
from .constraint import Breach, Constraints, loosened, parse_constraints
from .places import hosts_wider, path_wider, range_wider, sound_net, sound_path, sound_range

Why = str
""""" or why not."""

Row = tuple[str, Callable[[Any, Any], Why]]
"""The name of one row of the table and (parent, child) -> why the child is wider."""


@dataclass(frozen=True)
class Rule:
    """What one kind means."""

    kind: int
    struct: type[Struct]
    rows: tuple[Row, ...]
    sound: Callable[[Any], Why] = lambda x: ""

    @property
    def name(self) -> str:
        return self.struct.__name__.removesuffix("Scope")


def _same(field: str) -> Row:
    """The row of a field that must be equal."""

    def wider(p: Struct, c: Struct) -> Why:
        want, got = getattr(p, field), getattr(c, field)
        return "" if want == got else f"{field} {got!s}, not {want!s}"

    return field, wider


def _at_most(field: str) -> Row:
    """The row of a limit; absence means none."""

    def wider(p: Struct, c: Struct) -> Why:
        limit, got = getattr(p, field), getattr(c, field)
        if limit is None:
            return ""
        if got is None:
            return f"no {field}, the parent has {limit}"
        return "" if got <= limit else f"{field} {got} exceeds {limit}"

    return field, wider


def _among(field: str, optional: bool = False) -> Row:
    """The row of an allow list: lists compare as sets. Where it is optional,
    absence restricts nothing.
    """

    def wider(p: Struct, c: Struct) -> Why:
        allowed, got = getattr(p, field), getattr(c, field)
        if optional and not allowed:
            return ""
        if optional and not got:
            return f"no {field}, the parent has some"
        known = set(allowed)
        extra = [x for x in got if x not in known]
        return f"{field} {extra[0]!r} is not allowed" if extra else ""

    return field, wider


def _begins(field: str) -> Row:
    def wider(p: Struct, c: Struct) -> Why:
        want, got = getattr(p, field), getattr(c, field)
        return "" if got.startswith(want) else f"{field} {got!r} does not begin with {want!r}"

    return field, wider


def _below() -> Row:
    return "path", lambda p, c: path_wider(p.path, c.path)


_RULES = {
    rule.kind: rule
    for rule in (
        Rule(1, BlobReadScope, (_same("cid"), ("range", range_wider)), sound_range),
        Rule(2, BlobWriteScope, (_same("namespace"), _at_most("max_size"), _among("media_allow"))),
        Rule(3, BlobPinScope, (_same("cid"), _at_most("ttl_us"))),
        Rule(4, BlobDeleteScope, (_same("cid"),)),
        Rule(5, ToolCallScope, (_same("tool_id"), _at_most("max_calls"))),
        Rule(6, TrainRunScope, (_same("recipe_id"), _at_most("max_jobs"), _at_most("max_tokens"), _at_most("max_gpu_ms"))),
        Rule(7, EvalRunScope, (_same("suite_id"), _at_most("max_runs"))),
        Rule(8, DeployPromoteScope, (_same("ring_id"), _same("policy_id"))),
        Rule(9, ComputeSpawnScope, (_same("pool_id"), _at_most("max_workers"), _at_most("max_cpu_us"), _at_most("max_io"))),
        Rule(10, CellReadScope, (_same("cell_id"), _begins("key_prefix"))),
        Rule(11, CellWriteScope, (_same("cell_id"), _at_most("max_events"), _among("event_type_allow", True))),
        Rule(32, NetConnectScope, (("hosts", hosts_wider), _among("ports"), _among("methods", True)), sound_net),
        Rule(33, FsReadScope, (_below(),), lambda x: sound_path(x.path)),
        Rule(34, FsWriteScope, (_below(), _at_most("max_bytes")), lambda x: sound_path(x.path)),
        Rule(35, ClockScope, ()),
        Rule(36, RandomScope, ()),
        Rule(37, SecretReadScope, (_same("name"),)),
        Rule(38, PackageRunScope, (_same("package_id"), _at_most("ring"))),
        Rule(39, PackagePublishScope, (_begins("name_prefix"),)),
    )
}

KINDS: dict[int, type[Struct]] = {kind: rule.struct for kind, rule in _RULES.items()}
"""The scope struct of every known kind."""

TOOL_CALL = 5


def kind_name(kind: int) -> str:
    """Return the name of a kind, or "kind N" for one that is not known."""
    rule = _RULES.get(kind)
    return rule.name if rule else f"kind {kind}"


def kind_of(power: Struct) -> int:
    """Return the kind of a scope struct."""
    for kind, struct in KINDS.items():
        if type(power) is struct:
            return kind
    raise TypeError(f"{type(power).__name__} is no scope")


def scope_of(power: Struct) -> CapScope:
    """Return the scope that a Capability carries for a scope struct."""
    return CapScope(kind=kind_of(power), payload=power.encode())


def beyond(field: str, why: str) -> Breach:
    return Breach("cap_scope", field, why)


class Scope:
    """A decoded scope payload."""

    def __init__(self, kind: int, payload: bytes) -> None:
        rule = _RULES.get(kind)
        if rule is None:
            fail("cap_kind_unknown", f"kind {kind} is not known and grants nothing")
        self.rule = rule
        self.power = rule.struct.decode(payload)
        self.constraints: Constraints = {}
        self.malformed: Breach | None = None  # why the constraints hold for nothing
        if isinstance(self.power, ToolCallScope):
            parsed = parse_constraints(self.power.constraints)
            if isinstance(parsed, Breach):
                self.malformed = parsed
            else:
                self.constraints = parsed

    def unsound(self) -> Breach | None:
        """Say why a scope that decodes still means nothing. It covers nothing
        and nothing covers it.
        """
        why = self.rule.sound(self.power)
        return beyond("", why) if why else None

    def wider(self, parent: Scope) -> Breach | None:
        """Say why this is no subset of parent, constraints apart."""
        if self.rule.kind != parent.rule.kind:
            return beyond("kind", f"kind {self.rule.name}, not {parent.rule.name}")
        breach = parent.unsound() or self.unsound()
        if breach:
            return breach
        for field, wider in self.rule.rows:
            why = wider(parent.power, self.power)
            if why:
                return beyond(field, why)
        return None

    def loosened(self, parent: Scope) -> Breach | None:
        """Say why the constraints are no subset of parent's."""
        return parent.malformed or self.malformed or loosened(self.constraints, parent.constraints)

    def count(self) -> int:
        """Return the limit of a kind that counts its uses, otherwise 0."""
        if isinstance(self.power, ToolCallScope):
            return self.power.max_calls
        if isinstance(self.power, TrainRunScope):
            return self.power.max_jobs
        if isinstance(self.power, EvalRunScope):
            return self.power.max_runs
        return self.power.max_events if isinstance(self.power, CellWriteScope) else 0


def _decoded(kind: int, payload: bytes, subject: str) -> Scope:
    try:
        return Scope(kind, payload)
    except MythosError as e:
        raise e.about(subject) from None


def covers(kind: int, parent: bytes, child: bytes) -> None:
    """Refuse a child scope that is no subset of the parent scope, both
    canonical payloads of kind: cap_scope, cap_constraint, cap_kind_unknown, or
    the code of a payload that does not decode.
    """
    p = _decoded(kind, parent, "the parent scope")
    c = _decoded(kind, child, "the child scope")
    breach = c.wider(p) or c.loosened(p)
    if breach:
        fail(breach.code, breach.why)


def check_scope(scope: CapScope) -> None:
    """Refuse a scope that is not known, does not decode, or means nothing: what
    must hold before anyone signs it.
    """
    x = Scope(scope.kind, scope.payload)
    breach = x.unsound() or x.malformed
    if breach:
        fail(breach.code, breach.why)
