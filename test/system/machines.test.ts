import { createHmac } from "node:crypto";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeInvitation, readInvitation } from "../../cluster/authority/invitation.ts";
import { StateDirectory } from "../../cli/state-directory.ts";
import { hostsSchema } from "../../schemas/hosts.ts";
import { read } from "../../schemas/reading.ts";
import { makeMachines, removeNamespaces, runScript } from "../../kit/world/namespaces.ts";
import { killEverything, type Outcome, type Tandem } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";
import { wayOf } from "./clients/way.ts";
import { callTo, hangUp, type PhoneElsewhere } from "./elsewhere.ts";
import { type Host, Machines, slowMsMax } from "./machines.ts";

/*
 * Three machines, which are network namespaces with an address each. The first one makes a system and invites the others: one with a cell and a gateway, and one
 * with a gateway alone.
 */

const own = process.pid;
const bridge = `tandem-${own}-b`;
const [m1, m2, m3] = [`tandem-${own}-1`, `tandem-${own}-2`, `tandem-${own}-3`];
const addresses = [
  [m1, "10.79.0.1"],
  [m2, "10.79.0.2"],
  [m3, "10.79.0.3"],
] as const;
const unmade = makeMachines(bridge, addresses);
const machines = new Machines(addresses);
const { directory } = machines;
/** Where the second machine is from some time on. */
const elsewhere = "10.79.0.12";
const stateOf = (machine: string): string => machines.stateOf(machine);
const doorOf = (machine: string): string => `https://${machines.addressOf(machine)}:8840`;

let first: Tandem;
const tokens: Record<string, string> = {};

/** Nothing is started, so this is all that is said. */
const removedLine =
  /^up: tandem: this host was removed from its system: to join again, use another --state than \S+, with tandem join\n\n$/;

/** A phone on a machine, which registers at the gateway there. */
async function open(machine: string, user: string): Promise<PhoneElsewhere> {
  return await (await machines.elsewhere(machine)).open(user, wayOf(machines.reached(machine), "UDP"));
}

async function register(...phones: readonly PhoneElsewhere[]): Promise<readonly number[]> {
  return await Promise.all(phones.map(async (phone) => (await phone.register()).status));
}

async function call(caller: PhoneElsewhere, callee: PhoneElsewhere): Promise<number> {
  return (await callTo(caller, callee)).status;
}

async function endCall(one: PhoneElsewhere, other: PhoneElsewhere): Promise<readonly number[]> {
  return (await hangUp(one, other)).map(({ status }) => status);
}

async function states(): Promise<string> {
  return (await machines.group(m1, first.state))?.members.map(({ id, state }) => `${id} ${state}`).join(", ") ?? "";
}

async function endsAsRemoved({ child, events }: Host): Promise<void> {
  await until(() => child.exitCode !== null, slowMsMax);
  expect(events.filter(({ event }) => event === "stops")).toEqual([
    expect.objectContaining({ cause: "this host was removed from its system" }),
  ]);
}

beforeAll(async () => {
  if (unmade === undefined) first = await machines.startFirst(m1, { auth: "open" });
});

afterAll(async () => {
  await machines.stop();
  removeNamespaces([bridge, ...addresses.map(([machine]) => machine)]);
});

it("there are namespaces, or this user may not make them", () => {
  expect(unmade === undefined ? "made" : unmade.message).toMatch(
    /^made$|superuser|permitted|permission|not found|Operation not|Peer netns/i,
  );
});

