import type { ChildProcess } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeInvitation, readInvitation } from "../../cluster/authority/invitation.ts";
import { inNamespace, makeMachines, removeNamespaces, runScript } from "../../kit/world/namespaces.ts";
import { killEverything, startTandem, type Outcome, type Tandem, type UpEvent } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";

/*
 * Three machines, which are network namespaces with an address each. The first one makes a system and invites the others: one with a cell and a gateway, and one
 * with a gateway alone.
 */

const own = process.pid;
const bridge = `tandem-${own}-b`;
const [m1, m2, m3] = [`tandem-${own}-1`, `tandem-${own}-2`, `tandem-${own}-3`];
const addresses: Readonly<Record<string, string>> = { [m1]: "10.79.0.1", [m2]: "10.79.0.2", [m3]: "10.79.0.3" };
const unmade = makeMachines(bridge, Object.entries(addresses));
const root = join(import.meta.dirname, "../..");
const node = join(root, "node_modules/.bin/node");
const program = join(root, "cli/tandem.ts");
const phoneProgram = join(import.meta.dirname, "clients/phone-elsewhere.ts");
const directory = mkdtempSync(join(tmpdir(), "tandem-machines-"));
/** A machine that is ten times slower than usual comes so far. */
const slowMsMax = 120_000;
const stateOf = (machine: string): string => join(directory, machine);

/** A host that has joined, as it runs. */
type Host = { readonly child: ChildProcess; readonly events: UpEvent[]; readonly errors: () => string };

let first: Tandem;
const hosts: Host[] = [];
const phones: ChildProcess[] = [];
const tokens: Record<string, string> = {};

/** Runs a command on a machine, and gives it a text to read. */
function run(machine: string, words: readonly string[], stdin = ""): Promise<Outcome> {
  return new Promise((done) => {
    const child = inNamespace(machine, node, [program, ...words], "pipe");
    let [out, err] = ["", ""];
    child.stdout?.on("data", (chunk) => void (out += String(chunk)));
    child.stderr?.on("data", (chunk) => void (err += String(chunk)));
    child.stdin?.end(stdin);
    child.once("close", (code) => done({ code: code ?? -1, out, err }));
  });
}

/** Starts `tandem join` or `tandem up` on a machine, and waits until it is ready. Throws with what it said when it does not come so far. */
async function startHost(machine: string, words: readonly string[], stdin = "", state = stateOf(machine)): Promise<Host> {
  const places = ["--state", state, "--sip", `${addresses[machine]}:5060`, "--json"];
  const child = inNamespace(machine, node, [program, ...words, ...places], "pipe");
  const events: UpEvent[] = [];
  let errors = "";
  child.stderr?.on("data", (chunk) => void (errors += String(chunk)));
  if (child.stdout !== null) createInterface({ input: child.stdout }).on("line", (line) => void events.push(JSON.parse(line) as UpEvent));
  child.stdin?.end(stdin);
  const host = { child, events, errors: () => errors };
  hosts.push(host);
  await until(() => isReady(host) || child.exitCode !== null, slowMsMax);
  if (!isReady(host)) throw new Error(`${words.join(" ")}: ${errors}\n${events.map((event) => JSON.stringify(event)).join("\n")}`);
  return host;
}

function isReady({ events }: Host): boolean {
  return events.some(({ event }) => event === "ready");
}

/** Nothing is started, so this is all that is said. */
const removedLine =
  /^up: tandem: this host was removed from its system: to join again, use another --state than \S+, with tandem join\n\n$/;

async function endsAsRemoved({ child, events }: Host): Promise<void> {
  await until(() => child.exitCode !== null, slowMsMax);
  expect(events.filter(({ event }) => event === "stops")).toEqual([
    expect.objectContaining({ cause: "this host was removed from its system" }),
  ]);
}

