import { afterEach, expect, it } from "vitest";
import { Load } from "../../cli/drill/load.ts";
import { RiggedSystem } from "./rigged-system.ts";

let system: RiggedSystem | undefined;
let load: Load | undefined;

afterEach(async () => {
  load?.stop();
  await system?.stop();
  [load, system] = [undefined, undefined];
});

it.each(["tcp", "ws"] as const)(
  "a BYE over %s to a phone that has just moved arrives, though the cell that has it in hand is killed",
  { timeout: 180_000 },
  async (transport) => {
    const rigged = await RiggedSystem.open();
    system = rigged;
    const calls = new Load({
      transport,
      domain: rigged.domain,
      host: rigged.host,
      targets: rigged.targets(transport),
      ca: undefined,
      amounts: { rate: 0, established: 60, ringing: 0, registered: 120 },
      everyoneHasTwo: transport === "ws",
    });
    load = calls;
    await calls.register(60_000);
    await calls.establish(60_000);
    for (const [index, call] of calls.standing.entries()) {
      const isEven = index % 2 === 0;
      call.move(isEven ? "caller" : "callee");
      call.hangUp(isEven ? "callee" : "caller");
    }
    // By then the replicas have taken what was said before, and wait a quarter of a second for phones that are not there.
    await rigged.status("b");
    rigged.signal("cell a", "SIGKILL");
    await calls.drain();
    expect(calls.report().losses).toEqual([]);
    expect(calls.report().established).toEqual({ ended: 60, lost: 0 });
  },
);
