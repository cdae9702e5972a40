import { describe, expect, it } from "vitest";
import { copyDelayMs } from "../../../sip/limits.ts";
import { isParseError } from "../../../sip/errors.ts";
import { parseMessage } from "../../../sip/message/sip-message.ts";
import { octetsOf } from "../../../sip/message/octets.ts";
import { RecordKind } from "../../../cluster/backhaul/frame.ts";
import { credentials } from "./credentials.ts";
import { answer, listeners, TestExchange, TestPhone, valuesOf, type Sent } from "./harness.ts";

const bobUri = "sip:bob@example.test";
const identityHeaders = ["P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID", "Privacy"];

type World = { readonly world: TestExchange; readonly alice: TestPhone; readonly bob: TestPhone; readonly eve: TestPhone };

/** Alice and bob are ours, bob is registered; eve is somebody at an address. */
function worldOf(auth: "digest" | "open" = "digest"): World {
  const aliases = ["192.0.2.1", "192.0.2.1:5060", "[2001:db8::1]", "[2001:db8::1]:5060", "sip.example.test"];
  const world = new TestExchange(auth, { map: { aliases } });
  for (const user of ["alice", "bob", "+15551234", "*21%23"]) world.addSubscriber(user, "secret");
  const bob = new TestPhone("bob", "203.0.113.9", 5080);
  const [challenge] = world.receive(bob.key, bob.register());
  if (auth === "digest") {
    const proof = credentials(challenge, { user: "bob", password: "secret", method: "REGISTER", uri: "sip:example.test" });
    world.receive(bob.key, bob.register(600, [proof]));
  }
  return { world, bob, alice: new TestPhone("alice", "198.51.100.7", 5070), eve: new TestPhone("eve", "198.51.100.66", 5066) };
}

/** A request of alice's that has proved who she is. */
function proved({ world, alice }: World, method: string, uri: string, headers: readonly string[] = [], user = "alice"): Sent[] {
  const [challenge] = world.receive(alice.key, alice.request(method, uri, headers));
  const proof = credentials(challenge, { user, password: "secret", method, uri });
  return world.receive(alice.key, alice.request(method, uri, [...headers, proof]));
}

function outcomeOf(sent: readonly Sent[], bob: TestPhone): number | "forwarded" {
  if (sent.some((each) => each.key === bob.key && each.message.isRequest)) return "forwarded";
  return sent.findLast((each) => !each.message.isRequest)?.message.status ?? 0;
}

function toBob(sent: readonly Sent[], bob: TestPhone): Sent | undefined {
  return sent.find((each) => each.key === bob.key && each.message.isRequest);
}

