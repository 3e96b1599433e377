// MYTHOS-CAN: the tables of RFC-MYTHOS-0001 §2, strictness, values and JSON views.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as m from "@mythos-run/sdk";
import { fill, hex, refuses } from "./kit.mjs";

const { I64, decode, encode, jsonView, parseJsonView, toHex } = m;

test("the values of the tables, both ways", () => {
  const table = [
    [null, "00"],
    [false, "01"],
    [true, "02"],
    [0, "03 00"],
    [127, "03 7f"],
    [128, "03 80 01"],
    [300, "03 ac 02"],
    [2 ** 53 - 1, "03 ff ff ff ff ff ff ff 0f"],
    [2n ** 53n, "03 80 80 80 80 80 80 80 10"],
    [2n ** 56n - 1n, "03 ff ff ff ff ff ff ff 7f"],
    [2n ** 64n - 1n, "03 ff ff ff ff ff ff ff ff ff 01"],
    [new I64(0), "04 00"],
    [-1, "04 01"],
    [new I64(1), "04 02"],
    [-64, "04 7f"],
    [new I64(64), "04 80 01"],
    [-(2 ** 53 - 1), "04 fd ff ff ff ff ff ff 1f"],
    [-(2n ** 53n), "04 ff ff ff ff ff ff ff 1f"],
    [-(2n ** 63n), "04 ff ff ff ff ff ff ff ff ff 01"],
    [new I64(2n ** 63n - 1n), "04 fe ff ff ff ff ff ff ff ff 01"],
    [hex("dead"), "05 02 de ad"],
    ["hé", "06 03 68 c3 a9"],
    ["\ufeff\0", "06 04 ef bb bf 00"],
    ["😀".repeat(10), "06 28" + "f09f9880".repeat(10)],
    [[1, new I64(1), null], "07 03 03 01 04 02 00"],
    [new Map(), "08 00"],
    [new Map([[127, null], [128, null], [256, null], [129, null]]), "08 04 03 7f 00 03 80 01 00 03 80 02 00 03 81 01 00"],
    [new Map([[5, 4], [hex("7a"), 5], ["a", 1], ["b", 2], ["aa", 3]]), "08 05 03 05 03 04 05 01 7a 03 05 06 01 61 03 01 06 01 62 03 02 06 02 61 61 03 03"],
  ];
  for (const [value, want] of table) {
    assert.equal(toHex(encode(value)), want.replaceAll(" ", ""));
    assert.deepEqual(decode(hex(want)), value);
  }
  assert.equal(toHex(encode({ b: 2, aa: 3, a: 1 })), "08030601610301060162030206026161" + "0303");
  assert.equal(toHex(encode(new Map([["aa", 1], ["b", 2]]))), "0802060162030206026161" + "0301", "keys are sorted by their bytes");
});

test("what has no encoding is refused", () => {
  for (const [value, code] of [
    [1.5, "can_range"], [2 ** 53, "can_range"], [NaN, "can_range"], [-0, "can_range"], [2n ** 64n, "can_range"], [-(2n ** 63n) - 1n, "can_range"],
    [new I64(2n ** 63n), "can_range"], ["\ud800", "can_utf8"], ["a\udc00", "can_utf8"], [undefined, "can_type"], [() => 1, "can_type"],
    [new Date(0), "can_type"], [new Map([[5, 1], [5n, 2]]), "can_key_duplicate"],
  ]) {
    refuses(() => encode(value), code, m.NO_OFFSET);
  }
  let deep = [];
  for (let i = 0; i < 31; i++) deep = [deep];
  assert.equal(encode(deep).length, 64);
  refuses(() => encode([deep]), "can_depth");
});

test("the faults of RFC-MYTHOS-0001 §2.3, with their offsets", () => {
  const any = decode;
  const u8 = (b) => read(b, (r) => r.uint(255));
  const struct = (b) => read(b, (r) => r.struct().end());
  const hash = (b) => m.Hash.decode(b);
  for (const [bytes, as, code, offset] of [
    ["", any, "can_truncated", 0],
    ["03 80", any, "can_truncated", 0],
    ["03 80 00", any, "can_varint", 0],
    ["03 ff ff ff ff ff ff ff ff ff 02", any, "can_overflow", 0],
    ["03 ff ff ff ff ff ff ff ff ff 00", any, "can_varint", 0],
    ["03 ff ff ff ff ff ff ff ff ff ff 01", any, "can_overflow", 0],
    ["09", any, "can_tag", 0],
    ["07 02 00", any, "can_bounds", 0],
    ["07 01 05 02 de", any, "can_bounds", 2],
    ["06 01 ff", any, "can_utf8", 0],
    ["06 03 ed a0 80", any, "can_utf8", 0],
    ["06 02 c0 80", any, "can_utf8", 0],
    ["06 04 f4 90 80 80", any, "can_utf8", 0],
    ["00 00", any, "can_trailing", 1],
    ["08 02 03 02 00 03 01 00", any, "can_key_order", 5],
    ["08 02 03 01 00 03 01 00", any, "can_key_duplicate", 5],
    ["07 01 ".repeat(32) + "07 00", any, "can_depth", 64],
    ["08 01 06 01 61 00", struct, "can_field_number", 2],
    ["08 01 03 80 01 00", struct, "can_field_number", 2],
    ["08 01 03 00 00", struct, "can_field_number", 2],
    ["04 02", u8, "can_type", 0],
    ["03 80 02", u8, "can_range", 0],
    ["08 01 03 01 03 01", hash, "can_missing", 6],
    ["08 02 03 01 03 02 03 02 05 00", hash, "hash_alg", 4],
    ["08 02 03 01 03 01 03 02 05 01 00", hash, "can_length", 8],
    ["08 02 03 01 03 01 03 03 00", hash, "can_missing", 6],
    ["08 03 03 01 03 01 03 02 05 20" + "00".repeat(32) + "03 03 00", hash, "can_unknown_field", 42],
  ]) {
    refuses(() => as(hex(bytes)), code, offset);
  }
});

