import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { secretsOf } from "../../../sip/auth/digest.ts";
import { exchangeOf } from "../../../cluster/map/cluster-map.ts";
import { credentials } from "./credentials.ts";
import { hash, testMap, TestExchange, TestPhone, valuesOf, type Sent } from "./harness.ts";

function statusOf(sent: readonly Sent[]): number[] {
  return sent.map((each) => each.message.status);
}

const registerUri = "sip:example.test";
const uri = "sip:bob@example.test";

describe("registering with digest [RFC3261 22.1, RFC8760]", () => {
  it.each(["MD5", "SHA-256"] as const)("challenges, and takes the right answer with %s; the 200 waits for its commit", (algorithm) => {
    const world = new TestExchange("digest", {
      map: { domains: [{ name: "example.test", auth: "digest", digest: ["SHA-256", "MD5"] }] },
    });
    world.addSubscriber("alice", "wonderland");
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const [challenge] = world.receive(alice.key, alice.register());
    expect(challenge?.message.status).toBe(401);
    expect(challenge?.committed).toBe(false);
    expect(valuesOf(challenge, "WWW-Authenticate")).toHaveLength(2);
    const proof = credentials(challenge, { user: "alice", password: "wonderland", method: "REGISTER", uri: registerUri, algorithm });
    const [ok] = world.receive(alice.key, alice.register(600, [proof]));
    expect(ok?.message.status).toBe(200);
    expect(ok?.committed).toBe(true);
    expect(valuesOf(ok, "Contact")[0]).toContain("expires=600");
    expect(world.exchange.registrations(undefined, world.now)).toMatchObject([
      { aor: "alice@example.test", transport: "udp", expiresSeconds: 600, primary: "a", gateway: "g1" },
    ]);
  });

  it("[RFC7616 4] takes a user whose name is not ASCII: its octets of UTF-8, as they are in username and hashed once", () => {
    const world = new TestExchange("digest");
    // printf 'jürgen:example.test:x3' | md5sum, and so on.
    const ha1Md5 = createHash("md5").update("jürgen:example.test:x3", "utf8").digest("hex");
    const ha1Sha256 = createHash("sha256").update("jürgen:example.test:x3", "utf8").digest("hex");
    world.exchange.putSubscriber("j%C3%BCrgen@example.test", { ha1Md5, ha1Sha256, ha1bMd5: "", ha1bSha256: "" }, world.now);
    const octets = Buffer.from("jürgen", "utf8").toString("latin1");
    const phone = new TestPhone("j%C3%BCrgen", "198.51.100.7", 5070);
    const [challenge] = world.receive(phone.key, phone.register());
    const proof = credentials(challenge, { user: octets, password: "x3", method: "REGISTER", uri: registerUri });
    expect(proof).toContain(`username="${octets}"`);
    expect(statusOf(world.receive(phone.key, phone.register(600, [proof])))).toEqual([200]);
    expect(world.exchange.registrations(undefined, world.now)).toMatchObject([{ aor: "j%C3%BCrgen@example.test" }]);
  });

  it("asks for MD5 alone unless the domain says otherwise: many phones stop at an algorithm they do not know", () => {
    const world = new TestExchange("digest");
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const [challenge] = world.receive(alice.key, alice.register());
    expect(valuesOf(challenge, "WWW-Authenticate").map((value) => /algorithm=([\w-]+)/.exec(value)?.[1])).toEqual(["MD5"]);
  });

  it("refuses a wrong password, a user that does not exist, and another's address-of-record", () => {
    const world = new TestExchange("digest");
    world.addSubscriber("alice", "wonderland");
    world.addSubscriber("mallory", "password");
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const [challenge] = world.receive(alice.key, alice.register());
    const wrong = credentials(challenge, { user: "alice", password: "guess", method: "REGISTER", uri: registerUri });
    expect(statusOf(world.receive(alice.key, alice.register(600, [wrong])))).toEqual([401]);
    const nobody = credentials(challenge, { user: "nobody", password: "guess", method: "REGISTER", uri: registerUri });
    expect(statusOf(world.receive(alice.key, alice.register(600, [nobody])))).toEqual([401]);
    const other = credentials(challenge, { user: "mallory", password: "password", method: "REGISTER", uri: registerUri });
    expect(statusOf(world.receive(alice.key, alice.register(600, [other])))).toEqual([403]);
    expect(world.exchange.counts(world.now).registrations).toBe(0);
  });

  it("refuses a replayed answer and an old nonce as stale [RFC7616 3.4, 3.3]", () => {
    const world = new TestExchange("digest");
    world.addSubscriber("alice", "wonderland");
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const [challenge] = world.receive(alice.key, alice.register());
    const proof = credentials(challenge, { user: "alice", password: "wonderland", method: "REGISTER", uri: registerUri });
    expect(statusOf(world.receive(alice.key, alice.register(600, [proof])))).toEqual([200]);
    const [replayed] = world.receive(alice.key, alice.register(600, [proof]));
    expect(replayed?.message.status).toBe(401);
    expect(valuesOf(replayed, "WWW-Authenticate")[0]).toContain("stale=true");
    const second = credentials(challenge, { user: "alice", password: "wonderland", method: "REGISTER", uri: registerUri, nc: "00000002" });
    expect(statusOf(world.receive(alice.key, alice.register(600, [second])))).toEqual([200]);
    world.advance(301_000);
    const late = credentials(challenge, { user: "alice", password: "wonderland", method: "REGISTER", uri: registerUri, nc: "00000003" });
    const [stale] = world.receive(alice.key, alice.register(600, [late]));
    expect(stale?.message.status).toBe(401);
    expect(valuesOf(stale, "WWW-Authenticate")[0]).toContain("stale=true");
  });

  it("does not take the word of a user whose secrets another exchange has", () => {
    const map = testMap("digest", 4);
    const world = new TestExchange("digest", { exchangeCount: 4, exchange: exchangeOf(map, "alice@example.test") });
    world.addSubscriber("alice", "wonderland");
    const elsewhere = ["mallory", "eve", "trudy", "oscar"].find(
      (user) => exchangeOf(map, `${user}@example.test`) !== exchangeOf(map, "alice@example.test"),
    );
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const [challenge] = world.receive(alice.key, alice.register());
    const guessed = credentials(challenge, { user: elsewhere ?? "", password: "guess", method: "REGISTER", uri: registerUri });
    expect(statusOf(world.receive(alice.key, alice.register(600, [guessed])))).toEqual([403]);
    expect(world.exchange.counts(world.now).registrations).toBe(0);
  });

  it("refuses unknown extensions before it asks for a password [RFC3261 8.2.2.3]", () => {
    const world = new TestExchange("digest");
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const [refused] = world.receive(alice.key, alice.register(600, ["Require: no-such-thing"]));
    expect(refused?.message.status).toBe(420);
    expect(valuesOf(refused, "Unsupported")).toEqual(["no-such-thing"]);
  });
});

