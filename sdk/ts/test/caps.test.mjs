// Capability chains: every step of RFC-MYTHOS-0008 §3, every row of §5.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as m from "@mythos-run/sdk";
import { fill, hex, refuses, testKey } from "./kit.mjs";

const [authority, holder, executor, stranger] = [1, 2, 3, 4].map((n) => testKey(n));
const hash = (s) => m.hashOf(m.toUtf8(s));
const tool = hash("tool");
const NOON = 1767268800000000n;

/** A ToolCall scope; constraints are an object. */
const toolCall = (constraints = {}, max_calls = 5, tool_id = tool) => ({
  kind: 5,
  payload: m.ToolCallScope.encode({ tool_id, max_calls, constraints: new Map(Object.entries(constraints)) }),
});

/** The two links of a proof: the authority lets the holder delegate, the holder names the executor. */
function links() {
  const window = { not_before: NOON - 10n, expires_at: NOON + 10n };
  return [
    { by: authority, subject: holder.agent, scope: toolCall(), ...window, delegable: true },
    { by: holder, subject: executor.agent, scope: toolCall(), ...window, delegable: false },
  ];
}

/** Signs links in order, each the child of the one before unless it says otherwise. */
function proof(list) {
  let parent;
  const raws = list.map(({ by, forge, ...c }) => {
    const signed = m.sign(m.Capability, { attenuation_parent: parent, ...c }, by);
    parent = signed.id;
    return forge?.(signed) ?? signed.raw;
  });
  return m.decodeProof(m.encodeProof(raws));
}

const use = (more) => ({
  need: { kind: 5, scope: toolCall({}, 0).payload },
  call: { tool, package: hash("package"), module: hash("module"), requestHash: hash("request"), ring: 0, payload: m.encode({ to: "acme", amount: 250, n: [1, -2] }) },
  subject: executor.agent, now: NOON, authority: (a) => m.sameAgent(a, authority.agent), ...more,
});

/** Asserts that a chain is denied by a rule at a link. */
function denied(list, code, link, rule, u = use()) {
  const chain = list[0].cap === undefined ? proof(list) : list;
  assert.throws(() => m.checkChain(chain, u), (e) => {
    assert.ok(e instanceof m.Denial, String(e.stack));
    assert.deepEqual([e.code, e.link, e.rule], [code, link, rule], e.message);
    return true;
  });
}

/** Applies edit to a fresh list. */
const edited = (edit) => {
  const list = links();
  edit(list);
  return list;
};

test("a sound chain grants, and says what to spend", () => {
  const chain = proof(links());
  const grant = m.checkChain(chain, use());
  assert.deepEqual(grant.capIds, chain.map((l) => l.id));
  assert.deepEqual(grant.spend, chain.map((l) => ({ capId: l.id, max: 5, n: 1 })));
  assert.deepEqual(m.checkChain(chain, use({ call: undefined, need: { kind: 5, scope: toolCall().payload } })).spend, []);
});

test("the form of a proof", () => {
  const raw = m.issue({ ...links()[0], by: undefined }, authority).raw;
  refuses(() => m.decodeProof(m.encodeProof([])), "cap_chain_too_long");
  refuses(() => m.decodeProof(m.encodeProof(Array(9).fill(raw))), "cap_chain_too_long");
  refuses(() => m.decodeProof(fill(16385, 0)), "cap_chain_too_long");
  refuses(() => m.decodeProof(hex("08 00")), "can_type", 0);
  refuses(() => m.decodeProof(new Uint8Array([...m.encodeProof([raw]), 0])), "can_trailing");
  refuses(() => m.decodeProof(m.encodeProof([raw.slice(0, -1)])), "can_bounds");
  refuses(() => proof([{ ...links()[0], scope: { kind: 12, payload: hex("0800") } }]), "cap_kind_unknown");
  refuses(() => proof([{ ...links()[0], scope: { kind: 35, payload: hex("0801 0301 00") } }]), "can_unknown_field");
});

test("signatures are told before anything else, and the first bad link is named", () => {
  const flip = ({ raw }) => raw.with(raw.length - 1, raw[raw.length - 1] ^ 1);
  denied(edited((l) => { l[1].forge = flip; l[1].subject = stranger.agent; }), "cap_signature", 1, "signature");
  denied(edited((l) => { l[0].forge = flip; l[1].forge = flip; }), "cap_signature", 0, "signature");
  denied(edited((l) => { l[0].forge = ({ object }) => m.Capability.encode({ ...object, cap_id: tool }); }), "cap_signature", 0, "signature");
  denied(edited((l) => { l[0].forge = ({ object }) => m.Capability.encode({ ...object, signature: { ...object.signature, key_id: tool } }); }), "cap_signature", 0, "signature");
});

