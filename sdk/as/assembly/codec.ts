// Canonical bytes: RFC-MYTHOS-0001, section 2.

export namespace Tag {
  export const NULL: u8 = 0;
  export const FALSE: u8 = 1;
  export const TRUE: u8 = 2;
  export const UINT: u8 = 3;
  export const INT: u8 = 4;
  export const BYTES: u8 = 5;
  export const TEXT: u8 = 6;
  export const LIST: u8 = 7;
  export const MAP: u8 = 8;
}

const MAX_DEPTH: i32 = 32; // containers open at once

/** What Varint.size is where there is no varint. */
export namespace Bad {
  export const CUT: i32 = 0;
  export const WIDE: i32 = -1; // more than 64 bits
  export const LONG: i32 = -2; // not minimal
}

/** The length of the varint that uvarint read last, or a Bad. */
export let varintSize: i32 = 0;

/** Decodes the varint at byte off, before byte end, and sets varintSize. */
export function uvarint(b: StaticArray<u8>, off: i32, end: i32): u64 {
  let n: u64 = 0;
  for (let i = 0; off + i < end; i++) {
    const c = unchecked(b[off + i]);
    if (i == 9 && c > 1) {
      varintSize = Bad.WIDE;
      return 0;
    }
    if (i > 0 && c == 0) {
      varintSize = Bad.LONG;
      return 0;
    }
    n |= (<u64>(c & 0x7f)) << (7 * i);
    if (c < 0x80) {
      varintSize = i + 1;
      return n;
    }
  }
  varintSize = Bad.CUT;
  return 0;
}

/** Compares bytes, unsigned: below, at or above 0. */
export function compare(a: StaticArray<u8>, ao: i32, al: i32, b: StaticArray<u8>, bo: i32, bl: i32): i32 {
  const order = memory.compare(changetype<usize>(a) + ao, changetype<usize>(b) + bo, min(al, bl));
  return order != 0 ? order : al - bl;
}

/** Whether the bytes are well-formed UTF-8. */
export function validText(b: StaticArray<u8>, off: i32, len: i32): bool {
  const end = off + len;
  while (off < end) {
    const c = unchecked(b[off++]);
    if (c < 0x80) continue;
    if (c < 0xc2 || c > 0xf4) return false;
    let more = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    if (more > end - off) return false;
    let low: u8 = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    let high: u8 = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    for (; more > 0; more--, off++) {
      const d = unchecked(b[off]);
      if (d < low || d > high) return false;
      low = 0x80;
      high = 0xbf;
    }
  }
  return true;
}

/** A cursor over one encoded message. Its first error sticks. */
export class Reader {
  code: string = ""; // of RFC-MYTHOS-0001, section 2.3; "" while all is well
  at: i32 = 0; // the byte that code is about

  constructor(
    public b: StaticArray<u8>,
    public off: i32,
    public end: i32,
  ) {}

  get ok(): bool {
    return this.code.length == 0;
  }

  fail(code: string, at: i32): void {
    if (this.ok) {
      this.code = code;
      this.at = at;
    }
    this.end = this.off;
  }

  done(): bool {
    if (this.ok && this.off < this.end) this.fail("can_trailing", this.off);
    return this.ok;
  }

  /** Reads one value of any kind inside depth open containers. */
  value(depth: i32): void {
    const at = this.off;
    if (at >= this.end) return this.fail("can_truncated", at);
    const tag = unchecked(this.b[at]);
    if (tag > Tag.MAP) return this.fail("can_tag", at);
    this.off++;
    if (tag == Tag.UINT || tag == Tag.INT) {
      this.varint(at);
    } else if (tag == Tag.BYTES) {
      this.content(at);
    } else if (tag == Tag.TEXT) {
      this.text(at);
    } else if (tag == Tag.LIST) {
      for (let n = this.count(at, depth, 1); n > 0 && this.ok; n--) this.value(depth + 1);
    } else if (tag == Tag.MAP) {
      this.pairs(this.count(at, depth, 2), depth + 1);
    }
  }

  /** Reads n pairs of a MAP, whose keys ascend. */
  private pairs(n: i32, depth: i32): void {
    let last = 0;
    let lastLen = 0;
    for (; n > 0; n--) {
      const at = this.off;
      this.value(depth);
      if (!this.ok) return;
      const len = this.off - at;
      if (lastLen > 0) {
        const order = compare(this.b, last, lastLen, this.b, at, len);
        if (order >= 0) return this.fail(order > 0 ? "can_key_order" : "can_key_duplicate", at);
      }
      last = at;
      lastLen = len;
      this.value(depth);
      if (!this.ok) return;
    }
  }

  /** Reads a varint of the item whose tag is at byte at. */
  varint(at: i32): u64 {
    const n = uvarint(this.b, this.off, this.end);
    if (varintSize > 0) {
      this.off += varintSize;
      return n;
    }
    this.fail(varintSize == Bad.CUT ? "can_truncated" : varintSize == Bad.WIDE ? "can_overflow" : "can_varint", at);
    return 0;
  }

  /** Reads the length and the bytes of the item at byte at; returns the length,
   * and leaves off behind the last of them. */
  content(at: i32): i32 {
    const n = this.varint(at);
    if (this.ok && n > <u64>(this.end - this.off)) this.fail("can_bounds", at);
    if (!this.ok) return 0;
    this.off += <i32>n;
    return <i32>n;
  }

