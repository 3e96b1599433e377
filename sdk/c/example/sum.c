/* A tool that adds up: for {"numbers": [3, 4], "label": "x"}, where label may be
 * missing, it answers {"count": 2, "label": "x", "sum": 7}. Every SDK has the same
 * example, and all answer the same bytes. */
#include "mythos.h"

#include <stdio.h>

int mythos_tool(const mythos_call *call, mythos_writer *w) {
  mythos_value numbers, item, label;
  mythos_iter items;
  uint64_t total = 0, n;
  int e = mythos_member(call->payload, "numbers", &numbers);
  if (e || (e = mythos_items(numbers, &items))) return e; /* 400 bad_request */
  if (mythos_count(numbers) == 0) return mythos_fail(w, 404, "no_numbers", "there is nothing to add up");
  while (mythos_next(&items, &item)) {
    if ((e = mythos_get_uint(item, &n))) return e;
    if (total + n < total) return mythos_fail(w, 422, "overflow", 0);
    total += n;
  }
  char line[64];
  snprintf(line, sizeof line, "sum of %lu numbers", (unsigned long)mythos_count(numbers));
  mythos_log(MYTHOS_INFO, line);
  mythos_put_map(w);
  mythos_put_string(w, "count");
  mythos_put_uint(w, mythos_count(numbers));
  mythos_put_string(w, "sum");
  mythos_put_uint(w, total);
  if (mythos_find(call->payload, "label", &label)) {
    mythos_put_string(w, "label");
    mythos_put_value(w, label);
  }
  mythos_end(w);
  return MYTHOS_OK;
}
