import { describe, expect, it } from "vitest";
import { timerCLateMs, timerCMs } from "../../../sip/limits.ts";
import { stringOf } from "../../../sip/message/octets.ts";
import { CallingPhone } from "./calling-phone.ts";
import { PairWorld } from "./pair-world.ts";

describe("[RFC3261 16.8] Timer C of a call that rings for ever", () => {
  it.each([
    ["in both cells, though both have the INVITE", () => {}],
    ["while they are cut from each other", (world: PairWorld) => void (world.isCut = true)],
    ["when its cell is dead", (world: PairWorld) => world.kill("a")],
    [
      "when its cell was dead and has it back",
      (world: PairWorld) => {
        world.kill("a");
        world.advance(5_000);
        world.restart("a");
      },
    ],
  ])("fires once, %s: one CANCEL, one final answer", (_name, happens) => {
    const world = new PairWorld();
    const alice = new CallingPhone(world, "alice", "198.51.100.7", 5070, "UDP");
    const bob = new CallingPhone(world, "bob", "203.0.113.9", 5080, "UDP", "g2");
    for (const phone of [alice, bob]) phone.register();
    bob.manner = "rings";
    // Everything that comes, repetitions too.
    const came: string[] = [];
    for (const phone of [alice, bob]) {
      const receive = phone.receive.bind(phone);
      phone.receive = (message, now) => {
        if (message.isRequest ? message.method === "CANCEL" : message.status >= 300) came.push(stringOf(message.octets).slice(0, 11));
        receive(message, now);
      };
    }
    alice.call("bob");
    const calledAt = world.now;
    world.advance(1_000);
    happens(world);
    world.advance(calledAt + timerCMs - 1_000 - world.now);
    expect(came).toEqual([]);
    world.advance(300_000);
    expect(came).toEqual(["CANCEL sip:", "SIP/2.0 487"]);
  });

  it("ends it timerCLateMs late at most, however many cells take it up in turn after its caller has gone", () => {
    const world = new PairWorld();
    const alice = new CallingPhone(world, "alice", "198.51.100.7", 5070, "UDP");
    const bob = new CallingPhone(world, "bob", "203.0.113.9", 5080, "UDP", "g2");
    for (const phone of [alice, bob]) phone.register();
    bob.manner = "rings";
    alice.call("bob");
    const calledAt = world.now;
    world.advance(1_000);
    world.phones.splice(world.phones.indexOf(alice), 1);
    for (let each = 0; each < 10; each += 1) {
      const cell = each % 2 === 0 ? "a" : "b";
      world.kill(cell);
      world.advance(10_000);
      world.restart(cell);
      world.advance(5_000);
    }
    expect(bob.log.at(-1)).toBe("INVITE");
    world.advance(calledAt + timerCMs + timerCLateMs + 1_000 - world.now);
    expect(bob.log.slice(-2)).toEqual(["CANCEL", "ACK"]);
  });
});
