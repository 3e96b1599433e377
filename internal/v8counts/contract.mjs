// The contract of RFC-MYTHOS-0006 section 11 for modules with the hostcall abi,
// written from the document and not from the product: mythos_v1, the WASI
// subset, the virtual clock and the seeded random stream. Every function settles
// the fuel before it does anything (RFC-MYTHOS-0012 section 10.3).
import { createHash } from "node:crypto";

export class Exhausted extends Error {}
export class Exit extends Error {
  constructor(code) {
    super(`exit ${code}`);
    this.code = code;
  }
}
class Trap extends Error {}

const OK = 0, BADF = 8, FAULT = 21, INVAL = 28, NOTSUP = 58, SPIPE = 70;
const maxVectors = 1024;
const u64max = 0xffffffffffffffffn;

export const sha256 = (...parts) => {
  const h = createHash("sha256");
  for (const p of parts) h.update(p);
  return h.digest();
};

/** Stream is the random stream of a call. */
class Stream {
  constructor(requestHash) {
    this.seed = sha256("mythos.wasi.random", requestHash);
    this.block = Buffer.alloc(0);
    this.i = 0n;
  }
  fill(out) {
    for (let n = 0; n < out.length; ) {
      if (this.block.length === 0) {
        const i = Buffer.alloc(8);
        i.writeBigUInt64BE(this.i++);
        this.block = sha256(this.seed, i);
      }
      const take = Math.min(this.block.length, out.length - n);
      out.set(this.block.subarray(0, take), n);
      this.block = this.block.subarray(take);
      n += take;
    }
  }
}

/** Host is the host's side of one call. */
export class Host {
  constructor(request, maxResponse) {
    this.request = request;
    this.maxResponse = maxResponse;
    this.response = Buffer.alloc(0);
    this.random = new Stream(Buffer.alloc(32)); // until the entry is called
    this.now = 1_000_000n;
    this.shut = [false, false, false];
  }

  /** enter begins the entry, whose random stream is the request's own. */
  enter() {
    this.random = new Stream(sha256(this.request));
  }

  /** attach binds an instance, whose exports settle and views need. */
  attach(instance) {
    this.fuel = instance.exports["mythos:fuel"];
    this.memory = Object.values(instance.exports).find((e) => e instanceof WebAssembly.Memory);
  }

  settle() {
    if (this.fuel.value < 0n) throw new Exhausted();
  }

  /** view returns n bytes at off, or null. */
  view(off, n) {
    off >>>= 0;
    n >>>= 0;
    if (!this.memory || off + n > this.memory.buffer.byteLength) return null;
    return Buffer.from(this.memory.buffer, off, n);
  }

  must(off, n) {
    const b = this.view(off, n);
    if (!b) throw new Trap("memory out of range");
    return b;
  }

  put32(at, ...words) {
    const b = this.view(at, 4 * words.length);
    if (!b) return FAULT;
    words.forEach((w, i) => b.writeUInt32LE(w >>> 0, 4 * i));
    return OK;
  }

  open(fd) {
    return fd >>> 0 < 3 && !this.shut[fd];
  }

  /** vectors sums the sizes of an iovec array, or returns an errno below 0. */
  vectors(at, count) {
    count >>>= 0;
    if (count > maxVectors) return -INVAL;
    const list = this.view(at, 8 * count);
    if (!list) return -FAULT;
    let total = 0;
    for (let i = 0; i < count; i++) {
      const size = list.readUInt32LE(8 * i + 4);
      if (!this.view(list.readUInt32LE(8 * i), size)) return -FAULT;
      total += size;
    }
    return total >= 2 ** 32 ? -INVAL : total;
  }

  /** imports are the functions to link. */
  imports() {
    const settled = (functions) =>
      Object.fromEntries(
        Object.entries(functions).map(([name, f]) => [
          name,
          (...args) => {
            this.settle();
            return f.apply(this, args);
          },
        ]),
      );
    return { mythos_v1: settled(mythos), wasi_snapshot_preview1: settled(wasi) };
  }
}

