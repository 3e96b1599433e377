/** The tags of MYTHOS-CAN and its one bound. */

/** The tags of RFC-MYTHOS-0001 §2.1. */
export const NULL = 0;
export const FALSE = 1;
export const TRUE = 2;
export const UINT = 3;
export const INT = 4;
export const BYTES = 5;
export const TEXT = 6;
export const LIST = 7;
export const MAP = 8;

/** How many LIST or MAP may be open at once (RFC-MYTHOS-0001 §2.4). */
export const MAX_DEPTH = 32;

const NAMES = ["NULL", "false", "true", "UVARINT", "IVARINT", "BYTES", "TEXT", "LIST", "MAP"];

/** Returns the name of a tag, for messages. */
export function tagName(tag: number | undefined): string {
  return NAMES[tag ?? -1] ?? "unknown tag";
}
