import { afterAll, beforeAll, expect, it } from "vitest";
import type { CallRow } from "../../schemas/api-answers.ts";
import { accountOf } from "../../kit/world/subscribers.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";
import { callRecordId, OutgoingCall, sdpOf } from "./clients/call.ts";
import { Phone } from "./clients/phone.ts";
import { wayOf } from "./clients/way.ts";

const pairs = 8;
/** So many that each failure below finds some under way. TANDEM_CALLS: others. */
const callsWanted = Number(process.env["TANDEM_CALLS"] ?? 1_000);
/** How long the collector stands still: longer than it takes to be replaced. */
const frozenMs = 6_000;
/** The collector is replaced, cells are back, and all that waited is brought: seconds. */
const patienceMs = 60_000;

let system: Tandem;
const phones: Phone[] = [];
/** What became of each call, as its phones have seen it: by the id that its record has. */
const made = new Map<string, "answered" | "refused" | "unknown">();

beforeAll(async () => {
  system = await startTandem({ auth: "open" });
  for (let index = 0; index < 2 * pairs; index += 1) {
    const phone = await Phone.open(wayOf(system, "UDP"), accountOf(`user${index}`));
    phones.push(phone);
    expect((await phone.register()).status).toBe(200);
  }
});

afterAll(async () => {
  for (const phone of phones) phone.close();
  await system?.stop();
});

/** One call, as far as it comes: it is answered and ended at once. */
async function call(from: Phone, to: Phone): Promise<void> {
  const outgoing = new OutgoingCall(from, to.addressOfRecord);
  const id = callRecordId(outgoing.callId, from.tag);
  made.set(id, "unknown");
  const invite = await Promise.race([to.next("INVITE", outgoing.callId), outgoing.final.then(() => undefined)]);
  if (invite === undefined) {
    made.set(id, "refused");
    return;
  }
  to.answer(invite, 180, "Ringing");
  to.answer(invite, 200, "OK", sdpOf(to));
  const caller = await outgoing.untilAnswered();
  made.set(id, "answered");
  const bye = caller.request("BYE");
  const request = await to.next("BYE", outgoing.callId);
  to.answer(request, 200, "OK");
  await bye;
}

async function rows(): Promise<readonly CallRow[]> {
  const { code, out, err } = await system.cli("calls", "--json");
  if (code !== 0) throw new Error(err);
  return JSON.parse(out) as readonly CallRow[];
}

function pidOf(cell: string): number {
  const pid = system.run.cells.find(({ id }) => id === cell)?.pid;
  if (pid === undefined) throw new Error(`there is no cell ${cell}`);
  return pid;
}

async function areAllUp(): Promise<boolean> {
  const { out } = await system.cli("status", "--json");
  const { cells } = JSON.parse(out || '{"cells":[]}') as { readonly cells: readonly { readonly state: string }[] };
  return cells.length === 2 && cells.every(({ state }) => state === "up");
}

/** Who collects, as the group's table says. */
async function collector(): Promise<string> {
  const { out } = await system.cli("group", "--json");
  const { singletons } = JSON.parse(out) as { readonly singletons: readonly { readonly name: string; readonly owner: string }[] };
  return singletons.find(({ name }) => name === "call-records")?.owner ?? "";
}

async function kill(cell: string): Promise<void> {
  const before = pidOf(cell);
  process.kill(before, "SIGKILL");
  await until(() => pidOf(cell) !== before, patienceMs);
  await until(areAllUp, patienceMs);
}

async function freezeCollector(): Promise<void> {
  const cell = await collector();
  const pid = pidOf(cell);
  process.kill(pid, "SIGSTOP");
  try {
    const at = Date.now();
    await until(() => Date.now() - at > frozenMs);
  } finally {
    process.kill(pid, "SIGCONT");
  }
  await until(areAllUp, patienceMs);
}

function areInOrder(given: readonly (string | null)[]): boolean {
  const times = given.filter((time) => time !== null);
  return times.join() === times.toSorted().join();
}

it("has one record of each call, through three cells that are killed and a collector that stands still", async () => {
  const failures: string[] = [];
  const over = new AbortController();
  const calling = Array.from({ length: pairs }, async (_, pair) => {
    const [from, to] = phones.slice(2 * pair);
    if (from === undefined || to === undefined) throw new Error("there are too few phones");
    while (made.size < callsWanted || !over.signal.aborted) {
      await call(from, to).catch((error: unknown) => failures.push(String(error)));
    }
  });
  await until(() => made.size > 20);
  await kill(await collector());
  await kill("b");
  await freezeCollector();
  await kill("a");
  over.abort();
  await Promise.all(calling);
  console.log(`${made.size} calls, ${failures.length} of them not ended as planned: ${failures.slice(0, 3).join("; ")}`);
  const known = [...made].filter(([, outcome]) => outcome !== "unknown").map(([id]) => id);
  const missing = async (): Promise<string[]> => {
    const { out } = await system.cli("calls", "--csv", "--since", "1h");
    const ids = new Set(out.split("\r\n").map((line) => line.split(",")[0] ?? ""));
    return known.filter((id) => !ids.has(id));
  };
  await until(async () => (await missing()).length === 0, patienceMs);
  const all = await rows();
  expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
  expect(all.filter(({ id }) => !made.has(id))).toEqual([]);
  expect(all.filter(({ start, ring, answer, end }) => !areInOrder([start, ring, answer, end]))).toEqual([]);
  expect(all.filter(({ id, status }) => made.get(id) === "answered" && status !== 200)).toEqual([]);
  const [first] = all;
  const { out } = await system.cli("calls", "show", first?.id ?? "");
  expect(out).toContain(`Callee:       ${first?.callee ?? ""}`);
}, 300_000);
