"""Scopes row by row, and concrete uses: RFC-MYTHOS-0008 §5."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from mythos import caps, structs
from mythos.can import Struct
from mythos.caps import Denial, Grant

from .support import Case
from .test_caps import AUTHORITY, EXECUTOR, H1, H2, HOLDER, Step, chain, one, use


class Scopes(Case):
    # One accepted and one refused child for every row of RFC-MYTHOS-0008 §5.
    def test_every_row(self) -> None:
        s = structs
        rows: list[tuple[str, Struct, dict[str, Any], dict[str, Any]]] = [
            ("cid", s.BlobReadScope(cid=H1), {}, {"cid": H2}),
            (
                "range",
                s.BlobReadScope(cid=H1, range_start=5, range_len=10),
                {"range_start": 6, "range_len": 9},
                {"range_len": 11},
            ),
            ("range", s.BlobReadScope(cid=H1, range_start=5), {"range_len": 3}, {"range_start": 4}),
            ("range", s.BlobReadScope(cid=H1, range_len=5), {"range_start": 0}, {"range_len": None}),
            ("namespace", s.BlobWriteScope(namespace="a", max_size=1, media_allow=[]), {}, {"namespace": "b"}),
            ("max_size", s.BlobWriteScope(namespace="a", max_size=1, media_allow=[]), {"max_size": 0}, {"max_size": 2}),
            (
                "media_allow",
                s.BlobWriteScope(namespace="a", max_size=1, media_allow=["x", "y"]),
                {"media_allow": ["y", "y"]},
                {"media_allow": ["z"]},
            ),
            ("cid", s.BlobPinScope(cid=H1, ttl_us=1), {}, {"cid": H2}),
            ("ttl_us", s.BlobPinScope(cid=H1, ttl_us=1), {"ttl_us": 0}, {"ttl_us": 2}),
            ("cid", s.BlobDeleteScope(cid=H1), {}, {"cid": H2}),
            ("tool_id", s.ToolCallScope(tool_id=H1, max_calls=1), {}, {"tool_id": H2}),
            ("max_calls", s.ToolCallScope(tool_id=H1, max_calls=1), {"max_calls": 0}, {"max_calls": 2}),
            ("recipe_id", s.TrainRunScope(recipe_id=H1, max_jobs=1, max_tokens=1), {}, {"recipe_id": H2}),
            ("max_jobs", s.TrainRunScope(recipe_id=H1, max_jobs=1, max_tokens=1), {"max_jobs": 0}, {"max_jobs": 2}),
            ("max_tokens", s.TrainRunScope(recipe_id=H1, max_jobs=1, max_tokens=1), {"max_gpu_ms": 9}, {"max_tokens": 2}),
            (
                "max_gpu_ms",
                s.TrainRunScope(recipe_id=H1, max_jobs=1, max_tokens=1, max_gpu_ms=1),
                {"max_gpu_ms": 0},
                {"max_gpu_ms": None},
            ),
            ("suite_id", s.EvalRunScope(suite_id=H1, max_runs=1), {}, {"suite_id": H2}),
            ("max_runs", s.EvalRunScope(suite_id=H1, max_runs=1), {"max_runs": 0}, {"max_runs": 2}),
            ("ring_id", s.DeployPromoteScope(ring_id=1, policy_id=H1), {}, {"ring_id": 0}),
            ("policy_id", s.DeployPromoteScope(ring_id=1, policy_id=H1), {}, {"policy_id": H2}),
            ("pool_id", s.ComputeSpawnScope(pool_id=H1, max_workers=1, max_cpu_us=1, max_io=1), {}, {"pool_id": H2}),
            (
                "max_workers",
                s.ComputeSpawnScope(pool_id=H1, max_workers=1, max_cpu_us=1, max_io=1),
                {"max_workers": 0},
                {"max_workers": 2},
            ),
            (
                "max_cpu_us",
                s.ComputeSpawnScope(pool_id=H1, max_workers=1, max_cpu_us=1, max_io=1),
                {"max_cpu_us": 0},
                {"max_cpu_us": 2},
            ),
            ("max_io", s.ComputeSpawnScope(pool_id=H1, max_workers=1, max_cpu_us=1, max_io=1), {"max_io": 0}, {"max_io": 2}),
            ("cell_id", s.CellReadScope(cell_id=H1), {"key_prefix": b"a"}, {"cell_id": H2}),
            ("key_prefix", s.CellReadScope(cell_id=H1, key_prefix=b"a"), {"key_prefix": b"ab"}, {"key_prefix": b"b"}),
            ("cell_id", s.CellWriteScope(cell_id=H1, max_events=1), {}, {"cell_id": H2}),
            ("max_events", s.CellWriteScope(cell_id=H1, max_events=1), {"max_events": 0}, {"max_events": 2}),
            (
                "event_type_allow",
                s.CellWriteScope(cell_id=H1, max_events=1, event_type_allow=[1, 2]),
                {"event_type_allow": [2]},
                {"event_type_allow": []},
            ),
            (
                "hosts",
                s.NetConnectScope(hosts=["*.a.org", "b.org"], ports=[1]),
                {"hosts": ["x.a.org", "b.org"]},
                {"hosts": ["a.org"]},
            ),
            ("hosts", s.NetConnectScope(hosts=["*.a.org"], ports=[1]), {}, {"hosts": ["x.y.a.org"]}),
            ("ports", s.NetConnectScope(hosts=["a.org"], ports=[1, 2]), {"ports": [2]}, {"ports": [3]}),
            ("methods", s.NetConnectScope(hosts=["a.org"], ports=[1], methods=["GET"]), {"ports": []}, {"methods": ["POST"]}),
            ("path", s.FsReadScope(path="/a"), {"path": "/a/b"}, {"path": "/ab"}),
            ("path", s.FsWriteScope(path="/", max_bytes=1), {"path": "/a"}, {}),
            ("max_bytes", s.FsWriteScope(path="/a", max_bytes=1), {"max_bytes": 0}, {"max_bytes": 2}),
            ("name", s.SecretReadScope(name="a"), {}, {"name": "ab"}),
            ("package_id", s.PackageRunScope(package_id=H1, ring=1), {}, {"package_id": H2}),
            ("ring", s.PackageRunScope(package_id=H1, ring=1), {"ring": 0}, {"ring": 2}),
            ("name_prefix", s.PackagePublishScope(name_prefix="a"), {"name_prefix": "ab"}, {"name_prefix": "b"}),
        ]
        kinds = {struct: kind for kind, struct in caps.KINDS.items()}
        for row, parent, good, bad in rows:
            with self.subTest(type(parent).__name__, row=row, bad=bad):
                kind = kinds[type(parent)]
                caps.covers(kind, parent.encode(), replace(parent, **good).encode())
                if not bad:
                    continue
                self.refused("cap_scope", caps.covers, kind, parent.encode(), replace(parent, **bad).encode())
                steps = [
                    Step(AUTHORITY, HOLDER, caps.scope_of(parent)),
                    Step(HOLDER, EXECUTOR, caps.scope_of(replace(parent, **bad))),
                ]
                e = self.refused("cap_scope", chain(steps).check, use(kind=kind, scope=parent.encode(), call=None))
                assert isinstance(e, Denial)
                if e.link == 1:
                    self.assertEqual((e.rule, e.field), ("subset", row))
        self.assertEqual({type(r[1]) for r in rows} | {structs.ClockScope, structs.RandomScope}, set(caps.KINDS.values()))

    def test_unsound_scopes(self) -> None:
        s = structs
        for scope in (
            s.BlobReadScope(cid=H1, range_start=2**64 - 1, range_len=1),
            *(s.NetConnectScope(hosts=[h], ports=[1]) for h in ("", "A.org", "127.1", "010.0.0.1", "0x7f000001", "*.1.2.3", "*.", "a..b", "-a", "a-", "::FFFF:1.2.3.4", "::ffff:102:304", "fe80::1%eth0", "a" * 64, ".".join(["a" * 60] * 5), "a b", "*", "*.*.a", "1:2")),
            *(s.NetConnectScope(hosts=["a"], ports=[p]) for p in (0, 65536)),
            *(s.NetConnectScope(hosts=["a"], ports=[1], methods=[m]) for m in ("", "get", "A" * 33)),
            *(s.FsReadScope(path=p) for p in ("", "a", "/a/", "//", "/a//b", "/./a", "/a/..", "/a\0b")),
        ):  # fmt: skip
            with self.subTest(scope):
                self.refused("cap_scope", caps.check_scope, caps.scope_of(scope))
                c = caps.scope_of(scope)
                self.refused("cap_scope", caps.covers, c.kind, c.payload, c.payload)
        for host in ("a", "a.b_c-d.org", "*.a.org", "1.2.3.4", "::1", "2001:db8::1", "xn--a", "*.x1"):
            caps.check_scope(caps.scope_of(s.NetConnectScope(hosts=[host], ports=[1])))
        self.refused("cap_kind_unknown", caps.covers, 12, b"", b"")
        self.refused("can_truncated", caps.covers, 35, b"\x08\x00", b"")


class Requests(Case):
    def allowed(self, power: Struct, request: caps.Request) -> Grant:
        return one(caps.scope_of(power)).check(use(kind=0, scope=b"", call=None, request=request))

    def test_every_kind(self) -> None:
        s = structs
        blob = s.BlobReadScope(cid=H1, range_len=10)
        good: list[tuple[Struct, caps.Request, int]] = [
            (blob, caps.ReadBlob(H1, 2, 8), 0),
            (s.BlobWriteScope(namespace="n", max_size=5, media_allow=["m"]), caps.WriteBlob("n", 5, "m"), 0),
            (s.BlobPinScope(cid=H1, ttl_us=5), caps.PinBlob(H1, 5), 0),
            (s.BlobDeleteScope(cid=H1), caps.DeleteBlob(H1), 0),
            (s.TrainRunScope(recipe_id=H1, max_jobs=1, max_tokens=5), caps.Train(H1, 5, 5), 1),
            (s.EvalRunScope(suite_id=H1, max_runs=1), caps.Evaluate(H1), 1),
            (s.DeployPromoteScope(ring_id=1, policy_id=H1), caps.Promote(1, H1), 0),
            (s.ComputeSpawnScope(pool_id=H1, max_workers=1, max_cpu_us=1, max_io=1), caps.Spawn(H1, 1, 1, 1), 0),
            (s.CellReadScope(cell_id=H1, key_prefix=b"a"), caps.ReadCell(H1, b"ab"), 0),
            (s.CellWriteScope(cell_id=H1, max_events=3, event_type_allow=[1, 2]), caps.WriteCell(H1, (1, 2, 1)), 3),
            (s.FsReadScope(path="/a"), caps.ReadFile("/a/b"), 0),
            (s.FsWriteScope(path="/a", max_bytes=5), caps.WriteFile("/a/b", 5), 0),
            (s.ClockScope(), caps.ReadClock(), 0),
            (s.RandomScope(), caps.ReadRandom(), 0),
            (s.SecretReadScope(name="a"), caps.ReadSecret("a"), 0),
            (s.PackageRunScope(package_id=H1, ring=1), caps.RunPackage(H1, 0), 0),
            (s.PackagePublishScope(name_prefix="a/"), caps.PublishPackage("a/b"), 0),
        ]
        for power, request, n in good:
            self.assertEqual([c.n for c in self.allowed(power, request).spend], [n] if n else [])
        bad: list[tuple[Struct, caps.Request]] = [
            (blob, caps.ReadBlob(H1, 2)),
            (blob, caps.ReadBlob(H1, 2, 9)),
            (s.CellWriteScope(cell_id=H1, max_events=3), caps.WriteCell(H1, ())),
            (s.CellWriteScope(cell_id=H1, max_events=3), caps.WriteCell(H1, (1, 2, 3, 4))),
            (s.TrainRunScope(recipe_id=H1, max_jobs=0, max_tokens=5), caps.Train(H1, 5, 5)),
            (s.PackagePublishScope(name_prefix=""), caps.PublishPackage("")),
            (s.FsReadScope(path="/a"), caps.ReadFile("/a/../b")),
            (s.ClockScope(), caps.ReadRandom()),
        ]
        for power, request in bad:
            self.refused("cap_scope", self.allowed, power, request)

    def test_connections(self) -> None:
        public, private = ip_address("93.184.216.34"), ip_address("10.0.0.1")
        net = structs.NetConnectScope(hosts=["a.org", "*.b.org", "10.0.0.1"], ports=[443], methods=["GET"])
        for request in (
            caps.Connect("a.org", public, 443, "GET"),
            caps.Connect("x.b.org", public, 443, "GET"),
            caps.Connect("10.0.0.1", private, 443, "GET"),
            caps.Connect("a.org", private, 443, "GET"),  # listed as an address
            caps.Connect("a.org", ip_address("::ffff:10.0.0.1"), 443, "GET"),
        ):
            self.allowed(net, request)
        for request in (
            caps.Connect("a.org", public, 443),
            caps.Connect("a.org", public, 80, "GET"),
            caps.Connect("a.org", None, 443, "GET"),
            caps.Connect("*.b.org", public, 443, "GET"),
            caps.Connect("10.0.0.1", public, 443, "GET"),
            caps.Connect("a.org", ip_address("10.0.0.2"), 443, "GET"),
        ):
            self.refused("cap_scope", self.allowed, net, request)

    def test_special_addresses(self) -> None:
        net = structs.NetConnectScope(hosts=["a.org"], ports=[443])
        for (
            text
        ) in """0.0.0.0 10.1.2.3 100.64.0.1 127.0.0.1 168.63.129.16 169.254.169.254 172.31.0.1 192.0.0.192 192.0.2.1 192.88.99.1
            192.168.1.1 198.19.0.1 198.51.100.1 203.0.113.1 224.0.0.1 255.255.255.255 ::1 :: fe80::1 fd00:ec2::254 ff02::1 2001::1 2001:db8::1
            2002:a00:1:: 3fff::1 64:ff9b::a00:1 ::ffff:127.0.0.1 4000::1""".split():
            self.refused("cap_scope", self.allowed, net, caps.Connect("a.org", ip_address(text), 443))
        for (
            text
        ) in "1.1.1.1 100.128.0.1 172.32.0.1 198.20.0.1 168.63.129.17 2606:4700::1 2001:200::1 3ffe::1 ::ffff:1.1.1.1".split():
            self.allowed(net, caps.Connect("a.org", ip_address(text), 443))
