import { describe, expect, it } from "vitest";
import { attemptsMax, breadthMax, contactsPerAddressOfRecordMax, spiralAttemptsMax, spiralsMax } from "../../../sip/limits.ts";
import { octetsOf } from "../../../sip/message/octets.ts";
import { routingKeyOf } from "../../../cluster/map/routing-key.ts";
import { parseFlowKey, serializeFlowKey } from "../../../sip/flow/flow.ts";
import { RecordKind } from "../../../cluster/backhaul/frame.ts";
import { testMap, TestExchange, TestPhone, valuesOf, type Sent } from "./harness.ts";

const exchangeCount = 4;
const stepMs = 1_000;
/** An address of the gateway's machine that no listener names: what is sent there comes back all the same. */
const unnamed = "10.0.0.1";
const outsider = new TestPhone("eve", "198.51.100.66", 5060);

/**
 * Several exchanges and the gateway before them, whose own addresses bring back what is sent there, as a network does. Time goes on for all.
 */
class World {
  readonly exchanges = Array.from({ length: exchangeCount }, (_, exchange) => new TestExchange("open", { exchange, exchangeCount }));
  /** Requests that have left any exchange, without retransmissions. */
  readonly requests: Sent[] = [];
  /** CANCELs and ACKs, which are said by hop. */
  readonly hops: Sent[] = [];
  readonly #seen = new Set<string>();
  readonly #arriving: { readonly key: string; readonly text: string; readonly near: number }[] = [];
  /** What reached the outsider. */
  readonly answers: Sent[] = [];

  get now(): number {
    return this.exchanges[0]?.now ?? 0;
  }

  exchangeFor(text: string): TestExchange {
    const octets = octetsOf(text);
    const index = routingKeyOf(octets, 0, octets.length, testMap("open", exchangeCount))?.exchange ?? 0;
    const found = this.exchanges[index];
    if (found === undefined) throw new Error(`no exchange ${index}`);
    return found;
  }

  send(key: string, text: string): void {
    this.#arriving.push({ key, text, near: 0 });
    this.settle();
  }

  settle(): void {
    for (let next = this.#arriving.shift(); next !== undefined; next = this.#arriving.shift()) {
      const exchange = this.exchangeFor(next.text);
      this.#follow(exchange.receive(next.key, next.text), exchange);
    }
  }

  advance(ms: number): void {
    const until = this.now + ms;
    while (this.now < until) {
      for (const exchange of this.exchanges) this.#follow(exchange.advance(Math.min(stepMs, until - exchange.now)), exchange);
      this.settle();
    }
  }

  #follow(sent: readonly Sent[], exchange: TestExchange): void {
    for (const each of sent) {
      const via = each.message.topVia;
      const name = `${"branch" in via ? via.branch : ""} ${each.message.method}`;
      if (each.message.isRequest && !this.#seen.has(name)) {
        this.#seen.add(name);
        (each.message.method === "CANCEL" || each.message.method === "ACK" ? this.hops : this.requests).push(each);
      }
      const remote = parseFlowKey(each.key);
      if (each.key === outsider.key) this.answers.push(each);
      if (remote?.address !== unnamed && remote?.address !== "192.0.2.1") continue;
      const from = serializeFlowKey({ ...remote, transport: "UDP", listener: 0, connection: "", port: 5060 });
      this.#arriving.push({ key: from, text: each.text, near: 0 });
    }
    // Names of an attacker's domain lead to us as well.
    for (const { id } of exchange.resolving.splice(0)) {
      const key = serializeFlowKey({ transport: "UDP", listener: 0, connection: "", address: "192.0.2.1", port: 5060 });
      this.#follow(exchange.record(RecordKind.resolved, id, JSON.stringify([key])), exchange);
    }
  }

  register(user: string, contacts: readonly string[], path?: string): number | undefined {
    const phone = new TestPhone(user, "198.51.100.7", 5070);
    const headers = [
      ...contacts.map((contact) => `Contact: ${contact}`),
      ...(path === undefined ? [] : [`Path: ${path}`, "Supported: path"]),
    ];
    const text = phone.register(600, headers);
    const [answer] = this.exchangeFor(text).receive(phone.key, text);
    return answer?.message.status;
  }
}

const users = ["alice", "bob", "carol", "dave"];
const numbers = Array.from({ length: contactsPerAddressOfRecordMax }, (_, number) => number);

/** A dozen contacts, each another URI. */
function contactsOf(of: (number: number) => string): string[] {
  return numbers.map((number) => `<${of(number)}>`);
}

/** A dozen Contacts in our domain, which are reached by a Path that leads back to us. */
function byPath(world: World, user: string, next: string, parameters: (number: number) => string = () => ""): void {
  for (const number of numbers) {
    const contact = `<sip:${next}@example.test;p=${number}>${parameters(number)}`;
    expect(world.register(user, [contact], `<sip:${unnamed};lr>, <sip:x${number}.invalid;lr>`)).toBe(200);
  }
}

