/*
 * Callers and callees over TLS or WebSocket, which Debian's SIPp does not speak, in a process of their own: npx node bench/call-phones-process.ts ORDER.
 * Every phone has one connection; the callees register. It says {"ready":true}, and after each line of stdin, a CallOrder, the
 * CallOutcome. It ends when stdin does.
 */
import { createInterface } from "node:readline";
import { NodeConnector } from "../kit/connections/node-connector.ts";
import type { Link, Target } from "../kit/phone/link.ts";
import { type CallOrder, CallPhones } from "./phones/call-phones.ts";
import { messageText } from "../kit/phone/message-text.ts";

/** What the process is started with, as JSON. */
export type CallPhonesOrder = {
  readonly transport: "tls" | "ws";
  readonly domain: string;
  /** Where phones connect, in turn. */
  readonly targets: readonly { readonly host: string; readonly port: number }[];
  /** PEM, for TLS. */
  readonly ca?: string;
  readonly callers: number;
  readonly callees: readonly string[];
};

const answerMsMax = 30_000;

type Waiting = { accept: () => void; refuse: (error: Error) => void };

function say(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

async function main(order: CallPhonesOrder): Promise<void> {
  const { domain, transport } = order;
  const phones = new CallPhones(domain);
  const connector = new NodeConnector({ transport, domain, host: "127.0.0.1", ca: order.ca });
  /** REGISTERs under way, by Call-ID. */
  const registering = new Map<string, Waiting>();
  const received = (octets: Uint8Array, link: Link): void => {
    if (registering.size === 0) return phones.receive(octets, link);
    const text = Buffer.from(octets).toString("latin1");
    const waiting = registering.get(/^Call-ID: *(\S+)/im.exec(text)?.[1] ?? "");
    if (text.startsWith("SIP/2.0 200")) waiting?.accept();
    else if (!text.startsWith("SIP/2.0 1")) waiting?.refuse(new Error(`REGISTER: ${text.split("\r\n", 1)[0]}`));
  };
  const open = async (index: number): Promise<Link> =>
    await new Promise((opened, failed) => {
      const target: Target = { name: "system", ...(order.targets[index % order.targets.length] ?? { host: "", port: 0 }) };
      connector.connect(target, {
        opened,
        received,
        pong: () => undefined,
        closed: (_, cause) => failed(new Error(cause)),
      });
    });
  const register = async (user: string, link: Link): Promise<void> => {
    const id = `r${process.pid}x${user}`;
    const uri = `sip:${user}@${domain}`;
    const headers = [`Via: ${link.via};branch=z9hG4bK${id}`, "Max-Forwards: 70", `From: <${uri}>;tag=${id}`, `To: <${uri}>`];
    const rest = [`Call-ID: ${id}`, "CSeq: 1 REGISTER", `Contact: <sip:${user}@${link.contactHost}>`, "Expires: 3600"];
    await new Promise<void>((accept, refuse) => {
      const late = setTimeout(() => refuse(new Error(`no answer to a REGISTER in ${answerMsMax} ms`)), answerMsMax);
      registering.set(id, {
        accept: () => {
          clearTimeout(late);
          accept();
        },
        refuse,
      });
      link.send(Buffer.from(messageText(`REGISTER sip:${domain} SIP/2.0`, [...headers, ...rest]), "latin1"));
    });
    registering.delete(id);
  };
  const callers: Link[] = [];
  for (let index = 0; index < order.callers; index += 1) callers.push(await open(index));
  for (const [index, user] of order.callees.entries()) await register(user, await open(index));
  say({ ready: true });
  for await (const line of createInterface({ input: process.stdin })) {
    say(await phones.run(callers, order.callees, JSON.parse(line) as CallOrder));
  }
  process.exit(0);
}

await main(JSON.parse(process.argv[2] ?? "") as CallPhonesOrder);
