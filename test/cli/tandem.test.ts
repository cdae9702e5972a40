import { execFile } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCommand } from "./captured-io.ts";

const root = resolve(import.meta.dirname, "../..");
let empty: string;

beforeAll(() => {
  empty = mkdtempSync(join(tmpdir(), "tandem-cli-"));
});

afterAll(() => rmSync(empty, { recursive: true, force: true }));

describe("tandem", () => {
  it.each([
    [[], "tandem: a command is missing (see tandem --help)\n"],
    [["dance"], "tandem: unknown command dance (see tandem --help)\n"],
    [["--dance"], "tandem: unknown option --dance (see tandem --help)\n"],
    [["subscriber"], "tandem: a command is missing (see tandem subscriber --help)\n"],
    [["subscriber", "dance"], "tandem: unknown command dance (see tandem subscriber --help)\n"],
    [["cell", "undrain", "c"], "tandem: unknown command cell undrain: it is tandem undrain (see tandem undrain --help)\n"],
    [["subscriber", "add"], "tandem: AOR is missing (see tandem subscriber add --help)\n"],
    [["subscriber", "add", "alice"], "tandem: --password is missing (- reads it from standard input) (see tandem subscriber add --help)\n"],
    [["status", "surplus"], 'tandem: unexpected argument "surplus" (see tandem status --help)\n'],
    [["status", "--url", "U", "--state", "D"], "tandem: --url and --state exclude each other\n"],
    [["status", "--url", "ftp://x"], "tandem: --url ftp://x: must be an http or https URL\n"],
    [["up", "--foo"], "tandem: unknown option --foo (see tandem up --help)\n"],
    [["up", "--sip", "127.0.0.1:0"], "tandem: --sip 0: must be a whole number from 1 to 65535 (see tandem up --help)\n"],
    [["up", "--tls-port", "0"], "tandem: --tls-port 0: must be a whole number from 1 to 65535 (see tandem up --help)\n"],
    [["up", "--http-port", "x"], "tandem: --http-port x: must be a whole number from 1 to 65535 (see tandem up --help)\n"],
    [["up", "--cells", "27"], "tandem: --cells 27: must be a whole number from 1 to 26 (see tandem up --help)\n"],
    [["up", "--auth", "none"], "tandem: --auth none: must be digest or open (see tandem up --help)\n"],
    [
      ["up", "--domain", "127.0.0.1"],
      "tandem: --domain 127.0.0.1: an address is no domain, for it would end with its machine: leave it to --sip, phones may use it as their domain too (see tandem up --help)\n",
    ],
    [
      ["up", "--domain", "no_domain"],
      "tandem: --domain no_domain: must be a domain name of at most 64 characters (see tandem up --help)\n",
    ],
    ...["0.0.0.0:5060", "[::]:5060"].map((sip): [string[], string] => [
      ["up", "--sip", sip],
      `tandem: --sip ${sip}: phones cannot send to ${sip.replace(/^\[|\]?:5060$/g, "")}: add --advertise with the address or name that they use (see tandem up --help)\n`,
    ]),
    ...["0.0.0.0", "192.0.2.1:5060", "a b", "::"].map((host): [string[], string] => [
      ["up", "--sip", "0.0.0.0", "--advertise", host],
      `tandem: --advertise ${host}: must be the address or the name that phones use, without a port (see tandem up --help)\n`,
    ]),
    [
      ["up", "--http-host", "here"],
      "tandem: --http-host here: must be an address of this machine, for example 127.0.0.1 or 0.0.0.0 (see tandem up --help)\n",
    ],
    [["up", "--tls-cert", "c.pem"], "tandem: --tls-cert needs --tls-key beside it (see tandem up --help)\n"],
    [["up", "--tls-key", "k.pem"], "tandem: --tls-key needs --tls-cert beside it (see tandem up --help)\n"],
    [
      ["up", "--sip", "localhost"],
      "tandem: --sip localhost: ADDRESS must be an address of this machine, for example 127.0.0.1 or [::1] (see tandem up --help)\n",
    ],
    [
      ["up", "--sip", "::1:5060"],
      "tandem: --sip ::1:5060: must be ADDRESS or ADDRESS:PORT, for example 127.0.0.1:5060 or [::1]:5060 (see tandem up --help)\n",
    ],
  ])("%j is a usage error: one line, exit code 2", async (words, line) => {
    expect(await runCommand(words)).toEqual({ code: 2, out: "", err: line });
  });

  it.each([["--help"], ["help"], ["-h"], ["subscriber", "--help"], ["up", "--help"], ["subscriber", "add", "-h"]])(
    "%s %s prints help, exit code 0",
    async (...words) => {
      const { code, out, err } = await runCommand(words);
      expect({ code, err }).toEqual({ code: 0, err: "" });
      expect(out).toMatch(/^Usage: tandem /);
    },
  );

  it.each([
    [["subscriber", "add"], "\n  AOR           a user: alice, alice@example.test or sip:alice@example.test\n"],
    [["registrations"], "\n  AOR          a user: "],
    [["drain"], "\n  NAME          the letter of a cell, the name of a gateway, or a host "],
    [["subscriber", "import"], "\n  FILE.csv     with a header, in UTF-8; "],
  ])("%j --help explains its arguments", async (words, line) => {
    expect((await runCommand([...words, "--help"])).out).toContain(line);
  });

  it("tells its version", async () => {
    expect(await runCommand(["--version"])).toEqual({
      code: 0,
      out: expect.stringMatching(/^\d+\.\d+\.\d+(?: \([0-9a-f]{12}\+?\))?\n$/),
      err: "",
    });
  });

  it.each([["status"], ["registrations"], ["subscriber", "list"], ["subscriber", "add", "alice", "--password", "p"]])(
    "%s %s without a system: one line, exit code 1",
    async (...words) => {
      expect(await runCommand([...words, "--state", empty])).toEqual({
        code: 1,
        out: "",
        err: `tandem: not running: no system has its state in ${empty} (start it with tandem up, or name another --state)\n`,
      });
    },
  );

  it.each(["the state", "the parent"])("up that is refused leaves nothing of its own behind: %s", async (what) => {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const made = join(empty, "refused");
    const state = what === "the state" ? made : join(made, "deep", "er");
    const { code, err } = await runCommand(["up", "--sip", `127.0.0.1:${port}`, "--state", state]);
    expect({ code, err }).toEqual({
      code: 1,
      err: `tandem: 127.0.0.1:${port} is in use by another process; gateway g1 for TCP needs it (--sip)\n`,
    });
    expect(existsSync(made)).toBe(false);
    mkdirSync(state, { recursive: true });
    await runCommand(["up", "--sip", `127.0.0.1:${port}`, "--state", state]);
    expect(readdirSync(state)).toEqual([]);
    rmSync(made, { recursive: true });
    const [certificate, key] = [join(empty, "none.pem"), join(empty, "none.key")];
    expect(await runCommand(["up", "--tls-cert", certificate, "--tls-key", key, "--state", state])).toMatchObject({
      code: 1,
      err: `tandem: --tls-cert ${certificate}: does not exist\n`,
    });
    expect(existsSync(made)).toBe(false);
    server.close();
  });

  it("needs the secret for a system elsewhere", async () => {
    const environment = { TANDEM_URL: "http://127.0.0.1:9" };
    expect(await runCommand(["status"], { environment })).toEqual({
      code: 1,
      out: "",
      err: "tandem: TANDEM_SECRET must hold the system's secret when --url is used\n",
    });
  });

  it("says when nobody answers", async () => {
    const environment = { TANDEM_URL: "http://127.0.0.1:9", TANDEM_SECRET: "s" };
    expect(await runCommand(["status"], { environment })).toEqual({
      code: 1,
      out: "",
      err: "tandem: not running: http://127.0.0.1:9: connection refused\n",
    });
  });
});

describe("the launcher", () => {
  const run = promisify(execFile);

  it("passes arguments, output and the exit code on", async () => {
    const launcher = join(root, "cli", "tandem.mjs");
    expect((await run(process.execPath, [launcher, "--version"])).stdout).toMatch(/^\d/);
    await expect(run(process.execPath, [launcher, "dance"])).rejects.toMatchObject({
      code: 2,
      stderr: "tandem: unknown command dance (see tandem --help)\n",
    });
  });

  it("says what to do where nothing is installed", async () => {
    const bare = join(empty, "bare", "cli");
    cpSync(join(root, "cli"), bare, { recursive: true });
    await expect(run(process.execPath, [join(bare, "tandem.mjs"), "status"])).rejects.toMatchObject({
      code: 1,
      stderr: "tandem: not installed: run npm ci\n",
    });
  });
});
