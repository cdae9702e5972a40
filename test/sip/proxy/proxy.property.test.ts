import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isParseError } from "../../../sip/errors.ts";
import { buildResponse } from "../../../sip/message/build.ts";
import { stringOf } from "../../../sip/message/octets.ts";
import type { SipMessage } from "../../../sip/message/sip-message.ts";
import type { Invite } from "../../../sip/record/values.ts";
import { restoreInvite, snapshotInvite } from "../../../sip/proxy/snapshot.ts";
import type { Target } from "../../../sip/proxy/target-set.ts";
import { isResponseContext } from "../../../sip/proxy/response-context.ts";
import { caller, callerTcp, phone1, phone2, phone3, phoneTcp, request, Rig, target } from "./rig.ts";

/** What can happen to a proxy, in any order; numbers choose among what there is at that moment. */
type Event =
  | { readonly type: "request"; readonly method: string; readonly targets: readonly number[]; readonly overTcp: boolean }
  | { readonly type: "again" | "cancel" | "ack" | "ackOf2xx" | "undeliverable"; readonly pick: number }
  | { readonly type: "answer"; readonly pick: number; readonly status: number }
  | { readonly type: "resolved"; readonly pick: number; readonly flows: readonly number[] }
  | { readonly type: "pass"; readonly ms: number };

const targets: readonly Target[] = [
  target(phone1),
  target(phoneTcp, { group: "instance" }),
  target(phone2, { group: "instance", q: 0.5 }),
  target(phone3, { q: 0.5 }),
  { requestUri: "sip:bob@far.test", routes: ["<sip:edge.test;lr>"] },
  { requestUri: "sips:bob@far.test", routes: ["<sip:strict.test>"] },
  { requestUri: "tel:+1555", routes: [], q: 0.1 },
];
const flows = [phone1, phone2, phone3, phoneTcp];
const pick = fc.nat({ max: 1_000 });
const anyEvent: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant("request" as const),
      method: fc.constantFrom("INVITE", "INVITE", "MESSAGE", "FOO"),
      targets: fc.array(fc.nat({ max: targets.length - 1 }), { minLength: 1, maxLength: 6 }),
      overTcp: fc.boolean(),
    }),
  },
  { weight: 4, arbitrary: fc.record({ type: fc.constantFrom("again", "cancel", "ack", "ackOf2xx", "undeliverable"), pick }) },
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant("answer" as const),
      pick,
      status: fc.constantFrom(100, 180, 183, 200, 202, 302, 401, 407, 408, 430, 480, 486, 487, 500, 503, 603),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant("resolved" as const),
      pick,
      flows: fc.array(fc.nat({ max: flows.length - 1 }), { maxLength: 4 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ type: fc.constant("pass" as const), ms: fc.constantFrom(1, 400, 600, 3_000, 10_000, 40_000, 190_000) }),
  },
);

type Asked = {
  readonly text: string;
  readonly method: string;
  readonly flow: string;
  readonly number: number;
  readonly overTcp: boolean;
  readonly at: number;
  acknowledged: boolean;
  cancelled: boolean;
};

/** Plays the events; requests are numbered, their number is in branch, Call-ID and From tag. */
class Play {
  readonly rig = new Rig();
  readonly requests: Asked[] = [];

