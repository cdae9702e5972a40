import { describe, expect, it } from "vitest";
import { exchangeOf } from "../../../cluster/map/cluster-map.ts";
import { RecordKind } from "../../../cluster/backhaul/frame.ts";
import { credentials } from "./credentials.ts";
import { startedAt, testMap, TestExchange, TestPhone, valuesOf, type Sent, type TestExchangeOptions } from "./harness.ts";

const registerUri = "sip:example.test";
const bobUri = "sip:bob@example.test";

function replicaOf(options: TestExchangeOptions): TestExchange {
  const replica = new TestExchange("digest", options);
  for (const user of ["alice", "bob"]) replica.addSubscriber(user, "secret");
  return replica;
}

function statusesOf(sent: readonly Sent[]): number[] {
  return sent.map((each) => each.message.status);
}

/** What somebody on the way has heard of alice at this replica: her REGISTER, or her INVITE to bob, that was taken. */
function captured(replica: TestExchange, alice: TestPhone, method: "REGISTER" | "INVITE", nc?: string): string {
  const uri = method === "REGISTER" ? registerUri : bobUri;
  const ask = (headers: readonly string[]): string =>
    method === "REGISTER" ? alice.register(600, headers) : alice.request("INVITE", bobUri, headers);
  const [challenge] = replica.receive(alice.key, ask([]), alice.access);
  const proof = credentials(challenge, { user: "alice", password: "secret", method, uri, ...(nc === undefined ? {} : { nc }) });
  const sent = replica.receive(alice.key, ask([proof]), alice.access);
  // Nobody is registered as bob: proved, the call ends with 480.
  expect(statusesOf(sent)).toContain(method === "REGISTER" ? 200 : 480);
  return proof;
}

/** Says it again, as a request of one's own; the status, and the header that challenges. */
function replayed(replica: TestExchange, who: TestPhone, method: "REGISTER" | "INVITE", proof: string): { status: number; stale: boolean } {
  const claim = ["From: <sip:alice@example.test>;tag=x", "Call-ID: another", proof];
  const request =
    method === "REGISTER"
      ? who.request("REGISTER", registerUri, ["To: <sip:alice@example.test>", ...claim])
      : who.request("INVITE", bobUri, claim);
  const final = replica.receive(who.key, request, who.access).find((each) => each.message.status >= 200);
  const challenge = [...valuesOf(final, "WWW-Authenticate"), ...valuesOf(final, "Proxy-Authenticate")].join();
  return { status: final?.message.status ?? 0, stale: challenge.includes("stale=true") };
}

function refusedAs(method: "REGISTER" | "INVITE"): { status: number; stale: boolean } {
  return { status: method === "REGISTER" ? 401 : 407, stale: true };
}

/** The phone itself, somebody at its address, at another one, and over another transport. */
const replayers: readonly (readonly [string, TestPhone])[] = [
  ["the same address and port", new TestPhone("alice", "198.51.100.7", 5070)],
  ["another port there", new TestPhone("eve", "198.51.100.7", 6666)],
  ["another address", new TestPhone("eve", "198.51.100.66", 6666)],
  ["another transport", new TestPhone("eve", "198.51.100.7", 6667, "TCP")],
  ["a softphone", new TestPhone("eve", "198.51.100.7", 6668, "WS")],
];

describe.each(["REGISTER", "INVITE"] as const)("a captured %s [RFC7616 5.5]", (method) => {
  describe.each(replayers)("from %s", (_name, who) => {
    it("is good nowhere: at its own replica, the other one, after a takeover, after a restart", () => {
      const a = replicaOf({ cell: "a" });
      const b = replicaOf({ cell: "b" });
      const proof = captured(a, new TestPhone("alice", "198.51.100.7", 5070), method);
      for (const record of a.exchange.store.changedSince(0, 1_000).records) b.exchange.applyFromPeer(record, b.now);
      expect(replayed(a, who, method, proof)).toEqual(refusedAs(method));
      expect(replayed(b, who, method, proof)).toEqual(refusedAs(method));
      for (const access of ["g1", "a.0"]) b.record(RecordKind.takeover, "", "", access);
      expect(replayed(b, who, method, proof)).toEqual(refusedAs(method));
      for (const now of [startedAt, startedAt + 1, startedAt + 5_000]) {
        expect(replayed(replicaOf({ cell: "a", now }), who, method, proof)).toEqual(refusedAs(method));
      }
      // A clock that was set back by a restart makes nothing good again.
      expect(replayed(replicaOf({ cell: "a", now: startedAt - 60_000 }), who, method, proof)).toEqual(refusedAs(method));
    });
  });
});