describe.runIf(unmade === undefined)("machines that join one by one", { timeout: 3 * slowMsMax }, () => {
  /** As they were started last. */
  let second: Host;
  let third: Host;
  let alice: PhoneElsewhere;
  let bob: PhoneElsewhere;

  it("serve by the printed command: one with a cell and a gateway, and one with a gateway alone", async () => {
    const both = await machines.invite(m1, ["--location", "Basel"]);
    tokens["both"] = both.token;
    second = await machines.join(m2, both, "h2");
    expect(second.events.find(({ event }) => event === "ready")).toMatchObject({ cells: [{ id: "c" }], gateways: [{ id: "g2" }] });

    const gateway = await machines.invite(m1, ["--role", "gateway"]);
    tokens["gateway"] = gateway.token;
    third = await machines.join(m3, gateway, "h3");
    expect(third.events.find(({ event }) => event === "ready")).toMatchObject({ cells: [], gateways: [{ id: "g3" }] });
    const group = await machines.group(m2, stateOf(m2));
    expect(group?.members.map(({ id, state }) => `${id} ${state}`)).toEqual(
      expect.arrayContaining(["a up", "b up", "c up", "g1 up", "g2 up", "g3 up"]),
    );
    expect(group?.members.flatMap(({ id, host }) => (id === "c" || id === "g2" || id === "g3" ? [host] : []))).toEqual(["h2", "h2", "h3"]);
  });

  it("have what cells have only where there is a cell", async () => {
    const files = (machine: string): string[] => readdirSync(stateOf(machine), { recursive: true, encoding: "utf8" });
    const secret = readFileSync(join(first.state, "secret"), "utf8").trim();
    const holds = (machine: string): boolean =>
      files(machine).some(
        (name) => /\.(?:json|toml|pem|capnp)$/.test(name) && readFileSync(join(stateOf(machine), name), "utf8").includes(secret),
      );
    expect([holds(m2), holds(m3)]).toEqual([true, false]);
    expect([m2, m3].map((machine) => existsSync(join(stateOf(machine), "authority", "key.pem")))).toEqual([false, false]);
    for (const words of [["registrations"], ["group"], ["host", "h3", "stop", "g3"]])
      expect(await machines.run(m3, [...words, "--state", stateOf(m3)])).toMatchObject({
        code: 1,
        err: expect.stringContaining("host h3 runs gateways only") as string,
      });
    expect(await machines.run(m3, ["host", "h2", "--state", stateOf(m3)])).toMatchObject({
      code: 1,
      err: expect.stringContaining("ask of h2 on a machine with a cell") as string,
    });
  });

  it("show of a machine with gateways only what concerns it, there", async () => {
    const state = ["--state", stateOf(m3)];
    await until(async () => /^h3 +gateway g3 +up/m.test((await machines.run(m3, ["host", ...state])).out), slowMsMax);
    const { out } = await machines.run(m3, ["host", "--json", ...state]);
    expect(read(hostsSchema, JSON.parse(out)).value?.map(({ host, state: its }) => `${host} ${its}`)).toEqual(["h3 up"]);
    const seen = /^GATEWAY +PROCESS +CELL a +CELL b +CELL c\ng3 +runs, \d+ +up, .* +up, .* +up, /m;
    await until(async () => seen.test((await machines.run(m3, ["status", ...state])).out), slowMsMax);
  });

  it("may be at another address when they start again: the others find the cell there, and it has what it had", async () => {
    const again = ["join", doorOf(m1), "--token", "-", "--address", elsewhere, "--state", stateOf(m2)];
    const { child } = second;
    child.kill("SIGTERM");
    await once(child, "close");
    runScript(`ip -n ${m2} address add ${elsewhere}/24 dev eth0`);
    expect(await machines.run(m2, again, tokens["both"])).toMatchObject({
      code: 1,
      err: expect.stringContaining(`up --state ${stateOf(m2)} --listen ${elsewhere}, and`) as string,
    });
    second = await machines.startHost(m2, ["up", "--listen", elsewhere]);
    await until(async () => /a up.*b up.*c up.*g2 up/.test(await states()), slowMsMax);
    const urlIn = (machine: string): string | undefined =>
      new StateDirectory(stateOf(machine)).readMap()?.cells.find(({ id }) => id === "c")?.url;
    // Whoever has gateways only finds it by the map as well.
    await until(() => [m1, m2, m3].every((machine) => urlIn(machine) === `https://${elsewhere}:8843`), slowMsMax);
    const seen = /^g3 +runs, \d+ +up, .* +up, .* +up, /m;
    await until(async () => seen.test((await machines.run(m3, ["status", "--state", stateOf(m3)])).out), slowMsMax);
  });

  it("have calls between their gateways", async () => {
    [alice, bob] = await Promise.all([open(m2, "alice"), open(m3, "bob")]);
    expect(await register(alice, bob)).toEqual([200, 200]);
    expect(await call(alice, bob)).toBe(200);
  });

  it("take no token that was used, has expired, was changed, or is of another system", async () => {
    const url = doorOf(m1);
    const join1 = (token: string): Promise<Outcome> =>
      machines.run(m3, ["join", url, "--token", "-", "--name", "h4", "--state", join(directory, "h4")], token);
    const used = tokens["both"] ?? "";
    const refusals = async (token: string): Promise<string> => {
      const { code, err } = await join1(token);
      return `${code} ${err.trim()}`;
    };
    expect(await refusals(used)).toBe("1 tandem: the token has been used by host h2");
    const said = readInvitation(used);
    if (said === undefined) throw new Error("it was a token");
    const secret = readFileSync(join(first.state, "secret"), "utf8").trim();
    const key = createHmac("sha256", secret).update("invitations").digest();
    const mac = (text: string): string => createHmac("sha256", key).update(text).digest("hex");
    const fresh = { ...said, id: "f".repeat(16) };
    expect(await refusals(makeInvitation({ ...fresh, expires: Date.now() - 60_000 }, mac))).toMatch(
      /^1 tandem: the token expired .* ago: /,
    );
    expect(await refusals(makeInvitation(fresh, () => "0".repeat(64)))).toMatch(/^1 tandem: the token was changed/);
    expect(await refusals(makeInvitation({ ...fresh, fingerprint: "0".repeat(64) }, mac))).toMatch(
      / is not of the system that the token is for/,
    );
    expect(await refusals(makeInvitation({ ...fresh, role: "gateway" }, mac).replace(".gateway.", ".both."))).toMatch(
      /^1 tandem: the token was changed/,
    );
    // The name of a host that is there, by a token that is good.
    const { token } = await machines.invite(m1, ["--role", "gateway"]);
    expect(await machines.run(m3, ["join", url, "--token", "-", "--name", "h2", "--state", join(directory, "h5")], token)).toMatchObject({
      code: 1,
      err: "tandem: the name h2 is taken by a host: choose another one with --name h2-2\n",
    });
    // Nobody is there.
    const nobody = `https://${machines.addressOf(m1)}:1`;
    expect(await machines.run(m3, ["join", nobody, "--token", "-", "--name", "h4", "--state", join(directory, "h4")], token)).toMatchObject(
      {
        code: 1,
        err: `tandem: ${nobody} cannot be reached: connection refused\n`,
      },
    );
  });

  it("have an address that the others reach where they have a cell: else nothing is left of them in the map", async () => {
    runScript(`ip -n ${m3} address add 10.99.0.1/32 dev lo`);
    const { typed, token } = await machines.invite(m1, ["--role", "cell"]);
    const joining = machines.startHost(m3, [...typed, "--name", "h5", "--address", "10.99.0.1"], token, join(directory, "h5"));
    await expect(joining).rejects.toThrow(
      /not connected after 10 s, .*: d; the others have to reach https:\/\/10\.99\.0\.1:8844 \(--address\)/,
    );
    expect((await machines.group(m1, first.state))?.members.map(({ id }) => id)).not.toContain("d");
  });

  it("go on without the first one: calls, registrations, and a start anew", async () => {
    // Each exchange has a replica on the other machine by then.
    await until(async () => {
      const group = await machines.group(m2, stateOf(m2));
      return group?.exchanges.every(({ primary, secondary, state }) => [primary, secondary].includes("c") && state === "paired") ?? false;
    }, slowMsMax);
    await killEverything(first);
    expect(await endCall(alice, bob)).toEqual([200, 200]);
    expect(await call(bob, alice)).toBe(200);
    expect(await endCall(bob, alice)).toEqual([200, 200]);
    // The machine is one that is gone, with all that ran there.
    const lost = new StateDirectory(first.state).readCluster()?.host ?? "";
    const said = `Host ${lost} is gone: cell a, cell b and gateway g1.`;
    await until(async () => (await machines.run(m2, ["status", "--state", stateOf(m2)])).out.includes(said), slowMsMax);
    expect((await machines.run(m2, ["status", "--state", stateOf(m2)])).out).toMatch(new RegExp(`^a +${lost} +down`, "m"));
    await until(async () => {
      const { out } = await machines.run(m2, ["host", "--state", stateOf(m2)]);
      return out.includes(`${lost} `) && /^\S+ +tandem +gone/m.test(out) && /^\S+ +gateway g1 +gone/m.test(out);
    }, slowMsMax);
    const onThird = (await machines.run(m3, ["status", "--state", stateOf(m3)])).out;
    expect(onThird).toMatch(/^g3 +runs, \d+ +no answer +no answer +up, /m);
    expect(onThird).toMatch(/^Cell a did not answer this status: /m);
    const { child } = third;
    child.kill("SIGTERM");
    await once(child, "close");
    // It needs no token, and finds the cell that is left by the map that it has kept.
    third = await machines.startHost(m3, ["up"]);
    expect(await register(bob)).toEqual([200]);
    expect(await call(alice, bob)).toBe(200);
  });

  it("invite others without the first one, and know which tokens were used there", async () => {
    const again = ["join", `https://${elsewhere}:8840`, "--token", "-", "--name", "h4", "--state", join(directory, "h4")];
    expect(await machines.run(m3, again, tokens["gateway"])).toMatchObject({
      code: 1,
      err: "tandem: the token has been used by host h3\n",
    });
    const { typed, token } = await machines.invite(m2, ["--role", "gateway"]);
    const fourth = await machines.startHost(m1, [...typed, "--name", "h4"], token, join(directory, "h4"));
    const { gateways } = fourth.events.find(({ event }) => event === "ready") as { gateways?: readonly { readonly id: string }[] };
    const gateway = gateways?.[0]?.id ?? "";
    expect((await machines.group(m2, stateOf(m2)))?.members.map(({ id }) => id)).toContain(gateway);
    expect(await machines.run(m2, ["remove", "h4", "--state", stateOf(m2)])).toMatchObject({ code: 0, err: "" });
    expect((await machines.group(m2, stateOf(m2)))?.members.map(({ id }) => id)).not.toContain(gateway);
    await endsAsRemoved(fourth);
    await expect(machines.startHost(m1, ["up"], "", join(directory, "h4"))).rejects.toThrow(removedLine);
  });

  it("are removed, one that is dead and one that runs: what is there goes to others, and the process ends", async () => {
    first = await machines.startFirst(m1, { auth: "open", firstPort: first.firstPort });
    expect((await bob.unregister()).status).toBe(200);
    // Cells that have started a moment ago know nothing of a gateway that they have not heard of.
    await until(async () => (await states()).includes("g3 up"), slowMsMax);
    third.child.kill("SIGKILL");
    await once(third.child, "close");
    // It may have had the time to say that it leaves: then nobody shows it after a minute.
    await until(async () => /^a up(?!.*g3 (?:up|joining|draining))/.test(await states()), slowMsMax);
    expect(await machines.run(m1, ["remove", "h3", "--json", "--state", first.state])).toMatchObject({ code: 0, err: "" });
    expect(await states()).not.toContain("g3");
    // What status says of the past names it still.
    for (const [command, line] of [
      ["status", "^g2 +h2 +up"],
      ["dns", "^g2 A 10"],
    ] as const) {
      const { out } = await machines.run(m1, [command, "--state", first.state]);
      expect(out).toMatch(new RegExp(line, "m"));
      expect(out).not.toMatch(/^g3\b/m);
    }
    // Each machine says so within a second or two.
    const versions = /^tandem itself is of the same version on all 2 hosts, \d/m;
    await until(async () => versions.test((await machines.run(m1, ["status", "--state", first.state])).out), slowMsMax);
    // It was dead: it hears of it when it starts, and knows it from then on.
    expect(existsSync(join(stateOf(m3), "removed"))).toBe(false);
    await expect(machines.startHost(m3, ["up"])).rejects.toThrow(removedLine);
    expect(existsSync(join(stateOf(m3), "removed"))).toBe(true);
    expect(await machines.run(m1, ["remove", "h3", "--state", first.state])).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^tandem: there is no host h3; there are /) as string,
    });

    expect((await alice.unregister()).status).toBe(200);
    await until(async () => /a up.*b up.*c up/.test(await states()), slowMsMax);
    const removed = await machines.run(m1, ["remove", "h2", "--deadline", "1s", "--state", first.state]);
    expect(removed).toMatchObject({ code: 0, err: "" });
    await endsAsRemoved(second);
    expect(await states()).not.toMatch(/c (?:up|draining)/);
    await expect(machines.startHost(m2, ["up"])).rejects.toThrow(removedLine);
    // Also when nobody can be asked.
    runScript(`ip -n ${m2} link set eth0 down`);
    await expect(machines.startHost(m2, ["up"])).rejects.toThrow(removedLine);
  });
});