  apply(event: Event): void {
    const { rig } = this;
    switch (event.type) {
      case "request": {
        rig.targets = event.targets.flatMap((index) => targets[index] ?? []);
        const flow = event.overTcp ? callerTcp : caller;
        const number = this.requests.length;
        const text = this.#text(event.method, number, event.overTcp);
        this.requests.push({
          text,
          method: event.method,
          flow,
          number,
          overTcp: event.overTcp,
          at: rig.now,
          acknowledged: false,
          cancelled: false,
        });
        return rig.receive(text, flow);
      }
      case "again":
      case "cancel":
      case "ack":
      case "ackOf2xx": {
        const known = chosen(this.requests, event.pick);
        if (known === undefined) return;
        if (event.type === "again") {
          // A client repeats over UDP, for 32 s, and not what it has had a final response to.
          if (!known.overTcp && !known.acknowledged && rig.now - known.at < 32_000) rig.receive(known.text, known.flow);
          return;
        }
        if (known.method !== "INVITE") return;
        const method = event.type === "cancel" ? "CANCEL" : "ACK";
        known.acknowledged ||= method === "ACK";
        known.cancelled ||= method === "CANCEL";
        const text = this.#text(method, known.number, known.overTcp);
        return rig.receive(event.type === "ackOf2xx" ? text.replace("z9hG4bKr", "z9hG4bKack").replace("To: ", "To: x ") : text, known.flow);
      }
      case "undeliverable": {
        const sent = chosen(rig.sent, event.pick);
        if (sent !== undefined) rig.layer.undeliverable(sent.message, sent.flow, rig.now);
        return;
      }
      case "answer": {
        const asked = chosen(
          rig.sent.filter((sent) => sent.message.isRequest && sent.message.method !== "ACK"),
          event.pick,
        );
        if (asked === undefined) return;
        return rig.receive(stringOf(buildResponse(asked.message, event.status, { toTag: `t${event.pick % 3}` })), asked.flow);
      }
      case "resolved": {
        const question = chosen(rig.resolves, event.pick);
        if (question !== undefined)
          rig.proxy.resolved(
            question.reference,
            event.flows.flatMap((index) => flows[index] ?? []),
            rig.now,
          );
        return;
      }
      case "pass":
        return rig.advance(event.ms);
      default:
        event satisfies never;
    }
  }

  #text(method: string, number: number, overTcp: boolean): string {
    const via = `SIP/2.0/${overTcp ? "TCP" : "UDP"} 192.0.2.1:5060;rport;branch=z9hG4bKr${number}`;
    return request(method, { via, callId: `call-${number}`, fromTag: `from-${number}` });
  }

  /** The different final responses that a request has been sent. */
  finalsOf(number: number, method: string): number[] {
    const statuses = new Map<string, number>();
    for (const { message, text } of this.rig.sent) {
      const cSeq = message.cSeq;
      if (message.isRequest || message.status < 200 || message.callId !== `call-${number}` || isParseError(cSeq)) continue;
      if (cSeq.method === method) statuses.set(text, message.status);
    }
    return [...statuses.values()];
  }
}

function chosen<T>(from: readonly T[], index: number): T | undefined {
  return from[index % Math.max(1, from.length)];
}

/** Longer than any call of theirs can take when nothing happens any more: serial targets, Timer C, the wait after CANCEL. */
const longEnoughMs = 3_600_000;

/** What the rules of RFC 3261 16.7 5 do not allow. */
function violations(play: Play): string[] {
  const found: string[] = [];
  for (const { number, method, cancelled } of play.requests) {
    const finals = play.finalsOf(number, method);
    const isAllowed =
      method === "INVITE"
        ? isAllowedForInvite(finals, cancelled)
        : // "exactly one final response to a non-INVITE request"; RFC 4320 4.2: or none, and never 408
          finals.length <= 1 && !finals.includes(408);
    if (!isAllowed) found.push(`${method} ${number}: ${finals.join(" ")}`);
  }
  return found;
}

/**
 * "either exactly one non-2xx response or one or more 2xx responses". Who has hung up, or been declined for all, waits for no phone that is silent: its
 * late 2xx "MUST be forwarded immediately", after the other one.
 */
function isAllowedForInvite(finals: readonly number[], isCancelled: boolean): boolean {
  const [first = 0, ...later] = finals;
  if (first < 300) return first >= 200 && later.every((status) => status < 300);
  return later.length === 0 || ((isCancelled || first >= 600) && later.every((status) => status < 300));
}

