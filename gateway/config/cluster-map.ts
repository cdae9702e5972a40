import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { exchangesMax } from "../limits.ts";

/** Checks the shape of a map that came over the network, as far as the gateway uses it. */
export function isClusterMap(value: unknown): value is ClusterMap {
  if (!isObject(value)) return false;
  const { version, cells, exchangeCount, domains, aliases, heartbeat } = value;
  return (
    isWhole(version, 0) &&
    isWhole(exchangeCount, 1) &&
    exchangeCount <= exchangesMax &&
    isListOf(cells, (cell) => isText(cell["id"]) && isText(cell["url"]) && URL.canParse(cell["url"])) &&
    cells.length > 0 &&
    isListOf(domains, (domain) => isText(domain["name"])) &&
    Array.isArray(aliases) &&
    aliases.every(isText) &&
    isObject(heartbeat) &&
    isWhole(heartbeat["periodMs"], 10) &&
    isWhole(heartbeat["missed"], 1)
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isListOf(value: unknown, check: (item: Record<string, unknown>) => boolean): value is Record<string, unknown>[] {
  return Array.isArray(value) && value.every((item) => isObject(item) && check(item));
}

function isWhole(value: unknown, min: number): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= min;
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}
