import { linesOf, messageText, responseText, routesOf, statusOf, uriIn } from "../../kit/phone/message-text.ts";
import type { Link } from "../../kit/phone/link.ts";

/** What a probe measures: from a request to a response of it. */
export const probeKinds = ["INVITE to 180", "INVITE to 200", "BYE to 200", "REGISTER to 200", "MESSAGE to 200"] as const;
export type ProbeKind = (typeof probeKinds)[number];

export type ProbeOrder = {
  readonly callsPerSecond: number;
  readonly registersPerSecond: number;
  readonly messagesPerSecond: number;
  readonly seconds: number;
};

export type ProbeOutcome = {
  /** Milliseconds, of each kind. What a callee waits before it answers is not in them. */
  readonly samples: Readonly<Record<ProbeKind, readonly number[]>>;
  /** Milliseconds there and back between two sockets of this process, at the same time: what the measuring itself takes. */
  readonly floor: readonly number[];
  readonly calls: number;
  readonly failed: number;
  readonly cause: string | undefined;
  readonly retransmissions: number;
};

const sdp =
  "v=0\r\no=bench 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";
const ringMs = 100;
const talkMs = 1_000;
/** RFC 3261 17.1.1.2: T1. What is not over after `patienceMs` has failed. */
const t1 = 500;
const patienceMs = 10_000;
const sweepMs = 20;
/** Phones that register: so many that every cell has its share. */
const phonesMin = 64;
const stepMs = 2;

type Call = {
  readonly id: string;
  readonly link: Link;
  readonly from: string;
  to: string;
  target: string;
  routes: readonly string[];
  invitedAt: number;
  /** When the callee read the INVITE, and when it sent its 200: what is between is its own time. */
  receivedAt: number;
  answeredAt: number;
};

/** A request that waits for a final response, or a 200 that waits for its ACK. */
type Waiting = {
  readonly link: Link;
  readonly octets: Uint8Array;
  readonly sentAt: number;
  againAt: number;
  waitMs: number;
  readonly end: (at: number, response: string | undefined) => void;
};

/**
 * Calls, REGISTERs and MESSAGEs of which every step is timed by one clock: the probes are both caller and callee. They come at random times (as
 * Poisson says), so that they keep no step with any other clock.
 */
export class Probes {
  readonly #domain: string;
  #callers: readonly Link[] = [];
  readonly #callees: readonly string[];
  readonly #calls = new Map<string, Call>();
  readonly #waiting = new Map<string, Waiting>();
  readonly #registrations = new Map<string, number>();
  /** Those that register, each at its link; the one that waits longest is next. */
  readonly #phones: { readonly user: string; readonly link: Link }[] = [];
  #phoneCount = 0;
  #samples = emptySamples();
  #planned: { readonly at: number; readonly act: () => void }[] = [];
  #count = 0;
  #started = 0;
  #failed = 0;
  #cause: string | undefined;
  #retransmissions = 0;

  /** `callees`: users that are, or will be, registered on links of this process. */
  constructor(domain: string, callees: readonly string[]) {
    this.#domain = domain;
    this.#callees = callees;
  }

