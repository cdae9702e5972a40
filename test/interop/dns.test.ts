import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, test } from "vitest";
import { SystemDns } from "../../gateway/dns/dns.ts";
import { NextHopResolver } from "../../gateway/dns/resolver.ts";
import { freePorts } from "../../kit/world/free-ports.ts";
import { startTandem, type Outcome, type Tandem } from "../../kit/world/tandem.ts";
import { comesTrue } from "../../kit/world/until.ts";
import { parseFlowKey } from "../../sip/flow/flow.ts";
import { registerMany } from "../system/many-phones.ts";
import { startLinphone } from "./clients/linphone.ts";
import { startNameServer, type NameServer } from "./clients/nsd.ts";

const domain = "example.test";
/** A resolver of /etc/resolv.conf has port 53, which only root may open. Nobody else has this address. */
const linphoneServer = { address: "127.53.16.7", port: 53 };
const phones = 1_000;
const weights = { g1: 70, g2: 30 };
/** Three standard deviations of a thousand draws of 70 in 100. */
const drawnWithin = 44;
/** A phone sees its connection close, and registers at another gateway. */
const foundAgainMs = 60_000;

/** Why no phone can have an /etc/resolv.conf of its own: only root may hide the machine's. Undefined: it can. */
function hiding(): string | undefined {
  try {
    execFileSync("/bin/sh", ["-c", "unshare -m mount --bind /etc/hostname /etc/resolv.conf"], { stdio: "pipe" });
    return undefined;
  } catch (error) {
    return String(error);
  }
}

const hidden = hiding();
let system: Tandem;
let zone: string;
let running: NameServer | undefined;

beforeAll(async () => {
  system = await startTandem({ auth: "open", domain, gateways: 2, restart: false });
  for (const [gateway, weight] of Object.entries(weights))
    expect((await tandem("gateway", "weight", gateway, String(weight))).code).toBe(0);
  zone = (await tandem("dns")).out;
});

afterEach(async () => {
  await running?.stop();
  running = undefined;
});

afterAll(async () => {
  await system?.stop();
});

async function tandem(...words: string[]): Promise<Outcome> {
  return await system.cli(...words);
}

async function serve(text: string, at?: { readonly address: string; readonly port: number }): Promise<string> {
  running = await startNameServer(domain, text, at ?? { address: "127.0.0.1", port: await freePorts(1) });
  return running.server;
}

type Row = { readonly aor: string; readonly gateway: string };

async function registrations(): Promise<readonly Row[]> {
  return JSON.parse((await tandem("registrations", "--json")).out) as Row[];
}

type Findings = {
  readonly isRight: boolean;
  readonly findings: readonly { readonly state: string; readonly record: string; readonly text: string }[];
};

async function check(text: string): Promise<{ readonly code: number; readonly faults: readonly string[] }> {
  const { code, out } = await tandem("dns", "check", "--json", "--server", await serve(text));
  const { findings } = JSON.parse(out) as Findings;
  return {
    code,
    faults: findings.filter(({ state }) => state !== "right").map(({ state, record, text: why }) => `${state} ${record}: ${why}`),
  };
}

/** The ports of a transport, by gateway. */
function portsOf(transport: string): Record<string, number> {
  const { gateways } = system.run;
  return Object.fromEntries(gateways.map(({ id, listeners }) => [id, listeners.find((each) => each.transport === transport)?.port ?? 0]));
}

