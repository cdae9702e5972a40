import { rmSync } from "node:fs";
import { connect as connectPlain, type Socket } from "node:net";
import { request as requestHttps } from "node:https";
import { connect as connectTls, createServer as createTlsServer, type Server } from "node:tls";
import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Failure, Refusal } from "../../cli/errors.ts";
import { type DoorTls, JoinDoor, type JoinDoorOptions } from "../../cli/join-door.ts";
import { askDoor, openDoor } from "../../cli/join-request.ts";
import { joinBodyOctetsMax, joinClockMsMax, joinSocketsMax, joinSocketsPerSourceMax, joinTriesPerSourceMax } from "../../cli/limits.ts";
import { LocalMembers } from "../../cli/local-members.ts";
import { protocolVersion } from "../../cluster/protocol-version.ts";
import type { MembersAdded } from "../../schemas/api-answers.ts";
import { until } from "../../kit/world/until.ts";
import { forgedTls, type OfferedHost, offeredHost } from "./joining.ts";

const host = "127.0.0.1";
const added: MembersAdded = { certificates: [], authority: "", cells: [], map: "{}" };

let offered: OfferedHost;
const doors: JoinDoor[] = [];
const servers: Server[] = [];
const said: string[] = [];

beforeEach(() => {
  offered = offeredHost();
});
afterEach(() => {
  for (const door of doors.splice(0)) door.close();
  for (const server of servers.splice(0)) server.close();
  said.splice(0);
  rmSync(offered.state.path, { recursive: true, force: true });
});

async function openedDoor(options: Partial<JoinDoorOptions> = {}): Promise<string> {
  const door = new JoinDoor({
    host,
    port: 0,
    tls: offered.tls,
    release: "1.2.3",
    admit: () => Promise.resolve(added),
    said: (event, text) => void said.push(`${event} ${text}`),
    ...options,
  });
  doors.push(door);
  return `https://${host}:${await door.listen()}`;
}

/** A machine that joins as `h2`. */
function newcomer(): LocalMembers {
  return new LocalMembers(offered.state, "h2", { gateways: [] });
}

type Asked = { readonly token?: string; readonly release?: string; readonly now?: number; readonly who?: LocalMembers };

async function ask(
  url: string,
  { token = offered.token, release = "1.2.3", now = Date.now(), who = newcomer() }: Asked = {},
): Promise<unknown> {
  const door = await openDoor(url, offered.fingerprint);
  return await askDoor(door, { token, release, members: who.requests([]), key: who.hostPrivateKey }, now);
}

/** The status and body of a request that no newcomer writes. */
function post(
  url: string,
  body: string,
  headers: Record<string, string> = {},
  method = "POST",
): Promise<{ status: number; text: string; retryAfter: string }> {
  return new Promise((answered, failed) => {
    const outgoing = requestHttps(url, { method, ca: offered.tls.ca, agent: false, headers }, (incoming) => {
      let text = "";
      incoming.on("data", (chunk) => void (text += String(chunk)));
      incoming.once("end", () => answered({ status: incoming.statusCode ?? 0, text, retryAfter: String(incoming.headers["retry-after"]) }));
    });
    outgoing.once("error", failed);
    outgoing.end(body);
  });
}

/** Somebody who listens with these certificates, and what was said to him. */
async function middleman(tls: DoorTls): Promise<{ readonly url: string; readonly heard: () => number }> {
  let heard = 0;
  const server = createTlsServer({ cert: `${tls.cert}${tls.ca}`, key: tls.key, minVersion: "TLSv1.3" }, (socket) => {
    socket.on("error", () => undefined);
    socket.on("data", (chunk) => void (heard += chunk.length));
  });
  servers.push(server);
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  server.listen(0, host);
  await once(server, "listening");
  const address = server.address();
  return { url: `https://${host}:${typeof address === "object" ? address?.port : 0}`, heard: () => heard };
}

/** What is the same in all versions. */
function versionsIn(change: object): string {
  return JSON.stringify({ form: 1, protocol: protocolVersion, release: "0.9.0", whatever: 1, ...change });
}