function twoUsers(options: ConstructorParameters<typeof TestExchange>[1] = {}): {
  world: TestExchange;
  alice: TestPhone;
  bob: TestPhone;
} {
  const world = new TestExchange("digest", options);
  world.addSubscriber("alice", "wonderland");
  world.addSubscriber("bob", "builder");
  const bob = new TestPhone("bob", "203.0.113.9", 5080);
  const [challenge] = world.receive(bob.key, bob.register());
  world.receive(
    bob.key,
    bob.register(600, [credentials(challenge, { user: "bob", password: "builder", method: "REGISTER", uri: registerUri })]),
  );
  return { world, alice: new TestPhone("alice", "198.51.100.7", 5070), bob };
}

describe("calling as one of our users [RFC3261 22.3]", () => {
  it("asks the caller, not the callee, and forwards what is proved", () => {
    const { world, alice, bob } = twoUsers();
    const [challenge] = world.receive(alice.key, alice.request("INVITE", uri));
    expect(challenge?.message.status).toBe(407);
    const proof = credentials(challenge, { user: "alice", password: "wonderland", method: "INVITE", uri });
    const sent = world.receive(alice.key, alice.request("INVITE", uri, [proof]));
    expect(sent.map((each) => each.text.split("\r\n")[0]?.split(" ")[0] === "INVITE" && each.key)).toContain(bob.key);
  });

  it("takes the INVITE with credentials also under the branch of the refused one: another CSeq is another request [RFC3261 17.2.3]", () => {
    const world = new TestExchange("digest");
    world.addSubscriber("alice", "wonderland");
    world.addSubscriber("bob", "looking-glass");
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const [refused] = world.receive(alice.key, alice.request("INVITE", uri));
    expect(refused?.message.status).toBe(407);
    const proof = credentials(refused, { user: "alice", password: "wonderland", method: "INVITE", uri });
    const again = alice.request("INVITE", uri, [proof]).replace("branch=z9hG4bKalice2", "branch=z9hG4bKalice1");
    expect(again).toContain("branch=z9hG4bKalice1");
    // Bob has no phone.
    expect(statusOf(world.receive(alice.key, again))).toEqual([480]);
    expect(statusOf(world.receive(alice.key, again))).toEqual([480]);
  });

  it("does not let one user speak in another's name", () => {
    const { world, bob } = twoUsers();
    const asAlice = ["From: <sip:alice@example.test>;tag=x"];
    const [challenge] = world.receive(bob.key, bob.request("INVITE", "sip:alice@example.test", asAlice));
    const proof = credentials(challenge, { user: "bob", password: "builder", method: "INVITE", uri: "sip:alice@example.test" });
    expect(statusOf(world.receive(bob.key, bob.request("INVITE", "sip:alice@example.test", [...asAlice, proof])))).toEqual([403]);
  });

  it("takes calls from other domains without a password", () => {
    const { world, bob } = twoUsers();
    const outsider = new TestPhone("carol", "192.0.2.77", 5060);
    const sent = world.receive(outsider.key, outsider.request("INVITE", uri, ["From: <sip:carol@elsewhere.test>;tag=c"]));
    expect(sent.map((each) => each.key)).toContain(bob.key);
  });

  it("asks the caller's own exchange for its secrets, once, and holds the call meanwhile", () => {
    // bob is served by exchange 0 or 1 of 2; make a caller of the other one.
    const world = new TestExchange("digest", { exchangeCount: 2, exchange: 0 });
    const callers = ["alice", "carol", "dave", "erin", "frank"];
    const asked = (): string | undefined => world.asked.at(-1);
    const foreign = callers.find((user) => {
      const phone = new TestPhone(user, "198.51.100.7", 5070);
      const [challenge] = world.receive(phone.key, phone.request("INVITE", uri));
      world.receive(phone.key, phone.request("INVITE", uri, [credentials(challenge, { user, password: "p", method: "INVITE", uri })]));
      return asked() === `${user}@example.test`;
    });
    expect(foreign).toBeDefined();
    const before = world.sent.length;
    world.exchange.credentials(`${foreign}@example.test`, secretsOf(hash, `${foreign}@example.test`, "p"), world.now);
    world.drain();
    // proved: nobody is registered here, so the call ends with 404 and not with another challenge
    expect(statusOf(world.sent.slice(before))).toEqual([404]);
  });

  it("answers 503 with Retry-After when the caller's exchange does not answer [RFC3261 21.5.4]", () => {
    const world = new TestExchange("digest", { exchangeCount: 64, exchange: 0 });
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const [challenge] = world.receive(alice.key, alice.request("INVITE", uri));
    const proof = credentials(challenge, { user: "alice", password: "p", method: "INVITE", uri });
    expect(world.receive(alice.key, alice.request("INVITE", uri, [proof]))).toEqual([]);
    const late = world.advance(5_000).find((sent) => sent.message.status === 503);
    expect(valuesOf(late, "Retry-After")).toEqual(["5"]);
  });
});
