import { codeOf, reasonOf } from "./errors.ts";

/** Why a request had no answer, as people know it. `answerMsMax`: how long it was waited for. */
export function networkReasonOf(error: unknown, answerMsMax: number): string {
  const code = codeOf(error);
  if (code === "ECONNREFUSED") return "connection refused";
  if (code === "ABORT_ERR" || (error instanceof Error && error.name === "TimeoutError")) return `no answer within ${answerMsMax / 1000} s`;
  return reasonOf(error);
}
