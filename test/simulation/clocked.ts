import { SteadyTimers } from "../../actors/steady-timers.ts";
import { Host } from "./host.ts";
import { timeoutsOf, type Timeout } from "./workerd-timeouts.ts";
import { World } from "./world.ts";

/** One process of workerd whose wall clock a test sets: its timers, and true time. */
export class Clocked {
  readonly world = new World(1, false);
  readonly host = new Host(this.world, "a", { offsetMs: 0, drift: 0 });
  readonly timers: SteadyTimers<Timeout>;

  /** `stands`: see {@link timeoutsOf}. */
  constructor(stands = false) {
    this.host.start(() => {});
    this.timers = new SteadyTimers(timeoutsOf(this.host, stands));
  }

  /** Runs after so many ms of true time. */
  at(ms: number, run: () => void): void {
    this.world.at(ms, () => this.host.post(run));
  }

  /** Sets the wall clock after so many ms of true time. */
  stepAt(ms: number, byMs: number): void {
    this.world.at(ms, () => this.host.step(byMs));
  }

  runUntil(ms: number): void {
    this.world.runUntil(ms);
  }
}
