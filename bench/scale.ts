/*
 * What docs/scale.md shows: npx node bench/scale.ts FIGURES.json... Takes what `npm run bench -- --only scale --json` and `npm run bench -- --cost --json`
 * printed, writes docs/scale.svg, and prints the table of a million phones.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Bill } from "./cost/bill.ts";
import { type Row, alignedText } from "./report.ts";
import { type Load, type Measured, loadOf } from "./scale/model.ts";
import { type Panel, svgOf } from "./scale/plot.ts";
import { framesPerCall } from "./scale/backhaul-simulation.ts";
import { shortNumber } from "./statistics.ts";

/** Two data centres of one region. */
const answerMs = 10;
const plan = { phones: 1_000_000, callsPerSecond: 10_000, gateways: 8, callSeconds: 180, registersPerHour: 2 };
/** docs/performance.md, memory of registrations and dialogs; an object with nothing in it is what a cell has at its start, generously. */
const memory = { registrationKib: 1.5, dialogKib: 4, objectMib: 10 };
/** What a cell sends to its peer for a call that shares no batch: INVITE, 200, ACK, BYE. */
const batchesPerCall = 4;

const rows = process.argv.slice(2).flatMap((file) => (JSON.parse(readFileSync(file, "utf8")) as { readonly rows: readonly Row[] }).rows);

function valueOf(row: Row | undefined): number {
  return row?.systems.tandem?.value ?? Number.NaN;
}

function panel(title: string, xName: "exchanges" | "cells", fixed: "exchanges" | "cells", at: number): Panel {
  const chosen = rows.filter((row) => row.at?.[fixed] === at);
  const pointsOf = (isPart: boolean): Panel["series"][number]["points"] =>
    chosen
      .filter(({ measure }) => measure.endsWith(": cells alone") === isPart)
      .map((row) => ({ x: row.at?.[xName] ?? 0, y: valueOf(row) }))
      .toSorted((one, other) => one.x - other.x);
  return {
    title,
    xName,
    yName: "us of CPU a call",
    series: [
      { name: "cells and gateway", points: pointsOf(false) },
      { name: "cells alone", points: pointsOf(true) },
    ],
  };
}

function billOf(measure: string): Bill {
  const counts = rows.find((row) => row.measure.startsWith(`cost: ${measure}`))?.counts;
  if (counts === undefined) throw new Error(`the figures have no counts of "${measure}": give the JSON of --cost too`);
  return counts as unknown as Bill;
}

/** CPU time of a call in the system that `npm start` makes. */
function usualUs(isPart: boolean): number {
  const usual = rows.filter(({ at }) => at?.["cells"] === 2 && at["exchanges"] === 2);
  return valueOf(usual.find(({ measure }) => measure.endsWith(": cells alone") === isPart));
}

function measured(): Measured {
  const cellsUs = usualUs(true);
  return {
    ...memory,
    cellsUs,
    gatewayUs: usualUs(false) - cellsUs,
    batchesPerCall,
    call: billOf("call over UDP, 50/s"),
    phoneHour: billOf("phone over UDP"),
  };
}

function printModel(): void {
  const columns = [64, 256, 1024].map((exchanges) => loadOf({ ...plan, exchanges }, measured(), answerMs));
  const line = (name: string, of: (load: Load) => number, limit = ""): string[] => [
    name,
    ...columns.map((load) => shortNumber(of(load))),
    limit,
  ];
  const lines = [
    line("objects (two replicas of each exchange)", ({ objects }) => objects),
    line("backhauls of 8 gateways", ({ backhauls }) => backhauls),
    line("frames/s into an exchange", ({ framesPerSecond }) => framesPerSecond),
    line("batches/s between two replicas", ({ batchesPerSecond }) => batchesPerSecond),
    line("frames and batches/s of an exchange", ({ eventsPerSecond }) => eventsPerSecond, "1000"),
    line("sockets of an exchange", ({ socketsOfExchange }) => socketsOfExchange, "32768"),
    line("memory of an exchange, MiB", ({ memoryMib }) => memoryMib, "128"),
    line("share of its one thread", ({ threadShare }) => threadShare, "1"),
    line("cores of all gateways", ({ gatewayCores }) => gatewayCores),
    line("$ a month: calls", ({ dollarsOfCalls }) => dollarsOfCalls),
    line("$ a month: registrations", ({ dollarsOfPhones }) => dollarsOfPhones),
    line("$ a month: objects awake", ({ dollarsAwake }) => dollarsAwake),
    line("$ a month: storage", ({ dollarsStored }) => dollarsStored),
  ];
  process.stdout.write(alignedText(["EXCHANGES", "64", "256", "1024", "LIMIT"], lines, 1));
}

/** The flush rule in simulated time beside what was counted. */
function printCheck(): void {
  const lines = [5, 50, 500].flatMap((rate) => {
    const counted = rows.find((row) => row.measure.startsWith(`cost: call over UDP, ${rate}/s`))?.counts?.["webSocketMessages"];
    if (counted === undefined) return [];
    // Two exchanges, one gateway.
    return [[`${rate}/s`, shortNumber(counted), ...[3, 10, 30].map((ms) => shortNumber(framesPerCall(rate / 2, ms, 10_000)))]];
  });
  process.stdout.write(`\n${alignedText(["FRAMES A CALL", "COUNTED", "SIMULATED, ANSWER AFTER 3 ms", "10 ms", "30 ms"], lines, 1)}`);
}

const panels: readonly Panel[] = [panel("two cells", "exchanges", "cells", 2), panel("eight exchanges", "cells", "exchanges", 8)];
writeFileSync(join(import.meta.dirname, "..", "docs", "scale.svg"), svgOf(panels));
printModel();
printCheck();
