import { afterEach, expect, it } from "vitest";
import { Registrant } from "./clients/registrant.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";

let system: Tandem | undefined;

afterEach(async () => {
  await system?.stop();
});

/** Objects sleep after some 10 s without anything to do. */
const asleepMs = 13_000;

it("says nothing while nothing is wrong: not of sleeping and waking, and not at its end but that it stops", async () => {
  system = await startTandem({ auth: "open" });
  for (const round of [1, 2]) {
    const registrant = await Registrant.connect(system.run.cells[round - 1]?.url ?? "", system.domain);
    for (const user of ["alice", "bob", "carol", "dave"]) expect((await registrant.register(user))?.status).toBe(200);
    registrant.socket.close();
    const idleFrom = performance.now();
    await until(() => performance.now() - idleFrom > asleepMs, 2 * asleepMs);
  }
  const ready = system.events.findIndex(({ event }) => event === "ready");
  await system.stop("SIGINT");
  expect(system.events.slice(ready + 1).map(({ event, process, cause, text }) => [event, process, cause ?? text])).toEqual([
    ["stops", "tandem", "SIGINT"],
  ]);
}, 90_000);
