// The guest SDK: its codec over the vectors and against this package's own, and
// tools as processes that speak frames.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import fs, { closeSync, mkdtempSync, openSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import * as sdk from "@mythos-run/sdk";
import { Failure, I64, MythosError, Raw, answer, decode, encode, readFrame, want } from "../guest/mythos-tool.js";
import { hex } from "./kit.mjs";

const vectors = fileURLToPath(new URL("../../../ctvp/vectors/", import.meta.url));
const guest = pathToFileURL(fileURLToPath(new URL("../guest/mythos-tool.js", import.meta.url))).href;

/** The vectors of a suite with one op. */
function suite(name, op) {
  const all = readdirSync(join(vectors, name)).filter((f) => f.endsWith(".json"));
  const found = all.map((f) => JSON.parse(readFileSync(join(vectors, name, f), "utf8"))).filter((v) => v.op === op);
  assert.ok(found.length > 20, `${found.length} vectors of ${op}`);
  return found;
}

/** Expects what a vector says of a refusal. */
function refused(v, f) {
  assert.throws(f, (e) => {
    assert.ok(e instanceof MythosError, `${v.id}: ${e.stack}`);
    assert.equal(e.code, v.expect.error, v.id);
    if (v.expect.offset !== undefined) assert.equal(e.offset, v.expect.offset, v.id);
    return true;
  }, v.id);
}

const request = (payload) => sdk.ToolRequest.encode({ tool_id: new Uint8Array(32).fill(1), payload, idem_id: new Uint8Array(32).fill(2) });
const response = (status, payload, error) => sdk.ToolResponse.encode({ status, payload, error });
const NULL = new Uint8Array(1);
const BAD_REQUEST = response(400, NULL, { code: "bad_request", message: undefined });
const TOOL_ERROR = response(500, NULL, { code: "tool_error", message: undefined });
const same = (a, b, why) => assert.equal(sdk.toHex(a), sdk.toHex(b), why);

test("every vector of the codec", () => {
  for (const v of suite("can", "can.decode")) {
    if (v.expect.error === undefined) same(encode(decode(hex(v.input.hex))), hex(v.input.hex), v.id);
    else refused(v, () => decode(hex(v.input.hex)));
  }
  for (const v of suite("can", "can.encode")) {
    if (v.expect.output !== undefined) same(encode(decode(hex(v.expect.output.hex))), hex(v.expect.output.hex), v.id);
  }
});

test("every vector of requests and frames", () => {
  for (const v of suite("tool", "tool.request")) {
    let seen;
    const quiet = silenced(() => answer((call) => ((seen = call), call.payload), hex(v.input.hex)));
    if (v.expect.error !== undefined) {
      same(quiet, BAD_REQUEST, v.id);
      assert.equal(seen, undefined, v.id);
      continue;
    }
    const q = sdk.ToolRequest.decode(hex(v.input.hex));
    same(quiet, response(200, q.payload), v.id);
    for (const [ours, theirs] of [[seen.raw.bytes, q.payload], [seen.toolId, q.tool_id], [seen.idemId, q.idem_id]]) same(ours, theirs, v.id);
  }
  for (const v of suite("tool", "tool.frame")) {
    if (v.expect.error !== undefined) {
      refused(v, () => readFrame(hex(v.input.hex), v.input.max));
      continue;
    }
    const { message, left } = readFrame(hex(v.input.hex), v.input.max);
    assert.deepEqual({ message: sdk.toHex(message), left }, v.expect.output, v.id);
  }
});

// A guest writes responses and reads none. It cannot write one that is refused, and
// writes the others to the byte, but for those with unknown fields or, where a
// tool failed, without an error, which no tool can ask for.
test("every vector of responses", () => {
  let written = 0;
  for (const v of suite("tool", "tool.response")) {
    const raw = hex(v.input.hex);
    let parts;
    try {
      parts = decode(raw);
    } catch {
      continue; // not canonical: encode writes none such, as the vectors of the codec show
    }
    const wrote = rewrite(parts);
    if (v.expect.error !== undefined) {
      assert.notEqual(wrote && sdk.toHex(wrote), sdk.toHex(raw), v.id);
    } else if (parts.size === (parts.get(2) === 200 ? 3 : 4) && !v.id.includes("unknown-field")) {
      same(wrote, raw, v.id);
      written++;
    }
  }
  assert.ok(written >= 8, `${written} written`);
});

