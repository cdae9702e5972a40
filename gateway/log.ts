/** One event as one line. Only changes of state are logged, never messages: a flood of SIP is no flood of lines. */
export type Log = (event: string, details?: Readonly<Record<string, string | number>>) => void;

/** Lines on stderr, as text or as JSON. */
export function stderrLog(name: string, json: boolean): Log {
  return (event, details = {}) => {
    const time = new Date().toISOString();
    if (json) {
      process.stderr.write(`${JSON.stringify({ time, gateway: name, event, ...details })}\n`);
      return;
    }
    const text = Object.entries(details).map(([key, value]) => ` ${key}=${String(value)}`);
    process.stderr.write(`${time} gateway ${name} ${event}${text.join("")}\n`);
  };
}
