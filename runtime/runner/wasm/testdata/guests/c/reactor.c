/* reactor answers the CRC-32 of its request's payload with a table that a
 * constructor fills: its entry is run, after _initialize. */
#include "mythos.h"

#include <stdlib.h>

static uint32_t table[256];

__attribute__((constructor)) static void fill(void) {
  for (uint32_t i = 0; i < 256; i++) {
    table[i] = i;
    for (int bit = 0; bit < 8; bit++) table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320 : 0);
  }
}

__attribute__((export_name("run"))) void run(void) {
  uint32_t n = request_len(), len, crc = 0xffffffff;
  uint8_t *q = malloc(n), out[6] = {3}; /* UVARINT */
  if (!q) abort();
  request_read(q, 0, n);
  const uint8_t *payload = find_payload(q, n, &len);
  if (!payload) abort();
  for (uint32_t i = 0; i < len; i++) crc = table[(crc ^ payload[i]) & 0xff] ^ crc >> 8;
  answer(out, 1 + put_varint(out + 1, ~crc));
}
