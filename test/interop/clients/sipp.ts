import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../../../kit/world/free-ports.ts";
import { type Exit, Program } from "../program.ts";

const scenarios = join(import.meta.dirname, "..", "scenarios");

/** Calls at a time, so many that a slow server meets the whole rate; SIPp complains when there may be more than files. */
const callsMax = 15_000;

/** What one run of SIPp is to do. SIPp of Debian speaks UDP and TCP, no TLS. */
export interface SippRun {
  /** Name of a file in test/interop/scenarios, without `.xml`. */
  readonly scenario: string;
  readonly transport: "UDP" | "TCP";
  readonly server: { readonly host: string; readonly port: number };
  /** 0 or absent: a free one. */
  readonly localPort?: number;
  /** User part of the Request-URI (`[service]` in the scenarios). */
  readonly service?: string;
  /** Global variables that the scenario names. */
  readonly variables?: Readonly<Record<string, string>>;
  readonly user?: string;
  readonly password?: string;
  /** How many calls in all; absent: until stopped. */
  readonly calls?: number;
  readonly callsPerSecond?: number;
  /** The length of a call, or of its ringing: what the scenario's `<pause/>` waits. */
  readonly pauseMs?: number;
  /** Scenario for calls that come from outside while the first one runs. */
  readonly incoming?: string;
  /** The digest-uri without its `sip:`. SIPp's own choice is the server's address, whatever the Request-URI is. */
  readonly digestUri?: string;
}

/** The totals of SIPp's statistics file, as the last line has them. */
export interface SippStatistics {
  readonly calls: number;
  readonly successful: number;
  readonly failed: number;
  readonly retransmissions: number;
  /** Calls that were ended by a timeout after the maximum of retransmissions. */
  readonly failedByRetransmissions: number;
  readonly unexpectedMessages: number;
  readonly deadCallMessages: number;
  readonly outOfCallMessages: number;
  readonly elapsedSeconds: number;
}

/** A running SIPp. */
export interface Sipp {
  readonly program: Program;
  readonly port: number;
  /** Its end, when it ends by itself within the bound, with its numbers and its error log. */
  finished(withinMs: number): Promise<SippResult>;
  /** Its numbers so far, at most a second old. */
  statistics(): Promise<SippStatistics>;
  /** Ends it at once and removes its files. */
  stop(): Promise<void>;
}

export interface SippResult {
  readonly exit: Exit;
  readonly statistics: SippStatistics;
  /** The unexpected messages and errors that SIPp wrote down, empty when all was well. */
  readonly errors: string;
}

/** Starts SIPp with a scenario. It listens on 127.0.0.1. */
export async function startSipp(run: SippRun): Promise<Sipp> {
  const directory = await mkdtemp(join(tmpdir(), "tandem-sipp-"));
  const port = run.localPort ?? (await freePorts(1));
  const statisticsFile = join(directory, "statistics.csv");
  const errorFile = join(directory, "errors.log");
  const program = new Program("sipp", sippArguments(run, port, statisticsFile, errorFile), {
    name: `sipp(${run.scenario})`,
    cwd: directory,
  });
  const statistics = async (): Promise<SippStatistics> => parseStatistics(await readFile(statisticsFile, "utf8").catch(() => ""));
  const remove = async (): Promise<void> => await rm(directory, { recursive: true, force: true });
  return {
    program,
    port,
    statistics,
    finished: async (withinMs) => {
      try {
        const exit = await program.exit(withinMs);
        const errors = await readFile(errorFile, "utf8").catch(() => "");
        return { exit, statistics: await statistics(), errors };
      } finally {
        await remove();
      }
    },
    stop: async () => {
      await program.stop();
      await remove();
    },
  };
}

/** Runs SIPp to its end. */
export async function runSipp(run: SippRun, withinMs = 60_000): Promise<SippResult> {
  const sipp = await startSipp(run);
  return await sipp.finished(withinMs);
}

/** The totals (`(C)` columns) of the last line of SIPp's `-trace_stat` file; zeros when it has none yet. */
function parseStatistics(text: string): SippStatistics {
  const lines = text.split("\n").filter((line) => line.includes(";"));
  const names = lines[0]?.split(";") ?? [];
  const values = lines.length > 1 ? (lines.at(-1)?.split(";") ?? []) : [];
  const column = (name: string): string => values[names.indexOf(name)] ?? "0";
  const count = (name: string): number => Number.parseInt(column(name), 10) || 0;
  const [hours = 0, minutes = 0, seconds = 0] = column("ElapsedTime(C)").split(":").map(Number.parseFloat);
  return {
    calls: count("TotalCallCreated"),
    successful: count("SuccessfulCall(C)"),
    failed: count("FailedCall(C)"),
    retransmissions: count("Retransmissions(C)"),
    failedByRetransmissions: count("FailedMaxUDPRetrans(C)"),
    unexpectedMessages: count("FailedUnexpectedMessage(C)"),
    deadCallMessages: count("DeadCallMsgs(C)"),
    outOfCallMessages: count("OutOfCallMsgs(C)"),
    elapsedSeconds: hours * 3600 + minutes * 60 + seconds,
  };
}

function sippArguments(run: SippRun, port: number, statisticsFile: string, errorFile: string): string[] {
  const variables = Object.entries(run.variables ?? {}).flatMap(([name, value]) => ["-set", name, value]);
  const groups: readonly (readonly string[] | undefined)[] = [
    [`${run.server.host}:${run.server.port}`],
    ["-sf", join(scenarios, `${run.scenario}.xml`)],
    run.incoming === undefined ? undefined : ["-oocsf", join(scenarios, `${run.incoming}.xml`)],
    ["-t", run.transport === "UDP" ? "u1" : "t1"],
    ["-i", "127.0.0.1", "-p", String(port), "-mi", "127.0.0.1"],
    run.service === undefined ? undefined : ["-s", run.service],
    variables,
    run.user === undefined ? undefined : ["-au", run.user],
    run.password === undefined ? undefined : ["-ap", run.password],
    run.digestUri === undefined ? undefined : ["-auth_uri", run.digestUri],
    run.calls === undefined ? undefined : ["-m", String(run.calls)],
    run.callsPerSecond === undefined ? undefined : ["-r", String(run.callsPerSecond), "-l", String(callsMax)],
    run.pauseMs === undefined ? undefined : ["-d", String(run.pauseMs)],
    ["-trace_stat", "-stf", statisticsFile, "-fd", "1"],
    ["-trace_err", "-error_file", errorFile],
    // No reactions of its own to what a scenario does not expect, and socket buffers for a burst.
    ["-nostdin", "-nd", "-buff_size", "4194304"],
  ];
  return groups.flatMap((group) => group ?? []);
}
