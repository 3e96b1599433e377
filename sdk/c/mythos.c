#define _POSIX_C_SOURCE 200809L
#define _DEFAULT_SOURCE
#include "mythos.h"

#include <stdlib.h>
#include <string.h>

enum { TAG_NULL, TAG_FALSE, TAG_TRUE, TAG_UINT, TAG_INT, TAG_BYTES, TAG_TEXT, TAG_LIST, TAG_MAP };
enum {
  MAX_DEPTH = 32,         /* RFC-MYTHOS-0001 section 2.4 */
  MAX_MESSAGE = 16 << 20, /* RFC-MYTHOS-0006 section 13 */
  MAX_CODE = 128,
  HEAD = 48 /* room before a payload for a response's fields and a frame's length */
};

/* ---- reading: RFC-MYTHOS-0001 section 2 ---- */

/* A cursor over one encoded message. Its first error sticks, and leaves nothing
 * to read. */
typedef struct {
  const uint8_t *b;
  size_t off, len;
  const char *code;
  size_t at;
} reader;

static void fail(reader *r, const char *code, size_t at) {
  if (!r->code) {
    r->code = code;
    r->at = at;
  }
  r->len = r->off;
}

enum { VARINT_CUT = 0, VARINT_WIDE = -1, VARINT_LONG = -2 };

/* uvarint decodes a varint and returns its length, or why there is none. */
static int uvarint(const uint8_t *b, size_t len, uint64_t *out) {
  uint64_t n = 0;
  for (size_t i = 0; i < len; i++) {
    if (i == 9 && b[i] > 1) return VARINT_WIDE;
    if (i > 0 && b[i] == 0) return VARINT_LONG;
    n |= (uint64_t)(b[i] & 0x7f) << (7 * i);
    if (b[i] < 0x80) {
      *out = n;
      return (int)i + 1;
    }
  }
  return VARINT_CUT;
}

/* varint reads a varint of the item whose tag is at byte at. */
static uint64_t varint(reader *r, size_t at) {
  uint64_t n = 0;
  int size = uvarint(r->b + r->off, r->len - r->off, &n);
  if (size > 0) {
    r->off += (size_t)size;
    return n;
  }
  fail(r, size == VARINT_CUT ? "can_truncated" : size == VARINT_WIDE ? "can_overflow" : "can_varint", at);
  return 0;
}

/* content reads the length and the bytes of the item at byte at. */
static mythos_value content(reader *r, size_t at) {
  mythos_value none = {r->b, 0};
  uint64_t n = varint(r, at);
  if (!r->code && n > r->len - r->off) fail(r, "can_bounds", at);
  if (r->code) return none;
  mythos_value v = {r->b + r->off, (size_t)n};
  r->off += (size_t)n;
  return v;
}

/* count reads the count of the container at byte at, whose items take at least
 * size bytes each. */
static uint64_t count(reader *r, size_t at, int depth, size_t size) {
  uint64_t n = varint(r, at);
  if (r->code) return 0;
  if (n > (r->len - r->off) / size) {
    fail(r, "can_bounds", at);
    return 0;
  }
  if (depth >= MAX_DEPTH) {
    fail(r, "can_depth", at);
    return 0;
  }
  return n;
}

/* tail is the number of continuation bytes of well-formed UTF-8 behind c, and
 * the range of the first of them; -1 if c cannot begin a character. */
static int tail(uint8_t c, uint8_t *low, uint8_t *high) {
  *low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
  *high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
  if (c < 0x80) return 0;
  if (c >= 0xc2 && c <= 0xdf) return 1;
  if (c >= 0xe0 && c <= 0xef) return 2;
  if (c >= 0xf0 && c <= 0xf4) return 3;
  return -1;
}

static bool utf8(const uint8_t *b, size_t len) {
  for (size_t i = 0; i < len;) {
    uint8_t low, high;
    int n = tail(b[i++], &low, &high);
    if (n < 0 || (size_t)n > len - i) return false;
    for (; n > 0; n--, i++, low = 0x80, high = 0xbf) {
      if (b[i] < low || b[i] > high) return false;
    }
  }
  return true;
}

static int compare(mythos_value a, mythos_value b) {
  int order = memcmp(a.at, b.at, a.len < b.len ? a.len : b.len);
  return order ? order : (a.len > b.len) - (a.len < b.len);
}

static void value(reader *r, int depth);

