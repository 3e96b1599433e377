/* echo answers its request's payload. Freestanding: no libc, no WASI, one
 * export, run. */
#include "mythos.h"

extern uint8_t __heap_base;

__attribute__((export_name("run"))) void run(void) {
  uint32_t n = request_len(), len;
  uint32_t end = (uint32_t)(uintptr_t)&__heap_base + n;
  uint32_t pages = (end + 65535) / 65536, have = (uint32_t)__builtin_wasm_memory_size(0);
  if (end < n || (pages > have && __builtin_wasm_memory_grow(0, pages - have) == (size_t)-1)) __builtin_trap();
  request_read(&__heap_base, 0, n);
  const uint8_t *payload = find_payload(&__heap_base, n, &len);
  if (!payload) __builtin_trap();
  answer(payload, len);
}
