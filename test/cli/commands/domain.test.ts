import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { protocolVersion, versionHeader } from "../../../cluster/protocol-version.ts";
import { runCommand } from "../captured-io.ts";

let directory: string;
let server: Server;
/** What the cell answers, by method and path. */
let answers: Readonly<Record<string, readonly [status: number, json: unknown]>>;
let asked: string[];

const domains = [
  { name: "example.test", auth: "digest", isAdded: false, subscribers: 3 },
  { name: "example.org", auth: "open", isAdded: true, subscribers: 0 },
];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "tandem-domain-"));
  answers = {};
  asked = [];
  server = createServer((request, response) => {
    request.resume();
    const headers = { "tandem-cell": "a", [versionHeader]: String(protocolVersion) };
    if (request.url === "/") return void response.writeHead(200, headers).end();
    const question = `${request.method ?? ""} ${request.url ?? ""}`;
    asked.push(question);
    const [status, json] = answers[question] ?? [404, { error: `${question}: there is nothing here` }];
    response.writeHead(status, headers).end(JSON.stringify(json));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  writeFileSync(join(directory, "secret"), "s".repeat(43));
  writeFileSync(
    join(directory, "run.json"),
    JSON.stringify({ domain: "example.test", cells: [{ id: "a", pid: process.pid, url }], gateways: [] }),
  );
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
  rmSync(directory, { recursive: true, force: true });
});

const tandem = (...words: string[]): ReturnType<typeof runCommand> => runCommand([...words, "--state", directory]);
const failed = (line: string): object => ({ code: 1, out: "", err: `tandem: ${line}\n` });

describe("tandem domain", () => {
  it("adds one, and says how its users come in", async () => {
    answers = { "PUT /api/domains/example.org": [200, domains] };
    expect((await tandem("domain", "add", "Example.ORG", "--auth", "open")).out).toBe(
      "example.org is served; anybody may register in it\n",
    );
    expect((await tandem("domain", "add", "example.org")).out).toBe(
      "example.org is served; its subscribers: tandem subscriber add USER@example.org --password -\n",
    );
    expect(JSON.parse((await tandem("domain", "add", "example.org", "--json")).out)).toEqual(domains);
    expect((await tandem("domain", "add", "example.org", "--auth", "none")).code).toBe(2);
    expect((await tandem("domain", "add", "foo_bar")).code).toBe(2);
    expect(await tandem("domain", "add", "example.test")).toEqual(
      failed("example.test is the first domain; its --auth is set at npm start"),
    );
  });

  it("lists them", async () => {
    answers = { "GET /api/domains?subscribers=true": [200, domains] };
    expect((await tandem("domain", "list")).out).toBe(
      "DOMAIN        AUTH    SUBSCRIBERS  ADDED\nexample.test  digest            3  at the start\nexample.org   open              0  by command\n",
    );
  });

  it("removes none that has subscribers without being told so, and forgets the passwords of those that go", async () => {
    const passwords = { "alice@example.test": "one", "alice@example.org": "other" };
    writeFileSync(join(directory, "passwords.json"), JSON.stringify({ provisioned: true, passwords }));
    answers = {
      "DELETE /api/domains/example.org": [409, { error: "example.org has 12 subscribers, who would be removed with it" }],
      "DELETE /api/domains/example.org?subscribers=true": [200, { removed: "example.org", subscribers: 12, left: 0 }],
    };
    expect(await tandem("domain", "remove", "example.org")).toEqual(
      failed("example.org has 12 subscribers, who would be removed with it: say --yes, or remove them first"),
    );
    expect((await tandem("domain", "remove", "example.org", "--yes")).out).toBe(
      "example.org is served no more, and 12 subscribers with it; calls that stand go on\n",
    );
    expect(JSON.parse(readFileSync(join(directory, "passwords.json"), "utf8"))).toMatchObject({
      passwords: { "alice@example.test": "one" },
    });
  });

  it("removes none with registered phones without being told so", async () => {
    const error = "example.org has 1 subscriber and 2 registered phones, who would be removed with it";
    answers = {
      "DELETE /api/domains/example.org": [409, { error }],
      "DELETE /api/domains/example.org?subscribers=true": [200, { removed: "example.org", subscribers: 1, phones: 2, left: 0 }],
    };
    expect(await tandem("domain", "remove", "example.org")).toEqual(failed(`${error}: say --yes, or remove them first`));
    expect((await tandem("domain", "remove", "example.org", "--yes")).out).toBe(
      "example.org is served no more, and 1 subscriber and 2 registered phones with it; calls that stand go on\n",
    );
  });

  it("says when some are left", async () => {
    answers = { "DELETE /api/domains/example.org?subscribers=true": [200, { removed: "example.org", subscribers: 1, left: 2 }] };
    expect(await tandem("domain", "remove", "example.org", "--yes")).toEqual(
      failed("example.org is served no more, but 2 of its subscribers are left: remove it again"),
    );
  });
});

describe("an address-of-record of a domain that was added", () => {
  it("is taken where the system says that it has it, and is asked for nowhere else", async () => {
    answers = { "GET /api/domains": [200, domains], "PUT /api/subscribers": [200, { stored: 1, changed: 0 }] };
    expect((await tandem("subscriber", "add", "alice@example.org", "--password", "p")).out).toBe("alice@example.org may register\n");
    expect(await tandem("subscriber", "add", "alice@example.net", "--password", "p")).toEqual(
      failed("alice@example.net: the domains of this system are example.test, example.org"),
    );
    asked = [];
    await tandem("subscriber", "add", "alice", "--password", "p");
    expect(asked).toEqual(["PUT /api/subscribers"]);
    const file = join(directory, "list.csv");
    writeFileSync(file, "aor,password\nalice,p\nbob@example.org,q\n");
    expect((await tandem("subscriber", "import", file)).out).toBe("2 subscribers imported\n");
  });
});

describe("tandem gateway weight", () => {
  it("gives a gateway a weight", async () => {
    answers = {
      "PUT /api/gateways/g1": [200, { id: "g1", weight: 70 }],
      "PUT /api/gateways/g9": [404, { error: "there is no gateway g9" }],
    };
    expect((await tandem("gateway", "weight", "g1", "70")).out).toBe("Gateway g1 has weight 70, by the zone that tandem dns prints\n");
    expect((await tandem("gateway", "weight", "g1", "0")).out).toMatch(/^Gateway g1 gets phones when no other gateway answers/);
    expect(JSON.parse((await tandem("gateway", "weight", "g1", "70", "--json")).out)).toEqual({ id: "g1", weight: 70 });
    expect(await tandem("gateway", "weight", "g9", "1")).toEqual(failed("there is no gateway g9"));
    expect((await tandem("gateway", "weight", "g1", "x")).code).toBe(2);
    expect((await tandem("gateway", "weight", "g1", "65536")).code).toBe(2);
  });
});
