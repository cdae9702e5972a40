import { describe, expect, it } from "vitest";
import { failedLoginLinesMax } from "../../../actors/limits.ts";
import { failedLoginsPerAddressDefault } from "../../../sip/limits.ts";
import { credentials } from "./credentials.ts";
import { TestExchange, TestPhone, valuesOf, type Sent } from "./harness.ts";

const registerUri = "sip:example.test";
const bobUri = "sip:bob@example.test";
const perFlow = failedLoginsPerAddressDefault / 4;

function digestWorld(map: { readonly failedLogins?: number } = {}): TestExchange {
  const world = new TestExchange("digest", { map });
  for (const user of ["alice", "bob"]) world.addSubscriber(user, "secret");
  return world;
}

/** Answers a challenge that this phone has had; the last response. */
function answered(world: TestExchange, phone: TestPhone, challenge: Sent | undefined, password: string, nc: number): Sent | undefined {
  const proof = credentials(challenge, {
    user: phone.user,
    password,
    method: "REGISTER",
    uri: registerUri,
    nc: nc.toString(16).padStart(8, "0"),
  });
  return world.receive(phone.key, phone.register(600, [proof]), phone.access).at(-1);
}

/** Asks to be asked, and answers with this password. */
function register(world: TestExchange, phone: TestPhone, password: string): number {
  const [challenge] = world.receive(phone.key, phone.register(), phone.access);
  return answered(world, phone, challenge, password, 1)?.message.status ?? 0;
}

/** As many guesses as given, with one nonce, as fast as it goes: how many of each status. */
function guess(world: TestExchange, phone: TestPhone, count: number): Record<number, number> {
  const [challenge] = world.receive(phone.key, phone.register(), phone.access);
  const counts: Record<number, number> = {};
  for (let n = 1; n <= count; n += 1) {
    const status = answered(world, phone, challenge, `guess${n}`, n)?.message.status ?? 0;
    counts[status] = (counts[status] ?? 0) + 1;
  }
  return counts;
}

describe("guessing passwords", () => {
  it("3000 guesses in a moment: ten are looked at, and the right one is not among what is taken then", () => {
    const world = digestWorld();
    const eve = new TestPhone("alice", "198.51.100.66", 6666);
    expect(guess(world, eve, 3_000)).toEqual({ 401: perFlow, 503: 3_000 - perFlow });
    expect(register(world, eve, "secret")).toBe(503);
    expect(world.exchange.counts(world.now).registrations).toBe(0);
    // Whoever proves nothing leaves no transaction behind (RFC 3261 26.3.2.4).
    expect(world.exchange.counts(world.now).transactions).toBe(0);
    // Who knows the password and is on another port of that address is looked at.
    expect(register(world, new TestPhone("alice", "198.51.100.66", 5070), "secret")).toBe(200);
  });

  it("says when to come again, and looks then", () => {
    const world = digestWorld();
    const eve = new TestPhone("alice", "198.51.100.66", 6666);
    guess(world, eve, 20);
    const [challenge] = world.receive(eve.key, eve.register());
    const refused = answered(world, eve, challenge, "secret", 1);
    const seconds = Number(valuesOf(refused, "Retry-After")[0]);
    expect(seconds).toBeGreaterThan(0);
    world.advance(seconds * 1_000);
    expect(register(world, eve, "secret")).toBe(200);
  });

  it("a right password gets through from an address that has not failed, while a thousand addresses guess", () => {
    const world = digestWorld();
    for (let n = 0; n < 1_000; n += 1) guess(world, new TestPhone("alice", `203.0.${n >> 8}.${n & 255}`, 6666), 2);
    expect(register(world, new TestPhone("alice", "198.51.100.7", 5070), "secret")).toBe(200);
  });

  it("three addresses that guess on and on do not keep out who mistypes the password three times at a new place", () => {
    const world = digestWorld();
    for (let minute = 0; minute < 10; minute += 1) {
      for (let n = 0; n < 3; n += 1) guess(world, new TestPhone("alice", `203.0.113.${n}`, 6666 + minute), 100);
      world.advance(60_000);
    }
    for (let n = 0; n < 3; n += 1) guess(world, new TestPhone("alice", `203.0.113.${n}`, 7777), 100);
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    expect([1, 2, 3].map((n) => register(world, alice, `mistyped${n}`))).toEqual([401, 401, 401]);
    expect(register(world, alice, "secret")).toBe(200);
  });

  it("a phone that is registered goes on behind the NAT where others guess; they do not", () => {
    const world = digestWorld();
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    expect(register(world, alice, "secret")).toBe(200);
    for (let n = 0; n < 20; n += 1) guess(world, new TestPhone(`user${n}`, "198.51.100.7", 7000 + n), 20);
    for (let n = 0; n < 20; n += 1) guess(world, new TestPhone("alice", "198.51.100.7", 9000 + n), 20);
    expect(register(world, alice, "secret")).toBe(200);
    expect(register(world, new TestPhone("bob", "198.51.100.7", 8000), "secret")).toBe(503);
    expect(register(world, new TestPhone("bob", "198.51.100.8", 8000), "secret")).toBe(200);
  });

  it("one phone with an old password behind a NAT costs its neighbours nothing", () => {
    const world = digestWorld();
    guess(world, new TestPhone("carol", "198.51.100.7", 7000), 3_000);
    expect(register(world, new TestPhone("bob", "198.51.100.7", 8000), "secret")).toBe(200);
  });

  it("a forged address fails for nobody: what was asked of one address is not answered by another", () => {
    const world = digestWorld();
    const eve = new TestPhone("alice", "203.0.113.66", 6666);
    const forged = new TestPhone("alice", "198.51.100.7", 5070);
    const [challenge] = world.receive(eve.key, eve.register());
    for (let n = 1; n <= 1_000; n += 1) {
      expect(valuesOf(answered(world, forged, challenge, `guess${n}`, n), "WWW-Authenticate").join()).toContain("stale=true");
    }
    expect(world.logged).toEqual([]);
    expect(register(world, forged, "secret")).toBe(200);
  });

  it("an old nonce does not say whether a password is right", () => {
    const world = digestWorld();
    const eve = new TestPhone("alice", "203.0.113.66", 6666);
    const [challenge] = world.receive(eve.key, eve.register());
    world.advance(301_000);
    const headersOf = (password: string, nc: number): string => {
      const header = valuesOf(answered(world, eve, challenge, password, nc), "WWW-Authenticate").join();
      return header.replace(/nonce="[^"]*"/, "");
    };
    expect(headersOf("secret", 1)).toBe(headersOf("guess", 2));
  });

  it("all addresses of an IPv6 network are one", () => {
    const world = digestWorld();
    let looked = 0;
    for (let n = 0; n < 200; n += 1) {
      looked += guess(world, new TestPhone(`user${n}`, `[2001:db8:0:1::${(n + 1).toString(16)}]`, 6666), 1)[401] ?? 0;
    }
    expect(looked).toBe(failedLoginsPerAddressDefault);
    expect(register(world, new TestPhone("alice", "[2001:db8:0:2::1]", 6666), "secret")).toBe(200);
  });

  it("callers are braked as phones that register are", () => {
    const world = digestWorld();
    const eve = new TestPhone("alice", "198.51.100.66", 6666);
    const [challenge] = world.receive(eve.key, eve.request("MESSAGE", bobUri));
    const statuses = new Set<string>();
    for (let n = 1; n <= perFlow + 5; n += 1) {
      const nc = n.toString(16).padStart(8, "0");
      const proof = credentials(challenge, { user: "alice", password: "guess", method: "MESSAGE", uri: bobUri, nc });
      const [refused] = world.receive(eve.key, eve.request("MESSAGE", bobUri, [proof]));
      statuses.add(`${refused?.message.status} ${valuesOf(refused, "Retry-After").length}`);
    }
    expect([...statuses]).toEqual(["407 0", "503 1"]);
  });

  it("knows no difference between users that exist and others", () => {
    const world = digestWorld();
    const texts = ["alice", "nobody"].map((user) => {
      const eve = new TestPhone(user, "198.51.100.66", 6666);
      const [challenge] = world.receive(eve.key, eve.register());
      const tries = Array.from({ length: perFlow + 1 }, (_, n) => comparable(answered(world, eve, challenge, "guess", n + 1)?.text));
      return [comparable(challenge?.text), ...tries];
    });
    expect(texts[1]).toEqual(texts[0]);
    expect(world.logged.filter((line) => line.includes("nobody"))).toHaveLength(
      world.logged.filter((line) => line.includes("alice")).length,
    );
  });

  it("as many as anybody likes with a limit of 0", () => {
    const eve = new TestPhone("alice", "198.51.100.66", 6666);
    expect(guess(digestWorld({ failedLogins: 0 }), eve, 200)).toEqual({ 401: 200 });
    expect(guess(digestWorld({ failedLogins: 4 }), eve, 200)).toEqual({ 401: 1, 503: 199 });
  });
});

