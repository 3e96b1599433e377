// Sends the same requests to the same tool in every language and compares each
// answer with what the rules in sdk/README.md say, byte for byte:
//
//	node guest_parity.mjs echo|sum VECTORS NAME=wasm:FILE NAME=process:COMMAND ...
//
// VECTORS are the lines that go run ./sdk/go/internal/vectors/print writes.
import { readFileSync } from "node:fs";
import { processGuest, wasmGuest } from "./guest_host.mjs";

const [tool, vectors, ...guests] = process.argv.slice(2);
if (!["echo", "sum"].includes(tool) || guests.length === 0) {
  console.error("usage: guest_parity.mjs echo|sum VECTORS NAME=wasm:FILE|process:COMMAND ...");
  process.exit(2);
}

// ---- bytes: RFC-MYTHOS-0001, RFC-MYTHOS-0006 section 10 ----

function varint(n) {
  const out = [];
  for (n = BigInt(n); n >= 128n; n >>= 7n) out.push(Number(n & 127n) | 128);
  return Buffer.from([...out, Number(n)]);
}
const cat = (...parts) => Buffer.concat(parts.map((p) => (typeof p === "number" ? Buffer.from([p]) : p)));
const uint = (n) => cat(3, varint(n));
const blob = (b) => cat(5, varint(b.length), b);
const text = (s) => cat(6, varint(Buffer.byteLength(s)), Buffer.from(s));
const list = (items) => cat(7, varint(items.length), ...items);
const map = (pairs) => cat(8, varint(pairs.length), ...pairs.flat());
const hash = map([[uint(1), uint(1)], [uint(2), blob(Buffer.alloc(32, 0xab))]]);
const requestFor = (payload) =>
  map([[uint(1), text("mythos.tool.request")], [uint(2), hash], [uint(3), blob(payload)], [uint(4), hash]]);
const success = (payload) => map([[uint(1), text("mythos.tool.response")], [uint(2), uint(200)], [uint(3), blob(payload)]]);
function failure(status, code, message) {
  const error = [[uint(1), text(code)], ...(message ? [[uint(2), text(message)]] : [])];
  return map([[uint(1), text("mythos.tool.response")], [uint(2), uint(status)], [uint(3), blob(Buffer.from([0]))], [uint(4), map(error)]]);
}
const bad = failure(400, "bad_request");

// ---- cases: {name, request, response, line}, line being what INFO logs ----

function vectorCases() {
  const cases = [];
  for (const line of readFileSync(vectors, "utf8").trim().split("\n")) {
    const [op, name, hex, verdict] = line.split(" ");
    const raw = Buffer.from(hex === "-" ? "" : hex, "hex");
    if (op === "value") {
      cases.push({ name, request: requestFor(raw), payload: verdict === "ok" ? raw : null });
    } else if (op === "request") {
      const good = line.split(" ").length > 4;
      cases.push({ name, request: raw, payload: good ? (verdict === "-" ? text("hello") : Buffer.from(verdict, "hex")) : null });
    }
  }
  return cases;
}

function echoCases() {
  const sizes = [0, 1, 100, 127, 128, 16383, 16384, 65536, 1000000].map((n) => blob(Buffer.alloc(n, 0x5a)));
  const large = [...sizes, list(Array(5000).fill(uint(1000))), map(Array.from({ length: 127 }, (_, i) => [uint(i), text("x")]))];
  const own = large.map((payload, i) => ({ name: `large ${i}`, request: requestFor(payload), payload }));
  return [...vectorCases(), ...own].map((c) => ({
    ...c,
    response: c.payload ? success(c.payload) : bad,
    line: c.payload ? `INFO echo ${c.payload.length} bytes` : null,
  }));
}

