/**
 * Ed25519 under the strict profile of RFC-MYTHOS-0001 §4.1, which gives one
 * verdict in every language: exact lengths; A and R canonical and not of low
 * order; S < L; and [S]B - [k]A encoding to R byte for byte. Node's OpenSSL
 * checks S and the (cofactorless) equation where it is there, and the portable
 * code below everywhere else; the other rules are always checked here. Signing
 * is RFC 8032. The portable code is not constant-time: keys that matter belong
 * where Node's crypto module is.
 */

import { concatBytes, equalBytes, fromHex, toHex } from "./bytes.js";
import { type NodeCrypto, nodeCrypto } from "./host.js";
import { sha512 } from "./sha512.js";

/** Reports whether signature is pub's over message. */
export function verifyStrict(pub: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (!admissible(pub, signature)) return false;
  return nodeCrypto === undefined ? equation(pub, message, signature) : verifyNode(nodeCrypto, pub, message, signature);
}

/** verifyStrict without any help of the platform. */
export function verifyPortable(pub: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  return admissible(pub, signature) && equation(pub, message, signature);
}

/** Returns the public key of a 32-byte seed. */
export function publicKey(seed: Uint8Array): Uint8Array {
  return encodePoint(multiply(expand(seed).scalar, BASE));
}

/** Signs message with the key of a 32-byte seed. */
export function sign(seed: Uint8Array, message: Uint8Array): Uint8Array {
  if (nodeCrypto === undefined) return signPortable(seed, message);
  const key = nodeCrypto.createPrivateKey({ key: concatBytes(PKCS8, checkSeed(seed)), format: "der", type: "pkcs8" });
  return new Uint8Array(nodeCrypto.sign(null, message, key));
}

/** sign without any help of the platform. */
export function signPortable(seed: Uint8Array, message: Uint8Array): Uint8Array {
  const { scalar, prefix } = expand(seed);
  const pub = encodePoint(multiply(scalar, BASE));
  const r = integer(sha512(prefix, message)) % L;
  const point = encodePoint(multiply(r, BASE));
  const k = integer(sha512(point, pub, message)) % L;
  return concatBytes(point, littleEndian((r + k * scalar) % L));
}

function checkSeed(seed: Uint8Array): Uint8Array {
  if (seed.length !== 32) throw new RangeError(`a seed has 32 bytes, got ${seed.length}`);
  return seed;
}

function expand(seed: Uint8Array): { scalar: bigint; prefix: Uint8Array } {
  const h = sha512(checkSeed(seed));
  const low = h.slice(0, 32);
  low[0]! &= 0xf8;
  low[31] = (low[31]! & 0x7f) | 0x40;
  return { scalar: integer(low), prefix: h.subarray(32) };
}

const SPKI = /* @__PURE__ */ fromHex("302a300506032b6570032100");
const PKCS8 = /* @__PURE__ */ fromHex("302e020100300506032b657004220420");

function verifyNode(crypto: NodeCrypto, pub: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  let key: object;
  try {
    key = crypto.createPublicKey({ key: concatBytes(SPKI, pub), format: "der", type: "spki" });
  } catch {
    return false; // a library that decodes A at once refuses what is no point
  }
  return crypto.verify(null, message, key, signature);
}

/** Checks rules 1 to 4: lengths, canonical A and R, low order, S below L. */
function admissible(pub: Uint8Array, signature: Uint8Array): boolean {
  return pub.length === 32 && signature.length === 64 && canonicalPoint(pub) && canonicalPoint(signature.subarray(0, 32)) &&
    integer(signature.subarray(32)) < L;
}

// The y coordinates of the points of order 1, 2, 4 and 8; x is 0 for the first two of order 1 and 2.
const LOW_ORDER = /* @__PURE__ */ new Set([
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
]);

