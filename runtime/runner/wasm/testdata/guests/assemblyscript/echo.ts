// echo answers its request's payload. One export, run.
import { answer, payload, payloadSize, readRequest } from "./mythos";

export function run(): void {
  readRequest();
  answer(payload, payloadSize);
}
