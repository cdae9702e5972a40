import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { type CellId, RelayedSystem, relayedPorts } from "../../kit/world/relayed-system.ts";
import { freePorts } from "../../kit/world/free-ports.ts";
import type { Reporter } from "../../cli/reporter.ts";
import { until } from "../../kit/world/until.ts";
import { type Sipp, type SippResult, runSipp, startSipp } from "./clients/sipp.ts";
import { type BrowserHost, type BrowserPhone, startChromium } from "./clients/chromium-jssip.ts";
import { addressOfRecord } from "./clients/phone.ts";

/*
 * The faults of `tandem drill` with SIPp as the phones, and JsSIP: witnesses that know nothing of our own phones. SIPp has one target and one
 * connection, so the death of a gateway is only for UDP, where the callee had registered through it. JsSIP has two addresses and one
 * connection, and takes two seconds to come back.
 */

const silent: Reporter = {
  step: () => undefined,
  event: () => undefined,
  line: () => undefined,
  text: () => undefined,
  ready: () => undefined,
  failed: () => undefined,
};

const gateways = 2;

const undo: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const each of undo.splice(0).toReversed()) await each();
});

async function startSystem(): Promise<RelayedSystem> {
  const directory = mkdtempSync(join(tmpdir(), "tandem-failover-"));
  const firstPort = await freePorts(relayedPorts(gateways));
  const system = new RelayedSystem({ directory, firstPort, domain: "failover.test", gateways, reporter: silent });
  undo.push(async () => {
    await system.stop();
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  });
  await system.start(new AbortController().signal);
  return system;
}

type Transport = "UDP" | "TCP";
type Calls = { readonly callee: Sipp; readonly caller: Sipp };

type Load = { readonly calls: number; readonly callsPerSecond: number };

const callsPerSecond = 20;
const calls = 200;
const usual: Load = { calls, callsPerSecond };
/** As many as half a second of doubt about a cell meets several messages of. */
const dense: Load = { calls: 500, callsPerSecond: 50 };

/** Calls through the second gateway to a SIPp end that has registered through the given one and lets each call ring for a while. */
async function startCalls(
  system: RelayedSystem,
  transport: Transport,
  registeredAt: 0 | 1,
  talkMs = 2_000,
  load: Load = usual,
): Promise<Calls> {
  const [first, second] = system.targets("udp");
  const [calleeServer, callerServer] = [registeredAt === 0 ? first : second, second];
  if (calleeServer === undefined || callerServer === undefined) throw new Error("two gateways were expected");
  const localPort = await freePorts(1);
  const variables = { domain: system.domain };
  const registration = { transport, server: calleeServer, scenario: "register", service: "callee", variables, calls: 1, localPort };
  expect((await runSipp(registration)).exit.code).toBe(0);
  const callee = await startSipp({ transport, server: calleeServer, scenario: "uas-ringing", localPort, pauseMs: 500, calls: load.calls });
  undo.push(async () => await callee.stop());
  const caller = await startSipp({
    transport,
    server: callerServer,
    scenario: "uac",
    service: "callee",
    variables: { ...variables, caller: "caller" },
    ...load,
    pauseMs: talkMs,
  });
  undo.push(async () => await caller.stop());
  return { callee, caller };
}

/** Waits until so many calls have begun. */
async function begun(caller: Sipp, count: number): Promise<void> {
  await until(async () => (await caller.statistics()).calls >= count, 20_000);
}

/** Both ends, when all their calls are over. */
async function finished({ caller, callee }: Calls): Promise<readonly [caller: SippResult, callee: SippResult]> {
  const ended = await caller.finished(60_000);
  return [ended, await callee.finished(45_000)];
}

/** SIPp's own check of retransmissions (`rtcheck full`): a request that comes again in other octets is unexpected, and its call fails. */
const allWell = { statistics: { successful: calls, failed: 0 } };

