import { describe, expect, it } from "vitest";
import type { ClusterMap } from "../../../cluster/map/cluster-map.ts";
import {
  messageOctetsMax,
  provisionalMs,
  provisionalsMax,
  unpaidOctetsMax,
  unpaidOctetsPerSecond,
  unprovenAnswerFactor,
  unprovenCopies,
} from "../../../sip/limits.ts";
import { RecordKind } from "../../../cluster/backhaul/frame.ts";
import { answer, TestExchange, TestPhone, type Sent } from "./harness.ts";
import { proofOf, proved, registered } from "./proof.ts";

/** Somebody who writes another's address on his datagrams. */
const victim = "u0..c6336407138e";
const longDomain = `${"d".repeat(60)}.test`;

type Forged = {
  readonly method?: string;
  readonly uri?: string;
  readonly from?: string;
  readonly to?: string;
  readonly via?: string;
  readonly headers?: string;
};

/** The shortest request that is answered: names of one letter, nothing that is not needed. */
function shortest({ method = "INVITE", uri = "sip:b@example.test", from = "sip:e@x", to = uri, via = "v", headers = "" }: Forged): string {
  return `${method} ${uri} SIP/2.0\r\nv:SIP/2.0/UDP ${via};branch=z9hG4bK1\r\nf:<${from}>;tag=1\r\nt:<${to}>\r\ni:1\r\nCSeq:1 ${method}\r\n${headers}\r\n`;
}

const ours = "sip:a@example.test";
const badProof =
  'Proxy-Authorization:Digest username="a",realm="example.test",nonce="x",uri="sip:b@example.test",response="0",cnonce="c",nc=00000001,qop=auth\r\n';

/** The same with names as phones write them. */
function written(forged: Forged): string {
  return shortest(forged)
    .replace("v:", "Via: ")
    .replace("\r\nf:", "\r\nFrom: ")
    .replace("\r\nt:", "\r\nTo: ")
    .replace("\r\ni:", "\r\nCall-ID: ");
}

/** What is refused at once, and how. */
const refused: readonly [what: string, status: number, Forged][] = [
  ["a header that cannot be read", 400, { headers: "m:<\r\nMax-Forwards:x\r\n" }],
  ["Max-Forwards over what there is", 400, { headers: "Max-Forwards:256\r\n" }],
  ["no credentials", 407, { from: ours }],
  ["wrong credentials", 407, { from: ours, headers: badProof }],
  ["a call to somewhere else", 403, { uri: "sip:b@x" }],
  ["nobody of that name", 404, { uri: "sip:n@example.test" }],
  ["a user who is away", 480, {}],
  ["a scheme that leads nowhere", 416, { uri: "http:x", to: "sip:b@x" }],
  ["an extension that we have not", 420, { headers: "Proxy-Require:x\r\n" }],
  ["Max-Forwards used up", 483, { headers: "Max-Forwards:0\r\n" }],
  ["a MESSAGE to nobody", 404, { method: "MESSAGE", uri: "sip:n@example.test" }],
  ["a MESSAGE without credentials", 407, { method: "MESSAGE", from: ours }],
  ["a REGISTER", 401, { method: "REGISTER", uri: "sip:example.test", from: ours, to: ours }],
  [
    "a REGISTER with a wrong password",
    401,
    { method: "REGISTER", uri: "sip:example.test", from: ours, to: ours, headers: badProof.slice(6) },
  ],
  ["a REGISTER for somebody else's domain", 404, { method: "REGISTER", uri: "sip:example.test", from: ours, to: "sip:a@x" }],
  ["an OPTIONS for the domain", 200, { method: "OPTIONS", uri: "sip:example.test" }],
  ["a CANCEL of nothing", 481, { method: "CANCEL" }],
  [
    "a REGISTER with what we do not have, and a password",
    420,
    { method: "REGISTER", uri: "sip:example.test", from: ours, to: ours, headers: `Require:x\r\n${badProof.slice(6)}` },
  ],
  ["an INFO that is within nothing", 481, { method: "INFO" }],
  ["an UPDATE that is within nothing", 481, { method: "UPDATE" }],
  ["a NOTIFY that nobody has asked for", 481, { method: "NOTIFY", headers: "o:check-sync\r\n" }],
  ["a BYE of no dialog", 481, { method: "BYE", uri: "sip:n@example.test" }],
];

