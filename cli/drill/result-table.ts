import { tableText } from "../table.ts";
import type { FaultResult } from "./fault.ts";
import type { GroupResult } from "./group-fault.ts";
import type { Fault } from "./plan.ts";

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

/** Faults after which there is nothing to detect, or nobody to ask. */
const undetected: readonly Fault[] = ["kill-both", "add-cell", "remove-cell", "drain-cell", "double", "drain-host", "upgrade", "renew"];

const groupHeadings: readonly string[] = ["FAULT", "TRANSPORT", "WHOLE AFTER ms", "MOVES", "REPLICAS"];
const hostHeadings: readonly string[] = ["FAULT", "TRANSPORT", "SERVING AFTER s"];

/**
 * One line for each fault and transport. "-": does not apply, "never": not in time. What became of the exchanges where the group has changed is a table of its
 * own, and so is how long machines took to join.
 */
export function resultTable(results: readonly FaultResult[]): string {
  const tables = [tableText(headings, results.map(rowOf))];
  const changes = results.flatMap(groupRowsOf);
  if (changes.length > 0) tables.push(tableText(groupHeadings, changes));
  const arrivals = results.flatMap(hostRowsOf);
  if (arrivals.length > 0) tables.push(tableText(hostHeadings, arrivals));
  return tables.join("\n");
}

function hostRowsOf({ fault, transport, group }: FaultResult): string[][] {
  return group?.arrivals === undefined ? [] : [[fault, transport.toUpperCase(), arrivalsText(group.arrivals)]];
}

/** From each command to "ready", in seconds, by host. */
export function arrivalsText(arrivals: NonNullable<GroupResult["arrivals"]>): string {
  return arrivals.map(({ servingMs }, index) => `h${index + 1} ${(servingMs / 1000).toFixed(1)}`).join(", ");
}

function groupRowsOf({ fault, transport, group }: FaultResult): (string | number)[][] {
  if (group === undefined) return [];
  const replicas = Object.entries(group.replicas).map(([cell, count]) => `${cell} ${count}`);
  return [[fault, transport.toUpperCase(), wholeText(group), group.moves, replicas.join(", ")]];
}

export function wholeText({ wholeAfterMs }: GroupResult): string {
  return wholeAfterMs.map((ms) => ms?.toString() ?? "never").join(", ");
}

export function detectionText({ fault, detectionMs }: FaultResult): string {
  return undetected.includes(fault) ? "-" : (detectionMs?.toString() ?? "never");
}

function rowOf(result: FaultResult): (string | number)[] {
  const { fault, transport, established, ringing, cancelled, registrations, newCalls, identicalAfterMs } = result;
  return [
    fault,
    transport.toUpperCase(),
    detectionText(result),
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
    if (result.group?.wholeAfterMs.includes(undefined) === true) misses.push("the exchanges are not where they are to be");
    return misses.length === 0 ? [] : [`${fault} over ${result.transport.toUpperCase()}: ${misses.join(", ")}`];
  });
}
