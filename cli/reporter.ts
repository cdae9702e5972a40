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

type Stream = { write(text: string): unknown };

export function humanReporter(out: Stream, now: () => Date): Reporter {
  const time = (): string => now().toTimeString().slice(0, 8);
  return {
    step: (name, detail, ms) => out.write(`  ${name.padEnd(11)}  ${detail} (${(ms / 1000).toFixed(1)} s)\n`),
    event: (process, event, cause) => out.write(`${time()} ${process} ${event}${cause === "" ? "" : `: ${cause}`}\n`),
    line: (process, text) => out.write(`${process}: ${text}\n`),
    text: (text) => out.write(text),
    ready: () => out.write("ready\n"),
  };
}

export function jsonReporter(out: Stream, now: () => Date): Reporter {
  const put = (event: string, fields: object): void =>
    void out.write(`${JSON.stringify({ event, time: now().toISOString(), ...fields })}\n`);
  return {
    step: (step, detail, ms) => put("step", { step, detail, ms: Math.round(ms) }),
    event: (process, event, cause) => put(event, { process, cause }),
    line: (process, text) => put("line", { process, text }),
    text: () => undefined,
    ready: (details) => put("ready", details),
  };
}
