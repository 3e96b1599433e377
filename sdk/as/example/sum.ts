// A tool that adds up: for {"numbers": [3, 4], "label": "x"}, where label may be
// missing, it answers {"count": 2, "label": "x", "sum": 7}. Every SDK has the same
// example, and all answer the same bytes.

import { bad, Call, fail, Level, log, Pair, serve, Value } from "../assembly/mythos";

export function run(): void {
  serve(sum);
}

function sum(call: Call): Value {
  const numbers = call.payload.get("numbers");
  const items = numbers.items();
  if (bad()) return Value.null(); // 400 bad_request
  if (items.length == 0) return fail(404, "no_numbers", "there is nothing to add up");
  let total: u64 = 0;
  for (let i = 0; i < items.length; i++) {
    const n = items[i].asUint();
    if (total + n < total) return fail(422, "overflow");
    total += n;
  }
  if (bad()) return Value.null();
  log(Level.Info, "sum of " + items.length.toString() + " numbers");
  const members = [
    new Pair(Value.text("count"), Value.uint(items.length)),
    new Pair(Value.text("sum"), Value.uint(total)),
  ];
  const label = call.payload.lookup("label");
  if (label) members.push(new Pair(Value.text("label"), label));
  return Value.map(members);
}
