import { createSocket } from "node:dgram";
import { once } from "node:events";
import { messageText } from "../../kit/phone/message-text.ts";
import { randomId } from "./clients/phone.ts";
import type { Way } from "./clients/stack.ts";

/** Requests on their way at once: more would only wait in socket buffers. */
const windowMax = 100;
const retransmitMs = 500;
const receiveBufferOctets = 4 * 1024 * 1024;

/** `port`: theirs; registering from the same one again is a refresh. */
export type Registered = { readonly ms: number; readonly retransmissions: number; readonly port: number };

type Pending = { readonly octets: Buffer; readonly sentAt: number; lastSentAt: number };

/**
 * Registers user0, user1, ... (or others by `name`) of a domain with `auth: "open"`, each with one contact, over UDP from one socket, as fast as the answers
 * come. Throws at the first answer that is no 200, and when one does not come for 32 s.
 */
export async function registerMany(way: Way, count: number, fromPort = 0, expires = 3600, name = "user"): Promise<Registered> {
  const socket = createSocket({ type: "udp4", recvBufferSize: receiveBufferOctets });
  socket.bind(fromPort, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  const run = randomId();
  const pending = new Map<string, Pending>();
  const startedAt = performance.now();
  let next = 0;
  let retransmissions = 0;

  const fill = (): void => {
    for (; next < count && pending.size < windowMax; next += 1) {
      const octets = Buffer.from(registerOf(`${name}${next}`, way.domain, port, `${run}-${next}`, expires), "latin1");
      const now = performance.now();
      pending.set(String(next), { octets, sentAt: now, lastSentAt: now });
      socket.send(octets, way.port, way.host);
    }
  };

  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.on("error", reject);
  socket.on("message", (octets) => {
    const text = octets.toString("latin1");
    const index = /\r\nCall-ID: [0-9a-f]+-(\d+)\r\n/i.exec(text)?.[1] ?? "";
    if (!text.startsWith("SIP/2.0 200 ")) return reject(new Error(`REGISTER was answered: ${text}`));
    pending.delete(index);
    fill();
    if (pending.size === 0) resolve();
  });
  const timer = setInterval(() => {
    const now = performance.now();
    for (const [index, one] of pending) {
      if (now - one.sentAt > 64 * retransmitMs) return reject(new Error(`no answer to the REGISTER of user${index}`));
      if (now - one.lastSentAt < retransmitMs) continue;
      one.lastSentAt = now;
      retransmissions += 1;
      socket.send(one.octets, way.port, way.host);
    }
  }, retransmitMs / 5);
  try {
    fill();
    await promise;
  } finally {
    clearInterval(timer);
    socket.close();
  }
  return { ms: performance.now() - startedAt, retransmissions, port };
}

function registerOf(user: string, domain: string, port: number, callId: string, expires: number): string {
  return messageText(`REGISTER sip:${domain} SIP/2.0`, [
    `Via: SIP/2.0/UDP 127.0.0.1:${port};rport;branch=z9hG4bK${callId}`,
    "Max-Forwards: 70",
    `From: <sip:${user}@${domain}>;tag=1`,
    `To: <sip:${user}@${domain}>`,
    `Call-ID: ${callId}`,
    "CSeq: 1 REGISTER",
    `Contact: <sip:${user}@127.0.0.1:${port}>`,
    `Expires: ${expires}`,
    "User-Agent: many phones",
  ]);
}
