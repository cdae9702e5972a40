import type { Bench, Work } from "../bench.ts";
import { registerLoad } from "../load.ts";
import type { Goal, Row } from "../report.ts";
import type { SystemName } from "../system.ts";

/** The phones that refresh; each one's contact is its own. */
const phones = 3_000;
const refreshGoal: Goal = { of: "ratio", atMost: 2 };

/** REGISTER of phones that were never seen before, each round with other names. */
export const registerNew: Work = {
  name: "register-new",
  summary: "first REGISTER of other phones each time, open",
  run: async (bench) => {
    const rate = 1_000;
    const seconds = bench.roundSeconds(10, 3);
    const names: SystemName[] = ["tandem", "kamailio", "kamailio+dmq"];
    const systems = await bench.withSystems(
      names,
      {},
      async (started) =>
        await bench.cpuRounds(started, async (system, round) => {
          const plan = { scenario: "register-new", callsPerSecond: rate, calls: rate * seconds, prefix: `r${round}x` } as const;
          return await registerLoad(bench.programs, system, plan);
        }),
    );
    return [{ measure: `REGISTER, new, ${rate}/s`, unit: "us of CPU each", systems }];
  },
};

/** REGISTER of phones that are registered, without credentials. */
export const registerRefresh: Work = {
  name: "register-refresh",
  summary: "REGISTER again, open, 1000/s and 3000/s",
  run: async (bench) => [await refresh(bench, "open", 1_000), await refresh(bench, "open", 3_000, refreshGoal)],
};

/** REGISTER of phones that are registered: 401, then accepted. */
export const registerDigest: Work = {
  name: "register-digest",
  summary: "REGISTER again, digest: two requests each, 500/s and 1000/s",
  run: async (bench) => [await refresh(bench, "digest", 500), await refresh(bench, "digest", 1_000)],
};

async function refresh(bench: Bench, auth: "open" | "digest", rate: number, goal?: Goal): Promise<Row> {
  const users = Array.from({ length: phones }, (_, index) => `phone${index}`);
  const scenario = auth === "open" ? "register-refresh" : "register-digest";
  const seconds = bench.roundSeconds(10, 3);
  const names: SystemName[] = auth === "open" ? ["tandem", "kamailio", "kamailio+dmq"] : ["tandem", "kamailio"];
  const options = auth === "open" ? {} : { auth, users };
  const systems = await bench.withSystems(
    names,
    options,
    async (started) =>
      await bench.cpuRounds(started, async (system, round) => {
        // The warm-up registers every phone.
        const calls = round === 0 ? Math.max(phones, rate * seconds) : rate * seconds;
        return await registerLoad(bench.programs, system, { scenario, callsPerSecond: rate, calls, users });
      }),
  );
  const row = { measure: `REGISTER, again, ${auth}, ${rate}/s`, unit: "us of CPU each", systems };
  return goal === undefined ? row : { ...row, goal };
}
