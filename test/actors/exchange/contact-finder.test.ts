import { describe, expect, it } from "vitest";
import { contactSearchesPerCallerMax, contactSearchesPerSecondMax, exchangesAskedMax } from "../../../actors/limits.ts";
import { phoneSearchMs } from "../../../sip/limits.ts";
import { Header } from "../../../sip/message/header-names.ts";
import { exchangeOf } from "../../../cluster/map/cluster-map.ts";
import { answer, testMap, TestExchange, TestPhone, valuesOf, type Sent } from "./harness.ts";
import { proved, registered } from "./proof.ts";

const bob = new TestPhone("bob", "198.51.100.7", 5070);
/** A browser, somebody that Alice has a call with: she sends Bob there. */
const carol = new TestPhone("carol", "203.0.113.9", 5080, "WS");
const contact = carol.contact.slice(1, -1);
const referral = ["Replaces: call-of-alice;to-tag=carol-tag;from-tag=alice-tag", "Referred-By: <sip:alice@example.test>"];

/** The exchanges of Bob and of Carol: one, or two that ask each other. */
class World {
  readonly bobs: TestExchange;
  readonly carols: TestExchange;

  constructor(exchangeCount: number, auth: "digest" | "open" = "digest") {
    const map = testMap(auth, exchangeCount);
    const exchangeFor = (user: string): TestExchange =>
      new TestExchange(auth, { exchange: exchangeOf(map, `${user}@example.test`), exchangeCount });
    this.bobs = exchangeFor("bob");
    this.carols = exchangeOf(map, "bob@example.test") === exchangeOf(map, "carol@example.test") ? this.bobs : exchangeFor("carol");
    for (const user of ["bob", "carol"]) for (const each of [this.bobs, this.carols]) each.addSubscriber(user, "password");
  }

  /** Bob, whose password is right, calls a Contact; what leaves because of it, by whichever exchange. */
  call(uri = contact, headers: readonly string[] = referral, method = "INVITE"): Sent[] {
    return [...proved(this.bobs, bob, method, uri, headers), ...this.answerQuestions()];
  }

  /** What the exchanges that were asked say; `isSilent`: they say nothing. */
  answerQuestions(): Sent[] {
    for (const { addressOfRecord, exchange, reference } of this.bobs.flowsAsked.splice(0)) {
      const isCarols = exchange === exchangeOf(testMap("digest", this.count), "carol@example.test");
      const flows = isCarols ? this.carols.exchange.flowsOf(addressOfRecord, this.carols.now) : [];
      this.bobs.exchange.flows(reference, flows, this.bobs.now);
    }
    return this.bobs.drain();
  }

  count = 1;

  static of(exchangeCount: number, auth: "digest" | "open" = "digest"): World {
    const world = new World(exchangeCount, auth);
    world.count = exchangeCount;
    return world;
  }
}

function statuses(sent: readonly Sent[]): number[] {
  return sent.filter(({ message }) => !message.isRequest).map(({ message }) => message.status);
}

/** The exchanges that are asked for a Contact that Bob calls. */
function asked(exchangeCount: number, headers: readonly string[]): number[] {
  const world = World.of(exchangeCount);
  proved(world.bobs, bob, "INVITE", contact, headers);
  return world.bobs.flowsAsked.map(({ exchange }) => exchange);
}

/** As many as it takes to have Bob and Carol served by two. */
const several = [2, 3, 4, 5, 6, 7, 8].find((count) => {
  const map = testMap("digest", count);
  return exchangeOf(map, "bob@example.test") !== exchangeOf(map, "carol@example.test");
});