/** How a request may come back to us again and again. */
const bombs: Readonly<Record<string, (world: World, user: string, next: string) => void>> = {
  "Paths to oneself": (world, user) => byPath(world, user, user),
  "Paths to each other": byPath,
  "Paths to each other, one after the other": (world, user, next) => byPath(world, user, next, (number) => `;q=0.${number + 10}`),
  "Contacts at an address that no listener names": (world, user, next) => {
    expect(
      world.register(
        user,
        contactsOf((number) => `sip:${next}@${unnamed}:5060;p=${number}`),
      ),
    ).toBe(200);
  },
  "names that lead to us": (world, user, next) => {
    expect(
      world.register(
        user,
        contactsOf((number) => `sip:${next}@n${number}.attacker.test`),
      ),
    ).toBe(200);
  },
};

function allRegistered(bomb: string): World {
  const world = new World();
  for (const [index, user] of users.entries()) bombs[bomb]?.(world, user, users[(index + 1) % users.length] ?? "");
  return world;
}

/** What a sender may vary: Max-Forwards, and Routes, foreign ones and ours. */
const variants: readonly string[][] = [
  ["Max-Forwards: 70"],
  ["Max-Forwards: 255", "Max-Breadth: 4000000000"],
  ["Max-Forwards: 70", `Route: <sip:${unnamed};lr>, <sip:y.invalid;lr>`],
  ["Max-Forwards: 70", "Route: <sip:example.test;lr>, <sip:x.test;lr>"],
];
const fromOutside = "From: <sip:eve@evil.test>;tag=e";

/** What one request that is received may make us send in all, over all exchanges and rounds. CANCELs and retransmissions are not counted. */
const requestsCausedMax = attemptsMax * (1 + spiralAttemptsMax + spiralAttemptsMax ** spiralsMax);

describe("[RFC5393] what one request may make us send", () => {
  for (const bomb of Object.keys(bombs)) {
    it.each(["MESSAGE", "INVITE"])(`${bomb}: no more than requestsCausedMax, and it ends at once (%s)`, { timeout: 30_000 }, (method) => {
      for (const headers of variants) {
        const world = allRegistered(bomb);
        const before = process.threadCpuUsage();
        world.send(outsider.key, outsider.request(method, "sip:alice@example.test", [fromOutside, ...headers]));
        world.advance(1_000);
        const finals = new Set(world.answers.map(({ message }) => message.status).filter((status) => status >= 200));
        expect(finals.size).toBe(1);
        for (const status of finals) expect([403, 480, 482]).toContain(status);
        world.advance(70_000);
        // Microseconds of CPU: it was half a minute.
        expect(process.threadCpuUsage(before).user).toBeLessThan(3_000_000);
        expect(world.requests.length).toBeLessThanOrEqual(requestsCausedMax);
        for (const { exchange } of world.exchanges) expect(exchange.counts(world.now)).toMatchObject({ transactions: 0, dialogs: 0 });
      }
    });
  }

  // A replica that has just started forwards those of INVITEs that it does not know.
  it.each(["CANCEL", "ACK"])("a %s of an INVITE that nobody knows does not grow either", (method) => {
    for (const bomb of Object.keys(bombs)) {
      for (const headers of variants) {
        const world = allRegistered(bomb);
        const to = method === "ACK" ? ["To: <sip:alice@example.test>;tag=x"] : [];
        world.send(outsider.key, outsider.request(method, "sip:alice@example.test", [fromOutside, ...headers, ...to]));
        world.advance(70_000);
        expect(world.hops.length).toBeLessThanOrEqual(contactsPerAddressOfRecordMax);
        expect(world.requests).toEqual([]);
      }
    }
  });

  it("never comes back more often than spiralsMax, by whichever exchange", () => {
    const world = allRegistered("Paths to each other");
    world.send(outsider.key, outsider.request("MESSAGE", "sip:alice@example.test", [fromOutside]));
    world.advance(64_000);
    const own = world.requests.map((sent) => valuesOf(sent, "Via").filter((via) => via.includes("z9hG4bKtd")).length);
    expect(Math.max(...own)).toBe(spiralsMax + 1);
  });

  it("[RFC5393 5.3.3] has no more than Max-Breadth branches at once, over all rounds", () => {
    const world = allRegistered("Paths to each other");
    world.send(outsider.key, outsider.request("INVITE", "sip:alice@example.test", [fromOutside]));
    // The copies that went on are not branches of their own: their breadth is that of what came of them.
    const leaves = world.requests.filter(
      (sent) => valuesOf(sent, "Via").filter((via) => via.includes("z9hG4bKtd")).length === spiralsMax + 1,
    );
    expect(leaves.length).toBeGreaterThan(0);
    expect(leaves.length).toBeLessThanOrEqual(breadthMax);
  });
});
