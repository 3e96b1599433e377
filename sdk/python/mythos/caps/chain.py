"""Chains: decoding a proof, and deciding about a use (RFC-MYTHOS-0008 §3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn

from .. import can, sig
from ..cid import Hash
from ..fault import MythosError, fail
from ..structs import AgentID, Capability, ToolCallScope
from .constraint import Arg, Breach, Call, unmet
from .pointer import resolve
from .request import Request, reaches
from .revocation import ListUse, Revocations
from .scope import TOOL_CALL, Scope, beyond, check_scope, kind_name, kind_of

MAX_LINKS = 8
MAX_PROOF = 16384


class Denial(MythosError):
    """Why a chain does not allow a use: which link (0 is the root), by which
    rule, and of a scope which row or constraint key.
    """

    def __init__(self, code: str, message: str, link: int, cap_id: Hash, rule: str, field: str) -> None:
        super().__init__(code, message, None, f"capability link {link} ({cap_id}), rule {rule}")
        self.link = link
        self.cap_id = cap_id
        self.rule = rule
        self.field = field


@dataclass(frozen=True)
class Use:
    """One use of power: a request, or a scope of a kind with or without a call.

    scope is the canonical scope struct of kind, the narrowest one that the use
    needs. With a call (ToolCall) the constraints of every link are evaluated;
    without it scope, constraints included, must be a subset of every link's.
    subject is the executing agent, now is in microseconds since 1970, authority
    says whether a root issuer is trusted, and revocations returns the newest
    accepted list of an issuer.
    """

    subject: AgentID
    now: int
    authority: Callable[[AgentID], bool]
    kind: int = 0
    scope: bytes = b""
    call: Call | None = None
    request: Request | None = None
    revocations: Callable[[AgentID], Revocations | None] = lambda issuer: None

    def need(self) -> Scope | str:
        """Return the narrowest scope that the use needs, or why it is no use."""
        kind, payload = self.kind, self.scope
        if self.request is not None:
            if kind or payload or self.call is not None:
                return "the use is said in two ways"
            power = self.request.need()
            if isinstance(power, str):
                return power
            kind, payload = kind_of(power), power.encode()
        try:
            need = Scope(kind, payload)
        except MythosError as e:
            return f"the use is no scope of kind {kind_name(kind)}: {e}"
        if self.call is not None and kind != TOOL_CALL:
            return f"a call of a tool is no use of kind {need.rule.name}"
        return need

    def spends(self) -> int:
        """Return how many of every link's count the use takes."""
        if self.request is not None:
            return self.request.spends()
        return 1 if self.call is not None else 0


@dataclass(frozen=True)
class Count:
    """A link's limit on uses, and how many this use takes."""

    cap_id: Hash
    max: int
    n: int


@dataclass(frozen=True)
class Grant:
    """A use that a chain allows: its links, root to leaf; what registering the
    effect spends; and the revocation lists that were looked at.
    """

    cap_ids: list[Hash]
    spend: list[Count] = field(default_factory=list)
    lists: list[ListUse] = field(default_factory=list)


class Link:
    """One capability of a chain; its id is recomputed from its bytes."""

    def __init__(self, raw: bytes) -> None:
        self.cap = Capability.decode(raw)
        self.id = sig.object_id(Capability, raw)
        # Told with the signatures, so that no link is judged before all are read.
        self.sealed: MythosError | None = None
        try:
            sig.check_form(self.cap, self.id)
        except MythosError as e:
            self.sealed = e
        try:
            self.scope = Scope(self.cap.scope.kind, self.cap.scope.payload)
        except MythosError as e:
            raise MythosError(e.code, f"its scope: {e}") from e

    def forged(self) -> MythosError | None:
        """Verify the signature, whatever else is wrong."""
        try:
            sig.verify(self.cap.issuer, self.id, self.cap.signature)
        except MythosError as e:
            return self.sealed or e
        return self.sealed


def encode_proof(links: list[bytes]) -> bytes:
    """Return the proof with the given links, root first."""
    out = bytearray()
    can.put_list(out, links, can.put_bytes)
    return bytes(out)


