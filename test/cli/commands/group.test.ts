import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, it } from "vitest";
import { protocolVersion, versionHeader } from "../../../cluster/protocol-version.ts";
import type { Group, MapAnswer, Status } from "../../../schemas/api-answers.ts";
import { runCommand } from "../captured-io.ts";

let server: Server;
let url: string;
/** What the cell answers, by method and path. */
let answers: Readonly<Record<string, unknown>>;

beforeEach(async () => {
  server = createServer((request, response) => {
    request.resume();
    const json = answers[`${request.method ?? ""} ${request.url ?? ""}`] ?? {};
    response.writeHead(200, { "tandem-cell": "a", [versionHeader]: String(protocolVersion) }).end(JSON.stringify(json));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
});

const tandem = (...words: string[]): ReturnType<typeof runCommand> =>
  runCommand([...words, "--url", url], { environment: { TANDEM_SECRET: "secret" } });

const map: MapAnswer = {
  version: 4,
  writer: "a",
  cells: ["a", "b", "c"].map((id) => ({ id, url: `http://${id}.invalid`, weight: id === "c" ? 2 : 1 })),
  exchangeCount: 2,
  assignments: [
    { primary: "a", secondary: "b" },
    { primary: "c", secondary: "a" },
  ],
};

function groupWith(state: "draining" | "down"): Group {
  return {
    coordinator: "a",
    epoch: 1,
    map: { version: 4, writer: "a" },
    preferred: [],
    healAfterMs: 1_000,
    members: ["a", "b", "c"].map((id) => ({ id, kind: "cell" as const, state: id === "c" ? state : ("up" as const) })),
    singletons: [],
    exchanges: [],
  };
}

it("what the group is to be is answered as JSON where that is wanted", async () => {
  answers = { "PUT /api/group": { preferred: ["b"], healAfterMs: 7_200_000 } };
  expect(JSON.parse((await tandem("group", "prefer", "b", "--json")).out)).toEqual({ preferred: ["b"], healAfterMs: 7_200_000 });
  expect(JSON.parse((await tandem("group", "heal-after", "7200", "--json")).out)).toEqual({ preferred: ["b"], healAfterMs: 7_200_000 });
  expect((await tandem("group", "heal-after", "7200")).out).toBe("A cell that is down is waited for 7200 s; then others get what it had\n");
});

it("a cell that is not up has its weight at once, and what it waits for is said", async () => {
  answers = { "GET /api/map": map, "GET /api/group": groupWith("draining"), "PUT /api/cells/c": { id: "c", weight: 2 } };
  const { out } = await tandem("cell", "weight", "c", "2");
  expect(out.split("\n")).toEqual([
    "Cell c has weight 2",
    `Cell c has 1 replica, a primary; even would be 2.0; it is draining: npx tandem undrain c --url ${url} takes it back`,
    "",
  ]);
  answers = { ...answers, "GET /api/group": groupWith("down") };
  expect(JSON.parse((await tandem("cell", "weight", "c", "2", "--json")).out)).toMatchObject({
    id: "c",
    weight: 2,
    state: "down",
    even: 2,
  });
  expect((await tandem("cell", "weight", "c", "2")).out).toContain("; it is down: its weight has an effect when it is back\n");
  for (const wrong of ["1001", "-1", "x", "1.5"]) expect((await tandem("cell", "weight", "c", "--", wrong)).code).toBe(2);
});

it("a cell is not added to a place without a name", async () => {
  for (const [place, empty] of [
    ["host", ""],
    ["location", ""],
    ["location", " "],
  ] as const) {
    const { code, err } = await tandem("cell", "add", `--${place}=${empty}`);
    expect([code, err]).toEqual([2, expect.stringMatching(new RegExp(`--${place}(: must not be empty| needs a value)`))]);
  }
});

it("a cell that is taken back is said to have no weight where it has none", async () => {
  const without = { ...map, cells: map.cells.map((cell) => (cell.id === "c" ? { ...cell, weight: 0 } : cell)) };
  const status: Status = {
    cells: map.cells.map(({ id }) => ({ id, state: "up", epoch: 1 })),
    gateways: [],
    registrations: 0,
    dialogs: 0,
    loadBalance: 0,
    coordinator: "a",
    heartbeat: { periodMs: 1_000, missed: 3 },
    signaturesRefused: 0,
    history: [],
  };
  answers = { "GET /api/status": status, "GET /api/map": without, "PUT /api/cells/c": { id: "c", draining: false } };
  expect((await tandem("undrain", "c")).out).toBe(
    `Cell c is in service. Its weight is 0, so it gets no exchanges: npx tandem cell weight c 1 --url ${url} gives it its share\n`,
  );
  answers = { ...answers, "GET /api/map": map };
  expect((await tandem("undrain", "c")).out).toBe("Cell c is in service\n");
});