test("principals", () => {
  denied(edited((l) => { l[0].attenuation_parent = tool; }), "cap_chain_broken", 0, "root");
  denied(links(), "cap_issuer_untrusted", 0, "authority", use({ authority: () => false }));
  denied(edited((l) => { l[1].attenuation_parent = undefined; }), "cap_chain_broken", 1, "parent");
  denied(edited((l) => { l[1].attenuation_parent = tool; }), "cap_chain_broken", 1, "parent");
  denied(edited((l) => { l[1].by = stranger; }), "cap_chain_broken", 1, "issuer");
  denied(edited((l) => { l[0].delegable = false; }), "cap_not_delegable", 1, "delegable");
  denied(edited((l) => { l[0].delegable = false; l[1].by = authority; l[1].delegable = true; }), "cap_not_delegable", 1, "delegable");
  m.checkChain(proof(edited((l) => { l[0].delegable = false; l[1].by = authority; })), use());
  denied(links(), "cap_subject", 1, "subject", use({ subject: holder.agent }));
  m.checkChain(proof(links()), use({ subject: { ...executor.agent, hint: "another" } }));
});

test("time", () => {
  denied(edited((l) => { l[0].expires_at = l[0].not_before; }), "cap_window", 0, "window");
  denied(edited((l) => { l[1].expires_at++; }), "cap_window", 1, "window");
  denied(edited((l) => { l[1].not_before--; }), "cap_window", 1, "window");
  denied(links(), "cap_not_yet_valid", 0, "not_before", use({ now: NOON - 11n }));
  denied(links(), "cap_expired", 0, "expires_at", use({ now: NOON + 10n }));
  m.checkChain(proof(links()), use({ now: NOON - 10n }));
  m.checkChain(proof(links()), use({ now: NOON + 9n }));
});

test("scope and the concrete call", () => {
  denied(edited((l) => { l[1].scope = toolCall({}, 6); }), "cap_scope", 1, "subset");
  denied(edited((l) => { l[1].scope = { kind: 35, payload: hex("0800") }; }), "cap_scope", 1, "subset");
  denied(edited((l) => { l[0].scope = l[1].scope = toolCall({}, 5, hash("other")); }), "cap_scope", 0, "use");
  denied(links(), "cap_scope", 0, "use", use({ need: { kind: 5, scope: hex("0800") } }));
  denied(links(), "cap_scope", 0, "use", use({ need: { kind: 35, scope: hex("0800") } }));
  denied(links(), "cap_scope", 0, "use", use({ need: m.request.readClock() }));
  denied(links(), "cap_scope", 0, "use", use({ need: { kind: 5, scope: toolCall({}, 0, hash("other")).payload } }));
});

/** Checks what constraints make of the call. */
function constrained(constraints, why) {
  const list = edited((l) => { l[0].scope = l[1].scope = toolCall(constraints); });
  if (why === undefined) m.checkChain(proof(list), use());
  else denied(list, "cap_constraint", 0, "constraint_use");
}

