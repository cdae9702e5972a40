import { describe, expect, it } from "vitest";
import { PeerLink } from "../../../cluster/replication/peer-link.ts";
import { SteadyClock } from "../../../cluster/time/steady-clock.ts";
import { RecordStore } from "../../../sip/record/record-store.ts";
import { answerAs, waiting } from "./waiting-link.ts";
import { ackTimeoutMs, leaseMs } from "./world.ts";

/** The steady clock of one side, over a wall clock that a test sets. */
class SetClock {
  wall = 10_000_000;
  readonly #clock = new SteadyClock({ wall: () => this.wall, isWatched: () => true, wasSetBack: () => undefined });

  /** After so much by the wall clock. */
  after(ms: number): number {
    this.wall += ms;
    return this.#clock.now();
  }
}

describe("a wall clock that is set", () => {
  it.each([-5_000_000, -60_000, 3_600_000])("by %i ms stops nothing while two replicas meet", (stepMs) => {
    const store = new RecordStore({ isPaired: true });
    const clock = new SetClock();
    const link = new PeerLink({ cell: "a", boot: "x", ackTimeoutMs, leaseMs }, store, clock.after(0));
    const next = (): number => {
      for (const effect of link.takeEffects()) if (effect.type === "send") return effect.id;
      throw new Error("nothing is sent");
    };
    link.answered(next(), { boot: "y", received: 0, ahead: 0 }, clock.after(1));
    const now = clock.after(stepMs);
    link.answered(next(), { boot: "y", received: 0, ahead: 0 }, now);
    link.changed(now);
    expect(link.nextDeadline()).toBeLessThan(now + 1_000);
    expect(link.state).toBe("syncing");
  });

  it.each([-60_000, -3_600_000])("back by %i ms leaves a peer as long to answer as it had, and no longer", (stepMs) => {
    const { link, states } = waiting();
    const clock = new SetClock();
    const start = clock.after(0);
    const at = (now: number): number => 2_000 + now - start;
    link.tick(at(clock.after(50)));
    link.tick(at(clock.after(stepMs)));
    expect(link.nextDeadline()).toBe(2_000 + ackTimeoutMs);
    link.tick(at(clock.after(ackTimeoutMs - 51)));
    expect(states()).toEqual([]);
    link.tick(at(clock.after(1)));
    expect(states()).toEqual(["lagging"]);
  });

  it("forward by an hour is taken for a standstill: the peer is asked before any input, and not given up", () => {
    const { link, id, sequence, states } = waiting();
    const clock = new SetClock();
    const start = clock.after(0);
    const at = (now: number): number => 2_000 + now - start;
    link.answered(id, { boot: "b1", received: sequence, ahead: 0 }, at(clock.after(5)));
    expect(link.admit(at(clock.after(5)))).toBe(true);
    const now = at(clock.after(3_600_000));
    expect(link.admit(now)).toBe(false);
    answerAs(link, "b1", now);
    expect(states()).toEqual([]);
    expect([link.state, link.admit(now + 500)]).toEqual(["together", true]);
  });
});