describe("any sequence of requests, responses, losses and timers", () => {
  it("[RFC3261 16.7 5] ends, with one non-2xx or any number of 2xx to an INVITE, a late 2xx after a CANCEL, at most one final to others, and nothing left", () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 80 }), (events) => {
        const play = new Play();
        for (const each of events) play.apply(each);
        play.rig.advance(longEnoughMs);
        expect(play.rig.isIdle).toBe(true);
        expect(violations(play)).toEqual([]);
      }),
      { numRuns: 1_500 },
    );
  });

  it("the same events give the same messages", () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 40 }), (events) => {
        const texts = [new Play(), new Play()].map((play) => {
          for (const each of events) play.apply(each);
          return play.rig.sent.map((sent) => `${sent.flow} ${sent.text}`);
        });
        expect(texts[0]).toEqual(texts[1]);
      }),
      { numRuns: 100 },
    );
  });

  it("an INVITE taken up by another replica at any moment ends there too", () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 40 }), fc.array(anyEvent, { maxLength: 40 }), (before, after) => {
        const play = new Play();
        for (const each of before) play.apply(each);
        const other = new Play();
        Object.assign(other, { rig: new Rig({ cell: "b" }) });
        other.rig.now = play.rig.now;
        other.rig.sent.push(...play.rig.sent);
        other.requests.push(...play.requests);
        let taken = 0;
        const transactions = new Set<unknown>();
        for (const tx of play.rig.servers) {
          const snapshot = isResponseContext(tx.owner) ? snapshotInvite(tx.owner, play.rig.now, play.rig.now) : undefined;
          if (snapshot === undefined) continue;
          const copy = JSON.parse(JSON.stringify(snapshot)) as Invite;
          transactions.add(restoreInvite(copy, other.rig.proxy, other.rig.layer, other.rig.now)?.tx);
          taken += 1;
        }
        expect(transactions).not.toContain(undefined);
        expect(transactions.size).toBe(taken);
        for (const each of after) other.apply(each);
        other.rig.advance(longEnoughMs);
        expect(other.rig.isIdle).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});

describe("junk", () => {
  it("no message that can be read makes it throw, whatever its headers hold", () => {
    const junk = fc.oneof(
      fc.string({ maxLength: 30 }),
      fc.constantFrom("z9hG4bK", "<sip:x", '"', "td1*", "z9hG4bKtd3.a.b*c.d.e", "*", ";;", ",,", "-1"),
    );
    fc.assert(
      fc.property(
        fc.constantFrom("INVITE", "ACK", "BYE", "CANCEL", "X"),
        fc.array(junk, { minLength: 8, maxLength: 8 }),
        (method, parts) => {
          const [uri = "", via = "", from = "", to = "", callId = "", route = "", recordRoute = "", maxForwards = ""] = parts.map(clean);
          const rig = new Rig();
          rig.targets = [target(phone1), { requestUri: uri, routes: [route] }];
          rig.recordRoute = true;
          const text =
            `${method} sip:${uri.replaceAll(" ", "")}x SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=${via}\r\nFrom: ${from}\r\nTo: ${to}\r\nCall-ID: ${callId}\r\n` +
            `CSeq: 1 ${method}\r\nRoute: ${route}\r\nRecord-Route: ${recordRoute}\r\nMax-Forwards: ${maxForwards}\r\n\r\n`;
          receiveIfReadable(rig, text);
          for (const sent of rig.sent.slice()) if (sent.message.isRequest) answerAll(rig, sent.message, sent.flow);
          rig.advance(longEnoughMs);
          expect(rig.isIdle).toBe(true);
        },
      ),
      { numRuns: 1_000 },
    );
  });
});

function clean(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?");
}

function receiveIfReadable(rig: Rig, text: string): void {
  try {
    rig.receive(text, caller);
  } catch (error) {
    if (!String(error).startsWith("Error: unreadable")) throw error;
  }
}

function answerAll(rig: Rig, message: SipMessage, flow: string): void {
  if (message.method === "ACK") return;
  for (const status of [180, 486]) rig.receive(stringOf(buildResponse(message, status, { toTag: "b" })), flow);
}
