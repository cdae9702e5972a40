import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { WebSocket } from "ws";
import { messageText } from "../kit/phone/message-text.ts";
import { percentile } from "./statistics.ts";

/*
 * Many softphones in a process of their own: npx node bench/softphones.ts DOMAIN COUNT AT_A_TIME URL... Connects them, round the URLs, and says a
 * SoftphonesOutcome; then, for each line on stdin:
 *   register      registers each one, and says the same of registrations
 *   storm URL...  from the moment at which the first connection ends each phone whose connection has ended connects to one of these URLs and
 *                 registers, as often as it takes; said when all are registered again, or after two minutes
 * The connections stay until stdin ends.
 */

export type SoftphonesOutcome = {
  readonly done: number;
  readonly failed: number;
  readonly seconds: number;
  /** Of a storm: when half of them were registered again, and attempts that came to nothing. */
  readonly halfSeconds?: number;
  readonly attemptsFailed?: number;
};

type Phone = { readonly index: number; socket: WebSocket; cSeq: number };

const answerMsMax = 60_000;
/** A phone that was refused comes again after this, and as much again at random. */
const againMs = 250;
const stormMsMax = 120_000;

function connect(url: string): Promise<WebSocket> {
  return new Promise((opened, failed) => {
    const socket = new WebSocket(url, "sip", { perMessageDeflate: false, handshakeTimeout: answerMsMax });
    socket.once("open", () => opened(socket));
    socket.once("error", failed);
  });
}

function registerText(domain: string, { index, cSeq }: Phone): string {
  const user = `soft${index}`;
  return messageText(`REGISTER sip:${domain} SIP/2.0`, [
    `Via: SIP/2.0/WS p${index}.invalid;branch=z9hG4bKs${index}x${cSeq}`,
    "Max-Forwards: 70",
    `From: <sip:${user}@${domain}>;tag=s${index}`,
    `To: <sip:${user}@${domain}>`,
    `Call-ID: s${index}`,
    `CSeq: ${cSeq} REGISTER`,
    `Contact: <sip:${user}@p${index}.invalid;transport=ws>`,
    "Expires: 3600",
  ]);
}

function register(domain: string, phone: Phone): Promise<void> {
  const { socket } = phone;
  phone.cSeq += 1;
  return new Promise((accepted, failed) => {
    const end = (error?: Error): void => {
      clearTimeout(late);
      socket.off("message", answer);
      socket.off("close", closed);
      if (error === undefined) accepted();
      else failed(error);
    };
    const answer = (data: unknown): void => {
      const status = /^SIP\/2\.0 ([2-6]\d\d)/.exec(String(data))?.[1];
      if (status !== undefined) end(status === "200" ? undefined : new Error(`REGISTER got ${status}`));
    };
    const closed = (): void => end(new Error("the connection was closed"));
    const late = setTimeout(() => end(new Error("no answer")), answerMsMax);
    socket.on("message", answer);
    socket.once("close", closed);
    socket.send(registerText(domain, phone));
  });
}

/** Does something for each item, some at a time. */
async function forAll<T>(items: readonly T[], atATime: number, act: (item: T) => Promise<void>): Promise<SoftphonesOutcome> {
  const start = performance.now();
  const queue = items.values();
  let [done, failed] = [0, 0];
  const worker = async (): Promise<void> => {
    for (const item of queue) {
      try {
        await act(item);
        done += 1;
      } catch (error) {
        failed += 1;
        if (failed === 1) process.stderr.write(`${String(error)}\n`);
      }
    }
  };
  await Promise.all(Array.from({ length: atATime }, worker));
  return { done, failed, seconds: (performance.now() - start) / 1000 };
}

/** One phone's way back: connects and registers until that has worked. Returns how often it had not. */
async function comeBack(domain: string, phone: Phone, url: string, until: number): Promise<number> {
  for (let failed = 0; ; failed += 1) {
    try {
      phone.socket = await connect(url);
      phone.socket.on("error", () => undefined);
      await register(domain, phone);
      return failed;
    } catch (error) {
      phone.socket.terminate();
      if (performance.now() > until) throw error;
      await delay(againMs * (1 + Math.random()));
    }
  }
}

async function storm(domain: string, phones: readonly Phone[], atATime: number, urls: readonly string[]): Promise<SoftphonesOutcome> {
  const gone: Phone[] = [];
  const ended = phones.map(
    (phone) =>
      new Promise<void>((closed) => {
        const note = (): void => {
          gone.push(phone);
          closed();
        };
        if (phone.socket.readyState === WebSocket.OPEN) phone.socket.once("close", note);
        else note();
      }),
  );
  await Promise.race(ended);
  const start = performance.now();
  const backAfter: number[] = [];
  let attemptsFailed = 0;
  let next = 0;
  const worker = async (): Promise<void> => {
    while (backAfter.length < phones.length && performance.now() - start < stormMsMax) {
      const phone = gone[next];
      if (phone === undefined) {
        // Its connection has not ended yet, or others bring the last ones back.
        if (next >= phones.length) return;
        await delay(1);
        continue;
      }
      next += 1;
      try {
        attemptsFailed += await comeBack(domain, phone, urls[phone.index % urls.length] ?? "", start + stormMsMax);
        backAfter.push((performance.now() - start) / 1000);
      } catch (error) {
        process.stderr.write(`${String(error)}\n`);
      }
    }
  };
  await Promise.all(Array.from({ length: atATime }, worker));
  const halfSeconds = percentile(backAfter, 50);
  return {
    done: backAfter.length,
    failed: phones.length - backAfter.length,
    seconds: Math.max(0, ...backAfter),
    halfSeconds,
    attemptsFailed,
  };
}

function say(outcome: SoftphonesOutcome): void {
  process.stdout.write(`${JSON.stringify(outcome)}\n`);
}

const [domain = "", count = "0", atATime = "1", ...urls] = process.argv.slice(2);
const phones: Phone[] = [];
const indexes: readonly number[] = Array.from({ length: Number(count) }, (_, index) => index);
say(
  await forAll(indexes, Number(atATime), async (index) => {
    const socket = await connect(urls[index % urls.length] ?? "");
    socket.on("error", () => undefined);
    phones.push({ index, socket, cSeq: 0 });
  }),
);
for await (const line of createInterface({ input: process.stdin })) {
  const [command, ...others] = line.split(" ");
  if (command === "register") say(await forAll(phones, Number(atATime), async (phone) => await register(domain, phone)));
  else say(await storm(domain, phones, Number(atATime), others));
}
process.exit(0);
