// The hostcall abi of RFC-MYTHOS-0006 section 11.1 for the AssemblyScript
// guests. A ToolRequest begins with fields of fixed size, so the payload's key
// is always at the same offset.

@external("mythos_v1", "request_len")
declare function requestLen(): u32;
@external("mythos_v1", "request_read")
declare function requestRead(dst: usize, off: u32, len: u32): i32;
@external("mythos_v1", "response_write")
declare function responseWrite(src: usize, len: u32): i32;

const payloadAt: usize = 6 + 19 + 2 + 42;
const headSize: usize = 34;
const head = memory.data<u8>([
  0x08, 0x03, 0x03, 0x01, 0x06, 0x14, 0x6d, 0x79, 0x74, 0x68, 0x6f, 0x73, 0x2e, 0x74, 0x6f, 0x6f, 0x6c,
  0x2e, 0x72, 0x65, 0x73, 0x70, 0x6f, 0x6e, 0x73, 0x65, 0x03, 0x02, 0x03, 0xc8, 0x01, 0x03, 0x03, 0x05,
]);

export let payload: usize = 0;
export let payloadSize: usize = 0;

/** readRequest reads the request and sets payload and payloadSize. */
export function readRequest(): void {
  const n = requestLen();
  const q = heap.alloc(n);
  requestRead(q, 0, n);
  let at = payloadAt + 3;
  assert(load<u8>(q + at - 3) == 3 && load<u8>(q + at - 2) == 3 && load<u8>(q + at - 1) == 5);
  let size: usize = 0;
  for (let shift: usize = 0; ; shift += 7) {
    const b = load<u8>(q + at++);
    size |= <usize>(b & 0x7f) << shift;
    if (b < 0x80) break;
    assert(shift < 28);
  }
  assert(at + size <= n);
  payload = q + at;
  payloadSize = size;
}

/** answer writes a response of status 200. */
export function answer(at: usize, size: usize): void {
  const b = heap.alloc(headSize + 5 + size);
  memory.copy(b, head, headSize);
  let n = headSize;
  let v = size;
  for (; v >= 0x80; v >>= 7) store<u8>(b + n++, <u8>v | 0x80);
  store<u8>(b + n++, <u8>v);
  memory.copy(b + n, at, size);
  assert(responseWrite(b, <u32>(n + size)) >= 0);
}