function world(map: Partial<ClusterMap> = {}): TestExchange {
  const made = new TestExchange("digest", { map });
  for (const user of ["a", "b"]) made.addSubscriber(user, "password");
  return made;
}

function octetsOf(sent: readonly Sent[]): number {
  return sent.reduce((sum, each) => sum + each.text.length, 0);
}

describe("[RFC3261 26.3.2.4] a request that has proved nothing is refused once, and forgotten", () => {
  it.each(refused)("%s: %i", (_what, status, forged) => {
    const exchange = world();
    const request = shortest(forged);
    const first = exchange.receive(victim, request);
    expect(first.map((each) => each.message.status)).toEqual([status]);
    // The source does not acknowledge what it has not asked for.
    const later = exchange.advance(64_000);
    expect(later).toEqual([]);
    expect(octetsOf([...first, ...later])).toBeLessThanOrEqual(unprovenAnswerFactor * request.length);
    expect(exchange.exchange.counts(exchange.now)).toMatchObject({ transactions: 0, dialogs: 0, registrations: 0 });
    expect(exchange.exchange.nextDeadline()).toBeUndefined();
    // RFC 3261 8.2.7: repeated, it is answered again, and the tag is the same.
    const again = exchange.receive(victim, request);
    expect(again.map((each) => each.message.status)).toEqual([status]);
    expect(again[0]?.message.toTag).toBe(first[0]?.message.toTag);
    expect(exchange.receive(victim, request.replaceAll(forged.method ?? "INVITE", "ACK"))).toEqual([]);
  });

  it("from wherever it seems to come, and with the longest domain", () => {
    for (const source of [victim, "u0..20010db80000000000000000000000011388", "u0..c6336407ffff"]) {
      for (const via of ["v", "203.0.113.250:65535;rport", "v:9;rport;received=10.0.0.1", "[2001:db8::9]:65535;rport"]) {
        const exchange = world({ domains: [{ name: longDomain, auth: "digest", digest: ["SHA-256", "MD5"] }] });
        for (const method of ["INVITE", "REGISTER", "OPTIONS", "MESSAGE"]) {
          for (const forged of [{ from: `sip:a@${longDomain}` }, { from: "sip:e@x" }, { from: `sip:a@${longDomain}`, uri: "sip:x@y" }]) {
            const uri = method === "REGISTER" ? `sip:${longDomain}` : `sip:b@${longDomain}`;
            const request = shortest({ method, uri, to: `sip:a@${longDomain}`, via, ...forged });
            const sent = [...exchange.receive(source, request), ...exchange.advance(64_000)];
            expect(sent).toHaveLength(1);
            expect(octetsOf(sent)).toBeLessThanOrEqual(unprovenAnswerFactor * request.length);
          }
        }
      }
    }
  });

  it("with two challenges that are more than twice as long as the request, 400: no phone sends such a one", () => {
    const exchange = world({ domains: [{ name: "example.test", auth: "digest", digest: ["SHA-256", "MD5"] }] });
    const [refusal] = exchange.receive(victim, shortest({ from: ours }));
    expect(refusal?.text.split("\r\n")[0]).toBe("SIP/2.0 400 Request Too Short");
    const [challenge] = exchange.receive(victim, shortest({ from: ours, headers: `s:${"a longer subject ".repeat(8)}\r\n` }));
    expect(challenge?.message.status).toBe(407);
  });

  it.each([0, 30, 60, 100, 150, 300, 900])(
    "a refusal of ours that comes later, the 100 and its copies are twice the octets at most: %i octets more",
    (more) => {
      const exchange = world();
      const bob = new TestPhone("b", "203.0.113.9", 5080, "WS");
      registered(exchange, bob);
      exchange.record(RecordKind.closed, bob.key, "", bob.access);
      const invite = shortest({ headers: more === 0 ? "" : `x-long:${"x".repeat(more)}\r\n` });
      const answers = [...exchange.receive(victim, invite), ...exchange.advance(120_000)];
      const statuses = answers.map((each) => each.message.status);
      // One that is shorter than any phone's has no 100: it is repeated until the answer is there, if somebody sends it.
      expect(statuses.slice(0, 2)).toEqual(more < 60 ? [480] : [100, 480]);
      expect(octetsOf(answers)).toBeLessThanOrEqual(unprovenAnswerFactor * invite.length);
      expect(statuses.length > 2).toBe(more > 150);
      expect(exchange.exchange.counts(exchange.now).transactions).toBe(0);
    },
  );

  it("[RFC3261 8.1.3.5] an answer that no frame takes is none: a request with the longest of Vias", () => {
    const exchange = world();
    const vias = Array.from({ length: 4 }, () => `v:SIP/2.0/UDP a;branch=z9hG4bKx,${"SIP/2.0/UDP a,".repeat(1_130)}SIP/2.0/UDP a\r\n`).join(
      "",
    );
    const request = shortest({}).replace(/v:.*\r\n/, vias);
    expect(request.length).toBeLessThanOrEqual(messageOctetsMax);
    for (const sent of exchange.receive(victim, request)) expect(sent.text.length).toBeLessThanOrEqual(messageOctetsMax);
  });

  it("[RFC3261 17.1.1.3] the ACK of a refusal of ours goes to nobody, by whichever replica", () => {
    const exchange = world();
    registered(exchange, new TestPhone("b", "203.0.113.9", 5080));
    const invite = shortest({ from: ours });
    const [refusal] = exchange.receive(victim, invite);
    const ack = invite
      .replaceAll("INVITE", "ACK")
      .replace("t:<sip:b@example.test>", `t:<sip:b@example.test>;tag=${refusal?.message.toTag}`);
    expect(ack).toContain(";tag=");
    expect(exchange.receive(victim, ack)).toEqual([]);
    const other = new TestExchange("digest", { cell: "b" });
    for (const record of exchange.exchange.store.changedSince(0, 1_000).records) other.exchange.applyFromPeer(record, other.now);
    expect(other.receive(victim, ack)).toEqual([]);
  });

  it("in a domain where nobody proves anything, too", () => {
    const exchange = new TestExchange("open");
    const request = shortest({ from: ours, uri: "sip:n@example.test" });
    expect(exchange.receive(victim, request).map((each) => each.message.status)).toEqual([404]);
    expect(exchange.advance(64_000)).toEqual([]);
    expect(exchange.exchange.counts(exchange.now).transactions).toBe(0);
  });

  it("a real phone gets its challenge as it always was", () => {
    const exchange = world();
    const alice = new TestPhone("a", "198.51.100.7", 5070);
    const [challenge] = exchange.receive(alice.key, alice.request("INVITE", "sip:b@example.test"));
    expect(challenge?.text).toContain("SIP/2.0 407 Proxy Authentication Required\r\nVia: ");
    expect(challenge?.text).toContain("Content-Length: 0\r\n\r\n");
  });

  it("a connection has proved where it comes from: its answers are written out", () => {
    const exchange = world();
    const [answered] = exchange.receive("t1.c9.c6336407138e", shortest({ from: ours, headers: "l:0\r\n" }));
    expect(answered?.message.status).toBe(407);
    expect(answered?.text).toContain("Content-Length: 0\r\n");
    expect(exchange.exchange.counts(exchange.now).transactions).toBe(0);
  });

  it("two thousand of them leave nothing behind", () => {
    const exchange = world();
    for (let time = 0; time < 1_000; time += 1) {
      exchange.receive(victim, shortest({}).replace("z9hG4bK1", `z9hG4bK${time}`));
      exchange.receive(victim, shortest({ from: ours, headers: badProof }).replace("z9hG4bK1", `z9hG4bK${time}`));
    }
    expect(exchange.exchange.counts(exchange.now).transactions).toBe(0);
    expect(exchange.exchange.nextDeadline()).toBeUndefined();
  });

  it("a refusal to a caller who has proved who he is, is said until it is acknowledged (Timer G)", () => {
    const exchange = world();
    const alice = new TestPhone("a", "198.51.100.7", 5070);
    const [challenge] = exchange.receive(alice.key, alice.request("INVITE", "sip:b@example.test"));
    const proof = proofOf(challenge, "INVITE", "sip:b@example.test", "a");
    expect(exchange.receive(alice.key, alice.request("INVITE", "sip:b@example.test", [proof])).map((each) => each.message.status)).toEqual([
      480,
    ]);
    expect(exchange.advance(600).map((each) => each.message.status)).toEqual([480]);
  });
});

