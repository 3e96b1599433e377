/**
 * MYTHOS for TypeScript and JavaScript: canonical bytes (MYTHOS-CAN), ids, strict
 * Ed25519, and the objects that are made of them. Everything here is a pure
 * function of its arguments: nothing reads a clock, a file or the network.
 */

export * from "./abi.js";
export * from "./blob/build.js";
export { MAX_SIZE, type ByteRange } from "./blob/layout.js";
export * from "./blob/verify.js";
export * from "./bytes.js";
export * from "./can/codec.js";
export * from "./can/json.js";
export * from "./can/jsonread.js";
export { Reader, Struct } from "./can/reader.js";
export { MAX_DEPTH } from "./can/tags.js";
export { isCanonical, validate } from "./can/valid.js";
export { I64, decode, encode, type Encodable, type Value } from "./can/value.js";
export { Writer } from "./can/writer.js";
export { type Addr, addrFrom, addrText, isSpecial, parseAddr } from "./caps/addr.js";
export * from "./caps/chain.js";
export { argConstraint, type Call } from "./caps/constraint.js";
export * from "./caps/request.js";
export { type Mark, checkFollows, isFresh, markOf, openRevocations, signRevocations } from "./caps/revocation.js";
export { kindName } from "./caps/rules.js";
export { checkCovers, checkScope } from "./caps/scope.js";
export * from "./cid.js";
export * from "./codebook.js";
export { publicKey, verifyPortable, verifyStrict } from "./ed25519.js";
export * from "./evidence.js";
export { MythosError, NO_OFFSET, codeOf } from "./fault.js";
export * from "./gen/index.js";
export * from "./ledger/entries.js";
export * from "./ledger/state.js";
export { decodeTree, validateTree } from "./manifest/artifact.js";
export * from "./manifest/manifest.js";
export { checkPath, checkPaths, compareVersions, coversName, parseVersion, type Version } from "./manifest/names.js";
export { validateManifest } from "./manifest/validate.js";
export * from "./merkle/build.js";
export { Cursor, type Want } from "./merkle/cursor.js";
export {
  CHUNK_INTERNAL,
  CHUNK_LEAF,
  FANOUT,
  LIST_INTERNAL,
  LIST_LEAF,
  MAX_COUNT,
  MAX_HEIGHT,
  MAX_NODE,
  type Get,
  type Put,
  closeNode,
  decodeNode,
  openNode,
} from "./merkle/node.js";
export {
  type Included,
  type IncludedRange,
  MAX_PROOF,
  MAX_RANGE_PROOF,
  checkListItem,
  checkListRange,
  proveListItem,
  proveListRange,
} from "./merkle/proof.js";
export { type Span, listForm } from "./merkle/shape.js";
export * from "./receipt.js";
export * from "./rings.js";
export { Sha256, sha256, sha256Portable } from "./sha256.js";
export * from "./sig.js";
export { namedView, timeText } from "./view.js";
export * from "./wire.js";
export { type Decompress, DEFAULT_MAX_BUNDLE } from "./zstd.js";
