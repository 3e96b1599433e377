/**
 * SHA-512 (FIPS 180-4) over short messages, for the portable Ed25519. It is
 * written for clarity, with bigints as 64-bit words.
 */

const MASK = (1n << 64n) - 1n;

/** Returns the first 64 bits of the fractional part of the k-th root of n. */
function rootBits(n: bigint, k: bigint): bigint {
  // floor(2^64 * n^(1/k)) mod 2^64, by bisection: exact, so no table can be mistyped.
  const target = n << (64n * k);
  let low = 0n;
  let high = 1n << 70n;
  while (high - low > 1n) {
    const mid = (low + high) >> 1n;
    if (mid ** k <= target) low = mid;
    else high = mid;
  }
  return low & MASK;
}

function primes(n: number): bigint[] {
  const out: bigint[] = [];
  for (let p = 2; out.length < n; p++) {
    if (out.every((q) => p % Number(q) !== 0)) out.push(BigInt(p));
  }
  return out;
}

const K = /* @__PURE__ */ primes(80).map((p) => rootBits(p, 3n));
const START = /* @__PURE__ */ primes(8).map((p) => rootBits(p, 2n));

const rotate = (x: bigint, n: bigint): bigint => ((x >> n) | (x << (64n - n))) & MASK;

/** Returns the 64-byte digest of the parts, one after another. */
export function sha512(...parts: Uint8Array[]): Uint8Array {
  const message = pad(parts);
  const h = [...START];
  for (let at = 0; at < message.length; at += 128) compress(h, new DataView(message.buffer, at, 128));
  const out = new Uint8Array(64);
  const view = new DataView(out.buffer);
  h.forEach((word, i) => view.setBigUint64(8 * i, word));
  return out;
}

function pad(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const length = parts.reduce((n, p) => n + p.length, 0);
  const out = new Uint8Array(Math.ceil((length + 17) / 128) * 128);
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  out[at] = 0x80;
  new DataView(out.buffer).setBigUint64(out.length - 8, BigInt(length) << 3n);
  return out;
}

function compress(state: bigint[], block: DataView): void {
  const w: bigint[] = [];
  for (let i = 0; i < 16; i++) w.push(block.getBigUint64(8 * i));
  for (let i = 16; i < 80; i++) {
    const x = w[i - 15]!;
    const y = w[i - 2]!;
    const s0 = rotate(x, 1n) ^ rotate(x, 8n) ^ (x >> 7n);
    const s1 = rotate(y, 19n) ^ rotate(y, 61n) ^ (y >> 6n);
    w.push((w[i - 16]! + s0 + w[i - 7]! + s1) & MASK);
  }
  let [a, b, c, d, e, f, g, h] = state as [bigint, bigint, bigint, bigint, bigint, bigint, bigint, bigint];
  for (let i = 0; i < 80; i++) {
    const s1 = rotate(e, 14n) ^ rotate(e, 18n) ^ rotate(e, 41n);
    const t1 = h + s1 + ((e & f) ^ (~e & MASK & g)) + K[i]! + w[i]!;
    const s0 = rotate(a, 28n) ^ rotate(a, 34n) ^ rotate(a, 39n);
    const t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + t1) & MASK, c, b, a, (t1 + t2) & MASK];
  }
  [a, b, c, d, e, f, g, h].forEach((v, i) => (state[i] = (state[i]! + v) & MASK));
}
