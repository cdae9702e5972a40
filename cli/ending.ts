import { hasTerminal, ignoresHangup, startedBy } from "./hangup.ts";
import { startOf, parentOf, nameOf } from "./process-table.ts";

/** A second signal is meant as "at once"; one that comes together with the first is the same one, passed on by npm or by a terminal. */
const sameSignalMs = 500;
const npmPollMs = 200;

/**
 * Calls `end` when this process is to stop: a signal, the end of the launcher that started it (cli/tandem.mjs), or of the npm that runs
 * it as a script. `cause` says which. Called again for a second signal. Returns a function that stops watching.
 *
 * Under nohup a SIGHUP ends nothing, and neither does the end of an npm that it has taken along: npm does not ignore it.
 *
 * `reload` is called instead for a SIGHUP to a process without a terminal, as a service has none: nobody can have closed it.
 */
export function onEnd(end: (cause: string) => void, reload?: () => void): () => void {
  let firstAt: number | undefined;
  const ended = (cause: string): void => {
    const now = performance.now();
    if (firstAt !== undefined && now - firstAt < sameSignalMs) return;
    firstAt ??= now;
    end(cause);
  };
  const livesOn = ignoresHangup(startedBy());
  const isService = reload !== undefined && !hasTerminal();
  const parent = process.ppid;
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  let isHungUp = false;
  const take = (signal: (typeof signals)[number]): void => {
    if (isService && signal === "SIGHUP") reload();
    else if (livesOn && signal === "SIGHUP") isHungUp = true;
    else ended(signal);
  };
  const handlers = signals.map((signal) => [signal, (): void => take(signal)] as const);
  for (const [signal, handler] of handlers) process.on(signal, handler);
  const launcherGone = (): void => ended("the launcher is gone");
  process.once("disconnect", launcherGone);
  const npm = findNpm();
  const npmStart = typeof npm === "number" ? startOf(npm) : undefined;
  const timer = setInterval(() => {
    if (npm === undefined || (npm !== "gone" && startOf(npm) === npmStart)) return;
    clearInterval(timer);
    // The SIGHUP of a terminal that is closed takes npm along, and the shell between us. Who stops npm otherwise has that end as well, or us.
    if (isHungUp || (livesOn && process.ppid === parent)) return;
    if (livesOn && npm === parent) return;
    ended("npm is gone");
  }, npmPollMs);
  return () => {
    for (const [signal, handler] of handlers) process.off(signal, handler);
    process.off("disconnect", launcherGone);
    if (process.connected) process.disconnect();
    clearInterval(timer);
  };
}

/**
 * The npm whose script this is. It passes SIGTERM to the shell between us, which dies without passing it on, and it may be killed:
 * who stops npm means the whole system. Without npm a parent that goes is nothing to end for: it may be a shell that was left.
 * "gone": it was stopped while this process was being started, and init has become the parent of what was below it.
 */
function findNpm(): number | "gone" | undefined {
  if (process.env["npm_lifecycle_event"] === undefined) return undefined;
  const ancestors: number[] = [process.ppid];
  const grandparent = parentOf(process.ppid);
  if (grandparent !== undefined && grandparent > 0) ancestors.push(grandparent);
  return ancestors.find((pid) => nameOf(pid)?.startsWith("npm")) ?? (ancestors.includes(1) ? "gone" : undefined);
}
