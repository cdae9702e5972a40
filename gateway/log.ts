import type { Log } from "../actors/gateway/ports.ts";

/**
 * Lines on stderr, as text or as JSON, one for each event whatever is in it. What goes well is not said: the first map, every view (the cells keep
 * their history), a connection that is made. One that comes back after it was lost is.
 */
export function stderrLog(name: string, json: boolean): Log {
  const lost = new Set<string>();
  let hasMap = false;
  const isRoutine = (event: string, details: Readonly<Record<string, string | number>>): boolean => {
    const subject = `${event.slice(0, event.lastIndexOf("-"))} ${details["exchange"] ?? ""} ${details["cell"] ?? ""}`;
    if (event.endsWith("-down")) lost.add(subject);
    if (event.endsWith("-up")) return !lost.delete(subject);
    if (event !== "map") return event === "view";
    const isFirst = !hasMap;
    hasMap = true;
    return isFirst;
  };
  return (event, details = {}) => {
    if (isRoutine(event, details)) return;
    const time = new Date().toISOString();
    if (json) {
      process.stderr.write(`${JSON.stringify({ time, gateway: name, event, ...details })}\n`);
      return;
    }
    const text = Object.entries(details).map(([key, value]) => ` ${key}=${String(value).replaceAll(/\s*[\r\n]+\s*/g, " ")}`);
    process.stderr.write(`${time} gateway ${name} ${event}${text.join("")}\n`);
  };
}
