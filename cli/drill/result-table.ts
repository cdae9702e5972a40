import { tableText } from "../table.ts";
import type { FaultResult } from "./fault.ts";

const headings: readonly string[] = [
  "FAULT",
  "TRANSPORT",
  "DETECTED ms",
  "ENDED WELL",
  "LOST",
  "RINGING: COMPLETED",
  "LOST",
  "CANCELLED",
  "LOST",
  "REGISTERED",
  "LOST",
  "NEW CALLS",
  "FAILED",
  "SLOW",
  "LAST FAILED ms",
  "IDENTICAL ms",
];

/** One line for each fault and transport. "-": does not apply, "never": not in time. */
export function resultTable(results: readonly FaultResult[]): string {
  return tableText(headings, results.map(rowOf));
}

function rowOf(result: FaultResult): (string | number)[] {
  const { fault, transport, detectionMs, established, ringing, cancelled, registrations, newCalls, identicalAfterMs } = result;
  return [
    fault,
    transport.toUpperCase(),
    fault === "kill-both" ? "-" : (detectionMs?.toString() ?? "never"),
    established.ended,
    established.lost,
    ringing.completed,
    ringing.lost,
    cancelled.ended,
    cancelled.lost,
    registrations.kept,
    registrations.lost,
    newCalls.made,
    newCalls.failed,
    newCalls.slow,
    newCalls.lastFailedMs?.toString() ?? "-",
    identicalAfterMs?.toString() ?? "never",
  ];
}

/**
 * What was promised and not kept, for each fault and transport; empty when all was. That ringing calls are answered, and new ones, is nobody's promise while
 * both cells are dead; while a cell is frozen new calls may fail for five seconds.
 */
export function missesOf(results: readonly FaultResult[]): string[] {
  return results.flatMap((result) => {
    const { fault, established, ringing, cancelled, registrations, newCalls } = result;
    const misses: string[] = [];
    if (established.lost > 0) misses.push(`${established.lost} established calls`);
    if (ringing.lost > 0 && fault !== "kill-both") misses.push(`${ringing.lost} ringing calls`);
    if (cancelled.lost > 0) misses.push(`${cancelled.lost} cancelled calls`);
    if (registrations.lost > 0) misses.push(`${registrations.lost} registrations`);
    const isTooLate = fault === "freeze-cell" ? (newCalls.lastFailedMs ?? 0) > 5_000 : newCalls.failed > 0;
    if (isTooLate && fault !== "kill-both") misses.push(`${newCalls.failed} new calls`);
    if (fault === "cut-cells" && result.identicalAfterMs === undefined) misses.push("the replicas differ 5 s after healing");
    return misses.length === 0 ? [] : [`${fault} over ${result.transport.toUpperCase()}: ${misses.join(", ")}`];
  });
}