describe("a softphone is called by the Contact that it has registered", () => {
  it.each([1, several ?? 0])(
    "[RFC3891] attended transfer: INVITE with Replaces reaches it, and the call has both ways (%i exchanges)",
    (count) => {
      const world = World.of(count);
      expect(registered(world.carols, carol)?.message.status).toBe(200);
      const sent = world.call();
      const invite = sent.find(({ message }) => message.method === "INVITE");
      expect(invite).toMatchObject({ key: carol.key, access: carol.access });
      expect(invite?.message.requestUri).toBe(contact);
      expect(valuesOf(invite, "Replaces")).toEqual([referral[0]?.slice("Replaces: ".length)]);
      expect(valuesOf(invite, "Record-Route")).not.toEqual([]);
      if (invite === undefined) return;
      const [ok] = world.bobs.receive(carol.key, answer(invite.message, 200, "c", [`Contact: ${carol.contact}`]), carol.access);
      expect(ok).toMatchObject({ key: bob.key });
      const routes = valuesOf(ok, "Record-Route").map((route) => `Route: ${route}`);
      const [bye] = world.bobs.receive(bob.key, bob.request("BYE", contact, [`To: <${contact}>;tag=c`, ...routes]));
      expect(bye).toMatchObject({ key: carol.key });
    },
  );

  it.each(["sip:carol@CAROL.invalid;transport=ws", "sip:carol@carol.invalid", "sip:%63arol@carol.invalid;ob;transport=ws"])(
    "however its parameters are written: %s",
    (uri) => {
      const world = World.of(several ?? 0);
      registered(world.carols, carol);
      expect(world.call(uri).find(({ message }) => message.method === "INVITE")?.key).toBe(carol.key);
      expect(world.call(uri, [], "MESSAGE").find(({ message }) => message.method === "MESSAGE")?.key).toBe(carol.key);
    },
  );

  it("not another one's, and none that has gone or run out: 480", () => {
    for (const uri of ["sip:dave@carol.invalid", "sip:carol@other.invalid", "sip:carol@ol.invalid", "sip:carol@carol.invalid:9"]) {
      const world = World.of(several ?? 0);
      registered(world.carols, carol);
      expect(statuses(world.call(uri)).at(-1)).toBe(480);
    }
    const gone = World.of(1);
    registered(gone.carols, carol);
    registered(gone.carols, carol, [], 0);
    expect(statuses(gone.call()).at(-1)).toBe(480);
    const late = World.of(1);
    registered(late.carols, carol);
    late.carols.advance(601_000);
    expect(statuses(late.call()).at(-1)).toBe(480);
  });

  it("strangers do not reach it so, nor do callers who prove nothing", () => {
    const world = World.of(1);
    registered(world.carols, carol);
    const eve = new TestPhone("eve", "198.51.100.66", 5060);
    expect(statuses(world.bobs.receive(eve.key, eve.request("INVITE", contact, ["From: <sip:eve@evil.test>;tag=e"])))).toEqual([403]);
    expect(statuses(world.bobs.receive(bob.key, bob.request("INVITE", contact)))).toEqual([407]);
    // Where nobody proves anything: those who are registered on the flow that they call on.
    const open = World.of(1, "open");
    open.bobs.receive(carol.key, carol.register(), carol.access);
    expect(statuses(open.bobs.receive(bob.key, bob.request("INVITE", contact)))).toEqual([403]);
    open.bobs.receive(bob.key, bob.register());
    expect(open.bobs.receive(bob.key, bob.request("INVITE", contact)).map(({ key }) => key)).toContain(carol.key);
  });

  it("phoneSearchMs: an exchange that does not answer is not waited for longer", () => {
    const world = World.of(several ?? 0);
    registered(world.carols, carol);
    expect(statuses(proved(world.bobs, bob, "INVITE", contact))).toEqual([100]);
    expect(world.bobs.advance(phoneSearchMs - 1)).toEqual([]);
    expect(statuses(world.bobs.advance(1))).toEqual([480]);
    // What it says then is not listened to.
    expect(world.answerQuestions()).toEqual([]);
  });

  it("[RFC3261 9.2] a caller who hangs up meanwhile has ended the call", () => {
    const world = World.of(several ?? 0);
    registered(world.carols, carol);
    proved(world.bobs, bob, "INVITE", contact);
    const trying = world.bobs.sent.at(-1)?.message;
    const branch = /branch=[^\r;]*/.exec(trying?.text(Header.Via) ?? "")?.[0] ?? "";
    const cSeq = `CSeq: ${trying?.text(Header.CSeq)?.replace("INVITE", "CANCEL")}`;
    const cancel = bob.request("CANCEL", contact, [cSeq]).replace(/branch=[^\r;]*/, branch);
    expect(new Set(statuses(world.bobs.receive(bob.key, cancel)))).toEqual(new Set([200, 487]));
    expect(world.answerQuestions()).toEqual([]);
  });

  it("exchangesAskedMax: no more are asked; of a larger cluster that of who referred to it, and no other one", () => {
    const all = asked(exchangesAskedMax + 1, []);
    expect(all).toHaveLength(exchangesAskedMax);
    expect(new Set(all).size).toBe(exchangesAskedMax);
    expect(all).not.toContain(exchangeOf(testMap("digest", exchangesAskedMax + 1), "bob@example.test"));
    expect(asked(1_000, [])).toEqual([]);
    expect(asked(1_000, referral)).toEqual([exchangeOf(testMap("digest", 1_000), "alice@example.test")]);
  });

  it("contactSearchesPerCallerMax, contactSearchesPerSecondMax: more find nobody, until the next second", () => {
    const world = World.of(several ?? 0);
    registered(world.carols, carol);
    for (let call = 0; call < 20; call += 1) proved(world.bobs, bob, "MESSAGE", contact);
    expect(world.bobs.flowsAsked.length).toBeLessThanOrEqual(contactSearchesPerCallerMax * 7);
    const { exchange, now } = world.carols;
    const answers = Array.from({ length: 1_000 }, () => exchange.flowsOf(contact, now));
    // Who has not looked does not say that there is nobody: else a flood of questions would hide whose Contact it is.
    expect(answers.filter((each) => each !== "unavailable")).toEqual(
      Array.from({ length: contactSearchesPerSecondMax }, () => [expect.objectContaining({ contact })]),
    );
    expect(exchange.flowsOf(contact, now + 1_000)).toHaveLength(1);
    expect(exchange.flowsOf("sip:", now + 1_000)).toEqual([]);
  });
});

