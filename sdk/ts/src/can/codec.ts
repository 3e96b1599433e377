/**
 * A Codec ties a struct's name to its generated encoder and strict decoder. The
 * generated modules export one for each struct of spec/schema.can, under the
 * name of its interface:
 *
 *     const receipt: Receipt = Receipt.decode(bytes);
 *     const same: Uint8Array = Receipt.encode(receipt);
 *
 * Fields have the names of the tables in RFC-MYTHOS-0002. Types up to u32 are
 * numbers; u64, i64 and Time (microseconds since 1970, UTC) are bigints; BYTES
 * are Uint8Arrays, TEXT strings, maps Maps; a schema text is no property. An
 * absent optional field is undefined, and an empty optional BYTES, TEXT, LIST or
 * MAP is written as absent.
 */

import { Reader } from "./reader.js";
import { Writer } from "./writer.js";

/**
 * One field: number, name, type as spec/schema.can writes it (or = and the
 * constant text), and whether it is optional.
 */
export type Field = readonly [num: number, name: string, type: string, optional?: true];

export class Codec<T> {
  constructor(
    /** The struct's name in RFC-MYTHOS-0002. */
    readonly name: string,
    /** Whether unknown fields are refused. */
    readonly closed: boolean,
    readonly fields: readonly Field[],
    /** Appends the canonical bytes of x. */
    readonly write: (w: Writer, x: T) => void,
    /** Reads x at the reader's place. */
    readonly read: (r: Reader) => T,
  ) {}

  /** Returns the canonical bytes of x. */
  encode(x: T): Uint8Array {
    const w = new Writer();
    this.write(w, x);
    return w.take();
  }

  /** Decodes exactly one value; BYTES in the result are views of b. */
  decode(b: Uint8Array): T {
    const r = new Reader(b);
    const x = this.read(r);
    r.done();
    return x;
  }
}

/** Where a signed struct keeps its id, signature and signer. */
export interface Seal {
  /** Number and name of the id field; absent: the object stores no id. */
  readonly id?: readonly [num: number, name: string];
  readonly sig: readonly [num: number, name: string];
  /** Name of the signer field; absent: the signature carries a key_id. */
  readonly by?: string;
  /** Readers accept the signature without a key_id all the same. */
  readonly keyless?: true;
}

/** The codec of a signed struct; K are the fields that signing fills. */
export class SealedCodec<T, K extends keyof T> extends Codec<T> {
  /** The fields that signing fills; a type, no value. */
  declare readonly filled: K;

  constructor(
    name: string,
    closed: boolean,
    fields: readonly Field[],
    write: (w: Writer, x: T) => void,
    read: (r: Reader) => T,
    readonly seal: Seal,
  ) {
    super(name, closed, fields, write, read);
  }
}
