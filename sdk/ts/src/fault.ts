/**
 * The one error that this package throws: a stable code that programs may
 * branch on (RFC-MYTHOS-0001 §7), where it happened, and why.
 *
 *     try { Receipt.decode(bytes) } catch (e) {
 *       if (e instanceof MythosError && e.code === "can_truncated") ...
 *     }
 *
 * Codes are those of ctvp/errors.json; messages are for people and may change.
 */

/** The offset of an error that has none. */
export const NO_OFFSET = -1;

export class MythosError extends Error {
  /** A stable code in snake_case. */
  readonly code: string;
  /** The byte offset in what was read, or NO_OFFSET. */
  readonly offset: number;
  /** Got and want, in words, without code and offset. */
  readonly reason: string;

  constructor(code: string, reason: string, offset: number = NO_OFFSET, cause?: unknown) {
    const at = offset === NO_OFFSET ? "" : ` at byte ${offset}`;
    super(`${reason}${at} (${code})`, cause === undefined ? undefined : { cause });
    this.name = "MythosError";
    this.code = code;
    this.offset = offset;
    this.reason = reason;
  }
}

/** Returns the code of e, or "" if it is no MythosError. */
export function codeOf(e: unknown): string {
  return e instanceof MythosError ? e.code : "";
}

/**
 * Runs f. A MythosError that it throws is thrown again under another code, with
 * the first as its cause; any other error passes.
 */
export function recode<T>(code: string, what: string, f: () => T): T {
  try {
    return f();
  } catch (e) {
    if (!(e instanceof MythosError)) throw e;
    throw new MythosError(code, `${what}: ${e.message}`, NO_OFFSET, e);
  }
}