/* pairs reads n pairs of a MAP whose keys ascend. */
static void pairs(reader *r, uint64_t n, int depth) {
  mythos_value last = {0, 0};
  for (; n > 0 && !r->code; n--) {
    size_t at = r->off;
    value(r, depth);
    if (r->code) return;
    mythos_value key = {r->b + at, r->off - at};
    int order = last.at ? compare(last, key) : -1;
    if (order >= 0) fail(r, order ? "can_key_order" : "can_key_duplicate", at);
    last = key;
    if (!r->code) value(r, depth);
  }
}

/* value reads one value of any kind inside depth open containers. */
static void value(reader *r, int depth) {
  size_t at = r->off;
  if (at >= r->len) {
    fail(r, "can_truncated", at);
    return;
  }
  uint8_t tag = r->b[at];
  if (tag > TAG_MAP) {
    fail(r, "can_tag", at);
    return;
  }
  r->off++;
  if (tag == TAG_UINT || tag == TAG_INT) {
    varint(r, at);
  } else if (tag == TAG_BYTES || tag == TAG_TEXT) {
    mythos_value v = content(r, at);
    if (!r->code && tag == TAG_TEXT && !utf8(v.at, v.len)) fail(r, "can_utf8", at);
  } else if (tag == TAG_LIST) {
    for (uint64_t n = count(r, at, depth, 1); n > 0 && !r->code; n--) value(r, depth + 1);
  } else if (tag == TAG_MAP) {
    pairs(r, count(r, at, depth, 2), depth + 1);
  }
}

/* done reports whether all was read and nothing was wrong. */
static bool done(reader *r) {
  if (!r->code && r->off < r->len) fail(r, "can_trailing", r->off);
  return !r->code;
}

static bool check(mythos_value v, int depth, reader *r) {
  *r = (reader){v.at, 0, v.len, 0, 0};
  value(r, depth);
  return done(r);
}

/* tag_of reads the tag of a value that must be of that kind, and returns where. */
static size_t tag_of(reader *r, uint8_t want) {
  size_t at = r->off;
  if (at >= r->len) {
    fail(r, "can_truncated", at);
  } else if (r->b[at] > TAG_MAP) {
    fail(r, "can_tag", at);
  } else if (r->b[at] != want) {
    fail(r, "can_type", at);
  } else {
    r->off++;
  }
  return at;
}

/* A struct that is being read (RFC-MYTHOS-0001 section 2.2): its required fields
 * are 1 to need. */
typedef struct {
  reader *r;
  uint64_t left, last, met, need;
  bool closed; /* it may have no other fields */
} structure;

static structure open_struct(reader *r, int depth, uint64_t need, bool closed) {
  size_t at = tag_of(r, TAG_MAP);
  structure s = {r, r->code ? 0 : count(r, at, depth, 2), 0, 0, need, closed};
  return s;
}

/* place checks that field no may follow the last one. */
static uint64_t place(structure *s, uint64_t no, size_t at) {
  bool needed = s->met < s->need && no == s->met + 1;
  const char *code = 0;
  if (no < 1 || no > 127) {
    code = "can_field_number";
  } else if (no < s->last) {
    code = "can_key_order";
  } else if (no == s->last) {
    code = "can_key_duplicate";
  } else if (s->met < s->need && s->met + 1 < no) {
    code = "can_missing";
  } else if (!needed && s->closed) {
    code = "can_unknown_field";
  }
  if (code) {
    fail(s->r, code, at);
    return 0;
  }
  s->met += needed;
  return s->last = no;
}

/* next_field returns the number of the next field, whose value the caller reads,
 * or 0 at the end of the struct. */
static uint64_t next_field(structure *s) {
  reader *r = s->r;
  size_t at = r->off;
  if (r->code) return 0;
  if (s->left == 0) {
    if (s->met < s->need) fail(r, "can_missing", at);
    return 0;
  }
  if (at >= r->len) {
    fail(r, "can_truncated", at);
    return 0;
  }
  if (r->b[at] != TAG_UINT) {
    fail(r, "can_field_number", at);
    return 0;
  }
  r->off++;
  uint64_t no = varint(r, at);
  if (r->code) return 0;
  s->left--;
  return place(s, no, at);
}

