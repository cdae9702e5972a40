import { describe, expect, it } from "vitest";
import { doubled } from "../../../cluster/map/doubling.ts";
import { DialogCall, one, told } from "./dialog-call.ts";
import { answer, TestExchange, TestPhone, testMap } from "./harness.ts";

const alice = new TestPhone("alice", "198.51.100.7", 5060);
const bob = new TestPhone("bob", "198.51.100.8", 5060);
const carrier = new TestPhone("carrier", "203.0.113.9", 5060);

function established(world: TestExchange): DialogCall {
  for (const phone of [alice, bob]) world.receive(phone.key, phone.register());
  const call = new DialogCall(world, alice, bob);
  call.answer(world, 200);
  one(call.send(world, "ACK", "caller"), "ACK");
  return call;
}

/** As the callee got it, with another exchange or cell in it. */
function forged(call: DialogCall, exchange: string, cell: string): string[] {
  return call.recorded.map((route) => route.replace(/td2\*0\*a\*/, `td2*${exchange}*${cell}*`));
}

describe("a token that names an exchange or a cell that does not exist", () => {
  it.each([
    ["1", "a"],
    ["zzzz", "a"],
    ["0", "x"],
  ])("gets 404, or what the map says, wherever it wants to go: exchange %s, cell %s", (exchange, cell) => {
    for (const [options, status] of [
      [{}, 404],
      [{ map: { unknownTokenStatus: 481 } }, 481],
    ] as const) {
      const world = new TestExchange("open", options);
      const call = established(world);
      const routes = forged(call, exchange, cell);
      for (const method of ["INFO", "BYE", "INVITE"]) {
        const uri = carrier.contact.slice(1, -1);
        expect(told(call.send(world, method, "caller", { routes, uri }))).toEqual([`${alice.key} ${status}`]);
        expect(told(call.send(world, method, "caller", { routes: [], uri: routes[0]?.slice(1, -1) ?? "" }))).toEqual([
          `${alice.key} ${status}`,
        ]);
      }
      expect(told(call.send(world, "ACK", "caller", { routes }))).toEqual([]);
      one(call.send(world, "BYE", "caller"), "BYE");
    }
  });

  it("which is ours, of before the cluster was made anew with fewer exchanges, gets the same", () => {
    const before = new TestExchange("open", { exchange: 3, exchangeCount: 4 });
    const call = established(before);
    const anew = new TestExchange("open");
    expect(told(call.send(anew, "INFO", "caller"))).toEqual([`${alice.key} 404`]);
  });

  it("which is ours, of a cell that has gone from the map, goes on while the call stands", () => {
    const world = new TestExchange();
    const call = established(world);
    world.exchange.setMap({ ...testMap(), cells: [{ id: "b", url: "http://127.0.0.1:8802" }] });
    expect(told(call.send(world, "BYE", "caller"))).toEqual([`${bob.key} BYE`]);
  });

  it("does not exist before a doubling, and does after it: 404, then 403 for one that is forged; the calls of before go on", () => {
    const world = new TestExchange();
    const call = established(world);
    const answersOf = (at: TestExchange, exchange: string): string[] =>
      told(call.send(at, "INFO", "caller", { routes: forged(call, exchange, "a"), uri: carrier.contact.slice(1, -1) }));
    expect([answersOf(world, "1"), answersOf(world, "2")]).toEqual([[`${alice.key} 404`], [`${alice.key} 404`]]);
    const before = testMap();
    const map = { ...before, ...doubled(before), version: 2 };
    world.exchange.setMap(map);
    const younger = new TestExchange("open", { exchange: 1, map });
    expect([answersOf(younger, "1"), answersOf(younger, "2"), answersOf(world, "2")]).toEqual([
      [`${alice.key} 403`],
      [`${alice.key} 404`],
      [`${alice.key} 404`],
    ]);
    // Whoever brings it to the elder has an older map.
    expect([answersOf(world, "1"), world.passed]).toEqual([[], [1]]);
    expect(told(call.send(world, "BYE", "caller"))).toEqual([`${bob.key} BYE`]);
  });

  it("is of a cell that was removed, and forged: 404", () => {
    const world = new TestExchange();
    const call = established(world);
    const routes = forged(call, "0", "b");
    const send = (): string[] => told(call.send(world, "INFO", "caller", { routes, uri: carrier.contact.slice(1, -1) }));
    expect(send()).toEqual([`${alice.key} 403`]);
    world.exchange.setMap({ ...testMap(), version: 2, cells: [{ id: "a", url: "http://127.0.0.1:8801" }], former: ["b"] });
    expect(send()).toEqual([`${alice.key} 404`]);
  });
});

describe("a response whose Via names an exchange or a cell that does not exist", () => {
  it.each([
    ["exchange", /branch=z9hG4bKtd0\./, "branch=z9hG4bKtdzz."],
    ["cell", /;td=a\*/, ";td=x*"],
  ])("is dropped where no transaction waits for it: %s", (_, known, unknown) => {
    const world = new TestExchange();
    for (const phone of [alice, bob]) world.receive(phone.key, phone.register());
    const invite = one(world.receive(alice.key, alice.request("INVITE", "sip:bob@example.test")), "INVITE");
    const ringing = answer(invite.message, 180, "b");
    expect(ringing).toMatch(known);
    const anew = new TestExchange("open", { now: world.now + 1_000 });
    expect(told(anew.receive(bob.key, ringing.replace(known, unknown)))).toEqual([]);
    expect(told(anew.receive(bob.key, ringing))).toEqual([`${alice.key} 180`]);
  });
});