test("constraints", () => {
  const sha = (s) => m.hashText(hash(s));
  const arg = (pointer, op, v) => Object.fromEntries([m.argConstraint(pointer, op, v)]);
  for (const holds of [
    { package: sha("package") }, { module: sha("module") }, { request_hash: sha("request") }, { ring_max: "0" }, { ring_max: "255" },
    arg("/to", "eq", m.encode("acme")), arg("/to", "in", m.encode(["acme", "beto"])), arg("/amount", "le", m.encode(500)),
    arg("/amount", "ge", m.encode(new m.I64(250))), arg("/n/1", "le", m.encode(-2)), arg("/n/1", "le", m.encode(0)), arg("/to", "prefix", m.encode("ac")),
    arg("", "eq", m.encode({ to: "acme", amount: 250, n: [1, -2] })),
  ]) {
    constrained(holds);
  }
  for (const denies of [
    { package: sha("x") }, { package: "x" }, { module: sha("x") }, { request_hash: sha("x") }, { ledger: "00".repeat(32) }, { ledger: sha("x") },
    { ring_max: "01" }, { ring_max: "256" }, { max_amount: "500" }, { arg: "00" }, { "arg/to": "00" }, { "arg/to:lt": "0300" }, { "argto:eq": "00" },
    { "arg/to~2:eq": "00" }, { "arg/to:eq": "0" }, { "arg/to:eq": "0G" }, { "arg/to:eq": "" }, { "arg/to:eq": "0000" }, { "arg/to:le": "0601" + "61" },
    arg("/amount", "le", m.encode(new m.I64(100))), arg("/amount", "prefix", m.encode("2")), arg("/cc", "eq", hex("00")), arg("/to", "le", m.encode(1)),
    arg("/n/2", "eq", m.encode(1)), arg("/n/01", "eq", m.encode(-2)), arg("/to/0", "eq", m.encode("a")), arg("/to", "in", m.encode(["beto"])),
    Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`k${i}`, ""])),
  ]) {
    constrained(denies, "denied");
  }
  const both = m.encode(new Map([[1, "n"], ["1", "t"]]));
  denied(edited((l) => { l[0].scope = l[1].scope = toolCall(arg("/1", "prefix", m.encode(""))); }), "cap_constraint", 0, "constraint_use", use({ call: { ...use().call, payload: both } }));
  const number = m.encode(new Map([[1, "n"]]));
  m.checkChain(proof(edited((l) => { l[1].scope = toolCall(arg("/1", "eq", m.encode("n"))); })), use({ call: { ...use().call, payload: number } }));
});

/** Whether a child's constraints are a subset of the parent's. */
const tighter = (p, c) => m.checkCovers(5, toolCall(p).payload, toolCall(c).payload);

test("constraints only tighten", () => {
  const a = (op, v) => Object.fromEntries([m.argConstraint("/a", op, m.encode(v))]);
  const sha = (s) => m.hashText(hash(s));
  for (const [p, good, bad] of [
    [{ package: sha("a") }, { package: sha("a"), ring_max: "0" }, { package: sha("b") }],
    [{ ring_max: "3" }, { ring_max: "2" }, { ring_max: "4" }],
    [a("eq", 5), a("eq", 5), a("eq", 6)],
    [a("le", 5), a("le", -6), a("le", 6)],
    [a("ge", -1), a("ge", 2 ** 53 - 1), a("ge", -2)],
    [a("in", [1, 2]), a("in", [2]), a("in", [2, 3])],
    [a("prefix", "ab"), a("prefix", "abc"), a("prefix", "a")],
  ]) {
    tighter(p, p);
    tighter(p, good);
    refuses(() => tighter(p, bad), "cap_constraint");
    refuses(() => tighter(p, {}), "cap_constraint");
  }
});

