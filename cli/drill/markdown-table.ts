import type { FaultResult } from "./fault.ts";
import type { Amounts } from "./plan.ts";
import { arrivalsText, detectionText, wholeText } from "./result-table.ts";

/** The tables of docs/failover.md. */
export function markdownTable(results: readonly FaultResult[], { established, ringing, registered }: Amounts): string {
  const headings = [
    "detected ms",
    `established lost of ${established}`,
    `ringing lost of ${ringing}`,
    `registrations lost of ${registered}`,
    "new calls failed of",
    "slow",
    "slowest ms",
    "identical ms",
  ];
  const rows = results.map((result) => [
    ...nameOf(result),
    detectionText(result),
    result.established.lost,
    result.ringing.lost,
    result.registrations.lost,
    `${result.newCalls.failed} of ${result.newCalls.made}`,
    result.newCalls.slow,
    result.newCalls.slowestMs,
    result.identicalAfterMs ?? "never",
  ]);
  const changes = results.flatMap((result) => {
    const { group } = result;
    if (group === undefined) return [];
    const replicas = Object.entries(group.replicas).map(([cell, count]) => `${cell} ${count}`);
    return [[...nameOf(result), wholeText(group), group.moves, replicas.join(", ")]];
  });
  const tables = [tableOf(headings, rows)];
  if (changes.length > 0) tables.push(tableOf(["whole after ms", "moves", "replicas"], changes));
  const arrivals = results.flatMap((result) => {
    const { group } = result;
    return group?.arrivals === undefined ? [] : [[...nameOf(result), arrivalsText(group.arrivals)]];
  });
  if (arrivals.length > 0) tables.push(tableOf(["serving after s"], arrivals));
  return tables.join("\n");
}

function nameOf({ fault, transport }: FaultResult): string[] {
  return [`\`${fault}\``, transport.toUpperCase()];
}

function tableOf(headings: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const all = [["fault", "transport", ...headings], ["---", "---", ...headings.map(() => "---:")], ...rows];
  return all.map((cells) => `| ${cells.join(" | ")} |\n`).join("");
}
