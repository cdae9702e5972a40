import { linesOf, messageText, responseText, routesOf, statusOf, uriIn } from "../../kit/phone/message-text.ts";
import type { Link } from "../../kit/phone/link.ts";

/** As SIPp's scenarios have them: what stands in an INVITE and its 200, and how long a callee rings. */
const body =
  "v=0\r\no=bench 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";
const ringMs = 100;
/** Calls begin in steps of this. */
const stepMs = 5;

export type CallOrder = {
  readonly callsPerSecond: number;
  readonly seconds: number;
  readonly talkMs: number;
  /** How long after its end should be a call has failed. */
  readonly patienceMs: number;
};

export type CallOutcome = {
  readonly calls: number;
  readonly failed: number;
  /** Why the first one failed. */
  readonly cause: string | undefined;
  readonly seconds: number;
  /** CPU seconds of this process. */
  readonly cpuSeconds: number;
};

type Call = {
  readonly id: string;
  readonly link: Link;
  readonly from: string;
  readonly talkMs: number;
  to: string;
  target: string;
  routes: readonly string[];
};
type Later = { readonly at: number; readonly act: () => void };

/** All callers and callees of a load, one connection each. Delays of one length are a queue: there is one timer for all calls. */
export class CallPhones {
  readonly #domain: string;
  readonly #calls = new Map<string, Call>();
  readonly #answers: Later[] = [];
  readonly #hangUps: Later[] = [];
  #ended = 0;
  #failed = 0;
  #cause: string | undefined;
  #count = 0;

  constructor(domain: string) {
    this.#domain = domain;
  }

  /** Takes a message that came over a phone's connection. */
  receive(octets: Uint8Array, link: Link): void {
    const text = Buffer.from(octets.buffer, octets.byteOffset, octets.byteLength).toString("latin1");
    if (text.startsWith("SIP/2.0 ")) this.#receiveResponse(text);
    else this.#receiveRequest(text, link);
  }

  /** Whole calls at a rate, callers and callees in turn; resolves when the last one is over. */
  async run(callers: readonly Link[], callees: readonly string[], order: CallOrder): Promise<CallOutcome> {
    const [start, cpu] = [performance.now(), process.cpuUsage()];
    const calls = order.callsPerSecond * order.seconds;
    [this.#ended, this.#failed, this.#cause] = [0, 0, undefined];
    this.#calls.clear();
    const lastAt = start + order.seconds * 1000 + ringMs + order.talkMs + order.patienceMs;
    let started = 0;
    await new Promise<void>((done) => {
      const timer = setInterval(() => {
        const now = performance.now();
        const due = Math.min(calls, Math.floor(((now - start) / 1000) * order.callsPerSecond));
        for (; started < due; started += 1) this.#invite(callers, callees, order.talkMs);
        runDue(this.#answers, now);
        runDue(this.#hangUps, now);
        if (this.#ended < calls && now < lastAt) return;
        clearInterval(timer);
        done();
      }, stepMs);
    });
    const used = process.cpuUsage(cpu);
    const unfinished = calls - this.#ended;
    return {
      calls,
      failed: this.#failed + unfinished,
      cause: this.#cause ?? (unfinished > 0 ? `${unfinished} calls were not over in time` : undefined),
      seconds: (performance.now() - start) / 1000,
      cpuSeconds: (used.user + used.system) / 1e6,
    };
  }

  #invite(callers: readonly Link[], callees: readonly string[], talkMs: number): void {
    this.#count += 1;
    const number = this.#count;
    const link = callers[number % callers.length];
    const callee = callees[number % callees.length];
    if (link === undefined || callee === undefined || !link.isOpen) return this.#end(undefined, "a caller's connection is gone");
    const id = `b${process.pid}x${number}`;
    const uri = `sip:${callee}@${this.#domain}`;
    const from = `From: <sip:caller@${this.#domain}>;tag=${id}`;
    const call: Call = { id, link, from, talkMs, to: `To: <${uri}>`, target: uri, routes: [] };
    this.#calls.set(id, call);
    this.#send(call, "INVITE", 1, [`Contact: <sip:caller@${link.contactHost}>`, "Allow: INVITE, ACK, CANCEL, BYE"], body);
  }

  #send(call: Call, method: string, cSeq: number, headers: readonly string[] = [], sdp = ""): void {
    const via = `Via: ${call.link.via};branch=z9hG4bK${call.id}x${method}${method === "ACK" ? cSeq : ""};rport`;
    const fixed = [via, "Max-Forwards: 70", ...call.routes, call.from, call.to, `Call-ID: ${call.id}`, `CSeq: ${cSeq} ${method}`];
    call.link.send(
      Buffer.from(messageText(`${method} ${call.target} SIP/2.0`, [...fixed, ...headers, "User-Agent: bench"], sdp), "latin1"),
    );
  }

  #receiveResponse(text: string): void {
    const status = statusOf(text);
    if (status < 200) return;
    const lines = linesOf(text);
    const call = this.#calls.get(lines.callId);
    if (call === undefined) return;
    if (lines.cSeq.endsWith("BYE")) return this.#end(call, status === 200 ? undefined : `BYE: ${lines.startLine}`);
    if (!lines.cSeq.endsWith("INVITE")) return;
    if (status >= 300) return this.#end(call, `INVITE: ${lines.startLine}`);
    const isFirst = call.routes.length === 0;
    call.routes = routesOf(lines);
    call.to = lines.to;
    call.target = uriIn(lines.contact);
    this.#send(call, "ACK", 1);
    if (isFirst) this.#hangUps.push({ at: performance.now() + call.talkMs, act: () => this.#send(call, "BYE", 2) });
  }

  #receiveRequest(text: string, link: Link): void {
    const lines = linesOf(text);
    const answer = (status: string, sdp = ""): void => {
      const contact = lines.startLine.startsWith("INVITE") ? [`Contact: <sip:callee@${link.contactHost}>`] : [];
      link.send(Buffer.from(responseText(status, lines, `t${lines.callId}`, [...contact, "User-Agent: bench"], sdp), "latin1"));
    };
    if (lines.startLine.startsWith("BYE ")) return answer("200 OK");
    if (!lines.startLine.startsWith("INVITE ")) return;
    answer("180 Ringing");
    this.#answers.push({ at: performance.now() + ringMs, act: () => answer("200 OK", body) });
  }

  #end(call: Call | undefined, failure: string | undefined): void {
    if (call !== undefined && !this.#calls.delete(call.id)) return;
    this.#ended += 1;
    if (failure === undefined) return;
    this.#failed += 1;
    this.#cause ??= failure;
  }
}

function runDue(queue: Later[], now: number): void {
  let due = 0;
  for (; due < queue.length; due += 1) {
    const later = queue[due];
    if (later === undefined || later.at > now) break;
    later.act();
  }
  if (due > 0) queue.splice(0, due);
}
