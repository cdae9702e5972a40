import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ApiClient } from "../../cli/api-client.ts";
import { Membership } from "../../cli/membership.ts";
import { StateDirectory } from "../../cli/state-directory.ts";
import { type Hosts, hostsSchema, type Order, orderSchema } from "../../schemas/hosts.ts";
import { read } from "../../schemas/reading.ts";
import { accountOf, addSubscribers } from "../../kit/world/subscribers.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";
import { establish, exchange } from "./clients/call.ts";
import { Phone } from "./clients/phone.ts";
import { wayOf } from "./clients/way.ts";

async function hostsOf(system: Tandem): Promise<Hosts> {
  const { out } = await system.cli("host", "--json");
  return read(hostsSchema, JSON.parse(out === "" ? "[]" : out)).value ?? [];
}

async function processOf(system: Tandem, id: string): Promise<NonNullable<Hosts[number]["report"]>["processes"][number] | undefined> {
  return (await hostsOf(system)).flatMap(({ report }) => report?.processes ?? []).find((each) => each.id === id);
}

describe("the host of a system with an authority", () => {
  let system: Tandem;
  let host: string;
  let membership: Membership;

  beforeAll(async () => {
    system = await startTandem({ listen: true, gateways: 2, cells: 3, exchanges: 3 });
    const state = new StateDirectory(system.state);
    host = state.readCluster()?.host ?? "";
    membership = new Membership(state, host);
    await until(async () => (await hostsOf(system)).some(({ state: its }) => its === "up"), 20_000);
  });
  afterAll(() => system?.stop());

  it("reports what runs there, and what that uses", async () => {
    const [known] = await hostsOf(system);
    expect(known).toMatchObject({ host, state: "up" });
    expect(known?.report?.processes.map(({ kind, id, state }) => `${kind} ${id} ${state}`)).toEqual([
      "cell a up",
      "cell b up",
      "cell c up",
      "gateway g1 up",
      "gateway g2 up",
    ]);
    const pids = [...system.run.cells, ...system.run.gateways].map(({ pid }) => pid);
    expect(known?.report?.processes.map(({ pid }) => pid)).toEqual(pids);
    for (const { memoryOctets = 0, descriptors = 0, cpuSeconds } of [known?.report ?? {}, ...(known?.report?.processes ?? [])]) {
      expect(memoryOctets).toBeGreaterThan(1_000_000);
      expect(descriptors).toBeGreaterThan(3);
      expect(cpuSeconds).toBeGreaterThanOrEqual(0);
    }
    expect((await system.cli("host")).out).toMatch(new RegExp(`^HOST +PROCESS .*\\n${host} +tandem +up +\\d`));
  });

  it("stops a gateway when its phones have gone, and starts it again, in service", async () => {
    const stopped = await system.cli("host", host, "stop", "g2", "--deadline", "30s");
    expect(stopped).toMatchObject({ code: 0, out: `Host ${host}: gateway g2 is stopped\n` });
    await until(async () => (await processOf(system, "g2"))?.state === "stopped");
    expect(await system.cli("host", host, "stop", "g1")).toMatchObject({ code: 1, err: expect.stringContaining("no other gateway is up") });
    expect(await system.cli("host", host, "start", "g2")).toMatchObject({ code: 0, out: `Host ${host}: gateway g2 is started\n` });
    await until(async () => (await system.cli("status", "--json")).out.includes('"id":"g2","state":"up"'), 20_000);
    expect((await processOf(system, "g2"))?.starts).toBe(2);
    expect(await system.cli("host", host, "start", "g2")).toMatchObject({
      code: 1,
      err: `tandem: host ${host}: gateway g2 runs already\n`,
    });
  });

  it("reads certificates again, as tandem reload does", async () => {
    const { code, out } = await system.cli("host", host, "reload");
    expect(code).toBe(0);
    expect(out).toMatch(/^Host \S+: certificate .*; gateway g1 reloaded: nothing; gateway g2 reloaded: nothing\n$/);
  });

  it("starts a cell again while a call stands", async () => {
    await addSubscribers(system, ["caller", "callee"].map(accountOf));
    const phones = await Promise.all(["caller", "callee"].map((user) => Phone.open(wayOf(system, "UDP"), accountOf(user))));
    const [caller, callee] = phones;
    if (caller === undefined || callee === undefined) throw new Error("no phones");
    for (const phone of phones) expect((await phone.register()).status).toBe(200);
    const call = await establish(caller, callee);
    expect(await system.cli("host", host, "restart", "b")).toMatchObject({ code: 0, out: `Host ${host}: cell b is started again\n` });
    expect(await exchange("BYE", call.caller, callee)).toMatchObject({ status: 200 });
    for (const phone of phones) phone.close();
    await until(async () => /"id":"b","state":"up"/.test((await system.cli("status", "--json")).out), 20_000);
  });

  it("carries out an order once though the cell that took it dies at once", async () => {
    const urls = (ids: readonly string[]): string[] =>
      system.run.cells.filter(({ id }) => ids.includes(id)).map(({ membersUrl = "" }) => membersUrl);
    const order = { id: "00112233445566aa", what: "restart", member: "g1" };
    const before = (await processOf(system, "g1"))?.starts ?? 0;
    await new ApiClient(urls(["a"]), membership.identity()).put(`/api/hosts/${host}/orders`, order);
    process.kill(system.run.cells.find(({ id }) => id === "a")?.pid ?? 0, "SIGKILL");
    const others = new ApiClient(urls(["b", "c"]), membership.identity());
    let known: Order | undefined;
    await until(async () => {
      known = read(orderSchema, await others.get(`/api/hosts/${host}/orders/${order.id}`).catch(() => undefined)).value;
      return known?.outcome !== undefined;
    }, 40_000);
    expect(known?.outcome).toMatchObject({ isDone: true, text: "gateway g1 is started again" });
    await until(async () => (await processOf(system, "g1"))?.starts === before + 1);
    await new ApiClient(urls(["b"]), membership.identity()).put(`/api/hosts/${host}/orders`, order);
    expect((await processOf(system, "g1"))?.starts).toBe(before + 1);
  });

  it.each([
    [["h9", "reload"], 1, "there is no host h9"],
    [["HOST", "stop", "zz"], 1, "zz does not run on host"],
    [["HOST", "explode", "a"], 2, "ORDER explode: must be start, stop, restart or reload"],
    [["HOST", "stop"], 2, "the name of a process is missing"],
    [["HOST", "reload", "a"], 2, "reload is for the whole host"],
    [["HOST", "start", "a", "--now"], 2, "--now and --deadline are for stop and restart"],
    [["HOST", "stop", "a", "--deadline", "soon"], 2, "--deadline soon: must be a time such as 30s, 10m or 2h"],
  ])("says in one line what it does not do: %s", async (words, code, text) => {
    const outcome = await system.cli("host", ...words.map((word) => (word === "HOST" ? host : word)));
    expect(outcome).toMatchObject({ code, out: "", err: expect.stringMatching(/^tandem: [^\n]+\n$/) });
    expect(outcome.err).toContain(text);
  });
});

it("is called local on a machine without an authority, and takes orders as well", async () => {
  const system = await startTandem({ auth: "open" });
  try {
    await until(async () => (await hostsOf(system)).some(({ host, state }) => host === "local" && state === "up"), 20_000);
    expect(await system.cli("host", "local", "restart", "g1", "--now")).toMatchObject({
      code: 0,
      out: "Host local: gateway g1 is started again\n",
    });
  } finally {
    await system.stop();
  }
});
