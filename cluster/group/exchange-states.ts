import type { ClusterMap } from "../map/cluster-map.ts";
import { assignmentsOf, isReplicated } from "../map/serving-cells.ts";
import { cellsText, exchangesText } from "./exchanges-text.ts";

/**
 * What becomes of an exchange when a cell fails:
 * - `paired`: both of its replicas know all, so nothing.
 * - `moving`: the same, and a third one is being told.
 * - `single`: one replica knows all. When it fails, nobody serves until it is back.
 * - `unserved`: neither of its cells serves it.
 * - `unknown`: a cell that is not down has not answered in time, or its replica has not. What the other one says is not enough.
 */
export type ExchangeState = "paired" | "single" | "moving" | "unserved" | "unknown";

export type ExchangeOfGroup = {
  readonly exchange: number;
  readonly primary: string;
  readonly secondary: string;
  readonly joining?: string;
  readonly state: ExchangeState;
  /** Why there is no second replica, or why nothing is known. */
  readonly cause?: string;
};

/** What a cell has answered about its replicas. */
export type ReplicasOfCell = {
  /** Exchanges that answer. */
  readonly serving: ReadonlySet<number>;
  /** Exchanges that have had no second replica for a while, and why. */
  readonly lone: ReadonlyMap<number, string>;
  /** Exchanges that have not answered, though their cell has. */
  readonly silent?: ReadonlySet<number>;
};

/** `answers`: of the cells that answer. `late`: cells that are not down, and have not answered in time. */
export function exchangeStates(
  map: ClusterMap,
  answers: ReadonlyMap<string, ReplicasOfCell>,
  late: ReadonlySet<string> = new Set(),
): ExchangeOfGroup[] {
  return assignmentsOf(map).map((assignment, exchange) => {
    const { joining } = assignment;
    const cells = [...new Set([assignment.primary, assignment.secondary])];
    const serving = cells.filter((cell) => answers.get(cell)?.serving.has(exchange) ?? false);
    const said = serving.map((cell) => answers.get(cell)?.lone.get(exchange)).find((each) => each !== undefined);
    const unheard = cells.filter((cell) => late.has(cell));
    const silent = cells.filter((cell) => answers.get(cell)?.silent?.has(exchange) === true);
    if (said === undefined && unheard.length + silent.length > 0)
      return { exchange, ...assignment, state: "unknown", cause: [...unheardText(unheard), ...silentText(silent)].join("; ") };
    if (serving.length === 0) return { exchange, ...assignment, state: "unserved" };
    const isPair = isReplicated(map) && serving.length === 2 && said === undefined;
    if (isPair) return { exchange, ...assignment, state: joining === undefined ? "paired" : "moving" };
    const absent = cells.find((cell) => !serving.includes(cell));
    const cause = said ?? (absent === undefined ? undefined : `cell ${absent} ${answers.has(absent) ? "does not have it yet" : "is down"}`);
    return { exchange, ...assignment, state: "single", ...(cause === undefined ? {} : { cause }) };
  });
}

function unheardText(cells: readonly string[]): string[] {
  return cells.length === 0 ? [] : [`${cellsText(cells)} ${cells.length === 1 ? "has" : "have"} not answered`];
}

function silentText(cells: readonly string[]): string[] {
  if (cells.length === 0) return [];
  return [
    `${cells.length === 1 ? "its replica" : "both replicas"} in ${cellsText(cells)} ${cells.length === 1 ? "has" : "have"} not answered`,
  ];
}

/** One sentence: whether a failure of a cell would cost anything now. `answering`: cells that answer. */
export function riskText(exchanges: readonly ExchangeOfGroup[], answering: readonly string[]): string {
  const unserved = exchanges.filter(({ state }) => state === "unserved");
  if (unserved.length > 0) {
    const cells = [...new Set(unserved.flatMap(({ primary, secondary }) => [primary, secondary]))].toSorted();
    return `Nobody serves ${exchangesText(unserved.map(({ exchange }) => exchange))}: ${cellsText(cells)} must come back.`;
  }
  const unknown = exchanges.filter(({ state }) => state === "unknown");
  if (unknown.length > 0) {
    const causes = [...new Set(unknown.flatMap(({ cause = "" }) => [cause]))].join("; ");
    return `It is not known who serves ${exchangesText(unknown.map(({ exchange }) => exchange))}: ${causes}.`;
  }
  const single = exchanges.filter(({ state }) => state === "single");
  if (single.length === 0) return "Any one cell may fail now, and nothing is lost.";
  const parts = answering.flatMap((cell) => {
    const alone = single.filter(({ primary, secondary }) => primary === cell || secondary === cell).map(({ exchange }) => exchange);
    return alone.length === 0 ? [] : [`If cell ${cell} failed now, ${exchangesText(alone)} would have nobody until it is back.`];
  });
  return parts.join(" ");
}