function read(b, f) {
  const r = new m.Reader(b);
  const v = f(r);
  r.done();
  return v;
}

test("a Buffer reads and writes like any Uint8Array, and is not changed", () => {
  const raw = Buffer.from("0802030103010302" + "0520" + "ab".repeat(32), "hex");
  const h = m.Hash.decode(raw);
  assert.equal(h.constructor, Uint8Array);
  assert.deepEqual(h, fill(32, 0xab));
  assert.deepEqual(m.Hash.encode(Buffer.from(h)), new Uint8Array(raw));
  const key = Buffer.from(m.publicKey(fill(32, 1)));
  const before = Buffer.from(key);
  m.verifyPortable(key, Buffer.from("x"), Buffer.alloc(64, 1));
  assert.deepEqual(key, before);
});

test("JSON views, both ways", () => {
  for (const [bytes, text] of [
    ["07 03 03 01 04 02 00", '[1,{"$i64":"1"},null]'],
    ["08 01 03 01 06 01 61", '{"$map":[[1,"a"]]}'],
    ["08 01 06 01 61 03 01", '{"a":1}'],
    ["08 01 06 02 24 61 03 01", '{"$map":[["$a",1]]}'],
    ["08 00", "{}"],
    ["03 ff ff ff ff ff ff ff ff ff 01", '{"$u64":"18446744073709551615"}'],
    ["04 ff ff ff ff ff ff ff ff ff 01", '{"$i64":"-9223372036854775808"}'],
    ["05 02 de ad", '{"$bytes":"dead"}'],
    ["06 05 22 5c 0a 7f 61", '"\\"\\\\\\n\\u007fa"'],
    ["06 03 e2 80 ae", '"\\u202e"'],
    ["06 04 f0 9f 98 80", '"😀"'],
  ]) {
    assert.equal(jsonView(hex(bytes)), text);
    assert.deepEqual(parseJsonView(text), hex(bytes));
    assert.deepEqual(parseJsonView(new TextEncoder().encode(text)), hex(bytes));
  }
  assert.equal(toHex(parseJsonView(' { "b" : -1 ,\n"a":[ true ] } ')), "08020601610701020601620401");
  assert.equal(toHex(parseJsonView('"\\ud83d\\ude00\\/"')), "0605f09f98802f");
  for (const [text, code, offset] of [
    ["", "json_syntax", 0], ["{", "json_syntax", 1], ["[1,]", "json_syntax", 3], ["nul", "json_syntax", 0], ['"a', "json_syntax", 2],
    ['"\\x"', "json_syntax", 1], ['"\\u12g4"', "json_syntax", 1], ['"\n"', "json_syntax", 1], ["1.0", "json_number", 0], ["-0", "json_number", 0],
    ["[1e2]", "json_number", 1], ["9007199254740992", "json_number", 0], ["01", "json_number", 0], ['"\\ud800"', "json_text", 1],
    ['"\\udc00\\ud800"', "json_text", 1], ["\ufeff1", "json_text", 0], ["\ud800", "json_text", 0], ['{"a":1,"a":2}', "json_duplicate", 7],
    ['{"$map":[[1,2],[1,3]]}', "json_duplicate", 16], ['{"$x":1}', "json_typed", 1], ['{"$u64":1}', "json_typed", 8], ['{"$u64":"01"}', "json_typed", 8],
    ['{"$i64":"9223372036854775808"}', "json_typed", 8], ['{"$bytes":"0A"}', "json_typed", 10], ['{"$u64":"1","a":1}', "json_typed", 1],
    ['{"a":1,"$u64":"1"}', "json_typed", 7], ["[".repeat(33), "json_depth", 32], ["1 2", "json_trailing", 2],
  ]) {
    refuses(() => parseJsonView(text), code, offset);
  }
  refuses(() => parseJsonView(hex("22ff22")), "json_text", 1);
});

