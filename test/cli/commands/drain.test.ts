import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, it } from "vitest";
import { protocolVersion, versionHeader } from "../../../cluster/protocol-version.ts";
import type { Status } from "../../../schemas/api-answers.ts";
import { runCommand } from "../captured-io.ts";

let server: Server;
let url: string;
/** What the cell says to a change. */
let refusal: readonly [status: number, error: string];

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

beforeEach(async () => {
  server = createServer((request, response) => {
    request.resume();
    const headers = { "tandem-cell": "a", [versionHeader]: String(protocolVersion) };
    if (request.method === "PUT") return void response.writeHead(refusal[0], headers).end(JSON.stringify({ error: refusal[1] }));
    response.writeHead(200, headers).end(JSON.stringify(status));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
});

it.each([
  ["drain", "c", [503, "cell c cannot be reached"], "cell c is down"],
  ["undrain", "c", [503, "cell c cannot be reached"], "cell c is down"],
  ["drain", "q", [404, "there is no cell q"], "there is no cell or gateway q"],
  ["drain", "a", [409, "cell a stays in service: no other cell is up"], "cell a stays in service: no other cell is up"],
] as const)("%s %s says in one line why it is not done", async (command, name, said, line) => {
  refusal = said;
  const environment = { TANDEM_SECRET: "secret" };
  expect(await runCommand([command, name, "--url", url], { environment })).toEqual({ code: 1, out: "", err: `tandem: ${line}\n` });
});