describe("a join door", () => {
  it("gives what a cell has made of the request, and says where it sees the newcomer", async () => {
    const asked: unknown[] = [];
    const url = await openedDoor({
      admit: (token, members) => {
        asked.push(
          token,
          members.map(({ id }) => id),
        );
        return Promise.resolve({ ...added, keyring: "a keyring", map: '{"version":7}' });
      },
    });
    expect(await ask(url)).toEqual({ certificates: [], keyring: "a keyring", map: '{"version":7}', from: host });
    expect(asked).toEqual([offered.token, ["h2"]]);
    expect(said).toEqual([`joined host h2 at ${host}`]);
  });

  it("shows the certificate that it was given last", async () => {
    const url = await openedDoor();
    doors[0]?.renew(offered.gatewayTls);
    await expect(ask(url)).rejects.toThrow("its certificate is not for that address");
    doors[0]?.renew(offered.tls);
    expect(await ask(url)).toMatchObject({ from: host });
  });

  it("says in the cell's words why it does not let somebody in, and not what is wrong behind it", async () => {
    const refusing = await openedDoor({ admit: () => Promise.reject(new Refusal("the token has been used by host h3")) });
    await expect(ask(refusing)).rejects.toThrow(new Failure("the token has been used by host h3"));
    const alone = await openedDoor({ admit: () => Promise.reject(new Failure("not running: https://192.0.2.1:8841: connection refused")) });
    await expect(ask(alone)).rejects.toThrow(new Failure("no cell of this system answers now: try again"));
    const broken = await openedDoor({ admit: () => Promise.reject(new TypeError("x is undefined")) });
    await expect(ask(broken)).rejects.toThrow(new Failure("this failed here"));
  });

  it("says when a clock is off, and by how much", async () => {
    const url = await openedDoor();
    await expect(ask(url, { now: Date.now() - 95_000 })).rejects.toThrow(/clock of this machine is off by (?:9[4-9]|1\d\d) s \(behind\)/);
    await expect(ask(url, { now: Date.now() + 3_600_000 })).rejects.toThrow(/off by (?:3600|35\d\d) s \(ahead\)/);
    expect(await ask(url, { now: Date.now() + joinClockMsMax / 2 })).toMatchObject({ from: host });
  });

  it("says both versions when they differ", async () => {
    const url = await openedDoor();
    const older = await post(`${url}/join`, versionsIn({ protocol: protocolVersion - 1 }));
    expect(older).toMatchObject({
      status: 409,
      text: expect.stringMatching(/\(Tandem 0\.9\.0\).*\(Tandem 1\.2\.3\).*upgrade this machine/) as string,
    });
    expect((await post(`${url}/join`, versionsIn({ protocol: protocolVersion + 1 }))).text).toMatch(/upgrade the system/);
    expect((await post(`${url}/join`, versionsIn({ form: 2 }))).text).toMatch(
      /in form 2, the system \(Tandem 1\.2\.3\) in form 1: upgrade the system/,
    );
  });

  it("asks no cell for what it sees is wrong by itself", async () => {
    let asked = 0;
    const url = await openedDoor({ admit: () => ((asked += 1), Promise.resolve(added)) });
    await expect(ask(url, { token: "nonsense" })).rejects.toThrow("this is no token of tandem invite");
    await expect(ask(url, { token: offered.token.replace(offered.fingerprint, "0".repeat(64)) })).rejects.toThrow(
      "the token is of another system",
    );
    // It has the public key of another host, and not its own.
    const [own, other] = [newcomer(), new LocalMembers(offered.state, "h3", { gateways: [] })];
    const door = await openDoor(url, offered.fingerprint);
    const asking = { token: offered.token, release: "1.2.3", members: other.requests([]), key: own.hostPrivateKey };
    await expect(askDoor(door, asking, Date.now())).rejects.toThrow("the request is not signed by the host that it names");
    for (const [text, reason] of [
      ["", "no request to join"],
      ["[]", "no request to join"],
      ["{", "no request to join"],
      [JSON.stringify({ form: 1, protocol: protocolVersion, release: "1.2.3" }), "is missing"],
    ] as const)
      expect(await post(`${url}/join`, text)).toMatchObject({ status: 400, text: expect.stringContaining(reason) as string });
    expect(asked).toBe(0);
  });
});

