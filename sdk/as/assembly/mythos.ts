// The guest SDK for AssemblyScript: it makes a module whose run calls serve into
// a MYTHOS tool, a wasm module of the hostcall abi (RFC-MYTHOS-0006, section 11.1)
// without WASI. A tool is one function from a Call, whose payload is a decoded
// Value, to a Value:
//
//     import { Call, fail, serve, Value } from "./mythos";
//
//     export function run(): void {
//       serve((call: Call) => {
//         const name = call.payload.asText();
//         if (name == "") return fail(404, "nobody", "there is nobody to greet");
//         return Value.text("Hello, " + name + "!");
//       });
//     }

import { Reader, Struct, Tag, Writer, validText } from "./codec";
import { begin, Failure, failure, note } from "./failure";
import { Value } from "./value";

export { Kind, Pair, Value } from "./value";

// prettier-ignore
@external("mythos_v1", "request_len") declare function requestLen(): u32;
// prettier-ignore
@external("mythos_v1", "request_read") declare function requestRead(dst: usize, off: u32, len: u32): i32;
// prettier-ignore
@external("mythos_v1", "response_write") declare function responseWrite(src: usize, len: u32): i32;
// prettier-ignore
@external("mythos_v1", "log") declare function hostLog(level: u32, text: usize, len: u32): void;
// prettier-ignore
@external("mythos_v1", "now_us") declare function hostNowUs(): i64;
// prettier-ignore
@external("mythos_v1", "random") declare function hostRandom(dst: usize, len: u32): i32;
// prettier-ignore
@external("mythos_v1", "blob_get") declare function hostBlobGet(cid: usize, off: i64, dst: usize, len: u32): i32;
// prettier-ignore
@external("mythos_v1", "http") declare function hostHttp(request: usize, len: u32): i32;
// prettier-ignore
@external("mythos_v1", "http_read") declare function hostHttpRead(dst: usize, off: u32, len: u32): i32;

/** One request. */
export class Call {
  /** The request's payload, checked. */
  payload: Value = Value.null();
  /** A SHA-256 digest. */
  toolId: StaticArray<u8> = new StaticArray<u8>(0);
  /** A SHA-256 digest: the effect's idempotency id, which a tool that dedupes end
   * to end passes on. */
  idemId: StaticArray<u8> = new StaticArray<u8>(0);
}

/** How much a line of the log matters. */
export enum Level {
  Debug,
  Info,
  Warn,
  Error,
}

/** Writes a line to the log, which a host bounds and labels. */
export function log(level: Level, text: string): void {
  const b = String.UTF8.encode(text);
  hostLog(level, changetype<usize>(b), b.byteLength);
}

/** Makes the answer a failure that the caller is told. status must be 100 to 599
 * and not 200, code 1 to 128 bytes, or the answer is "tool_error"; an empty message
 * is left out. The first failure of a call counts. */
export function fail(status: i32, code: string, message: string = ""): Value {
  note(new Failure(status, code, message, ""));
  return Value.null();
}

/** Makes the answer status 500 and the code "tool_error"; detail is for the log. */
export function error(detail: string): Value {
  note(new Failure(500, "tool_error", "", detail));
  return Value.null();
}

/** Whether the call has failed already, by fail, error, or reading a value of
 * another kind. */
export function bad(): bool {
  return failure !== null;
}

/** Answers the request of this call. It is all that a tool's run does. */
export function serve(tool: (call: Call) => Value): void {
  const n = requestLen();
  const request = new StaticArray<u8>(n);
  requestRead(changetype<usize>(request), 0, n);
  const response = answer(tool, request);
  if (responseWrite(changetype<usize>(response.b), response.len) < 0) {
    log(Level.Error, "the response of " + response.len.toString() + " bytes is over the limit");
  }
}

/** Runs the tool on one encoded ToolRequest and returns the ToolResponse. */
export function answer(tool: (call: Call) => Value, request: StaticArray<u8>): Writer {
  begin();
  const call = new Call();
  const wrong = decodeRequest(request, call);
  if (wrong.length > 0) return refused(new Failure(400, "bad_request", "", wrong));
  const v = tool(call);
  const f = failure;
  if (f !== null) return refused(f);
  if (v.buf !== call.payload.buf || v.off != call.payload.off || v.len != call.payload.len) {
    const r = new Reader(v.buf, v.off, v.off + v.len);
    r.value(0);
    if (!r.done()) return refused(new Failure(500, "tool_error", "", "the result cannot be encoded: " + r.code));
  }
  return encodeResponse(200, v, null);
}

/** The response for a failure. What the caller is not told is logged. */
function refused(f: Failure): Writer {
  let told = f;
  if (!f.valid || !isText(f.code) || !isText(f.message)) {
    told = new Failure(500, "tool_error", "", "not a failure that may be answered: " + f.status.toString() + " " + f.code);
  }
  if (told.detail.length > 0) log(Level.Error, told.code + ": " + told.detail);
  return encodeResponse(told.status, Value.null(), told);
}

function isText(s: string): bool {
  const w = new Writer(2 * s.length + 6);
  w.text(s);
  const n = String.UTF8.byteLength(s);
  return validText(w.b, w.len - n, n);
}

