// Joins the MYTHOS conformance pack: answers requests on standard input, one JSON
// line each, on standard output. Build first (npm run build), then
//
//     mythos ctvp verify --impl 'node sdk/ts/conformance/adapter.mjs'

import { readFileSync } from "node:fs";
import * as zlib from "node:zlib";
import { answerer } from "../dist/conformance/answer.js";

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));

/** zstd came to Node in 22.15; without it codec 2 is not claimed. */
const decompress = zlib.zstdDecompressSync && ((frame, limit) => zlib.zstdDecompressSync(frame, { maxOutputLength: limit + 1 }));

const answer = answerer({ version, decompress });
let rest = "";
process.stdin.setEncoding("utf8");
process.stdin.on("data", (text) => {
  const lines = (rest + text).split("\n");
  rest = lines.pop();
  for (const line of lines) process.stdout.write(answer(line) + "\n");
});