async function invite(words: readonly string[], machine = m1): Promise<{ readonly typed: readonly string[]; readonly token: string }> {
  const { out, err, code } = await run(machine, ["invite", ...words, "--state", stateOf(machine)]);
  expect([code, err]).toEqual([0, ""]);
  const typed = /^ {2}npx tandem (join https:\/\/\S+ --token -)$/m.exec(out)?.[1]?.split(" ") ?? [];
  return { typed, token: /^ {2}(tandem1\.\S+)$/m.exec(out)?.[1] ?? "" };
}

/** A phone on a machine, which registers at the gateway there. */
async function openPhone(machine: string, user: string): Promise<ChildProcess> {
  const phone = inNamespace(machine, node, [phoneProgram, user, addresses[machine] ?? "", "5060", "example.test"], "ignore", true);
  phones.push(phone);
  expect(await once(phone, "message")).toEqual([{ act: "open", status: 200 }, undefined]);
  return phone;
}

/** What comes of something that a phone is told to do. */
async function tell(phone: ChildProcess, act: string, other = ""): Promise<number> {
  const answer = new Promise<{ readonly status?: number; readonly error?: string }>((answered) => {
    const take = (message: unknown): void => {
      const said = message as { readonly act: string; readonly status?: number; readonly error?: string };
      if (said.act !== act) return;
      phone.off("message", take);
      answered(said);
    };
    phone.on("message", take);
  });
  phone.send({ act, other });
  const { status, error } = await answer;
  if (status === undefined) throw new Error(error);
  return status;
}

async function call(caller: ChildProcess, callee: ChildProcess, user: string): Promise<readonly number[]> {
  return await Promise.all([tell(caller, "call", user), tell(callee, "answer")]);
}

async function endCall(caller: ChildProcess, callee: ChildProcess): Promise<readonly number[]> {
  return await Promise.all([tell(caller, "bye"), tell(callee, "answerBye")]);
}

type Group = {
  readonly exchanges: readonly { readonly primary: string; readonly secondary: string; readonly state: string }[];
  readonly members: readonly { readonly id: string; readonly state: string }[];
};

async function groupOn(machine: string, state: string): Promise<Group | undefined> {
  const { code, out } = await run(machine, ["group", "--json", "--state", state]);
  return code === 0 ? (JSON.parse(out) as Group) : undefined;
}

/** The first machine, or the same one again. */
async function startFirst(firstPort?: number): Promise<Tandem> {
  return await startTandem({
    auth: "open",
    state: stateOf(m1),
    host: addresses[m1] ?? "",
    options: ["--listen", addresses[m1] ?? ""],
    spawn: (command, args) => inNamespace(m1, command, args),
    ...(firstPort === undefined ? {} : { firstPort }),
  });
}

beforeAll(async () => {
  if (unmade !== undefined) return;
  first = await startFirst();
});

afterAll(async () => {
  for (const phone of phones) phone.disconnect();
  for (const { child } of hosts) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill("SIGTERM");
    await once(child, "close");
  }
  await first?.stop();
  removeNamespaces([bridge, ...Object.keys(addresses)]);
  rmSync(directory, { recursive: true, force: true });
});

it("there are namespaces, or this user may not make them", () => {
  expect(unmade === undefined ? "made" : unmade.message).toMatch(
    /^made$|superuser|permitted|permission|not found|Operation not|Peer netns/i,
  );
});

