// The reference tool demo/echo in AssemblyScript: it answers its payload, whatever
// value that is, and logs one line for each call. sdk/as/README.md has the command
// that builds it.

import { Call, Level, log, serve } from "../../../sdk/as/assembly/mythos";

export function run(): void {
  serve((call: Call) => {
    log(Level.Info, "echo " + call.payload.len.toString() + " bytes");
    return call.payload;
  });
}
