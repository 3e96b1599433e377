// Package manifests, trees and paths.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as m from "@mythos-run/sdk";
import { fill, hex, refuses, testKey } from "./kit.mjs";

const any = m.builtinType("any");
const hash = (s) => m.hashOf(m.toUtf8(s));
const [bundle, module, doc, policy] = ["bundle", "module", "doc", "policy"].map(hash);
const byCid = (a, b) => m.compareHashes(a.cid, b.cid);
const artifact = (kind, cid, more) => ({ kind, cid, media_type: "text/plain", size: 5n, sha256: cid, ...more });

const limits = { timeout_us: 1000n, memory_bytes: 65536n, fuel: 1n, max_request_bytes: 256n, max_response_bytes: 256n, max_stderr_bytes: 0n, max_io_calls: 0 };

/** A binding of a wasm module to a tool; more and of edit the module and the tool. */
function binding(name = "demo/echo", more = {}, of = {}) {
  const tool = { name, interface: 1, request_type_id: any, response_type_id: any, ...of };
  const tool_id = m.toolId(tool.name, tool.interface, tool.request_type_id, tool.response_type_id);
  return { tool_id, tool, module: { kind: 1, cid: module, entry: ["run"], limits, retry: 2, abi: 1, ...more } };
}

function sound(more) {
  return {
    name: "demo-001", version: "1.2.3-rc.1", requires: { executor_min_version: "0.1.0", codebook_id: m.BASELINE_ID },
    artifacts: [artifact(1, bundle), artifact(2, module), artifact(8, doc), artifact(4, policy)].sort(byCid),
    modules: [binding()], entrypoints: [{ name: "main", bundle, task_id: hash("task") }], ...more,
  };
}

const host = { version: "0.2.0", codebooks: [m.BASELINE_ID] };
const [a, b, c] = [1, 2, 3].map((n) => testKey(n));
const publisher = (more) => ({ keys: [a.agent, b.agent], threshold: 1, covers: true, ...more });

/** Encodes a manifest with its package_id, however unsound it is. */
function encoded(x) {
  const all = { package_id: fill(32, 0), format_version: 1, ...x };
  all.package_id = m.hashWithout(m.PackageManifest.encode(all), 1, 11, 12);
  return m.PackageManifest.encode(all);
}

test("a signed manifest verifies, and only for whom its publishers are known", () => {
  const raw = m.signManifest(sound(), a, b);
  const u = m.decodeManifest(raw);
  assert.deepEqual(u.cid, m.hashOf(raw));
  const v = m.verifyManifest(u, [publisher({ covers: false }), publisher({ threshold: 2 })], host);
  assert.equal(v.publisher, 1);
  assert.equal(v.signers.length, 2);
  assert.deepEqual(m.decodeManifest(m.signManifest(sound(), b)).packageId, u.packageId, "signatures are no part of the id");
  assert.equal(m.toHex(m.manifestSig(u.claims)).slice(0, 4), "0702");
  assert.equal(m.toHex(m.manifestSig(sound())), "0700");
  const by = (...keys) => m.decodeManifest(m.signManifest(sound(), ...keys));
  refuses(() => m.authorise(by(), [publisher()]), "unsigned");
  refuses(() => m.authorise(by(c), [publisher()]), "signer_unknown");
  refuses(() => m.authorise(by(a, c), [publisher({ threshold: 2 })]), "signer_threshold");
  refuses(() => m.authorise(by(a), [publisher({ threshold: 0 })]), "signer_threshold");
  refuses(() => m.authorise(by(a, b), [publisher({ keys: [a.agent, c.agent], threshold: 2 }), publisher({ keys: [b.agent, c.agent], threshold: 2 })]), "signer_threshold");
  const list = u.claims.signatures;
  const signed = (signatures) => m.decodeManifest(m.PackageManifest.encode({ ...u.claims, signatures }));
  refuses(() => m.authorise(signed([{ ...list[0], sig_bytes: list[1].sig_bytes }, list[1]]), [publisher()]), "signature_invalid");
  refuses(() => m.authorise(signed([list[1], list[0]]), [publisher()]), "package_order");
  refuses(() => m.authorise(signed([list[0], list[0]]), [publisher()]), "package_order");
  refuses(() => m.authorise(signed([{ ...list[0], key_id: undefined }]), [publisher()]), "key_id");
  refuses(() => m.decodeManifest(m.PackageManifest.encode({ ...u.claims, name: "other" })), "id_mismatch");
  refuses(() => m.decodeManifest(fill(4_194_305, 0)), "package_limit");
});

