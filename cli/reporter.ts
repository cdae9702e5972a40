/** What `tandem up` says while it runs: lines for people, or one JSON object per line. */
export type Reporter = {
  /** One step of the start is done. */
  step(name: string, detail: string, ms: number): void;
  /** Something happened to a process: what, and why. */
  event(process: string, event: string, cause: string): void;
  /** A line that a process wrote. */
  line(process: string, text: string): void;
  /** Text for people only: what to try. */
  text(text: string): void;
  ready(details: object): void;
};

type Output = { out(text: string): void };

export function humanReporter(io: Output, now: () => Date): Reporter {
  const time = (): string => now().toTimeString().slice(0, 8);
  return {
    step: (name, detail, ms) => io.out(`  ${name.padEnd(11)}  ${detail} (${(ms / 1000).toFixed(1)} s)\n`),
    event: (process, event, cause) => io.out(`${time()} ${process} ${event}${cause === "" ? "" : `: ${cause}`}\n`),
    line: (process, text) => io.out(`${process}: ${text}\n`),
    text: (text) => io.out(text),
    ready: () => io.out("ready\n"),
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
  };
}