/** Has a tool answer what the fields of a response say; undefined if it cannot. */
function rewrite(fields) {
  try {
    const status = fields.get(2);
    const error = fields.get(4);
    const tool = () => {
      if (status === 200) return new Raw(fields.get(3));
      throw new Failure(status, error.get(1), error.get(2));
    };
    return silenced(() => answer(tool, request(NULL)));
  } catch (e) {
    assert.ok(e instanceof TypeError || e instanceof RangeError, e.stack); // no error, no map
    return undefined;
  }
}

/** Runs f with its log, whose text is free, kept from the terminal; returns what f does. */
function silenced(f) {
  const write = fs.writeSync;
  fs.writeSync = (fd, b, ...rest) => (fd === 2 ? b.length : write(fd, b, ...rest));
  syncBuiltinESMExports();
  const restore = () => {
    fs.writeSync = write;
    syncBuiltinESMExports();
  };
  try {
    return f();
  } finally {
    restore();
  }
}

/** A generator of numbers 0..n-1 from a seed. */
function random(seed) {
  let s = seed;
  return (n) => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return Math.floor((s / 4294967296) * n);
  };
}

/** A random value in terms of this package, as its bytes. */
function anyValue(rand, depth = 0) {
  const bits = () => (BigInt(rand(1 << 30)) << 34n) | (BigInt(rand(1 << 30)) << 4n) | BigInt(rand(16));
  const many = () => Array.from({ length: rand(5) }, () => anyValue(rand, depth + 1));
  switch (rand(depth < 4 ? 10 : 7)) {
    case 0:
      return null;
    case 1:
      return rand(2) === 1;
    case 2:
      return bits() >> BigInt(rand(64));
    case 3:
      return -(bits() >> BigInt(1 + rand(63))) - 1n;
    case 4:
      return new sdk.I64(bits() >> BigInt(1 + rand(63)));
    case 5:
      return Uint8Array.from({ length: rand(40) }, () => rand(256));
    case 6:
      return String.fromCodePoint(...Array.from({ length: rand(40) }, () => [65 + rand(26), 0xe9, 0xfeff, 0x1f600][rand(4)]));
    case 7:
    case 8:
      return many();
  }
  return new Map(many().map((k, i) => [k, i]));
}

test("random bytes get the verdict of this package's codec", () => {
  const rand = random(20260101);
  const verdict = (f, raw) => {
    try {
      return f(raw);
    } catch (e) {
      return `${e.code} ${e.offset}`;
    }
  };
  let refusals = 0;
  for (let i = 0; i < 3000; i++) {
    let raw;
    try {
      raw = sdk.encode(anyValue(rand));
    } catch (e) {
      assert.equal(e.code, "can_key_duplicate");
      continue;
    }
    same(encode(decode(raw)), raw);
    const broken = Uint8Array.from(raw);
    broken[rand(broken.length)] = rand(3) === 0 ? rand(9) : rand(256);
    const ours = verdict((b) => sdk.toHex(encode(decode(b))), broken);
    assert.equal(ours, verdict((b) => sdk.toHex(sdk.encode(sdk.decode(b))), broken), sdk.toHex(broken));
    if (ours.includes(" ")) refusals++;
  }
  assert.ok(refusals > 500, `${refusals} refusals`);
});