test("each row of the subset table: one accepted, one refused", () => {
  const [a, b] = [hash("a"), hash("b")];
  const rows = [
    [1, m.BlobReadScope, { cid: a, range_start: 5n, range_len: 10n }, [{ range_start: 6n, range_len: 9n }], [{ cid: b }, { range_start: 4n }, { range_len: 11n }, { range_len: undefined }, { range_start: undefined }, { range_start: 2n ** 64n - 1n, range_len: 1n }]],
    [2, m.BlobWriteScope, { namespace: "n", max_size: 5n, media_allow: ["x", "y"] }, [{ max_size: 4n }, { media_allow: [] }, { media_allow: ["y", "y"] }], [{ namespace: "m" }, { max_size: 6n }, { media_allow: ["z"] }]],
    [3, m.BlobPinScope, { cid: a, ttl_us: 5n }, [{ ttl_us: 4n }], [{ cid: b }, { ttl_us: 6n }]],
    [4, m.BlobDeleteScope, { cid: a }, [{}], [{ cid: b }]],
    [5, m.ToolCallScope, { tool_id: a, max_calls: 5 }, [{ max_calls: 0 }], [{ tool_id: b }, { max_calls: 6 }]],
    [6, m.TrainRunScope, { recipe_id: a, max_jobs: 5, max_tokens: 5n, max_gpu_ms: 5n }, [{ max_gpu_ms: 0n }], [{ recipe_id: b }, { max_jobs: 6 }, { max_tokens: 6n }, { max_gpu_ms: 6n }, { max_gpu_ms: undefined }]],
    [7, m.EvalRunScope, { suite_id: a, max_runs: 5 }, [{ max_runs: 1 }], [{ suite_id: b }, { max_runs: 6 }]],
    [8, m.DeployPromoteScope, { ring_id: 1, policy_id: a }, [{}], [{ ring_id: 0 }, { policy_id: b }]],
    [9, m.ComputeSpawnScope, { pool_id: a, max_workers: 5, max_cpu_us: 5n, max_io: 5 }, [{ max_io: 4 }], [{ pool_id: b }, { max_workers: 6 }, { max_cpu_us: 6n }, { max_io: 6 }]],
    [10, m.CellReadScope, { cell_id: a, key_prefix: hex("aa") }, [{ key_prefix: hex("aabb") }], [{ cell_id: b }, { key_prefix: hex("ab") }, { key_prefix: undefined }]],
    [11, m.CellWriteScope, { cell_id: a, max_events: 5, event_type_allow: [1, 2] }, [{ event_type_allow: [2] }], [{ cell_id: b }, { max_events: 6 }, { event_type_allow: [3] }, { event_type_allow: undefined }]],
    [32, m.NetConnectScope, { hosts: ["*.example.org", "10.0.0.1"], ports: [443], methods: ["GET"] }, [{ hosts: ["a.example.org"] }, { hosts: ["*.example.org"] }, { ports: [] }],
      [{ hosts: ["example.org"] }, { hosts: ["a.b.example.org"] }, { hosts: ["10.0.0.2"] }, { ports: [80] }, { methods: ["PUT"] }, { methods: undefined }, { hosts: ["A.example.org"] }, { hosts: ["127.1"] }, { ports: [0] }, { methods: ["get"] }]],
    [33, m.FsReadScope, { path: "/a" }, [{ path: "/a/b" }], [{ path: "/ab" }, { path: "/" }, { path: "/a/../a" }, { path: "a" }, { path: "/a/" }, { path: "/a/\0" }]],
    [34, m.FsWriteScope, { path: "/", max_bytes: 5n }, [{ path: "/x", max_bytes: 4n }], [{ max_bytes: 6n }, { path: "" }]],
    [35, m.ClockScope, {}, [{}], []],
    [36, m.RandomScope, {}, [{}], []],
    [37, m.SecretReadScope, { name: "n" }, [{}], [{ name: "m" }]],
    [38, m.PackageRunScope, { package_id: a, ring: 1 }, [{ ring: 0 }], [{ package_id: b }, { ring: 2 }]],
    [39, m.PackagePublishScope, { name_prefix: "a/" }, [{ name_prefix: "a/b" }], [{ name_prefix: "b/" }]],
  ];
  for (const [kind, codec, parent, good, bad] of rows) {
    const covers = (more) => m.checkCovers(kind, codec.encode(parent), codec.encode({ ...parent, ...more }));
    for (const more of good) covers(more);
    for (const more of bad) refuses(() => covers(more), "cap_scope");
  }
  refuses(() => m.checkCovers(99, hex("0800"), hex("0800")), "cap_kind_unknown");
});

test("requests, connections and special addresses", () => {
  const grant = (scope, need) => {
    const list = edited((l) => { l[0].scope = l[1].scope = scope; });
    return m.checkChain(proof(list), use({ call: undefined, need }));
  };
  const net = { kind: 32, payload: m.NetConnectScope.encode({ hosts: ["*.example.org", "10.0.0.1", "2001:db8::1"], ports: [443] }) };
  const to = (host, addr, method) => m.request.connect(host, addr === undefined ? undefined : m.parseAddr(addr), 443, method);
  grant(net, to("a.example.org", "93.184.216.34"));
  grant(net, to("a.example.org", "10.0.0.1"));
  grant(net, to("10.0.0.1", "10.0.0.1"));
  grant(net, to("2001:db8::1", "2001:db8::1"));
  for (const bad of [to("a.example.org", "10.0.0.2"), to("a.example.org"), to("*.example.org", "1.1.1.1"), to("10.0.0.1", "1.1.1.1"), to("a.example.org", "fe80::1"), to("b.org", "1.1.1.1")]) {
    assert.throws(() => grant(net, bad), { code: "cap_scope" });
  }
  const events = { kind: 11, payload: m.CellWriteScope.encode({ cell_id: tool, max_events: 9 }) };
  assert.deepEqual(grant(events, m.request.writeCell(tool, [1, 1, 2])).spend.map(({ max, n }) => [max, n]), [[9, 3], [9, 3]]);
  assert.throws(() => grant(events, m.request.writeCell(tool, [])), { code: "cap_scope" });
  for (const [s, special] of [["8.8.8.8", false], ["100.63.255.255", false], ["100.64.0.0", true], ["198.20.0.0", false], ["198.19.255.255", true], ["169.254.169.254", true],
    ["2606:4700::1111", false], ["2001:1ff::1", true], ["2001:200::1", false], ["::1", true], ["64:ff9b::1", true], ["3fff:1000::", false], ["3fff:fff::", true], ["2002::1", true], ["224.0.0.1", true]]) {
    assert.equal(m.isSpecial(m.parseAddr(s)), special, s);
  }
  for (const bad of ["1.2.3", "1.2.3.04", "1.2.3.256", "::ffff:1.2.3.4", "::ffff:102:304", "2001:DB8::1", "2001:db8:0:0:0:0:0:1", "1::2::3", ":::", "2001:db8::00", "fe80::1%eth0", "1:2:3:4:5:6:7", "1:0:0:2:0:0:0:3"]) {
    assert.equal(m.parseAddr(bad), undefined, bad);
  }
  for (const good of ["::", "::1", "1::", "1:2:3:4:5:6:7:8", "1:0:0:2::3", "1:2:3:4:5:6:0:8"]) assert.equal(m.addrText(m.parseAddr(good)), good);
  assert.equal(m.addrText(m.addrFrom(hex("00000000000000000000ffff01020304"))), "1.2.3.4");
});