describe("a From that looks like one of our users is proved, or refused", () => {
  it.each([
    ["sip:alice@example.test", 407],
    ["sip:alice@example.test.", 407],
    ["sip:alice@EXAMPLE.Test.", 407],
    ["sips:alice@example.test", 407],
    ["SIP:alice@example.test:9999", 407],
    ["sip:%61lice@example.test", 407],
    ["sip:alice:secret@example.test", 407],
    ["sip:alice@example.test;user=phone", 407],
    ["sip:alice@example.test?subject=x", 407],
    ["sip:*21#@example.test", 407],
    ["sip:nobody@example.test", 407],
    ["sip:example.test", 407],
    ["sip:example.test;user=alice", 407],
    ["sip:alice@192.0.2.1", 407],
    ["sip:alice@192.0.2.1:9999", 407],
    ["sip:alice@192.000.002.001", 407],
    ["sip:alice@[2001:db8::1]", 407],
    ["sip:alice@[2001:DB8:0:0:0:0:0:1]:7777", 407],
    ["sip:alice@[::ffff:192.0.2.1]", 407],
    ["sip:alice@[::ffff:c000:201]", 407],
    ["sip:alice@[::192.0.2.1]", 407],
    ["sip:alice@SIP.example.test:99", 407],
    ["tel:+1-555-1234", 407],
    ["tel:alice", 400],
    ["im:alice@example.test", 403],
    ["mailto:alice@example.test", 403],
    ["sip:alice@exa%6Dple.test", 400],
    ["sip:alice@example.test:99999", 400],
    ["sip:alice@@example.test", 400],
    ["sip:alice@example..test", 400],
  ])("<%s>: %s", (from, status) => {
    const { world, bob, eve } = worldOf();
    for (const method of ["INVITE", "MESSAGE", "BYE", "SUBSCRIBE"]) {
      expect(outcomeOf(world.receive(eve.key, eve.request(method, bobUri, [`From: <${from}>;tag=e${method}`])), bob)).toBe(status);
    }
  });

  it.each(["sip:eve@elsewhere.test", "sip:alice@example.test.elsewhere.test", "sip:alice@192.0.2.10", "sip:anonymous@anonymous.invalid"])(
    "<%s> is somebody from outside",
    (from) => {
      const { world, bob, eve } = worldOf();
      expect(outcomeOf(world.receive(eve.key, eve.request("INVITE", bobUri, [`From: <${from}>;tag=e`])), bob)).toBe("forwarded");
    },
  );

  it("is proved by the user whom it names, in whatever spelling, and by nobody else", () => {
    const forms: readonly (readonly [string, string])[] = [
      ["sip:%61lice@example.test.", "alice"],
      ["sip:alice@192.0.2.1:9999", "alice"],
      ["tel:+1-555-1234", "+15551234"],
      ["sip:*21#@example.test", "*21#"],
    ];
    for (const [from, user] of forms) {
      const rig = worldOf();
      expect(outcomeOf(proved(rig, "INVITE", bobUri, [`From: <${from}>;tag=a`], user), rig.bob)).toBe("forwarded");
      expect(outcomeOf(proved(rig, "INVITE", bobUri, [`From: <${from}>;tag=b`], "bob"), rig.bob)).toBe(403);
    }
  });

  it.each([
    ["two From lines", ["From: <sip:eve@elsewhere.test>;tag=1", "From: <sip:alice@example.test>;tag=2"]],
    ["a From and its compact form", ["From: <sip:eve@elsewhere.test>;tag=1", "f: <sip:alice@example.test>;tag=2"]],
  ])("%s are refused", (_name, lines) => {
    const { world, bob, eve } = worldOf();
    expect(outcomeOf(world.receive(eve.key, eve.request("INVITE", bobUri, lines)), bob)).toBe(400);
  });

  it.each([
    ['"alice@example.test"', 403],
    ['"Alice <sip:alice@Example.Test>"', 403],
    ['"sip:alice @ example.test."', 403],
    ['"alice\\@192.0.2.1"', 403],
    ['"alice@[2001:db8:0::1]:5060"', 403],
    ['"eve@elsewhere.test"', "forwarded"],
    ['"Eve (alice at example.test)"', "forwarded"],
    ['"@"', "forwarded"],
    ['"@@@@@@@@"', "forwarded"],
    ['"@@@@@@@@@"', 403],
  ])("a display name %s from outside: %s", (name, outcome) => {
    const { world, bob, eve } = worldOf();
    const sent = world.receive(eve.key, eve.request("INVITE", bobUri, [`From: ${name} <sip:eve@elsewhere.test>;tag=e`]));
    expect(outcomeOf(sent, bob)).toBe(outcome);
  });

  it("a display name costs no more than its length", () => {
    const { world, bob, eve } = worldOf();
    const names = [
      `${"a".repeat(15_900)} x @`,
      `a${"@a".repeat(7_900)}`,
      `a${" ".repeat(15_900)}@`,
      `@${" ".repeat(15_900)}@`,
      `${"a ".repeat(7_900)}@`,
    ];
    const cpuMs = (name: string): number => {
      const before = process.threadCpuUsage().user;
      world.receive(eve.key, eve.request("MESSAGE", bobUri, [`From: "${name}" <sip:eve@elsewhere.test>;tag=e`]));
      return (process.threadCpuUsage().user - before) / 1000;
    };
    // The shortest of some: a quadratic one took a second each time.
    for (const name of names) expect(Math.min(cpuMs(name), cpuMs(name), cpuMs(name))).toBeLessThan(100);
    expect(bob).toBeDefined();
  });

  it("a display name with one's own address is one's own", () => {
    const rig = worldOf();
    const named = (name: string): number | "forwarded" =>
      outcomeOf(proved(rig, "INVITE", bobUri, [`From: "${name}" <sip:alice@example.test>;tag=${name.length}`]), rig.bob);
    expect([named("Alice alice@example.test"), named("carol@example.test")]).toEqual(["forwarded", 403]);
  });

  it("nothing is refused where nobody is asked", () => {
    const { world, bob, eve } = worldOf("open");
    const from = 'From: "carol@example.test" <im:alice@example.test>;tag=e';
    expect(outcomeOf(world.receive(eve.key, eve.request("MESSAGE", bobUri, [from])), bob)).toBe("forwarded");
  });
});

