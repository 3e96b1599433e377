// What a call fails with. One instance serves one call, so it is one variable.

/** A failure that the caller of the tool is told. */
export class Failure {
  constructor(
    readonly status: i32,
    readonly code: string,
    readonly message: string,
    readonly detail: string, // for the log
  ) {}

  get valid(): bool {
    const n = String.UTF8.byteLength(this.code);
    return this.status >= 100 && this.status <= 599 && this.status != 200 && n >= 1 && n <= 128;
  }
}

/** The first failure of the call. */
export let failure: Failure | null = null;

export function note(f: Failure): void {
  if (failure === null) failure = f;
}

/** Notes that the request is not what the tool takes. */
export function refuse(detail: string): void {
  note(new Failure(400, "bad_request", "", detail));
}

/** Begins a call. */
export function begin(): void {
  failure = null;
}
