import { describe, expect, it } from "vitest";
import type { Transport } from "../../../sip/flow/flow.ts";
import type { Call } from "../../../sip/record/values.ts";
import { CallingPhone, type Manner } from "./calling-phone.ts";
import { PairWorld } from "./pair-world.ts";

/** Where the replica of cell a dies around one message, and what becomes of the message. */
type Death =
  /** It never gets the message: the other replica does. */
  | "before"
  /** It sends what the message makes it send, and dies before it tells anybody: the message is said again to the other replica. */
  | "replayed"
  /** The other replica has been told; the message is not said again. */
  | "after"
  /** The other replica has been told, and gets the message once more. */
  | "after, replayed";

const deaths: readonly Death[] = ["before", "replayed", "after", "after, replayed"];

type Scenario = {
  readonly name: string;
  readonly manner: Manner;
  readonly play: (world: PairWorld, alice: CallingPhone, bob: CallingPhone) => void;
};

const scenarios: readonly Scenario[] = [
  {
    name: "INVITE, 180, 200, ACK, re-INVITE and REFER from the callee, BYE",
    manner: "answers",
    play: (world, alice, bob) => {
      alice.call("bob");
      world.advance(3_000);
      bob.inDialog("INVITE");
      world.advance(1_000);
      bob.inDialog("REFER");
      world.advance(1_000);
      alice.inDialog("BYE");
    },
  },
  {
    name: "INVITE, 180, 486, ACK",
    manner: "is busy",
    play: (_world, alice) => alice.call("bob"),
  },
  {
    name: "INVITE, 180, CANCEL, 487, ACK",
    manner: "rings",
    play: (_world, alice) => {
      alice.cancelsOnRinging = true;
      alice.call("bob");
    },
  },
];

const expected: Record<Manner, readonly [readonly string[], readonly string[]]> = {
  answers: [
    ["200 INVITE", "INVITE", "ACK", "REFER", "200 BYE"],
    ["INVITE", "ACK", "200 INVITE", "200 REFER", "BYE"],
  ],
  "is busy": [["486 INVITE"], ["INVITE", "ACK"]],
  rings: [
    ["200 CANCEL", "487 INVITE"],
    ["INVITE", "CANCEL", "ACK"],
  ],
};

/** What the call record says in the end. */
const outcomes: Record<Manner, string> = {
  answers: "alice to bob: 200 callerHungUp",
  "is busy": "alice to bob: 486 refused",
  rings: "alice to bob: 487 cancelled",
};

/** With what is wrong with its times. */
function outcomeOf({ caller, callee, start, ring = start, answer = ring, end, status, cause }: Call): string {
  const areOrdered = start <= ring && ring <= answer && answer <= end;
  return `${caller} to ${callee}: ${status} ${cause}${areOrdered ? "" : ` ${start} ${ring} ${answer} ${end}`}`.replaceAll(
    "@example.test",
    "",
  );
}

type Outcome = { readonly world: PairWorld; readonly alice: CallingPhone; readonly bob: CallingPhone; readonly events: number };

function play(scenario: Scenario, from: Transport, to: Transport, death?: { readonly event: number; readonly how: Death }): Outcome {
  const world = new PairWorld();
  const alice = new CallingPhone(world, "alice", "198.51.100.7", 5070, from, from === "WS" ? "b.0" : "g1");
  const bob = new CallingPhone(world, "bob", "203.0.113.9", 5080, to, to === "WS" ? "b.0" : "g2");
  bob.manner = scenario.manner;
  for (const phone of [alice, bob]) phone.register();
  const registered = world.events;
  for (const phone of [alice, bob]) phone.log.length = 0;
  world.around = (event, deliver) => {
    if (death === undefined || event !== registered + death.event) return deliver();
    if (death.how === "before") world.kill("a");
    deliver(death.how === "replayed" ? "unlinked" : undefined);
    if (death.how === "before") return;
    world.kill("a");
    if (death.how !== "after") deliver();
  };
  scenario.play(world, alice, bob);
  world.advance(40_000);
  return { world, alice, bob, events: world.events - registered };
}

const flows: readonly (readonly [Transport, Transport])[] = [
  ["UDP", "UDP"],
  ["TCP", "TLS"],
  ["UDP", "WS"],
  ["WS", "TCP"],
  // At gateways, where "WS" is at a line.
  ["WSS", "UDP"],
];

describe("a cell dies around every message of a call, and the call goes on through the other one", () => {
  describe.each(scenarios)("$name", (scenario) => {
    it.each(flows)("from %s to %s", (from, to) => {
      const undisturbed = play(scenario, from, to);
      const [caller, callee] = expected[scenario.manner];
      expect([undisturbed.alice.log, undisturbed.bob.log]).toEqual([caller, callee]);
      expect(undisturbed.events).toBeGreaterThan(3);
      for (let event = 1; event <= undisturbed.events; event += 1) {
        for (const how of deaths) {
          const { alice, bob, world } = play(scenario, from, to, { event, how });
          expect({ event, how, alice: alice.log, bob: bob.log }).toEqual({ event, how, alice: caller, bob: callee });
          // A line may be cut off with its cell from a replica that lives: what comes from one, or goes to one, names who has it in hand.
          const differing = from === "WS" || to === "WS" ? [] : [...alice.differing, ...bob.differing];
          expect({ event, how, differing }).toEqual({ event, how, differing: [] });
          world.advance(400_000);
          const { exchange, now } = world.replicas.b;
          const calls = [...exchange.store.records("call")].map(({ value }) => outcomeOf(value));
          expect({ event, how, calls }).toEqual({ event, how, calls: [outcomes[scenario.manner]] });
          expect({ event, how, ...exchange.counts(now) }).toMatchObject({ event, how, dialogs: 0, transactions: 0, registrations: 2 });
        }
      }
    });
  });
});
