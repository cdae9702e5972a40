import { X509Certificate } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parseArguments } from "../../cli/arguments.ts";
import { Authority } from "../../cli/authority.ts";
import { clusterSettingsOf, lettersOf, withHashKey } from "../../cli/cluster.ts";
import { layoutOf } from "../../cli/layout.ts";
import { LocalSystem } from "../../cli/local-system.ts";
import { Membership } from "../../cli/membership.ts";
import { settingsOf, upSpec } from "../../cli/settings.ts";
import { StateDirectory } from "../../cli/state-directory.ts";
import { memberCertificateDays } from "../../cluster/authority/limits.ts";
import { freePorts } from "../../kit/world/free-ports.ts";
import { accountOf } from "../../kit/world/subscribers.ts";
import { until } from "../../kit/world/until.ts";
import { establish, exchange } from "./clients/call.ts";
import { Phone } from "./clients/phone.ts";
import { Registrant } from "./clients/registrant.ts";
import { type Reached, wayOf } from "./clients/way.ts";

/** Softphones leave each cell before it ends: some seconds, and many more on a busy machine. */
const slowMsMax = 200_000;
const directory = mkdtempSync(join(tmpdir(), "tandem-renewed-"));
const state = new StateDirectory(directory);
/** What the system has said, `cell a ended: ...`. */
const lines: string[] = [];
let system: LocalSystem;
let membership: Membership;

beforeAll(async () => {
  const port = await freePorts(8);
  const words = ["--state", directory, "--sip", `127.0.0.1:${port}`, "--tls-port", String(port + 1), "--http-port", String(port + 2)];
  const asked = settingsOf(parseArguments(upSpec, [...words, "--listen", `127.0.0.1:${port + 5}`, "--auth", "open"]));
  const cluster = withHashKey(clusterSettingsOf(asked, undefined), undefined);
  const settings = { ...asked, listen: cluster.listen };
  const reporter = {
    step: () => undefined,
    event: (process: string, event: string, cause: string) => void lines.push(`${process} ${event}: ${cause}`),
    line: () => undefined,
    text: () => undefined,
    ready: () => undefined,
    failed: () => undefined,
  };
  state.create();
  state.writeCluster(cluster);
  system = new LocalSystem({ settings, cluster, layout: layoutOf(settings, lettersOf(cluster)), state, reporter, certificateLookMs: 250 });
  membership = new Membership(state, cluster.host ?? "");
  await system.start(AbortSignal.timeout(60_000));
});

afterAll(async () => {
  const stopped = system.stop();
  system.kill();
  await stopped;
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
});

/** As it is after two thirds of its life, and some days. */
function grownOld(): void {
  const authority = Authority.ensure(state, new Date());
  const then = new Date(Date.now() - (memberCertificateDays - 5) * 86_400_000);
  for (const [id, kind] of [
    [membership.host, "host"],
    ["a", "cell"],
    ["b", "cell"],
    ["g1", "gateway"],
  ] as const) {
    const { tlsKey, addresses } = membership.request({ id, kind, addresses: kind === "gateway" ? [] : ["127.0.0.1"] });
    membership.keepCertificate(id, authority.issue({ id, addresses, publicKey: Buffer.from(tlsKey, "base64") }, then));
  }
}

function ageOf(certificate: X509Certificate): number {
  return Date.now() - certificate.validFromDate.getTime();
}

/** The certificate that a cell shows to members. */
function shownBy(url: string): Promise<X509Certificate> {
  const { tls } = membership.identity();
  const { hostname, port } = new URL(url);
  return new Promise((shown, failed) => {
    const socket = connect({ host: hostname, port: Number(port), ...tls }, () => {
      const { raw } = socket.getPeerCertificate();
      socket.destroy();
      shown(new X509Certificate(raw));
    });
    socket.once("error", failed);
  });
}

it("are made anew by a cell when two thirds of their life are over, the cells start again one after the other, and calls stand", async () => {
  const reached: Reached = { run: system.run, domain: "example.test", state: directory };
  const phones = await Promise.all([
    Phone.open(wayOf(reached, "UDP"), accountOf("caller")),
    Phone.open(wayOf(reached, "TLS"), accountOf("callee")),
  ]);
  const [caller, callee] = phones;
  for (const phone of phones) expect((await phone.register()).status).toBe(200);
  const [first, second] = [await establish(caller, callee), await establish(caller, callee)];
  const softphones = await Promise.all(system.run.cells.map(async ({ url }) => await Registrant.connect(url, "example.test")));
  for (const [index, softphone] of softphones.entries()) expect(await softphone.register(`soft${index}`)).toMatchObject({ status: 200 });
  grownOld();
  await until(() => ["cell a", "cell b"].every((cell) => lines.some((line) => line.startsWith(`${cell} restarted`))), slowMsMax);
  const cells = lines.filter((line) => /^cell . (?:ended|restarted)/.test(line)).map((line) => /^cell . \w+/.exec(line)?.[0]);
  expect(cells).toEqual(["cell a ended", "cell a restarted", "cell b ended", "cell b restarted"]);
  // Each was sent elsewhere before its cell ended (RFC 6455 7.4.1), and not cut off.
  expect(softphones.map(({ closed }) => closed)).toEqual([1012, 1012]);
  expect(lines.filter((line) => /not renewed|not drained|stays out/.test(line))).toEqual([]);
  await until(() => !existsSync(state.file("taken-out")), 30_000);
  const day = 86_400_000;
  for (const id of [membership.host, "a", "b", "g1"]) {
    const certificate = new X509Certificate(readFileSync(membership.files(id).cert));
    expect([id, ageOf(certificate) < day]).toEqual([id, true]);
  }
  for (const { membersUrl = "" } of system.run.cells) expect(ageOf(await shownBy(membersUrl))).toBeLessThan(day);
  for (const { caller: side } of [first, second]) expect(await exchange("BYE", side, callee)).toMatchObject({ status: 200 });
  const after = await establish(caller, callee);
  expect(await exchange("BYE", after.caller, callee)).toMatchObject({ status: 200 });
  for (const phone of [...phones, ...softphones]) phone.close();
}, 300_000);
