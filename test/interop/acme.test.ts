import type { X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { accountOf, addSubscribers } from "../../kit/world/subscribers.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";
import { establish, exchange } from "../system/clients/call.ts";
import { Phone } from "../system/clients/phone.ts";
import { Pebble } from "./clients/pebble.ts";

const name = "pbx.example.test";
/** Two thirds of it are waited for. */
const certificateSeconds = 30;
const orderedMs = 60_000;

let pebble: Pebble;
let root: string;

beforeAll(async () => {
  pebble = await Pebble.start(certificateSeconds, (asked) => (asked === name ? "127.0.0.1" : "127.0.0.99"));
  root = await pebble.root();
});

afterAll(() => pebble?.stop());

function start(names: string): Promise<Tandem> {
  const options = ["--acme", "admin@example.test", "--acme-names", names, "--acme-directory", pebble.directory];
  return startTandem({ webSocket: true, options: [...options, "--acme-ca", pebble.caFile, "--acme-port", String(pebble.challengePort)] });
}

function portOf({ run }: Tandem, transport: string): number {
  return run.gateways[0]?.listeners.find((one) => one.transport === transport)?.port ?? 0;
}

/** A connection by somebody who trusts that authority alone. */
function connectAt(port: number, rejectUnauthorized = true): Promise<TLSSocket> {
  return new Promise((connected, failed) => {
    const socket = connectTls({ port, host: "127.0.0.1", servername: name, ca: root, rejectUnauthorized }, () => connected(socket));
    socket.once("error", failed);
  });
}

async function certificateAt(port: number): Promise<X509Certificate> {
  const socket = await connectAt(port, false);
  const certificate = socket.getPeerX509Certificate();
  socket.destroy();
  if (certificate === undefined) throw new Error("it shows no certificate");
  return certificate;
}

const eventsOf = ({ events }: Tandem, event: string): string[] =>
  events.filter((each) => each.event === event && each["process"] === "tandem").map(({ cause }) => String(cause));

describe("certificates of pebble, an authority of ACME", () => {
  it("are had at the start, shown over TLS and WSS, and renewed while a call stands", async () => {
    const system = await start(name);
    const phones: Phone[] = [];
    try {
      await until(() => eventsOf(system, "renewed").length === 1, orderedMs);
      expect(eventsOf(system, "renewed")[0]).toMatch(/^certificate of pbx\.example\.test by ACME until \d{4}-\d\d-\d\d$/);
      const [tls, wss] = [portOf(system, "TLS"), portOf(system, "WSS")];
      for (const port of [tls, wss]) {
        const socket = await connectAt(port);
        expect(socket.authorized).toBe(true);
        socket.destroy();
      }
      expect(statSync(join(system.state, "acme", "gateway.pem")).mode & 0o777).toBe(0o600);
      await addSubscribers(system, ["from", "to"].map(accountOf));
      for (const user of ["from", "to"]) {
        const phone = await Phone.open(
          { transport: "TCP", host: "127.0.0.1", port: portOf(system, "TCP"), ca: root, domain: system.domain },
          accountOf(user),
        );
        phones.push(phone);
        expect(await phone.register()).toMatchObject({ status: 200 });
      }
      const [from, to] = phones;
      if (from === undefined || to === undefined) throw new Error("there are no phones");
      const call = await establish(from, to);
      const { serialNumber: before } = await certificateAt(tls);
      const account = readFileSync(join(system.state, "acme", "account-key.pem"), "utf8");
      const isRenewed = async (): Promise<boolean> => (await system.cli("reload")).out.includes("\nby ACME: new, until ");
      await until(isRenewed, certificateSeconds * 1_000 + orderedMs);
      const after = await Promise.all([certificateAt(tls), certificateAt(wss)]);
      for (const { serialNumber } of after) expect(serialNumber).not.toBe(before);
      expect(after[0]?.serialNumber).toBe(after[1]?.serialNumber);
      expect(readFileSync(join(system.state, "acme", "account-key.pem"), "utf8")).toBe(account);
      expect(await exchange("BYE", call.caller, to)).toMatchObject({ status: 200 });
    } finally {
      for (const phone of phones) phone.close();
      await system.stop();
    }
  });

  it("are not had for a name that leads elsewhere: it is said, and the system serves with its own", async () => {
    const system = await start("elsewhere.example.test");
    try {
      await until(() => eventsOf(system, "warns").length === 1, orderedMs);
      expect(eventsOf(system, "warns")[0]).toMatch(
        /^no certificate by ACME: elsewhere\.example\.test does not lead here, as the authority sees it: .*; tried again in an hour, or at once by tandem reload$/,
      );
      expect((await certificateAt(portOf(system, "TLS"))).issuer).toMatch(/^CN=Tandem CA of /);
    } finally {
      await system.stop();
    }
  });
});