test("what a package asks of its host", () => {
  const ask = (requires, offer) => m.checkHost(m.decodeManifest(encoded(sound({ requires: { ...sound().requires, ...requires } }))), { ...host, ...offer });
  ask({});
  refuses(() => ask({ executor_min_version: "0.2.1" }), "executor_too_old");
  refuses(() => ask({ executor_min_version: "0.2.0" }, { version: "0.2.0-rc.1" }), "executor_too_old");
  refuses(() => ask({ executor_min_version: "0.2.0+b" }), "package_version");
  refuses(() => ask({ codebook_id: doc }), "codebook_mismatch");
  refuses(() => ask({ features: ["ir.level1"] }), "feature_missing");
  ask({ features: ["ir.level1"] }, { features: ["ir.level1"] });
  refuses(() => ask({ ctvp_id: doc }), "ctvp_unknown");
  ask({ ctvp_id: doc }, { ctvps: [doc] });
  refuses(() => m.checkHost(m.decodeManifest(encoded({ ...sound(), format_version: 2 })), host), "package_format");
});

test("each rule of a manifest has its code", () => {
  const judge = (more) => m.validateManifest(m.decodeManifest(encoded(sound(more))).claims);
  judge({});
  judge({ policies: [policy], modules: [binding("demo/echo", {}, { description: doc })] });
  const requires = (more) => ({ requires: { ...sound().requires, ...more } });
  const other = { ...binding("demo/echo", { limits: { ...limits, max_request_bytes: 257n } }), variant: "v" };
  for (const [code, list] of Object.entries({
    package_format: [{ format_version: 2 }],
    package_name: [{ name: "Demo" }, { name: "a".repeat(129) }, { name: "" }],
    package_version: [{ version: "1.2" }, { version: "01.2.3" }, { version: "1.2.3-01" }, { version: "1.2.3-" }, { version: "1.2.3+" }, { version: "1.2.3-a..b" }],
    feature_missing: [requires({ features: ["A"] })],
    package_order: [requires({ features: ["b", "a"] }), { artifacts: sound().artifacts.reverse() }, { modules: [binding(), binding()] },
      { entrypoints: ["b", "a"].map((name) => ({ ...sound().entrypoints[0], name })) }, { policies: [policy, policy] }],
    package_limit: [{ entrypoints: [] }, requires({ features: Array.from({ length: 65 }, (_, i) => `f${i}`) }), { artifacts: [artifact(1, bundle, { size: 8_589_934_592n })] }],
    artifact_invalid: [{ artifacts: [artifact(11, bundle)] }, { artifacts: [artifact(0, bundle)] }, { artifacts: [artifact(1, bundle, { media_type: "" })] }, { artifacts: [artifact(1, bundle, { media_type: "é" })] }],
    artifact_hash: [{ artifacts: [artifact(1, bundle, { sha256: doc })] }, { artifacts: [artifact(1, bundle, { size: 4_194_305n })] }],
    tool_invalid: [{ modules: [binding("mythos/x")] }, { modules: [binding("A")] }],
    id_mismatch: [{ modules: [{ ...binding(), tool_id: doc }] }],
    package_reference: [{ modules: [binding("demo/echo", { cid: doc })] }, { modules: [binding("demo/echo", { cid: hash("none") })] }, { policies: [doc] },
      { modules: [binding("demo/echo", {}, { request_schema: doc })] }, { entrypoints: [{ ...sound().entrypoints[0], bundle: doc }] }],
    package_variant_mismatch: [{ modules: [binding(), other] }],
    entrypoint_invalid: [{ entrypoints: [{ ...sound().entrypoints[0], name: "a/b" }] }, { entrypoints: [{ ...sound().entrypoints[0], doc: "é".repeat(2049) }] }],
    module_ref_invalid: [{ kind: 0 }, { retry: 4 }, { abi: 3 }, { reuse: true }, { retry: 3 }, { probe: ["p"] }, { entry: [] }, { entry: ["a", "b"] }, { entry: [""] }, { entry: ["a\0"] },
      { runtime: { name: "node", version: ">=20" } }, { platform: "linux/amd64" }, { kind: 2, abi: 2 }, { kind: 4, abi: 2 },
      { caps_required: [{ kind: 2 }, { kind: 1 }] }, { caps_required: [{ kind: 1 }, { kind: 1 }] }, { caps_required: [{ kind: 1, scope: hex("0000") }] },
      { caps_required: [{ kind: 1, scope: hex("0800") }, { kind: 1 }] }].map((x) => ({ modules: [binding("demo/echo", x)] })),
    module_limits_invalid: [{ timeout_us: 999n }, { memory_bytes: 2n ** 32n }, { fuel: undefined }, { fuel: 0n }, { fuel: 2n ** 63n }, { max_request_bytes: 255n }, { max_response_bytes: 2n ** 25n },
      { max_stderr_bytes: 2n ** 25n }, { max_io_calls: 1_000_001 }].map((x) => ({ modules: [binding("demo/echo", { limits: { ...limits, ...x } })] })),
  })) {
    for (const more of list) refuses(() => judge(more), code);
  }
  refuses(() => judge({ modules: [{ ...binding(), variant: "A" }] }), "module_ref_invalid");
  const process = (version) => binding("demo/echo", { kind: 2, abi: 2, cid: doc, runtime: { name: "node", version }, limits: { ...limits, fuel: undefined } });
  const tree = (version) => judge({ modules: [process(version)], artifacts: [artifact(1, bundle), artifact(3, doc)].sort(byCid) });
  for (const good of [">=20", ">=3.10 <4", "=1.2.3", ">0"]) tree(good);
  for (const bad of ["", ">=", "20", ">=01", ">=1.2.3.4", ">=20  <21", "^20", ">=1234567890", ">=20 "]) refuses(() => tree(bad), "module_ref_invalid");
});