describe("[RFC3261 26.3.2.4, 17.2.1] what a phone refuses is said four times to a datagram that has proved nothing, or within twice its octets", () => {
  const bob = new TestPhone("b", "203.0.113.9", 5080);
  const long = `x-long:${"x".repeat(900)}\r\n`;

  /** A stranger's INVITE, which rings, perhaps, and is refused. */
  function refusedBy(
    status: number,
    invite: string,
    from = victim,
    isRinging = true,
  ): { readonly exchange: TestExchange; readonly sent: readonly Sent[] } {
    const exchange = world();
    registered(exchange, new TestPhone("b", "203.0.113.9", 5080));
    const first = exchange.receive(from, invite);
    const [heard] = first.filter(({ message }) => message.isRequest);
    if (heard === undefined) throw new Error("nothing was forwarded");
    const rings = isRinging ? exchange.receive(bob.key, answer(heard.message, 180, "bob")) : [];
    const refuses = exchange.receive(bob.key, answer(heard.message, status, "bob"));
    return { exchange, sent: [...first, ...rings, ...refuses].filter(({ message }) => !message.isRequest) };
  }

  it.each([302, 404, 486, 503, 603])("%i", (status) => {
    for (const headers of ["", `x-long:${"x".repeat(300)}\r\n`, long]) {
      const invite = written({ headers });
      const { exchange, sent } = refusedBy(status, invite);
      const repeats = exchange.advance(120_000).filter(({ message }) => !message.isRequest);
      expect(sent.at(-1)?.message.status).toBe(status === 503 ? 500 : status);
      // Who has heard it ring repeats nothing: the refusal, and three copies, are said in any case.
      expect(repeats.map(({ text }) => text)).toEqual(Array.from({ length: unprovenCopies - 1 }, () => sent.at(-1)?.text));
      expect(exchange.exchange.counts(exchange.now).transactions).toBe(0);
    }
  });

  it.each([0, 300])("who has not heard it ring gets no copy that his INVITE does not pay for: %i octets more", (more) => {
    for (const status of [404, 486]) {
      const invite = written({ headers: more === 0 ? "" : `x-long:${"x".repeat(more)}\r\n` });
      const { exchange, sent } = refusedBy(status, invite, victim, false);
      const repeats = exchange.advance(120_000).filter(({ message }) => !message.isRequest);
      expect(octetsOf([...sent, ...repeats])).toBeLessThanOrEqual(Math.max(unprovenAnswerFactor * invite.length, octetsOf(sent)));
    }
  });

  it("a thousand forged INVITEs bring no more copies than are lent in all", () => {
    const exchange = world();
    registered(exchange, new TestPhone("b", "203.0.113.9", 5080));
    let octets = 0;
    let copies = 0;
    const count = (sent: readonly Sent[]): void => {
      const answers = sent.filter(({ message }) => !message.isRequest);
      octets += octetsOf(answers);
      copies += answers.length;
    };
    const startedAt = exchange.now;
    for (let time = 0; time < 1_000; time += 1) {
      const [heard] = exchange
        .receive(victim, written({}).replace("z9hG4bK1", `z9hG4bK${time}`))
        .filter(({ message }) => message.isRequest);
      if (heard === undefined) throw new Error("nothing was forwarded");
      exchange.receive(bob.key, answer(heard.message, 180, "bob"));
      exchange.receive(bob.key, answer(heard.message, 486, "bob"));
      count(exchange.advance(1));
    }
    const lentUntil = exchange.now;
    count(exchange.advance(120_000));
    expect(octets).toBeLessThanOrEqual(unpaidOctetsMax + ((lentUntil - startedAt) * unpaidOctetsPerSecond) / 1_000);
    // Those that had come before it was all lent have theirs.
    expect(copies).toBeGreaterThan(100);
    expect(copies).toBeLessThan(1_000);
  });

  it("its few copies come after 0.5, 2.5 and 10.5 s: they outlast bad weather", () => {
    const { exchange } = refusedBy(486, written({ headers: `${long}${long}` }));
    const copies = [600, 2_000, 8_000, 100_000].map((ms) => exchange.advance(ms).filter(({ message }) => !message.isRequest).length);
    expect(copies).toEqual([1, 1, 1, 0]);
  });

  it("a caller who repeats the INVITE, or hangs up, hears it again, however often", () => {
    const invite = written({});
    const { exchange } = refusedBy(486, invite);
    exchange.advance(20_000);
    for (let time = 0; time < 3; time += 1) expect(exchange.receive(victim, invite).map(({ message }) => message.status)).toEqual([486]);
    const cancel = written({
      method: "CANCEL",
      headers: "s:I have heard nothing, and do not want to wait any longer for what may never come; here are the octets for it\r\n",
    });
    const heard = exchange.receive(victim, cancel);
    expect(heard.map(({ message }) => message.valuesOf("CSeq").join())).toEqual(["1 CANCEL", "1 INVITE"]);
    expect(octetsOf(heard)).toBeLessThanOrEqual(unprovenAnswerFactor * cancel.length);
  });

  it("a forged CANCEL does not bring more than twice its octets either", () => {
    for (const headers of ["", long]) {
      const cancel = written({ method: "CANCEL" });
      const { exchange, sent } = refusedBy(486, written({ headers }));
      const sentLater = [...exchange.receive(victim, cancel), ...exchange.advance(120_000)].filter(({ message }) => !message.isRequest);
      const paid = unprovenAnswerFactor * (written({ headers }).length + cancel.length);
      const ok = octetsOf(sentLater.filter(({ message }) => message.valuesOf("CSeq").join() === "1 CANCEL"));
      const lent = (unprovenCopies - 1) * octetsOf(sent.slice(-1));
      expect(octetsOf([...sent, ...sentLater])).toBeLessThanOrEqual(Math.max(paid, octetsOf(sent) + ok) + lent);
    }
  });

  it("who has shown a password to the replica that has died hears it from the other one", () => {
    const exchange = world();
    const alice = new TestPhone("a", "198.51.100.7", 5070);
    registered(exchange, new TestPhone("b", "203.0.113.9", 5080));
    const [heard] = proved(exchange, alice, "INVITE", "sip:b@example.test").filter(({ message }) => message.isRequest);
    if (heard === undefined) throw new Error("nothing was forwarded");
    exchange.receive(bob.key, answer(heard.message, 180, "bob"));
    const other = new TestExchange("digest", { cell: "b" });
    for (const record of exchange.exchange.store.changedSince(0, 1_000).records) other.exchange.applyFromPeer(record, other.now);
    other.exchange.takeOver(undefined, other.now);
    other.drain();
    other.receive(bob.key, answer(heard.message, 486, "bob"));
    expect(other.advance(120_000).filter(({ key }) => key === alice.key)).toHaveLength(10);
  });

  it("an INVITE with the address of a registered phone, which somebody else has sent, is not more to it", () => {
    const exchange = world();
    const alice = new TestPhone("a", "198.51.100.7", 5070);
    registered(exchange, alice);
    registered(exchange, new TestPhone("b", "203.0.113.9", 5080));
    const forged = alice.request("INVITE", "sip:b@example.test", ["From: <sip:e@x>;tag=1"]);
    const [heard] = exchange.receive(alice.key, forged).filter(({ message }) => message.isRequest);
    if (heard === undefined) throw new Error("nothing was forwarded");
    exchange.receive(bob.key, answer(heard.message, 486, "bob"));
    expect(exchange.advance(120_000).filter(({ message }) => !message.isRequest).length).toBeLessThanOrEqual(1);
  });

  it("who has shown a password, and a registered phone of a domain that asks for none, hear it until they acknowledge it", () => {
    const alice = new TestPhone("a", "198.51.100.7", 5070);
    const copiesFor = (exchange: TestExchange, sent: readonly Sent[]): number => {
      const [heard] = sent.filter(({ message }) => message.isRequest);
      if (heard === undefined) throw new Error("nothing was forwarded");
      exchange.receive(bob.key, answer(heard.message, 486, "bob"));
      return exchange.advance(120_000).filter(({ key }) => key === alice.key).length;
    };
    const asked = world();
    registered(asked, new TestPhone("b", "203.0.113.9", 5080));
    expect(copiesFor(asked, proved(asked, alice, "INVITE", "sip:b@example.test"))).toBe(10);
    const open = new TestExchange("open");
    for (const phone of [new TestPhone("b", "203.0.113.9", 5080), new TestPhone("a", "198.51.100.7", 5070)])
      open.receive(phone.key, phone.register());
    expect(copiesFor(open, open.receive(alice.key, alice.request("INVITE", "sip:b@example.test")))).toBe(10);
    const stranger = new TestExchange("open");
    stranger.receive(bob.key, new TestPhone("b", "203.0.113.9", 5080).register());
    expect(copiesFor(stranger, stranger.receive(alice.key, alice.request("INVITE", "sip:b@example.test")))).toBeLessThanOrEqual(2);
  });
});

