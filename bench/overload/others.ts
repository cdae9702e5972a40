import { join } from "node:path";
import { LineProcess } from "../line-process.ts";
import { type ProbeKind, type ProbeOrder, type ProbeOutcome, probeKinds } from "../phones/probes.ts";
import type { ProbesOrder, ProbesReady } from "../probe-process.ts";
import type { Programs } from "../programs.ts";
import { percentile } from "../statistics.ts";

const program = join(import.meta.dirname, "..", "probe-process.ts");

/** Whoever else calls, registers and writes while somebody floods: every step is timed. */
export class Others {
  readonly #process: LineProcess;

  private constructor(process: LineProcess) {
    this.#process = process;
  }

  static async start(programs: Programs, port: number, domain: string): Promise<Others> {
    const order: ProbesOrder = { transport: "udp", domain, targets: [{ host: "127.0.0.1", port }] };
    const started = await LineProcess.start(programs, program, [JSON.stringify(order)]);
    await started.next<ProbesReady>();
    return new Others(started);
  }

  async run(rate: number, seconds: number): Promise<ProbeOutcome> {
    const order: ProbeOrder = { callsPerSecond: rate, registersPerSecond: rate / 2, messagesPerSecond: rate / 2, seconds };
    this.#process.tell(JSON.stringify(order));
    return await this.#process.next<ProbeOutcome>();
  }
}

/** A line for each kind of message, before the flood and during it. */
export function comparison(before: ProbeOutcome, during: ProbeOutcome): string[] {
  return [
    "others, p50 / p99 ms              before            during    p99 is so many times as long",
    ...probeKinds.map((kind) => {
      const ratio = at(during, kind, 99) / at(before, kind, 99);
      return `  ${kind.padEnd(18)} ${textOf(before, kind)} ${textOf(during, kind)}    ${ratio.toFixed(1)}`;
    }),
  ];
}

/** Why nothing can be compared with what was measured before the flood; undefined: it can. */
export function unusable({ failed, samples }: ProbeOutcome): string | undefined {
  const none = probeKinds.find((kind) => samples[kind].length === 0);
  if (failed === 0 && none === undefined) return undefined;
  const what = failed > 0 ? `${failed} requests failed without any flood` : `no ${none} was measured`;
  return `baseline unusable: ${what}: see that the machine is quiet, or lower --rate, and run it again`;
}

export function lossOf({ calls, samples, failed, cause, retransmissions }: ProbeOutcome): string {
  const registers = samples["REGISTER to 200"].length;
  const first = cause === undefined ? "" : `, the first: ${cause}`;
  return `${calls} calls and ${registers} REGISTERs, ${failed} requests failed${first}, ${retransmissions} said again`;
}

function at({ samples }: ProbeOutcome, kind: ProbeKind, percent: number): number {
  return percentile(samples[kind], percent);
}

function textOf(outcome: ProbeOutcome, kind: ProbeKind): string {
  return `${at(outcome, kind, 50).toFixed(2)} / ${at(outcome, kind, 99).toFixed(2)}`.padStart(17);
}
