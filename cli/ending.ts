/** A second signal is meant as "at once"; one that comes together with the first is the same one, passed on by npm or by a terminal. */
const sameSignalMs = 500;
const parentPollMs = 500;

/**
 * Calls `end` when this process is to stop: a signal, the end of the launcher that started it (cli/tandem.mjs), or of the npm that runs
 * it as a script. `cause` says which. Called again for a second signal. Returns a function that stops watching.
 */
export function onEnd(end: (cause: string) => void): () => void {
  let firstAt: number | undefined;
  const ended = (cause: string): void => {
    const now = performance.now();
    if (firstAt !== undefined && now - firstAt < sameSignalMs) return;
    firstAt ??= now;
    end(cause);
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  const handlers = signals.map((signal) => [signal, (): void => ended(signal)] as const);
  for (const [signal, handler] of handlers) process.on(signal, handler);
  const launcherGone = (): void => ended("the launcher is gone");
  process.once("disconnect", launcherGone);
  // npm passes signals on, but it may be killed. Without npm a new parent is nothing to end for: a shell that was left.
  const parent = process.ppid;
  const underNpm = process.env["npm_lifecycle_event"] !== undefined;
  const timer = setInterval(() => {
    if (underNpm && process.ppid !== parent) ended("npm is gone");
  }, parentPollMs);
  return () => {
    for (const [signal, handler] of handlers) process.off(signal, handler);
    process.off("disconnect", launcherGone);
    if (process.connected) process.disconnect();
    clearInterval(timer);
  };
}