/* hash reads a Hash {1 alg = 1, 2 bytes of 32} and returns its digest. */
static const uint8_t *hash(reader *r) {
  const uint8_t *digest = 0;
  structure s = open_struct(r, 1, 2, true);
  for (uint64_t no; (no = next_field(&s));) {
    size_t at = tag_of(r, no == 1 ? TAG_UINT : TAG_BYTES);
    if (r->code) break;
    if (no == 1) {
      uint64_t alg = varint(r, at);
      if (alg != 1) fail(r, alg > 255 ? "can_range" : "hash_alg", at);
      continue;
    }
    mythos_value v = content(r, at);
    if (v.len != 32) fail(r, "can_length", at);
    digest = v.at;
  }
  return digest;
}

static void schema(reader *r) {
  static const char want[] = "mythos.tool.request";
  size_t at = tag_of(r, TAG_TEXT);
  if (r->code) return;
  mythos_value v = content(r, at);
  if (r->code) return;
  if (!utf8(v.at, v.len)) fail(r, "can_utf8", at);
  if (v.len != sizeof want - 1 || memcmp(v.at, want, v.len) != 0) fail(r, "schema_mismatch", at);
}

/* decode_request reads a ToolRequest {1 schema, 2 tool_id, 3 payload, 4 idem_id}. */
static bool decode_request(mythos_value raw, mythos_call *call, reader *r) {
  *r = (reader){raw.at, 0, raw.len, 0, 0};
  structure s = open_struct(r, 0, 4, false);
  for (uint64_t no; (no = next_field(&s));) {
    if (no == 1) {
      schema(r);
    } else if (no == 2) {
      call->tool_id = hash(r);
    } else if (no == 3) {
      size_t at = tag_of(r, TAG_BYTES);
      if (!r->code) call->payload = content(r, at);
    } else if (no == 4) {
      call->idem_id = hash(r);
    } else {
      value(r, 1);
    }
  }
  reader payload;
  if (!done(r)) return false;
  if (!check(call->payload, 0, &payload)) fail(r, "abi_payload", payload.at);
  return !r->code;
}

/* ---- values ---- */

/* number is the varint behind the tag of v, size the bytes of both. */
static uint64_t number(mythos_value v, size_t *size) {
  uint64_t n = 0;
  int got = uvarint(v.at + 1, v.len - 1, &n);
  *size = 1 + (size_t)(got > 0 ? got : 0);
  return n;
}

/* first is the value at the start of v, whose bytes were checked. */
static mythos_value first(mythos_value v) {
  size_t off = 0;
  for (uint64_t left = 1; left > 0 && off < v.len; left--) {
    mythos_value rest = {v.at + off, v.len - off};
    uint8_t tag = *rest.at;
    if (tag < TAG_UINT) {
      off++;
      continue;
    }
    size_t size;
    uint64_t n = number(rest, &size);
    off += size;
    if (tag == TAG_BYTES || tag == TAG_TEXT) off += (size_t)n;
    if (tag == TAG_LIST) left += n;
    if (tag == TAG_MAP) left += 2 * n;
  }
  mythos_value out = {v.at, off};
  return out;
}

mythos_kind mythos_kind_of(mythos_value v) {
  if (v.len == 0 || v.at[0] == TAG_NULL) return MYTHOS_NULL;
  return v.at[0] <= TAG_TRUE ? MYTHOS_BOOL : (mythos_kind)(v.at[0] - 1);
}

/* is_kind returns MYTHOS_OK or logs what v is instead. */
static int is_kind(mythos_value v, mythos_kind want) {
  return mythos_kind_of(v) == want ? MYTHOS_OK : MYTHOS_BAD_REQUEST;
}

int mythos_get_bool(mythos_value v, bool *out) {
  if (is_kind(v, MYTHOS_BOOL)) return MYTHOS_BAD_REQUEST;
  *out = v.at[0] == TAG_TRUE;
  return MYTHOS_OK;
}

int mythos_get_uint(mythos_value v, uint64_t *out) {
  size_t size;
  if (is_kind(v, MYTHOS_UINT)) return MYTHOS_BAD_REQUEST;
  *out = number(v, &size);
  return MYTHOS_OK;
}

int mythos_get_int(mythos_value v, int64_t *out) {
  size_t size;
  if (is_kind(v, MYTHOS_INT)) return MYTHOS_BAD_REQUEST;
  uint64_t n = number(v, &size);
  *out = (n & 1) ? -1 - (int64_t)(n >> 1) : (int64_t)(n >> 1);
  return MYTHOS_OK;
}

