import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { freePorts } from "../../kit/world/free-ports.ts";
import { RecordKind } from "../../cluster/backhaul/frame.ts";
import { FakeCell, mapOf, mirror, secret } from "./fake-cell.ts";
import { Started, listenerOf, nativeDatagrams } from "./harness.ts";
import { Gateway } from "../../gateway/gateway.ts";
import { configOf } from "./harness.ts";
import { standstillMsMin } from "../../actors/limits.ts";
import { Inbox, StreamPhone, UdpPhone } from "./phones.ts";
import { requestText } from "./sip-text.ts";

const started = new Started();
afterEach(() => started.end());

const program = join(import.meta.dirname, "../../gateway/index.ts");

type Run = { readonly child: ChildProcess; readonly out: Inbox; readonly err: Inbox; readonly exit: Promise<number | string> };

function run(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Run {
  const child = spawn(process.execPath, [program, ...args], {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...process.env, ...environment },
    // As those that `tandem up` starts: without the terminal of whoever runs the tests.
    detached: true,
  });
  const out = new Inbox();
  const err = new Inbox();
  child.stdout.on("data", (data: Buffer) => out.push(data.toString()));
  child.stderr.on("data", (data: Buffer) => err.push(data.toString()));
  const exit = new Promise<number | string>((resolve) => {
    child.on("close", (code, signal) => resolve(code ?? signal ?? "?"));
  });
  started.add(async () => {
    child.kill("SIGKILL");
    await exit;
  });
  return { child, out, err, exit };
}

async function fileFor(cell: FakeCell, port: number, transports: readonly string[] = ["udp", "tcp"]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "tandem-gateway-"));
  started.add(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "gateway.toml");
  const listeners = transports.map((transport) => `[[listeners]]\ntransport = "${transport}"\nhost = "127.0.0.1"\nport = ${port}\n`);
  writeFileSync(file, `name = "g1"\nsecret = "${secret}"\n[[cells]]\nid = "a"\nurl = "${cell.url}"\n${listeners.join("")}`);
  return Promise.resolve(file);
}

function message(callId: string, transport = "TCP"): string {
  const via = `SIP/2.0/${transport} 192.0.2.9:5060;rport;branch=z9hG4bK${callId}`;
  return requestText("MESSAGE", "sip:bob@example.test", { callId, via });
}

async function startCell(): Promise<FakeCell> {
  const cell = await new FakeCell("a").start();
  cell.map = mapOf([cell]);
  started.add(() => cell.stop());
  return cell;
}

