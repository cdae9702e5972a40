import { createSocket } from "node:dgram";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { type Kind, kinds } from "./plan.ts";

/**
 * A process that sends datagrams of one kind at a rate, from one address, and answers nothing: `flood.ts KIND RATE SECONDS PORT DOMAIN ADDRESS,...`. With
 * more addresses they take turns.
 */

const [kindText = "", rate = "", seconds = "", port = "", domain = "", addresses = ""] = process.argv.slice(2);
const kind = kinds.find((each) => each === kindText);
if (kind === undefined) throw new Error(`the kinds are ${kinds.join(", ")}`);

const sockets = await Promise.all(
  addresses.split(",").map(async (address) => {
    const socket = createSocket({ type: "udp4", recvBufferSize: 65_536 }).bind(0, address);
    await once(socket, "listening");
    return { socket, address, port: socket.address().port };
  }),
);

const stepMs = 5;

/** Sends until the time is over. Returns how many. */
async function flood(what: Kind): Promise<number> {
  const startedAt = performance.now();
  let sent = 0;
  while (performance.now() - startedAt < Number(seconds) * 1_000) {
    const due = Math.floor(((performance.now() - startedAt) / 1_000) * Number(rate));
    for (; sent < due; sent += 1) {
      const from = sockets[sent % sockets.length];
      from?.socket.send(textOf(what, sent, from.address, from.port), Number(port), "127.0.0.1", () => undefined);
    }
    await delay(stepMs);
  }
  return sent;
}

process.stdout.write(`${await flood(kind)}\n`);
process.exit(0);

function textOf(what: Kind, count: number, address: string, from: number): string {
  if (what === "garbage") return `\u0001\u0002 nothing that anybody reads ${count} ${"x".repeat(200)}`;
  const user = what === "register" ? `user${count % 50}` : "silent";
  const uri = what === "register" ? `sip:${domain}` : `sip:${user}@${domain}`;
  const method = what.toUpperCase();
  const own =
    what === "register"
      ? [
          `Contact: <sip:${user}@${address}:${from}>`,
          `Authorization: Digest username="${user}", realm="${domain}", nonce="aaaa${count}", uri="${uri}", response="0123456789abcdef0123456789abcdef", algorithm=MD5`,
        ]
      : [`Contact: <sip:flood@${address}:${from}>`];
  return [
    `${method} ${uri} SIP/2.0`,
    `Via: SIP/2.0/UDP ${address}:${from};branch=z9hG4bKf${process.pid}x${count};rport`,
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
