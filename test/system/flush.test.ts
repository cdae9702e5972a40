import { afterEach, expect, it } from "vitest";
import { Random } from "../simulation/random.ts";
import { Registrant } from "./clients/registrant.ts";
import { RiggedSystem } from "./rigged-system.ts";
import { until } from "../../kit/world/until.ts";

/** Fast enough that the disk is written to most of the time. */
const flushMs = 20;
/** What a busy machine adds to it. */
const lateMs = 250;
const contactsEach = 3;
const inFlight = 20;

let system: RiggedSystem | undefined;

afterEach(async () => {
  await system?.stop();
  system = undefined;
});

type Acknowledged = Map<string, number>;

/** So long after its 200 a registration is on a disk, at the moment `then`. */
function isOld(at: number, then: number): boolean {
  return at < then - flushMs - lateMs;
}

/** Registers new users as fast as they are answered, until the WebSocket ends. By user: when its 200 came. */
async function pour(registrant: Registrant, prefix: string, acknowledged: Acknowledged): Promise<void> {
  let count = 0;
  const next = async (): Promise<void> => {
    for (;;) {
      count += 1;
      const user = `${prefix}${count}`;
      const answer = await registrant.register(user, contactsEach);
      if (answer === undefined) return;
      expect(answer.status).toBe(200);
      acknowledged.set(user, performance.now());
    }
  };
  await Promise.all(Array.from({ length: inFlight }, next));
}

it.each([1, 2])(
  "a cell that is killed while it writes reads back clean, without its peer: all that is older than flushMs, and nothing by half (seed %i)",
  async (seed) => {
    const random = new Random(seed);
    system = await RiggedSystem.open({ flushMs });
    const acknowledged: Acknowledged = new Map();
    // Several lives: each start writes on what the one before left.
    for (let life = 1; life <= 3; life += 1) {
      const startedAt = performance.now();
      const liveMs = random.whole(400, 1_000);
      const registrant = await Registrant.connect(system.url("a"), system.domain);
      const poured = pour(registrant, `u${life}x`, acknowledged);
      const before = acknowledged.size;
      const isSomeOld = (): boolean => [...acknowledged].some(([user, at]) => user.startsWith(`u${life}x`) && isOld(at, performance.now()));
      await until(() => performance.now() - startedAt > liveMs && acknowledged.size - before > 100 && isSomeOld());
      // Whoever could tell it the rest dies first.
      if (life === 1) system.signal("cell b", "SIGKILL");
      system.signal("cell a", "SIGKILL");
      const killedAt = performance.now();
      await poured;
      const heard = system.lines.length;
      await system.startAgain("cell a");
      const found = await system.contacts("a");
      const old = [...acknowledged].filter(([, at]) => isOld(at, killedAt)).map(([user]) => user);
      expect(old.length).toBeGreaterThan(0);
      expect(old.filter((user) => !found.has(user))).toEqual([]);
      expect([...found].filter(([, contacts]) => contacts !== contactsEach)).toEqual([]);
      expect(system.lines.slice(heard).filter((line) => line.includes("unreadable") || line.includes("SQLITE"))).toEqual([]);
      for (const user of acknowledged.keys()) if (!found.has(user)) acknowledged.delete(user);
    }
  },
  60_000,
);
