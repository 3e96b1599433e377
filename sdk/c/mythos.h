/* The guest SDK for C: a tool is one function, mythos_tool, from a decoded
 * payload to a payload (RFC-MYTHOS-0006 section 10). Compile mythos.c with it.
 * The same source builds as a wasm module of the hostcall abi (section 11.1), a
 * reactor whose entry is run, and as a native executable that speaks frames on
 * stdin and stdout (section 12).
 *
 * Memory: the SDK holds one buffer for the request and one for the response,
 * each as large as needed and at most 16 MiB; a tool allocates nothing to read
 * a payload or to write one. */
#ifndef MYTHOS_H
#define MYTHOS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Results of a tool. Whatever else a tool returns is MYTHOS_ERROR. */
enum {
  MYTHOS_OK = 0,           /* status 200 and what was written, NULL if nothing was */
  MYTHOS_ERROR = -1,       /* status 500, code "tool_error"; log what went wrong */
  MYTHOS_BAD_REQUEST = -2, /* status 400, code "bad_request": what reading returns */
  MYTHOS_FAILED = -3       /* what mythos_fail returns */
};

/* One MYTHOS-CAN value (RFC-MYTHOS-0001 section 2), encoded: checked, and valid
 * until mythos_tool returns. Nobody writes to it. */
typedef struct {
  const uint8_t *at;
  size_t len;
} mythos_value;

typedef struct {
  mythos_value payload;
  const uint8_t *tool_id; /* 32 bytes, a SHA-256 digest */
  const uint8_t *idem_id; /* 32 bytes: what a tool that dedupes end to end passes on */
} mythos_call;

/* Where a payload is written, value by value. Its fields are the SDK's. */
typedef struct {
  uint8_t *buf;
  size_t len, cap;
  const char *error; /* why the payload cannot be encoded; the first one sticks */
  mythos_value trusted;
  int open;
  struct {
    size_t start;    /* of the container's tag */
    size_t pair;     /* of the pair being written */
    size_t last;     /* of the pair with the greatest key so far */
    uint32_t values; /* written so far; a pair counts for two */
    bool map;
  } in[32];
  uint32_t values; /* outside all containers */
  int status;
  const char *code, *message;
} mythos_writer;

/* The tool. It reads call->payload, writes one value to w and returns MYTHOS_OK,
 * or what mythos_fail or a reading function returned. */
int mythos_tool(const mythos_call *call, mythos_writer *w);

/* mythos_fail makes the answer a failure: status 100 to 599 and not 200, code of
 * 1 to 128 bytes, message NULL or "" for none, all UTF-8. The texts are not
 * copied: they must outlive mythos_tool. */
int mythos_fail(mythos_writer *w, int status, const char *code, const char *message);

/* Reading. Those that return int return 0, or MYTHOS_BAD_REQUEST for a value of
 * another kind, which a tool returns as it is. What they set aliases the value. */
typedef enum {
  MYTHOS_NULL,
  MYTHOS_BOOL,
  MYTHOS_UINT, /* UVARINT */
  MYTHOS_INT,  /* IVARINT */
  MYTHOS_BYTES,
  MYTHOS_TEXT,
  MYTHOS_LIST,
  MYTHOS_MAP
} mythos_kind;

mythos_kind mythos_kind_of(mythos_value v);
int mythos_get_bool(mythos_value v, bool *out);
int mythos_get_uint(mythos_value v, uint64_t *out);
int mythos_get_int(mythos_value v, int64_t *out);
int mythos_get_bytes(mythos_value v, const uint8_t **at, size_t *len);
int mythos_get_text(mythos_value v, const char **at, size_t *len); /* no NUL at the end */

/* mythos_count is the number of items or pairs, 0 for other kinds. */
size_t mythos_count(mythos_value v);

typedef struct {
  mythos_value rest;
  size_t left;
} mythos_iter;

/* Items of a LIST, pairs of a MAP, in order; next is false at the end. */
int mythos_items(mythos_value v, mythos_iter *it);
bool mythos_next(mythos_iter *it, mythos_value *item);
int mythos_pairs(mythos_value v, mythos_iter *it);
bool mythos_next_pair(mythos_iter *it, mythos_value *key, mythos_value *value);

/* mythos_member sets the value of a TEXT key of a MAP; without such a key it is
 * MYTHOS_BAD_REQUEST. mythos_find is for members that are optional. */
int mythos_member(mythos_value v, const char *name, mythos_value *out);
bool mythos_find(mythos_value v, const char *name, mythos_value *out);

/* Writing. Errors stick in the writer and end as "tool_error". Between
 * mythos_put_list or mythos_put_map and mythos_end come the items, or a key and
 * a value for each pair. Pairs in canonical order (RFC-MYTHOS-0001 section 2.5)
 * cost nothing extra; others are moved to where they belong. */
void mythos_put_null(mythos_writer *w);
void mythos_put_bool(mythos_writer *w, bool b);
void mythos_put_uint(mythos_writer *w, uint64_t n);
void mythos_put_int(mythos_writer *w, int64_t n);
void mythos_put_bytes(mythos_writer *w, const void *at, size_t len);
void mythos_put_text(mythos_writer *w, const char *at, size_t len);
void mythos_put_string(mythos_writer *w, const char *text); /* ends with a NUL */
void mythos_put_value(mythos_writer *w, mythos_value v);    /* byte for byte */
void mythos_put_list(mythos_writer *w);
void mythos_put_map(mythos_writer *w);
void mythos_end(mythos_writer *w);

/* The log; the host bounds and labels its lines. */
enum { MYTHOS_DEBUG, MYTHOS_INFO, MYTHOS_WARN, MYTHOS_LOG_ERROR };
void mythos_log(int level, const char *text);

/* Powers that a package asks for and a node grants. Errors of those that return
 * a number: -1 denied, -2 out of bounds, -3 a limit, -4 not found. In wasm each
 * is an import, which the linker leaves out where a tool does not call it. */
int64_t mythos_now_us(void);             /* Clock: microseconds since the Unix epoch, or an error */
int mythos_random(void *at, size_t len); /* Random: fills it, 0 or an error */

#ifdef __wasm__
/* BlobRead: reads from the blob named by a SHA-256 digest; the bytes read, at
 * most 1 MiB at once, 0 at the end. */
int mythos_blob_get(const uint8_t digest[32], uint64_t off, void *at, size_t len);

/* NetConnect: performs the encoded HTTPRequest (RFC-MYTHOS-0006 section 11.4)
 * and returns the length of the encoded HTTPResponse, which mythos_http_read
 * copies from byte off on. */
int mythos_http(const void *request, size_t len);
int mythos_http_read(void *at, size_t off, size_t len);
#else
/* SecretRead: copies the secret's value, at most cap bytes of it, and returns
 * its length, or -1 if the call has no grant for it or it cannot be read. */
int64_t mythos_secret(const char *name, void *at, size_t cap);
#endif

#ifdef __cplusplus
}
#endif
#endif