  /** Probes at random times, from the callers in turn; resolves when the last one is over. */
  async run(callers: readonly Link[], order: ProbeOrder): Promise<Omit<ProbeOutcome, "floor">> {
    this.#callers = callers;
    const start = performance.now();
    [this.#samples, this.#planned] = [emptySamples(), []];
    [this.#started, this.#failed, this.#cause, this.#retransmissions] = [0, 0, undefined, 0];
    const last = start + order.seconds * 1000;
    this.#repeat(start, last, order.callsPerSecond, () => this.#invite());
    this.#repeat(start, last, order.registersPerSecond, () => this.#refresh());
    this.#repeat(start, last, order.messagesPerSecond, () => this.#message());
    await new Promise<void>((done) => {
      const timer = setInterval(() => {
        const now = performance.now();
        const due = this.#planned.filter(({ at }) => at <= now);
        if (due.length > 0) this.#planned = this.#planned.filter(({ at }) => at > now);
        for (const { act } of due) act();
        this.#sweep(now);
        if (now < last || this.#planned.length > 0 || this.#waiting.size > 0) return;
        clearInterval(timer);
        done();
      }, stepMs);
    });
    this.#calls.clear();
    return {
      samples: this.#samples,
      calls: this.#started,
      failed: this.#failed,
      cause: this.#cause,
      retransmissions: this.#retransmissions,
    };
  }

  /** Registers a user at a link, and says whether that was accepted. */
  async register(user: string, link: Link): Promise<void> {
    const sweep = setInterval(() => this.#sweep(performance.now()), sweepMs);
    const answer = await new Promise<string | undefined>((end) => this.#register(user, link, (_, response) => end(response)));
    clearInterval(sweep);
    if (answer?.startsWith("SIP/2.0 200") !== true) throw new Error(`REGISTER of ${user}: ${answer?.split("\r\n", 1)[0] ?? "no answer"}`);
  }

  receive(octets: Uint8Array, link: Link): void {
    const at = performance.now();
    const text = Buffer.from(octets.buffer, octets.byteOffset, octets.byteLength).toString("latin1");
    if (text.startsWith("SIP/2.0 ")) this.#receiveResponse(text, at);
    else this.#receiveRequest(text, link, at);
  }

  #repeat(from: number, last: number, perSecond: number, act: () => void): void {
    if (perSecond === 0) return;
    const at = from - (Math.log(1 - Math.random()) * 1000) / perSecond;
    if (at > last) return;
    this.#after(at, () => {
      this.#repeat(at, last, perSecond, act);
      act();
    });
  }

  #after(at: number, act: () => void): void {
    this.#planned.push({ at, act });
  }

  #sweep(now: number): void {
    for (const [key, waiting] of this.#waiting) {
      if (now > waiting.sentAt + patienceMs) {
        this.#waiting.delete(key);
        waiting.end(now, undefined);
      } else if (now >= waiting.againAt && !waiting.link.isReliable) {
        waiting.waitMs *= 2;
        waiting.againAt = now + waiting.waitMs;
        this.#retransmissions += 1;
        waiting.link.send(waiting.octets);
      }
    }
  }

