// run.mjs GOLDEN FOLDER: runs the guests of the golden table, rewritten by
// v8counts into FOLDER, in V8, and compares fuel, response and memory with the
// table's rows for the design that checks every segment.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Exhausted, Exit, Host, sha256 } from "./contract.mjs";

const depth = 65_536;
const unlimited = 2n ** 63n - 1n;
const maxResponse = 1 << 20; // as the test that writes the table

/** run makes one call under a limit, and says what can be seen of it. */
function run(module, guest, request, limit) {
  const host = new Host(request, maxResponse);
  const instance = new WebAssembly.Instance(module, host.imports());
  host.attach(instance);
  const { "mythos:fuel": fuel, "mythos:depth": room, "mythos:start": start } = instance.exports;
  fuel.value = limit;
  const exports = [guest.entry];
  if (guest.entry !== "_start" && instance.exports._initialize) exports.unshift("_initialize");
  if (start) exports.unshift("mythos:start");
  let ending = "answered";
  try {
    for (const name of exports) {
      room.value = depth;
      if (name === guest.entry) host.enter();
      call(instance.exports[name]);
    }
  } catch (e) {
    if (fuel.value >= 0n && !(e instanceof Exhausted)) ending = `trapped: ${e.message}`;
  }
  if (fuel.value < 0n) ending = "exhausted";
  return {
    ending,
    fuel: ending === "exhausted" ? limit : limit - fuel.value,
    response: sha256(host.response).toString("hex"),
    memory: sha256(new Uint8Array(host.memory.buffer)).toString("hex"),
  };
}

/** call calls an export; exit 0 is a return. */
function call(f) {
  try {
    f();
  } catch (e) {
    if (!(e instanceof Exit && e.code === 0)) throw e;
  }
}

const [golden, folder] = process.argv.slice(2);
const table = JSON.parse(readFileSync(golden, "utf8"));
let failed = 0;
for (const guest of table.guests) {
  const file = join(folder, guest.guest.replaceAll("/", "_") + ".wasm");
  const module = new WebAssembly.Module(readFileSync(file));
  const request = Buffer.from(guest.request, "hex");
  const used = BigInt(guest.fuel);
  const want = guest.every_segment;
  const wrong = [];
  const compare = (what, got, expected) => {
    if (got !== expected) wrong.push(`${what}: ${got}, the table has ${expected}`);
  };
  for (const [what, limit] of [["full", unlimited], ["exact", used]]) {
    const got = run(module, guest, request, limit);
    compare(`${what}: ending`, got.ending, "answered");
    compare(`${what}: fuel`, got.fuel, used);
    compare(`${what}: response`, got.response, guest.response);
    compare(`${what}: memory`, got.memory, guest.memory);
  }
  for (const [what, limit, memory] of [["short", used - 1n, want.short_memory], ["half", used / 2n, want.half_memory]]) {
    const got = run(module, guest, request, limit);
    compare(`${what}: ending`, got.ending, "exhausted");
    compare(`${what}: fuel`, got.fuel, limit);
    compare(`${what}: memory`, got.memory, memory);
  }
  console.log(`${wrong.length ? "DIFFERENT" : "same     "}  ${guest.guest}: ${guest.fuel} fuel`);
  for (const w of wrong) console.log(`    ${w}`);
  failed += wrong.length;
}
if (table.guests.length === 0) throw new Error("the table has no guests");
console.log(`V8 ${process.versions.v8}: ${table.guests.length} guests, ${failed} differences`);
process.exitCode = failed ? 1 : 0;