describe("the process", () => {
  test.runIf(process.platform === "linux").each([
    ["has code of its own for datagrams", {}, true],
    ["has Node's sockets only, when the environment says so", { TANDEM_NATIVE: "off" }, false],
    ["has Node's sockets only, in whatever case the environment says so", { TANDEM_NATIVE: "Off" }, false],
  ])("%s", async (_name, environment, isNative) => {
    const cell = await startCell();
    cell.answer = mirror;
    const port = await freePorts(1);
    const { child, out, err } = run(["--config", await fileFor(cell, port, ["udp"])], environment);
    await out.untilText("\n");
    await cell.until(() => cell.backhauls.size === 1, "the backhaul");
    const phone = await UdpPhone.open();
    started.add(() => phone.close());
    phone.send(message("datagram", "UDP"), port);
    await phone.inbox.untilText("datagram");
    expect(readFileSync(`/proc/${child.pid}/maps`, "utf8").includes("gateway/native/linux-")).toBe(isNative);
    expect(err.all).toBe("");
  });

  test("reads its file again at a SIGHUP, and says in one line what has changed, what counts later, or what is wrong", async () => {
    const cell = await startCell();
    cell.answer = mirror;
    const [port, other] = [await freePorts(1), await freePorts(1)];
    const file = await fileFor(cell, port, ["tcp"]);
    const { child, out } = run(["--config", file]);
    await out.untilText("ready\n");
    await cell.until(() => cell.backhauls.size === 1, "the backhaul");
    const phone = await StreamPhone.tcp(port);
    started.add(() => phone.close());
    const good = readFileSync(file, "utf8");
    const reloads: readonly (readonly [text: string, said: string])[] = [
      [good, "gateway g1 reloaded: nothing\n"],
      [`${good}[limits]\nconnections = 7\n`, "gateway g1 reloaded: limits.connections\n"],
      [good.replace(String(port), String(other)), "gateway g1 reloaded: limits.connections; from the next start on: listeners\n"],
      [`${good}[limits\n`, `gateway g1 not reloaded: ${file}: line ${good.split("\n").length}: `],
      [
        `${good}[limits]\nconnections = 0\n`,
        `gateway g1 not reloaded: ${file}: limits.connections: must be a whole number from 1 to 1000000, is 0\n`,
      ],
    ];
    for (const [text, said] of reloads) {
      const before = out.all.length;
      writeFileSync(file, text);
      child.kill("SIGHUP");
      await out.until((all) => all.slice(before).startsWith(said) && all.endsWith("\n"), said);
    }
    rmSync(file);
    child.kill("SIGHUP");
    await out.untilText(`gateway g1 not reloaded: ${file} does not exist\n`);
    phone.send(message("stands"));
    await phone.inbox.untilText("stands");
    expect(child.exitCode).toBe(null);
  });

  test("stopped and continued: it does not blame the cells for answers that it has not read yet", async () => {
    const cell = await startCell();
    const port = await freePorts(1);
    const { child, out } = run(["--config", await fileFor(cell, port)]);
    await out.untilText("\n");
    await cell.until(() => cell.backhauls.size === 1, "the backhaul");
    const phone = await UdpPhone.open();
    started.add(() => phone.close());
    cell.acknowledges = false;
    phone.send(requestText("MESSAGE", "sip:bob@example.test", { callId: "before" }), port);
    await cell.until(() => cell.messages().length === 1, "the message");
    const [backhaul] = cell.backhauls.values();
    const attempts = cell.attempts.length;
    child.kill("SIGSTOP");
    cell.acknowledges = true;
    if (backhaul !== undefined) backhaul.done = backhaul.received;
    backhaul?.acknowledge();
    // Longer than 3 periods of 100 ms, which is what a cell may be silent.
    const begin = performance.now();
    await cell.until(() => performance.now() - begin > 1_000, "a second");
    child.kill("SIGCONT");
    phone.send(requestText("MESSAGE", "sip:bob@example.test", { callId: "after" }), port);
    await cell.until(() => cell.messages().length === 2, "the next message");
    expect(cell.ofKind(RecordKind.message).map((arrival) => arrival.backhaul)).toEqual([backhaul, backhaul]);
    expect(cell.attempts.length).toBe(attempts);
  });

  test("stopped and continued: no call of a phone that has gone, those of the others, and new requests in datagrams when they are said again", async () => {
    const cell = await startCell();
    const port = await freePorts(1);
    const { child, out } = run(["--config", await fileFor(cell, port)]);
    await out.untilText("\n");
    await cell.until(() => cell.backhauls.size === 1, "the backhaul");
    const [gone, there, datagrams] = [await StreamPhone.tcp(port), await StreamPhone.tcp(port), await UdpPhone.open()];
    for (const phone of [gone, there, datagrams]) started.add(() => phone.close());
    gone.send(message("before"));
    await cell.until(() => cell.messages().length === 1, "a message");
    child.kill("SIGSTOP");
    const begin = performance.now();
    gone.send(message("gone"));
    gone.socket.end();
    there.send(message("there"));
    datagrams.send(message("datagram", "UDP"), port);
    datagrams.send(requestText("REGISTER", "sip:example.test", { callId: "register" }), port);
    await cell.until(() => performance.now() - begin > standstillMsMin + 500, "that the process has stood still");
    child.kill("SIGCONT");
    const callIds = (): string[] => cell.messages().map((text) => /Call-ID: (\S+)/.exec(text)?.[1] ?? "");
    await cell.until(() => callIds().includes("there"), "the message of the phone that waits");
    datagrams.send(message("datagram", "UDP"), port);
    await cell.until(() => callIds().includes("datagram"), "what is said again");
    expect(callIds()).toEqual(["before", "register", "there", "datagram"]);
  });

  test("says ready when it listens, carries messages, and stops on SIGTERM within a second", async () => {
    const cell = await startCell();
    cell.answer = mirror;
    const port = await freePorts(1);
    const { child, out, exit } = run(["--config", await fileFor(cell, port)]);
    expect(await out.untilText("\n")).toBe("gateway g1 ready\n");
    const phone = await UdpPhone.open();
    started.add(() => phone.close());
    phone.send(requestText("MESSAGE", "sip:bob@example.test"), port);
    await phone.inbox.untilText("MESSAGE");
    const begin = performance.now();
    child.kill("SIGTERM");
    expect(await exit).toBe(0);
    expect(performance.now() - begin).toBeLessThan(1_000);
  });

  test("--json: one JSON line with what it listens on", async () => {
    const port = await freePorts(1);
    const { child, out } = run(["--config", await fileFor(await startCell(), port), "--json"]);
    expect(JSON.parse(await out.untilText("\n"))).toEqual({
      event: "ready",
      gateway: "g1",
      pid: child.pid,
      listeners: [
        { transport: "UDP", host: "127.0.0.1", port },
        { transport: "TCP", host: "127.0.0.1", port },
      ],
    });
  });

  test("--supervised: ends when its stdin does", async () => {
    const { child, out, exit } = run(["--config", await fileFor(await startCell(), await freePorts(1)), "--supervised"]);
    await out.untilText("ready");
    child.stdin?.end();
    expect(await exit).toBe(0);
  });

  test("--parent-pid: ends when that process is gone", async () => {
    const parent = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
    const gone = new Promise((resolve) => {
      parent.on("close", resolve);
    });
    started.add(() => parent.kill("SIGKILL"));
    const { out, exit } = run(["--config", await fileFor(await startCell(), await freePorts(1)), "--parent-pid", String(parent.pid)]);
    await out.untilText("ready");
    parent.kill("SIGKILL");
    await gone;
    expect(await exit).toBe(0);
  });

  test("kill -9 and start again in the middle of a call over UDP: the call goes on", async () => {
    const cell = await startCell();
    const file = await fileFor(cell, await freePorts(1));
    const port = Number(/port = (\d+)/.exec(await readText(file))?.[1]);
    const first = run(["--config", file]);
    await first.out.untilText("ready");
    const phone = await UdpPhone.open();
    started.add(() => phone.close());
    phone.send(requestText("INVITE", "sip:bob@example.test"), port);
    await cell.until(() => cell.messages().length === 1, "the INVITE");
    const key = cell.ofKind(RecordKind.message)[0]?.record.key ?? "";
    const before = cell.backhauls.get(0);
    first.child.kill("SIGKILL");
    await first.exit;
    const second = run(["--config", file]);
    await second.out.untilText("ready");
    // At once, before the new process can have a map or a backhaul.
    phone.send(requestText("BYE", "sip:bob@example.test"), port);
    await cell.until(() => cell.messages().length === 2, "the BYE");
    expect(cell.backhauls.get(0)).not.toBe(before);
    cell.backhauls.get(0)?.send([{ kind: RecordKind.send, key, octets: Buffer.from("200 for the BYE") }]);
    await phone.inbox.untilText("200 for the BYE");
  });
});

