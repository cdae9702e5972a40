import { printable } from "./errors.ts";

/** What `tandem up` says while it runs: lines for people, or one JSON object per line. */
export type Reporter = {
  /** One step of the start is done. */
  step(name: string, detail: string, ms: number): void;
  /** Something happened to a process: what, and why. */
  event(process: string, event: string, cause: string): void;
  /** A line that a process wrote; `isWarning`: it wrote it for people, as a warning or an error. */
  line(process: string, text: string, isWarning?: boolean): void;
  /** Text for people only: what to try. */
  text(text: string): void;
  ready(details: object): void;
  /** The start did not come to "ready". */
  failed(): void;
};

type Output = { out(text: string): void };

/** For a command that runs until it is told to stop. */
export function reporterOf(isJson: boolean, io: Output): Reporter {
  return isJson ? jsonReporter(io, () => new Date()) : humanReporter(io, () => new Date());
}

/**
 * Lines for people, each that comes after the start with its time (UTC, as the gateways' own). What processes write while they are started would bury
 * the steps. Their warnings are shown when all is ready, the rest only when the start fails.
 */
export function humanReporter(io: Output, now: () => Date): Reporter {
  const time = (): string => now().toISOString();
  let held: { readonly text: string; readonly isWarning: boolean }[] | undefined = [];
  return {
    step: (name, detail, ms) => io.out(`  ${name.padEnd(11)}  ${detail} (${(ms / 1000).toFixed(1)} s)\n`),
    event: (process, event, cause) => io.out(`${time()} ${process} ${event}${cause === "" ? "" : `: ${printable(cause)}`}\n`),
    line: (process, said, isWarning = false) => {
      const text = printable(said);
      // Lines of a gateway have their time and name it already; those of a cell may name it.
      const named = text.includes(process) ? text : `${process}: ${text}`;
      const line = /^\d{4}-\d\d-\d\dT/.test(text) ? `${named}\n` : `${time()} ${named}\n`;
      if (held === undefined) io.out(line);
      else held.push({ text: line, isWarning });
    },
    text: (text) => io.out(text),
    ready: () => {
      io.out("ready\n");
      for (const { text, isWarning } of held ?? []) if (isWarning) io.out(text);
      held = undefined;
    },
    failed: () => {
      for (const { text } of held ?? []) io.out(text);
      held = undefined;
    },
  };
}

export function jsonReporter(io: Output, now: () => Date): Reporter {
  const put = (event: string, fields: object): void => io.out(`${JSON.stringify({ event, time: now().toISOString(), ...fields })}\n`);
  return {
    step: (step, detail, ms) => put("step", { step, detail, ms: Math.round(ms) }),
    event: (process, event, cause) => put(event, { process, cause }),
    line: (process, text) => put("line", { process, text }),
    text: () => undefined,
    ready: (details) => put("ready", details),
    failed: () => undefined,
  };
}
