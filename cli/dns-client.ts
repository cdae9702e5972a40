import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { getServers } from "node:dns";
import { createConnection, isIP, isIPv6 } from "node:net";
import type { Looked } from "../cluster/dns/check.ts";
import { type AskedType, decodeAnswer, type DnsAnswer, encodeQuestion } from "../cluster/dns/packet.ts";
import { Failure, codeOf, reasonOf } from "./errors.ts";

/** A name server that is asked. */
export type NameServer = { readonly address: string; readonly port: number };

/** A server on the same continent answers in a tenth of it. */
const answerMsMax = 2_000;
const triesMax = 3;
const octetsMax = 65_535;
const usualPort = 53;
const noSuchName = 3;
const refused = 5;
const codes: Readonly<Record<number, string>> = { 1: "did not understand the question", 2: "failed" };

/** `IP`, `IP:PORT` or `[IP]:PORT`; undefined: it is none of these. */
export function nameServerIn(text: string): NameServer | undefined {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^[\]]+?))(?::(\d{1,5}))?$/.exec(isIPv6(text) ? `[${text}]` : text) ?? [];
  const address = bracketed ?? plain ?? "";
  const number = port === undefined ? usualPort : Number(port);
  if (isIP(address) === 0 || (bracketed === undefined) !== (isIP(address) === 4) || number < 1 || number > 65_535) return undefined;
  return { address, port: number };
}

/** The servers that this machine asks. */
export function systemServers(): NameServer[] {
  return getServers().flatMap((text) => nameServerIn(text) ?? []);
}

export function serverText({ address, port }: NameServer): string {
  const host = isIPv6(address) ? `[${address}]` : address;
  return port === usualPort ? address : `${host}:${port}`;
}

/** Asks name servers, the first that answers; what was asked once is remembered. Throws a {@link Failure} when none answers. */
export class DnsClient {
  readonly #servers: readonly NameServer[];
  readonly #known = new Map<string, Promise<Looked>>();

  constructor(servers: readonly NameServer[]) {
    this.#servers = servers;
  }

  look(name: string, type: AskedType): Promise<Looked> {
    const key = `${type} ${name}`;
    const known = this.#known.get(key) ?? this.#ask(name, type);
    this.#known.set(key, known);
    return known;
  }

  async #ask(name: string, type: AskedType): Promise<Looked> {
    const problems: string[] = [];
    for (const server of this.#servers) {
      try {
        return lookedOf(await askServer(server, name, type), server);
      } catch (error) {
        problems.push(`name server ${serverText(server)}: ${codeOf(error) === "ECONNREFUSED" ? "nobody listens there" : reasonOf(error)}`);
      }
    }
    throw new Failure(problems.length === 0 ? "this machine has no name server: name one with --server" : problems.join("; "));
  }
}

function lookedOf({ code, isAuthoritative, records }: DnsAnswer, server: NameServer): Looked {
  if (code === refused) throw new Failure("refuses to answer: it does not have this zone");
  if (code !== 0 && code !== noSuchName) {
    return { state: "unknown", reason: `name server ${serverText(server)} ${codes[code] ?? `answered with code ${code}`}` };
  }
  return records.length === 0 ? { state: "none", isAuthoritative } : { state: "found", records, isAuthoritative };
}

async function askServer(server: NameServer, name: string, type: AskedType): Promise<DnsAnswer> {
  const id = randomInt(65_536);
  const question = encodeQuestion(id, name, type);
  for (let tries = 1; ; tries += 1) {
    const answer = await askByUdp(server, question, id);
    if (answer !== undefined) return answer.isTruncated ? await askByTcp(server, question, id) : answer;
    if (tries === triesMax) throw new Failure(`no answer in ${triesMax} tries of ${answerMsMax / 1000} s`);
  }
}

/** Undefined: no answer in time. What is none to this question is passed over: anybody may send to the socket. */
function askByUdp({ address, port }: NameServer, question: Uint8Array, id: number): Promise<DnsAnswer | undefined> {
  return new Promise((answered, failed) => {
    const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
    const timer = setTimeout(() => end(() => answered(undefined)), answerMsMax);
    const end = (then: () => void): void => {
      clearTimeout(timer);
      socket.removeAllListeners().on("error", () => undefined);
      socket.close();
      then();
    };
    socket.on("error", (error) => end(() => failed(error)));
    socket.on("message", (octets) => {
      const answer = decodeAnswer(octets);
      if (answer?.id === id) end(() => answered(answer));
    });
    socket.connect(port, address, () => socket.send(question));
  });
}

/** RFC 7766: what is too long for a datagram. Each message has its length before it. */
function askByTcp({ address, port }: NameServer, question: Uint8Array, id: number): Promise<DnsAnswer> {
  return new Promise((answered, failed) => {
    const socket = createConnection({ host: address, port, timeout: answerMsMax });
    let octets = Buffer.alloc(0);
    const end = (error: Error): void => {
      socket.destroy();
      failed(error);
    };
    socket.once("connect", () => socket.write(Buffer.concat([Uint8Array.of(question.length >> 8, question.length & 0xff), question])));
    socket.on("data", (chunk: Buffer) => {
      octets = Buffer.concat([octets, chunk]);
      const length = octets.length < 2 ? octetsMax : octets.readUInt16BE(0);
      if (octets.length < 2 + length) return;
      const answer = decodeAnswer(octets.subarray(2, 2 + length));
      if (answer?.id !== id) return end(new Failure("no answer that can be read"));
      socket.destroy();
      answered(answer);
    });
    socket.once("timeout", () => end(new Failure(`no answer in ${answerMsMax / 1000} s over TCP`)));
    socket.once("error", end);
    socket.once("close", () => failed(new Failure("closed the connection without an answer")));
  });
}