describe("tandem dns check of what nsd has loaded", () => {
  test("finds nothing in the zone that tandem dns printed, and tells what unequal weights do", async () => {
    expect(await check(zone)).toEqual({ code: 0, faults: [] });
    const { out } = await tandem("dns", "check", "--server", running?.server ?? "");
    expect(out).toContain("Weights are unequal");
  });

  test("names a wrong port, a missing record, and other weights", async () => {
    const { g1 = 0, g2 = 0 } = portsOf("UDP");
    const wrongPort = zone.replace(`_sip._udp SRV 10 30 ${g2} g2`, `_sip._udp SRV 10 30 9 g2`);
    expect(await check(wrongPort)).toEqual({
      code: 1,
      faults: [`wrong _sip._udp.${domain} SRV g2.${domain}:9: port 9: gateway g2 listens at ${g2}`],
    });
    await running?.stop();
    const missing = zone.replace(`_sip._tcp SRV 10 70 ${g1} g1\n`, "");
    expect(await check(missing)).toEqual({
      code: 1,
      faults: [`missing _sip._tcp.${domain} SRV g1.${domain}:${g1}: no phone comes to gateway g1 by it`],
    });
    await running?.stop();
    const even = zone.replace(`_sip._udp SRV 10 70 ${g1} g1`, `_sip._udp SRV 10 30 ${g1} g1`);
    expect(await check(even)).toEqual({
      code: 1,
      faults: [`wrong _sip._udp.${domain} SRV g1.${domain}:${g1}: gets 50 % of the phones by its weight 30: gateway g1 is to get 70 %`],
    });
  });

  test("says in one line that a server has another zone", async () => {
    expect((await tandem("domain", "add", "example.org")).code).toBe(0);
    const { code, err } = await tandem("dns", "check", "example.org", "--server", await serve(zone));
    expect([code, err]).toEqual([
      1,
      expect.stringMatching(/^tandem: name server \S+: refuses to answer: it does not have this zone\n$/) as string,
    ]);
    expect((await tandem("domain", "remove", "example.org")).code).toBe(0);
  });
});

/** The same numbers from 0 to 1 each time. */
function drawsFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

test(`[RFC2782] ${phones} phones that draw by weight register over two gateways, 70 to 30`, async () => {
  const dns = new SystemDns([await serve(zone)]);
  const resolver = new NextHopResolver(dns, [{ transport: "UDP", host: "127.0.0.1" }], drawsFrom(16));
  const chosen = new Map<number, number>();
  for (let phone = 0; phone < phones; phone += 1) {
    const [first = ""] = await resolver.resolve(`sip:${domain};transport=udp`);
    const port = parseFlowKey(first)?.port ?? 0;
    chosen.set(port, (chosen.get(port) ?? 0) + 1);
  }
  dns.stop();
  const ports = portsOf("UDP");
  for (const [gateway, port] of Object.entries(ports))
    await registerMany({ transport: "UDP", host: "127.0.0.1", port, ca: "", domain }, chosen.get(port) ?? 0, 0, 3_600, `by-${gateway}-`);
  const rows = (await registrations()).filter(({ aor }) => aor.startsWith("by-"));
  expect(rows).toHaveLength(phones);
  for (const [gateway, weight] of Object.entries(weights)) {
    const count = rows.filter((row) => row.gateway === gateway).length;
    expect(Math.abs(count - (weight * phones) / 100)).toBeLessThan(drawnWithin);
  }
});

it("a phone gets a resolver of its own, or this user may not give it one, and nothing else keeps it away", () => {
  expect(hidden ?? "hidden").toMatch(/^hidden$|permitted|permission|superuser|not found|ENOENT/i);
});

it.runIf(hidden === undefined)("linphone finds a gateway by the zone, and another one when that dies", async () => {
  await serve(zone, linphoneServer);
  const folder = mkdtempSync(join(tmpdir(), "tandem-resolver-"));
  const resolver = join(folder, "resolv.conf");
  writeFileSync(resolver, `nameserver ${linphoneServer.address}\n`);
  const account = { user: "lin", password: "any", domain, transport: "TCP" as const, server: { host: domain, port: 0 }, caFile: "" };
  const phone = await startLinphone(account, { resolver });
  const wayOf = async (): Promise<string> => (await registrations()).find(({ aor }) => aor === `lin@${domain}`)?.gateway ?? "";
  try {
    await phone.register();
    const before = await wayOf();
    expect(before).toMatch(/^g[12]$/);
    process.kill(system.run.gateways.find(({ id }) => id === before)?.pid ?? 0, "SIGKILL");
    const other = before === "g1" ? "g2" : "g1";
    expect(await comesTrue(async () => (await wayOf()) === other, foundAgainMs, 500)).toBe(true);
  } finally {
    await phone.stop();
    rmSync(folder, { recursive: true, force: true });
  }
});
