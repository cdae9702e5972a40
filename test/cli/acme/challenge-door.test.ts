import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { ChallengeDoor } from "../../../cli/acme/challenge-door.ts";
import { doorConnectionsMax, doorConnectionsPerSourceMax, doorRequestMs } from "../../../cli/acme/limits.ts";
import { freePorts } from "../../../kit/world/free-ports.ts";
import { until } from "../../../kit/world/until.ts";

const ends: (() => unknown)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

async function openDoor(): Promise<{ readonly door: ChallengeDoor; readonly port: number }> {
  const port = await freePorts(1);
  const door = new ChallengeDoor(["127.0.0.1"], port);
  await door.start();
  ends.push(() => door.stop());
  return { door, port };
}

async function ask(port: number, path: string, init: RequestInit = {}): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, { ...init, signal: AbortSignal.timeout(10_000) });
  return `${answer.status} ${(await answer.text()).trimEnd()}`;
}

function silentFrom(localAddress: string, port: number, text: string): Promise<Socket> {
  return new Promise((opened, failed) => {
    const socket = connect({ port, host: "127.0.0.1", localAddress }, () => {
      socket.write(text);
      opened(socket.resume());
    });
    ends.push(() => socket.destroy());
    socket.once("error", failed).on("error", () => {});
  });
}

const challenge = "/.well-known/acme-challenge/the-token";

describe("the door for challenges", () => {
  it("answers a challenge for as long as it is open, and nothing else", async () => {
    const { door, port } = await openDoor();
    expect(await ask(port, challenge)).toBe("404 there is nothing here");
    door.open("the-token", "the-token.thumbprint");
    expect(await ask(port, challenge)).toBe("200 the-token.thumbprint");
    for (const path of [
      "/",
      "/.well-known/acme-challenge/",
      `${challenge}/`,
      `${challenge}?x`,
      "/.well-known/acme-challenge/other",
      "/the-token",
    ])
      expect(await ask(port, path)).toBe("404 there is nothing here");
    expect(await ask(port, challenge, { method: "POST", body: "x" })).toBe("404 there is nothing here");
    door.close("the-token");
    expect(await ask(port, challenge)).toBe("404 there is nothing here");
  });

  it("is gone when it is stopped, with those that sit there", async () => {
    const { door, port } = await openDoor();
    const silent = await silentFrom("127.0.0.1", port, "GET ");
    await door.stop();
    await until(() => silent.destroyed);
    await expect(ask(port, challenge)).rejects.toThrow("fetch failed");
  });

  it("says who may not open it, and leaves nothing open", async () => {
    const { port } = await openDoor();
    const other = new ChallengeDoor(["127.0.0.2", "127.0.0.1"], port);
    await expect(other.start()).rejects.toThrow(
      `127.0.0.1:${port} is in use by another process; challenges are answered there (--acme-port)`,
    );
    const again = new ChallengeDoor(["127.0.0.2"], port);
    await again.start();
    await again.stop();
  });

  it("closes who expects what it does not know, and answers one request a connection", async () => {
    const { port } = await openDoor();
    for (const text of [
      "GET / HTTP/1.1\r\nHost: x\r\nExpect: banana\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nExpect: banana\r\n\r\n",
    ]) {
      const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true }, () => void socket.write(text));
      ends.push(() => socket.destroy());
      let answer = "";
      socket.setEncoding("utf8").on("data", (chunk: string) => void (answer += chunk));
      await once(socket, "end");
      expect(answer).toMatch(/^HTTP\/1\.1 (?:417 Expectation Failed|404 Not Found)\r\n(?:.+\r\n)*connection: close\r\n/i);
    }
  });

  it("lets an authority in while strangers sit on it, and they do not sit for long", async () => {
    const { door, port } = await openDoor();
    door.open("the-token", "answer");
    const sources = Math.ceil(doorConnectionsMax / doorConnectionsPerSourceMax) + 1;
    const silent: Socket[] = [];
    const answers = new Set<string>();
    for (let n = 0; n < sources * (doorConnectionsPerSourceMax + 4); n += 1) {
      const source = `127.0.0.${2 + (n % sources)}`;
      silent.push(
        await silentFrom(source, port, n % 2 === 0 ? "" : "GET / HTTP/1.1\r\nHost: x\r\n").catch(() => silentFrom(source, port, "")),
      );
      if (n % 40 === 0) answers.add(await ask(port, challenge));
    }
    answers.add(await ask(port, challenge));
    expect([...answers]).toEqual(["200 answer"]);
    const begun = performance.now();
    await until(() => silent.every(({ destroyed }) => destroyed));
    expect(performance.now() - begun).toBeLessThan(4 * doorRequestMs);
    const long = await silentFrom("127.0.0.9", port, `GET / HTTP/1.1\r\nX: ${"x".repeat(100_000)}\r\n\r\n`);
    await until(() => long.destroyed);
    expect(await ask(port, challenge)).toBe("200 answer");
  });
});