describe.each(["UDP", "TCP"] as const)("SIPp over %s under 20 calls/s", (transport) => {
  test("a cell is killed, and comes back: no call fails", async () => {
    const system = await startSystem();
    const ends = await startCalls(system, transport, 1);
    await begun(ends.caller, 60);
    system.signal("cell a", "SIGKILL");
    await begun(ends.caller, 120);
    await system.startAgain("cell a");
    expect(await finished(ends)).toMatchObject([allWell, allWell]);
  });

  test("a cell is killed in the middle of 500 calls, 50 of them a second: SIPp finds no copy that differs", async () => {
    const system = await startSystem();
    const ends = await startCalls(system, transport, 1, 2_000, dense);
    await begun(ends.caller, 200);
    system.signal("cell a", "SIGKILL");
    await begun(ends.caller, 350);
    await system.startAgain("cell a");
    const all = { statistics: { successful: dense.calls, failed: 0, unexpectedMessages: 0 } };
    expect(await finished(ends)).toMatchObject([all, all]);
  });

  test("a cell stands still for some seconds: no call fails", async () => {
    const system = await startSystem();
    const ends = await startCalls(system, transport, 1);
    await begun(ends.caller, 40);
    system.signal("cell a", "SIGSTOP");
    undo.push(async () => system.signal("cell a", "SIGCONT"));
    await begun(ends.caller, 140);
    system.signal("cell a", "SIGCONT");
    expect(await finished(ends)).toMatchObject([allWell, allWell]);
  });

  test("the cells cannot reach each other for some seconds: no call fails", async () => {
    const system = await startSystem();
    const ends = await startCalls(system, transport, 1);
    await begun(ends.caller, 40);
    system.cut();
    await begun(ends.caller, 140);
    system.heal();
    expect(await finished(ends)).toMatchObject([allWell, allWell]);
  });

  test("both cells are killed and started again: calls that stand end with BYE and 200", async () => {
    const system = await startSystem();
    // All of them stand before the first one ends.
    const ends = await startCalls(system, transport, 1, (calls / callsPerSecond) * 1000 + 8_000);
    await begun(ends.caller, calls);
    await until(async () => (await ends.callee.statistics()).calls >= calls);
    // The last one rings for half a second, and its record is on a disk a second later.
    await until(async () => (await ends.caller.statistics()).elapsedSeconds >= calls / callsPerSecond + 3, 20_000);
    system.signal("cell a", "SIGKILL");
    system.signal("cell b", "SIGKILL");
    await Promise.all([system.startAgain("cell a"), system.startAgain("cell b")]);
    expect(await finished(ends)).toMatchObject([allWell, allWell]);
  });
});

test("SIPp over UDP: the gateway through which the callee registered is killed, and comes back: no call through the other one fails", async () => {
  const system = await startSystem();
  const ends = await startCalls(system, "UDP", 0);
  await begun(ends.caller, 60);
  system.signal("gateway g1", "SIGKILL");
  // SIPp answers whatever comes in a call to where its first message came from, and for two seconds after its end only: to the dead
  // gateway's address, which another one takes at once.
  await system.startAgain("gateway g1");
  expect(await finished(ends)).toMatchObject([allWell, allWell]);
});

/** A page at the first of these cells, which goes to the other one when that is no more. */
async function openPage(
  system: RelayedSystem,
  chromium: BrowserHost,
  user: string,
  ...cells: readonly [CellId, CellId]
): Promise<BrowserPhone> {
  const targets = system.targets("ws");
  const urls = cells
    .map((cell) => targets.find(({ name }) => name === `cell ${cell}`))
    .map((target) => `ws://${target?.host}:${target?.port}/`);
  const server = { host: system.host, port: targets[0]?.port ?? 0 };
  const account = { user, domain: system.domain, password: "", transport: "WS", server, caFile: "" } as const;
  const page = await chromium.openPhone(account, ...urls);
  undo.push(async () => await page.stop());
  await page.register();
  return page;
}

async function callEachOther(caller: BrowserPhone, callee: BrowserPhone): Promise<void> {
  await caller.call(addressOfRecord(callee.account));
  await callee.ringing();
  await callee.answer();
  await Promise.all([caller.established(), callee.established()]);
}

describe("JsSIP in Chromium", () => {
  test.each([
    ["caller", "b", "a"],
    ["callee", "a", "b"],
  ] as const)("the cell of the other page is killed in the call: the %s hangs up, and both see it", async (_, callersCell, calleesCell) => {
    const system = await startSystem();
    const chromium = await startChromium();
    undo.push(async () => await chromium.stop());
    const caller = await openPage(system, chromium, "caller", callersCell, callersCell === "a" ? "b" : "a");
    const callee = await openPage(system, chromium, "callee", calleesCell, calleesCell === "a" ? "b" : "a");
    await callEachOther(caller, callee);
    system.signal("cell a", "SIGKILL");
    // At once: the BYE waits for the page to come back.
    const [stays, moves] = callersCell === "a" ? [callee, caller] : [caller, callee];
    await stays.hangup();
    expect(await moves.ended()).toBe("Terminated");
    await stays.ended();
  });

  test("a page is called while it is on its way from a cell that was killed", async () => {
    const system = await startSystem();
    const chromium = await startChromium();
    undo.push(async () => await chromium.stop());
    const caller = await openPage(system, chromium, "caller", "b", "a");
    const callee = await openPage(system, chromium, "callee", "a", "b");
    system.signal("cell a", "SIGKILL");
    await callEachOther(caller, callee);
    await callee.hangup();
    expect(await caller.ended()).toBe("Terminated");
    await callee.ended();
  });
});
