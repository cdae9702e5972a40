import type { MakeTimer } from "../../actors/timer.ts";
import type { Host } from "./host.ts";
import type { Planned } from "./world.ts";

/** An actor's timers, in a simulated process. */
export function timersOf(host: Host): MakeTimer {
  return (run) => {
    let planned: Planned | undefined;
    const clear = (): void => {
      if (planned !== undefined) planned.isOff = true;
    };
    return {
      clear,
      set: (delayMs) => {
        clear();
        planned = host.after(delayMs, run);
      },
    };
  };
}