int mythos_get_bytes(mythos_value v, const uint8_t **at, size_t *len) {
  size_t size;
  if (is_kind(v, MYTHOS_BYTES)) return MYTHOS_BAD_REQUEST;
  *len = (size_t)number(v, &size);
  *at = v.at + size;
  return MYTHOS_OK;
}

int mythos_get_text(mythos_value v, const char **at, size_t *len) {
  size_t size;
  if (is_kind(v, MYTHOS_TEXT)) return MYTHOS_BAD_REQUEST;
  *len = (size_t)number(v, &size);
  *at = (const char *)v.at + size;
  return MYTHOS_OK;
}

size_t mythos_count(mythos_value v) {
  size_t size;
  return mythos_kind_of(v) >= MYTHOS_LIST ? (size_t)number(v, &size) : 0;
}

static int iterate(mythos_value v, mythos_kind kind, mythos_iter *it) {
  size_t size;
  if (is_kind(v, kind)) return MYTHOS_BAD_REQUEST;
  it->left = (size_t)number(v, &size);
  it->rest.at = v.at + size;
  it->rest.len = v.len - size;
  return MYTHOS_OK;
}

int mythos_items(mythos_value v, mythos_iter *it) { return iterate(v, MYTHOS_LIST, it); }
int mythos_pairs(mythos_value v, mythos_iter *it) { return iterate(v, MYTHOS_MAP, it); }

static mythos_value take(mythos_iter *it) {
  mythos_value v = first(it->rest);
  it->rest.at += v.len;
  it->rest.len -= v.len;
  return v;
}

bool mythos_next(mythos_iter *it, mythos_value *item) {
  if (it->left == 0) return false;
  it->left--;
  *item = take(it);
  return true;
}

bool mythos_next_pair(mythos_iter *it, mythos_value *key, mythos_value *val) {
  if (it->left == 0) return false;
  it->left--;
  *key = take(it);
  *val = take(it);
  return true;
}

bool mythos_find(mythos_value v, const char *name, mythos_value *out) {
  size_t want = strlen(name), len;
  mythos_iter it;
  mythos_value key, val;
  const char *text;
  if (mythos_pairs(v, &it)) return false;
  while (mythos_next_pair(&it, &key, &val)) {
    if (mythos_get_text(key, &text, &len) || len != want || memcmp(text, name, len) != 0) continue;
    *out = val;
    return true;
  }
  return false;
}

int mythos_member(mythos_value v, const char *name, mythos_value *out) {
  return mythos_find(v, name, out) ? MYTHOS_OK : MYTHOS_BAD_REQUEST;
}

/* ---- writing ---- */

static void writer_error(mythos_writer *w, const char *text) {
  if (!w->error) w->error = text;
}

/* room makes place for n more bytes, and reports whether there is. */
static bool room(mythos_writer *w, size_t n) {
  if (w->error) return false;
  if (n > MAX_MESSAGE || w->len + n > MAX_MESSAGE) {
    writer_error(w, "the result is over 16 MiB");
    return false;
  }
  if (w->len + n <= w->cap) return true;
  size_t cap = w->cap ? w->cap : 1024;
  while (cap < w->len + n) cap *= 2;
  uint8_t *buf = realloc(w->buf, cap);
  if (!buf) {
    writer_error(w, "no memory for the result");
    return false;
  }
  w->buf = buf;
  w->cap = cap;
  return true;
}

static void reset(mythos_writer *w) {
  w->len = HEAD;
  w->error = 0;
  w->open = 0;
  w->values = 0;
  w->code = w->message = 0;
}

static size_t put_varint(uint8_t *out, uint64_t n) {
  size_t i = 0;
  for (; n >= 0x80; n >>= 7) out[i++] = (uint8_t)n | 0x80;
  out[i++] = (uint8_t)n;
  return i;
}

/* begin notes where a value begins. */
static void begin(mythos_writer *w) {
  if (w->open == 0) return;
  if (w->in[w->open - 1].map && w->in[w->open - 1].values % 2 == 0) w->in[w->open - 1].pair = w->len;
}

static void reverse(uint8_t *b, size_t len) {
  for (size_t i = 0, j = len; i + 1 < j; i++) {
    uint8_t c = b[i];
    b[i] = b[--j];
    b[j] = c;
  }
}

