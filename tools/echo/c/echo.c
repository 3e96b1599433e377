/* The reference tool demo/echo in C: it answers its payload, whatever value that
 * is, and logs one line for each call. sdk/c/README.md has the commands that
 * build it. */
#include "mythos.h"

#include <stdio.h>

int mythos_tool(const mythos_call *call, mythos_writer *w) {
  char line[64];
  snprintf(line, sizeof line, "echo %lu bytes", (unsigned long)call->payload.len);
  mythos_log(MYTHOS_INFO, line);
  mythos_put_value(w, call->payload);
  return MYTHOS_OK;
}
