/* Tests of the SDK for C: the conformance vectors that are about guests, as lines
 * on stdin (go run ./sdk/go/internal/vectors/print ctvp/vectors writes them), and
 * the answers to tools that fail in every way. */
#define MYTHOS_NO_MAIN
#include "../mythos.c"

#include <inttypes.h>

static int failed;

static void expect(const char *id, const char *got, const char *want) {
  if (strcmp(got, want) == 0) return;
  failed++;
  fprintf(stderr, "%s: got %s, want %s\n", id, got, want);
}

static char *hex(const uint8_t *at, size_t len) {
  char *out = malloc(2 * len + 1);
  for (size_t i = 0; i < len; i++) sprintf(out + 2 * i, "%02x", at[i]);
  out[2 * len] = 0;
  return out;
}

static uint8_t *unhex(const char *text, size_t *len) {
  *len = strcmp(text, "-") ? strlen(text) / 2 : 0;
  uint8_t *out = malloc(*len + 1);
  for (size_t i = 0; i < *len; i++) {
    unsigned c = 0;
    sscanf(text + 2 * i, "%2x", &c);
    out[i] = (uint8_t)c;
  }
  out[*len] = 0;
  return out;
}

/* rebuild reads v through the reading functions and writes it again, the pairs
 * of a MAP in reverse. */
static void rebuild(mythos_writer *w, mythos_value v) {
  bool b = false;
  uint64_t u = 0;
  int64_t i = 0;
  const uint8_t *at = 0;
  const char *text = 0;
  size_t len = 0, n = mythos_count(v);
  mythos_iter it;
  mythos_value item, *all = malloc((2 * n + 1) * sizeof *all);
  int wrong = 0;
  switch (mythos_kind_of(v)) {
  case MYTHOS_NULL: mythos_put_null(w); break;
  case MYTHOS_BOOL: wrong = mythos_get_bool(v, &b); mythos_put_bool(w, b); break;
  case MYTHOS_UINT: wrong = mythos_get_uint(v, &u); mythos_put_uint(w, u); break;
  case MYTHOS_INT: wrong = mythos_get_int(v, &i); mythos_put_int(w, i); break;
  case MYTHOS_BYTES: wrong = mythos_get_bytes(v, &at, &len); mythos_put_bytes(w, at, len); break;
  case MYTHOS_TEXT: wrong = mythos_get_text(v, &text, &len); mythos_put_text(w, text, len); break;
  case MYTHOS_LIST:
    wrong = mythos_items(v, &it);
    mythos_put_list(w);
    while (mythos_next(&it, &item)) rebuild(w, item);
    mythos_end(w);
    break;
  case MYTHOS_MAP:
    wrong = mythos_pairs(v, &it);
    for (size_t k = 0; mythos_next_pair(&it, &all[2 * k], &all[2 * k + 1]); k++) continue;
    mythos_put_map(w);
    while (n-- > 0) {
      rebuild(w, all[2 * n]);
      rebuild(w, all[2 * n + 1]);
    }
    mythos_end(w);
    break;
  }
  if (wrong) expect("rebuild", "a reading function that fails", "a value");
  free(all);
}

static void value_vector(char **part, int parts) {
  size_t len;
  uint8_t *raw = unhex(part[2], &len);
  mythos_value v = {raw, len};
  reader r;
  char got[64] = "ok";
  if (!check(v, 0, &r)) snprintf(got, sizeof got, "%s %zu", r.code, r.at);
  char want[64];
  snprintf(want, sizeof want, parts > 4 ? "%s %s" : "%s", part[3], parts > 4 ? part[4] : "");
  expect(part[1], got, want);
  if (strcmp(got, "ok") == 0) {
    mythos_writer w = {0};
    reset(&w);
    rebuild(&w, v);
    expect(part[1], w.error ? w.error : "no error", "no error");
    char *again = hex(w.buf + HEAD, w.len - HEAD);
    expect(part[1], again, part[2]);
    free(again);
    free(w.buf);
  }
  free(raw);
}