test("a long list is read without a deep stack", () => {
  const text = `[${"1,".repeat(199_999)}1]`;
  const raw = parseJsonView(text);
  assert.equal(raw.length, 4 + 400_000);
  assert.equal(jsonView(raw), text);
});

test("every struct decodes what it encodes, and its fields are those of the schema", () => {
  assert.ok(m.codecs.size >= 100);
  for (const [name, codec] of m.codecs) {
    assert.equal(codec.name, name);
    const x = Object.fromEntries(codec.fields.filter(([, , type, optional]) => !optional && !type.startsWith("=")).map(([, field, type]) => [field, least(type)]));
    const raw = codec.encode(x);
    const back = codec.decode(raw);
    assert.deepEqual(codec.encode(back), raw, name);
    for (const [, field, type, optional] of codec.fields) {
      if (type.startsWith("=")) assert.ok(!Object.hasOwn(back, field));
      else if (optional) assert.equal(back[field], undefined, `${name}.${field}`);
      else assert.deepEqual(JSON.stringify(back[field], plain), JSON.stringify(x[field], plain), `${name}.${field}`);
    }
    const unknown = concatEntry(raw);
    if (codec.closed) refuses(() => codec.decode(unknown), "can_unknown_field", raw.length);
    else assert.deepEqual(codec.encode(codec.decode(unknown)), raw, name);
  }
});

const plain = (_, v) => (typeof v === "bigint" ? String(v) : v);

/** The least value of a type of the schema. */
function least(type) {
  if (type.startsWith("[")) return [];
  if (type.startsWith("{")) return new Map();
  if (/^b\d+$/.test(type)) return fill(Number(type.slice(1)), 1);
  const simple = { u8: 0, u16: 0, u32: 0, u64: 0n, i64: 0n, time: 0n, bool: false, bytes: fill(0, 0), text: "", raw: hex("00"), Hash: fill(32, 1) };
  if (type in simple) return simple[type];
  const { fields } = m.codecs.get(type.replace("!", ""));
  return Object.fromEntries(fields.map(([, name, t, optional]) => [name, optional || t.startsWith("=") ? undefined : least(t)]));
}

/** Adds the entry 127: NULL behind the last of a struct. */
function concatEntry(raw) {
  const out = new Uint8Array([...raw, 3, 127, 0]);
  out[1]++;
  return out;
}

test("ids cover fields that this build does not know", () => {
  const raw = hex("08 03 03 01 03 05 03 02 03 06 03 63 06 01 78");
  assert.equal(toHex(m.without(raw, 1)), "080203020306036306" + "0178");
  assert.equal(toHex(m.without(raw, 1, 99)), "0801030203" + "06");
  assert.equal(toHex(m.without(raw, 7)), toHex(raw));
  refuses(() => m.without(hex("08 02 03 02 00 03 01 00"), 1), "can_key_order", 5);
  refuses(() => m.without(hex("00"), 1), "can_type", 0);
});

test("named views", () => {
  const agent = { scheme: 1, key: fill(32, 0x19), hint: "TEST\u202eONLY" };
  assert.equal(m.namedView(m.AgentID, agent), `{"scheme":1,"key":"${"19".repeat(32)}","hint":"TEST\\u202eONLY"}`);
  assert.equal(m.namedView(m.Hash, fill(32, 1)), `"sha256:${"01".repeat(32)}"`);
  const list = { id: fill(32, 1), issuer: { scheme: 1, key: fill(32, 2) }, seq: 2n ** 64n - 1n, issued: 1767225600001500n, next_update: -1n, revoked: [fill(32, 3)], signature: { alg: 1, sig_bytes: fill(64, 4) } };
  assert.deepEqual(JSON.parse(m.namedView(m.RevocationList, m.RevocationList.decode(m.RevocationList.encode(list)))), {
    id: m.hashText(list.id), schema: "mythos.caps.revocations", issuer: { scheme: 1, key: "02".repeat(32) }, seq: "18446744073709551615",
    issued: "2026-01-01T00:00:00.001500Z", next_update: "1969-12-31T23:59:59.999999Z", revoked: [m.hashText(fill(32, 3))], signature: { alg: 1, sig_bytes: "04".repeat(64) },
  });
  const scope = { tool_id: fill(32, 1), max_calls: 5, constraints: new Map([["ring_max", "0"]]) };
  assert.equal(m.namedView(m.ToolCallScope, scope), `{"tool_id":"${m.hashText(scope.tool_id)}","max_calls":5,"constraints":{"ring_max":"0"}}`);
  assert.equal(m.timeText(253402300800000000n), "253402300800000000");
  assert.equal(m.timeText(253402300799999999n), "9999-12-31T23:59:59.999999Z");
  assert.equal(m.timeText(-(2n ** 63n)), "-9223372036854775808");
});
