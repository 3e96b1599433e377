// work runs float kernels seeded by its request's payload: five bodies under
// gravity, a Mandelbrot row, and sums in f32 that end in NaN. One export, run.
import { answer, payload, payloadSize, readRequest } from "./mythos";

const bodies = 5;
const x = new StaticArray<f64>(3 * bodies);
const v = new StaticArray<f64>(3 * bodies);
const mass = new StaticArray<f64>(bodies);

function byte(i: i32): u8 {
  return load<u8>(payload + <usize>i % payloadSize);
}

function place(): void {
  for (let i = 0; i < 3 * bodies; i++) {
    x[i] = <f64>byte(i) / 16.0 + <f64>i;
    v[i] = Math.sin(<f64>byte(i + 1));
  }
  for (let i = 0; i < bodies; i++) mass[i] = 1.0 + <f64>byte(i) / 255.0;
}

function step(dt: f64): void {
  for (let i = 0; i < bodies; i++) {
    for (let j = i + 1; j < bodies; j++) {
      const dx = x[3 * i] - x[3 * j];
      const dy = x[3 * i + 1] - x[3 * j + 1];
      const dz = x[3 * i + 2] - x[3 * j + 2];
      const d = dx * dx + dy * dy + dz * dz;
      const pull = dt / (d * Math.sqrt(d));
      v[3 * i] -= dx * mass[j] * pull;
      v[3 * i + 1] -= dy * mass[j] * pull;
      v[3 * i + 2] -= dz * mass[j] * pull;
      v[3 * j] += dx * mass[i] * pull;
      v[3 * j + 1] += dy * mass[i] * pull;
      v[3 * j + 2] += dz * mass[i] * pull;
    }
  }
  for (let i = 0; i < 3 * bodies; i++) x[i] += dt * v[i];
}

function escape(cx: f64, cy: f64): i32 {
  let a = 0.0;
  let b = 0.0;
  let n = 0;
  for (; n < 200 && a * a + b * b <= 4.0; n++) {
    const t = a * a - b * b + cx;
    b = 2.0 * a * b + cy;
    a = t;
  }
  return n;
}

function narrow(): f32 {
  let sum: f32 = 0.0;
  for (let i = 0; i < 200; i++) sum = sum * <f32>1.5 + <f32>byte(i);
  return sum - sum * <f32>byte(0) * <f32>1e30;
}

export function run(): void {
  readRequest();
  assert(payloadSize > 0);
  place();
  for (let i = 0; i < 400; i++) step(0.001);
  let count: i64 = 0;
  for (let i = 0; i < 64; i++) count += escape(<f64>i / 32.0 - 1.5, <f64>byte(i) / 255.0);
  const size: usize = 8 * 3 * bodies + 16;
  const out = heap.alloc(size + 3);
  store<u8>(out, 5); // BYTES
  store<u8>(out, <u8>(size & 0x7f) | 0x80, 1);
  store<u8>(out, <u8>(size >> 7), 2);
  for (let i = 0; i < 3 * bodies; i++) store<f64>(out + 3 + 8 * <usize>i, x[i]);
  store<i64>(out + 3 + size - 16, count);
  store<f64>(out + 3 + size - 8, <f64>narrow());
  answer(out, size + 3);
}
