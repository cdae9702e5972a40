import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { askTandem, type ControlHandlers, ControlServer } from "../../cli/control.ts";
import { Failure } from "../../cli/errors.ts";
import { StateDirectory } from "../../cli/state-directory.ts";

let directory: string;
const servers: ControlServer[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tandem-control-"));
});

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  rmSync(directory, { recursive: true });
});

async function listen(state: StateDirectory, msMax?: number): Promise<void> {
  const handlers: ControlHandlers = {
    "cell add": async (request) => await Promise.resolve({ id: "c", asked: request["weight"] }),
    "cell remove": async () => await Promise.reject(new Failure("cell c stays")),
  };
  const server = new ControlServer(state, handlers, msMax);
  servers.push(server);
  await server.listen();
}

/** What comes back for a line that no command writes. */
function answerTo(state: StateDirectory, line: string): Promise<unknown> {
  return new Promise((answered, failed) => {
    let text = "";
    const socket = createConnection(state.file("control"), () => socket.write(`${line}\n`));
    socket.once("error", failed);
    socket.on("data", (chunk) => void (text += chunk.toString()));
    socket.once("close", () => answered(JSON.parse(text)));
  });
}

describe("the way from a command to tandem up", () => {
  it("is a socket of the state directory that only its owner may open, and is gone with it", async () => {
    const state = new StateDirectory(directory);
    writeFileSync(state.file("control"), "of one that was killed");
    await listen(state);
    expect(statSync(state.file("control")).mode & 0o777).toBe(0o600);
    expect(await askTandem(state, "cell add", { weight: 2 })).toEqual({ id: "c", asked: 2 });
    servers.splice(0)[0]?.close();
    expect(existsSync(state.file("control"))).toBe(false);
    await expect(askTandem(state, "cell add", {})).rejects.toThrow(`no tandem up of this release runs with ${directory}`);
  });

  it("is there where the path is longer than a socket's may be", async () => {
    const deep = join(directory, "d".repeat(120));
    mkdirSync(deep);
    const state = new StateDirectory(deep);
    await listen(state);
    expect(await askTandem(state, "cell add", {})).toEqual({ id: "c" });
  });

  it("says why something is refused, in one line", async () => {
    const state = new StateDirectory(directory);
    await listen(state);
    await expect(askTandem(state, "cell remove", {})).rejects.toThrow(new Failure("cell c stays"));
    await expect(askTandem(state, "toString", {})).rejects.toThrow('the running tandem does not know what "toString" is');
    expect(await answerTo(state, "nonsense")).toEqual({ error: "this is no request" });
    expect(await answerTo(state, '{"version":2,"ask":"cell add"}')).toMatchObject({
      error: expect.stringMatching(/^requests have form 1 here/) as string,
    });
  });

  it("ends only the connection of a command that is stopped before it has read the answer", async () => {
    const state = new StateDirectory(directory);
    await listen(state);
    await new Promise<void>((stopped, failed) => {
      // One octet of the answer is read. The rest is there when it goes, as with Ctrl-C.
      const socket = createConnection({
        path: state.file("control"),
        onread: {
          buffer: new Uint8Array(1),
          callback: () => {
            socket.destroy();
            return false;
          },
        },
      });
      socket.once("error", failed);
      socket.once("close", () => stopped());
      socket.write('{"version":1,"ask":"cell add"}\n');
    });
    // The server hears of it before this one asks.
    expect(await askTandem(state, "cell add", {})).toEqual({ id: "c" });
  });

  it("waits for no request that does not come, and takes no more connections than there is a use for", async () => {
    const state = new StateDirectory(directory);
    await listen(state, 2_000);
    const idle = Array.from({ length: 32 }, () => createConnection(state.file("control")).resume());
    const ended = idle.map((socket) => once(socket, "close"));
    await Promise.all(idle.map((socket) => once(socket, "connect")));
    await expect(askTandem(state, "cell add", {})).rejects.toThrow("too many commands ask it at once");
    await Promise.all(ended);
    expect(await askTandem(state, "cell add", {})).toEqual({ id: "c" });
  });
});
