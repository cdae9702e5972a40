import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type Socket, connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { type Kind, kinds } from "./plan.ts";

/**
 * A process that sends messages of one kind at a rate, from one address, and answers nothing: `flood.ts KIND RATE SECONDS PORT DOMAIN ADDRESS,...`. With
 * more addresses they take turns. It prints how many it has sent, and ends with its standard input.
 */

const [kindText = "", rate = "", seconds = "", port = "", domain = "", addresses = ""] = process.argv.slice(2);
const kind = kinds.find((each) => each === kindText);
if (kind === undefined) throw new Error(`the kinds are ${kinds.join(", ")}`);

/** One address that floods. */
type Source = { readonly address: string; readonly port: number; readonly send: (text: string) => void; readonly end: () => void };

const sources = await Promise.all(addresses.split(",").map(kind === "pieces" ? streamFrom : datagramsFrom));

const stepMs = 5;
/** Pieces of a message over TCP: each is a segment of its own. */
const pieces = 3;
/** A connection that takes no more is not given more. */
const unwrittenMax = 65_536;

async function datagramsFrom(address: string): Promise<Source> {
  const socket = createSocket({ type: "udp4", recvBufferSize: 65_536 }).bind(0, address);
  await once(socket, "listening");
  const send = (text: string): void => socket.send(text, Number(port), "127.0.0.1", () => undefined);
  return { address, port: socket.address().port, send, end: () => void socket.close() };
}

/** A connection that is made again when it was closed. */
async function streamFrom(address: string): Promise<Source> {
  let socket = opened(address);
  await once(socket, "connect");
  return {
    address,
    port: socket.localPort ?? 0,
    send: (text) => {
      if (socket.destroyed) socket = opened(address);
      if (socket.writableLength > unwrittenMax) return;
      const size = Math.ceil(text.length / pieces);
      for (let at = 0; at < text.length; at += size) socket.write(text.slice(at, at + size));
    },
    end: () => void socket.destroy(),
  };
}

function opened(address: string): Socket {
  const socket = connect({ host: "127.0.0.1", port: Number(port), localAddress: address, noDelay: true });
  return socket.resume().on("error", () => undefined);
}

/** Sends until the time is over. Returns how many. */
async function flood(what: Kind): Promise<number> {
  const startedAt = performance.now();
  let count = 0;
  while (performance.now() - startedAt < Number(seconds) * 1_000) {
    const due = Math.floor(((performance.now() - startedAt) / 1_000) * Number(rate));
    for (; count < due; count += 1) {
      const from = sources[count % sources.length];
      from?.send(textOf(what, count, from.address, from.port));
    }
    await delay(stepMs);
  }
  return count;
}

const sent = await flood(kind);
for (const { end } of sources) end();
process.stdout.write(`${sent}\n`);
process.stdin.resume();

function textOf(what: Kind, count: number, address: string, from: number): string {
  if (what === "garbage") return `\u0001\u0002 nothing that anybody reads ${count} ${"x".repeat(200)}`;
  const user = what === "register" ? `user${count % 50}` : "silent";
  const uri = what === "register" ? `sip:${domain}` : `sip:${user}@${domain}`;
  const method = what === "pieces" ? "OPTIONS" : what.toUpperCase();
  const own =
    what === "register"
      ? [
          `Contact: <sip:${user}@${address}:${from}>`,
          `Authorization: Digest username="${user}", realm="${domain}", nonce="aaaa${count}", uri="${uri}", response="0123456789abcdef0123456789abcdef", algorithm=MD5`,
        ]
      : [`Contact: <sip:flood@${address}:${from}>`];
  return [
    `${method} ${uri} SIP/2.0`,
    `Via: SIP/2.0/${what === "pieces" ? "TCP" : "UDP"} ${address}:${from};branch=z9hG4bKf${process.pid}x${count};rport`,
    "Max-Forwards: 70",
    `From: <sip:flood@elsewhere.test>;tag=f${count}`,
    `To: <sip:${user}@${domain}>`,
    `Call-ID: f${process.pid}x${count}`,
    `CSeq: 1 ${method}`,
    ...own,
    "User-Agent: flood of the bench, which is as long as a usual request of a phone that says what it supports",
    "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, MESSAGE, REFER, NOTIFY, SUBSCRIBE, INFO, UPDATE, PRACK",
    "Content-Length: 0",
    "",
    "",
  ].join("\r\n");
}