/** Reads a ToolRequest {1 schema, 2 tool_id, 3 payload, 4 idem_id} and returns
 * what is wrong with it, or "". */
export function decodeRequest(request: StaticArray<u8>, call: Call): string {
  const r = new Reader(request, 0, request.length);
  const s = new Struct(r, 0, 4, false);
  let at = 0;
  let len = 0;
  for (let no = s.next(); no != 0; no = s.next()) {
    if (no == 1) {
      schema(r);
    } else if (no == 2) {
      call.toolId = hash(r);
    } else if (no == 3) {
      const tag = r.tag(Tag.BYTES);
      if (r.ok) len = r.content(tag);
      at = r.off - len;
    } else if (no == 4) {
      call.idemId = hash(r);
    } else {
      r.value(1);
    }
  }
  if (!r.done()) return r.code + " at byte " + r.at.toString();
  const p = new Reader(request, at, at + len);
  p.value(0);
  if (!p.done()) return "abi_payload: " + p.code;
  call.payload = new Value(request, at, len);
  return "";
}

function schema(r: Reader): void {
  const at = r.tag(Tag.TEXT);
  if (!r.ok) return;
  const n = r.text(at);
  if (!r.ok) return;
  const got = String.UTF8.decodeUnsafe(changetype<usize>(r.b) + r.off - n, n);
  if (got != "mythos.tool.request") r.fail("schema_mismatch", at);
}

/** Reads a Hash {1 alg = 1, 2 bytes of 32}, a closed struct. */
function hash(r: Reader): StaticArray<u8> {
  const digest = new StaticArray<u8>(32);
  const s = new Struct(r, 1, 2, true);
  for (let no = s.next(); no != 0; no = s.next()) {
    const at = r.tag(no == 1 ? Tag.UINT : Tag.BYTES);
    if (!r.ok) break;
    if (no == 1) {
      const alg = r.varint(at);
      if (r.ok && alg != 1) r.fail(alg > 255 ? "can_range" : "hash_alg", at);
      continue;
    }
    const n = r.content(at);
    if (!r.ok) break;
    if (n != 32) {
      r.fail("can_length", at);
      break;
    }
    memory.copy(changetype<usize>(digest), changetype<usize>(r.b) + r.off - 32, 32);
  }
  return digest;
}

/** Writes a ToolResponse {1 schema, 2 status, 3 payload, 4 error {1 code,
 * 2 message?}?}. */
export function encodeResponse(status: i32, payload: Value, f: Failure | null): Writer {
  const w = new Writer(payload.len + 256);
  w.byte(Tag.MAP);
  w.byte(f === null ? 3 : 4);
  w.field(1);
  w.text("mythos.tool.response");
  w.field(2);
  w.byte(Tag.UINT);
  w.varint(status);
  w.field(3);
  w.sized(Tag.BYTES, payload.buf, payload.off, payload.len);
  if (f === null) return w;
  w.field(4);
  w.byte(Tag.MAP);
  w.byte(f.message.length > 0 ? 2 : 1);
  w.field(1);
  w.text(f.code);
  if (f.message.length > 0) {
    w.field(2);
    w.text(f.message);
  }
  return w;
}

/** The time, microseconds since the Unix epoch, or below 0 as readBlob has it. It
 * needs the grant Clock. */
export function nowMicros(): i64 {
  return hostNowUs();
}

/** n secure random bytes, or null where there are none. It needs the grant
 * Random. */
export function random(n: i32): StaticArray<u8> | null {
  const b = new StaticArray<u8>(n);
  const most = 1 << 16; // bytes of one hostcall
  for (let off = 0; off < n; off += most) {
    if (hostRandom(changetype<usize>(b) + off, min(n - off, most)) < 0) return null;
  }
  return b;
}

/** Reads from the blob named by a SHA-256 digest into b, from byte off, and
 * returns how many bytes it read, at most 1 MiB at once, or -1 denied, -2 out of bounds, -3 a limit, -4
 * not found. It needs the grant BlobRead. */
export function readBlob(cid: StaticArray<u8>, off: u64, b: StaticArray<u8>): i32 {
  if (cid.length != 32) return -2;
  return hostBlobGet(changetype<usize>(cid), off, changetype<usize>(b), b.length);
}

/** Performs an HTTPRequest and returns the HTTPResponse, structs of
 * RFC-MYTHOS-0006, section 11.4, or null if the host refuses it. It needs the grant
 * NetConnect. */
export function http(request: Value): Value | null {
  const n = hostHttp(changetype<usize>(request.buf) + request.off, request.len);
  if (n <= 0) return null;
  const b = new StaticArray<u8>(n);
  if (hostHttpRead(changetype<usize>(b), 0, n) != n) return null;
  const r = new Reader(b, 0, n);
  r.value(0);
  return r.done() ? new Value(b, 0, n) : null;
}

/** What a failed assertion, an index out of range and throw do: it logs the text
 * and stops the module, which the executor answers with 500 "module_trap". Compile
 * with --use abort=PATH/mythos/stop. */
export function stop(message: string | null, file: string | null, line: u32, column: u32): void {
  log(Level.Error, (message ? message : "abort") + " at " + (file ? file : "?") + ":" + line.toString() + ":" + column.toString());
  unreachable();
}