function sumCases() {
  const member = (name, v) => [text(name), v];
  const answer = (count, total, label) =>
    success(map([member("sum", uint(total)), member("count", uint(count)), ...(label ? [member("label", label)] : [])]));
  const of = (numbers, label) => map([...(label ? [member("label", label)] : []), member("numbers", list(numbers))]);
  const max = (1n << 64n) - 1n;
  const many = Array.from({ length: 300 }, (_, i) => uint(i));
  return [
    ["one", of([uint(7)]), answer(1, 7), 1],
    ["two", of([uint(3), uint(4)], text("x")), answer(2, 7, text("x")), 2],
    ["label is a MAP", of([uint(0)], map([[uint(5), list([])]])), answer(1, 0, map([[uint(5), list([])]])), 1],
    ["label is NULL", of([uint(0)], Buffer.from([0])), answer(1, 0, Buffer.from([0])), 1],
    ["many", of(many), answer(300, 44850), 300],
    ["the most", of([uint(max)]), answer(1, max), 1],
    ["overflow", of([uint(max), uint(1)]), failure(422, "overflow")],
    ["none", of([]), failure(404, "no_numbers", "there is nothing to add up")],
    ["an IVARINT", of([Buffer.from([4, 2])]), bad],
    ["a TEXT at the end", of([uint(1), text("2")]), bad],
    ["numbers is a TEXT", map([member("numbers", text("1"))]), bad],
    ["no numbers", map([member("label", text("1"))]), bad],
    ["a key that is no TEXT", map([[uint(1), list([uint(1)])]]), bad],
    ["NULL", Buffer.from([0]), bad],
    ["a LIST", list([uint(1)]), bad],
    ["two values", Buffer.from([0, 0]), bad],
  ].map(([name, payload, response, count]) => ({ name, request: requestFor(payload), response, line: count ? `INFO sum of ${count} numbers` : null }));
}

// Inputs that end a worker: no answer, exit code 1, a line in the log.
const broken = ["05aabb", "80", "8000", "ffffffffffffffffff02", "8080808010", "81808008"];

// ---- running ----

let failed = 0;
function expect(guest, name, got, want) {
  if (got === want) return;
  failed++;
  console.error(`${guest}: ${name}: got ${got}, want ${want}`);
}

// check compares one answer; a wasm guest's log comes with it.
function check(guest, c, { response, log }) {
  expect(guest, c.name, response.toString("hex"), c.response.toString("hex"));
  if (log) expect(guest, `log of ${c.name}`, log.filter((l) => l.startsWith("INFO ")).join("|"), c.line ?? "");
}

async function processChecks(name, command, cases) {
  const worker = processGuest(command);
  for (const c of cases) check(name, c, await worker.call(c.request));
  const end = await worker.finish();
  expect(name, "exit code", end.code, 0);
  expect(name, "further output", end.output.length, 0);
  const info = (lines) => lines.filter((l) => l.startsWith("INFO ")).join("|");
  expect(name, "log", info(end.log), cases.flatMap((c) => c.line ?? []).join("|"));
  for (const hex of broken) {
    const end = await processGuest(command).finish(Buffer.from(hex, "hex"));
    expect(name, `exit code after ${hex}`, end.code, 1);
    expect(name, `output after ${hex}`, end.output.length, 0);
    expect(name, `log after ${hex}`, end.log.some((l) => l.startsWith("ERROR ")), true);
  }
}

const cases = tool === "echo" ? echoCases() : sumCases();
for (const guest of guests) {
  const [, name, kind, where] = guest.match(/^([^=]+)=(wasm|process):(.+)$/) ?? [];
  if (!kind) throw new Error(`not a guest: ${guest}`);
  const before = failed;
  if (kind === "wasm") {
    const g = wasmGuest(where);
    for (const c of cases) {
      try {
        check(name, c, await g.call(c.request));
      } catch (e) {
        expect(name, c.name, e.message, "an answer");
      }
    }
  } else {
    await processChecks(name, where.split(" "), cases);
  }
  console.log(`${failed === before ? "same" : "DIFFERENT"}  ${tool} ${name} (${kind}): ${cases.length} requests`);
}
process.exitCode = failed ? 1 : 0;
