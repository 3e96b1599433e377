/**
 * Named views (RFC-MYTHOS-0001 §6): a known struct as JSON text for people, with
 * the field names of its table in field order; absent fields are left out. Views
 * are output only: fields that this build does not know are not in them.
 */

import { toHex } from "./bytes.js";
import type { Codec } from "./can/codec.js";
import { jsonText, jsonView } from "./can/json.js";
import { type Hash, hashText } from "./cid.js";
import { codecs } from "./gen/index.js";

/** Returns the named view of x: one line of compact JSON. */
export function namedView<T>(codec: Codec<T>, x: T): string {
  return codec.name === "Hash" ? typed("Hash", x) : fieldsOf(codec as Codec<unknown>, x);
}

function fieldsOf(codec: Codec<unknown>, x: unknown): string {
  const members = codec.fields.flatMap(([, name, type]) => {
    if (type.startsWith("=")) return [`${jsonText(name)}:${jsonText(type.slice(1))}`];
    const v = (x as Record<string, unknown>)[name];
    return v === undefined ? [] : [`${jsonText(name)}:${typed(type, v)}`];
  });
  return `{${members.join(",")}}`;
}

/** Renders a value of a type as spec/schema.can writes it. */
function typed(type: string, v: unknown): string {
  if (type.startsWith("[")) return `[${(v as unknown[]).map((item) => typed(type.slice(1, -1), item)).join(",")}]`;
  if (type.startsWith("{")) {
    const element = type.slice(type.indexOf(":") + 1, -1);
    return `{${[...(v as Map<unknown, unknown>)].map(([k, item]) => `${jsonText(String(k))}:${typed(element, item)}`).join(",")}}`;
  }
  switch (type) {
    case "u8":
    case "u16":
    case "u32":
    case "bool":
      return String(v);
    case "u64":
    case "i64":
      return `"${v}"`;
    case "time":
      return `"${timeText(v as bigint)}"`;
    case "text":
      return jsonText(v as string);
    case "raw":
      return jsonView(v as Uint8Array);
    case "Hash":
      return `"${hashText(v as Hash)}"`;
  }
  if (v instanceof Uint8Array) return `"${toHex(v)}"`;
  return fieldsOf(codecs.get(type.replace("!", ""))!, v);
}

/**
 * Renders microseconds since 1970 as RFC 3339 in UTC with six digits of them, or
 * in digits where RFC 3339 has no year for them.
 */
export function timeText(micros: bigint): string {
  const rest = ((micros % 1_000_000n) + 1_000_000n) % 1_000_000n;
  const date = new Date(Number((micros - rest) / 1000n));
  const year = date.getUTCFullYear();
  if (!(year >= 0 && year <= 9999)) return String(micros);
  return `${date.toISOString().slice(0, 19)}.${String(rest).padStart(6, "0")}Z`;
}