/* move_back puts the last pair of the map before byte to. */
static void move_back(mythos_writer *w, size_t to, size_t pair) {
  reverse(w->buf + to, pair - to);
  reverse(w->buf + pair, w->len - pair);
  reverse(w->buf + to, w->len - to);
}

/* sort_in puts the pair that was just written where its key belongs. */
static void sort_in(mythos_writer *w, int open) {
  size_t pair = w->in[open].pair, last = w->in[open].last, at = w->in[open].start;
  mythos_value tail_of = {w->buf + pair, w->len - pair}, key = first(tail_of);
  if (w->in[open].values == 2) {
    w->in[open].last = pair;
    return;
  }
  mythos_value greatest = {w->buf + last, w->len - last};
  int order = compare(first(greatest), key);
  if (order < 0) {
    w->in[open].last = pair;
    return;
  }
  mythos_iter it = {{w->buf + at + 2, pair - at - 2}, (w->in[open].values - 2) / 2};
  mythos_value k, v;
  while (order != 0 && mythos_next_pair(&it, &k, &v)) {
    order = compare(k, key);
    if (order <= 0) continue;
    w->in[open].last += w->len - pair;
    move_back(w, (size_t)(k.at - w->buf), pair);
    return;
  }
  writer_error(w, "can_key_duplicate: a key is twice in a MAP");
}

/* finish counts a value that is complete. */
static void finish(mythos_writer *w) {
  if (w->error) return;
  if (w->open == 0) {
    if (w->values++) writer_error(w, "can_trailing: more than one value was written");
    return;
  }
  int open = w->open - 1;
  w->in[open].values++;
  if (w->in[open].map && w->in[open].values % 2 == 0) sort_in(w, open);
}

static void put(mythos_writer *w, uint8_t tag, uint64_t n) {
  begin(w);
  if (!room(w, 11)) return;
  w->buf[w->len++] = tag;
  if (tag > TAG_TRUE) w->len += put_varint(w->buf + w->len, n);
}

static void put_sized(mythos_writer *w, uint8_t tag, const void *at, size_t len) {
  put(w, tag, len);
  if (!room(w, len)) return;
  if (len > 0) memcpy(w->buf + w->len, at, len);
  w->len += len;
  finish(w);
}

void mythos_put_null(mythos_writer *w) {
  put(w, TAG_NULL, 0);
  finish(w);
}

void mythos_put_bool(mythos_writer *w, bool b) {
  put(w, b ? TAG_TRUE : TAG_FALSE, 0);
  finish(w);
}

void mythos_put_uint(mythos_writer *w, uint64_t n) {
  put(w, TAG_UINT, n);
  finish(w);
}

void mythos_put_int(mythos_writer *w, int64_t n) {
  put(w, TAG_INT, n < 0 ? ~((uint64_t)n << 1) : (uint64_t)n << 1);
  finish(w);
}

void mythos_put_bytes(mythos_writer *w, const void *at, size_t len) { put_sized(w, TAG_BYTES, at, len); }

void mythos_put_text(mythos_writer *w, const char *at, size_t len) {
  if (!utf8((const uint8_t *)at, len)) writer_error(w, "can_utf8: a TEXT is not UTF-8");
  put_sized(w, TAG_TEXT, at, len);
}

void mythos_put_string(mythos_writer *w, const char *text) { mythos_put_text(w, text, strlen(text)); }

void mythos_put_value(mythos_writer *w, mythos_value v) {
  reader r;
  begin(w);
  if (v.len == 0) {
    mythos_put_null(w);
    return;
  }
  bool whole = w->open == 0 && v.at == w->trusted.at && v.len == w->trusted.len;
  if (!whole && !check(v, w->open, &r)) writer_error(w, r.code);
  if (!room(w, v.len)) return;
  memcpy(w->buf + w->len, v.at, v.len);
  w->len += v.len;
  finish(w);
}

static void put_container(mythos_writer *w, bool map) {
  if (w->open >= MAX_DEPTH) writer_error(w, "can_depth: more than 32 containers are open");
  begin(w);
  if (!room(w, 2)) return;
  w->in[w->open].start = w->len;
  w->in[w->open].values = 0;
  w->in[w->open++].map = map;
  w->buf[w->len++] = map ? TAG_MAP : TAG_LIST;
  w->buf[w->len++] = 0; /* the count, which mythos_end sets */
}

