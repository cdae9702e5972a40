import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { startOf } from "../../cli/process-table.ts";
import { programVersion, versionText } from "../../cli/program.ts";
import { startTandem, tandem, type Tandem } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";

const running: Tandem[] = [];
const directories: string[] = [];

/** A system that is stopped after the test. */
async function start(...args: Parameters<typeof startTandem>): Promise<Tandem> {
  const system = await startTandem(...args);
  running.push(system);
  return system;
}

function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "tandem-up-"));
  directories.push(directory);
  return directory;
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((system) => system.stop()));
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

function childrenOf({ run }: Tandem): { name: string; pid: number }[] {
  return [
    ...run.cells.map(({ id, pid }) => ({ name: `cell ${id}`, pid })),
    ...run.gateways.map(({ id, pid }) => ({ name: `gateway ${id}`, pid })),
  ];
}

const version = versionText(programVersion());

/** The files below a directory that any user of the machine can read. */
function openToOthers(directory: string, prefix = ""): { readonly name: string; readonly text: string }[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const [path, name] = [join(directory, entry.name), `${prefix}${entry.name}`];
    const mode = statSync(path).mode & 0o007;
    if (entry.isDirectory()) return (mode & 0o001) === 0 ? [] : openToOthers(path, `${name}/`);
    return entry.isFile() && (mode & 0o004) !== 0 ? [{ name, text: readFileSync(path, "latin1") }] : [];
  });
}

const isGone = (pid: number): boolean => startOf(pid) === undefined;

async function statusOf(system: Tandem): Promise<unknown> {
  const { code, out, err } = await system.cli("status", "--json");
  return code === 0 ? JSON.parse(out) : err;
}

