"""Package manifests and trees: RFC-MYTHOS-0006 §2 to §5."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from mythos import abi, blob, cid, codebook, manifest, sig
from mythos.cid import Hash
from mythos.manifest import Host, Publisher
from mythos.structs import (
    Artifact,
    Attestation,
    CapRequirement,
    Entrypoint,
    Limits,
    ModuleBinding,
    ModuleRef,
    PackageManifest,
    Requires,
    Runtime,
    Tool,
    Tree,
    TreeEntry,
)

from .support import Case, key, named

PUBLISHER, OTHER = key(42), key(1)
HOST = Host("0.3.0", [codebook.baseline_id()], ["ir.level1"])
ANY = abi.type_id("any")


def artifact(kind: int, name: str, size: int = 7) -> Artifact:
    return Artifact(kind=kind, cid=named(name), media_type="text/plain", size=size, sha256=named(name))


def binding(name: str = "demo/echo", variant: str = "", **module: Any) -> ModuleBinding:
    tool = Tool(name=name, interface=1, request_type_id=ANY, response_type_id=ANY)
    limits = Limits(
        timeout_us=30_000_000, memory_bytes=64 << 20, fuel=10**9, max_request_bytes=1 << 20, max_response_bytes=1 << 20,
        max_stderr_bytes=65536, max_io_calls=0,
    )  # fmt: skip
    given: dict[str, Any] = {"kind": 1, "cid": named("module"), "entry": ["_start"], "limits": limits, "retry": 0, "abi": 1}
    return ModuleBinding(tool_id=manifest.tool_id(tool), tool=tool, variant=variant, module=ModuleRef(**(given | module)))


def package() -> PackageManifest:
    """Return a manifest that follows every rule, unsigned."""
    kinds = {"ir": 1, "module": 2, "tree": 3, "policy": 4, "schema": 7, "doc": 8, "image": 10}
    return PackageManifest(
        package_id=cid.ZERO, format_version=1, name="demo/one", version="1.2.3-rc.1+build.5",
        requires=Requires(executor_min_version="0.2.0", codebook_id=codebook.baseline_id(), features=["ir.level1"]),
        artifacts=sorted((artifact(kind, name) for name, kind in kinds.items()), key=lambda a: a.cid),
        modules=[binding()], entrypoints=[Entrypoint(name="main", bundle=named("ir"), task_id=named("task"))],
        policies=[named("policy")],
    )  # fmt: skip


def process(**fields: Any) -> dict[str, Any]:
    """Return what makes a module a process module."""
    limits = binding().module.limits
    limits.fuel = None
    return {"kind": 2, "cid": named("tree"), "abi": 2, "limits": limits, "runtime": Runtime(name="node", version=">=20")} | fields


Edit = Callable[[PackageManifest], Any]


class Signatures(Case):
    def setUp(self) -> None:
        self.raw = manifest.sign(package(), PUBLISHER)

    def test_opens(self) -> None:
        u = manifest.decode(self.raw)
        v = u.verify([Publisher([PUBLISHER.agent])], HOST)
        self.assertEqual((u.cid, v.publisher, v.signers), (cid.sum(self.raw), 0, [PUBLISHER.agent]))
        self.assertEqual(v.manifest.name, "demo/one")
        self.assertEqual(cid.without(self.raw, 1, 11, 12), u.package_id)
        self.assertEqual(manifest.signature_list(u.claims)[:2], b"\x07\x01")
        self.assertEqual(manifest.signature_list(package()), b"\x07\x00")

    def test_three_verdicts(self) -> None:
        u = manifest.decode(self.raw)
        trusted = [Publisher([PUBLISHER.agent])]
        self.refused("unsigned", manifest.decode(manifest.sign(package())).authorise, trusted)
        self.refused("signer_unknown", u.authorise, [Publisher([OTHER.agent])])
        self.refused("signer_unknown", u.authorise, [])
        self.refused("signer_threshold", u.authorise, [Publisher([PUBLISHER.agent, OTHER.agent], 2)])
        self.refused("signer_threshold", u.authorise, [Publisher([PUBLISHER.agent], covers=False)])
        self.refused("signer_threshold", u.authorise, [Publisher([PUBLISHER.agent], 0)])
        both = manifest.decode(manifest.add_signature(self.raw, OTHER))
        self.assertEqual(both.package_id, u.package_id)
        self.assertEqual(both.authorise([Publisher([key(9).agent]), Publisher([PUBLISHER.agent, OTHER.agent], 2)])[1], 1)
        again = manifest.decode(manifest.add_signature(both.raw, OTHER))
        self.assertEqual(again.raw, both.raw)

    def test_a_bad_signature_of_a_known_key(self) -> None:
        x = manifest.decode(manifest.add_signature(self.raw, OTHER)).claims
        x.signatures[0].sig_bytes = bytes(64)
        u = manifest.decode(x.encode())
        trusted = [Publisher([PUBLISHER.agent, OTHER.agent])]
        self.refused("signature_invalid", u.authorise, trusted)
        x.signatures.reverse()
        self.refused("package_order", manifest.decode(x.encode()).authorise, trusted)
        x.signatures[0].key_id = None
        self.refused("key_id", manifest.decode(x.encode()).authorise, trusted)

    def test_tampering(self) -> None:
        x = manifest.decode(self.raw).claims
        x.name = "demo/two"
        self.refused("id_mismatch", manifest.decode, x.encode())
        self.refused("can_trailing", manifest.decode, self.raw + b"\0")
        self.refused("package_limit", manifest.decode, bytes(manifest.sign.__globals__["MAX_BYTES"] + 1))

    def test_hosts(self) -> None:
        u = manifest.decode(self.raw)
        trusted = [Publisher([PUBLISHER.agent])]
        for host, code in (
            (Host("0.1.9", [codebook.baseline_id()], ["ir.level1"]), "executor_too_old"),
            (Host("0.2.0-rc.1", [codebook.baseline_id()], ["ir.level1"]), "executor_too_old"),
            (Host("0.2.0", [], ["ir.level1"]), "codebook_mismatch"),
            (Host("0.2.0", [codebook.baseline_id()]), "feature_missing"),
            (Host("x", [codebook.baseline_id()], ["ir.level1"]), "package_version"),
        ):
            self.refused(code, u.verify, trusted, host)
        x = package()
        x.requires.ctvp_id = named("pack")
        self.refused("ctvp_unknown", manifest.check_host, x, HOST)
        manifest.check_host(x, Host("0.3.0", HOST.codebooks, HOST.features, [named("pack")]))
        x.format_version = 2
        self.refused("package_format", manifest.check_host, x, HOST)

    def attested(self, subject: Hash | None = None, **fields: Any) -> manifest.Unverified:
        x = package()
        id = manifest.decode(manifest.sign(x)).package_id
        a = Attestation(subject_hash=subject or id, claim_type=1, result=1, time_observed=0)
        sig.sign(a, OTHER)
        for name, v in fields.items():
            setattr(a, name, v)
        x.attestations = [a]
        return manifest.decode(manifest.sign(x, PUBLISHER))

    def test_attestations(self) -> None:
        u = self.attested()
        self.assertEqual(u.package_id, manifest.decode(self.raw).package_id)
        u.verify([Publisher([PUBLISHER.agent])], HOST)
        for bad in (self.attested(named("x")), self.attested(result=0), self.attested(attestation_id=named("x"))):
            self.refused("attestation_invalid", bad.check_attestations)


class Rules(Case):
    def refuse(self, code: str, edit: Edit) -> None:
        x = package()
        edit(x)
        self.refused(code, manifest.validate, x)

    def module(self, code: str, **fields: Any) -> None:
        self.refuse(code, lambda x: setattr(x, "modules", [binding(**fields)]))

    def test_head(self) -> None:
        manifest.validate(package())
        self.refuse("package_format", lambda x: setattr(x, "format_version", 2))
        for name in ("", "Demo", "a//b", "-a", "a-", "a b", "x" * 129, "a\n"):
            self.refuse("package_name", lambda x: setattr(x, "name", name))
        for version in (
            "",
            "1",
            "1.2",
            "01.2.3",
            "1.2.3-01",
            "1.2.3-",
            "1.2.3+",
            "v1.2.3",
            "1.2.3 ",
            "1.2.3-\u0661",
            "1.2." + "3" * 128,
        ):
            self.refuse("package_version", lambda x: setattr(x, "version", version))
        self.refuse("package_version", lambda x: setattr(x.requires, "executor_min_version", "0.2.0+b"))
        self.refuse("package_order", lambda x: setattr(x.requires, "features", ["b", "a"]))
        self.refuse("feature_missing", lambda x: setattr(x.requires, "features", ["A"]))
        self.refuse("package_limit", lambda x: setattr(x.requires, "features", [f"f{i:03}" for i in range(65)]))

    def test_artifacts(self) -> None:
        self.refuse("package_order", lambda x: x.artifacts.reverse())
        self.refuse("package_order", lambda x: x.artifacts.insert(0, x.artifacts[0]))
        self.refuse("artifact_invalid", lambda x: setattr(x.artifacts[0], "kind", 11))
        self.refuse("artifact_invalid", lambda x: setattr(x.artifacts[0], "kind", 0))
        for media in ("", "\n", "\u00e9", "x" * 256):
            self.refuse("artifact_invalid", lambda x: setattr(x.artifacts[0], "media_type", media))
        self.refuse("artifact_hash", lambda x: setattr(x.artifacts[0], "sha256", named("x")))
        self.refuse("artifact_hash", lambda x: setattr(x.artifacts[0], "size", (4 << 20) + 1))
        self.refuse("package_limit", lambda x: setattr(x.artifacts[0], "size", 8_589_934_592))
        self.refuse("package_reference", lambda x: setattr(x.entrypoints[0], "bundle", named("module")))
        self.refuse("package_reference", lambda x: setattr(x.entrypoints[0], "bundle", named("x")))
        self.refuse("package_reference", lambda x: setattr(x.modules[0].module, "cid", named("ir")))
        self.refuse("package_reference", lambda x: setattr(x.modules[0].tool, "description", named("ir")))
        self.refuse("package_reference", lambda x: setattr(x, "policies", [named("ir")]))
        self.refuse("package_order", lambda x: setattr(x, "policies", [named("policy")] * 2))

    def test_entrypoints(self) -> None:
        self.refuse("package_limit", lambda x: x.entrypoints.clear())
        self.refuse("package_order", lambda x: x.entrypoints.append(x.entrypoints[0]))
        self.refuse("entrypoint_invalid", lambda x: setattr(x.entrypoints[0], "name", "a/b"))
        self.refuse("entrypoint_invalid", lambda x: setattr(x.entrypoints[0], "doc", "\u00e9" * 2049))

    def test_tools(self) -> None:
        self.module("tool_invalid", name="mythos/x")
        self.module("tool_invalid", name="Demo")
        self.refuse("id_mismatch", lambda x: setattr(x.modules[0], "tool_id", named("x")))
        self.refuse("package_order", lambda x: x.modules.append(x.modules[0]))
        self.module("module_ref_invalid", variant="a/b")

    def test_variants(self) -> None:
        x = package()
        x.modules = [binding(), binding(variant="node", **process())]
        manifest.validate(x)
        x.modules[1].module.retry = 1
        self.refused("package_variant_mismatch", manifest.validate, x)
        x.modules = [binding(), binding(variant="node", **process())]
        x.modules[1].module.limits.max_request_bytes += 1
        self.refused("package_variant_mismatch", manifest.validate, x)
        x.modules = [binding(), binding(variant="node", **process())]
        x.modules[1].tool.description = named("doc")
        self.refused("package_variant_mismatch", manifest.validate, x)

    def test_modules(self) -> None:
        bad = "module_ref_invalid"
        for fields in (
            {"kind": 5}, {"retry": 4}, {"abi": 3}, {"reuse": True}, {"probe": ["p"]}, {"retry": 3}, {"entry": []}, {"entry": ["a", "b"]},
            {"entry": ["a\0"]}, {"entry": ["x" * 4097]}, {"runtime": Runtime(name="node", version=">=20")}, {"platform": "linux/amd64"},
            {"caps_required": [CapRequirement(kind=1, scope=b"\x09")]}, {"caps_required": [CapRequirement(kind=2), CapRequirement(kind=1)]},
            {"caps_required": [CapRequirement(kind=1)] * 2}, {"caps_required": [CapRequirement(kind=i) for i in range(65)]},
            process(abi=1), process(runtime=None), process(runtime=Runtime(name="deno", version=">=1")), process(entry=["x"] * 65),
            process(kind=4, runtime=None), process(kind=4, runtime=None, platform="linux"), process(kind=4, runtime=None, platform="linux/AMD"),
        ):  # fmt: skip
            self.module(bad, **fields)
        for version in ("", "20", ">20 ", ">=20  <21", "=>20", ">=020", ">=1.2.3.4", ">=" + "1" * 10):
            self.module(bad, **process(runtime=Runtime(name="node", version=version)))
        for fields in (
            {"abi": 2}, {"retry": 3, "probe": ["p"]}, process(), process(runtime=Runtime(name="python3", version=">=3.10 <4")),
            process(reuse=True, entry=["a", "b"]),
        ):  # fmt: skip
            x = package()
            x.modules = [binding(**fields)]
            manifest.validate(x)

    def test_limits(self) -> None:
        for name, values in {
            "timeout_us": (999, 3_600_000_001), "memory_bytes": (65535, 4_294_901_761), "fuel": (0, 1 << 63, None),
            "max_request_bytes": (255, (16 << 20) + 1), "max_response_bytes": (255, (16 << 20) + 1),
            "max_stderr_bytes": ((16 << 20) + 1,), "max_io_calls": (1_000_001,),
        }.items():  # fmt: skip
            for v in values:
                self.refuse("module_limits_invalid", lambda x: setattr(x.modules[0].module.limits, name, v))

    def test_globs(self) -> None:
        for glob, name, want in (
            ("demo/*", "demo/a", True), ("demo/*", "demo/a/b", False), ("demo/**", "demo/a/b", True), ("**", "a", True), ("demo", "demo", True),
            ("demo-*", "demo-", True), ("demo.*", "demoxa", False), ("*", "a/b", False), ("a*c", "abbc", True), ("a*c", "abbcd", False),
        ):  # fmt: skip
            self.assertEqual(manifest.name_covers(glob, name), want, (glob, name))

    def test_order_of_versions(self) -> None:
        ascending = "1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0 1.2.0 1.10.0 2.0.0".split()
        keys = [manifest.parse_version(v).key for v in ascending]
        self.assertEqual(keys, sorted(keys))
        self.assertEqual(len(set(map(repr, keys))), len(keys))
        self.assertEqual(manifest.parse_version("1.0.0+a").key, manifest.parse_version("1.0.0+b.01").key)


class Trees(Case):
    def test_paths(self) -> None:
        for path in ("lib/node_modules/@scope/x.js", "a", "a b/c", "x" * 255, "com", "com10", "nulx", "con-x"):
            manifest.check_path(path)
        for path in (
            "", "/etc/passwd", "a//b", "a/../b", "a/", ".", "..", "a.", "a /b", "a\\b", "a:b", "NUL.txt", "dir/com1", "nul .txt", "CONIN$",
            "lpt9.x.y", "\u00e9", "a\0", "a\n", "x" * 256, "/".join(["x" * 100] * 11),
        ):  # fmt: skip
            self.refused("path_invalid", manifest.check_path, path)
        for paths in (["readme", "README"], ["a", "a/b"], ["a", "A/b"], ["a", "a b", "a/b"], ["a/b", "a/B"]):
            self.refused("path_collision", manifest.check_paths, paths)
        manifest.check_paths(["a", "b", "a-b", "ab/c", "ab/d"])

    def entry(self, path: str, size: int = 5, **fields: Any) -> TreeEntry:
        given: dict[str, Any] = {"path": path, "mode": 0, "cid": named(path), "size": size, "sha256": named(path)}
        return TreeEntry(**(given | fields))

    def test_trees(self) -> None:
        good = Tree(entries=[self.entry("a"), self.entry("b/c", mode=1)])
        self.assertEqual(manifest.decode_tree(good.encode()), good)
        for entries, code in (
            ([], "tree_invalid"),
            ([self.entry("b"), self.entry("a")], "tree_invalid"),
            ([self.entry("a"), self.entry("a")], "path_collision"),
            ([self.entry("A"), self.entry("a")], "path_collision"),
            ([self.entry("a"), self.entry("a/b")], "path_collision"),
            ([self.entry("../a")], "path_invalid"),
            ([self.entry("a", mode=2)], "tree_invalid"),
            ([self.entry("a", sha256=named("x"))], "artifact_hash"),
            ([self.entry("a", 4 << 30, sha256=named("x")), self.entry("b", 1)], "tree_invalid"),
        ):
            self.refused(code, manifest.decode_tree, Tree(entries=entries).encode())

    def test_content(self) -> None:
        id = blob.artifact(b"content")
        manifest.check_artifact_content(id, io.BytesIO(b"content"))
        self.refused("artifact_size", manifest.check_artifact_content, id, b"conten")
        self.refused("artifact_hash", manifest.check_artifact_content, id, b"CONTENT")
