import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { protocolVersion, versionHeader } from "../../../cluster/protocol-version.ts";
import type { MapAnswer, Status } from "../../../schemas/api-answers.ts";
import { runCommand } from "../captured-io.ts";

let server: Server;
let url: string;
/** What the cell says to a change: of all paths, or of the one that is named. */
let refusal: readonly [status: number, error: string, path?: string];
/** Changes that were asked for. */
let changes: string[];
/** Who is a member. */
let members: readonly { readonly id: string; readonly kind: string; readonly host: string; readonly key: string }[];
/** How often it says that at first; then it is done. */
let refusedMax: number;
/** What is known of cell a's code, one for each time that somebody asks for the status; the last one stays. */
let codes: Pick<Status["cells"][number], "code" | "otherCode">[];
/** The paths of cells that are in service again. */
let back: Set<string>;
/** What is known of who has heard that a cell is in service, one for each time that somebody asks for the status; then all have. */
let heard: Pick<Status["cells"][number], "ownState" | "unheardBy">[];
/** What was asked. */
let asked: string[];
/** How the cell answers that question from then on, one for each time; the last one stays. Undefined: not at all. */
let drained: { readonly status: readonly unknown[]; readonly registrations?: readonly unknown[] } | undefined;
/** Further gateways. */
let furtherGateways: Status["gateways"];
/** So many ms have passed that no test waits for. */
let skippedMs: number;

const status: Status = {
  coordinator: "a",
  cells: [
    { id: "a", state: "up", epoch: 1 },
    { id: "c", state: "down", epoch: 1 },
  ],
  gateways: [{ id: "g1", state: "up" }],
  registrations: 0,
  dialogs: 0,
  loadBalance: 0,
  signaturesRefused: 0,
  heartbeat: { periodMs: 1_000, missed: 3 },
  history: [],
};

/** Cell c was to be removed, or was given nothing to do. */
const map: MapAnswer = {
  version: 4,
  writer: "a",
  cells: [
    { id: "a", url: "http://a.invalid" },
    { id: "c", url: "http://c.invalid", weight: 0 },
  ],
  exchangeCount: 1,
  assignments: [{ primary: "a", secondary: "c" }],
};

beforeEach(async () => {
  drained = undefined;
  skippedMs = 0;
  furtherGateways = [];
  codes = [];
  heard = [];
  back = new Set();
  refusedMax = Number.POSITIVE_INFINITY;
  asked = [];
  server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    const headers = { "tandem-cell": "a", [versionHeader]: String(protocolVersion) };
    let body = "";
    request.on("data", (chunk) => void (body += String(chunk)));
    request.once("end", () => {
      if (request.method === "PUT") {
        const [refused, error, path = request.url] = refusal;
        changes.push(`${request.url} ${body}`);
        const isRefused = path === request.url && changes.length <= refusedMax && refused !== 200;
        if (!isRefused && body === '{"draining":false}') back.add(request.url ?? "");
        return void response.writeHead(isRefused ? refused : 200, headers).end(JSON.stringify({ error }));
      }
      if (drained !== undefined && changes.length > 0 && request.method === "GET") {
        const polls = asked.filter((each) => each === "GET /api/status").length - 2;
        const lists = asked.filter((each) => each === "GET /api/registrations").length - 1;
        const isList = request.url === "/api/registrations";
        const { registrations = [] } = drained;
        const answer = isList ? registrations[lists] : polls < drained.status.length ? drained.status[polls] : drained.status.at(-1);
        // The next list is asked for five seconds later, and whoever waits in vain does it for minutes.
        skippedMs += isList ? 6_000 : answer === undefined ? 60_000 : 0;
        if (answer !== undefined) return void response.writeHead(200, headers).end(JSON.stringify(answer));
        return void response.writeHead(503, headers).end();
      }
      const code = (request.url === "/api/status" && codes.length > 1 ? codes.shift() : codes[0]) ?? {};
      // Whoever was told that he is in service is up.
      const cells = status.cells.map((cell) => ({
        ...cell,
        ...(cell.id === "a" ? code : {}),
        ...(back.has(`/api/cells/${cell.id}`) ? { state: "up" as const, ...heard.shift() } : {}),
      }));
      const answers: Readonly<Record<string, unknown>> = { "/api/map": map, "/api/members": members };
      response
        .writeHead(200, headers)
        .end(JSON.stringify(answers[request.url ?? ""] ?? { ...status, cells, gateways: [...status.gateways, ...furtherGateways] }));
    });
  });
  changes = [];
  members = [];
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(() => {
  vi.restoreAllMocks();
  server.closeAllConnections();
  server.close();
});

