/**
 * The guest SDK of MYTHOS for JavaScript; see README.md beside it. A tool is
 * one function from a payload to a payload:
 *
 *     import { serve, fail } from "./mythos-tool.js";
 *     serve((call) => call.payload);
 */

/**
 * Every canonical value (RFC-MYTHOS-0001 §2) as one JavaScript value:
 *
 *     NULL, false, true    null, false, true
 *     UVARINT              number up to 2^53-1, bigint above
 *     IVARINT, negative    number down to -2^53+1, bigint below
 *     IVARINT, 0 and up    I64
 *     BYTES, TEXT          Uint8Array, string
 *     LIST, MAP            array, Map
 */
export type Value = null | boolean | number | bigint | I64 | Uint8Array | string | Value[] | Map<Value, Value>;

/** What may be answered: a value, encoded bytes, or a plain object for a MAP with TEXT keys. */
export type Encodable =
  | null
  | boolean
  | number
  | bigint
  | I64
  | Raw
  | Uint8Array
  | string
  | readonly Encodable[]
  | ReadonlyMap<Encodable, Encodable>
  | { readonly [key: string]: Encodable | undefined };

/** An IVARINT, whatever its sign: 5 alone is a UVARINT. */
export class I64 {
  readonly value: bigint;
  constructor(value: bigint | number);
  valueOf(): bigint;
}

/** A value that is encoded already; throws a MythosError if bytes are not one canonical value. */
export class Raw {
  readonly bytes: Uint8Array;
  constructor(bytes: Uint8Array);
}

/** One call of the tool. */
export interface Call {
  /** The request's payload, decoded. BYTES are views of raw. */
  readonly payload: Value;
  /** The payload as it came: raw.bytes, and raw itself may be answered. */
  readonly raw: Raw;
  /** The 32 bytes of the tool's id. */
  readonly toolId: Uint8Array;
  /** The 32 bytes of the effect's idempotency id: the same for every attempt. */
  readonly idemId: Uint8Array;
}

export type Handler = (call: Call) => Encodable | PromiseLike<Encodable>;

export interface ServeOptions {
  /** The largest request in bytes; default 16 MiB, which no executor exceeds. */
  readonly maxRequest?: number;
}

/**
 * Answers the requests on standard input until it ends, then ends the process;
 * call it last. What the handler returns is answered with status 200, what fail
 * says with its status; anything else that it throws is 500 `tool_error`, with
 * the error in the log. From here on console.log writes to standard error.
 */
export function serve(handler: Handler, options?: ServeOptions): void;

/** Ends the call with a status of 100..599, never 200, and a code of 1..128 bytes in snake_case. */
export function fail(status: number, code: string, message?: string): never;

/** What fail throws. */
export class Failure extends Error {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  constructor(status: number, code: string, message?: string);
}

/**
 * Answers one encoded ToolRequest with an encoded ToolResponse: what serve does
 * with a frame, for tests. A handler that returns a promise makes this a promise.
 */
export function answer(handler: Handler, request: Uint8Array): Uint8Array | Promise<Uint8Array>;

/** Returns the first message of a stream of frames, and how many bytes follow it. */
export function readFrame(bytes: Uint8Array, limit: number): { message: Uint8Array; left: number };

/** Returns the canonical bytes of a value; throws a MythosError if it has none. */
export function encode(value: Encodable): Uint8Array;

/** Decodes exactly one value; throws a MythosError. BYTES are views of the input. */
export function decode(bytes: Uint8Array): Value;

/** A refusal with one of the codes of RFC-MYTHOS-0001 §2.3, or of a frame. */
export class MythosError extends Error {
  readonly code: string;
  /** The byte offset in what was read, -1 if there is none. */
  readonly offset: number;
  readonly reason: string;
  constructor(code: string, reason: string, offset?: number);
}

/** Lines for the module's log, which is standard error. */
export const log: {
  debug(text: string): void;
  info(text: string): void;
  warn(text: string): void;
  error(text: string): void;
};

/**
 * Checks of what a request holds. A value of another type, or none, is answered
 * with 400 `bad_request`; the reason goes to the log.
 */
export const want: {
  bool(v: Value | undefined): boolean;
  text(v: Value | undefined): string;
  bytes(v: Value | undefined): Uint8Array;
  u64(v: Value | undefined): number | bigint;
  i64(v: Value | undefined): bigint;
  list(v: Value | undefined): Value[];
  map(v: Value | undefined): Map<Value, Value>;
};

/** Returns a secret that was granted; throws if it was not. Do not log or answer it. */
export function secret(name: string): Uint8Array;

export interface HttpOptions {
  /** Default GET. */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
  /** The largest response body in bytes; default 16 MiB. */
  readonly maxBytes?: number;
  readonly signal?: AbortSignal;
}

export interface HttpResponse {
  readonly status: number;
  /** In the order in which they came, names in lower case. */
  readonly headers: [name: string, value: string][];
  readonly body: Uint8Array;
}

/**
 * Performs one HTTP request through the host, which connects, does TLS and
 * checks the grant; no redirect is followed. Throws without a network grant and
 * when the exchange fails. A refusal of the host is a response with status 403.
 */
export function http(url: string, options?: HttpOptions): Promise<HttpResponse>;

/** Opens a bare connection through the host; the result is a node:net Socket. */
export function connect(host: string, port: number): Promise<import("node:net").Socket>;
