import { setTimeout as delay } from "node:timers/promises";
import type { Bench, Work } from "../bench.ts";
import { callLoad, registerLoad } from "../load.ts";
import { memoryOf } from "../process-usage.ts";
import type { Row } from "../report.ts";
import { SipClient } from "../sip-client.ts";
import type { System, SystemName } from "../system.ts";
import { calleesOf, withCallees } from "./calls.ts";

const mebibyte = 1024 * 1024;
/** Slow enough for a system that has just started, on a machine that also has other things to do. */
const registerRate = 1_000;

/** Registers phones `<prefix>1`, `<prefix>2`, ... Throws when some were not accepted. */
async function registerPhones(bench: Bench, system: System, prefix: string, count: number): Promise<void> {
  const plan = { scenario: "register-new", callsPerSecond: registerRate, calls: count, prefix } as const;
  const { failed, retransmissions, seconds } = await registerLoad(bench.programs, system, plan);
  bench.options.log(`  ${system.name}: ${count} registered in ${seconds.toFixed(0)} s, ${failed} failed, ${retransmissions} sent again`);
  if (failed > 0) throw new Error(`${failed} of ${count} phones could not register at ${system.name}`);
}

/** Memory that many registrations take, all processes together: those of Tandem's cells also hold what V8 has not collected yet. */
export const registrationMemory: Work = {
  name: "memory-registrations",
  summary: "memory with 100 000 registrations",
  run: async (bench) => {
    const count = bench.pick(100_000, 5_000);
    const names: SystemName[] = ["tandem", "kamailio", "kamailio+dmq"];
    const all: Row["systems"] = {};
    const grown: Row["systems"] = {};
    for (const name of names) {
      await bench.withSystems([name], {}, async ([system]) => {
        if (system === undefined) return;
        const before = memoryOf(system.processes());
        await registerPhones(bench, system, "m", count);
        await delay(bench.pick(10_000, 2_000));
        const after = memoryOf(system.processes());
        Object.assign(all, { [name]: { value: after / mebibyte, samples: [after / mebibyte] } });
        Object.assign(grown, { [name]: { value: (after - before) / count / 1024, samples: [(after - before) / count / 1024] } });
      });
    }
    return [
      { measure: `memory, ${count} registrations`, unit: "MiB", systems: all, goal: { of: "value", atMost: 400 } },
      { measure: "memory more than at the start, a registration", unit: "KiB", systems: grown },
    ];
  },
};

/** Memory that calls in progress take. */
export const dialogMemory: Work = {
  name: "memory-dialogs",
  summary: "memory with 10 000 dialogs",
  run: async (bench) => {
    const count = bench.pick(10_000, 1_000);
    const callsPerSecond = 250;
    const seconds = count / callsPerSecond;
    const samplingMs = 5_000;
    const names: SystemName[] = ["tandem", "kamailio", "kamailio+dmq"];
    const all: Row["systems"] = {};
    const grown = await withCallees(bench, names, "UDP", async (systems, callees) => {
      const each: Row["systems"] = {};
      for (const system of systems) {
        const before = memoryOf(system.processes());
        // Every call stands until the last one has been up for a while.
        const talkMs = seconds * 1000 + 2 * samplingMs;
        const load = callLoad(bench.programs, system, calleesOf(callees, system), { transport: "UDP", callsPerSecond, seconds, talkMs });
        await delay(seconds * 1000 + samplingMs);
        const after = memoryOf(system.processes());
        const { failed, retransmissions } = await load;
        bench.options.log(`  ${system.name}: ${count} calls, ${failed} failed, ${retransmissions} sent again`);
        Object.assign(all, { [system.name]: { value: after / mebibyte, samples: [], failed, retransmissions } });
        Object.assign(each, { [system.name]: { value: (after - before) / count / 1024, samples: [] } });
      }
      return each;
    });
    return [
      { measure: `memory, ${count} dialogs`, unit: "MiB", systems: all },
      { measure: "memory more than at the start, a dialog", unit: "KiB", systems: grown },
    ];
  },
};

/**
 * How long a system that was stopped takes until it answers from what it had: from the start of its processes until one phone of each of
 * some slices finds its binding. Kamailio, with registrations in memory, has none left: there is nothing to compare with.
 */
export const readyAgain: Work = {
  name: "ready-again",
  summary: "ready again with 100 000 registrations on disk",
  run: async (bench) => {
    const count = bench.pick(100_000, 5_000);
    const state = bench.programs.directory();
    await bench.withSystems(["tandem"], { state }, async ([system]) => {
      if (system === undefined) return;
      await registerPhones(bench, system, "m", count);
      await delay(2_000);
    });
    const samples: number[] = [];
    for (let round = 0; round < bench.options.rounds; round += 1) {
      const start = performance.now();
      await bench.withSystems(["tandem"], { state }, async ([system]) => {
        if (system === undefined) return;
        await findAll(system, count);
        samples.push((performance.now() - start) / 1000);
      });
    }
    const value = samples.toSorted((a, b) => a - b)[samples.length >> 1] ?? Number.NaN;
    bench.options.log(`  ready after ${samples.map((sample) => sample.toFixed(1)).join(", ")} s`);
    const goal = { of: "value", atMost: 10 } as const;
    return [{ measure: `start with ${count} registrations`, unit: "s", systems: { tandem: { value, samples } }, goal }];
  },
};

/** So many phones that every slice has one of them. */
async function findAll(system: System, count: number): Promise<void> {
  const client = await SipClient.open(system.sip);
  try {
    const asked = Array.from({ length: 16 }, async (_, index) => {
      const user = `m${1 + Math.floor((index * count) / 16)}`;
      const answer = await client.register(system.domain, user);
      if (!/^Contact:/im.test(answer)) throw new Error(`${user} is not registered any more: ${answer.split("\r\n", 1)[0]}`);
    });
    await Promise.all(asked);
  } finally {
    await client.close();
  }
}
