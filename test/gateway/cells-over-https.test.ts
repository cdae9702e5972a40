import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer } from "node:tls";
import { afterEach, describe, expect, test } from "vitest";
import { periodMsMax } from "../../cluster/limits.ts";
import { freePorts } from "../../kit/world/free-ports.ts";
import { until } from "../../kit/world/until.ts";
import type { TlsConfig } from "../../gateway/config/config.ts";
import { flowTimerSeconds } from "../../sip/limits.ts";
import { FakeCell, mapOf, secret } from "./fake-cell.ts";
import { certificateFor, Started } from "./harness.ts";

/** A gateway in front of cells on Cloudflare: behind a public certificate, and a proxy that closes what is idle. */

const started = new Started();
afterEach(() => started.end());

const program = join(import.meta.dirname, "../../gateway/index.ts");
/** Cloudflare closes a WebSocket that has carried nothing for so long. */
const idleMsMax = 100_000;
/** A process is started, on a busy machine. */
const patienceMs = 60_000;

type Front = { readonly port: number; readonly refused: () => number };

/** TLS in front of a cell. */
async function frontOf(cell: FakeCell, { cert, key }: TlsConfig): Promise<Front> {
  let refused = 0;
  const server = createServer({ cert, key }, (socket) => {
    const inner = connect(cell.port, "127.0.0.1");
    for (const [from, to] of [
      [socket, inner],
      [inner, socket],
    ] as const) {
      from.on("error", () => {});
      from.on("close", () => to.destroy());
      from.pipe(to);
    }
  });
  server.on("tlsClientError", () => {
    refused += 1;
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  started.add(() => server.close());
  return { port: (server.address() as AddressInfo).port, refused: () => refused };
}

/** A gateway whose only cell is at this port of localhost over https, and who believes an authority besides the well-known ones. Returns what it says. */
async function startGateway(port: number, authority: string): Promise<() => string> {
  const sipPort = await freePorts(1);
  const folder = mkdtempSync(join(tmpdir(), "tandem-https-"));
  started.add(() => rmSync(folder, { recursive: true }));
  const [file, authorityFile] = [join(folder, "gateway.toml"), join(folder, "authority.pem")];
  writeFileSync(authorityFile, authority);
  writeFileSync(
    file,
    `name = "g1"\nsecret = "${secret}"\n[[cells]]\nid = "a"\nurl = "https://localhost:${port}"\n[[listeners]]\ntransport = "udp"\nhost = "127.0.0.1"\nport = ${sipPort}\n`,
  );
  const child = spawn(process.execPath, [program, "--config", file], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NODE_EXTRA_CA_CERTS: authorityFile },
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data: Buffer) => void (said += data.toString()));
  const closed = once(child, "close");
  started.add(async () => {
    child.kill("SIGKILL");
    await closed;
  });
  return () => said;
}

async function startCell(): Promise<FakeCell> {
  const cell = await new FakeCell("a").start();
  cell.map = mapOf([cell]);
  started.add(() => cell.stop());
  return cell;
}

describe("a cell at an https URL", () => {
  test("is connected to when an authority that is believed vouches for its name", async () => {
    const cell = await startCell();
    const certificate = await certificateFor("localhost");
    const front = await frontOf(cell, certificate);
    await startGateway(front.port, certificate.cert);
    await until(() => cell.controls.size === 1 && cell.backhauls.size === 1, patienceMs);
    expect(front.refused()).toBe(0);
  });

  test.each([
    { what: "an authority that nobody believes", name: "localhost", isBelieved: false, said: "self-signed certificate" },
    { what: "a certificate of another name", name: "elsewhere.test", isBelieved: true, said: "does not match certificate's altnames" },
  ])("with $what is told nothing, and the log says why", async ({ name, isBelieved, said }) => {
    const cell = await startCell();
    const [certificate, other] = [await certificateFor(name), await certificateFor("other.test")];
    const front = await frontOf(cell, certificate);
    const log = await startGateway(front.port, isBelieved ? certificate.cert : other.cert);
    await until(() => log().includes(said) || cell.attempts.length > 0, patienceMs);
    expect(cell.attempts).toEqual([]);
  });
});

describe("a proxy between that closes what is idle for 100 s", () => {
  test("sees a beat of each trunk before that, whatever the period, and of each softphone that heeds Flow-Timer", () => {
    expect(periodMsMax).toBeLessThan(idleMsMax);
    // RFC 5626 4.4: at a moment of its own, within the last fifth of it.
    expect(flowTimerSeconds * 1_000).toBeLessThan(idleMsMax);
  });
});
