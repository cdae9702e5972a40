import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { protocolVersion, versionHeader } from "../../cluster/protocol-version.ts";
import { runCommand } from "./captured-io.ts";

let directory: string;
let server: Server;
let url: string;
/** What the cell answers: status and JSON. */
let answer: { readonly status: number; readonly json: object };
/** What it says of its domains. */
let domains: readonly object[];

beforeEach(async () => {
  domains = [];
  directory = mkdtempSync(join(tmpdir(), "tandem-subscriber-"));
  server = createServer((request, response) => {
    request.resume();
    const headers = { "tandem-cell": "a", [versionHeader]: String(protocolVersion) };
    if (request.url === "/") response.writeHead(200, headers).end();
    else if (request.url === "/api/domains") response.writeHead(200, headers).end(JSON.stringify(domains));
    else response.writeHead(answer.status, headers).end(JSON.stringify(answer.json));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  writeFileSync(join(directory, "secret"), "s".repeat(43));
  const cells = [
    { id: "a", pid: process.pid, url },
    { id: "b", pid: process.pid, url },
  ];
  writeFileSync(join(directory, "run.json"), JSON.stringify({ domain: "example.test", cells, gateways: [] }));
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
  rmSync(directory, { recursive: true, force: true });
});

const subscriber = (...words: string[]): ReturnType<typeof runCommand> => runCommand(["subscriber", ...words, "--state", directory]);

describe("tandem subscriber", () => {
  it.each([
    [0, 0, "no subscribers imported: the file has none"],
    [1, 0, "1 subscriber imported"],
    [1, 1, "1 subscriber imported, who was there already: the password is changed"],
    [3, 0, "3 subscribers imported"],
    [3, 1, "3 subscribers imported, 1 of them was there already: that password is changed"],
    [3, 2, "3 subscribers imported, 2 of them were there already: their passwords are changed"],
  ])("import counts %d, of whom %d were there", async (count, changed, line) => {
    answer = { status: 200, json: { stored: count, changed } };
    const file = join(directory, "list.csv");
    writeFileSync(file, `aor,password\n${Array.from({ length: count }, (_, index) => `u${index},p\n`).join("")}`);
    expect(await subscriber("import", file)).toEqual({ code: 0, out: `${line}\n`, err: "" });
  });

  it("import says who is left out, and whoever cannot answer the challenges of this system", async () => {
    answer = { status: 200, json: { stored: 1, changed: 0 } };
    const file = join(directory, "list.csv");
    writeFileSync(file, "extension,secret,tech\n100,s,pjsip\n101,s,iax2\n");
    expect((await subscriber("import", file)).out).toBe(
      "1 subscriber imported\n1 of kind iax2 left out: only sip and pjsip are SIP phones\n",
    );
    writeFileSync(file, `username,domain,ha1\nalice,example.test,${"0".repeat(32)}\n`);
    expect((await subscriber("import", file)).out).toBe("1 subscriber imported\n");
    domains = [{ name: "example.test", auth: "digest", digest: ["SHA-256"], isAdded: false }];
    expect((await subscriber("import", file)).out).toBe(
      "1 subscriber imported\n1 of them cannot register: the file has hashes of MD5 only, and the system asks for SHA-256 (tandem up --digest)\n",
    );
  });

  it("says of a full disk one line, exit code 1, whichever command it was", async () => {
    answer = { status: 507, json: { error: "the disk is full: nothing is stored" } };
    const refused = { code: 1, out: "", err: "tandem: the disk is full: nothing is stored\n" };
    expect(await subscriber("add", "dave", "--password", "p")).toEqual(refused);
    expect(await subscriber("remove", "dave")).toEqual(refused);
    const file = join(directory, "list.csv");
    writeFileSync(file, "aor,password\ndave,p\n");
    const { code, out, err } = await subscriber("import", file);
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toMatch(/^tandem: 0 of 1 imported, then: the disk is full: nothing is stored \(.*\)\n$/);
  });

  it("says what is done, and what is not, when the printed passwords cannot be written any more", async () => {
    answer = { status: 200, json: { stored: 1, changed: 1 } };
    const passwords = join(directory, "passwords.json");
    const printed = JSON.stringify({ provisioned: true, passwords: { "alice@example.test": "old" } });
    writeFileSync(passwords, printed);
    mkdirSync(`${passwords}.new`);
    const { code, out, err } = await subscriber("add", "alice", "--password", "p");
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toMatch(
      /^tandem: alice@example\.test was there already: the password is changed; but the next start prints passwords as they were: .*cannot be written.*\n$/,
    );
    expect(readFileSync(passwords, "utf8")).toBe(printed);
  });

  it.each([
    ["#9", "%239@example.test"],
    ["%239", "%239@example.test"],
    ["sip:%239@example.test", "%239@example.test"],
    ["m%c3%bcller", "m%C3%BCller@example.test"],
  ])("takes %s, as a phone has it or as the list shows it", async (typed, shown) => {
    answer = { status: 200, json: { stored: 1, changed: 0 } };
    expect(await subscriber("add", typed, "--password", "p")).toEqual({ code: 0, out: `${shown} may register\n`, err: "" });
    expect(await subscriber("remove", typed)).toEqual({ code: 0, out: `${shown} is removed\n`, err: "" });
  });
});