describe("[RFC3261 16.7 5] provisional responses of a phone that says too many", () => {
  it("so many at once and one a second are forwarded, and nothing more is written", () => {
    const exchange = world();
    const bob = new TestPhone("b", "203.0.113.9", 5080);
    registered(exchange, bob);
    const [heard] = exchange.receive(victim, written({})).filter(({ message }) => message.isRequest);
    if (heard === undefined) throw new Error("nothing was forwarded");
    const say = (count: number): number => {
      let forwarded = 0;
      for (let n = 0; n < count; n += 1) {
        const headers = n % 2 === 0 ? [] : ["Require: 100rel", `RSeq: ${n}`];
        forwarded += exchange.receive(bob.key, answer(heard.message, n % 2 === 0 ? 180 : 183, "bob", headers)).length;
      }
      return forwarded;
    };
    expect(say(300)).toBe(provisionalsMax);
    const before = exchange.exchange.store.sequence;
    expect(say(100)).toBe(0);
    expect(exchange.exchange.store.sequence).toBe(before);
    exchange.advance(10 * provisionalMs);
    expect(say(100)).toBe(10);
    // The answer passes.
    expect(exchange.receive(bob.key, answer(heard.message, 486, "bob")).filter(({ message }) => !message.isRequest)).toHaveLength(1);
  });
});