  /** Reads the length and the characters of the TEXT at byte at. */
  text(at: i32): i32 {
    const n = this.content(at);
    if (this.ok && !validText(this.b, this.off - n, n)) this.fail("can_utf8", at);
    return n;
  }

  /** Reads the count of the container at byte at, whose items take at least size
   * bytes each. */
  count(at: i32, depth: i32, size: i32): i32 {
    const n = this.varint(at);
    if (!this.ok) return 0;
    if (n > <u64>((this.end - this.off) / size)) {
      this.fail("can_bounds", at);
      return 0;
    }
    if (depth >= MAX_DEPTH) {
      this.fail("can_depth", at);
      return 0;
    }
    return <i32>n;
  }

  /** Reads the tag of a value that must be of that kind, and returns where. */
  tag(want: u8): i32 {
    const at = this.off;
    if (at >= this.end) {
      this.fail("can_truncated", at);
    } else if (unchecked(this.b[at]) > Tag.MAP) {
      this.fail("can_tag", at);
    } else if (unchecked(this.b[at]) != want) {
      this.fail("can_type", at);
    } else {
      this.off++;
    }
    return at;
  }

  /** Steps over a value whose bytes were checked, or built here. */
  skip(): void {
    for (let left = 1; left > 0 && this.off < this.end; left--) {
      const tag = unchecked(this.b[this.off++]);
      if (tag < Tag.UINT) continue;
      const n = <i32>uvarint(this.b, this.off, this.end);
      this.off += max(varintSize, 0);
      if (tag == Tag.BYTES || tag == Tag.TEXT) this.off += n;
      if (tag == Tag.LIST) left += n;
      if (tag == Tag.MAP) left += 2 * n;
    }
  }
}

/** A struct that is being read (RFC-MYTHOS-0001, section 2.2). Its required
 * fields are 1 to need; a closed one has no others. */
export class Struct {
  private left: i32 = 0;
  private last: u64 = 0;
  private met: u64 = 0;

  constructor(
    private r: Reader,
    depth: i32,
    private need: u64,
    private closed: bool,
  ) {
    const at = r.tag(Tag.MAP);
    if (r.ok) this.left = r.count(at, depth, 2);
  }

  /** The number of the next field, whose value the caller reads, or 0 at the end
   * of the struct. */
  next(): u64 {
    const r = this.r;
    const at = r.off;
    if (!r.ok) return 0;
    if (this.left == 0) {
      if (this.met < this.need) r.fail("can_missing", at);
      return 0;
    }
    if (at >= r.end) {
      r.fail("can_truncated", at);
      return 0;
    }
    if (unchecked(r.b[at]) != Tag.UINT) {
      r.fail("can_field_number", at);
      return 0;
    }
    r.off++;
    const no = r.varint(at);
    if (!r.ok) return 0;
    this.left--;
    return this.place(no, at);
  }

  /** Checks that field no may follow the last one. */
  private place(no: u64, at: i32): u64 {
    const needed = this.met < this.need && no == this.met + 1;
    let code = "";
    if (no < 1 || no > 127) {
      code = "can_field_number";
    } else if (no < this.last) {
      code = "can_key_order";
    } else if (no == this.last) {
      code = "can_key_duplicate";
    } else if (this.met < this.need && this.met + 1 < no) {
      code = "can_missing";
    } else if (!needed && this.closed) {
      code = "can_unknown_field";
    }
    if (code.length > 0) {
      this.r.fail(code, at);
      return 0;
    }
    if (needed) this.met++;
    this.last = no;
    return no;
  }
}

/** Bytes that grow. */
export class Writer {
  b: StaticArray<u8>;
  len: i32 = 0;

  constructor(size: i32) {
    this.b = new StaticArray<u8>(size);
  }

  private room(n: i32): void {
    if (this.len + n <= this.b.length) return;
    const grown = new StaticArray<u8>(max(this.len + n, 2 * this.b.length));
    memory.copy(changetype<usize>(grown), changetype<usize>(this.b), this.len);
    this.b = grown;
  }

  byte(c: u8): void {
    this.room(1);
    unchecked((this.b[this.len++] = c));
  }

  varint(n: u64): void {
    for (; n >= 0x80; n >>= 7) this.byte((<u8>n) | 0x80);
    this.byte(<u8>n);
  }

  copy(b: StaticArray<u8>, off: i32, len: i32): void {
    this.room(len);
    memory.copy(changetype<usize>(this.b) + this.len, changetype<usize>(b) + off, len);
    this.len += len;
  }

  sized(tag: u8, b: StaticArray<u8>, off: i32, len: i32): void {
    this.byte(tag);
    this.varint(len);
    this.copy(b, off, len);
  }

  text(s: string): void {
    const n = String.UTF8.byteLength(s);
    this.byte(Tag.TEXT);
    this.varint(n);
    this.room(n);
    String.UTF8.encodeUnsafe(changetype<usize>(s), s.length, changetype<usize>(this.b) + this.len);
    this.len += n;
  }

  /** The field key no of a struct. */
  field(no: u8): void {
    this.byte(Tag.UINT);
    this.byte(no);
  }
}