void mythos_put_list(mythos_writer *w) { put_container(w, false); }
void mythos_put_map(mythos_writer *w) { put_container(w, true); }

void mythos_end(mythos_writer *w) {
  if (w->error) return;
  if (w->open == 0) {
    writer_error(w, "mythos_end without a container");
    return;
  }
  int open = --w->open;
  if (w->in[open].map && w->in[open].values % 2) writer_error(w, "can_truncated: a key without a value");
  uint8_t head[10];
  size_t n = put_varint(head, w->in[open].map ? w->in[open].values / 2 : w->in[open].values);
  size_t body = w->in[open].start + 2;
  if (!room(w, n - 1)) return;
  memmove(w->buf + body + n - 1, w->buf + body, w->len - body);
  memcpy(w->buf + body - 1, head, n);
  w->len += n - 1;
  finish(w);
}

/* ---- messages: RFC-MYTHOS-0006 section 10 ---- */

int mythos_fail(mythos_writer *w, int status, const char *code, const char *message) {
  w->status = status;
  w->code = code;
  w->message = message && *message ? message : 0;
  return MYTHOS_FAILED;
}

/* head writes a response up to its payload, of len bytes, in front of at, and
 * returns where it begins. */
static uint8_t *put_head(uint8_t *at, int status, int fields, size_t len) {
  static const char name[] = "\x03\x01\x06\x14mythos.tool.response\x03\x02\x03";
  uint8_t b[HEAD];
  size_t n = 0;
  b[n++] = TAG_MAP;
  b[n++] = (uint8_t)fields;
  memcpy(b + n, name, sizeof name - 1);
  n += sizeof name - 1;
  n += put_varint(b + n, (uint64_t)status);
  memcpy(b + n, "\x03\x03\x05", 3);
  n += 3;
  n += put_varint(b + n, len);
  return memcpy(at - n, b, n);
}

static bool valid_failure(const mythos_writer *w) {
  if (w->status < 100 || w->status > 599 || w->status == 200 || !w->code) return false;
  size_t len = strlen(w->code);
  return len >= 1 && len <= MAX_CODE && utf8((const uint8_t *)w->code, len) &&
         (!w->message || utf8((const uint8_t *)w->message, strlen(w->message)));
}

/* put_text_field writes a field of an error. */
static void put_text_field(mythos_writer *w, uint8_t no, const char *text) {
  size_t len = strlen(text);
  if (!room(w, 16) || !room(w, 16 + len)) return;
  w->buf[w->len++] = TAG_UINT;
  w->buf[w->len++] = no;
  w->buf[w->len++] = TAG_TEXT;
  w->len += put_varint(w->buf + w->len, len);
  memcpy(w->buf + w->len, text, len);
  w->len += len;
}

/* encode_failure writes the response of a failure and returns where it begins;
 * 0 if there is no room. */
static uint8_t *encode_failure(mythos_writer *w) {
  const char *code = w->code, *message = w->message;
  reset(w);
  if (!room(w, 16)) return 0;
  static const uint8_t error[] = {TAG_NULL, TAG_UINT, 4, TAG_MAP};
  memcpy(w->buf + w->len, error, sizeof error);
  w->len += sizeof error;
  w->buf[w->len++] = message ? 2 : 1;
  put_text_field(w, 1, code);
  if (message) put_text_field(w, 2, message);
  return w->error ? 0 : put_head(w->buf + HEAD, w->status, 4, 1);
}

/* encode_result writes the response for what the tool returned. */
static uint8_t *encode_result(mythos_writer *w, int result) {
  if (result == MYTHOS_OK && !w->error && w->open) writer_error(w, "can_truncated: a container without its mythos_end");
  if (result == MYTHOS_OK && !w->error && w->values == 0) mythos_put_null(w);
  if (result == MYTHOS_OK && !w->error) return put_head(w->buf + HEAD, 200, 3, w->len - HEAD);
  if (result == MYTHOS_BAD_REQUEST) {
    mythos_log(MYTHOS_LOG_ERROR, "bad_request: the payload is not what the tool takes");
    mythos_fail(w, 400, "bad_request", 0);
  } else if (result != MYTHOS_FAILED || !valid_failure(w)) {
    mythos_log(MYTHOS_LOG_ERROR, result == MYTHOS_OK       ? w->error
                                 : result == MYTHOS_FAILED ? "tool_error: not a failure that may be answered"
                                                           : "tool_error");
    mythos_fail(w, 500, "tool_error", 0);
  }
  uint8_t *at = encode_failure(w);
  if (at) return at;
  mythos_log(MYTHOS_LOG_ERROR, "tool_error: the failure does not fit");
  mythos_fail(w, 500, "tool_error", 0);
  return encode_failure(w);
}

