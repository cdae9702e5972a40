import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { dialogOctetsPerCalleeMax, spiralsMax } from "../../../sip/limits.ts";
import { Header } from "../../../sip/message/header-names.ts";
import { RecordKind } from "../../../cluster/backhaul/frame.ts";
import { DialogCall } from "./dialog-call.ts";
import { answer, TestExchange, TestPhone, valuesOf, type Sent } from "./harness.ts";
import { proofOf, proved, registered } from "./proof.ts";

const bobUri = "sip:bob@example.test";
const fromOutside = "From: <sip:eve@evil.test>;tag=e";

/** Alice, Bob and Carol have passwords; Eve calls from outside. */
class Case {
  readonly world = new TestExchange("digest", { exchangeCount: 1 });
  readonly eve = new TestPhone("eve", "198.51.100.66", 5060);
  readonly alice = new TestPhone("alice", "198.51.100.7", 5070);
  readonly bob = new TestPhone("bob", "203.0.113.9", 5080);
  readonly other = new TestPhone("bob", "203.0.113.77", 5080);
  readonly bobTcp = new TestPhone("bob", "203.0.113.9", 5080, "TCP");
  readonly browser = new TestPhone("bob", "203.0.113.9", 5080, "WS");
  /** What reached each of them last. */
  #caller = this.eve;

  constructor() {
    for (const user of ["alice", "bob", "carol"]) this.world.addSubscriber(user, "password");
  }

  /** Eve calls; what leaves because of it. */
  call(uri = bobUri, headers: readonly string[] = [], method = "INVITE"): Sent[] {
    return this.world.receive(this.eve.key, this.eve.request(method, uri, [fromOutside, ...headers]));
  }

  /** Eve calls, and says that she is this one. */
  callFrom(name: string, method = "INVITE"): void {
    this.world.receive(this.eve.key, this.eve.request(method, bobUri, [`From: ${name};tag=e`]));
  }

  /** Alice calls, and proves who she is. */
  callProved(uri: string): Sent[] {
    this.#caller = this.alice;
    return proved(this.world, this.alice, "INVITE", uri);
  }

  /** Alice calls with these headers, whatever they prove. */
  callAs(headers: readonly string[]): void {
    this.#caller = this.alice;
    this.world.receive(this.alice.key, this.alice.request("INVITE", bobUri, headers));
  }

  register(phone: TestPhone, headers: readonly string[] = [], expires = 600): void {
    expect(registered(this.world, phone, headers, expires)?.message.status).toBe(200);
  }

  close(phone: TestPhone): void {
    this.world.record(RecordKind.closed, phone.key, "", phone.access);
  }

  /** A phone answers the last INVITE on its flow. */
  answers(phone: TestPhone, status: number, headers: readonly string[] = []): void {
    const invite = this.world.sent.findLast(({ key, message }) => key === phone.key && message.method === "INVITE");
    if (invite !== undefined) this.world.receive(phone.key, answer(invite.message, status, "b", headers), phone.access);
  }

  /** Bob answers the last request of this method. */
  answersNow(method: string, status: number): void {
    const request = this.world.sent.findLast(({ key, message }) => key === this.bob.key && message.method === method);
    if (request !== undefined) this.world.receive(this.bob.key, answer(request.message, status, "x", [`Contact: ${this.bob.contact}`]));
  }

  /** Whatever was sent to this place takes no connection. */
  undeliverable(sent: readonly Sent[], method = "INVITE"): void {
    for (const { key, text, message, access } of sent) {
      if (message.method === method) this.world.record(RecordKind.undeliverable, key, text, access);
    }
  }

  resolves(...keys: string[]): void {
    for (const { id } of this.world.resolving) this.world.record(RecordKind.resolved, id, JSON.stringify(keys));
  }