describe("a system of two cells and a gateway", () => {
  let system: Tandem;

  beforeAll(async () => {
    system = await startTandem();
  });

  afterAll(async () => {
    await system.stop();
  });

  it("is ready within 20 s, says each step, and ends with ready", () => {
    expect(system.readyMs).toBeLessThan(20_000);
    const steps = system.events.filter(({ event }) => event === "step").map(({ step }) => step);
    expect(steps).toEqual(["bundle", "certificate", "cells", "gateways", "subscribers"]);
    expect(system.events.at(-1)?.event).toBe("ready");
  });

  it("writes run.json with the processes' own ids", () => {
    const { run, firstPort: port } = system;
    expect(run).toEqual({
      domain: "example.test",
      cells: [
        { id: "a", pid: expect.any(Number), url: `http://127.0.0.1:${port + 2}`, version },
        { id: "b", pid: expect.any(Number), url: `http://127.0.0.1:${port + 3}`, version },
      ],
      gateways: [
        {
          id: "g1",
          pid: expect.any(Number),
          version,
          listeners: [
            { transport: "UDP", host: "127.0.0.1", port },
            { transport: "TCP", host: "127.0.0.1", port },
            { transport: "TLS", host: "127.0.0.1", port: port + 1 },
          ],
        },
      ],
    });
    if (process.platform !== "linux") return;
    const programs = childrenOf(system).map(({ pid }) => readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, 2).join(" "));
    expect(programs).toEqual([
      expect.stringMatching(/workerd serve$/),
      expect.stringMatching(/workerd serve$/),
      expect.stringMatching(/node \S*gateway\/index\.ts$/),
    ]);
  });

  it("shows its status, as JSON to the letter", async () => {
    // All cells of a machine run one script.
    const script = expect.stringMatching(/^[0-9a-f]{12}$/) as unknown;
    expect(await statusOf(system)).toEqual({
      cells: [
        { id: "a", state: "up", epoch: expect.any(Number), heardMs: 0, version, code: script },
        {
          id: "b",
          state: "up",
          epoch: expect.any(Number),
          heardMs: expect.any(Number),
          delayMs: expect.any(Number),
          version,
          code: script,
        },
      ],
      gateways: [
        {
          id: "g1",
          state: "up",
          version,
          heardMs: expect.any(Number),
          isNative: expect.any(Boolean),
          datagramsLost: 0,
          datagramsDropped: 0,
          datagramsPaced: 0,
          shed: 0,
          noise: 0,
          noisySources: 0,
        },
      ],
      registrations: 0,
      dialogs: 0,
      loadBalance: 0,
      coordinator: "a",
      exchanges: [
        { exchange: 0, primary: "a", secondary: "b", state: "paired" },
        { exchange: 1, primary: "b", secondary: "a", state: "paired" },
      ],
      risk: "Any one cell may fail now, and nothing is lost.",
      heartbeat: { periodMs: 1_000, missed: 3 },
      signaturesRefused: 0,
      history: expect.any(Array),
    });
    const { code, out } = await system.cli("status");
    expect(code).toBe(0);
    expect(out).toMatch(/^Domain example\.test, coordinator a\n\nCELL {2}STATE {2}EPOCH {2}HEARD {6}MISSED {2}DELAY\na {5}up /);
    expect(out).toContain("\nAny one cell may fail now, and nothing is lost.\n");
  });

  it("shows its group, and takes who is to coordinate it without a restart", async () => {
    const groupOf = async (): Promise<unknown> => JSON.parse((await system.cli("group", "--json")).out);
    expect(await groupOf()).toMatchObject({
      coordinator: "a",
      members: [
        { id: "a", kind: "cell", state: "up", weight: 1, primaries: 1, replicas: 2 },
        { id: "b", kind: "cell", state: "up", weight: 1, primaries: 1, replicas: 2 },
        { id: "g1", kind: "gateway", state: "up" },
      ],
      // Where cell a takes long to start, cell b does it.
      singletons: [{ name: "call-records", policy: "one of N", owner: expect.stringMatching(/^[ab]$/), epoch: expect.any(Number) }],
      exchanges: [{ state: "paired" }, { state: "paired" }],
    });
    expect(await system.cli("group", "prefer", "b")).toEqual({
      code: 0,
      out: "The coordinator is the first cell that lives, in this order: b, then all others\n",
      err: "",
    });
    await until(async () => JSON.stringify(await statusOf(system)).includes('"coordinator":"b"'));
    expect((await system.cli("group")).out).toMatch(
      /^Coordinator b, preferred b; view \d+, map \d+ of cell [ab]; a dead cell is waited for 30 s\n\nMEMBER /,
    );
    expect(await system.cli("group", "prefer", "z")).toMatchObject({ code: 1, err: "tandem: there is no cell z\n" });
    expect(await system.cli("group", "heal-after", "0")).toMatchObject({ code: 2 });
    expect(await system.cli("group", "heal-after", "60")).toMatchObject({ code: 0 });
    await until(async () => JSON.stringify(await groupOf()).includes('"healAfterMs":60000'));
    expect(await system.cli("group", "prefer")).toMatchObject({ code: 0 });
    await until(async () => JSON.stringify(await statusOf(system)).includes('"coordinator":"a"'));
  });

  it("has nobody registered", async () => {
    expect(await system.cli("registrations", "--json")).toEqual({ code: 0, out: "[]\n", err: "" });
    expect(await system.cli("registrations")).toEqual({ code: 0, out: "Nobody is registered.\n", err: "" });
    expect(await system.cli("registrations", "alice")).toEqual({ code: 0, out: "alice is not registered.\n", err: "" });
  });

  it("provisions subscribers; a password that was changed is not printed any more", async () => {
    const domain = "example.test";
    const file = join(system.state, "import.csv");
    expect(await system.cli("subscriber", "list")).toMatchObject({ code: 0, out: `alice@${domain}\nbob@${domain}\ncarol@${domain}\n` });
    expect(await system.cli("subscriber", "add", "dave", "--password", "p")).toMatchObject({
      code: 0,
      out: `dave@${domain} may register\n`,
    });
    expect(await system.cli("subscriber", "add", `sip:carol@${domain}`, "--password", "p")).toMatchObject({
      code: 0,
      out: `carol@${domain} was there already: the password is changed\n`,
    });
    writeFileSync(file, "aor,password\nerin,p1\nfrank,p2\n");
    expect(await system.cli("subscriber", "import", file)).toEqual({ code: 0, out: "2 subscribers imported\n", err: "" });
    expect(await system.cli("subscriber", "remove", "bob")).toMatchObject({ code: 0, out: `bob@${domain} is removed\n` });
    expect(await system.cli("subscriber", "remove", "bob")).toEqual({ code: 1, out: "", err: `tandem: bob@${domain} is no subscriber\n` });
    const { out } = await system.cli("subscriber", "list", "--json");
    expect(JSON.parse(out)).toEqual(["alice", "carol", "dave", "erin", "frank"].map((user) => `${user}@${domain}`));
    expect(Object.keys(JSON.parse(readFileSync(join(system.state, "passwords.json"), "utf8")).passwords)).toEqual([`alice@${domain}`]);
    expect(await system.cli("subscriber", "import", file)).toMatchObject({
      out: "2 subscribers imported, 2 of them were there already: their passwords are changed\n",
    });
    expect(await system.cli("subscriber", "import", system.state)).toEqual({
      code: 1,
      out: "",
      err: `tandem: ${system.state} is a directory: name the CSV file\n`,
    });
    writeFileSync(file, "aor,password\nzoe,p1\n,p2\n");
    expect(await system.cli("subscriber", "import", file)).toEqual({
      code: 1,
      out: "",
      err: `tandem: ${file}: line 3: : "" is no user of a SIP address: it is empty (nothing was imported)\n`,
    });
  });

  it("is found by --url with the secret, and by no other secret", async () => {
    const url = system.run.cells[1]?.url ?? "";
    const secret = readFileSync(join(system.state, "secret"), "utf8").trim();
    expect(await tandem(["status", "--json", "--url", url], { TANDEM_SECRET: secret })).toMatchObject({ code: 0, err: "" });
    expect(await tandem(["status", "--json"], { TANDEM_URL: url, TANDEM_SECRET: secret })).toMatchObject({ code: 0, err: "" });
    expect(await tandem(["status", "--url", url], { TANDEM_SECRET: "0".repeat(64) })).toEqual({
      code: 1,
      out: "",
      err: `tandem: ${url} does not accept this secret (or the clocks differ by more than 30 s)\n`,
    });
  });

  it("serves TLS with a certificate of its own authority", async () => {
    const ca = readFileSync(join(system.state, "tls", "ca.pem"));
    const socket = connect({ host: "127.0.0.1", port: system.firstPort + 1, ca, servername: "example.test" });
    await once(socket, "secureConnect");
    expect(socket.authorized).toBe(true);
    socket.destroy();
  });

  it("keeps its secrets to itself", () => {
    for (const name of ["secret", "passwords.json", "tls/key.pem", "tls/ca-key.pem"]) {
      expect(statSync(join(system.state, name)).mode & 0o077).toBe(0);
    }
    const secret = readFileSync(join(system.state, "secret"), "utf8").trim();
    for (const name of ["cell-a.capnp", "gateway-g1.toml", "run.json"]) {
      expect(readFileSync(join(system.state, name), "utf8")).not.toContain(secret);
    }
  });

  it("refuses a second start with its directory, or on its ports, before anything starts", async () => {
    expect(await system.cli("up")).toEqual({
      code: 1,
      out: "",
      err: `tandem: ${system.state} is in use by a running tandem (process ${system.pid}): stop it, or use another --state\n`,
    });
    const other = temporaryDirectory();
    expect(await tandem(["up", "--state", other, "--sip", `127.0.0.1:${system.firstPort}`])).toEqual({
      code: 1,
      out: "",
      err: `tandem: 127.0.0.1:${system.firstPort} is in use by another process; gateway g1 for UDP needs it (--sip)\n`,
    });
    expect(existsSync(join(other, "cells"))).toBe(false);
  });

  it("starts each killed process again, and keeps what it knew", async () => {
    for (const { name, pid } of childrenOf(system)) {
      process.kill(pid, "SIGKILL");
      const said = (event: string): boolean => system.events.some((one) => one.event === event && one["process"] === name);
      await until(() => said("died") && said("restarted"));
      const now = childrenOf(system).find((child) => child.name === name);
      expect(now?.pid).not.toBe(pid);
      expect(isGone(pid)).toBe(true);
    }
    await until(async () => JSON.stringify(await statusOf(system)).includes('"gateways":[{"id":"g1","state":"up"'));
    expect((await system.cli("subscriber", "list")).out).toContain("dave@example.test");
  });
});

