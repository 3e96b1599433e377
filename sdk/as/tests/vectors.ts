// What tests/vectors.mjs calls: bytes go in through input, results come out as
// text.

import { Reader } from "../assembly/codec";
import { Failure } from "../assembly/failure";
import {
  answer, Call, decodeRequest, encodeResponse, error, fail, http, Kind, nowMicros, Pair, random, readBlob, Value,
} from "../assembly/mythos";

let bytes = new StaticArray<u8>(0);
let result = new ArrayBuffer(0);

export function input(n: i32): usize {
  bytes = new StaticArray<u8>(n);
  return changetype<usize>(bytes);
}

export function output(): usize {
  return changetype<usize>(result);
}

export function outputLength(): i32 {
  return result.byteLength;
}

function say(text: string): void {
  result = String.UTF8.encode(text);
}

function hex(b: StaticArray<u8>): string {
  const digits = "0123456789abcdef";
  let out = "";
  for (let i = 0; i < b.length; i++) out += digits.charAt(b[i] >> 4) + digits.charAt(b[i] & 15);
  return out;
}

/** Reads a value through its methods and builds it again, pairs in reverse. */
function rebuild(v: Value): Value {
  switch (v.kind) {
    case Kind.Bool:
      return Value.bool(v.asBool());
    case Kind.Uint:
      return Value.uint(v.asUint());
    case Kind.Int:
      return Value.int(v.asInt());
    case Kind.Bytes:
      return Value.bytes(v.asBytes());
    case Kind.Text:
      return Value.text(v.asText());
    case Kind.List: {
      const items = v.items();
      const out = new Array<Value>();
      for (let i = 0; i < items.length; i++) out.push(rebuild(items[i]));
      return Value.list(out);
    }
    case Kind.Map: {
      const pairs = v.pairs();
      const out = new Array<Pair>();
      for (let i = pairs.length - 1; i >= 0; i--) out.push(new Pair(rebuild(pairs[i].key), rebuild(pairs[i].value)));
      return Value.map(out);
    }
    default:
      return Value.null();
  }
}

export function value(): void {
  const r = new Reader(bytes, 0, bytes.length);
  r.value(0);
  if (!r.done()) return say(r.code + " " + r.at.toString());
  say("ok " + hex(rebuild(new Value(bytes, 0, bytes.length)).raw()));
}

export function request(): void {
  const call = new Call();
  const wrong = decodeRequest(bytes, call);
  say(wrong.length > 0 ? wrong : hex(call.payload.raw()) + " " + hex(call.toolId) + " " + hex(call.idemId));
}

/** The input is payload, code and message, of these lengths. */
export function response(status: i32, payload: i32, code: i32, message: i32): void {
  const at = changetype<usize>(bytes) + payload;
  let f: Failure | null = null;
  if (code > 0) f = new Failure(status, String.UTF8.decodeUnsafe(at, code), String.UTF8.decodeUnsafe(at + code, message), "");
  const w = encodeResponse(status, new Value(bytes, 0, payload), f);
  say(hex(new Value(w.b, 0, w.len).raw()));
}

/** The answer of one of several tools to a request. */
export function tool(no: i32): void {
  let w = answer(tools[no], bytes);
  say(hex(new Value(w.b, 0, w.len).raw()));
}

function deep(): Value {
  let v = Value.null();
  for (let i = 0; i < 33; i++) v = Value.list([v]);
  return v;
}

const tools: ((call: Call) => Value)[] = [
  (call: Call) => call.payload,
  (call: Call) => Value.uint(7),
  (call: Call) => fail(404, "not_found", "no such key"),
  (call: Call) => fail(200, "fine"),
  (call: Call) => fail(500, ""),
  (call: Call) => fail(500, "x".repeat(129)),
  (call: Call) => fail(500, "x", String.fromCharCode(0xd800)),
  (call: Call) => error("no"),
  (call: Call) => Value.uint(call.payload.asUint()),
  (call: Call) => Value.list([call.payload.get("x")]),
  (call: Call) => {
    call.payload.asUint();
    return fail(404, "later");
  },
  (call: Call) => deep(),
  (call: Call) => Value.text(String.fromCharCode(0xd800)),
  (call: Call) => Value.map([new Pair(Value.uint(1), Value.null()), new Pair(Value.uint(1), Value.null())]),
];

/** What the powers give on the host of vectors.mjs. */
export function powers(): void {
  const r = random(100000);
  const b = new StaticArray<u8>(4);
  const n = readBlob(new StaticArray<u8>(32), 5, b);
  const v = http(Value.text("GET"));
  const denied = http(Value.null());
  say(
    nowMicros().toString() + " " + (r ? r[0].toString() + r[99999].toString() : "none") + " " + n.toString() + hex(b) +
      " " + (v ? v.asText() : "none") + " " + (denied ? "granted" : "denied"),
  );
}
