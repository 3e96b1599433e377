"""Concrete uses of power, of any kind but ToolCall. What is asked for is judged
as the narrowest scope of its kind that it needs (RFC-MYTHOS-0008 §5.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..can import Struct
from ..cid import Hash
from ..structs import (
    BlobDeleteScope,
    BlobPinScope,
    BlobReadScope,
    BlobWriteScope,
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
    TrainRunScope,
)
from .constraint import Breach
from .places import Address, normal, parse_address, sound_name, special
from .scope import Scope, beyond


class Request:
    """One concrete use."""

    COUNTED: ClassVar[int] = 0
    """How many of a link's counted uses it takes."""

    def spends(self) -> int:
        return self.COUNTED

    def need(self) -> Struct | str:
        """Return the narrowest scope, or why this is no use at all."""
        raise TypeError(type(self).__name__)


@dataclass(frozen=True)
class ReadBlob(Request):
    """Reads a blob from start, length bytes or to the end."""

    cid: Hash
    start: int = 0
    length: int | None = None

    def need(self) -> Struct | str:
        return BlobReadScope(cid=self.cid, range_start=self.start, range_len=self.length)


@dataclass(frozen=True)
class WriteBlob(Request):
    """Stores a blob of size encoded bytes."""

    namespace: str
    size: int
    media: str

    def need(self) -> Struct | str:
        return BlobWriteScope(namespace=self.namespace, max_size=self.size, media_allow=[self.media])


@dataclass(frozen=True)
class PinBlob(Request):
    """Keeps a blob for ttl_us from now."""

    cid: Hash
    ttl_us: int

    def need(self) -> Struct | str:
        return BlobPinScope(cid=self.cid, ttl_us=self.ttl_us)


@dataclass(frozen=True)
class DeleteBlob(Request):
    cid: Hash

    def need(self) -> Struct | str:
        return BlobDeleteScope(cid=self.cid)


@dataclass(frozen=True)
class Train(Request):
    """Starts one job; tokens and gpu_ms are what it may use at most."""

    COUNTED = 1
    recipe: Hash
    tokens: int
    gpu_ms: int

    def need(self) -> Struct | str:
        return TrainRunScope(recipe_id=self.recipe, max_jobs=1, max_tokens=self.tokens, max_gpu_ms=self.gpu_ms)


@dataclass(frozen=True)
class Evaluate(Request):
    """Runs a suite once."""

    COUNTED = 1
    suite: Hash

    def need(self) -> Struct | str:
        return EvalRunScope(suite_id=self.suite, max_runs=1)


@dataclass(frozen=True)
class Promote(Request):
    """Promotes into a ring under a policy."""

    ring: int
    policy: Hash

    def need(self) -> Struct | str:
        return DeployPromoteScope(ring_id=self.ring, policy_id=self.policy)


@dataclass(frozen=True)
class Spawn(Request):
    """Starts workers in a pool; the numbers are totals of the run, this use
    included.
    """

    pool: Hash
    workers: int
    cpu_us: int
    io: int

    def need(self) -> Struct | str:
        return ComputeSpawnScope(pool_id=self.pool, max_workers=self.workers, max_cpu_us=self.cpu_us, max_io=self.io)


@dataclass(frozen=True)
class ReadCell(Request):
    """Reads what a cell holds under keys that begin with key."""

    cell: Hash
    key: bytes = b""

    def need(self) -> Struct | str:
        return CellReadScope(cell_id=self.cell, key_prefix=self.key)


@dataclass(frozen=True)
class WriteCell(Request):
    """Appends events, one type each, at least one, to a cell."""

    cell: Hash
    types: tuple[int, ...]

    def spends(self) -> int:
        return len(self.types)

    def need(self) -> Struct | str:
        if not self.types:
            return "it writes no event"  # an absent list would ask for every type
        return CellWriteScope(cell_id=self.cell, max_events=len(self.types), event_type_allow=list(self.types))


@dataclass(frozen=True)
class Connect(Request):
    """Opens a connection. The host resolves the name once and connects to
    address; every redirect is a Connect of its own. method is that of the HTTP
    request which the host performs; "" is a bare connection.
    """

    host: str
    address: Address | None
    port: int
    method: str = ""

    def need(self) -> Struct | str:
        literal = parse_address(self.host)
        if literal is None and not sound_name(self.host):
            return f"host {self.host!r} is no lower-case name or address"
        if self.address is None:
            return f"host {self.host!r} has no address yet"
        if literal is not None and literal != normal(self.address):
            return f"host {literal} is not address {normal(self.address)}"
        methods = [self.method] if self.method else []
        return NetConnectScope(hosts=[self.host], ports=[self.port], methods=methods)


@dataclass(frozen=True)
class ReadFile(Request):
    """Reads the file or lists the folder at path, symbolic links resolved."""

    path: str

    def need(self) -> Struct | str:
        return FsReadScope(path=self.path)


@dataclass(frozen=True)
class WriteFile(Request):
    """Creates, changes or removes the file at path, symbolic links resolved.
    written is how many bytes the run has written through this chain, this write
    included.
    """

    path: str
    written: int

    def need(self) -> Struct | str:
        return FsWriteScope(path=self.path, max_bytes=self.written)


@dataclass(frozen=True)
class ReadClock(Request):
    def need(self) -> Struct | str:
        return ClockScope()


@dataclass(frozen=True)
class ReadRandom(Request):
    def need(self) -> Struct | str:
        return RandomScope()


@dataclass(frozen=True)
class ReadSecret(Request):
    name: str

    def need(self) -> Struct | str:
        return SecretReadScope(name=self.name)


@dataclass(frozen=True)
class RunPackage(Request):
    """Runs a package in a ring."""

    package: Hash
    ring: int

    def need(self) -> Struct | str:
        return PackageRunScope(package_id=self.package, ring=self.ring)


@dataclass(frozen=True)
class PublishPackage(Request):
    """Publishes a package under a name."""

    name: str

    def need(self) -> Struct | str:
        return PackagePublishScope(name_prefix=self.name) if self.name else "a package without a name"


def reaches(scope: Scope, request: Request | None) -> Breach | None:
    """Say why a link's scope does not let a connection go where it goes: a
    special address counts only if it is itself among the hosts
    (RFC-MYTHOS-0008 §5.2).
    """
    if not isinstance(request, Connect) or request.address is None or not isinstance(scope.power, NetConnectScope):
        return None
    address = normal(request.address)
    if not special(address) or str(address) in scope.power.hosts:
        return None
    return beyond("hosts", f"hosts do not list address {address}, which is special")
