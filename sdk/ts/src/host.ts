/**
 * What the platform offers synchronously: Node's crypto module where it can be
 * had without an import, so that browsers and bundlers never see its name.
 * Everything works without it; only speed differs.
 */

/** The part of node:crypto that this package uses. */
export interface NodeCrypto {
  /** Since Node 20.12. */
  hash?(name: string, b: Uint8Array, as: "buffer"): Uint8Array;
  createHash(name: string): { update(b: Uint8Array): { digest(): Uint8Array } };
  createPublicKey(key: { key: Uint8Array; format: "der"; type: "spki" }): object;
  createPrivateKey(key: { key: Uint8Array; format: "der"; type: "pkcs8" }): object;
  verify(algorithm: null, data: Uint8Array, key: object, signature: Uint8Array): boolean;
  sign(algorithm: null, data: Uint8Array, key: object): Uint8Array;
}

interface Host {
  process?: { getBuiltinModule?: (name: string) => unknown };
}

/** Node's crypto module, undefined in browsers and before Node 20.16. */
export const nodeCrypto: NodeCrypto | undefined = /* @__PURE__ */ findNodeCrypto();

function findNodeCrypto(): NodeCrypto | undefined {
  const process = (globalThis as Host).process;
  return process?.getBuiltinModule?.("node:crypto") as NodeCrypto | undefined;
}