describe("stopping", () => {
  it.each(["SIGINT", "SIGTERM"] as const)("%s ends everything within 3 s, open WebSockets or not", async (signal) => {
    const system = await start();
    const children = childrenOf(system);
    const socket = new WebSocket(system.run.cells[0]?.url.replace("http", "ws") ?? "", "sip");
    await once(socket, "open");
    const closed = once(socket, "close");
    socket.on("error", () => undefined);
    const { code, ms } = await system.stop(signal);
    expect(code).toBe(0);
    expect(ms).toBeLessThan(3_000);
    expect(children.filter(({ pid }) => !isGone(pid))).toEqual([]);
    await closed;
  });

  it("leaves no process when the command itself is killed, and the next start takes over", async () => {
    const state = temporaryDirectory();
    const killed = await start({ state });
    const children = childrenOf(killed);
    await killed.stop("SIGKILL");
    await until(() => children.every(({ pid }) => isGone(pid)));
    expect(existsSync(join(state, "run.json"))).toBe(true);
    const again = await start({ state, firstPort: killed.firstPort });
    expect(await statusOf(again)).toMatchObject({ cells: [{ state: "up" }, { state: "up" }] });
  });
});

describe("starting again", () => {
  it("uses the directory's data: passwords, subscribers, domain and exchanges; conflicts are refused", async () => {
    const state = temporaryDirectory();
    const first = await start({ state, domain: "again.test", exchanges: 3 });
    await first.cli("subscriber", "add", "dave", "--password", "p");
    await first.stop();
    expect(existsSync(join(state, "run.json"))).toBe(false);
    expect(await first.cli("status")).toMatchObject({ code: 1, err: expect.stringMatching(/^tandem: not running: /) });
    const second = await start({ state });
    expect(second.domain).toBe("again.test");
    expect(second.passwords).toEqual(first.passwords);
    expect((await second.cli("subscriber", "list")).out).toContain("dave@again.test\n");
    await second.stop();
    expect(await tandem(["up", "--state", state, "--exchanges", "4"])).toEqual({
      code: 2,
      out: "",
      err: `tandem: --exchanges 4: ${state} was made with --exchanges 3; use another --state\n`,
    });
  });
});

