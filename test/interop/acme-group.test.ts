import { type ChildProcess, spawn } from "node:child_process";
import type { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { connect as connectTls } from "node:tls";
import { afterAll, beforeAll, expect, it } from "vitest";
import { freePorts } from "../../kit/world/free-ports.ts";
import { startTandem, type Tandem, type UpEvent } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";
import { Pebble } from "./clients/pebble.ts";

/*
 * Two machines have gateways under one name, which leads to the second one. The first one has the cells, and orders. So the authority asks a machine that has ordered
 * nothing, and which has no cell.
 */

const name = "pbx.example.test";
const slowMsMax = 120_000;
const program = join(import.meta.dirname, "../../cli/tandem.ts");
const node = join(import.meta.dirname, "../../node_modules/.bin/node");
const directory = mkdtempSync(join(tmpdir(), "tandem-acme-group-"));
const joinedState = join(directory, "second");

let pebble: Pebble;
let root: string;
let first: Tandem;
let second: ChildProcess | undefined;
const said: UpEvent[] = [];

function acme(): string[] {
  const { directory: url, caFile, challengePort } = pebble;
  return [
    "--acme",
    "admin@example.test",
    "--acme-names",
    name,
    "--acme-directory",
    url,
    "--acme-ca",
    caFile,
    "--acme-port",
    `${challengePort}`,
  ];
}

beforeAll(async () => {
  pebble = await Pebble.start(3_600, () => "127.0.0.2");
  root = await pebble.root();
  first = await startTandem({ listen: true, auth: "open", options: acme() });
});

afterAll(async () => {
  if (second !== undefined && second.exitCode === null) {
    second.kill("SIGTERM");
    await once(second, "close");
  }
  await first?.stop();
  await pebble?.stop();
  rmSync(directory, { recursive: true, force: true });
});

async function certificateAt(host: string, port: number): Promise<X509Certificate> {
  const socket = connectTls({ port, host, servername: name, ca: root, rejectUnauthorized: false });
  await once(socket, "secureConnect");
  const certificate = socket.getPeerX509Certificate();
  socket.destroy();
  if (certificate === undefined) throw new Error("it shows no certificate");
  return certificate;
}

function renewed({ event, cause }: UpEvent): boolean {
  return event === "renewed" && String(cause).includes(`of ${name} by ACME`);
}

async function isClosed(): Promise<boolean> {
  const answer = await fetch(`http://127.0.0.2:${pebble.challengePort}/`).catch(() => undefined);
  return answer === undefined;
}

it(
  "a certificate is ordered by one machine, its challenge answered by another, and shown by both",
  { timeout: 2 * slowMsMax },
  async () => {
    const warned = (): boolean =>
      first.events.some(({ event, cause }) => event === "warns" && String(cause).startsWith("no certificate by ACME"));
    await until(warned, slowMsMax);
    const { out } = await first.cli("invite", "--role", "gateway", "--json");
    const { url, token } = JSON.parse(out) as { readonly url: string; readonly token: string };
    const port = await freePorts(2);
    const places = ["--sip", `127.0.0.2:${port}`, "--tls-port", String(port + 1), "--state", joinedState, "--name", "h2", "--json"];
    second = spawn(node, [program, "join", url, "--token", "-", ...places, ...acme()], { stdio: ["pipe", "pipe", "inherit"] });
    second.stdin?.end(token);
    if (second.stdout !== null) createInterface({ input: second.stdout }).on("line", (line) => void said.push(JSON.parse(line) as UpEvent));
    await until(() => said.some(({ event }) => event === "ready"), slowMsMax);
    await until(async () => /\nby ACME: (?:new|good), /.test((await first.cli("reload")).out.replace("good until", "good,")), slowMsMax);
    await until(() => first.events.some(renewed) && said.some(renewed), slowMsMax);
    expect(String(said.find(renewed)?.["cause"])).toContain("from another machine");
    const tls = first.run.gateways[0]?.listeners.find(({ transport }) => transport === "TLS")?.port ?? 0;
    const shown = await Promise.all([certificateAt("127.0.0.1", tls), certificateAt("127.0.0.2", port + 1)]);
    expect(shown.map(({ issuer }) => issuer)).toEqual([shown[0]?.issuer, expect.stringContaining("Pebble") as string]);
    expect(shown[0]?.serialNumber).toBe(shown[1]?.serialNumber);
    // Nothing is open where nothing is ordered.
    await until(isClosed, slowMsMax);
    // The machine with gateways only has that key, and nothing else of what cells have.
    expect(existsSync(join(joinedState, "keyring.json"))).toBe(false);
    const secret = readFileSync(join(first.state, "secret"), "utf8").trim();
    const files = readdirSync(joinedState, { recursive: true, encoding: "utf8" }).filter((file) => /\.(?:json|toml|pem)$/.test(file));
    expect(files).toContain("acme/gateway.pem");
    for (const file of files) expect([file, readFileSync(join(joinedState, file), "utf8").includes(secret)]).toEqual([file, false]);
  },
);