describe("a captured INVITE at another exchange", () => {
  it("is not good there, though that serves whom it calls", () => {
    const map = testMap("digest", 2);
    const users = ["alice", "bob", "carol", "dave", "erin"];
    const served = (exchange: number): string => users.find((user) => exchangeOf(map, `${user}@example.test`) === exchange) ?? "";
    const here = replicaOf({ exchangeCount: 2, exchange: 0 });
    const there = replicaOf({ exchangeCount: 2, exchange: 1 });
    const phone = new TestPhone(served(0), "198.51.100.7", 5070);
    const uri = `sip:${served(0)}@example.test`;
    here.addSubscriber(phone.user, "secret");
    there.addSubscriber(phone.user, "secret");
    const [challenge] = here.receive(phone.key, phone.request("MESSAGE", uri));
    const proof = credentials(challenge, { user: phone.user, password: "secret", method: "MESSAGE", uri });
    expect(statusesOf(here.receive(phone.key, phone.request("MESSAGE", uri, [proof])))).toEqual([480]);
    const sent = there.receive(phone.key, phone.request("MESSAGE", uri, [proof]));
    // Its exchange is asked who she is, as for every user of another one; then the nonce is none of this one's.
    there.exchange.credentials(
      `${phone.user}@example.test`,
      here.exchange.credentialsOf(`${phone.user}@example.test`) ?? "unknown",
      there.now,
    );
    expect(statusesOf([...sent, ...there.drain()])).toEqual([407]);
  });

  it("calls nobody else, and by no other method", () => {
    const a = replicaOf({ cell: "a" });
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const [challenge] = a.receive(alice.key, alice.request("INVITE", bobUri));
    const proof = credentials(challenge, { user: "alice", password: "secret", method: "INVITE", uri: bobUri });
    for (const [method, uri] of [
      ["INVITE", "sip:carol@example.test"],
      ["INVITE", "sip:bob@elsewhere.test"],
      ["MESSAGE", bobUri],
    ] as const) {
      expect(statusesOf(a.receive(alice.key, alice.request(method, uri, [proof])))).toEqual([407]);
    }
  });
});

describe("a phone that comes to the other replica", () => {
  it("is asked once more, with stale, and is served: whether its credentials are fresh or a minute old", () => {
    for (const waitMs of [0, 60_000]) {
      const a = replicaOf({ cell: "a" });
      const b = replicaOf({ cell: "b" });
      const alice = new TestPhone("alice", "198.51.100.7", 5070);
      const [challenge] = a.receive(alice.key, alice.register());
      b.record(RecordKind.takeover, "", "", "g1");
      a.advance(waitMs);
      b.advance(waitMs);
      const old = credentials(challenge, { user: "alice", password: "secret", method: "REGISTER", uri: registerUri });
      const [again] = b.receive(alice.key, alice.register(600, [old]));
      expect(valuesOf(again, "WWW-Authenticate").join()).toContain("stale=true");
      const fresh = credentials(again, { user: "alice", password: "secret", method: "REGISTER", uri: registerUri });
      expect(statusesOf(b.receive(alice.key, alice.register(600, [fresh])))).toEqual([200]);
    }
  });

  it("goes on with the next count of its nonce at the replica that made it", () => {
    const a = replicaOf({ cell: "a" });
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const [challenge] = a.receive(alice.key, alice.register());
    for (const nc of ["00000001", "00000002", "00000003"]) {
      const proof = credentials(challenge, { user: "alice", password: "secret", method: "REGISTER", uri: registerUri, nc });
      expect(statusesOf(a.receive(alice.key, alice.register(600, [proof])))).toEqual([200]);
    }
  });
});

describe("a REGISTER that is said again to the other replica when its own has died, with a nonce of that one", () => {
  it("leaves the binding as the 200 said that has left, whoever hears the challenge", () => {
    const { b, alice, again, ok } = died(true);
    expect(ok?.message.status).toBe(200);
    const [challenge] = b.receive(alice.key, again);
    expect([challenge?.message.status, secondsLeft(b)]).toEqual([401, [600]]);
  });

  it("has had no 200 that has left, where the other replica does not know of it: its phone answers the challenge", () => {
    const { b, alice, again, ok } = died(false);
    expect([ok?.message.status, ok?.committed]).toEqual([200, true]);
    const [challenge] = b.receive(alice.key, again);
    expect([challenge?.message.status, valuesOf(challenge, "WWW-Authenticate").join()]).toEqual([
      401,
      expect.stringContaining("stale=true"),
    ]);
    // What was there before has not gone.
    expect(secondsLeft(b)).toEqual([540]);
    const proof = credentials(challenge, { user: "alice", password: "secret", method: "REGISTER", uri: registerUri });
    expect(statusesOf(b.receive(alice.key, alice.register(600, [proof])))).toEqual([200]);
    expect(secondsLeft(b)).toEqual([600]);
  });
});

/** Alice registers at a, and again a minute later. The other replica has been told of the first, `isTold`: of both. */
function died(isTold: boolean): { b: TestExchange; alice: TestPhone; again: string; ok: Sent | undefined } {
  const a = replicaOf({ cell: "a" });
  const b = replicaOf({ cell: "b" });
  const alice = new TestPhone("alice", "198.51.100.7", 5070);
  const tell = (): void => {
    for (const record of a.exchange.store.changedSince(0, 1_000).records) b.exchange.applyFromPeer(record, b.now);
  };
  const [challenge] = a.receive(alice.key, alice.register());
  const proofOf = (nc: string): string =>
    credentials(challenge, { user: "alice", password: "secret", method: "REGISTER", uri: registerUri, nc });
  expect(statusesOf(a.receive(alice.key, alice.register(600, [proofOf("00000001")])))).toEqual([200]);
  tell();
  for (const replica of [a, b]) replica.advance(60_000);
  const again = alice.register(600, [proofOf("00000002")]);
  const [ok] = a.receive(alice.key, again);
  if (isTold) tell();
  b.record(RecordKind.takeover, "", "", "g1");
  return { b, alice, again, ok };
}

function secondsLeft({ exchange, now }: TestExchange): number[] {
  return exchange.registrations(undefined, now).map(({ expiresSeconds }) => expiresSeconds);
}
