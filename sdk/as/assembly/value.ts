import { compare, Reader, Tag, uvarint, varintSize, Writer } from "./codec";
import { refuse } from "./failure";

/** The type of a Value, in the order in which values sort. */
export enum Kind {
  Null,
  Bool,
  Uint,
  Int,
  Bytes,
  Text,
  List,
  Map,
}

function kindName(k: Kind): string {
  switch (k) {
    case Kind.Null:
      return "NULL";
    case Kind.Bool:
      return "BOOL";
    case Kind.Uint:
      return "UVARINT";
    case Kind.Int:
      return "IVARINT";
    case Kind.Bytes:
      return "BYTES";
    case Kind.Text:
      return "TEXT";
    case Kind.List:
      return "LIST";
    default:
      return "MAP";
  }
}

/** A key of a MAP and its value. */
export class Pair {
  constructor(
    public key: Value,
    public value: Value,
  ) {}
}

/**
 * One MYTHOS-CAN value (RFC-MYTHOS-0001, section 2), kept encoded: passing one on
 * changes no byte of it, and reading one costs what is read.
 *
 * AssemblyScript has no exceptions, so a method that reads a value of another
 * kind, or a member that is missing, returns an empty value and notes it: the
 * call is then answered with status 400 and the code "bad_request", whatever the
 * tool returns. A tool with effects asks bad() before them.
 */
export class Value {
  constructor(
    readonly buf: StaticArray<u8>,
    readonly off: i32,
    readonly len: i32,
  ) {}

  private static from(w: Writer): Value {
    return new Value(w.b, 0, w.len);
  }

  static null(): Value {
    return new Value([Tag.NULL], 0, 1);
  }

  static bool(b: bool): Value {
    return new Value([b ? Tag.TRUE : Tag.FALSE], 0, 1);
  }

  /** An unsigned integer, a UVARINT. */
  static uint(n: u64): Value {
    const w = new Writer(11);
    w.byte(Tag.UINT);
    w.varint(n);
    return Value.from(w);
  }

  /** A signed integer, an IVARINT. 5 as a UVARINT and 5 as an IVARINT are
   * different values. */
  static int(n: i64): Value {
    const w = new Writer(11);
    w.byte(Tag.INT);
    w.varint((<u64>(n << 1)) ^ (<u64>(n >> 63)));
    return Value.from(w);
  }

  static bytes(b: StaticArray<u8>): Value {
    const w = new Writer(b.length + 6);
    w.sized(Tag.BYTES, b, 0, b.length);
    return Value.from(w);
  }

  /** TEXT; with a lone surrogate in it the value cannot be answered. */
  static text(s: string): Value {
    const w = new Writer(2 * s.length + 6);
    w.text(s);
    return Value.from(w);
  }

  static list(items: Value[]): Value {
    const w = new Writer(64);
    w.byte(Tag.LIST);
    w.varint(items.length);
    for (let i = 0; i < items.length; i++) w.copy(items[i].buf, items[i].off, items[i].len);
    return Value.from(w);
  }

  /** A MAP; it sorts the pairs in place. If a key occurs twice the value cannot
   * be answered. */
  static map(pairs: Pair[]): Value {
    pairs.sort((a, b) => compare(a.key.buf, a.key.off, a.key.len, b.key.buf, b.key.off, b.key.len));
    const w = new Writer(64);
    w.byte(Tag.MAP);
    w.varint(pairs.length);
    for (let i = 0; i < pairs.length; i++) {
      const p = pairs[i];
      w.copy(p.key.buf, p.key.off, p.key.len);
      w.copy(p.value.buf, p.value.off, p.value.len);
    }
    return Value.from(w);
  }

  /** The kind of this value. */
  get kind(): Kind {
    const tag = unchecked(this.buf[this.off]);
    if (tag == Tag.NULL) return Kind.Null;
    if (tag <= Tag.TRUE) return Kind.Bool;
    return <Kind>(tag - 1);
  }

  private is(want: Kind): bool {
    const got = this.kind;
    if (got == want) return true;
    refuse("got " + kindName(got) + ", want " + kindName(want));
    return false;
  }

  /** The varint behind the tag; sets varintSize. */
  private number(): u64 {
    return uvarint(this.buf, this.off + 1, this.off + this.len);
  }

  asBool(): bool {
    return this.is(Kind.Bool) && unchecked(this.buf[this.off]) == Tag.TRUE;
  }

  asUint(): u64 {
    return this.is(Kind.Uint) ? this.number() : 0;
  }

  asInt(): i64 {
    if (!this.is(Kind.Int)) return 0;
    const n = this.number();
    return (<i64>(n >> 1)) ^ -(<i64>(n & 1));
  }

  /** A copy of the content of BYTES. */
  asBytes(): StaticArray<u8> {
    if (!this.is(Kind.Bytes)) return new StaticArray<u8>(0);
    const n = <i32>this.number();
    const out = new StaticArray<u8>(n);
    memory.copy(changetype<usize>(out), changetype<usize>(this.buf) + this.off + 1 + varintSize, n);
    return out;
  }

  asText(): string {
    if (!this.is(Kind.Text)) return "";
    const n = <i32>this.number();
    return String.UTF8.decodeUnsafe(changetype<usize>(this.buf) + this.off + 1 + varintSize, n);
  }

  /** The number of items of a LIST or pairs of a MAP, 0 for others. */
  get count(): i32 {
    return this.kind >= Kind.List ? <i32>this.number() : 0;
  }

  /** The values inside, n of them. */
  private inside(n: i32): Value[] {
    this.number();
    const r = new Reader(this.buf, this.off + 1 + varintSize, this.off + this.len);
    const out = new Array<Value>();
    for (; n > 0; n--) {
      const at = r.off;
      r.skip();
      out.push(new Value(this.buf, at, r.off - at));
    }
    return out;
  }

  /** The items of a LIST, in order. */
  items(): Value[] {
    return this.is(Kind.List) ? this.inside(this.count) : [];
  }

  /** The pairs of a MAP, in canonical order. */
  pairs(): Pair[] {
    const out = new Array<Pair>();
    if (!this.is(Kind.Map)) return out;
    const flat = this.inside(2 * this.count);
    for (let i = 0; i + 1 < flat.length; i += 2) out.push(new Pair(flat[i], flat[i + 1]));
    return out;
  }

  /** The value of the TEXT key name of a MAP. */
  get(name: string): Value {
    if (!this.is(Kind.Map)) return Value.null();
    const found = this.lookup(name);
    if (found) return found;
    refuse("member " + name + " is missing");
    return Value.null();
  }

  /** The value of the TEXT key name, or null if this is no MAP that has it: for
   * members that are optional. */
  lookup(name: string): Value | null {
    if (this.kind != Kind.Map) return null;
    const key = Value.text(name);
    const flat = this.inside(2 * this.count);
    for (let i = 0; i + 1 < flat.length; i += 2) {
      const k = flat[i];
      if (compare(k.buf, k.off, k.len, key.buf, key.off, key.len) == 0) return flat[i + 1];
    }
    return null;
  }

  /** The encoding, a copy. */
  raw(): StaticArray<u8> {
    const out = new StaticArray<u8>(this.len);
    memory.copy(changetype<usize>(out), changetype<usize>(this.buf) + this.off, this.len);
    return out;
  }
}