static void request_vector(char **part, int parts) {
  size_t len;
  uint8_t *raw = unhex(part[2], &len);
  mythos_value v = {raw, len};
  mythos_call call = {{0, 0}, 0, 0};
  reader r;
  bool ok = decode_request(v, &call, &r);
  if (parts == 4 || !ok) {
    expect(part[1], ok ? "no error" : r.code, parts == 4 ? part[3] : "no error");
    free(raw);
    return;
  }
  char *got[] = {hex(call.payload.at, call.payload.len), hex(call.tool_id, 32), hex(call.idem_id, 32)};
  for (int i = 0; i < 3; i++) {
    if (strcmp(part[3 + i], "-") != 0) expect(part[1], got[i], part[3 + i]);
    free(got[i]);
  }
  free(raw);
}

static void response_vector(char **part) {
  size_t len, n;
  uint8_t *payload = unhex(part[4], &len), *code = unhex(part[5], &n), *message = unhex(part[6], &n);
  mythos_writer w = {0};
  mythos_value v = {payload, len};
  reset(&w);
  int result = MYTHOS_OK;
  if (*code) {
    result = mythos_fail(&w, atoi(part[3]), (char *)code, (char *)message);
  } else {
    mythos_put_value(&w, v);
  }
  uint8_t *at = encode_result(&w, result);
  char *got = hex(at, (size_t)(w.buf + w.len - at));
  expect(part[1], got, part[2]);
  free(got);
  free(w.buf);
  free(payload);
  free(code);
  free(message);
}

static size_t vectors(void) {
  static char line[1 << 20];
  size_t ran = 0;
  while (fgets(line, sizeof line, stdin)) {
    char *part[8], *save = 0;
    int parts = 0;
    for (char *p = strtok_r(line, " \n", &save); p && parts < 8; p = strtok_r(0, " \n", &save)) part[parts++] = p;
    if (parts < 4) {
      expect("vectors", line, "a line of four parts");
    } else if (strcmp(part[0], "value") == 0) {
      value_vector(part, parts);
    } else if (strcmp(part[0], "request") == 0) {
      request_vector(part, parts);
    } else if (strcmp(part[0], "response") == 0 && parts == 7) {
      response_vector(part);
    } else if (strcmp(part[0], "frame") == 0) {
      continue; /* scripts/guest_parity.mjs sends frames to the echo tool */
    } else {
      expect("vectors", part[0], "an op with a test");
    }
    ran++;
  }
  return ran;
}

/* ---- tools that fail ---- */

static int wanted; /* which one mythos_tool is */

