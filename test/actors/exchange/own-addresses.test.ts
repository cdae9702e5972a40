import { describe, expect, it } from "vitest";
import { copyDelayMs } from "../../../sip/limits.ts";
import { RecordKind } from "../../../cluster/backhaul/frame.ts";
import { TestExchange, TestPhone, valuesOf } from "./harness.ts";
import { proofOf } from "./proof.ts";

const alice = new TestPhone("alice", "198.51.100.7", 5070);
const outsider = new TestPhone("eve", "198.51.100.66", 5060);
const fromOutside = "From: <sip:eve@evil.test>;tag=e";

function world(): TestExchange {
  const made = new TestExchange("digest");
  for (const user of ["alice", "bob"]) made.addSubscriber(user, "password");
  made.exchange.connectAccess("g2", [
    { transport: "UDP", host: "2001:db8::1", port: 5060 },
    { transport: "TLS", host: "192.0.2.2", port: 25061 },
  ]);
  return made;
}

/** REGISTER with the right password: the status. */
function register(exchange: TestExchange, phone: TestPhone, headers: string[]): number | undefined {
  const [challenge] = exchange.receive(phone.key, phone.register());
  const proof = proofOf(challenge, "REGISTER", "sip:example.test", phone.user);
  return exchange.receive(phone.key, phone.register(600, [proof, ...headers]))[0]?.message.status;
}

/** What comes of a MESSAGE to a user: `MESSAGE` and where it went, or the status of the answer. */
function called(exchange: TestExchange, user = "alice", headers: string[] = []): (string | number)[] {
  const sent = exchange.receive(outsider.key, outsider.request("MESSAGE", `sip:${user}@example.test`, [fromOutside, ...headers]));
  return sent.map(({ message, key }) => (message.isRequest ? key : message.status));
}

describe("what leads to this cluster itself is nowhere [RFC5393]", () => {
  it.each([
    "sip:alice@192.0.2.1",
    "sip:alice@192.0.2.1:5060;p=1",
    "sip:alice@192.0.2.1:5060;transport=tcp",
    "sip:bob@192.000.002.001:5060",
    "sips:alice@192.0.2.1",
    "sip:alice@192.0.2.1;transport=tls",
    "sip:alice@192.0.2.2:25061;transport=tls",
    "sip:alice@[2001:DB8:0::1]",
    "sip:alice@[::ffff:192.0.2.1]:5060",
    "sip:alice@0.0.0.0:5060",
    "sip:alice@elsewhere.test;maddr=192.0.2.1",
    "sip:alice@localhost:5060",
    "sip:alice@LocalHost.",
    "sip:alice@ip6-localhost:5060;transport=tcp",
    "sip:alice@elsewhere.test;maddr=localhost",
  ])("a Contact with address and port of a listener is refused: %s", (contact) => {
    const exchange = world();
    expect(register(exchange, alice, [`Contact: <${contact}>`])).toBe(403);
    expect(exchange.exchange.counts(exchange.now).registrations).toBe(0);
    expect(called(exchange)).toEqual([480]);
  });

  it.each(["sip:192.0.2.1:5060;lr", "sip:example.test;lr", "sip:x@EXAMPLE.test.;lr", "sip:192.0.2.1;lr;ob", "sip:localhost:5060;lr"])(
    "a Path with such a value anywhere is refused: %s",
    (value) => {
      for (const path of [`<${value}>`, `<${value}>, <sip:edge.test;lr>`, `<sip:edge.test;lr>,"us" <${value}>`]) {
        const exchange = world();
        expect(register(exchange, alice, ["Contact: <sip:alice@203.0.113.9>", "Supported: path", `Path: ${path}`])).toBe(403);
      }
    },
  );

  it("a phone may share our address, on another port", () => {
    const exchange = world();
    const near = new TestPhone("alice", "192.0.2.1", 5070);
    expect(register(exchange, near, [])).toBe(200);
    expect(called(exchange)).toEqual([near.key]);
    for (const contact of [
      "sip:alice@192.0.2.1:5062",
      "sip:alice@192.0.2.1:5061",
      "sip:alice@192.0.2.1;transport=ws",
      "sip:alice@localhost:5062",
    ]) {
      expect([contact, register(world(), alice, [`Contact: <${contact}>`])]).toEqual([contact, 200]);
    }
    // 5061 is where we listen for TLS: over UDP it is free.
    const next = world();
    const beside = new TestPhone("alice", "192.0.2.1", 5061);
    expect([register(next, beside, []), called(next)]).toEqual([200, [beside.key]]);
  });

  it("a Contact in a domain of ours is taken, and leads nowhere: two users who point at each other are away", () => {
    const exchange = world();
    expect(register(exchange, alice, ["Contact: <sip:bob@example.test>"])).toBe(200);
    expect(register(exchange, new TestPhone("bob", "198.51.100.8", 5070), ["Contact: <sip:alice@Example.test.:5070>"])).toBe(200);
    expect([called(exchange, "alice"), called(exchange, "bob")]).toEqual([[480], [480]]);
    expect(exchange.resolving).toEqual([]);
  });

  it("but on its connection a phone is reached, whatever its Contact says", () => {
    const exchange = world();
    const browser = new TestPhone("alice", "198.51.100.7", 5071, "WS");
    const [challenge] = exchange.receive(browser.key, browser.register(), browser.access);
    const proof = proofOf(challenge, "REGISTER", "sip:example.test", "alice");
    const contact = "Contact: <sip:alice@example.test;transport=ws>";
    const [ok] = exchange.receive(browser.key, browser.register(600, [proof, contact]), browser.access);
    expect(ok?.message.status).toBe(200);
    expect(called(exchange)).toEqual([browser.key]);
    // When that is gone, so is the phone.
    exchange.record(RecordKind.closed, browser.key, "", browser.access);
    exchange.advance(40_000);
    expect(called(exchange)).toEqual([480]);
  });

  it("nothing is sent to a name that turns out to be ours, or to a source that was forged", () => {
    const exchange = world();
    expect(register(exchange, alice, ["Contact: <sip:alice@us.attacker.test>"])).toBe(200);
    expect(called(exchange)).toEqual([]);
    const resolved = exchange.record(RecordKind.resolved, exchange.resolving[0]?.id ?? "", '["u0..c000020113c4","t1..c000020113c4"]');
    expect(resolved.map(({ message }) => message.status)).toEqual([482]);
    const forged = world();
    expect(register(forged, new TestPhone("alice", "192.0.2.1", 5060), [])).toBe(200);
    expect(called(forged)).toEqual([482]);
  });
});

