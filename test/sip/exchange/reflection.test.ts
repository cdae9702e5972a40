import { describe, expect, it } from "vitest";
import { messageOctetsMax, unprovenAnswerFactor } from "../../../sip/limits.ts";
import { RecordKind } from "../../../sip/transport/frame.ts";
import { testMap, TestExchange, TestPhone, type Sent } from "./harness.ts";
import { proofOf, registered } from "./proof.ts";

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

function world(): TestExchange {
  const made = new TestExchange("digest");
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
        const exchange = world();
        exchange.exchange.setMap({ ...testMap("digest"), domains: [{ name: longDomain, auth: "digest", digest: ["SHA-256", "MD5"] }] });
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
    const exchange = world();
    exchange.exchange.setMap({ ...testMap("digest"), domains: [{ name: "example.test", auth: "digest", digest: ["SHA-256", "MD5"] }] });
    const [refusal] = exchange.receive(victim, shortest({ from: ours }));
    expect(refusal?.text.split("\r\n")[0]).toBe("SIP/2.0 400 Request Too Short");
    const [challenge] = exchange.receive(victim, shortest({ from: ours, headers: `s:${"a longer subject ".repeat(8)}\r\n` }));
    expect(challenge?.message.status).toBe(407);
  });

  it.each([0, 300, 900])("a refusal of ours that comes later is said again as often as its request is long: %i octets more", (more) => {
    const exchange = world();
    const bob = new TestPhone("b", "203.0.113.9", 5080, "WS");
    registered(exchange, bob);
    exchange.record(RecordKind.closed, bob.key, "", bob.access);
    const invite = shortest({ headers: more === 0 ? "" : `x-long:${"x".repeat(more)}\r\n` });
    const answers = [...exchange.receive(victim, invite), ...exchange.advance(120_000)];
    const [first, second, ...repeats] = answers;
    expect([first?.message.status, second?.message.status]).toEqual([100, 480]);
    // The two themselves are more, where it is shorter than any phone's.
    const bound = Math.max(unprovenAnswerFactor * invite.length, octetsOf(answers.slice(0, 2)));
    expect(octetsOf(answers)).toBeLessThanOrEqual(bound);
    expect(repeats.length > 0).toBe(more > 0);
    expect(exchange.exchange.counts(exchange.now).transactions).toBe(0);
  });

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
    for (const record of exchange.exchange.store.changedSince(0, 1_000).records) other.exchange.applyFromPair(record, other.now);
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