describe("the log of failed logins", () => {
  it("names address, user and what was tried", () => {
    const world = digestWorld();
    guess(world, new TestPhone("alice", "198.51.100.66", 6666), 1);
    guess(world, new TestPhone("nobody", "[2001:db8::66]", 6666, "TCP"), 1);
    expect(world.logged).toEqual([
      "failed login from 198.51.100.66 as alice@example.test (REGISTER, wrong password)",
      "failed login from 2001:db8::66 as nobody@example.test (REGISTER, wrong password)",
    ]);
  });

  it("is bounded, and says how much it left out", () => {
    const world = digestWorld();
    guess(world, new TestPhone("alice", "198.51.100.66", 6666), 3_000);
    expect(world.logged).toHaveLength(failedLoginLinesMax);
    world.advance(1_000);
    guess(world, new TestPhone("bob", "198.51.100.66", 6666), 1);
    expect(world.logged.at(-1)).toBe(
      `failed login from 198.51.100.66 as bob@example.test (REGISTER, wrong password, and ${3_000 - failedLoginLinesMax} more)`,
    );
  });

  it("has one line for each, whatever is in a name", () => {
    const world = digestWorld();
    const eve = new TestPhone("alice", "198.51.100.66", 6666);
    const [challenge] = world.receive(eve.key, eve.register());
    const proof = credentials(challenge, { user: "alice", password: "guess", method: "REGISTER", uri: registerUri });
    for (const name of ["x y", "x) failed login from 203.0.113.1 as y (", "a".repeat(400), "\u00ff\u0001"]) {
      world.receive(eve.key, eve.register(600, [proof.replace('username="alice"', `username="${name}"`)]));
    }
    expect(world.logged.length).toBeGreaterThan(0);
    for (const line of world.logged)
      expect(line).toMatch(/^failed login from 198\.51\.100\.66 as [!-~]{1,131} \(REGISTER, wrong password\)$/);
  });
});

/** A response without what differs from one to the next. */
function comparable(text: string | undefined): string {
  return (text ?? "").replaceAll(/nonce="[^"]*"|tag=\w+|branch=\w+|nobody|alice/g, "").replaceAll(/Call-ID:.*|CSeq:.*/g, "");
}
