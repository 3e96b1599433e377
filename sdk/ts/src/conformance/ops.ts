/** The ops of the suites can, struct, hash, sig, receipt, codebook, wire and tool, and of seals (ctvp/README.md). */

import { decodeFrame, checkToolName, decodeRequest, decodeResponse, toolId } from "../abi.js";
import type { SealedCodec } from "../can/codec.js";
import { jsonView } from "../can/json.js";
import { parseJsonView } from "../can/jsonread.js";
import { decode, encode } from "../can/value.js";
import { openRevocations } from "../caps/revocation.js";
import { Hash, equalHashes, hashOf, hashWithout, parseHash } from "../cid.js";
import { decodeCodebook } from "../codebook.js";
import { verifyStrict } from "../ed25519.js";
import { checkSealedReceipts, openRunRecord, openRunSeal } from "../evidence.js";
import { MythosError } from "../fault.js";
import { AgentID, codecs } from "../gen/index.js";
import { decodeDivergence, idemId, openRegister, openResolution } from "../ledger/entries.js";
import { checkContent, openAttestation, openReceipt } from "../receipt.js";
import { openPolicy } from "../rings.js";
import { keyId, objectId, open, openBy } from "../sig.js";
import { type Packet, CODEC_ZSTD, bundleOf, packetDigest, packetSigners, parsePacket, verifyPacket } from "../wire.js";
import type { Decompress } from "../zstd.js";
import { type Input, type Json, Unsupported, hashOut } from "./input.js";

/** Answers one request. */
export type Op = (input: Input) => Json;

type Sealed = SealedCodec<Json, never>;

function codecOf(name: string): Sealed {
  const codec = name === "Hash" ? Hash : codecs.get(name);
  if (codec === undefined) throw new MythosError("struct_unknown", `${JSON.stringify(name.slice(0, 80))} is no struct of the schema`);
  return codec as unknown as Sealed;
}

export const canOps: Record<string, Op> = {
  "can.decode": (input) => {
    const raw = input.hex("hex");
    return { hex: encode(decode(raw)), json: JSON.parse(jsonView(raw)) as unknown };
  },
  "can.encode": (input) => ({ hex: parseJsonView(input.has("text") ? input.text("text") : input.hex("hex")) }),
  "struct.decode": (input) => {
    const codec = codecOf(input.text("type"));
    const raw = input.hex("hex");
    const hex = codec.encode(codec.decode(raw));
    return { hex, id: codec.seal === undefined ? undefined : hashOut(objectId(codec, raw)) };
  },
};

export const hashOps: Record<string, Op> = {
  "hash.sum": (input) => ({ hash: hashOut(hashOf(input.hex("hex"))) }),
  "hash.parse": (input) => ({ hex: Hash.encode(parseHash(input.text("text"))) }),
  "hash.without": (input) => ({ hash: hashOut(hashWithout(input.hex("hex"), ...input.list("fields").map(Number))) }),
  "key.id": (input) => ({ hash: hashOut(keyId(AgentID.decode(input.hex("agent")))) }),
  "idem.id": (input) => ({ hash: hashOut(idemId(input.hash("tool_id"), input.hex("key"))) }),
  "codebook.decode": (input) => {
    const { id, entries } = decodeCodebook(input.hex("hex"));
    return { id: hashOut(id), entries: entries.length };
  },
};

/** What a type's content is held to beside its form, on bytes that have opened before. */
const CONTENT: Record<string, (raw: Uint8Array) => unknown> = {
  Attestation: openAttestation,
  EffectRegister: openRegister,
  DivergenceMark: decodeDivergence,
  LedgerResolution: openResolution,
  RunRecord: openRunRecord,
  RunSeal: openRunSeal,
  RevocationList: openRevocations,
  RingPolicy: openPolicy,
};

export const sigOps: Record<string, Op> = {
  "sig.verify": (input) => {
    if (!verifyStrict(input.hex("key"), input.hex("message"), input.hex("sig"))) {
      throw new MythosError("signature_invalid", "the signature does not verify");
    }
    return {};
  },
  "object.open": (input) => {
    const type = input.text("type");
    const codec = codecOf(type);
    if (codec.seal === undefined) throw new TypeError(`${type} is no signed struct`);
    const raw = input.hex("hex");
    const agent = codec.seal.by === undefined && input.has("by") ? AgentID.decode(input.hex("by")) : undefined;
    const x = agent === undefined ? open(codec, raw) : openBy(codec, raw, agent);
    CONTENT[type]?.(raw);
    const signer = agent ?? (x.object[codec.seal.by!] as AgentID);
    return { id: hashOut(x.id), signer: hashOut(keyId(signer)) };
  },
  "receipt.content": (input) => {
    const { object, id } = openReceipt(input.hex("hex"));
    checkContent(object, input.hex("request"), input.hex("response"));
    return { id: hashOut(id), signer: hashOut(keyId(object.signer)) };
  },
  "seal.check": (input) => {
    const { object, id } = openRunSeal(input.hex("hex"));
    checkSealedReceipts(object, input.strings("receipts").map(parseHash));
    return { id: hashOut(id), signer: hashOut(keyId(object.signer)) };
  },
};

/** The ops of packets; without a decompressor codec 2 is not claimed. */
export function wireOps(decompress: Decompress | undefined): Record<string, Op> {
  return {
    "wire.parse": (input) => {
      const p = parsePacket(input.hex("hex"));
      if (input.has("need")) checkNeeded(p, input.strings("need").map(parseHash));
      const signatures = verifyPacket(p).map((v) => ({ signer: hashOut(keyId(v.signer)), verdict: v.state }));
      const payload_sha256 = hashOut(hashOf(p.payload));
      return { codec: p.codec, codebook: hashOut(p.codebook), payload_sha256, digest: hashOut(packetDigest(p)), signatures };
    },
    "wire.bundle": (input) => {
      const p = parsePacket(input.hex("hex"));
      if (p.codec === CODEC_ZSTD && decompress === undefined) throw new Unsupported();
      const max = input.has("max") ? Number(input.big("max")) : 0;
      return { bundle: hashOut(hashOf(bundleOf(p, { decompress, maxBundle: max > 0 ? max : undefined }))) };
    },
  };
}

function checkNeeded(p: Packet, need: readonly Uint8Array[]): void {
  const have = packetSigners(p).map(keyId);
  if (!need.every((id) => have.some((h) => equalHashes(h, id)))) {
    throw new MythosError("signature_invalid", "a needed key has no verified signature");
  }
}

export const toolOps: Record<string, Op> = {
  "tool.request": (input) => {
    const raw = input.hex("hex");
    const x = decodeRequest(raw);
    return { hash: hashOut(hashOf(raw)), tool_id: hashOut(x.tool_id), idem_id: hashOut(x.idem_id), payload: x.payload };
  },
  "tool.response": (input) => {
    const raw = input.hex("hex");
    const { status, payload, error } = decodeResponse(raw);
    return { hash: hashOut(hashOf(raw)), status, payload, error };
  },
  "tool.id": (input) => {
    const name = input.text("name");
    checkToolName(name);
    return { id: hashOut(toolId(name, input.int("interface"), input.hash("request"), input.hash("response"))) };
  },
  "tool.frame": (input) => {
    const { message, left } = decodeFrame(input.hex("hex"), input.int("max"));
    return { message, left };
  },
};