def decode_proof(raw: bytes) -> Chain:
    """Decode a proof: its bounds, every link, every scope payload (step 1). It
    verifies no signature.
    """
    if len(raw) > MAX_PROOF:
        fail("cap_chain_too_long", f"a proof of {len(raw)} bytes, at most {MAX_PROOF}")
    r = can.Reader(raw)
    try:
        n = r.open(can.LIST)
        if not 1 <= n <= MAX_LINKS:
            raise MythosError("cap_chain_too_long", f"a proof of {n} links, want 1..{MAX_LINKS}")
        items = [r.get_bytes() for _ in range(n)]
        r.done()
    except MythosError as e:
        raise e.about("the proof") from None
    links = []
    for i, item in enumerate(items):
        try:
            links.append(Link(item))
        except MythosError as e:
            raise e.about(f"link {i}") from None
    return Chain(bytes(raw), links)


def issue(x: Capability, by: sig.Signer) -> tuple[bytes, Hash]:
    """Sign a capability; return its canonical bytes and cap_id. It refuses what
    no chain could use; whether x fits under its parent is judged by whoever
    checks the chain.
    """
    if x.not_before >= x.expires_at:
        fail("cap_window", f"not_before {x.not_before} is not before expires_at {x.expires_at}")
    try:
        check_scope(x.scope)
    except MythosError as e:
        raise e.about("the scope") from None
    return sig.sign(x, by)