test("revocation", () => {
  const chain = proof(links());
  const listOf = (by, more) => m.openRevocations(m.signRevocations({ seq: 3n, issued: NOON - 1n, next_update: NOON + 1n, revoked: [], ...more }, by));
  const known = (...lists) => use({ revocations: (a) => lists.find((l) => m.sameAgent(l.object.issuer, a)) });
  const quiet = listOf(authority);
  assert.deepEqual(m.checkChain(chain, known(quiet)).lists, [{ issuer: m.keyId(authority.agent), mark: { seq: 3n, id: quiet.id } }]);
  denied(chain, "cap_revoked", 1, "revoked", known(listOf(authority, { revoked: [chain[1].id] })));
  denied(chain, "cap_revoked", 0, "revoked", known(listOf(authority, { revoked: [chain[0].id], next_update: NOON })));
  m.checkChain(chain, known(listOf(holder, { revoked: [chain[0].id] })));
  denied(chain, "cap_revoked", 1, "revoked", known(listOf(holder, { revoked: [chain[1].id] })));
  m.checkChain(chain, use({ revocations: () => listOf(stranger, { revoked: [chain[0].id] }) }));
  const strict = proof(edited((l) => { l[1].revocation_required = true; }));
  denied(strict, "cap_revocation_required", 1, "revocation");
  denied(strict, "cap_revocation_required", 1, "revocation", known(listOf(holder, { next_update: NOON })));
  denied(strict, "cap_revocation_required", 1, "revocation", known(listOf(holder, { issued: NOON + 1n, next_update: NOON + 2n })));
  m.checkChain(strict, known(listOf(holder)));
  for (const bad of [{ next_update: NOON - 1n }, { revoked: [tool, tool] }, { revoked: [fill(32, 2), fill(32, 1)] }]) refuses(() => listOf(holder, bad), "cap_revocation_list");
  m.checkFollows(quiet, undefined);
  m.checkFollows(quiet, m.markOf(quiet));
  refuses(() => m.checkFollows(quiet, { seq: 4n, id: quiet.id }), "cap_revocation_seq");
  refuses(() => m.checkFollows(quiet, { seq: 3n, id: tool }), "cap_revocation_seq");
});

test("issue refuses what no chain could use", () => {
  const c = { subject: holder.agent, scope: toolCall(), not_before: 1n, expires_at: 2n, delegable: false };
  m.open(m.Capability, m.issue(c, authority).raw);
  refuses(() => m.issue({ ...c, expires_at: 1n }, authority), "cap_window");
  refuses(() => m.issue({ ...c, scope: toolCall({ x: "" }) }, authority), "cap_constraint");
  refuses(() => m.issue({ ...c, scope: { kind: 33, payload: m.FsReadScope.encode({ path: "a" }) } }, authority), "cap_scope");
  refuses(() => m.issue({ ...c, scope: { kind: 40, payload: hex("0800") } }, authority), "cap_kind_unknown");
});