async function readText(file: string): Promise<string> {
  const { readFile } = await import("node:fs/promises");
  return readFile(file, "utf8");
}

describe("what it cannot do, it says in one line", () => {
  test.each(["udp", "tcp"])("exit 1: a second instance for the same cluster address (%s)", async (transport) => {
    const cell = await startCell();
    const port = await freePorts(1);
    const file = await fileFor(cell, port, [transport]);
    const first = run(["--config", file]);
    await first.out.untilText("ready");
    const second = run(["--config", file]);
    expect(await second.exit).toBe(1);
    expect(second.err.all).toBe(
      `gateway: ${transport.toUpperCase()} 127.0.0.1:${port} is in use: another gateway already serves this cluster address on this machine (or another program its port)\n`,
    );
    expect(second.out.all).toBe("");
  });

  test("exit 1: an address that the machine does not have", async () => {
    const { err, exit } = run([
      "--name",
      "g1",
      "--cell",
      "a=http://127.0.0.1:1",
      "--listen",
      "udp:192.0.2.1:5060",
      "--secret-file",
      program,
    ]);
    expect(await exit).toBe(1);
    expect(err.all).toBe(
      "gateway: UDP 192.0.2.1:5060 is no address of this machine: add the cluster address first, for example to the loopback interface\n",
    );
  });

  test("exit 2: TANDEM_NATIVE that is neither on nor off", async () => {
    const { err, exit } = run(["--config", await fileFor(await startCell(), await freePorts(1))], { TANDEM_NATIVE: "no" });
    expect(await exit).toBe(2);
    expect(err.all).toBe("gateway: TANDEM_NATIVE takes on or off, is no\n");
  });

  test("exit 2: a wrong configuration", async () => {
    const file = await fileFor(await startCell(), 70_000);
    const { err, exit } = run(["--config", file]);
    expect(await exit).toBe(2);
    expect(err.all).toBe(`gateway: ${file}: listeners[0].port: must be a whole number from 1 to 65535, is 70000\n`);
  });

  test("exit 1: it advertises what the cells' map has as a domain", async () => {
    const cell = await startCell();
    const file = await fileFor(cell, await freePorts(1), ["udp"]);
    writeFileSync(file, `${readFileSync(file, "utf8")}advertise = "example.test:5060"\n`);
    const { err, exit } = run(["--config", file]);
    expect(await exit).toBe(1);
    expect(err.all).toMatch(/^gateway: it advertises example\.test, which is a SIP domain: give its machine another name: [^\n]+\n$/m);
  });

  test("exit 1: a file that is not there", async () => {
    const { err, exit } = run(["--config", "/nowhere/gateway.toml"]);
    expect(await exit).toBe(1);
    expect(err.all).toBe("gateway: /nowhere/gateway.toml does not exist\n");
  });

  test("when one listener cannot be had, those that could are given back", async () => {
    const taken = createSocket("udp4");
    await new Promise<void>((resolve) => {
      taken.bind(0, "127.0.0.1", resolve);
    });
    started.add(() => taken.close());
    const free = await freePorts(1);
    const listeners = [listenerOf("TCP", "127.0.0.1", free), listenerOf("UDP", "127.0.0.1", taken.address().port)];
    const gateway = new Gateway(configOf([new FakeCell("a")], listeners), () => {}, nativeDatagrams());
    await expect(gateway.start()).rejects.toThrow(/is in use/);
    const again = createServer();
    await new Promise<void>((resolve, reject) => {
      again.once("error", reject).listen(free, "127.0.0.1", resolve);
    });
    again.close();
  });
});