class Chain:
    """A decoded proof: what it says about itself is a claim until check or
    check_principals has returned.
    """

    def __init__(self, raw: bytes, links: list[Link]) -> None:
        self.raw = raw
        self.links = links

    @property
    def cap_ids(self) -> list[Hash]:
        """The cap_id of every link, root first."""
        return [link.id for link in self.links]

    @property
    def root(self) -> AgentID:
        """The issuer of the root: the authority, if it is trusted."""
        return self.links[0].cap.issuer

    @property
    def holder(self) -> AgentID:
        """The issuer of the leaf: who must show possession of its key."""
        return self.links[-1].cap.issuer

    def check(self, use: Use) -> Grant:
        """Decide whether the chain allows a use: steps 2 to 6, in that order."""
        self.check_principals(use.subject, use.authority)
        for i in range(len(self.links)):
            self._check_time(i, use.now)
        self._check_scope(use)
        lists = self._check_revocation(use)
        n = use.spends()
        spend = [Count(link.id, link.scope.count(), n) for link in self.links] if n else []
        return Grant(self.cap_ids, spend, lists)

    def check_principals(self, subject: AgentID, authority: Callable[[AgentID], bool]) -> None:
        """Perform steps 2 and 3 alone: what a proof must pass when a run starts.
        Every signature is verified before anything is said.
        """
        forged = [link.forged() for link in self.links]
        for i, why in enumerate(forged):
            if why:
                self._deny(i, "signature", "cap_signature", str(why))
        root = self.links[0].cap
        if root.attenuation_parent is not None:
            self._deny(0, "root", "cap_chain_broken", f"the first link has a parent, {root.attenuation_parent}")
        if not authority(root.issuer):
            self._deny(0, "authority", "cap_issuer_untrusted", f"key {sig.key_id(root.issuer)} is no authority here")
        for i in range(1, len(self.links)):
            self._check_parent(i)
        for i in range(1, len(self.links)):
            self._check_delegation(i)
        leaf = self.links[-1].cap
        if not sig.same_agent(leaf.subject, subject):
            self._deny(
                len(self.links) - 1,
                "subject",
                "cap_subject",
                f"it is for key {sig.key_id(leaf.subject)}, the executor is {sig.key_id(subject)}",
            )

    def _deny(self, i: int, rule: str, code: str, why: str, field: str = "") -> NoReturn:
        raise Denial(code, why, i, self.links[i].id, rule, field)

    def _breach(self, i: int, rule: str, breach: Breach | None) -> None:
        if breach:
            self._deny(i, rule, breach.code, breach.why, breach.field)

    def _check_parent(self, i: int) -> None:
        """Check that link i continues the one before it."""
        child, parent = self.links[i].cap, self.links[i - 1]
        if child.attenuation_parent != parent.id:
            self._deny(i, "parent", "cap_chain_broken", f"its parent is {child.attenuation_parent}, want {parent.id}")
        if not any(sig.same_agent(child.issuer, a) for a in (parent.cap.subject, parent.cap.issuer)):
            self._deny(i, "issuer", "cap_chain_broken", "its issuer is neither the parent's subject nor its issuer")

    def _check_delegation(self, i: int) -> None:
        """Check that nobody passes on what was not theirs to pass on."""
        child, parent = self.links[i].cap, self.links[i - 1].cap
        if parent.delegable:
            return
        if not sig.same_agent(child.issuer, parent.issuer):
            self._deny(i, "delegable", "cap_not_delegable", "its parent may not be passed on by its subject")
        if child.delegable:
            self._deny(i, "delegable", "cap_not_delegable", "it is delegable, its parent is not")

    def _check_time(self, i: int, now: int) -> None:
        x = self.links[i].cap
        if x.not_before >= x.expires_at:
            self._deny(i, "window", "cap_window", f"not_before {x.not_before} is not before expires_at {x.expires_at}")
        if i:
            p = self.links[i - 1].cap
            if x.not_before < p.not_before or x.expires_at > p.expires_at:
                self._deny(i, "window", "cap_window", "its window is not within the parent's")
        if now < x.not_before:
            self._deny(i, "not_before", "cap_not_yet_valid", f"it counts from {x.not_before}, now is {now}")
        if now >= x.expires_at:
            self._deny(i, "expires_at", "cap_expired", f"it expired at {x.expires_at}, now is {now}")

    def _check_scope(self, use: Use) -> None:
        """Go over the links, for each over the rows of step 5."""
        need = use.need()
        if isinstance(need, str):
            self._deny(0, "use", "cap_scope", f"{need}, so nothing covers it")
        found: dict[str, bytes] = {}
        if use.call is not None:
            found = resolve(use.call.payload, self._pointers())
        for i, link in enumerate(self.links):
            if i:
                parent = self.links[i - 1].scope
                self._breach(i, "subset", link.scope.wider(parent))
                self._breach(i, "constraint_subset", link.scope.loosened(parent))
            self._breach(i, "use", _covers(link.scope, need, use))
            self._breach(i, "constraint_use", _allows(link.scope, need, use.call, found))

    def _pointers(self) -> list[str]:
        return [c.pointer for link in self.links for c in link.scope.constraints.values() if isinstance(c, Arg)]

    def _check_revocation(self, use: Use) -> list[ListUse]:
        """Check for one link after the other whether it has the fresh list that
        it demands, and whether the issuer of it or of a link above revoked it.
        """
        used: list[ListUse] = []
        lists: list[Revocations | None] = []
        for i, link in enumerate(self.links):
            own = use.revocations(link.cap.issuer)
            if own and not sig.same_agent(own.issuer, link.cap.issuer):
                own = None  # somebody else's word
            lists.append(own)
            if own:
                mark = ListUse(sig.key_id(link.cap.issuer), own.mark)
                used += [mark] if mark not in used else []
            if link.cap.revocation_required and not (own and own.fresh(use.now)):
                self._deny(
                    i, "revocation", "cap_revocation_required", "it counts only with a fresh revocation list of its issuer"
                )
            for j, known in enumerate(lists):
                if known and known.names(link.id):
                    self._deny(i, "revoked", "cap_revoked", f"the issuer of link {j} has revoked it (seq {known.list.seq})")
        return used


def _covers(scope: Scope, need: Scope, use: Use) -> Breach | None:
    """Say why scope does not cover the use, constraints apart. The calls of a
    concrete call are counted when they are spent, not here.
    """
    want, have = need.power, scope.power
    if use.call is None or not isinstance(want, ToolCallScope) or not isinstance(have, ToolCallScope):
        return need.wider(scope) or reaches(scope, use.request)
    if want.tool_id != use.call.tool:
        return beyond("tool_id", f"the use is of tool {want.tool_id}, the call of {use.call.tool}")
    if have.tool_id != want.tool_id:
        return beyond("tool_id", f"tool_id {want.tool_id}, not {have.tool_id}")
    return None


def _allows(scope: Scope, need: Scope, call: Call | None, found: dict[str, bytes]) -> Breach | None:
    """Say why the constraints of scope deny the use."""
    if scope.malformed:
        return scope.malformed
    if call is None:
        return need.loosened(scope)
    for key, constraint in scope.constraints.items():
        why = constraint.denies(call, found)
        if why:
            return unmet(key, why)
    return None
