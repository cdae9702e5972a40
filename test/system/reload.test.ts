import { X509Certificate } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { generate } from "selfsigned";
import { afterAll, beforeAll, expect, it } from "vitest";
import { accountOf, addSubscribers } from "../../kit/world/subscribers.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";
import { establish, exchange } from "./clients/call.ts";
import { Phone } from "./clients/phone.ts";

const directory = mkdtempSync(join(tmpdir(), "tandem-reload-"));
const [certificate, key] = [join(directory, "cert.pem"), join(directory, "key.pem")];
const phones: Phone[] = [];
let system: Tandem;

/** Puts another certificate of the operator's in place. Its serial number. */
async function renew(): Promise<string> {
  const made = await generate([{ name: "commonName", value: "example.test" }], {
    keyType: "ec",
    extensions: [
      { name: "basicConstraints", cA: true },
      {
        name: "subjectAltName",
        altNames: [
          { type: 2, value: "example.test" },
          { type: 7, ip: "127.0.0.1" },
        ],
      },
    ],
  });
  writeFileSync(certificate, made.cert);
  writeFileSync(key, made.private);
  return new X509Certificate(made.cert).serialNumber;
}

function portOf(transport: string): number {
  return system.run.gateways[0]?.listeners.find((one) => one.transport === transport)?.port ?? 0;
}

/** The serial number of the certificate that each secure listener shows now. */
async function shown(): Promise<string[]> {
  return await Promise.all(
    ["TLS", "WSS"].map(
      (transport) =>
        new Promise<string>((done, failed) => {
          const socket = connectTls({ port: portOf(transport), host: "127.0.0.1", rejectUnauthorized: false }, () => {
            done(socket.getPeerX509Certificate()?.serialNumber ?? "none");
            socket.destroy();
          });
          socket.once("error", failed);
        }),
    ),
  );
}

async function openPhone(user: string): Promise<Phone> {
  const ca = readFileSync(certificate, "utf8");
  const phone = await Phone.open({ transport: "TLS", host: "127.0.0.1", port: portOf("TLS"), ca, domain: system.domain }, accountOf(user));
  phones.push(phone);
  expect(await phone.register()).toMatchObject({ status: 200 });
  return phone;
}

beforeAll(async () => {
  await renew();
  system = await startTandem({
    webSocket: true,
    options: ["--tls-cert", certificate, "--tls-key", key],
    // Without the terminal of whoever runs the tests, as a service is.
    spawn: (command, args) => spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], detached: true }),
  });
  await addSubscribers(system, ["from", "to", "later"].map(accountOf));
});

afterAll(async () => {
  for (const phone of phones) phone.close();
  await system?.stop();
  rmSync(directory, { recursive: true, force: true });
});

it("takes the operator's new certificate while a call over TLS stands, at the command and at a SIGHUP", async () => {
  const [from, to] = [await openPhone("from"), await openPhone("to")];
  const call = await establish(from, to);
  const first = await renew();
  expect(await system.cli("reload")).toEqual({
    code: 0,
    out: expect.stringMatching(/^certificate \S+cert\.pem until \d{4}-\d\d-\d\d\ngateway g1 reloaded: tls\.cert, tls\.key\n$/),
    err: "",
  });
  expect(await shown()).toEqual([first, first]);
  const second = await renew();
  process.kill(system.pid, "SIGHUP");
  await until(() => system.events.some(({ event, process: name }) => event === "reloaded" && name === "tandem"));
  expect(await shown()).toEqual([second, second]);
  expect(await exchange("BYE", call.caller, to)).toMatchObject({ status: 200 });
  // Who comes now believes the new one alone, and calls who came before.
  const later = await openPhone("later");
  const another = await establish(later, from);
  expect(await exchange("BYE", another.callee, later)).toMatchObject({ status: 200 });
});

it("leaves everything as it was when a file is broken, and says which", async () => {
  const [before] = await shown();
  const good = readFileSync(certificate, "utf8");
  for (const [text, reason] of [
    ["no certificate", "is no certificate in PEM"],
    [good.replace("-----END", "-----ENT"), "is no certificate in PEM"],
  ] as const) {
    writeFileSync(certificate, text);
    expect(await system.cli("reload")).toEqual({ code: 1, out: "", err: `tandem: --tls-cert ${certificate}: ${reason}\n` });
    expect(await shown()).toEqual([before, before]);
  }
  writeFileSync(certificate, good);
  rmSync(key);
  process.kill(system.pid, "SIGHUP");
  await until(() => system.events.some(({ event, cause }) => event === "not reloaded" && cause === `--tls-key ${key}: does not exist`));
  expect(await shown()).toEqual([before, before]);
  expect(existsSync(join(system.state, "run.json"))).toBe(true);
});