/** Reports whether b encodes a y below p that is neither of low order nor with x = 0. */
function canonicalPoint(b: Uint8Array): boolean {
  const y = new Uint8Array(b); // a copy; a Buffer's slice is none
  y[31]! &= 0x7f;
  return integer(y) < P && !LOW_ORDER.has(toHex(y));
}

// The curve: -x^2 + y^2 = 1 + d x^2 y^2 over the field of P elements.
const P = (1n << 255n) - 19n;
const L = (1n << 252n) + 27742317777372353535851937790883648493n;
const D = 37095705934669439343138083508754565189542113879843219016388785533085940283555n;
const SQRT_M1 = 19681161376707505956807079304988542015446066515923890162744021073123829784752n;

/** A point as x = X/Z, y = Y/Z, xy = T/Z. */
interface Point {
  readonly x: bigint;
  readonly y: bigint;
  readonly z: bigint;
  readonly t: bigint;
}

const ZERO: Point = { x: 0n, y: 1n, z: 1n, t: 0n };

const mod = (v: bigint): bigint => {
  const r = v % P;
  return r < 0n ? r + P : r;
};

function power(v: bigint, e: bigint): bigint {
  let out = 1n;
  for (; e > 0n; e >>= 1n) {
    if (e & 1n) out = mod(out * v);
    v = mod(v * v);
  }
  return out;
}

function add(p: Point, q: Point): Point {
  const a = mod((p.y - p.x) * (q.y - q.x));
  const b = mod((p.y + p.x) * (q.y + q.x));
  const c = mod(2n * D * p.t * q.t);
  const d = mod(2n * p.z * q.z);
  return { x: mod((b - a) * (d - c)), y: mod((d + c) * (b + a)), z: mod((d - c) * (d + c)), t: mod((b - a) * (b + a)) };
}

function multiply(k: bigint, p: Point): Point {
  let out = ZERO;
  for (; k > 0n; k >>= 1n) {
    if (k & 1n) out = add(out, p);
    p = add(p, p);
  }
  return out;
}

function encodePoint(p: Point): Uint8Array {
  const inverse = power(p.z, P - 2n);
  const out = littleEndian(mod(p.y * inverse));
  if (mod(p.x * inverse) & 1n) out[31]! |= 0x80;
  return out;
}

/** Decodes a point; undefined if there is none with that y. */
function decodePoint(b: Uint8Array): Point | undefined {
  const sign = b[31]! >> 7;
  const low = new Uint8Array(b);
  low[31]! &= 0x7f;
  const y = integer(low);
  const u = mod(y * y - 1n);
  const v = mod(D * y * y + 1n);
  let x = mod(u * power(v, 3n) * power(mod(u * power(v, 7n)), (P - 5n) / 8n));
  if (mod(v * x * x) === mod(-u)) x = mod(x * SQRT_M1);
  if (mod(v * x * x) !== u || (x === 0n && sign === 1)) return undefined;
  if (Number(x & 1n) !== sign) x = mod(-x);
  return { x, y, z: 1n, t: mod(x * y) };
}

/** Checks rule 5: A is a point, and [S]B - [k]A encodes to R. */
function equation(pub: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const a = decodePoint(pub);
  if (a === undefined) return false;
  const r = signature.subarray(0, 32);
  const k = integer(sha512(r, pub, message)) % L;
  const minusA: Point = { x: mod(-a.x), y: a.y, z: a.z, t: mod(-a.t) };
  const got = add(multiply(integer(signature.subarray(32)), BASE), multiply(k, minusA));
  return equalBytes(encodePoint(got), r);
}

function integer(b: Uint8Array): bigint {
  return BigInt("0x" + toHex(new Uint8Array(b).reverse()));
}

function littleEndian(v: bigint): Uint8Array {
  return fromHex(v.toString(16).padStart(64, "0")).reverse();
}

const BASE: Point = /* @__PURE__ */ decodePoint(
  fromHex("5866666666666666666666666666666666666666666666666666666666666666"),
)!;