it.each([
  ["drain", "c", [503, "cell c cannot be reached"], "cell c is down"],
  ["undrain", "c", [503, "cell c cannot be reached"], "cell c is down"],
  ["drain", "q", [404, "there is no cell q"], "there is no cell, gateway or host q"],
  ["drain", "a", [409, "cell a stays in service: no other cell is up"], "cell a stays in service: no other cell is up"],
] as const)("%s %s says in one line why it is not done", async (command, name, said, line) => {
  refusal = said;
  const environment = { TANDEM_SECRET: "secret" };
  expect(await runCommand([command, name, "--url", url], { environment })).toEqual({ code: 1, out: "", err: `tandem: ${line}\n` });
});

it("undrain says of a cell with weight 0 that it gets no exchanges, and what gives it some", async () => {
  refusal = [200, ""];
  const environment = { TANDEM_SECRET: "secret" };
  const more = `. Its weight is 0, so it gets no exchanges: npx tandem cell weight c 1 --url ${url} gives it its share`;
  for (const [cell, text] of [
    ["c", more],
    ["a", ""],
  ] as const)
    expect(await runCommand(["undrain", cell, "--url", url], { environment })).toEqual({
      code: 0,
      out: `Cell ${cell} is in service${text}\n`,
      err: "",
    });
});

it("undrain ends when all cells that live have heard that the cell is up: the next command may take out one of them", async () => {
  refusal = [200, ""];
  heard = [{ ownState: "joining" }, { unheardBy: ["c"] }, { unheardBy: ["c"] }];
  const environment = { TANDEM_SECRET: "secret" };
  expect(await runCommand(["undrain", "a", "--url", url], { environment })).toEqual({ code: 0, out: "Cell a is in service\n", err: "" });
  expect(heard).toEqual([]);
  const before = asked.indexOf("PUT /api/cells/a");
  expect(asked.slice(before).filter((each) => each === "GET /api/status").length).toBe(4);
});

it("undrain says who has not heard of it after a while", async () => {
  refusal = [200, ""];
  heard = Array.from({ length: 1_000 }, () => ({ unheardBy: ["b", "c"] }));
  const now = performance.now.bind(performance);
  vi.spyOn(performance, "now").mockImplementation(() => now() + (heard.length < 1_000 ? 60_000 : 0));
  const environment = { TANDEM_SECRET: "secret" };
  expect(await runCommand(["undrain", "a", "--url", url], { environment })).toEqual({
    code: 0,
    out: "Cell a is in service. But cell b and cell c have not heard of it\n",
    err: "",
  });
});

describe("undrain of a cell whose code is being replaced", () => {
  const environment = { TANDEM_SECRET: "secret" };

  it("waits until every object runs what the cell runs, and says what it waits for", async () => {
    refusal = [200, ""];
    const others = [{ code: "one", objects: ["core-group", "exchange-0"] }];
    codes = [
      { code: "two", otherCode: others },
      { code: "two", otherCode: others },
      { code: "two", otherCode: [{ code: "one", objects: ["core-group"] }] },
      { code: "two" },
    ];
    expect(await runCommand(["undrain", "a", "--url", url], { environment })).toEqual({
      code: 0,
      out: "Cell a: core-group, exchange-0 run other code (one).\nCell a: core-group runs other code (one).\nCell a is in service\n",
      err: "",
    });
    const before = asked.indexOf("PUT /api/cells/a");
    expect(asked.slice(0, before).filter((each) => each === "GET /api/status").length).toBeGreaterThanOrEqual(4);
  });

  it("waits for the code that was deployed, though cell and objects agree on the one before", async () => {
    refusal = [200, ""];
    codes = [{ code: "one" }, { code: "one" }, {}, { code: "two", otherCode: [{ code: "one", objects: ["ledger"] }] }, { code: "two" }];
    expect(await runCommand(["undrain", "a", "--code", "two", "--url", url], { environment })).toEqual({
      code: 0,
      out: [
        "Cell a runs one, and not two.",
        "Cell a runs no code that it says, and not two.",
        "Cell a: ledger runs other code (one).",
        "Cell a is in service\n",
      ].join("\n"),
      err: "",
    });
  });

  it("is tried again while the cell that is replaced does not answer", async () => {
    refusal = [503, "cell a cannot be reached"];
    refusedMax = 2;
    codes = [{ code: "two" }];
    const { code, out } = await runCommand(["undrain", "a", "--code", "two", "--url", url], { environment });
    expect([code, out]).toEqual([0, "Cell a is in service\n"]);
    expect(asked.filter((each) => each === "PUT /api/cells/a").length).toBe(3);
  });

  it("is no question for a gateway", async () => {
    const { code, err } = await runCommand(["undrain", "g1", "--code", "two", "--url", url], { environment });
    expect([code, err]).toEqual([2, expect.stringContaining("--code: is for cells, and g1 is a gateway")]);
  });
});

