/* The hostcall abi of RFC-MYTHOS-0006 section 11.1 for the C guests, and as
 * much of the canonical encoding as a tool needs.
 *
 * A ToolRequest is 08 n, field 1 (the schema, always the same text), field 2 (a
 * hash, always 42 bytes) and then field 3, the payload. So the payload's tag is
 * always at the same offset. */
#ifndef MYTHOS_H
#define MYTHOS_H

#include <stddef.h>
#include <stdint.h>

#define HOST(name) __attribute__((import_module("mythos_v1"), import_name(name)))

HOST("request_len") uint32_t request_len(void);
HOST("request_read") int32_t request_read(void *dst, uint32_t off, uint32_t len);
HOST("response_write") int32_t response_write(const void *src, uint32_t len);

enum { PAYLOAD_AT = 6 + 19 + 2 + 42, TAG_BYTES = 5 };

/* put_varint writes an unsigned LEB128 and returns its length. */
static inline uint32_t put_varint(uint8_t *out, uint32_t v) {
  uint32_t n = 0;
  for (; v >= 0x80; v >>= 7) out[n++] = (uint8_t)v | 0x80;
  out[n++] = (uint8_t)v;
  return n;
}

/* find_payload returns the payload of a request of n bytes, 0 if it is none. */
static inline const uint8_t *find_payload(const uint8_t *q, uint32_t n, uint32_t *len) {
  uint64_t size = 0;
  uint32_t at = PAYLOAD_AT + 3, shift = 0;
  if (n < at || q[0] != 8 || q[at - 3] != 3 || q[at - 2] != 3 || q[at - 1] != TAG_BYTES) return 0;
  for (;; shift += 7) {
    if (at == n || shift > 28) return 0;
    size |= (uint64_t)(q[at] & 0x7f) << shift;
    if (q[at++] < 0x80) break;
  }
  if (size > n - at) return 0;
  *len = (uint32_t)size;
  return q + at;
}

/* answer writes a response of status 200, in two parts. */
static inline void answer(const uint8_t *payload, uint32_t len) {
  static const char head[] = "\x08\x03\x03\x01\x06\x14mythos.tool.response\x03\x02\x03\xc8\x01\x03\x03\x05";
  uint8_t b[sizeof head - 1 + 5];
  uint32_t n = 0;
  for (; n < sizeof head - 1; n++) b[n] = (uint8_t)head[n];
  n += put_varint(b + n, len);
  if (response_write(b, n) < 0 || response_write(payload, len) < 0) __builtin_trap();
}

#endif