test("what has no encoding is an error of the tool", () => {
  const deep = (n) => (n === 0 ? [] : [deep(n - 1)]);
  const bad = [undefined, 1.5, NaN, -0, 2 ** 53, 1n << 64n, -(1n << 63n) - 1n, new I64(1n << 63n), "\ud800", Symbol("x"), () => 1, new Date(0), deep(32), new Map([[new I64(-1), 1], [-1, 2]])];
  for (const v of [...bad, ...bad.map((b) => [b]), ...bad.map((b) => new Map([[1, b]]))]) {
    assert.throws(() => encode(v), MythosError);
    same(silenced(() => answer(() => v, request(NULL))), TOOL_ERROR);
  }
  assert.throws(() => new Raw(hex("0700 00")), MythosError);
  assert.throws(() => encode({ a: deep(30), b: [new Raw(encode(deep(31)))] }), MythosError);
  same(encode({ b: 1, a: undefined, aa: new Raw(hex("0402")) }), hex("0802 060162 0301 06026161 0402"));
});

test("failures say what the tool says, errors say nothing", () => {
  const call = (f) => silenced(() => answer(f, request(NULL)));
  same(call(() => assert.fail("secret detail")), TOOL_ERROR);
  same(call(() => { throw new Failure(404, "not_found", "no such thing"); }), response(404, NULL, { code: "not_found", message: "no such thing" }));
  same(call(() => { throw new Failure(599, "x".repeat(128), ""); }), response(599, NULL, { code: "x".repeat(128), message: undefined }));
  for (const [status, code] of [[200, "a"], [99, "a"], [600, "a"], [404.5, "a"], ["404", "a"], [404, ""], [404, "é".repeat(65)], [404, undefined]]) {
    same(call(() => { throw new Failure(status, code); }), TOOL_ERROR);
  }
  same(call(() => { throw new Failure(404, "a", "\ud800"); }), TOOL_ERROR);
  same(call(() => { throw Object.create(null); }), TOOL_ERROR);
  for (const [check, good, ...wrong] of [
    [want.text, "x", 1, undefined, null], [want.bytes, NULL, "x"], [want.bool, false, 0], [want.u64, 2, -1, new I64(2)], [want.i64, -1, 1],
    [want.list, [], new Map()], [want.map, new Map(), []],
  ]) {
    assert.notEqual(check(good), undefined);
    for (const v of wrong) same(call(() => check(v)), BAD_REQUEST);
  }
  assert.equal(want.i64(new I64(3)), 3n);
});

test("a promise is waited for", async () => {
  same(await answer(async (call) => call.raw, request(hex("0402"))), response(200, hex("0402")));
  same(await answer(async () => 5, request(NULL)), response(200, hex("0305")));
  same(await answer(() => Promise.reject(new Failure(409, "taken")), request(NULL)), response(409, NULL, { code: "taken", message: undefined }));
});

// ---- Tools as processes

const varint = (n) => (n < 128 ? [n] : [(n % 128) | 128, ...varint(Math.floor(n / 128))]);
const frame = (b) => Uint8Array.from([...varint(b.length), ...b]);

/**
 * Runs a tool with the body of a module and input in pieces; returns its exit
 * code, its messages and its log.
 */
async function run(t, body, pieces, { env = {}, fds = [] } = {}) {
  const dir = mkdtempSync(join(tmpdir(), "guest-"));
  t.after(() => rmSync(dir, { recursive: true }));
  writeFileSync(join(dir, "tool.mjs"), `import { connect, fail, http, log, secret, serve, want } from ${JSON.stringify(guest)};\n${body}`);
  const child = spawn(process.execPath, [join(dir, "tool.mjs")], { env, stdio: ["pipe", "pipe", "pipe", ...fds] });
  const out = [];
  let stderr = "";
  child.stdout.on("data", (b) => out.push(b));
  child.stderr.setEncoding("utf8").on("data", (s) => (stderr += s));
  child.stdin.on("error", () => {}); // a tool may end before it has read all
  for (const piece of pieces) child.stdin.write(piece);
  child.stdin.end();
  const code = await new Promise((resolve) => child.on("close", resolve));
  const messages = [];
  for (let rest = new Uint8Array(Buffer.concat(out)); rest.length > 0; ) {
    const { message, left } = readFrame(rest, 1 << 24);
    messages.push(message);
    rest = rest.subarray(rest.length - left);
  }
  return { code, messages, stderr };
}

