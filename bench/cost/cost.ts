import { setTimeout as delay } from "node:timers/promises";
import { firstStart } from "../../cli/settings.ts";
import type { Bench } from "../bench.ts";
import { Callees, callLoad, registerLoad } from "../load.ts";
import { type Row, alignedText } from "../report.ts";
import type { SoftphonesOutcome } from "../softphones.ts";
import { shortNumber } from "../statistics.ts";
import { startSoftphones } from "../work/softphones.ts";
import { type Bill, billOf, combine, dollarsOf, minus, nothing, times } from "./bill.ts";
import { MeteredSystem } from "./metered-system.ts";

const hoursPerMonth = 730;
const talkMs = 10_000;
/** What more than this share of failed calls sent again is not what calls cost. */
const failedMax = 0.01;
/** Calls of both kinds are on the way by then: those that begin, and those that end. */
const warmMs = talkMs + 5_000;
/** What began before is over by then: timers of transactions end after 32 s. */
const quietAfterMs = 35_000;
/**
 * What happens too rarely for a run to see it, as phones do it: a softphone registers for 600 s and again after half of that (JsSIP, SIP.js). Each
 * refresh is a row at each replica when no other phone of the exchange registers within the same second.
 */
const softphoneRegistersPerHour = 12;
/** Desk phones register for an hour and again after half of it. */
const phoneRegistersPerHour = 2;
const rowsPerRefresh = 2;
/** An exchange with records wakes every 15 minutes, at each replica: an alarm that rings, one that is set (workers/limits.ts), its rows read. */
const sweepsPerHour = 4 * 2;

/** What its dollars are shown for. */
type Scale = { readonly factor: number; readonly name: string };

type Line = { readonly what: string; readonly unit: string; readonly scale: Scale; readonly bill: Bill };

const millions: Scale = { factor: 1_000_000, name: "$ a million" };
const month: Scale = { factor: hoursPerMonth, name: "$ a month" };
const monthOfThousand: Scale = { factor: 1_000 * hoursPerMonth, name: "$ a month for 1000" };

const each = { unit: "each", scale: millions } as const;

/** What the figures are about, with dollars: rows for JSON, and a text for people. */
export type CostReport = { readonly rows: readonly Row[]; readonly text: string };

/** Counts billed operations in a local run and multiplies them by Cloudflare's prices. */
export async function cost(bench: Bench): Promise<CostReport> {
  const lines: Line[] = [];
  const idleByGateways: Bill[] = [];
  for (const gateways of [1, 2]) {
    await withMetered(bench, gateways, async (system) => {
      idleByGateways.push(await idleHour(bench, system));
    });
  }
  const [one = nothing, two = nothing] = idleByGateways;
  lines.push({ what: "two cells and a gateway, idle", unit: "an hour", scale: month, bill: one });
  lines.push({ what: "a gateway more, idle", unit: "an hour", scale: month, bill: minus(two, one) });
  for (const rate of bench.pick(1, 0) === 1 ? [5, 50, 500] : [50]) {
    await withMetered(bench, 1, async (system) => {
      const bill = await callBill(bench, system, rate, one);
      if (bill !== undefined) lines.push({ what: `call over UDP, ${rate}/s in all`, ...each, bill });
    });
  }
  await withMetered(bench, 1, async (system) => lines.push(...(await registrationLines(bench, system))));
  await withMetered(bench, 1, async (system) => lines.push(...(await softphoneLines(bench, system, one))));
  return { rows: rowsOf(lines), text: textOf(lines) };
}

async function withMetered(bench: Bench, gateways: number, use: (system: MeteredSystem) => Promise<unknown>): Promise<void> {
  bench.options.log(`  starts tandem with a meter, ${gateways === 1 ? "a gateway" : `${gateways} gateways`}`);
  const system = await MeteredSystem.start(bench.programs, gateways);
  try {
    await use(system);
  } finally {
    await system.stop();
  }
}

/** What is billed in a span of quiet, for an hour. */
async function idleHour(bench: Bench, system: MeteredSystem): Promise<Bill> {
  const seconds = bench.pick(60, 10);
  await delay(quietAfterMs);
  const before = billOf(await system.read());
  await delay(seconds * 1000);
  return times(minus(billOf(await system.read()), before), 3600 / seconds);
}

/** In the middle of a steady load: nothing of a beginning or an end. `idle`: what an hour costs anyhow. Undefined: the machine could not do it. */
async function callBill(bench: Bench, system: MeteredSystem, callsPerSecond: number, idle: Bill): Promise<Bill | undefined> {
  const seconds = bench.pick(30, 8);
  const callees = await Callees.start(bench.programs, system, { transport: "UDP", count: 100 });
  try {
    // As long again as a call lasts, so that all through the span as many end as begin.
    const plan = { transport: "UDP", callsPerSecond, seconds: warmMs / 1000 + seconds + 1, talkMs } as const;
    const load = callLoad(bench.programs, system, callees, plan);
    await delay(warmMs);
    const [before, start] = [billOf(await system.read()), performance.now()];
    await delay(seconds * 1000);
    const [after, spanSeconds] = [billOf(await system.read()), (performance.now() - start) / 1000];
    const { units, failed, retransmissions } = await load;
    bench.options.log(`  ${callsPerSecond} calls/s: ${failed} failed, ${retransmissions} sent again`);
    if (failed > units * failedMax) {
      bench.options.log("  ! too many failed: no figure");
      return undefined;
    }
    const own = minus(minus(after, before), times(idle, spanSeconds / 3600));
    return times(own, 1 / (callsPerSecond * spanSeconds));
  } finally {
    await callees.stop();
  }
}

