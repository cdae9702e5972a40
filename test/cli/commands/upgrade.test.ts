import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { ControlServer } from "../../../cli/control.ts";
import { program } from "../../../cli/program.ts";
import { StateDirectory } from "../../../cli/state-directory.ts";
import { protocolVersion, versionHeader } from "../../../cluster/protocol-version.ts";
import { until } from "../../../kit/world/until.ts";
import type { Status } from "../../../schemas/api-answers.ts";
import { runCommand } from "../captured-io.ts";

type State = Status["cells"][number]["state"];

const ids = ["a", "b"];
/** So many questions are answered before a cell has heard what the other one is now. */
const heardAfter = 4;

let directory: string;
let servers: Server[];
let control: ControlServer;
/** What each cell is in its own eyes. */
let own: Map<string, State>;
/** What each cell last heard of the other one, and how often it was asked since that has changed. */
let heard: Map<string, { state: State; asked: number }>;
/** What was done to cells, in turn. */
let done: string[];
/** A process that is replaced does not come back. */
let isStuck: boolean;
/** So often a cell that is taken back does not answer. */
let unanswered: number;

function otherOf(cell: string): string {
  return cell === "a" ? "b" : "a";
}

function ownOf(cell: string): State {
  return own.get(cell) ?? "down";
}

function heardBy(cell: string): { state: State; asked: number } {
  return heard.get(cell) ?? { state: "down", asked: 0 };
}

/** As cells answer: what a cell is itself it knows at once, and what the other one is it hears after a while. */
function seenBy(cell: string): Pick<Status["cells"][number], "id" | "state" | "ownState" | "unheardBy">[] {
  for (const id of ids) {
    const [view, state] = [heardBy(id), ownOf(otherOf(id))];
    view.asked = state === view.state ? 0 : view.asked + 1;
    if (view.asked > heardAfter) view.state = state;
  }
  return ids.map((id) => {
    const [other, ownState] = [otherOf(id), ownOf(id)];
    const state = id === cell ? ownState : heardBy(cell).state;
    return {
      id,
      state,
      ...(ownState === state ? {} : { ownState }),
      ...(heardBy(other).state === ownState ? {} : { unheardBy: [other] }),
    };
  });
}

function statusOf(cell: string): Status {
  return {
    coordinator: "a",
    cells: seenBy(cell).map((each) => ({ ...each, epoch: 1, ...(each.state === "draining" ? { softphonesLeft: 0 } : {}) })),
    gateways: [],
    registrations: 0,
    dialogs: 0,
    loadBalance: 0,
    signaturesRefused: 0,
    heartbeat: { periodMs: 1_000, missed: 3 },
    history: [],
  };
}

/** A cell goes out of service when it has heard that the other one is up. Returns why not. */
function setDraining(cell: string, isDraining: boolean): string | undefined {
  if (isDraining && heardBy(cell).state !== "up") return `cell ${cell} stays in service: no other cell is up that could take over`;
  own.set(cell, isDraining ? "draining" : "up");
  // That it goes is heard at once.
  if (isDraining) heard.set(otherOf(cell), { state: "draining", asked: 0 });
  done.push(`${isDraining ? "drain" : "undrain"} ${cell}`);
  return undefined;
}

async function serveCell(cell: string): Promise<string> {
  const server = createServer((request, response) => {
    const headers = { "tandem-cell": cell, [versionHeader]: String(protocolVersion) };
    let body = "";
    request.on("data", (chunk) => void (body += String(chunk)));
    request.once("end", () => {
      const { method, url = "" } = request;
      if (method === "GET" && url === "/api/status") return void response.writeHead(200, headers).end(JSON.stringify(statusOf(cell)));
      if (method === "GET") return void response.writeHead(200, headers).end(JSON.stringify({ version: 1, writer: "", ...map }));
      const named = url.slice(url.lastIndexOf("/") + 1);
      const { draining } = JSON.parse(body) as { draining: boolean };
      if (!draining && unanswered > 0) {
        unanswered -= 1;
        return void response.writeHead(503, headers).end(JSON.stringify({ error: `cell ${named} is down` }));
      }
      const error = setDraining(named, draining);
      response.writeHead(error === undefined ? 200 : 409, headers).end(JSON.stringify({ error }));
    });
  });
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const map = {
  cells: ids.map((id) => ({ id, url: `http://${id}.invalid` })),
  exchangeCount: 1,
  assignments: [{ primary: "a", secondary: "b" }],
};

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "tandem-upgrade-"));
  servers = [];
  done = [];
  isStuck = false;
  unanswered = 0;
  own = new Map(ids.map((id) => [id, "up"]));
  heard = new Map(ids.map((id) => [id, { state: "up", asked: 0 }]));
  const state = new StateDirectory(directory);
  state.secret();
  const cells = await Promise.all(ids.map(async (id) => ({ id, pid: 1, url: await serveCell(id) })));
  state.writeRun({ domain: "example.test", cells, gateways: [] });
  control = new ControlServer(state, {
    upgrade: async () => ({
      version: "2",
      isReplicated: true,
      processes: ids.map((id) => ({ name: `cell ${id}`, version: "1", isLatest: false })),
    }),
    "upgrade process": async ({ process }) => {
      done.push(`replace ${String(process)}`);
      if (isStuck) await new Promise<never>(() => undefined);
      return { version: "2" };
    },
  });
  await control.listen();
});

afterEach(() => {
  control.close();
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
  rmSync(directory, { recursive: true });
});

const upgrade = (): Promise<{ code: number; out: string; err: string }> =>
  runCommand(["upgrade", "--to", "archive.tar.gz", "--state", directory]);

it("a cell is taken out of service when it has heard that the one before is up, and not while that is draining in its eyes", async () => {
  expect(await upgrade()).toEqual({ code: 0, out: "cell a: 1 -> 2\ncell b: 1 -> 2\nAll run 2.\n", err: "" });
  expect(done).toEqual(ids.flatMap((id) => [`drain ${id}`, `replace cell ${id}`, `undrain ${id}`]));
  // Whoever is told that all is done may take any of them out of service.
  for (const id of ids) expect(seenBy(id).map(({ state }) => state)).toEqual(["up", "up"]);
});

it("a cell that was out of service before stays so, and nobody waits until it is up", async () => {
  own.set("a", "draining");
  heard.set("b", { state: "draining", asked: 0 });
  const { code, err } = await upgrade();
  expect([code, err]).toEqual([1, "tandem: cell b stays in service: no other cell is up that could take over\n"]);
  expect([done[0], own.get("a")]).toEqual(["replace cell a", "draining"]);
});

it.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)(
  "a cell serves again when %s ends the command, also one that is away for a moment",
  async (signal, code) => {
    isStuck = true;
    unanswered = 3;
    const [node = "", ...words] = program.command;
    const child = spawn(node, [...words, "upgrade", "--to", "archive.tar.gz", "--state", directory], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    try {
      let err = "";
      child.stderr.on("data", (chunk) => void (err += String(chunk)));
      await until(() => done.includes("replace cell a"), 60_000);
      const closed = once(child, "close");
      child.kill(signal);
      expect(await closed).toEqual([code, null]);
      expect(err).toBe(`tandem: ended by ${signal}, and takes cell a back first\n`);
      expect([done, own.get("a"), unanswered]).toEqual([["drain a", "replace cell a", "undrain a"], "up", 0]);
    } finally {
      child.kill("SIGKILL");
    }
  },
  120_000,
);