describe("strangers at a join door", () => {
  it("find nothing else there", async () => {
    const url = await openedDoor();
    expect(await post(url, "")).toMatchObject({ status: 404 });
    expect(await post(`${url}/join`, "", {}, "GET")).toMatchObject({ status: 404 });
    expect(await post(`${url}/join?x`, "{}")).toMatchObject({ status: 404 });
    expect(await post(`${url}/api/status`, "{}")).toMatchObject({ status: 404 });
  });

  it("have a bound for what they send", async () => {
    const url = await openedDoor();
    expect(await post(`${url}/join`, "x".repeat(joinBodyOctetsMax + 1))).toMatchObject({ status: 413 });
    await expect(post(`${url}/join`, "{}", { padding: "x".repeat(20_000) })).rejects.toThrow(/ECONNRESET|socket hang up|EPIPE/);
  });

  it("have a bound for how often they try", async () => {
    const url = await openedDoor();
    for (let tries = 0; tries < joinTriesPerSourceMax; tries += 1) await post(`${url}/join`, "");
    expect(await post(`${url}/join`, "")).toMatchObject({ status: 429, retryAfter: "60" });
  });

  it("have a bound for connections, and one source does not hold all", async () => {
    const url = await openedDoor();
    const held = new Set<Socket>();
    const connectNext = (): void => {
      const socket = connectPlain(Number(new URL(url).port), host);
      held.add(socket);
      socket.on("error", () => undefined);
      socket.once("close", () => held.delete(socket));
    };
    for (let count = 0; count < joinSocketsMax; count += 1) connectNext();
    await until(() => held.size === joinSocketsPerSourceMax);
    for (const socket of held) socket.destroy();
    await until(() => held.size === 0);
    expect(await ask(url)).toMatchObject({ from: host });
  });

  it("do not keep a newcomer out, though they hold all and come again when they are turned away", async () => {
    const url = await openedDoor();
    const [all, held] = [new Set<Socket>(), new Set<Socket>()];
    let isOver = false;
    const sit = (localAddress: string): void => {
      const socket = connectPlain({ port: Number(new URL(url).port), host, localAddress });
      all.add(socket);
      socket.on("error", () => undefined);
      socket.once("connect", () => held.add(socket));
      socket.once("close", () => {
        for (const each of [all, held]) each.delete(socket);
        if (!isOver) sit(localAddress);
      });
    };
    for (let n = 0; n < joinSocketsMax; n += 1) sit(`127.0.0.${2 + Math.floor(n / joinSocketsPerSourceMax)}`);
    await until(() => held.size === joinSocketsMax);
    for (let times = 0; times < 3; times += 1) expect(await ask(url)).toMatchObject({ from: host });
    isOver = true;
    for (const socket of all) socket.destroy();
    await until(() => all.size === 0);
  });

  it.each(["nothing", "no TLS", "a header and no body"])("are not waited for when they send %s", async (what) => {
    const url = await openedDoor({ requestMs: 200 });
    const port = Number(new URL(url).port);
    const socket = what.startsWith("a header") ? connectTls({ port, host, ca: offered.tls.ca }) : connectPlain(port, host);
    socket.on("error", () => undefined);
    const closed = once(socket, "close");
    if (what === "no TLS") socket.write("POST /join HTTP/1.1\r\n\r\n");
    if (what.startsWith("a header")) socket.write("POST /join HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{");
    socket.resume();
    await closed;
    // A busy machine may take longer than this door waits.
    await until(() => ask(url).then(Boolean, () => false));
    expect(said).toContain(`joined host h2 at ${host}`);
  });

  it("get one answer and no connection when they expect what no door does (RFC 9110 10.1.1)", async () => {
    // Their body never comes, and nobody waits for it.
    const url = await openedDoor({ requestMs: 600_000 });
    const socket = connectTls({ port: Number(new URL(url).port), host, ca: offered.tls.ca });
    socket.on("error", () => undefined);
    let text = "";
    socket.on("data", (chunk) => void (text += String(chunk)));
    const closed = once(socket, "close");
    socket.write("POST /join HTTP/1.1\r\nHost: x\r\nExpect: everything\r\nContent-Length: 100\r\n\r\n");
    await closed;
    expect(text).toMatch(/^HTTP\/1\.1 417 .*\r\n[^]*\r\n\r\n$/);
    expect(said).toEqual([]);
    expect(await ask(url)).toBeDefined();
  });
});

describe("a newcomer", () => {
  it("says nothing to a door of another system", async () => {
    const other = offeredHost();
    const { url, heard } = await middleman(other.tls);
    await expect(ask(url)).rejects.toThrow(
      `${url} is not of the system that the token is for: somebody may stand between, and was told nothing`,
    );
    expect(heard()).toBe(0);
    rmSync(other.state.path, { recursive: true, force: true });
  });

  it("says nothing to somebody who shows the right authority, and has no certificate of it", async () => {
    const { url, heard } = await middleman(forgedTls(offered));
    await expect(ask(url)).rejects.toThrow(/cannot be (?:reached|asked): |not of the system/);
    expect(heard()).toBe(0);
  });

  it("says nothing to a member that is no door: a burglar at a gateway has its certificate", async () => {
    const { url, heard } = await middleman(offered.gatewayTls);
    await expect(ask(url)).rejects.toThrow("its certificate is not for that address");
    expect(heard()).toBe(0);
  });

  it("says in one line when nobody is there", async () => {
    const { url } = await middleman(offered.tls);
    await new Promise((closed) => servers.splice(0)[0]?.close(closed));
    await expect(ask(url)).rejects.toThrow(new Failure(`${url} cannot be reached: connection refused`));
  });
});
