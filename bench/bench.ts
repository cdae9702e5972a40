import { setTimeout as delay } from "node:timers/promises";
import { startKamailio, startKamailioPair } from "./kamailio.ts";
import { startNullProxy } from "./null-proxy/start.ts";
import { cpuSecondsOf } from "./process-usage.ts";
import { Programs } from "./programs.ts";
import type { Measured, Row } from "./report.ts";
import { median } from "./statistics.ts";
import type { System, SystemName, SystemOptions } from "./system.ts";
import { startTandem } from "./tandem.ts";
import { DropWatch } from "./udp-drops.ts";

export type BenchOptions = {
  /** Short and coarse: to see whether everything works. */
  readonly quick: boolean;
  /** Measured rounds; a round to warm up comes before them. */
  readonly rounds: number;
  /** How long a round's load lasts, where a work has rounds; what the work says when absent. */
  readonly seconds?: number | undefined;
  /** Another checkout, installed: it is given the same load in turn, in the place of all other systems. */
  readonly against?: string | undefined;
  readonly log: (line: string) => void;
};

/** One piece of work that systems are given. */
export type Work = {
  readonly name: string;
  readonly summary: string;
  /** Runs only when it is named. */
  readonly isExtra?: boolean;
  run(bench: Bench): Promise<readonly Row[]>;
};

/** What came of one round of load. */
export type LoadResult = {
  /** Calls, registrations: what the CPU time is divided by. */
  readonly units: number;
  readonly failed: number;
  readonly retransmissions: number;
  /** Datagrams that the load's own sockets lost, because their buffers were full; absent where it has none. */
  readonly dropped?: number;
  /** Milliseconds by SIPp's own coarse clock, by what they are of; a callee's ringing is not in them. */
  readonly clocked?: Readonly<Record<string, readonly number[]>>;
  /** Share of one core that the busiest process of the load used, had it worked only while new calls began. */
  readonly driverLoad: number;
};

/** A busier source than this is no steady source of load. */
const driverLoadMax = 0.85;
/** A supervisor that uses more than this share of a core is not idle. */
const watcherLoadMax = 0.01;

/** What every work has at hand: systems to start, rounds to measure. */
export class Bench {
  readonly options: BenchOptions;
  readonly programs = new Programs();

  constructor(options: BenchOptions) {
    this.options = options;
  }

  /** One of two numbers: for the whole bench, and for `--quick`. */
  pick(full: number, quick: number): number {
    return this.options.quick ? quick : full;
  }

  /** How long a round's load lasts: as the command line says, else one of two numbers. */
  roundSeconds(full: number, quick: number): number {
    return this.options.seconds ?? this.pick(full, quick);
  }

  async start(name: SystemName, options: SystemOptions = {}): Promise<System> {
    this.options.log(`  starts ${name}`);
    if (name === "tandem") return await startTandem(this.programs, options);
    if (name === "tandem alone") return await startTandem(this.programs, { ...options, isReplicated: false });
    if (name === "other") return await startTandem(this.programs, { ...options, checkout: this.options.against ?? "" });
    if (name === "null") return await startNullProxy(this.programs);
    return name === "kamailio" ? await startKamailio(this.programs, options) : await startKamailioPair(this.programs, options);
  }

  /** Starts systems one after the other, gives them to `use`, and stops them. */
  async withSystems<T>(names: readonly SystemName[], options: SystemOptions, use: (systems: readonly System[]) => Promise<T>): Promise<T> {
    const systems: System[] = [];
    try {
      for (const name of this.#inTurn(names)) systems.push(await this.start(name, options));
      return await use(systems);
    } finally {
      await Promise.all(systems.map(async (system) => await system.stop()));
    }
  }

  /** Of works that compare systems, the two checkouts; other works have what they ask for. */
  #inTurn(names: readonly SystemName[]): readonly SystemName[] {
    if (this.options.against === undefined || names.length < 2 || !names.includes("tandem")) return names;
    return ["tandem", "other"];
  }

  /**
   * Gives the same load to each system in turn, round after round, and measures CPU microseconds a unit: from before the first message until
   * `settleMs` after the last one, for a system also has to clean up. The first round warms up and is not counted.
   */
  async cpuRounds(
    systems: readonly System[],
    load: (system: System, round: number) => Promise<LoadResult>,
    count = this.options.rounds,
  ): Promise<Partial<Record<SystemName, Measured>>> {
    const settleMs = this.pick(6_000, 1_500);
    const rounds = new Map<SystemName, Sample[]>(systems.map(({ name }) => [name, []]));
    for (let round = 0; round <= count; round += 1) {
      for (const system of systems) {
        const pids = system.processes();
        const [cpu, watchers, start] = [cpuSecondsOf(pids), cpuSecondsOf(system.watchers), performance.now()];
        const gateways = cpuSecondsOf(system.parts?.gateways ?? []);
        const drops = new DropWatch([system.sip.port]);
        const result = await load(system, round);
        await delay(settleMs);
        const droppedInside = drops.end();
        const us = ((cpuSecondsOf(pids) - cpu) * 1e6) / result.units;
        const watched = (cpuSecondsOf(system.watchers) - watchers) / ((performance.now() - start) / 1000);
        const atGateways = ((cpuSecondsOf(system.parts?.gateways ?? []) - gateways) * 1e6) / result.units;
        this.#tell(system.name, round, { us, atGateways }, { ...result, droppedInside }, watched);
        if (round > 0) rounds.get(system.name)?.push({ us, result: { ...result, droppedInside } });
      }
    }
    return Object.fromEntries([...rounds].map(([name, samples]) => [name, measuredOf(samples)]));
  }

  #tell(name: SystemName, round: number, cpu: Cpu, result: Sample["result"], watched: number): void {
    const { units, failed, retransmissions, dropped, droppedInside, driverLoad } = result;
    const { log } = this.options;
    const kind = round === 0 ? "warm-up" : `round ${round}`;
    const counts = `${units} done, ${failed} failed, ${retransmissions} sent again, ${dropped ?? 0} dropped (${droppedInside} inside), load ${percent(driverLoad)}`;
    log(`  ${kind} ${name}: ${cpu.us.toFixed(0)} us${partOf(cpu)}, ${counts}`);
    if (driverLoad > driverLoadMax) log(`  ! the load used ${percent(driverLoad)} of a core: it may be what is measured`);
    if (watched > watcherLoadMax) log(`  ! the supervisor of ${name} used ${percent(watched)} of a core, which is not counted`);
  }
}

/** One round at one system: CPU microseconds a unit, and what came of the load. */
type Sample = { readonly us: number; readonly result: LoadResult & { readonly droppedInside: number } };

/** Microseconds a unit: of all processes, and of the gateways among them. */
type Cpu = { readonly us: number; readonly atGateways: number };

function partOf({ atGateways }: Cpu): string {
  return atGateways === 0 ? "" : ` (${atGateways.toFixed(0)} at the gateway)`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
}

function measuredOf(samples: readonly Sample[]): Measured {
  const sum = (of: (result: Sample["result"]) => number): number => samples.reduce((total, { result }) => total + of(result), 0);
  return {
    value: median(samples.map(({ us }) => us)),
    samples: samples.map(({ us }) => us),
    failed: sum(({ failed }) => failed),
    retransmissions: sum(({ retransmissions }) => retransmissions),
    ...(samples.every(({ result }) => result.dropped === undefined) ? {} : { dropped: sum(({ dropped }) => dropped ?? 0) }),
    droppedInside: sum(({ droppedInside }) => droppedInside),
  };
}