const hello = request(hex("0605 68656c6c6f"));

test("one frame, many frames, frames in pieces, no frame", async (t) => {
  const echo = "serve((call) => call.payload)";
  const want1 = response(200, hex("0605 68656c6c6f"));
  const large = encode(new Uint8Array(3 << 20).fill(7));
  const stream = Uint8Array.from([...frame(hello), ...frame(request(NULL)), ...frame(request(large)), ...frame(hello)]);
  const results = await Promise.all([
    run(t, echo, [frame(hello)]),
    run(t, echo, [stream]),
    run(t, echo, [...frame(hello)].map((c) => Uint8Array.of(c))),
    run(t, echo, []),
  ]);
  assert.deepEqual(results.map((r) => [r.code, r.messages.length, r.stderr]), [[0, 1, ""], [0, 4, ""], [0, 1, ""], [0, 0, ""]]);
  same(results[0].messages[0], want1);
  same(results[2].messages[0], want1);
  for (const [i, payload] of [hex("060568656c6c6f"), NULL, large, hex("060568656c6c6f")].entries()) {
    assert.ok(Buffer.compare(results[1].messages[i], response(200, payload)) === 0, `message ${i}`);
  }
});

test("a stream that is no frame ends the process with 1", async (t) => {
  const echo = "serve((call) => call.payload)";
  const broken = ["7c", "80", "8000", "8180808008", "ffffffffffffffffff02"];
  for (const r of await Promise.all(broken.map((b) => run(t, echo, [hex(b)])))) {
    assert.deepEqual([r.code, r.messages.length], [1, 0]);
    assert.match(r.stderr, /^ERROR .*\(abi_frame_\w+\)\n$/);
  }
});

test("standard output holds frames whatever a tool prints", async (t) => {
  const body = `console.log("before");
    serve(async (call) => {
      console.log("one"); console.info("two"); console.table([1]); process.stdout.write("three\\n"); log.info("four\\nfive");
      await new Promise((r) => setTimeout(r, 1));
      console.log("six");
      return call.payload;
    });`;
  const r = await run(t, body.replace('console.log("before");', ""), [frame(hello), frame(hello)]);
  assert.deepEqual([r.code, r.messages.length], [0, 2]);
  assert.match(r.stderr, /^one\ntwo\n[^]*three\nINFO four\nINFO five\nsix\none\n/);
  assert.notEqual((await run(t, "serve(() => 1)", [frame(hello)])).messages.length, 0);
});

test("errors of every kind are answered and the worker goes on", async (t) => {
  const body = `let n = 0;
    serve((call) => {
      switch (n++) {
        case 0: fail(404, "not_found", "nothing here");
        case 1: throw new Error("two\\nlines");
        case 2: return Promise.reject(new Error("later"));
        case 3: return want.list(call.payload);
        case 4: return 1.5;
      }
      return n;
    });`;
  const bad = request(hex("09"));
  const r = await run(t, body, [hello, hello, hello, hello, hello, bad, hello].map(frame));
  assert.equal(r.code, 0, r.stderr);
  const want7 = [response(404, NULL, { code: "not_found", message: "nothing here" }), TOOL_ERROR, TOOL_ERROR, BAD_REQUEST, TOOL_ERROR, BAD_REQUEST, response(200, hex("0306"))];
  assert.deepEqual(r.messages.map(sdk.toHex), want7.map(sdk.toHex));
  const lines = r.stderr.trimEnd().split("\n");
  assert.equal(lines.length, 5, r.stderr);
  for (const l of lines) assert.match(l, /^ERROR /);
});

test("a tool that stops without an answer has failed", async (t) => {
  for (const body of ["serve(() => new Promise(() => {}))", "serve(() => process.exit(0))", "serve(async () => process.exit(0))"]) {
    const r = await run(t, body, [frame(hello)]);
    assert.deepEqual([r.code, r.messages.map(sdk.toHex)], [0, [sdk.toHex(TOOL_ERROR)]], body);
  }
  const timer = await run(t, "setInterval(() => {}, 1e6); serve(() => null)", [frame(hello)]);
  assert.deepEqual([timer.code, timer.messages.length], [0, 1]);
});