const mythos = {
  request_len() {
    return this.request.length;
  },
  request_read(dst, off, len) {
    const out = this.must(dst, len);
    return this.request.copy(out, 0, Math.min(off >>> 0, this.request.length));
  },
  response_write(src, len) {
    const b = this.must(src, len);
    if (this.response.length + b.length > this.maxResponse) return -3;
    this.response = Buffer.concat([this.response, b]);
    return b.length;
  },
  log(level, ptr, len) {
    this.must(ptr, len);
  },
};

const name = Buffer.from("module\0");

const wasi = {
  args_sizes_get(count, size) {
    return this.put32(count, 1) || this.put32(size, name.length);
  },
  args_get(argv, text) {
    const b = this.view(text, name.length);
    if (!b) return FAULT;
    b.set(name);
    return this.put32(argv, text);
  },
  environ_sizes_get(count, size) {
    return this.put32(count, 0) || this.put32(size, 0);
  },
  environ_get: () => OK,
  clock_time_get(id, precision, at) {
    if (id >>> 0 > 3) return INVAL;
    const b = this.view(at, 8);
    if (!b) return FAULT;
    b.writeBigUInt64LE(this.now);
    return OK;
  },
  random_get(at, n) {
    const b = this.view(at, n);
    if (!b) return FAULT;
    this.random.fill(b);
    return OK;
  },
  sched_yield: () => OK,
  proc_exit(code) {
    throw new Exit(code >>> 0);
  },
  fd_read(fd, iovs, count, at) {
    if (fd !== 0 || !this.open(fd)) return BADF;
    const n = this.vectors(iovs, count);
    return n < 0 ? -n : this.put32(at, 0); // the hostcall abi has no stdin
  },
  fd_write(fd, iovs, count, at) {
    if (fd === 0 || !this.open(fd)) return BADF;
    const n = this.vectors(iovs, count);
    return n < 0 ? -n : this.put32(at, n);
  },
  fd_close(fd) {
    if (!this.open(fd)) return BADF;
    this.shut[fd] = true;
    return OK;
  },
  fd_seek(fd) {
    return this.open(fd) ? SPIPE : BADF;
  },
  fd_fdstat_get(fd, at) {
    if (!this.open(fd)) return BADF;
    const b = this.view(at, 24);
    if (!b) return FAULT;
    b.fill(0);
    b.writeBigUInt64LE(fd === 0 ? 134_217_730n : 134_217_792n, 8);
    return OK;
  },
  fd_fdstat_set_flags(fd) {
    return this.open(fd) ? OK : BADF;
  },
  fd_prestat_get: () => BADF,
  fd_prestat_dir_name: () => BADF,
  poll_oneoff(from, to, count, at) {
    count >>>= 0;
    if (count === 0 || count > maxVectors) return INVAL;
    const subs = this.view(from, 48 * count);
    const room = this.view(to, 32 * count);
    if (!subs || !room) return FAULT;
    const events = poll(this, Buffer.from(subs), count);
    Buffer.concat(events).copy(room);
    return this.put32(at, events.length);
  },
};

/** poll moves the clock and returns the events of subscriptions. */
function poll(host, subs, count) {
  const all = Array.from({ length: count }, (_, i) => {
    const s = subs.subarray(48 * i, 48 * i + 48);
    const kind = s[8], id = s.readUInt32LE(16);
    let due = s.readBigUInt64LE(24);
    if (!(s.readUInt16LE(40) & 1)) due = due + host.now > u64max ? u64max : due + host.now;
    return { user: s.subarray(0, 8), kind, id, due };
  });
  if (all.every((s) => s.kind === 0 && s.id <= 3)) {
    const first = all.reduce((least, s) => (s.due < least ? s.due : least), u64max);
    if (first > host.now) host.now = first;
  }
  const events = [];
  for (const s of all) {
    if (s.kind === 0 && s.id <= 3 && s.due > host.now) continue;
    const e = Buffer.alloc(32);
    s.user.copy(e);
    e.writeUInt16LE(pollError(host, s), 8);
    e[10] = s.kind;
    events.push(e);
  }
  return events;
}

function pollError(host, { kind, id }) {
  if (kind === 0) return id > 3 ? INVAL : OK;
  if (kind > 2) return NOTSUP;
  const readable = id === 0;
  return host.open(id) && readable === (kind === 1) ? OK : BADF;
}