const memberOfHost = (id: string, kind: string): (typeof members)[number] => ({ id, kind, host: "h2", key: "k" });

it("drain HOST takes all that runs there out of service, and none of it when one has to stay", async () => {
  members = [memberOfHost("h2", "host"), memberOfHost("a", "cell"), memberOfHost("g1", "gateway"), memberOfHost("g7", "gateway")];
  refusal = [409, "cell a stays in service: no other cell is up", "/api/cells/a"];
  const environment = { TANDEM_SECRET: "secret" };
  expect(await runCommand(["drain", "h2", "--deadline", "30s", "--url", url], { environment })).toEqual({
    code: 1,
    out: "",
    err: "tandem: cell a stays in service: no other cell is up\n",
  });
  expect(changes).toEqual([
    '/api/gateways/g1/draining {"draining":true,"closeAfterMs":30000}',
    '/api/cells/a {"draining":true}',
    '/api/gateways/g1/draining {"draining":false}',
  ]);
});

it("undrain HOST takes all that runs there back", async () => {
  members = [memberOfHost("h2", "host"), memberOfHost("a", "cell"), memberOfHost("g1", "gateway")];
  refusal = [200, ""];
  const environment = { TANDEM_SECRET: "secret" };
  expect(await runCommand(["undrain", "h2", "--url", url], { environment })).toEqual({ code: 0, out: "Host h2 is in service\n", err: "" });
  expect(changes).toEqual(['/api/gateways/g1/draining {"draining":false}', '/api/cells/a {"draining":false}']);
});

describe("while what was begun goes on", () => {
  const environment = { TANDEM_SECRET: "secret" };
  const draining = { ...status, gateways: [{ id: "g1", state: "draining", connectionsLeft: 0 }] };
  const registration = {
    aor: "sip:bob@example.test",
    contact: "sip:bob@192.0.2.7",
    transport: "UDP",
    expiresSeconds: 600,
    primary: "a",
    userAgent: "",
    gateway: "g1",
  };

  beforeEach(() => {
    refusal = [200, ""];
    const now = performance.now.bind(performance);
    vi.spyOn(performance, "now").mockImplementation(() => now() + skippedMs);
  });

  it("drain asks again when no cell answers for a while, and says so", async () => {
    drained = { status: [undefined, undefined, draining], registrations: [[]] };
    const { code, out } = await runCommand(["drain", "g1", "--url", url], { environment });
    expect([code, out]).toEqual([
      0,
      [
        `No cell answers, and is asked again: ${url}: answered 503`,
        `Gateway g1 is out of service; npx tandem undrain g1 --url ${url} takes it back\n`,
      ].join("\n"),
    ]);
  });

  it("drain that has to end says that it goes on, and how to see the rest", async () => {
    drained = { status: [undefined] };
    const { code, err } = await runCommand(["drain", "g1", "--deadline", "0s", "--url", url], { environment });
    expect([code, err]).toEqual([1, `tandem: ${url}: answered 503; g1 goes on draining: type it again to see what is left\n`]);
  });

  it("remove says what it begins, and that it may be typed again", async () => {
    members = [memberOfHost("h2", "host"), memberOfHost("g1", "gateway")];
    drained = { status: [undefined] };
    furtherGateways = [{ id: "g2", state: "up" }];
    const { code, out, err } = await runCommand(["remove", "h2", "--deadline", "0s"], { environment: { ...environment, TANDEM_URL: url } });
    expect([code, out.split("\n")[0]]).toEqual([1, "Host h2 is taken out of service first: gateway g1"]);
    expect(err).toMatch(/answered 503; the removal of h2 has begun, and what was done stays: type it again to go on\n$/);
  });

  it("drain says when registrations over UDP leave at the latest", async () => {
    drained = { status: [draining], registrations: [[registration, { ...registration, gateway: "g2" }], []] };
    const { code, out } = await runCommand(["drain", "g1", "--url", url], { environment });
    expect(code).toBe(0);
    expect(out.split("\n")[0]).toMatch(
      /^Gateway g1 is draining, and has 0 connections and 1 registration left: 1 is over UDP, and leaves when its phone registers elsewhere, or by \d\d:\d\d UTC if nothing more comes$/,
    );
  });
});