test("a secret comes from its descriptor, again and again", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "secret-"));
  t.after(() => rmSync(dir, { recursive: true }));
  writeFileSync(join(dir, "s"), "hunter2");
  const fd = openSync(join(dir, "s"), "r");
  t.after(() => closeSync(fd));
  const body = `serve((call) => secret(want.text(call.payload)))`;
  const ask = (name) => frame(request(encode(name)));
  const env = { MYTHOS_SECRET_API_KEY_2_FD: "3" };
  const r = await run(t, body, [ask("api-key.2"), ask("API_KEY_2"), ask("other")], { env, fds: [fd] });
  const value = response(200, encode(new TextEncoder().encode("hunter2")));
  assert.deepEqual(r.messages.map(sdk.toHex), [value, value, TOOL_ERROR].map(sdk.toHex));
  assert.doesNotMatch(r.stderr, /hunter2/);
});

test("the network is the proxy on the socket", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "net-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const socket = join(dir, "net.sock");
  const seen = [];
  const server = createServer((q, a) => {
    let body = "";
    q.setEncoding("utf8").on("data", (s) => (body += s)).on("end", () => {
      seen.push(`${q.method} ${q.url} ${q.headers.host} ${q.headers["x-a"] ?? ""} ${body}`);
      a.writeHead(q.url.endsWith("/no") ? 403 : 201, { "X-B": "c" }).end("done " + "y".repeat(100));
    });
  });
  server.on("connect", (q, s, head) => {
    seen.push(`CONNECT ${q.url}`);
    if (q.url === "no.example:1") return s.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    s.write("HTTP/1.1 200 OK\r\n\r\n");
    s.pipe(s);
    if (head.length > 0) s.write(head);
  });
  await new Promise((r) => server.listen(socket, r));
  t.after(() => server.close());
  const body = `serve(async (call) => {
      const what = want.text(call.payload);
      if (what === "connect" || what === "refused") {
        const s = await connect(what === "refused" ? "no.example" : "db.example", what === "refused" ? 1 : 5432);
        s.end("ping");
        let got = "";
        for await (const part of s) got += part;
        return got;
      }
      const maxBytes = what === "large" ? 10 : undefined;
      const r = await http("https://api.example/a?b=" + what, { method: "POST", headers: { "X-A": "z" }, body: "in", maxBytes });
      return [r.status, Object.fromEntries(r.headers)["x-b"], r.body.length];
    });`;
  const asks = ["one", "large", "connect", "refused", "one"].map((s) => frame(request(encode(s))));
  const r = await run(t, body, asks, { env: { MYTHOS_NET: socket } });
  const got = response(200, encode([201, "c", 105]));
  assert.deepEqual(r.messages.map(sdk.toHex), [got, TOOL_ERROR, response(200, encode("ping")), TOOL_ERROR, got].map(sdk.toHex), r.stderr);
  assert.equal(seen[0], "POST https://api.example/a?b=one api.example z in");
  assert.deepEqual([seen[2], seen[3]], ["CONNECT db.example:5432", "CONNECT no.example:1"]);
  const denied = await run(t, body, asks.slice(0, 1));
  assert.deepEqual(denied.messages.map(sdk.toHex), [TOOL_ERROR].map(sdk.toHex));
  assert.match(denied.stderr, /MYTHOS_NET is not set/);
});

test("the example of the folder runs", async () => {
  const child = spawn(process.execPath, [fileURLToPath(new URL("../guest/example.js", import.meta.url))], { stdio: ["pipe", "pipe", "pipe"] });
  child.stdin.end(frame(request(encode({ name: "Ada" }))));
  const parts = [];
  for await (const part of child.stdout) parts.push(part);
  const { message } = readFrame(new Uint8Array(Buffer.concat(parts)), 1000);
  same(message, response(200, encode({ greeting: "hello Ada", letters: 3 })));
});