describe("which way an initial request goes is not its sender's to say", () => {
  const foreign = ["Route: <sip:203.0.113.66;lr>", "Route: <sip:example.test;lr>, <sip:203.0.113.66:5062;lr>", "Route: <sip:203.0.113.66>"];

  it("foreign Routes are taken off a request to a user of ours, a Path of the binding stays", () => {
    for (const route of foreign) {
      const exchange = world();
      register(exchange, alice, []);
      expect(called(exchange, "alice", [route])).toEqual([alice.key]);
      expect(valuesOf(exchange.sent.at(-1), "Route")).toEqual([]);
      const behind = world();
      register(behind, alice, ["Contact: <sip:alice@10.0.0.9>", "Supported: path", "Path: <sip:203.0.113.5;lr>"]);
      expect(called(behind, "alice", [route])).toEqual(["u0..cb00710513c4"]);
      expect(valuesOf(behind.sent.at(-1), "Route")).toEqual(["<sip:203.0.113.5;lr>"]);
    }
  });

  it("a stranger's go nowhere, inside of dialogs that we do not know either", () => {
    for (const route of foreign) {
      for (const [to, here, away] of [
        ["To: <sip:alice@example.test>", "u0..0a00000913c4", 403],
        ["To: <sip:alice@example.test>;tag=a", 481, 481],
      ] as const) {
        const exchange = world();
        register(exchange, alice, ["Contact: <sip:alice@10.0.0.9>"]);
        expect(called(exchange, "alice", [route, to])).toEqual([here]);
        const abroad = exchange.receive(outsider.key, outsider.request("MESSAGE", "sip:x@203.0.113.9", [fromOutside, route, to]));
        expect(abroad.map(({ message }) => message.status)).toEqual([away]);
      }
    }
  });

  it("a caller who has proved who he is calls abroad, by the Request-URI", () => {
    const exchange = world();
    const uri = "sip:x@203.0.113.9";
    const [challenge] = exchange.receive(alice.key, alice.request("INVITE", uri));
    const sent = exchange.receive(alice.key, alice.request("INVITE", uri, [proofOf(challenge, "INVITE", uri, "alice"), foreign[0] ?? ""]));
    expect(sent.map(({ key }) => key)).toContain("u0..cb00710913c4");
    expect(sent.flatMap((each) => valuesOf(each, "Route"))).toEqual([]);
  });

  it("an INVITE that another replica goes on with goes the same way", () => {
    const exchange = world();
    register(exchange, alice, []);
    exchange.receive(outsider.key, outsider.request("INVITE", "sip:alice@example.test", [fromOutside, foreign[0] ?? ""]));
    const other = new TestExchange("digest", { cell: "b" });
    for (const record of exchange.exchange.store.changedSince(0, 1_000).records) other.exchange.applyFromPeer(record, other.now);
    other.record(RecordKind.takeover, "", "");
    const again = other.advance(copyDelayMs).find(({ message }) => message.method === "INVITE");
    expect([again?.key, valuesOf(again, "Route")]).toEqual([alice.key, []]);
  });
});
