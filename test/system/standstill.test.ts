import { once } from "node:events";
import { afterEach, beforeEach, expect, it } from "vitest";
import { WebSocket } from "ws";
import { phoneReturnMs } from "../../sip/limits.ts";
import { frameValidMs, standstillMsMin } from "../../actors/limits.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";

let system: Tandem;
const softphones: Softphone[] = [];
let frozen = 0;

/** The core group's beat is a second: what is longer than that and the least standstill is seen for certain. */
const frozenMs = 1_000 + standstillMsMin + 500;

class Softphone {
  readonly user: string;
  readonly socket: WebSocket;
  readonly heard: string[] = [];
  #cSeq = 0;

  static async open(user: string, cell: string): Promise<Softphone> {
    const url = new URL(system.run.cells.find(({ id }) => id === cell)?.url ?? "");
    const phone = new Softphone(user, new WebSocket(`ws://${url.host}/`, "sip"));
    softphones.push(phone);
    await once(phone.socket, "open");
    phone.request("REGISTER", `sip:example.test`, user, [`Contact: <sip:${user}@${user}.invalid;transport=ws>`, "Expires: 600"]);
    await until(() => phone.heard.some((text) => text.startsWith("SIP/2.0 200 ")));
    return phone;
  }

  private constructor(user: string, socket: WebSocket) {
    this.user = user;
    this.socket = socket;
    socket.on("message", (data: Buffer) => void this.heard.push(data.toString("utf8")));
  }

  /** Bodies of the messages that it got. */
  get messages(): string[] {
    return this.heard.filter((text) => text.startsWith("MESSAGE ")).map((text) => text.slice(text.indexOf("\r\n\r\n") + 4));
  }

  request(method: string, uri: string, to: string, headers: readonly string[], body = ""): void {
    this.#cSeq += 1;
    const id = `${this.user}${this.#cSeq}`;
    const lines = [
      `${method} ${uri} SIP/2.0`,
      `Via: SIP/2.0/WS ${this.user}.invalid;branch=z9hG4bK${id}`,
      "Max-Forwards: 70",
      `From: <sip:${this.user}@example.test>;tag=${this.user}`,
      `To: <sip:${to}@example.test>`,
      `Call-ID: ${method === "REGISTER" ? this.user : id}`,
      `CSeq: ${this.#cSeq} ${method}`,
      ...headers,
      "Content-Type: text/plain",
      `Content-Length: ${body.length}`,
    ];
    this.socket.send(`${lines.join("\r\n")}\r\n\r\n${body}`);
  }

  say(to: string, body: string): void {
    this.request("MESSAGE", `sip:${to}@example.test`, to, [], body);
  }
}

/** Stops cell a, lets things happen meanwhile, and has it go on after a time that it must notice. */
async function standStill(meanwhile: () => void | Promise<void>): Promise<void> {
  frozen = system.run.cells.find(({ id }) => id === "a")?.pid ?? 0;
  process.kill(frozen, "SIGSTOP");
  const at = Date.now();
  await meanwhile();
  await until(() => Date.now() - at > frozenMs);
  process.kill(frozen, "SIGCONT");
  frozen = 0;
}

beforeEach(async () => {
  system = await startTandem({ auth: "open", restart: false });
});

afterEach(async () => {
  if (frozen !== 0) process.kill(frozen, "SIGCONT");
  for (const { socket } of softphones.splice(0)) socket.terminate();
  await system.stop();
});

it("a cell that stood still passes on what softphones said to it that are still there, and not what those said that have gone", async () => {
  const bob = await Softphone.open("bob", "b");
  const [gone, lost, there] = [await Softphone.open("gone", "a"), await Softphone.open("lost", "a"), await Softphone.open("there", "a")];
  await standStill(() => {
    gone.say("bob", "from one who has gone elsewhere since");
    gone.socket.close();
    lost.say("bob", "from one whose connection broke");
    lost.socket.terminate();
    there.say("bob", "from one who waits");
  });
  await until(() => bob.messages.length > 0);
  there.say("bob", "later");
  await until(() => bob.messages.includes("later"));
  expect(bob.messages).toEqual(["from one who waits", "later"]);
});

it("what another cell sent to a line that stood still is not delivered when it is given up by then", async () => {
  const alice = await Softphone.open("alice", "a");
  const bob = await Softphone.open("bob", "b");
  await standStill(async () => {
    bob.say("alice", "too late");
    // Longer than the line may take: its sender is told before the line goes on.
    await until(() => bob.heard.some((text) => /^SIP\/2\.0 4\d\d /.test(text)), frameValidMs + 2 * phoneReturnMs);
  });
  await until(() => {
    if (!alice.messages.includes("in time")) bob.say("alice", "in time");
    return alice.messages.includes("in time");
  });
  expect(alice.messages).not.toContain("too late");
});
