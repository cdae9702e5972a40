import type { LoadReport } from "../../cli/drill/load.ts";
import { LoadThread } from "../../cli/drill/load-thread.ts";
import type { WranglerCell } from "./wrangler-dev/wrangler-cell.ts";
import { domains, WranglerSystem } from "./wrangler-dev/wrangler-system.ts";

/*
 * Two cells of `wrangler dev` and a gateway, under calls: both cells get another code by the plan of docs/cloudflare.md, objects are evicted, and a cell is killed.
 * By hand, with what became of all calls: npx node test/interop/wrangler-dev.ts [CALLS_PER_SECOND], 20 when nothing is said.
 */

/** Phones register, and calls are set up, within this. */
const setUpMsMax = 120_000;
/** The calls that stand before the first change end within this, one after the other. */
const endingMs = 20_000;
/** A phone is in a call every twelve seconds or so: a cell that is drained first lets those go that have been quiet for five. */
const phonesPerCallPerSecond = 12;

export type WranglerDevPlan = {
  /** Over UDP at the gateway and over WebSocket at the cells together. */
  readonly callsPerSecond: number;
  /** Calls of each kind that stand before the first change. */
  readonly standing: number;
};

export type CodeOfCell = {
  readonly cell: string;
  readonly before: string;
  readonly after: string | undefined;
  readonly others: number;
  /** What its script says of itself. */
  readonly script: string | undefined;
};

export type WranglerDevResult = {
  readonly udp: LoadReport;
  readonly ws: LoadReport;
  /** Which code each cell ran, before and after; and how many of its objects run another in the end. */
  readonly codes: readonly CodeOfCell[];
};

/** Everything befalls it, one after the other. `say`: what happens. */
export async function runWranglerDev(plan: WranglerDevPlan, say: (text: string) => void): Promise<WranglerDevResult> {
  const system = await WranglerSystem.open("1");
  const loads = loadsOf(system, plan);
  try {
    say("phones register");
    for (const load of loads) await load.register(setUpMsMax);
    for (const load of loads) await load.establish(setUpMsMax);
    for (const load of loads) await load.ring(setUpMsMax);
    for (const load of loads) await load.startCalls();
    for (const load of loads) await load.fault(endingMs);
    const before = await codesOf(system);
    for (const cell of system.cells) await upgrade(system, cell, before.get(cell.id), say);
    await evictAll(system, say);
    await killAndStart(system, say);
    for (const load of loads) await load.stopCalls();
    say("the last calls end");
    const [udp, ws] = await Promise.all(loads.map(reportOf));
    if (udp === undefined || ws === undefined) throw new RangeError("there are two loads");
    const codes = await codesInTheEnd(system, before);
    say("over");
    return { udp, ws, codes };
  } finally {
    for (const load of loads) await load.stop();
    await system.stop();
  }
}

/** By the plan of docs/cloudflare.md. There the code is what `wrangler deploy` prints; `wrangler dev` prints none, so the cell is asked. */
async function upgrade(system: WranglerSystem, cell: WranglerCell, before: string | undefined, say: (text: string) => void): Promise<void> {
  const [other = cell] = system.cells.filter((each) => each !== cell);
  say(`cell ${cell.id} is drained`);
  await system.command(other, "drain", cell.id);
  say(`cell ${cell.id} gets another code`);
  cell.write("2");
  const code = await system.untilOtherCode(cell, before);
  say(`cell ${cell.id} runs ${code}, and is taken back`);
  await system.command(other, "undrain", cell.id, "--code", code);
  await system.untilWhole();
}

/** Objects of each kind one after the other, and then all of a cell at once. */
async function evictAll(system: WranglerSystem, say: (text: string) => void): Promise<void> {
  const [first] = system.cells;
  for (const cell of system.cells) {
    for (const name of ["exchange-0", "line-0", "core-group", "ledger"]) {
      say(`${name} of cell ${cell.id} is evicted`);
      await cell.evict(name);
      await system.untilWhole();
    }
  }
  say(`all objects of cell ${first.id} are evicted`);
  await Promise.all(system.objects.map((name) => first.evict(name)));
  await system.untilWhole();
}

async function killAndStart(system: WranglerSystem, say: (text: string) => void): Promise<void> {
  const [other, cell] = system.cells;
  say(`cell ${cell.id} is killed`);
  await cell.kill();
  await system.untilDown(cell, other);
  say(`cell ${cell.id} is started again`);
  await cell.start("2");
  await system.untilWhole();
}

function loadsOf(system: WranglerSystem, { callsPerSecond, standing }: WranglerDevPlan): readonly LoadThread[] {
  const host = "127.0.0.1";
  const amounts = {
    rate: callsPerSecond / 2,
    established: standing,
    ringing: Math.ceil(standing / 4),
    registered: phonesPerCallPerSecond * callsPerSecond,
  };
  const common = { host, ca: undefined, amounts, everyoneHasTwo: false };
  const cells = system.cells.map(({ id, url }) => ({ name: `cell ${id}`, host, port: Number(new URL(url).port) }));
  const gateway = { name: "gateway g1", host, port: system.udpPort };
  return [
    new LoadThread({ ...common, transport: "udp", domain: domains.udp, targets: [gateway] }),
    new LoadThread({ ...common, transport: "ws", domain: domains.ws, targets: cells }),
  ];
}

async function reportOf(load: LoadThread): Promise<LoadReport> {
  await load.drain();
  await load.settle(setUpMsMax);
  return await load.report();
}

/** Which code each cell runs. */
async function codesOf(system: WranglerSystem): Promise<Map<string, string>> {
  const codes = new Map<string, string>();
  for (const cell of system.cells) codes.set(cell.id, await system.untilOtherCode(cell, undefined));
  return codes;
}

async function codesInTheEnd(system: WranglerSystem, before: ReadonlyMap<string, string>): Promise<readonly CodeOfCell[]> {
  await system.untilWhole();
  const status = await system.status(system.cells[0]);
  return await Promise.all(
    system.cells.map(async (cell) => {
      const { code, otherCode = [] } = status?.cells.find(({ id }) => id === cell.id) ?? {};
      return { cell: cell.id, before: before.get(cell.id) ?? "", after: code, others: otherCode.length, script: await cell.code() };
    }),
  );
}

/** What must be nothing, in words. */
export function lostIn({ established, ringing, cancelled, phones, newCalls, failedBefore, losses }: LoadReport): readonly string[] {
  const counts = {
    standing: established.lost,
    ringing: ringing.lost,
    cancelled: cancelled.lost,
    new: newCalls.failed,
    before: failedBefore,
  };
  const lost = Object.entries({ ...counts, phones: phones.lost }).filter(([, count]) => count > 0);
  return lost.length === 0 ? [] : [lost.map(([what, count]) => `${what}: ${count}`).join(", "), ...losses];
}

if (import.meta.main) {
  const [callsPerSecond = 20] = process.argv.slice(2).map(Number);
  const start = performance.now();
  const say = (text: string): void => void process.stderr.write(`${((performance.now() - start) / 1000).toFixed(1)} s  ${text}\n`);
  const { codes, udp, ws } = await runWranglerDev({ callsPerSecond, standing: 20 }, say);
  for (const [name, report] of Object.entries({ udp, ws })) {
    const { losses: _losses, ...counts } = report;
    process.stdout.write(`${name}  ${JSON.stringify(counts)}\n`);
    for (const line of lostIn(report)) process.stdout.write(`  ${line}\n`);
    if (lostIn(report).length > 0) process.exitCode = 1;
  }
  process.stdout.write(`${JSON.stringify(codes)}\n`);
}