/* answer runs the tool on one encoded ToolRequest and returns the ToolResponse,
 * which lies in the writer's buffer with some room in front; 0 without memory. */
static uint8_t *answer(mythos_value request, mythos_writer *w, size_t *len) {
  mythos_call call = {{0, 0}, 0, 0};
  reader r;
  int result;
  uint8_t *at;
  reset(w);
  if (decode_request(request, &call, &r)) {
    w->trusted = call.payload;
    result = mythos_tool(&call, w);
    at = encode_result(w, result);
  } else {
    char text[64] = "bad_request: ";
    strncat(text, r.code, sizeof text - 1 - strlen(text));
    mythos_log(MYTHOS_LOG_ERROR, text);
    mythos_fail(w, 400, "bad_request", 0);
    at = encode_failure(w);
  }
  *len = at ? (size_t)(w->buf + w->len - at) : 0;
  return at;
}

/* ---- hosts ---- */

#ifdef __wasm__

#define HOST(name) __attribute__((import_module("mythos_v1"), import_name(name)))
HOST("request_len") uint32_t host_request_len(void);
HOST("request_read") int32_t host_request_read(void *dst, uint32_t off, uint32_t len);
HOST("response_write") int32_t host_response_write(const void *src, uint32_t len);
HOST("log") void host_log(uint32_t level, const char *text, uint32_t len);
HOST("now_us") int64_t host_now_us(void);
HOST("random") int32_t host_random(void *dst, uint32_t len);
HOST("blob_get") int32_t host_blob_get(const uint8_t *cid, int64_t off, void *dst, uint32_t len);
HOST("http") int32_t host_http(const void *request, uint32_t len);
HOST("http_read") int32_t host_http_read(void *dst, uint32_t off, uint32_t len);

__attribute__((export_name("run"))) void run(void) {
  uint32_t n = host_request_len();
  uint8_t *request = malloc(n ? n : 1);
  mythos_writer w = {0};
  if (!request) __builtin_trap();
  host_request_read(request, 0, n);
  mythos_value raw = {request, n};
  size_t len;
  uint8_t *response = answer(raw, &w, &len);
  if (!response) __builtin_trap();
  if (host_response_write(response, (uint32_t)len) < 0) mythos_log(MYTHOS_LOG_ERROR, "the response is over the limit");
}

void mythos_log(int level, const char *text) { host_log((uint32_t)level, text, (uint32_t)strlen(text)); }
int64_t mythos_now_us(void) { return host_now_us(); }

int mythos_random(void *at, size_t len) {
  enum { MOST = 1 << 16 }; /* bytes of one hostcall */
  for (size_t off = 0, part; off < len; off += part) {
    part = len - off < MOST ? len - off : MOST;
    int32_t n = host_random((uint8_t *)at + off, (uint32_t)part);
    if (n < 0) return n;
  }
  return 0;
}

int mythos_blob_get(const uint8_t digest[32], uint64_t off, void *at, size_t len) {
  return host_blob_get(digest, (int64_t)off, at, (uint32_t)len);
}

int mythos_http(const void *request, size_t len) { return host_http(request, (uint32_t)len); }
int mythos_http_read(void *at, size_t off, size_t len) { return host_http_read(at, (uint32_t)off, (uint32_t)len); }

#else

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

void mythos_log(int level, const char *text) {
  static const char *const labels[] = {"DEBUG ", "INFO ", "WARN ", "ERROR "};
  const char *label = labels[level < 0 ? 0 : level > 3 ? 3 : level];
  size_t len = strlen(text);
  if (len > 0 && text[len - 1] == '\n') len--;
  struct iovec line[3] = {{(void *)(uintptr_t)label, strlen(label)}, {(void *)(uintptr_t)text, len}, {(void *)(uintptr_t)"\n", 1}};
  /* A log that nobody reads is no reason to fail. */
  if (writev(STDERR_FILENO, line, 3) < 0) return;
}

int64_t mythos_now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int mythos_random(void *at, size_t len) {
  for (size_t got = 0; got < len;) {
    ssize_t n = getrandom((uint8_t *)at + got, len - got, 0);
    if (n < 0 && errno != EINTR) return -1;
    if (n > 0) got += (size_t)n;
  }
  return 0;
}

