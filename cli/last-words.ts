import { isTable, type Table } from "./json.ts";

/** A column of a table: what is longer is in `--json`. */
const charactersMax = 60;

/**
 * What a process said last, for people: a text without its time and its own name, and of a JSON line of a log what it says. Cut to its column.
 */
export function lastWordsText(said: string): string {
  const table = tableIn(said);
  const text = table === undefined ? said.replace(/^\d{4}-\d\d-\d\dT\S+ /, "").replace(/^(?:gateway|cell) \S+?:? /, "") : textOf(table);
  return text.length <= charactersMax ? text : `${text.slice(0, charactersMax - 1)}…`;
}

/** The event first, then all else but the time and who has said it. */
function textOf({ time: _time, gateway: _gateway, event, ...details }: Table): string {
  const texts = Object.entries(details).map(([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  return [...(event === undefined ? [] : [typeof event === "string" ? event : JSON.stringify(event)]), ...texts].join(" ");
}

/** A line that was cut by whoever has kept it is no JSON any more: it is shown from its event on. */
function tableIn(said: string): Table | undefined {
  if (!said.startsWith("{")) return undefined;
  try {
    const read: unknown = JSON.parse(said);
    return isTable(read) ? read : undefined;
  } catch {
    const pairs = Array.from(
      said.matchAll(/"(\w+)":("(?:[^"\\]|\\.)*"|[^,"}]+)/g),
      ([, key = "", value = ""]) => [key, unquoted(value)] as const,
    );
    return pairs.length === 0 ? undefined : Object.fromEntries(pairs);
  }
}

function unquoted(value: string): string {
  return value.startsWith('"') ? value.slice(1, -1) : value;
}