async function registrationLines(bench: Bench, system: MeteredSystem): Promise<Line[]> {
  const lines: Line[] = [];
  const rates = [10, 100];
  for (const rate of rates) {
    const calls = rate * bench.pick(30, 5);
    const before = billOf(await system.read());
    const { failed } = await registerLoad(bench.programs, system, {
      scenario: "register-new",
      callsPerSecond: rate,
      calls,
      prefix: `c${rate}x`,
    });
    // The rows follow.
    await delay(2_000);
    const bill = times(minus(billOf(await system.read()), before), 1 / calls);
    bench.options.log(`  ${calls} registered, ${failed} failed`);
    lines.push({ what: `REGISTER over UDP of another phone, ${rate}/s`, ...each, bill });
    if (rate !== rates[0]) continue;
    const hour = times({ ...bill, rowsWritten: rowsPerRefresh }, phoneRegistersPerHour);
    lines.push({ what: "phone over UDP, registers every 30 minutes", unit: "an hour", scale: monthOfThousand, bill: hour });
  }
  return lines;
}

async function softphoneLines(bench: Bench, system: MeteredSystem, idle: Bill): Promise<Line[]> {
  const count = bench.pick(1_000, 100);
  const phones = await startSoftphones(bench, system, count, 2, system.webSockets);
  const during = async (act: () => Promise<void>): Promise<Bill> => {
    const before = billOf(await system.read());
    await act();
    await delay(2_000);
    return minus(billOf(await system.read()), before);
  };
  try {
    const connecting = await during(async () => void (await phones.next<SoftphonesOutcome>()));
    const register = async (): Promise<void> => {
      phones.tell("register");
      await phones.next<SoftphonesOutcome>();
    };
    const first = await during(register);
    const again = await during(register);
    const quiet = minus(await idleHour(bench, system), idle);
    const refresh = times(again, 1 / count);
    const alarms = sweepsPerHour * firstStart.exchanges;
    const sweeps: Bill = { ...nothing, objectRequests: alarms, rowsWritten: alarms, rowsRead: sweepsPerHour * count };
    // Less than nothing is a heartbeat that fell outside.
    const held = times(combine(combine(quiet, nothing, Math.max), sweeps, sum), 1 / count);
    return [
      { what: "softphone connects", ...each, bill: times(connecting, 1 / count) },
      { what: "softphone registers", ...each, bill: times(first, 1 / count) },
      { what: "softphone registers again", ...each, bill: refresh },
      { what: "softphone that only holds its connection", unit: "an hour", scale: monthOfThousand, bill: held },
      {
        what: "softphone that also registers every 5 minutes",
        unit: "an hour",
        scale: monthOfThousand,
        bill: combine(held, times({ ...refresh, rowsWritten: rowsPerRefresh }, softphoneRegistersPerHour), sum),
      },
    ];
  } finally {
    await phones.stop();
  }
}

function sum(one: number, other: number): number {
  return one + other;
}

function rowsOf(lines: readonly Line[]): Row[] {
  return lines.map((line) => {
    const { factor, name } = line.scale;
    const value = dollarsOf(line.bill) * factor;
    const row: Row = { measure: `cost: ${line.what}`, unit: name, systems: { tandem: { value, samples: [value] } }, counts: line.bill };
    return line.what.startsWith("call over UDP, 50/s") ? { ...row, goal: { of: "value", atMost: 5 } } : row;
  });
}

function textOf(lines: readonly Line[]): string {
  const headings = ["BILLED OPERATIONS", "", "WORKER", "OBJECT", "WS IN", "ROWS WRITTEN", "ROWS READ", "AWAKE s", "", "$", "WITH BINDINGS"];
  const cells = lines.map((line) => {
    const { bill } = line;
    const { factor, name } = line.scale;
    const { workerRequests, objectRequests, webSocketMessages, peerMessages, rowsWritten, rowsRead, objectSeconds } = bill;
    const counts = [workerRequests, objectRequests, webSocketMessages + peerMessages, rowsWritten, rowsRead, objectSeconds].map(
      shortNumber,
    );
    const dollars = [dollarsOf(bill) * factor, dollarsOf(bill, true) * factor].map(shortNumber);
    return [line.what, line.unit, ...counts, name, ...dollars];
  });
  return alignedText(headings, cells, 2);
}