describe("options", () => {
  it("--no-restart leaves a dead cell dead, and the other one answers", async () => {
    const system = await start({ restart: false });
    const [cell] = childrenOf(system);
    process.kill(cell?.pid ?? 0, "SIGKILL");
    await until(() => system.events.some(({ event }) => event === "died"));
    await until(async () => JSON.stringify(await statusOf(system)).includes('"cells":[{"id":"a","state":"down"'));
    expect(await statusOf(system)).toMatchObject({ cells: [{ id: "a" }, { id: "b", state: "up" }], coordinator: "b" });
    await until(async () =>
      JSON.stringify(await statusOf(system)).includes("If cell b failed now, exchanges 0, 1 would have nobody until it is back."),
    );
    expect(system.events.some(({ event }) => event === "restarted")).toBe(false);
  });

  it("--gateways 2 --cells 3 --auth open: more of each, and no passwords", async () => {
    const system = await start({ gateways: 2, cells: 3, auth: "open" });
    expect(system.passwords).toEqual({});
    expect(system.run.gateways.map(({ listeners }) => listeners.map(({ port }) => port - system.firstPort))).toEqual([
      [0, 0, 1],
      [2, 2, 3],
    ]);
    expect(await statusOf(system)).toMatchObject({
      gateways: [
        { id: "g1", state: "up" },
        { id: "g2", state: "up" },
      ],
    });
    expect(childrenOf(system).map(({ name }) => name)).toEqual(["cell a", "cell b", "cell c", "gateway g1", "gateway g2"]);
  });

  it("--state with a directory that others may read: they read no key there, and no secret", async () => {
    const state = temporaryDirectory();
    chmodSync(state, 0o755);
    await start({ state, listen: true, gateways: 1 });
    const key = readFileSync(join(state, "authority", "key.pem"), "utf8").split("\n")[1] ?? "";
    const secrets = [readFileSync(join(state, "secret"), "utf8").trim(), key];
    expect(secrets.map(({ length }) => length)).toEqual([64, 64]);
    const open = openToOthers(state);
    expect(open.map(({ name }) => name)).toContain("run.json");
    expect(open.filter(({ text }) => secrets.some((secret) => text.includes(secret)))).toEqual([]);
    expect(open.map(({ name }) => name).filter((name) => name.includes("/") && !name.startsWith("bundle/"))).toEqual([]);
  });

  it("--sip [::1]: everything over IPv6", async () => {
    const system = await start({ host: "[::1]" });
    expect(system.run.cells[0]?.url).toBe(`http://[::1]:${system.firstPort + 2}`);
    expect(await statusOf(system)).toMatchObject({ cells: [{ state: "up" }, { state: "up" }], gateways: [{ state: "up" }] });
  });
});
