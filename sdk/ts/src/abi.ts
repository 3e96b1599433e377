/**
 * The contract between an executor and a tool (RFC-MYTHOS-0006 §10): what a tool
 * is called, the request it is given and the response it owes. request_hash and
 * response_hash are the SHA-256 of the bytes, unknown fields included.
 */

import { concatBytes, utf8Length } from "./bytes.js";
import { readVarint, validate, varint } from "./can/valid.js";
import { Writer } from "./can/writer.js";
import { type Hash, hashOf } from "./cid.js";
import { MythosError, codeOf, recode } from "./fault.js";
import { ToolIdentity, ToolRequest, ToolResponse } from "./gen/abi.js";

/** The one status that means success; others read like HTTP's. */
export const STATUS_OK = 200;

/** Bytes of a tool's name and of an error's code, at most. */
export const MAX_TOOL_NAME = 128;
export const MAX_ERROR_CODE = 128;

const NULL_VALUE = 0;

/** The types built into every executor, by name. */
export type TypeName = "any" | "null" | "bool" | "u64" | "i64" | "bytes" | "text" | "list" | "map";

/** Returns the id of a built-in type: the SHA-256 of the canonical TEXT mythos.type/NAME. */
export function builtinType(name: TypeName): Hash {
  const w = new Writer(64);
  w.text(`mythos.type/${name}`);
  return hashOf(w.take());
}

/** Returns the id of a tool: the SHA-256 of its canonical ToolIdentity. */
export function toolId(name: string, iface: number, request: Hash, response: Hash): Hash {
  return hashOf(ToolIdentity.encode({ name, interface: iface, request_type_id: request, response_type_id: response }));
}

/** Throws abi_tool_name unless name is words of a-z and 0-9 joined by . _ / or -, at most 128 bytes. */
export function checkToolName(name: string): void {
  if (!isWords(name, "._/-", MAX_TOOL_NAME)) {
    throw new MythosError("abi_tool_name", `${JSON.stringify(name.slice(0, 200))} is no tool name`);
  }
}

/** Reports whether s is words of a-z and 0-9, singly joined by the given characters, at most limit bytes. */
export function isWords(s: string, joints: string, limit: number): boolean {
  if (s.length > limit) return false;
  let joined = true; // at a place where a letter or digit must follow
  for (const c of s) {
    if ((c >= "a" && c <= "z") || (c >= "0" && c <= "9")) joined = false;
    else if (joined || !joints.includes(c)) return false;
    else joined = true;
  }
  return !joined;
}

/** Decodes a request and checks that its payload is one canonical value. */
export function decodeRequest(raw: Uint8Array): ToolRequest {
  const x = ToolRequest.decode(raw);
  recode("abi_payload", "the request payload is not one canonical value", () => validate(x.payload));
  return x;
}

/** Decodes a response and checks status, payload and error. Codes: those of a decoder, abi_response, abi_payload. */
export function decodeResponse(raw: Uint8Array): ToolResponse {
  const x = ToolResponse.decode(raw);
  if (x.status < 100 || x.status > 599) throw new MythosError("abi_response", `status ${x.status} is not in 100..599`);
  recode("abi_payload", "the response payload is not one canonical value", () => validate(x.payload));
  if (x.status === STATUS_OK) {
    if (x.error !== undefined) throw new MythosError("abi_response", `status ${STATUS_OK} carries an error`);
    return x;
  }
  if (x.payload[0] !== NULL_VALUE) {
    throw new MythosError("abi_response", `status ${x.status} carries a payload; only ${STATUS_OK} may`);
  }
  const code = x.error === undefined ? 1 : utf8Length(x.error.code);
  if (code === 0 || code > MAX_ERROR_CODE) {
    throw new MythosError("abi_response", `an error code has ${code} bytes, want 1 to ${MAX_ERROR_CODE}`);
  }
  return x;
}

/** Returns the canonical response of a failure: a NULL payload and an error. */
export function failure(status: number, code: string, message = ""): Uint8Array {
  return ToolResponse.encode({ status, payload: Uint8Array.of(NULL_VALUE), error: { code, message } });
}

/** Reads one frame of at most limit bytes at the start of b; left is how many bytes follow it. */
export function decodeFrame(b: Uint8Array, limit: number): { message: Uint8Array; left: number } {
  if (b.length === 0) throw new MythosError("abi_frame_end", "the stream ended without a frame");
  const { value, length } = frameLength(b);
  if (value > limit) throw new MythosError("abi_frame_too_large", `a frame of ${value} bytes, at most ${limit}`);
  const end = length + value;
  if (end > b.length) throw new MythosError("abi_frame_truncated", `the stream ended after ${b.length - length} of ${value} bytes`);
  return { message: b.subarray(length, end), left: b.length - end };
}

function frameLength(b: Uint8Array): { value: number; length: number } {
  try {
    return readVarint(b);
  } catch (e) {
    if (codeOf(e) === "") throw e;
    const code = codeOf(e) === "can_truncated" ? "abi_frame_truncated" : "abi_frame_length";
    throw new MythosError(code, "the frame's length is no minimal varint that ends", undefined, e);
  }
}

/** Returns msg as one frame: its length as a varint, then msg. */
export function encodeFrame(msg: Uint8Array): Uint8Array {
  return concatBytes(varint(msg.length), msg);
}
