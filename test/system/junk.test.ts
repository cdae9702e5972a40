import { afterAll, beforeAll, expect, it } from "vitest";
import { GoodCalls } from "./good-calls.ts";
import { JunkSenders } from "./junk-senders.ts";
import { residentKilobytes } from "./memory.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";

/** `junk.ts` does the same for 20 s by hand, and prints what it saw. */
const perSecond = 300;
const messagesEach = 900;
/**
 * A process may grow by this much: what a minute of transactions holds, and garbage that nobody has collected yet. In two minutes of
 * junk they grow to about 170 MB more, and no further.
 */
const growthKilobytesMax = 200 * 1024;

let system: Tandem;
let calls: GoodCalls;

beforeAll(async () => {
  system = await startTandem({ webSocket: true });
  calls = await GoodCalls.open(system);
});

afterAll(async () => {
  calls?.close();
  await system?.stop();
});

it(`${perSecond} random octet messages a second at every way in: nothing ends, good calls go on, memory is bounded`, async () => {
  const processes = [...system.run.cells, ...system.run.gateways].map(({ pid }) => pid);
  const memory = processes.map(residentKilobytes);
  const lines = system.events.length;
  const junk = new JunkSenders(system);
  const end = new AbortController();
  const running = calls.run(end.signal);
  junk.start(perSecond);
  await until(() => junk.counts.every(({ sent }) => sent >= messagesEach));
  junk.stop();
  end.abort();
  await running;

  expect(calls.failures).toEqual([]);
  // 16 pairings, one round at least.
  expect(calls.made).toBeGreaterThanOrEqual(16);
  expect([...system.run.cells, ...system.run.gateways].map(({ pid }) => pid)).toEqual(processes);
  const growth = processes.map((pid, index) => residentKilobytes(pid) - (memory[index] ?? 0));
  expect(Math.max(...growth)).toBeLessThan(growthKilobytesMax);
  // Strangers do not fill the log.
  const said = system.events.slice(lines);
  const refusals = said.filter((event) => String(event["text"]).includes("with a wrong or old signature"));
  expect(said.filter((event) => !refusals.includes(event))).toEqual([]);
  expect(refusals.length).toBeLessThanOrEqual(1);
  // What cannot become a message ends its connection; what is not TLS ends at once.
  const kept = junk.counts.filter(({ closed }) => closed === 0).map(({ name }) => name);
  expect(kept.filter((name) => name.startsWith("T"))).toEqual([]);

  await calls.register();
  await calls.run();
  expect(calls.failures).toEqual([]);
});
