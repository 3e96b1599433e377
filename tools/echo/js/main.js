// The reference tool demo/echo as a process module for Node: it answers its
// payload and logs one line for each call. Beside it lies mythos-tool.js, a copy
// of sdk/ts/guest/mythos-tool.js.
import { log, serve } from "./mythos-tool.js";

serve((call) => {
  log.info(`echo ${call.raw.bytes.length} bytes`);
  return call.raw;
});