/* secret_fd finds the descriptor of a secret in the environment. */
static int secret_fd(const char *name) {
  char key[256];
  if (strlen(name) > sizeof key - 32) return -1;
  int n = snprintf(key, sizeof key, "MYTHOS_SECRET_%s_FD", name);
  for (int i = (int)strlen("MYTHOS_SECRET_"); i < n - 3; i++) {
    char c = key[i];
    if (c >= 'a' && c <= 'z') {
      key[i] = (char)(c - 'a' + 'A');
    } else if (!(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9')) {
      key[i] = '_';
    }
  }
  const char *text = getenv(key);
  char *end;
  long fd = text ? strtol(text, &end, 10) : -1;
  return text && *text && !*end && fd >= 0 && fd < 1 << 20 ? (int)fd : -1;
}

int64_t mythos_secret(const char *name, void *at, size_t cap) {
  int fd = secret_fd(name);
  if (fd < 0) return -1;
  size_t len = 0;
  for (;;) { /* by offset, because a worker asks in every call */
    uint8_t spare[256], *to = len < cap ? (uint8_t *)at + len : spare;
    ssize_t n = pread(fd, to, len < cap ? cap - len : sizeof spare, (off_t)len);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 || len > MAX_MESSAGE) return -1;
    if (n == 0) return (int64_t)len;
    len += (size_t)n;
  }
}

#ifndef MYTHOS_NO_MAIN

/* A buffer over stdin, so that a small request is one read. */
typedef struct {
  uint8_t buf[65536];
  size_t at, len;
} input;

/* take_bytes reads len bytes: 1, or 0 if the input ends before the first, or -1. */
static int take_bytes(input *in, uint8_t *to, size_t len) {
  for (size_t got = 0; got < len;) {
    if (in->at == in->len) {
      ssize_t n = read(STDIN_FILENO, in->buf, sizeof in->buf);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return n == 0 && got == 0 ? 0 : -1;
      in->at = 0;
      in->len = (size_t)n;
    }
    size_t n = in->len - in->at < len - got ? in->len - in->at : len - got;
    memcpy(to + got, in->buf + in->at, n);
    in->at += n;
    got += n;
  }
  return 1;
}

/* frame_length reads the length of the next frame: 1, 0 at the end, or -1. */
static int frame_length(input *in, uint64_t *n) {
  uint8_t head[10];
  size_t len = 0;
  do {
    int got = take_bytes(in, head + len, 1);
    if (got <= 0) return len == 0 && got == 0 ? 0 : -1;
    len++;
  } while (head[len - 1] >= 0x80 && len < sizeof head);
  return uvarint(head, len, n) > 0 && *n <= MAX_MESSAGE ? 1 : -1;
}

static bool write_all(int fd, const uint8_t *at, size_t len) {
  while (len > 0) {
    ssize_t n = write(fd, at, len);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    at += n;
    len -= (size_t)n;
  }
  return true;
}

/* serve answers frames until the input ends; what went wrong, or 0. */
static const char *serve(int out) {
  static input in;
  static mythos_writer w;
  uint8_t *request = 0;
  size_t cap = 0;
  for (;;) {
    uint64_t n = 0;
    int got = frame_length(&in, &n);
    if (got < 0) return "not a frame of at most 16 MiB";
    if (got == 0) return 0;
    if (n > cap || !request) {
      free(request);
      cap = n > 4096 ? (size_t)n : 4096;
      if (!(request = malloc(cap))) return "no memory for the request";
    }
    if (n > 0 && take_bytes(&in, request, (size_t)n) <= 0) return "the input ends inside a frame";
    mythos_value raw = {request, (size_t)n};
    size_t len;
    uint8_t *response = answer(raw, &w, &len), size[10];
    if (!response) return "no memory for the response";
    size_t head = put_varint(size, len);
    memcpy(response - head, size, head);
    if (!write_all(out, response - head, head + len)) return "stdout cannot be written";
  }
}

/* main keeps stdout for frames: what a tool prints goes to stderr. */
int main(void) {
  int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  if (out < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) return 1;
  const char *error = serve(out);
  if (error) mythos_log(MYTHOS_LOG_ERROR, error);
  return error ? 1 : 0;
}

#endif
#endif
