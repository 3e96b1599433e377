// A host for guests in tests, written from RFC-MYTHOS-0006: wasm modules of the
// hostcall abi (section 11.1, without what has to be granted, and the functions
// of WASI that section 11.3 lists) and processes that speak frames (section 12).
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";

const levels = ["DEBUG", "INFO", "WARN", "ERROR"];

class Exit extends Error {
  constructor(code) {
    super(`exit ${code}`);
    this.code = code;
  }
}

// wasmGuest returns {call(request) -> {response, log}}: a fresh instance for each
// call. A trap or an exit code throws.
export function wasmGuest(path) {
  const module = new WebAssembly.Module(readFileSync(path));
  const entry = WebAssembly.Module.exports(module).some((x) => x.name === "run") ? "run" : "_start";
  return {
    async call(request) {
      const state = { request, response: [], log: [], memory: null };
      const instance = new WebAssembly.Instance(module, imports(module, state));
      state.memory = instance.exports.memory;
      try {
        if (entry === "run") instance.exports._initialize?.();
        instance.exports[entry]();
      } catch (e) {
        if (!(e instanceof Exit) || e.code !== 0) throw e;
      }
      return { response: Buffer.concat(state.response), log: state.log };
    },
    async close() {},
  };
}

function imports(module, state) {
  const have = { mythos_v1: hostcalls(state), wasi_snapshot_preview1: wasi(state) };
  for (const { module: from, name } of WebAssembly.Module.imports(module)) {
    if (!have[from]?.[name]) throw new Error(`the module imports ${from}.${name}`);
  }
  return have;
}

const bytes = (state, at, len) => new Uint8Array(state.memory.buffer, at >>> 0, len >>> 0);

function hostcalls(state) {
  return {
    request_len: () => state.request.length,
    request_read(dst, off, len) {
      const part = state.request.subarray(off, off + len);
      bytes(state, dst, part.length).set(part);
      return part.length;
    },
    response_write(src, len) {
      state.response.push(Buffer.from(bytes(state, src, len)));
      return len;
    },
    log: (level, at, len) => state.log.push(`${levels[Math.min(level, 3)]} ${Buffer.from(bytes(state, at, len))}`),
  };
}

function wasi(state) {
  const view = () => new DataView(state.memory.buffer);
  const zeros = (a, b) => (view().setUint32(a, 0, true), view().setUint32(b, 0, true), 0);
  let clock = 1_000_000n;
  return {
    args_sizes_get: (count, size) => (view().setUint32(count, 1, true), view().setUint32(size, 7, true), 0),
    args_get: (argv, at) => (view().setUint32(argv, at, true), bytes(state, at, 7).set(Buffer.from("module\0")), 0),
    environ_sizes_get: zeros,
    environ_get: () => 0,
    clock_time_get: (_id, _precision, at) => (view().setBigUint64(at, clock, true), 0),
    random_get: (at, len) => (bytes(state, at, len).fill(7), 0),
    sched_yield: () => 0,
    poll_oneoff: (_in, _out, _n, events) => ((clock += 1_000_000n), view().setUint32(events, 0, true), 0),
    proc_exit(code) {
      throw new Exit(code);
    },
    fd_read: (_fd, _vectors, _n, at) => (view().setUint32(at, 0, true), 0),
    fd_write(fd, vectors, n, at) {
      let size = 0;
      for (let i = 0; i < n; i++) {
        const len = view().getUint32(vectors + 8 * i + 4, true);
        if (fd === 2) state.log.push(`STDERR ${Buffer.from(bytes(state, view().getUint32(vectors + 8 * i, true), len))}`);
        size += len;
      }
      view().setUint32(at, size, true);
      return 0;
    },
    fd_close: () => 0,
    fd_seek: () => 70,
    fd_fdstat_get: (_fd, at) => (bytes(state, at, 24).fill(0), 0),
    fd_fdstat_set_flags: () => 0,
    fd_prestat_get: () => 8,
    fd_prestat_dir_name: () => 8,
  };
}

export function frame(message) {
  const head = [];
  let n = message.length;
  for (; n >= 0x80; n = Math.floor(n / 128)) head.push((n & 0x7f) | 0x80);
  return Buffer.concat([Buffer.from([...head, n]), message]);
}

// takeFrame returns the message at the start of b and what follows it, or null.
function takeFrame(b) {
  let n = 0;
  for (let i = 0; i < b.length; i++) {
    n += (b[i] & 0x7f) * 2 ** (7 * i);
    if (b[i] >= 0x80) continue;
    const end = i + 1 + n;
    return b.length < end ? null : [b.subarray(i + 1, end), b.subarray(end)];
  }
  return null;
}

// processGuest returns a worker that serves one frame after the other. close ends
// its input and fails unless it ends with exit code 0 and wrote nothing else.
export function processGuest(command) {
  const child = spawn(command[0], command.slice(1), { stdio: "pipe", env: { PATH: "/usr/bin:/bin", HOME: "/tmp", LANG: "C.UTF-8" } });
  let got = Buffer.alloc(0);
  let log = "";
  let wake = () => {};
  let ended = null;
  child.stdout.on("data", (b) => ((got = Buffer.concat([got, b])), wake()));
  child.stderr.on("data", (b) => (log += b));
  child.stdin.on("error", () => {});
  child.on("error", (e) => ((ended = { error: e }), wake()));
  child.on("close", (code, signal) => ((ended ??= { code, signal }), wake()));
  const change = () => new Promise((resolve) => (wake = resolve));
  return {
    async call(request) {
      child.stdin.write(frame(request));
      for (;;) {
        const message = takeFrame(got);
        if (message) {
          got = message[1];
          return { response: Buffer.from(message[0]) };
        }
        if (ended) throw new Error(`${command.join(" ")} ended without an answer: ${JSON.stringify(ended)} ${log}`);
        await change();
      }
    },
    // finish writes raw bytes, ends the input and returns what became of it.
    async finish(raw = Buffer.alloc(0)) {
      child.stdin.end(raw);
      while (!ended) await change();
      return { ...ended, output: got, log: log.split("\n").slice(0, -1) };
    },
  };
}