/** Another subscriber, who has read Carol's Contact in a call of hers, and registers it as his own. */
const mallory = Object.assign(new TestPhone("mal", "198.51.100.66", 5099, "WS"), { contact: carol.contact });

/** So many exchanges, and users at whichever of them serves each. */
class Cluster {
  readonly count: number;
  readonly #exchanges = new Map<number, TestExchange>();

  constructor(count: number) {
    this.count = count;
    for (const user of ["bob", "carol", "mal"]) this.of(user).addSubscriber(user, "password");
  }

  numberOf(user: string): number {
    return exchangeOf(testMap("digest", this.count), `${user}@example.test`);
  }

  of(user: string): TestExchange {
    const exchange = this.numberOf(user);
    const known = this.#exchanges.get(exchange) ?? new TestExchange("digest", { exchange, exchangeCount: this.count });
    this.#exchanges.set(exchange, known);
    return known;
  }

  register(phone: TestPhone, expires = 600): void {
    const world = this.of(phone.user);
    // One who registers later.
    world.now += 1_000;
    expect(registered(world, phone, [], expires)?.message.status).toBe(200);
  }

  /** Whose phones an INVITE of Bob's to Carol's Contact reaches, and the final status that he hears at once. */
  call(headers: readonly string[], isReversed = false, isMute: (exchange: number) => boolean = () => false): (string | number)[] {
    const world = this.of("bob");
    const sent = proved(world, bob, "INVITE", contact, headers);
    const questions = world.flowsAsked.splice(0);
    for (const { addressOfRecord, exchange, reference } of isReversed ? questions.toReversed() : questions) {
      if (isMute(exchange)) continue;
      const other = this.#exchanges.get(exchange);
      world.exchange.flows(reference, other?.exchange.flowsOf(addressOfRecord, other.now) ?? [], world.now);
    }
    const names = new Map([carol, mallory].map(({ key, user }) => [key, user]));
    return [...sent, ...world.drain()].flatMap(({ key, message }): (string | number)[] => {
      if (message.isRequest) return [names.get(key) ?? "somebody else"];
      return message.status >= 200 && message.status !== 407 ? [message.status] : [];
    });
  }
}

/** The three users at one exchange; at three; and each two of them at one. */
const clusters: readonly number[] = [1, ...apart()];

function apart(): number[] {
  const users = ["bob", "carol", "mal"].map((user) => `${user}@example.test`);
  const patterns = new Map<string, number>();
  for (let count = 2; count <= exchangesAskedMax; count += 1) {
    const [bobs = 0, carols = 0, mals = 0] = users.map((user) => exchangeOf(testMap("digest", count), user));
    const pattern = `${bobs === carols} ${bobs === mals} ${carols === mals}`;
    if (!patterns.has(pattern)) patterns.set(pattern, count);
  }
  return [...patterns.values()];
}

describe.each(clusters)("a Contact that another subscriber has registered as well (%i exchanges)", (count) => {
  const byCarol = ["Referred-By: <sip:carol@example.test>"];
  const bySomebody = [[], ["Referred-By: <sip:dave@example.test>"], ["Referred-By: <sip:carol@outside.test>"], ["Referred-By: nonsense"]];

  it.each([false, true])("is not his: it is Carol's when Referred-By names her, else nobody's (answers reversed: %s)", (isReversed) => {
    for (const isHersFirst of [true, false]) {
      const cluster = new Cluster(count);
      for (const phone of isHersFirst ? [carol, mallory] : [mallory, carol]) cluster.register(phone);
      expect(cluster.call(byCarol, isReversed)).toEqual(["carol"]);
      for (const headers of bySomebody) {
        cluster.of("bob").now += 1_000;
        expect(cluster.call(headers, isReversed)).toEqual([480]);
      }
    }
  });

  it("is hers alone when he has gone", () => {
    const cluster = new Cluster(count);
    cluster.register(carol);
    cluster.register(mallory);
    cluster.register(mallory, 0);
    expect(cluster.call([])).toEqual(["carol"]);
  });

  it("is not his while the exchange of Carol is silent, cannot be reached, or has been asked too much", () => {
    const cluster = new Cluster(count);
    const isHers = (exchange: number): boolean => exchange === cluster.numberOf("carol");
    if (isHers(cluster.numberOf("bob"))) return;
    cluster.register(carol);
    cluster.register(mallory);
    for (const headers of [byCarol, ...bySomebody]) {
      const world = cluster.of("bob");
      world.now += 1_000;
      expect(cluster.call(headers, false, isHers)).toEqual([]);
      // It is repeated until it is acknowledged.
      const sent = world.advance(phoneSearchMs);
      expect([sent.every(({ key }) => key === bob.key), new Set(statuses(sent))]).toEqual([true, new Set([480])]);
    }
    const hers = cluster.of("carol");
    for (let question = 0; question < contactSearchesPerSecondMax; question += 1) hers.exchange.flowsOf(contact, hers.now);
    expect(cluster.call(byCarol)).toEqual([480]);
    cluster.of("bob").now += 1_000;
    expect(cluster.call([])).toEqual([480]);
  });
});