int mythos_tool(const mythos_call *call, mythos_writer *w) {
  static const char longest[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
  static uint8_t large[1 << 16];
  mythos_value v;
  uint64_t n;
  int e;
  switch (wanted) {
  case 0: mythos_put_value(w, call->payload); return MYTHOS_OK;
  case 1: return MYTHOS_OK;
  case 2: return mythos_fail(w, 404, "not_found", "no such key");
  case 3: return mythos_fail(w, 404, "not_found", "");
  case 4: return mythos_fail(w, 200, "fine", 0);
  case 5: return mythos_fail(w, 600, "x", 0);
  case 6: return mythos_fail(w, 500, "", 0);
  case 7: return mythos_fail(w, 500, longest, 0); /* 129 bytes */
  case 8: return mythos_fail(w, 500, "\xff", 0);
  case 9: return MYTHOS_ERROR;
  case 10: return 17;
  case 11: return mythos_get_uint(call->payload, &n);
  case 12:
    e = mythos_member(call->payload, "x", &v);
    return e;
  case 13: /* 33 containers */
    for (int i = 0; i < 33; i++) mythos_put_list(w);
    for (int i = 0; i < 33; i++) mythos_end(w);
    return MYTHOS_OK;
  case 14: mythos_put_text(w, "\xff", 1); return MYTHOS_OK;
  case 15: /* a key twice, out of order */
    mythos_put_map(w);
    for (int i = 0; i < 6; i++) mythos_put_uint(w, i < 2 ? 2 : i < 4 ? 1 : 2);
    mythos_end(w);
    return MYTHOS_OK;
  case 16: mythos_put_list(w); return MYTHOS_OK;
  case 17:
    mythos_put_null(w);
    mythos_put_null(w);
    return MYTHOS_OK;
  case 18: /* over 16 MiB */
    mythos_put_list(w);
    for (int i = 0; i < 257; i++) mythos_put_bytes(w, large, sizeof large);
    mythos_end(w);
    return MYTHOS_OK;
  case 19: /* 200 items: a count of two bytes */
    mythos_put_list(w);
    for (int i = 0; i < 200; i++) mythos_put_null(w);
    mythos_end(w);
    return MYTHOS_OK;
  case 20: mythos_put_map(w); mythos_put_null(w); mythos_end(w); return MYTHOS_OK;
  case 21: mythos_end(w); return MYTHOS_OK;
  }
  return MYTHOS_ERROR;
}

#define RESPONSE "06146d7974686f732e746f6f6c2e726573706f6e73650302"
#define SUCCESS "08030301" RESPONSE "03c801030305"
#define TOOL_ERROR "08040301" RESPONSE "03f40303030501000304080103010" "60a746f6f6c5f6572726f72"
#define BAD "08040301" RESPONSE "03900303030501000304080103010" "60b6261645f72657175657374"
#define NOT_FOUND "08040301" RESPONSE "03940303030501000304"

static void answers(void) {
  static const char hello[] =
      "0804030106136d7974686f732e746f6f6c2e7265717565737403020802030103010302052049"
      "27203fda6a2dfdedfc270963ad1872d7a0da7de72b49ff47b426a2e75df14b03030507060568"
      "656c6c6f0304080203010301030205200000000000000000000000000000000000000000000000000000000000000000";
  static const char *const want[] = {
      SUCCESS "07060568656c6c6f", SUCCESS "0100",
      NOT_FOUND "08020301" "06096e6f745f666f756e64" "0302060b6e6f2073756368206b6579",
      NOT_FOUND "08010301" "06096e6f745f666f756e64",
      TOOL_ERROR, TOOL_ERROR, TOOL_ERROR, TOOL_ERROR, TOOL_ERROR, TOOL_ERROR, TOOL_ERROR,
      BAD, BAD, TOOL_ERROR, TOOL_ERROR, TOOL_ERROR, TOOL_ERROR, TOOL_ERROR, TOOL_ERROR, 0, TOOL_ERROR, TOOL_ERROR};
  mythos_writer w = {0};
  size_t len, n;
  uint8_t *request = unhex(hello, &len);
  for (wanted = 0; wanted < (int)(sizeof want / sizeof *want); wanted++) {
    char id[32];
    snprintf(id, sizeof id, "tool %d", wanted);
    mythos_value raw = {request, len};
    uint8_t *at = answer(raw, &w, &n);
    char *got = hex(at, n);
    if (want[wanted]) {
      expect(id, got, want[wanted]);
    } else if (strncmp(got, SUCCESS "cb0107c801" "0000", strlen(SUCCESS) + 14) != 0) {
      expect(id, got, "a LIST of 200 NULLs");
    }
    free(got);
  }
  wanted = 0;
  for (size_t cut = 0; cut < len; cut++) { /* every prefix is refused */
    mythos_value raw = {request, cut};
    uint8_t *at = answer(raw, &w, &n);
    char *got = hex(at, n);
    expect("a cut request", got, BAD);
    free(got);
  }
  free(w.buf);
  free(request);
}

static void powers(void) {
  uint8_t a[300] = {0}, b[300] = {0};
  if (mythos_random(a, sizeof a) || mythos_random(b, sizeof b) || memcmp(a, b, sizeof a) == 0) expect("random", "no", "random");
  if (mythos_now_us() < INT64_C(1600000000000000)) expect("now_us", "early", "now");
  char path[] = "/tmp/mythos-secret-XXXXXX", text[16];
  int fd = mkstemp(path);
  if (fd < 0 || write(fd, "s3cret", 6) != 6) expect("secret", "no file", "a file");
  unlink(path);
  snprintf(text, sizeof text, "%d", fd);
  setenv("MYTHOS_SECRET_API_KEY_1_FD", text, 1);
  for (int i = 0; i < 2; i++) {
    char got[8] = "";
    if (mythos_secret("api-key.1", got, sizeof got) != 6) expect("secret", "another length", "6");
    expect("secret", got, "s3cret");
  }
  if (mythos_secret("api-key.1", text, 3) != 6) expect("secret", "another length", "6 of 3");
  if (mythos_secret("other", text, sizeof text) != -1) expect("secret", "granted", "denied");
  close(fd);
}

int main(void) {
  size_t ran = vectors();
  if (ran < 240) expect("vectors", "fewer", "at least 240");
  answers();
  powers();
  printf("%zu vectors, %d failed\n", ran, failed);
  return failed ? 1 : 0;
}