test("attestations in a manifest are about it, and hold", () => {
  const base = m.decodeManifest(encoded(sound()));
  const about = (subject_hash) => m.sign(m.Attestation, { subject_hash, claim_type: 1, result: 1, time_observed: 0n }, c).object;
  const held = (...attestations) => m.decodeManifest(encoded(sound({ attestations })));
  const good = held(about(base.packageId));
  assert.deepEqual(good.packageId, base.packageId);
  m.checkAttestations(good);
  refuses(() => m.checkAttestations(held(about(doc))), "attestation_invalid");
  refuses(() => m.checkAttestations(held({ ...about(base.packageId), result: 0 })), "attestation_invalid");
  refuses(() => m.validateManifest(held(about(base.packageId), about(base.packageId)).claims), "package_order");
});

test("versions are ordered by precedence", () => {
  const list = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.10.0", "99999999999999999999.0.0"];
  list.forEach((x, i) => list.forEach((y, j) => {
    assert.equal(m.compareVersions(m.parseVersion(x), m.parseVersion(y)), Math.sign(i - j), `${x} ${y}`);
  }));
  assert.equal(m.compareVersions(m.parseVersion("1.0.0+a"), m.parseVersion("1.0.0+b")), 0);
});

test("trees and paths", () => {
  for (const good of ["lib/node_modules/@scope/x.js", "a", "a b/c[1].txt", "console/comx", "com10"]) m.checkPath(good);
  for (const bad of ["", "/etc/passwd", "a//b", "a/../b", "a/", ".", "NUL.txt", "dir/com1", "nul .txt", "CONOUT$", "a.", "a /b", "a\\b", "a:b", "é", "a\n", "x".repeat(256), "x/".repeat(512) + "x"]) {
    refuses(() => m.checkPath(bad), "path_invalid");
  }
  m.checkPaths(["a", "ab", "b/c", "b/d", "a.b"]);
  for (const bad of [["readme", "README"], ["a", "a/b"], ["A/b", "a"], ["x/Y/z", "x/y"]]) refuses(() => m.checkPaths(bad), "path_collision");
  const entry = (path, more) => ({ path, mode: 0, cid: doc, size: 5n, sha256: doc, ...more });
  const tree = (...entries) => m.decodeTree(m.Tree.encode({ entries }));
  assert.equal(tree(entry("a"), entry("b")).entries.length, 2);
  refuses(() => tree(), "tree_invalid");
  refuses(() => tree(entry("b"), entry("a")), "tree_invalid");
  refuses(() => tree(entry("a", { mode: 2 })), "tree_invalid");
  refuses(() => tree(entry("a", { size: 2n ** 32n + 1n, cid: any })), "tree_invalid");
  refuses(() => tree(entry("a"), entry("a")), "path_collision");
  refuses(() => tree(entry("A"), entry("a")), "path_collision");
  refuses(() => tree(entry("a"), entry("a/b")), "path_collision");
  refuses(() => tree(entry("..")), "path_invalid");
  refuses(() => tree(entry("a", { sha256: any })), "artifact_hash");
});