  #send(key: string, link: Link, text: string, end: Waiting["end"]): number {
    const octets = Buffer.from(text, "latin1");
    const sentAt = performance.now();
    this.#waiting.set(key, { link, octets, sentAt, againAt: sentAt + t1, waitMs: t1, end });
    link.send(octets);
    return sentAt;
  }

  #end(kind: ProbeKind, ms: number, response: string | undefined): void {
    if (response?.startsWith("SIP/2.0 2") === true) return void this.#samples[kind].push(ms);
    this.#failed += 1;
    this.#cause ??= `${kind}: ${response?.split("\r\n", 1)[0] ?? "no answer"}`;
  }

  #register(user: string, link: Link, end: Waiting["end"]): number {
    const cSeq = (this.#registrations.get(user) ?? 0) + 1;
    this.#registrations.set(user, cSeq);
    const id = `p${process.pid}x${user}`;
    const uri = `sip:${user}@${this.#domain}`;
    const via = `Via: ${link.via};branch=z9hG4bK${id}x${cSeq};rport`;
    const from = [`From: <${uri}>;tag=${id}`, `To: <${uri}>`, `Call-ID: ${id}`, `CSeq: ${cSeq} REGISTER`];
    const contact = [`Contact: <sip:${user}@${link.contactHost}>`, "Expires: 3600", "User-Agent: bench"];
    const text = messageText(`REGISTER sip:${this.#domain} SIP/2.0`, [via, "Max-Forwards: 70", ...from, ...contact]);
    return this.#send(`${id} ${cSeq} REGISTER`, link, text, end);
  }

  /** One whose last REGISTER was answered: a phone waits for that (RFC 3261 10.2.4). */
  #refresh(): void {
    const known = this.#phoneCount < phonesMin ? undefined : this.#phones.shift();
    const phone = known ?? { user: `probe-phone${(this.#phoneCount += 1)}`, link: this.#nextCaller() };
    const sentAt = this.#register(phone.user, phone.link, (at, response) => {
      this.#end("REGISTER to 200", at - sentAt, response);
      if (response !== undefined) this.#phones.push(phone);
    });
  }

  #nextCaller(): Link {
    this.#count += 1;
    const link = this.#callers[this.#count % this.#callers.length];
    if (link?.isOpen !== true) throw new Error("a connection of the probes is gone");
    return link;
  }

  #newCall(): Call {
    const link = this.#nextCaller();
    const id = `p${process.pid}x${this.#count}`;
    const uri = `sip:${this.#callees[this.#count % this.#callees.length] ?? ""}@${this.#domain}`;
    const from = `From: <sip:probe@${this.#domain}>;tag=${id}`;
    return { id, link, from, to: `To: <${uri}>`, target: uri, routes: [], invitedAt: 0, receivedAt: 0, answeredAt: 0 };
  }

  #text(call: Call, method: string, cSeq: number, headers: readonly string[] = [], body = ""): string {
    const via = `Via: ${call.link.via};branch=z9hG4bK${call.id}x${method};rport`;
    const fixed = [via, "Max-Forwards: 70", ...call.routes, call.from, call.to, `Call-ID: ${call.id}`, `CSeq: ${cSeq} ${method}`];
    return messageText(`${method} ${call.target} SIP/2.0`, [...fixed, ...headers, "User-Agent: bench"], body);
  }

  #message(): void {
    const call = this.#newCall();
    const text = this.#text(call, "MESSAGE", 1, ["Content-Type: text/plain"], "Hello");
    const sentAt = this.#send(`${call.id} 1 MESSAGE`, call.link, text, (at, response) =>
      this.#end("MESSAGE to 200", at - sentAt, response),
    );
  }

  #invite(): void {
    const call = this.#newCall();
    this.#started += 1;
    this.#calls.set(call.id, call);
    const headers = [`Contact: <sip:probe@${call.link.contactHost}>`, "Allow: INVITE, ACK, CANCEL, BYE, MESSAGE"];
    call.invitedAt = this.#send(`${call.id} 1 INVITE`, call.link, this.#text(call, "INVITE", 1, headers, sdp), (at, response) => {
      this.#end("INVITE to 200", at - call.invitedAt - (call.answeredAt - call.receivedAt), response);
      if (response?.startsWith("SIP/2.0 2") === true) this.#answered(call, response);
    });
  }

  #answered(call: Call, response: string): void {
    const lines = linesOf(response);
    call.routes = routesOf(lines);
    call.to = lines.to;
    call.target = uriIn(lines.contact);
    call.link.send(Buffer.from(this.#text(call, "ACK", 1), "latin1"));
    this.#after(performance.now() + talkMs, () => {
      const sentAt = this.#send(`${call.id} 2 BYE`, call.link, this.#text(call, "BYE", 2), (at, answer) =>
        this.#end("BYE to 200", at - sentAt, answer),
      );
    });
  }

  #receiveResponse(text: string, at: number): void {
    const lines = linesOf(text);
    const key = `${lines.callId} ${lines.cSeq.slice(lines.cSeq.indexOf(":") + 1).trim()}`;
    const waiting = this.#waiting.get(key);
    const call = this.#calls.get(lines.callId);
    const status = statusOf(text);
    if (status < 200) {
      // An INVITE is not said again after a provisional response (RFC 3261 17.1.1.2).
      if (waiting !== undefined && lines.cSeq.endsWith("INVITE")) waiting.againAt = Number.POSITIVE_INFINITY;
      if (status === 180 && call !== undefined && waiting !== undefined) this.#samples["INVITE to 180"].push(at - call.invitedAt);
      return;
    }
    if (waiting !== undefined) {
      this.#waiting.delete(key);
      return waiting.end(at, text);
    }
    // Its ACK was lost.
    if (call !== undefined && lines.cSeq.endsWith("INVITE") && call.routes.length > 0)
      call.link.send(Buffer.from(this.#text(call, "ACK", 1), "latin1"));
  }

  #receiveRequest(text: string, link: Link, at: number): void {
    const lines = linesOf(text);
    const call = this.#calls.get(lines.callId);
    const method = lines.startLine.slice(0, lines.startLine.indexOf(" "));
    const contact = method === "INVITE" ? [`Contact: <sip:callee@${link.contactHost}>`] : [];
    const answer = (status: string, body = ""): string =>
      responseText(status, lines, `t${lines.callId}`, [...contact, "User-Agent: bench"], body);
    if (method === "ACK") return void this.#waiting.delete(`${lines.callId} answer`);
    if (method !== "INVITE") return link.send(Buffer.from(answer("200 OK"), "latin1"));
    link.send(Buffer.from(answer("180 Ringing"), "latin1"));
    if (call === undefined || call.receivedAt > 0) return;
    call.receivedAt = at;
    this.#after(at + ringMs, () => {
      call.answeredAt = this.#send(`${call.id} answer`, link, answer("200 OK", sdp), () => {
        this.#failed += 1;
        this.#cause ??= "a 200 was never acknowledged";
      });
    });
  }
}

function emptySamples(): Record<ProbeKind, number[]> {
  return { "INVITE to 180": [], "INVITE to 200": [], "BYE to 200": [], "REGISTER to 200": [], "MESSAGE to 200": [] };
}
