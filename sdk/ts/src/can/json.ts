/**
 * The JSON view of a value (RFC-MYTHOS-0001 §6): the text for people and command
 * lines. It loses nothing; jsonView and parseJsonView are each other's inverse,
 * up to white space, escapes and member order in the text.
 */

import { toHex } from "../bytes.js";
import { Reader } from "./reader.js";
import { BYTES, FALSE, INT, LIST, NULL, TEXT, TRUE, UINT } from "./tags.js";
import { validate } from "./valid.js";

const MAX_NUMBER = BigInt(Number.MAX_SAFE_INTEGER);

/**
 * Returns the JSON view of raw, which must be one canonical value: one line of
 * compact JSON, in which nothing can steer a terminal.
 */
export function jsonView(raw: Uint8Array): string {
  validate(raw);
  return view(new Reader(raw));
}

/** Renders the next value of r, which is known to be valid. */
function view(r: Reader): string {
  switch (r.kind()) {
    case NULL:
      return String(r.null());
    case FALSE:
    case TRUE:
      return String(r.bool());
    case UINT: {
      const v = r.u64();
      return v <= MAX_NUMBER ? String(v) : `{"$u64":"${v}"}`;
    }
    case INT: {
      const v = r.i64();
      return v < 0n && v >= -MAX_NUMBER ? String(v) : `{"$i64":"${v}"}`;
    }
    case BYTES:
      return `{"$bytes":"${toHex(r.bytes())}"}`;
    case TEXT:
      return jsonText(r.text());
    case LIST:
      return `[${r.items(view).join(",")}]`;
  }
  return viewMap(r);
}

function viewMap(r: Reader): string {
  const pairs: [key: string, value: string][] = [];
  let plain = true;
  for (let n = r.map(); n > 0; n--) {
    const text = r.kind() === TEXT;
    const key = view(r);
    plain &&= text && !key.startsWith('"$');
    pairs.push([key, view(r)]);
  }
  r.leave();
  if (plain) return `{${pairs.map(([k, v]) => `${k}:${v}`).join(",")}}`;
  return `{"$map":[${pairs.map(([k, v]) => `[${k},${v}]`).join(",")}]}`;
}

// What JSON demands, DEL, the C1 controls, line separators, directional controls
// and U+FEFF. The set is fixed, so that it is the same in every language and year.
const ESCAPED = /["\\\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;
const SHORT: Record<string, string> = { '"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** Returns s as a JSON string with the escapes of jsonView. */
export function jsonText(s: string): string {
  const escape = (c: string): string => SHORT[c] ?? "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0");
  return `"${s.replace(ESCAPED, escape)}"`;
}