  /** What the caller has got in the end. */
  get final(): Sent | undefined {
    const isFinal = ({ key, message }: Sent): boolean =>
      key === this.#caller.key && !message.isRequest && message.status >= 200 && message.text(Header.CSeq)?.endsWith("CANCEL") !== true;
    if (!this.world.sent.some(isFinal)) this.world.advance(40_000);
    return this.world.sent.find((sent) => isFinal(sent) && (this.#caller === this.eve || !isFirstChallenge(sent, this.world.sent)));
  }
}

/** Eve has called Bob, whose phone has said this, and sends a request within that call. */
function within(one: Case, status: number, method: string, headers: readonly string[]): DialogCall {
  one.register(one.bob);
  const call = new DialogCall(one.world, one.eve, one.bob, { from: "From: <sip:eve@evil.test>;tag=caller-tag" });
  call.answer(one.world, status);
  one.world.sent = [];
  call.send(one.world, method, "caller", { headers });
  return call;
}

/** Alice is challenged before she proves anything: that is not what her call comes to. */
function isFirstChallenge(sent: Sent, all: readonly Sent[]): boolean {
  const finals = all.filter(({ key, message }) => key === sent.key && !message.isRequest && message.status >= 200);
  return sent.message.status === 407 && finals.length > 1 && finals[0] === sent;
}

/** What Bob's phone gets comes back to us so often, as a request for him again with other parameters; what is answered goes the way back. */
function comeBack(one: Case, turns: number, parameters: (turn: number) => string): void {
  one.register(one.bob);
  // A replica that has just started takes a 482 of a phone for an answer to what the other one has sent.
  one.world.advance(40_000);
  const invites: Sent[] = [];
  let sent = one.call();
  for (let turn = 0; turn < turns; turn += 1) {
    const invite = sent.find(({ message }) => message.method === "INVITE");
    if (invite === undefined) throw new Error(`not forwarded in turn ${turn}`);
    invites.push(invite);
    const [, ...rest] = invite.text.split("\r\n");
    const via = `Via: SIP/2.0/UDP 203.0.113.9:5080;branch=z9hG4bKback${turn}`;
    sent = one.world.receive(one.bob.key, [`INVITE ${bobUri}${parameters(turn)} SIP/2.0`, via, ...rest].join("\r\n"));
  }
  expect(sent.some(({ message }) => message.method === "INVITE")).toBe(false);
  for (const { message } of invites.toReversed()) one.world.receive(one.bob.key, answer(message, sent[0]?.message.status ?? 0, "b"));
}

const cases: Readonly<Record<string, (one: Case) => void>> = {
  "nobody of that name": (one) => one.call("sip:nobody@example.test"),
  "a user who has never registered": (one) => one.call(),
  "a user whose registration has run out": (one) => {
    one.register(one.bob);
    one.world.advance(601_000);
    one.call();
  },
  "a phone that has taken itself off": (one) => {
    one.register(one.bob);
    one.register(one.bob, [], 0);
    one.call();
  },
  "a phone that has lost its connection and does not return": (one) => {
    one.register(one.browser);
    one.close(one.browser);
    one.call();
  },
  "a phone that comes back, and does not answer": (one) => {
    one.register(one.bobTcp);
    one.undeliverable(one.call());
    one.register(one.other);
  },
  "a phone over TCP, 34 s after it went": (one) => {
    one.register(one.bobTcp);
    one.close(one.bobTcp);
    one.world.advance(34_000);
    one.undeliverable(one.call());
  },
  "a browser that logged off": (one) => {
    one.register(one.browser);
    one.register(one.browser, [], 0);
    one.close(one.browser);
    one.call();
  },
  "a browser, 34 s after its connection was lost": (one) => {
    one.register(one.browser);
    one.close(one.browser);
    one.world.advance(34_000);
    one.call();
  },
  "a phone whose gateway is gone": (one) => {
    one.register(one.bobTcp);
    one.world.exchange.disconnectAccess("g1", one.world.now);
    one.world.exchange.connectAccess("g2", [{ transport: "UDP", host: "192.0.2.1", port: 5060 }]);
    one.call();
  },
  "a phone over UDP that does not answer": (one) => {
    one.register(one.bob);
    one.call();
  },
  "a phone whose Contact is a name without an address": (one) => {
    one.register(one.bob, ["Contact: <sip:bob@nowhere.test>"]);
    one.call();
    one.resolves();
  },
  "a phone whose Contact is a name that leads to us": (one) => {
    one.register(one.bob, ["Contact: <sip:bob@us.attacker.test>"]);
    one.call();
    one.resolves("u0..c000020113c4");
  },
  "a phone that has no TLS, for a sips URI": (one) => {
    one.register(one.bob);
    one.world.advance(40_000);
    one.call("sips:bob@example.test");
  },
  "two users who point at each other": (one) => {
    one.register(one.bob, ["Contact: <sip:alice@example.test>"]);
    one.register(one.alice, [`Contact: <${bobUri}>`]);
    one.call();
  },
  "a phone that is busy": (one) => {
    one.register(one.bob);
    one.call();
    one.answers(one.bob, 486);
  },
  "a phone that declines": (one) => {
    one.register(one.bob);
    one.call();
    one.answers(one.bob, 603);
  },
  "one phone is gone, the other one busy": (one) => {
    one.register(one.bob);
    one.register(one.other);
    one.undeliverable(one.call().filter(({ key }) => key === one.other.key));
    one.answers(one.bob, 486);
  },
  "one phone is gone, the other one does not answer": (one) => {
    one.register(one.bob);
    one.register(one.other);
    one.undeliverable(one.call().filter(({ key }) => key === one.other.key));
  },
  "a phone that says 503": (one) => {
    one.register(one.bob);
    one.call();
    one.answers(one.bob, 503);
  },
  "a phone that asks for our password": (one) => {
    one.register(one.bob);
    one.call();
    one.answers(one.bob, 401, ['WWW-Authenticate: Digest realm="example.test", nonce="x"']);
  },
  "a phone that asks for a password of its own": (one) => {
    one.register(one.bob);
    one.call();
    one.answers(one.bob, 407, ['Proxy-Authenticate: Digest realm="bob.test", nonce="x"']);
  },
  "the caller hangs up before anybody answers": (one) => {
    one.register(one.bob);
    const invite = one.eve.request("INVITE", bobUri, [fromOutside]);
    one.world.receive(one.eve.key, invite);
    one.answers(one.bob, 180);
    one.world.receive(one.eve.key, invite.replaceAll("INVITE", "CANCEL"));
    one.answers(one.bob, 487);
  },
  "a phone that is gone in a call": (one) => {
    one.register(one.browser);
    one.call();
    one.answers(one.browser, 200, [`Contact: ${one.browser.contact}`]);
    const ok = one.world.sent.find(({ key, message }) => key === one.eve.key && message.status === 200);
    const routes = valuesOf(ok, "Record-Route").map((route) => `Route: ${route}`);
    one.register(one.browser, [], 0);
    one.close(one.browser);
    one.world.sent = [];
    const inside = [`To: <${bobUri}>;tag=b`, ...routes];
    const sent = one.call(one.browser.contact.slice(1, -1), inside, "INFO");
    one.undeliverable(sent, "INFO");
  },
  "an address outside, of a domain that has none (bob@other.test)": (one) => {
    one.callProved("sip:bob@other.test");
    one.resolves();
  },
  "an address outside that takes no connection": (one) => one.undeliverable(one.callProved("sip:bob@203.0.113.99;transport=tcp")),
  "a `.invalid` Contact that nobody has registered": (one) => {
    one.callProved("sip:x@y.invalid;transport=ws");
    one.resolves();
  },
  "a `.invalid` Contact that two users have registered": (one) => {
    one.register(one.browser);
    one.register(Object.assign(new TestPhone("alice", "198.51.100.8", 5099, "WS"), { contact: one.browser.contact }));
    one.callProved(one.browser.contact.slice(1, -1));
  },
  "a tel: URI": (one) => void one.callProved("tel:+1555"),
  "a caller of ours without credentials": (one) => one.callAs([]),
  "a caller of ours with a wrong password": (one) => {
    one.callAs([]);
    one.callAs([proofOf(one.world.sent.at(-1), "INVITE", bobUri, "alice", "guess")]);
  },
  "a caller in another one's name": (one) => {
    const from = `From: <${bobUri}>;tag=x`;
    one.callAs([from]);
    one.callAs([from, proofOf(one.world.sent.at(-1), "INVITE", bobUri, "alice")]);
  },
  "a stranger who calls somebody outside": (one) => one.call("sip:x@203.0.113.99"),
  "a stranger who calls a `.invalid` Contact": (one) => {
    one.register(one.browser);
    one.call(one.browser.contact.slice(1, -1));
  },
  "a stranger in a call that nobody knows": (one) => {
    one.register(one.bob);
    one.call(bobUri, [`To: <${bobUri}>;tag=b`], "BYE");
  },
  "a stranger's INFO to a phone that rings": (one) => within(one, 180, "INFO", []),
  "a stranger who subscribes to what a phone does, within a call": (one) => within(one, 200, "SUBSCRIBE", ["Event: dialog"]),
  "a stranger who notifies unasked, within a call": (one) => within(one, 200, "NOTIFY", ["Event: check-sync"]),
  "a REGISTER or PUBLISH with the token of a call": (one) => within(one, 200, "PUBLISH", ["Event: presence"]),
  "an INFO for a call that has ended, where its subscription goes on": (one) => {
    const call = within(one, 200, "REFER", ["Refer-To: <sip:x@evil.test>"]);
    one.answersNow("REFER", 202);
    one.world.receive(one.eve.key, call.request("BYE", "caller"));
    one.answersNow("BYE", 200);
    one.world.advance(41_000);
    one.world.sent = [];
    one.world.receive(one.eve.key, call.request("INFO", "caller"));
  },
  "a stranger who refers a phone (REFER) outside of a call": (one) => {
    one.register(one.bob);
    one.call(bobUri, ["Refer-To: <sip:1900@carrier.test>"], "REFER");
  },
  "a stranger who subscribes to what a phone does": (one) => {
    one.register(one.bob);
    one.call(bobUri, ["Event: dialog"], "SUBSCRIBE");
  },
  "a stranger who publishes something (PUBLISH)": (one) => {
    one.register(one.bob);
    one.call(bobUri, ["Event: presence"], "PUBLISH");
  },
  "a stranger with a method that we do not know": (one) => {
    one.register(one.bob);
    one.call(bobUri, [], "BENOTIFY");
  },
  "a stranger whose name shows an address of ours": (one) => {
    one.register(one.bob);
    one.callFrom('"carol%40example.test" <sip:eve@evil.test>');
  },
  "a stranger whose user part is an address of ours": (one) => {
    one.register(one.bob);
    one.callFrom("<sip:carol%40example.test@evil.test>");
  },
  "a caller at localhost without credentials": (one) => {
    one.register(one.bob);
    one.callFrom("<sip:carol@localhost>");
  },
  "a REFER of a caller of ours without credentials": (one) => {
    one.register(one.bob);
    one.callFrom("<sip:carol@example.test>", "REFER");
  },
  "a caller whose secrets cannot be asked for": (one) => {
    const far = new TestExchange("digest", { exchangeCount: 64 });
    far.sent = one.world.sent;
    const [challenge] = far.receive(one.alice.key, one.alice.request("INVITE", bobUri));
    far.receive(one.alice.key, one.alice.request("INVITE", bobUri, [proofOf(challenge, "INVITE", bobUri, "alice")]));
    one.callAs([]);
    one.world.sent = [...one.world.sent.slice(0, 1), ...far.advance(5_000)];
  },
  "a stranger, while as many answered calls of strangers stand as may": (one) => {
    one.register(one.bob);
    one.call();
    one.answers(one.bob, 200, ["Contact: <sip:bob@203.0.113.9:5080>"]);
    // Many calls, as one that is as large.
    const record = one.world.exchange.store.records("dialog").next().value;
    if (record === undefined) return;
    const caller = { ...record.value.caller, contact: "x".repeat(dialogOctetsPerCalleeMax) };
    one.world.exchange.restore({ ...record, key: "others one two", value: { ...record.value, caller } });
    one.world.sent = [];
    one.call(bobUri, ["Call-ID: another"]);
  },
  "a request that cannot be read": (one) => one.call(bobUri, ["Max-Forwards: many"]),
  "Max-Forwards is used up": (one) => one.call(bobUri, ["Max-Forwards: 0"]),
  "Max-Breadth is used up": (one) => one.call(bobUri, ["Max-Breadth: 0"]),
  "a request that comes back unchanged": (one) => comeBack(one, 1, () => ""),
  "a request that comes back the third time": (one) => comeBack(one, spiralsMax + 1, (turn) => `;turn=${turn}`),
  "a Proxy-Require": (one) => one.call(bobUri, ["Proxy-Require: x"]),
  "a Route with a token of ours that is forged": (one) =>
    one.call(bobUri, ["Route: <sip:td1*0*a*x*g1~u0..c000020b13c4**0@example.test;lr>", `To: <${bobUri}>;tag=b`]),
};

type Row = { readonly name: string; readonly status: number; readonly retryAfter: string };

function rows(): Row[] {
  const text = readFileSync(resolve(import.meta.dirname, "../../../docs/statuses.md"), "utf8");
  const lines = text.split("\n").filter((line) => /^\| .*\| \d{3}/.test(line));
  return lines.map((line) => {
    const [, name = "", status = "", retryAfter = ""] = line.split("|").map((cell) => cell.trim());
    return { name, status: Number(status), retryAfter };
  });
}

describe("docs/statuses.md", () => {
  it("has a row for each case, and no other", () => {
    expect(rows().map(({ name }) => name)).toEqual(Object.keys(cases));
    expect(rows().length).toBeGreaterThan(30);
  });

  it.each(rows())("$name: $status", ({ name, status, retryAfter }) => {
    const one = new Case();
    cases[name]?.(one);
    const { final } = one;
    expect(final?.message.status).toBe(status);
    expect(valuesOf(final, "Retry-After").join()).toBe(retryAfter);
  });
});
