/* work computes on its request's payload with wasi-libc and answers a SHA-256
 * of everything it computed. A command: its entry is _start. */
#include "mythos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SORTED = 600, ORDER = 12 };

typedef struct {
  uint32_t h[8];
  uint64_t size;
  uint8_t block[64];
} sha256;

static uint32_t k[64], initial[8];

/* fraction returns the first 32 bits behind the point of the square (power 2)
 * or cube root of n, found bit by bit. */
static uint32_t fraction(uint32_t n, int power) {
  uint64_t root = 0;
  for (int bit = 35; bit >= 0; bit--) {
    uint64_t try = root | 1ull << bit;
    __uint128_t p = (__uint128_t)try * try;
    if (power == 3) p *= try;
    if (p <= (__uint128_t)n << (32 * power)) root = try;
  }
  return (uint32_t)root;
}

static void constants(void) {
  int found = 0;
  for (uint32_t n = 2; found < 64; n++) {
    uint32_t d = 2;
    while (d * d <= n && n % d) d++;
    if (d * d <= n) continue;
    if (found < 8) initial[found] = fraction(n, 2);
    k[found++] = fraction(n, 3);
  }
}

static uint32_t turn(uint32_t v, int n) { return v >> n | v << (32 - n); }

static void compress(sha256 *s) {
  uint32_t w[64], v[8];
  for (int i = 0; i < 16; i++) {
    const uint8_t *b = s->block + 4 * i;
    w[i] = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
  }
  for (int i = 16; i < 64; i++) {
    uint32_t a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + w[i - 7] + (turn(a, 7) ^ turn(a, 18) ^ a >> 3) + (turn(b, 17) ^ turn(b, 19) ^ b >> 10);
  }
  memcpy(v, s->h, sizeof v);
  for (int i = 0; i < 64; i++) {
    uint32_t t = v[7] + (turn(v[4], 6) ^ turn(v[4], 11) ^ turn(v[4], 25)) + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[i] + w[i];
    uint32_t u = (turn(v[0], 2) ^ turn(v[0], 13) ^ turn(v[0], 22)) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
    memmove(v + 1, v, 7 * sizeof v[0]);
    v[4] += t;
    v[0] = t + u;
  }
  for (int i = 0; i < 8; i++) s->h[i] += v[i];
}

static void begin(sha256 *s) {
  memset(s, 0, sizeof *s);
  memcpy(s->h, initial, sizeof s->h);
}

static void add(sha256 *s, const void *from, size_t n) {
  for (const uint8_t *b = from; n--; b++) {
    s->block[s->size++ % 64] = *b;
    if (s->size % 64 == 0) compress(s);
  }
}

static void finish(sha256 *s, uint8_t *out) {
  uint64_t bits = 8 * s->size;
  add(s, "\x80", 1);
  while (s->size % 64 != 56) add(s, "", 1);
  for (int i = 56; i >= 0; i -= 8) add(s, &(uint8_t){(uint8_t)(bits >> i)}, 1);
  for (int i = 0; i < 32; i++) out[i] = (uint8_t)(s->h[i / 4] >> (24 - i % 4 * 8));
}

static int ascending(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

/* sorting: qsort calls back through the table. */
static void sorting(sha256 *s, const uint8_t *seed, uint32_t n) {
  uint32_t *v = malloc(SORTED * sizeof *v), x = 2463534242u;
  if (!v) abort();
  for (uint32_t i = 0; i < SORTED; i++) {
    x ^= x << 13, x ^= x >> 17, x ^= x << 5;
    v[i] = x + seed[i % n];
  }
  qsort(v, SORTED, sizeof *v, ascending);
  add(s, v, SORTED * sizeof *v);
  free(v);
}

static void matrices(sha256 *s, const uint8_t *seed, uint32_t n) {
  static uint32_t a[ORDER][ORDER], b[ORDER][ORDER], ab[ORDER][ORDER];
  static double f[ORDER][ORDER], g[ORDER][ORDER], fg[ORDER][ORDER];
  for (uint32_t i = 0; i < ORDER * ORDER; i++) {
    a[0][i] = seed[i % n] * 2654435761u;
    b[0][i] = seed[i * 7 % n] ^ i;
    f[0][i] = seed[i % n] / 3.0;
    g[0][i] = 1.0 / (1 + (double)i);
  }
  f[1][1] = 1e308 * f[0][1] - 1e308 * f[0][2]; /* infinities and NaNs too */
  for (int i = 0; i < ORDER; i++)
    for (int j = 0; j < ORDER; j++)
      for (int m = 0; m < ORDER; m++) {
        ab[i][j] += a[i][m] * b[m][j];
        fg[i][j] += f[i][m] * g[m][j];
      }
  add(s, ab, sizeof ab);
  add(s, fg, sizeof fg);
}

/* surroundings: what WASI says is part of the answer. */
static void surroundings(sha256 *s, int argc, char **argv) {
  struct timespec now;
  uint8_t random[40];
  char line[80];
  if (clock_gettime(CLOCK_MONOTONIC, &now) || getentropy(random, sizeof random)) abort();
  add(s, random, sizeof random);
  add(s, line, (size_t)snprintf(line, sizeof line, "%d %s %lld.%09ld", argc, argv[0], (long long)now.tv_sec, now.tv_nsec));
  fprintf(stderr, "%s\n", line);
}

int main(int argc, char **argv) {
  uint32_t n = request_len(), len;
  uint8_t *q = malloc(n), out[34] = {TAG_BYTES, 32};
  if (!q || request_read(q, 0, n) != (int32_t)n) abort();
  const uint8_t *payload = find_payload(q, n, &len);
  if (!payload || !len) return 1;
  sha256 s;
  constants();
  begin(&s);
  add(&s, payload, len);
  sorting(&s, payload, len);
  matrices(&s, payload, len);
  surroundings(&s, argc, argv);
  finish(&s, out + 2);
  answer(out, sizeof out);
  return 0;
}