const lies = [
  "P-Asserted-Identity: <sip:carol@example.test>, <tel:+15550000>",
  "P-Preferred-Identity: <sip:alice@example.test>",
  "Remote-Party-ID: Carol <sip:carol@example.test>;party=calling;privacy=off",
];

describe("who calls is said by us alone [RFC3325 5]", () => {
  it("asserts what a caller has proved, and nothing that it says itself", () => {
    for (const method of ["INVITE", "MESSAGE"]) {
      const rig = worldOf();
      const request = toBob(proved(rig, method, bobUri, lies), rig.bob);
      expect(identityHeaders.map((name) => valuesOf(request, name))).toEqual([["<sip:alice@example.test>"], [], [], []]);
    }
  });

  it("asserts nothing of a stranger, and takes off what he says", () => {
    const { world, bob, eve } = worldOf();
    const strange = ["From: <sip:eve@elsewhere.test>;tag=e", ...lies.filter((line) => !line.startsWith("P-Preferred")), "Privacy: id"];
    const request = toBob(world.receive(eve.key, eve.request("INVITE", bobUri, strange)), bob);
    expect(identityHeaders.map((name) => valuesOf(request, name))).toEqual([[], [], [], []]);
  });

  it("asserts nothing where nothing is proved", () => {
    const { world, alice, bob } = worldOf("open");
    const request = toBob(world.receive(alice.key, alice.request("INVITE", bobUri, lies)), bob);
    expect(request).toBeDefined();
    expect(identityHeaders.map((name) => valuesOf(request, name))).toEqual([[], [], [], []]);
  });

  it.each([
    ["id", []],
    ["user; id", []],
    ["none", ["<sip:alice@example.test>"]],
    ["header", ["<sip:alice@example.test>"]],
    ["id;critical", []],
  ])("[RFC3325 9.3] Privacy: %s", (privacy, asserted) => {
    const rig = worldOf();
    const request = toBob(proved(rig, "INVITE", bobUri, [`Privacy: ${privacy}`]), rig.bob);
    expect(identityHeaders.map((name) => valuesOf(request, name))).toEqual([asserted, [], [], []]);
  });

  it("[RFC3323 5] refuses what is critical and cannot be had", () => {
    const rig = worldOf();
    expect(outcomeOf(proved(rig, "INVITE", bobUri, ["Privacy: header;critical"]), rig.bob)).toBe(500);
  });

  it("[RFC3325 6] an anonymous caller of ours proves who it is by P-Preferred-Identity", () => {
    const rig = worldOf();
    const anonymous = ["From: <sip:anonymous@anonymous.invalid>;tag=a", "P-Preferred-Identity: <sip:alice@example.test>"];
    const request = toBob(proved(rig, "INVITE", bobUri, anonymous), rig.bob);
    expect(valuesOf(request, "P-Asserted-Identity")).toEqual(["<sip:alice@example.test>"]);
    const hidden = toBob(proved(rig, "INVITE", bobUri, [...anonymous, "Privacy: id"]), rig.bob);
    expect(hidden?.text).not.toContain("alice@example.test");
  });

  it("[RFC3325 5] nothing of it goes to outside, whom we do not trust; a wish for privacy goes on", () => {
    const rig = worldOf();
    const sent = proved(rig, "INVITE", "sip:dave@203.0.113.77", [...lies, "Privacy: id"]);
    const request = sent.find((each) => each.message.method === "INVITE");
    expect(identityHeaders.map((name) => valuesOf(request, name))).toEqual([[], [], [], ["id"]]);
  });

  it("takes it out of every response", () => {
    for (const status of [180, 183, 200, 486]) {
      const rig = worldOf();
      const request = toBob(proved(rig, "INVITE", bobUri), rig.bob);
      if (request === undefined) throw new Error("not forwarded");
      const response = answer(request.message, status, "b", [...lies, "Privacy: id"]).replace("P-Asserted-Identity", "p-asserted-IDENTITY");
      const passed = rig.world.receive(rig.bob.key, response).find((each) => each.message.status === status);
      expect(passed?.key).toBe(rig.alice.key);
      expect(identityHeaders.map((name) => valuesOf(passed, name))).toEqual([[], [], [], []]);
      expect(valuesOf(passed, "Via")).toHaveLength(1);
    }
  });

  it("takes it out of requests within a dialog", () => {
    const rig = worldOf();
    const { world, alice, bob } = rig;
    const request = toBob(proved(rig, "INVITE", bobUri), bob);
    if (request === undefined) throw new Error("not forwarded");
    const ok = world
      .receive(bob.key, answer(request.message, 200, "b", [`Contact: ${bob.contact}`]))
      .find((each) => each.message.status === 200);
    const [route = ""] = valuesOf(ok, "Record-Route");
    const inDialog = [`Route: ${route}`, `To: <${bobUri}>;tag=b`, ...lies, "Privacy: id"];
    for (const method of ["ACK", "INFO"]) {
      const passed = toBob(world.receive(alice.key, alice.request(method, `sip:bob@203.0.113.9:5080`, inDialog)), bob);
      expect(passed?.message.method).toBe(method);
      expect(identityHeaders.map((name) => valuesOf(passed, name))).toEqual([[], [], [], []]);
    }
  });

  it("an INVITE that the other replica takes up is the same octets", () => {
    const rig = worldOf();
    const first = toBob(proved(rig, "INVITE", bobUri, lies), rig.bob);
    const other = new TestExchange("digest", { cell: "b" });
    other.exchange.connectAccess("g1", listeners);
    for (const record of rig.world.exchange.store.changedSince(0, 1_000).records) other.exchange.applyFromPeer(record, other.now);
    other.record(RecordKind.takeover, "", "");
    const again = toBob(other.advance(copyDelayMs), rig.bob);
    expect(valuesOf(again, "P-Asserted-Identity")).toEqual(["<sip:alice@example.test>"]);
    expect(again?.text).toBe(first?.text);
  });
});

describe("identity headers are known when they are there", () => {
  it.each([...identityHeaders, "privacy", "REMOTE-PARTY-ID"])("%s", (name) => {
    const message = parseMessage(octetsOf(`MESSAGE sip:b@c SIP/2.0\r\nSubject: x\r\n${name}: <sip:x@y>\r\n\r\n`));
    expect(isParseError(message) || message.hasIdentityHeaders).toBe(true);
    const plain = parseMessage(octetsOf(`MESSAGE sip:b@c SIP/2.0\r\nHistory-Info: <sip:x@y>\r\nUser-to-User: x\r\n\r\n`));
    expect(isParseError(plain) || plain.hasIdentityHeaders).toBe(false);
  });
});
