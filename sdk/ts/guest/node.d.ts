// The few parts of Node that mythos-tool.js uses, so that checking its types
// takes no package.

declare module "node:fs" {
  export function readSync(fd: number, into: Uint8Array, offset: number, length: number, position: number | null): number;
  export function writeSync(fd: number, from: Uint8Array, offset: number, length: number): number;
  export function fstatSync(fd: number): { size: number };
}

declare module "node:net" {
  export interface Socket {
    unshift(chunk: Uint8Array): void;
    destroy(): void;
  }
}

declare module "node:http" {
  import type { Socket } from "node:net";

  export interface IncomingMessage {
    readonly statusCode?: number;
    readonly rawHeaders: string[];
    on(event: "data", listener: (part: Uint8Array) => void): this;
    on(event: "end", listener: () => void): this;
    on(event: "error", listener: (e: Error) => void): this;
    resume(): this;
  }
  export interface ClientRequest {
    on(event: "error", listener: (e: Error) => void): this;
    on(event: "response", listener: (response: IncomingMessage) => void): this;
    on(event: "connect", listener: (response: IncomingMessage, socket: Socket, head: Uint8Array) => void): this;
    destroy(e?: Error): this;
    end(body?: Uint8Array): this;
  }
  export interface RequestOptions {
    socketPath: string;
    path: string;
    method: string;
    headers: Record<string, string>;
    agent: false;
    signal?: AbortSignal;
  }
  export function request(options: RequestOptions): ClientRequest;
}

declare const process: {
  readonly env: Record<string, string | undefined>;
  readonly stderr: unknown;
  on(event: "exit", listener: (code: number) => void): void;
  exit(code: number): never;
};

declare const Buffer: {
  compare(a: Uint8Array, b: Uint8Array): number;
  byteLength(s: string): number;
};