describe.runIf(unmade === undefined)("machines that join one by one", { timeout: 3 * slowMsMax }, () => {
  let [alice, bob]: ChildProcess[] = [];

  it("serve by the printed command: one with a cell and a gateway, and one with a gateway alone", async () => {
    const both = await invite(["--location", "Basel"]);
    tokens["both"] = both.token;
    const second = await startHost(m2, [...both.typed, "--name", "h2"], `${both.token}\n`);
    expect(second.events.find(({ event }) => event === "ready")).toMatchObject({ cells: [{ id: "c" }], gateways: [{ id: "g2" }] });

    const gateway = await invite(["--role", "gateway"]);
    tokens["gateway"] = gateway.token;
    const third = await startHost(m3, [...gateway.typed, "--name", "h3"], gateway.token);
    expect(third.events.find(({ event }) => event === "ready")).toMatchObject({ cells: [], gateways: [{ id: "g3" }] });
    const group = await groupOn(m2, stateOf(m2));
    expect(group?.members.map(({ id, state }) => `${id} ${state}`)).toEqual(
      expect.arrayContaining(["a up", "b up", "c up", "g1 up", "g2 up", "g3 up"]),
    );
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
    expect(await run(m3, ["status", "--state", stateOf(m3)])).toMatchObject({
      code: 1,
      err: expect.stringContaining("host h3 runs gateways only") as string,
    });
  });

  it("have calls between their gateways", async () => {
    [alice, bob] = await Promise.all([openPhone(m2, "alice"), openPhone(m3, "bob")]);
    expect(await Promise.all([tell(alice, "register"), tell(bob, "register")])).toEqual([200, 200]);
    expect(await call(alice, bob, "bob")).toEqual([200, 200]);
  });

  it("take no token that was used, has expired, was changed, or is of another system", async () => {
    const url = `https://${addresses[m1]}:8840`;
    const join1 = (token: string): Promise<Outcome> =>
      run(m3, ["join", url, "--token", "-", "--name", "h4", "--state", join(directory, "h4")], token);
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
      /^1 tandem: the token expired 6\d s ago: /,
    );
    expect(await refusals(makeInvitation(fresh, () => "0".repeat(64)))).toMatch(/^1 tandem: the token was changed/);
    expect(await refusals(makeInvitation({ ...fresh, fingerprint: "0".repeat(64) }, mac))).toMatch(
      / is not of the system that the token is for/,
    );
    expect(await refusals(makeInvitation({ ...fresh, role: "gateway" }, mac).replace(".gateway.", ".both."))).toMatch(
      /^1 tandem: the token was changed/,
    );
    // The name of a host that is there, by a token that is good.
    const { token } = await invite(["--role", "gateway"]);
    expect(await run(m3, ["join", url, "--token", "-", "--name", "h2", "--state", join(directory, "h5")], token)).toMatchObject({
      code: 1,
      err: "tandem: the name h2 is taken by a host: choose another one with --name h2-2\n",
    });
    // Nobody is there.
    const nobody = `https://${addresses[m1]}:1`;
    expect(await run(m3, ["join", nobody, "--token", "-", "--name", "h4", "--state", join(directory, "h4")], token)).toMatchObject({
      code: 1,
      err: `tandem: ${nobody} cannot be reached: connection refused\n`,
    });
  });

  it("have an address that the others reach where they have a cell: else nothing is left of them in the map", async () => {
    runScript(`ip -n ${m3} address add 10.99.0.1/32 dev lo`);
    const { typed, token } = await invite(["--role", "cell"]);
    const joining = startHost(m3, [...typed, "--name", "h5", "--address", "10.99.0.1"], token, join(directory, "h5"));
    await expect(joining).rejects.toThrow(
      /not connected after 10 s, .*: d; the others have to reach https:\/\/10\.99\.0\.1:8844 \(--address\)/,
    );
    expect((await groupOn(m1, first.state))?.members.map(({ id }) => id)).not.toContain("d");
  });

  it("go on without the first one: calls, registrations, and a start anew", async () => {
    // Each exchange has a replica on the other machine by then.
    await until(async () => {
      const group = await groupOn(m2, stateOf(m2));
      return group?.exchanges.every(({ primary, secondary, state }) => [primary, secondary].includes("c") && state === "paired") ?? false;
    }, slowMsMax);
    await killEverything(first);
    expect(await endCall(alice as ChildProcess, bob as ChildProcess)).toEqual([200, 200]);
    expect(await call(bob as ChildProcess, alice as ChildProcess, "alice")).toEqual([200, 200]);
    expect(await endCall(bob as ChildProcess, alice as ChildProcess)).toEqual([200, 200]);
    const { child } = hosts[1] as Host;
    child.kill("SIGTERM");
    await once(child, "close");
    // It needs no token, and finds the cell that is left by the map that it has kept.
    await startHost(m3, ["up"]);
    expect(await tell(bob as ChildProcess, "register")).toBe(200);
    expect(await call(alice as ChildProcess, bob as ChildProcess, "bob")).toEqual([200, 200]);
  });

  it("invite others without the first one, and know which tokens were used there", async () => {
    const again = ["join", `https://${addresses[m2]}:8840`, "--token", "-", "--name", "h4", "--state", join(directory, "h4")];
    expect(await run(m3, again, tokens["gateway"])).toMatchObject({ code: 1, err: "tandem: the token has been used by host h3\n" });
    const { typed, token } = await invite(["--role", "gateway"], m2);
    const fourth = await startHost(m1, [...typed, "--name", "h4"], token, join(directory, "h4"));
    const { gateways } = fourth.events.find(({ event }) => event === "ready") as { gateways?: readonly { readonly id: string }[] };
    const gateway = gateways?.[0]?.id ?? "";
    expect((await groupOn(m2, stateOf(m2)))?.members.map(({ id }) => id)).toContain(gateway);
    expect(await run(m2, ["remove", "h4", "--state", stateOf(m2)])).toMatchObject({ code: 0, err: "" });
    expect((await groupOn(m2, stateOf(m2)))?.members.map(({ id }) => id)).not.toContain(gateway);
    await endsAsRemoved(fourth);
    await expect(startHost(m1, ["up"], "", join(directory, "h4"))).rejects.toThrow(removedLine);
  });

  it("are removed, one that is dead and one that runs: what is there goes to others, and the process ends", async () => {
    first = await startFirst(first.firstPort);
    const third = hosts[3] as Host;
    expect(await tell(bob as ChildProcess, "unregister")).toBe(200);
    third.child.kill("SIGKILL");
    await once(third.child, "close");
    const states = async (): Promise<string> =>
      (await groupOn(m1, first.state))?.members.map(({ id, state }) => `${id} ${state}`).join(", ") ?? "";
    await until(async () => (await states()).includes("g3 down"), slowMsMax);
    expect(await run(m1, ["remove", "h3", "--json", "--state", first.state])).toMatchObject({ code: 0, err: "" });
    expect(await states()).not.toContain("g3");
    // What status says of the past names it still.
    for (const [command, line] of [
      ["status", "^g2 +up"],
      ["dns", "^g2 A 10"],
    ] as const) {
      const { out } = await run(m1, [command, "--state", first.state]);
      expect(out).toMatch(new RegExp(line, "m"));
      expect(out).not.toMatch(/^g3\b/m);
    }
    // It was dead: it hears of it when it starts, and knows it from then on.
    expect(existsSync(join(stateOf(m3), "removed"))).toBe(false);
    await expect(startHost(m3, ["up"])).rejects.toThrow(removedLine);
    expect(existsSync(join(stateOf(m3), "removed"))).toBe(true);
    expect(await run(m1, ["remove", "h3", "--state", first.state])).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^tandem: there is no host h3; there are /) as string,
    });

    expect(await tell(alice as ChildProcess, "unregister")).toBe(200);
    await until(async () => /a up.*b up.*c up/.test(await states()), slowMsMax);
    const second = hosts[0] as Host;
    const removed = await run(m1, ["remove", "h2", "--deadline", "1s", "--state", first.state]);
    expect(removed).toMatchObject({ code: 0, err: "" });
    await endsAsRemoved(second);
    expect(await states()).not.toMatch(/c (?:up|draining)/);
    await expect(startHost(m2, ["up"])).rejects.toThrow(removedLine);
    // Also when nobody can be asked.
    runScript(`ip -n ${m2} link set eth0 down`);
    await expect(startHost(m2, ["up"])).rejects.toThrow(removedLine);
  });
});
