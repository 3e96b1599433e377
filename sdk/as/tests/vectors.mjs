// Runs build/vectors.wasm over the conformance vectors that are about guests, as
// lines in the file that MYTHOS_VECTORS names;
// go run ./sdk/go/internal/vectors/print ctvp/vectors writes them.
import { readFileSync } from "node:fs";

const file = process.env.MYTHOS_VECTORS;
if (!file) throw new Error("MYTHOS_VECTORS names no file; scripts/sdks.sh as sets it");
const module = new WebAssembly.Module(readFileSync(new URL("../build/vectors.wasm", import.meta.url)));
let memory;
let logged = 0;
const at = (ptr, len) => new Uint8Array(memory.buffer, ptr, len);
const mythos_v1 = {
  request_len: () => 0,
  request_read: () => 0,
  response_write: () => -3,
  log: () => logged++,
  now_us: () => 1234567n,
  random: (dst, len) => (len > 65536 ? -3 : (at(dst, len).fill(7), len)),
  blob_get: (_cid, off, dst, len) => (at(dst, len).fill(Number(off)), len),
  http: (_request, len) => (len === 1 ? -1 : 4),
  http_read: (dst, _off, len) => (at(dst, len).set([6, 2, 0x6f, 0x6b]), len),
};
const { exports } = new WebAssembly.Instance(module, { mythos_v1 });
memory = exports.memory;

function call(name, input, ...args) {
  const at = exports.input(input.length);
  new Uint8Array(memory.buffer).set(input, at);
  exports[name](...args);
  return Buffer.from(memory.buffer, exports.output(), exports.outputLength()).toString();
}

const bytes = (hex) => (hex === "-" ? Buffer.alloc(0) : Buffer.from(hex, "hex"));
let failed = 0;
function expect(id, got, want) {
  if (got === want) return;
  failed++;
  console.error(`${id}: got ${got}, want ${want}`);
}

const ops = {
  value: ([hex, verdict, offset]) => [call("value", bytes(hex)), verdict === "ok" ? `ok ${hex}` : `${verdict} ${offset}`],
  request([hex, ...want]) {
    const got = call("request", bytes(hex));
    if (want.length === 1) return [got.split(/[: ]/)[0], want[0]];
    const parts = got.split(" ");
    return [parts.map((p, i) => (want[i] === "-" ? "-" : p)).join(" "), want.join(" ")];
  },
  response([hex, status, payload, code, message]) {
    const parts = [payload, code, message].map(bytes);
    return [call("response", Buffer.concat(parts), Number(status), ...parts.map((p) => p.length)), hex];
  },
  frame: () => null, // a wasm module of this abi reads none
};

let ran = 0;
let request;
for (const line of readFileSync(file, "utf8").trim().split("\n")) {
  const [op, id, ...parts] = line.split(" ");
  const result = ops[op](parts);
  if (!result) continue;
  expect(id, ...result);
  if (id === "tool-request-example-001") request = bytes(parts[0]);
  ran++;
}
if (ran < 240) expect("vectors", ran, "at least 240");

// What is in the table of tools in vectors.ts.
const head = "06146d7974686f732e746f6f6c2e726573706f6e73650302";
const hexText = (s) => "06" + s.length.toString(16).padStart(2, "0") + Buffer.from(s).toString("hex");
const success = (payload) => `08030301${head}03c801030305${(payload.length / 2).toString(16).padStart(2, "0")}${payload}`;
function failure(status, code, message) {
  const varint = Buffer.from([(status & 127) | 128, status >> 7]).toString("hex");
  const error = message ? `08020301${hexText(code)}0302${hexText(message)}` : `08010301${hexText(code)}`;
  return `08040301${head}03${varint}03030501000304${error}`;
}
const toolError = failure(500, "tool_error");
const bad = failure(400, "bad_request");
const answers = [
  success("060568656c6c6f"), success("0307"), failure(404, "not_found", "no such key"), toolError, toolError, toolError,
  toolError, toolError, bad, bad, bad, toolError, toolError, toolError,
];
answers.forEach((want, i) => expect(`tool ${i}`, call("tool", request, i), want));
for (const raw of ["-", "676172", "0804"]) expect(`request ${raw}`, call("tool", bytes(raw), 0), bad);
expect("powers", call("powers", bytes("-")), "1234567 77 405050505 ok denied");
if (logged === 0) expect("log", logged, "some lines");

console.log(`${ran} vectors, ${answers.length + 3} answers, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
