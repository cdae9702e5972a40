import { setTimeout as delay } from "node:timers/promises";
import { Failure, reasonOf } from "./errors.ts";
import { isText, type Table } from "./json.ts";
import type { KnownProgram, LocalPrograms } from "./local-programs.ts";
import { versionText } from "./program.ts";
import type { Reporter } from "./reporter.ts";
import type { ProcessSpec, Supervisor } from "./supervisor.ts";

export type RollingOptions = {
  readonly programs: LocalPrograms;
  readonly supervisor: Supervisor;
  readonly reporter: Reporter;
  /** Processes of this machine in the order in which they are upgraded, cells first: `cell a`, `gateway g1`. */
  readonly names: () => readonly string[];
  /** How a process is started by the program that it is to run. */
  readonly specOf: (name: string) => ProcessSpec;
  /** Resolves to a question that is true when the process has everything back that it has now. */
  readonly catchesUp: (name: string) => Promise<() => Promise<boolean>>;
  /** Cells have what others have, so one may be taken out of service. */
  readonly isReplicated: () => boolean;
  /** Other programs run. */
  readonly changed: () => void;
};

/** 100 000 records come within a few seconds, and a gateway finds the cells within milliseconds. */
const caughtUpMsMax = 60_000;
const pollMs = 50;

/** What a command is told of a process. */
export type ProcessVersion = { readonly name: string; readonly version: string; readonly isLatest: boolean };

/** What a command is told before it begins. `folder`: where the program is; absent: it is that of `tandem up`. */
export type UpgradePlan = {
  readonly version: string;
  readonly folder?: string;
  readonly isReplicated: boolean;
  readonly processes: readonly ProcessVersion[];
};

/** Has the processes of this machine run another program, one at a time: whoever asks says which is the next. */
export class Rolling {
  readonly #options: RollingOptions;
  /** Resolves when what was asked for before is done, or has failed. */
  #before: Promise<unknown> = Promise.resolve();

  constructor(options: RollingOptions) {
    this.#options = options;
  }

  /** `archive`: what all are to run; without it what they ran before. Nothing is started otherwise yet. */
  prepare({ archive }: Table): Promise<UpgradePlan> {
    return this.#alone(async () => {
      const { programs, isReplicated } = this.#options;
      if (isText(archive)) await programs.prepare(archive);
      else programs.back();
      const { version, folder } = programs.latest;
      return {
        version: versionText(version),
        ...(folder === undefined ? {} : { folder }),
        isReplicated: isReplicated(),
        processes: this.#processes(),
      };
    });
  }

  /** Ends a process, starts it by the program that all are to run, and resolves when it has caught up. Else it runs the one of before again. */
  roll({ process: named }: Table): Promise<ProcessVersion> {
    return this.#alone(async () => {
      const { programs, reporter, changed } = this.#options;
      const name = String(named);
      if (!this.#options.names().includes(name)) throw new Failure(`${name} does not run on this machine`);
      const [before, next] = [programs.of(name), programs.latest];
      try {
        await this.#runAs(name, next);
      } catch (error) {
        const why = `${name} does not come back with ${versionText(next.version)}: ${reasonOf(error)}`;
        reporter.event(name, "not upgraded", reasonOf(error));
        await this.#runAgain(name, before).catch((again: unknown) => {
          throw new Failure(`${why}; nor with ${versionText(before.version)}: ${reasonOf(again)}`);
        });
        throw new Failure(`${why}; it runs ${versionText(before.version)} again`);
      } finally {
        changed();
      }
      reporter.event(name, "upgraded", versionText(next.version));
      return this.#processOf(name);
    });
  }

  async #runAs(name: string, known: KnownProgram): Promise<void> {
    const { programs, supervisor, specOf, catchesUp } = this.#options;
    const hasCaughtUp = await catchesUp(name);
    programs.set(name, known);
    // A gateway tells its phones that it goes. Of a cell nothing is written at SIGTERM that is not at SIGKILL, and it would be half there for a second.
    await supervisor.replace(specOf(name), isCell(name));
    await untilCaughtUp(hasCaughtUp);
  }

  /** What has run before is started again until it runs, as after a death. */
  async #runAgain(name: string, before: KnownProgram): Promise<void> {
    try {
      await this.#runAs(name, before);
    } catch {
      this.#options.supervisor.keepTrying(name);
      await untilCaughtUp(await this.#options.catchesUp(name));
    }
  }

  #processes(): ProcessVersion[] {
    return this.#options.names().map((name) => this.#processOf(name));
  }

  #processOf(name: string): ProcessVersion {
    const known = this.#options.programs.of(name);
    return {
      name,
      version: versionText(known.version),
      isLatest: known === this.#options.programs.latest || known.folder === this.#options.programs.latest.folder,
    };
  }

  #alone<Result>(act: () => Promise<Result>): Promise<Result> {
    const result = this.#before.then(act);
    this.#before = result.catch(() => undefined);
    return result;
  }
}

async function untilCaughtUp(hasCaughtUp: () => Promise<boolean>): Promise<void> {
  for (const until = performance.now() + caughtUpMsMax; !(await hasCaughtUp()); await delay(pollMs)) {
    if (performance.now() > until) throw new Failure(`it has not caught up within ${caughtUpMsMax / 1000} s`);
  }
}

/** The cell or gateway that a process is. */
export function idIn(name: string): string {
  return name.slice(name.indexOf(" ") + 1);
}

export function isCell(name: string): boolean {
  return name.startsWith("cell ");
}
