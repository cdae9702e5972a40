import { shortNumber } from "./statistics.ts";
import type { SystemName } from "./system.ts";

/** What was measured at one system. */
export type Measured = {
  /** The median of the samples, or the only one. */
  readonly value: number;
  readonly samples: readonly number[];
  readonly failed?: number;
  readonly retransmissions?: number;
  /** Datagrams dropped at the peers' sockets, and at the system's own. */
  readonly dropped?: number;
  readonly droppedInside?: number;
  /** Of a latency, whose value is the median of all samples. */
  readonly p99?: number;
  readonly p999?: number;
};

/** One line of the table. */
export type Row = {
  readonly measure: string;
  readonly unit: string;
  readonly systems: Partial<Record<SystemName, Measured>>;
  /** As issue and documentation have it. */
  readonly goal?: Goal;
  /** At what it was measured, for plots. */
  readonly at?: Readonly<Record<string, number>>;
  /** What the value was made of: billed operations. */
  readonly counts?: Readonly<Record<string, number>>;
};

/** A bound that Tandem is to keep: of its value, of the ratio of its value and Kamailio's, or of that and the null proxy's. */
export type Goal = {
  readonly of: "value" | "ratio" | "null";
  readonly atMost?: number;
  readonly atLeast?: number;
  /** Of a latency, beside the bound of its median. */
  readonly p99AtMost?: number;
};

export const others = ["kamailio", "kamailio+dmq", "null", "other"] as const;

/** Tandem's value over another system's; undefined when one is missing. */
export function ratioOf(row: Row, other: (typeof others)[number]): number | undefined {
  const [own, its] = [row.systems.tandem, row.systems[other]];
  return own === undefined || its === undefined || its.value === 0 ? undefined : own.value / its.value;
}

/** Whether the goal is met; undefined when there is none or nothing to compare with. */
export function isMet(row: Row): boolean | undefined {
  const { goal } = row;
  if (goal === undefined) return undefined;
  const value = goal.of === "value" ? row.systems.tandem?.value : ratioOf(row, goal.of === "null" ? "null" : "kamailio");
  if (value === undefined || Number.isNaN(value)) return undefined;
  if ((row.systems.tandem?.p99 ?? 0) > (goal.p99AtMost ?? Number.POSITIVE_INFINITY)) return false;
  return value <= (goal.atMost ?? Number.POSITIVE_INFINITY) && value >= (goal.atLeast ?? Number.NEGATIVE_INFINITY);
}

/** The rows under headings, columns aligned, numbers to the right. */
export function reportText(rows: readonly Row[]): string {
  const headings = [
    "MEASURE",
    "UNIT",
    "TANDEM",
    "KAMAILIO",
    "RATIO",
    "WITH DMQ",
    "RATIO",
    "NULL",
    "RATIO",
    "OTHER",
    "RATIO",
    "GOAL",
    "FAILED",
    "SENT AGAIN",
    "DROPPED",
    "INSIDE",
  ];
  const cells = rows.map((row) => [
    row.measure,
    row.unit,
    valueText(row.systems.tandem),
    ...others.flatMap((other) => [valueText(row.systems[other]), shortNumber(ratioOf(row, other))]),
    goalText(row),
    countsText(row, ({ failed }) => failed),
    countsText(row, ({ retransmissions }) => retransmissions),
    countsText(row, ({ dropped }) => dropped),
    countsText(row, ({ droppedInside }) => droppedInside),
  ]);
  // What was not measured has no column.
  const used = headings.map((_, column) => cells.some((row) => row[column] !== "" && row[column] !== "-"));
  const usedOf = (row: readonly string[]): string[] => row.filter((_, column) => used[column] === true);
  return alignedText(usedOf(headings), cells.map(usedOf), 2);
}

/** The rows that have a goal, as a table of Markdown: measure, goal, Tandem's and Kamailio's figures, and whether it is met. */
export function goalsMarkdown(rows: readonly Row[]): string {
  const lines = rows
    .filter((row) => row.goal !== undefined && row.systems.tandem !== undefined)
    .map((row) => {
      const met = isMet(row);
      const { tandem, kamailio } = row.systems;
      const ratio = row.goal?.of === "value" ? "" : `${shortNumber(ratioOf(row, row.goal?.of === "null" ? "null" : "kamailio"))}: `;
      const cells = [row.measure, boundText(row), `${ratio}${valueText(tandem)} ${shortUnit(row.unit)}`.trim()];
      return [...cells, kamailio === undefined ? "" : valueText(kamailio), met === undefined ? "" : met ? "met" : "missed"];
    });
  return markdownOf(["measure", "goal", "Tandem", "Kamailio", ""], lines);
}

/** The others, in the same way: measure, figures and ratios. */
export function figuresMarkdown(rows: readonly Row[]): string {
  const lines = rows
    .filter((row) => row.goal === undefined)
    .map((row) => {
      const { tandem, kamailio, "kamailio+dmq": dmq } = row.systems;
      const beside = (name: "kamailio" | "kamailio+dmq", measured: Measured | undefined): string[] =>
        measured === undefined ? ["", ""] : [valueText(measured), shortNumber(ratioOf(row, name))];
      const unit = row.unit.replace(" each", "").replace(", p50 / p99 / p99.9", "");
      return [`${row.measure}, ${unit}`, valueText(tandem), ...beside("kamailio", kamailio), ...beside("kamailio+dmq", dmq)];
    });
  return markdownOf(["measure", "Tandem", "Kamailio", "ratio", "with DMQ", "ratio"], lines);
}

function markdownOf(headings: readonly string[], lines: readonly (readonly string[])[]): string {
  const table = [headings, headings.map(() => "---"), ...lines];
  return table.map((cells) => `| ${cells.join(" | ")} |\n`).join("");
}

/** A unit without what its figure shows by itself. */
function shortUnit(unit: string): string {
  return unit === "all" ? "" : unit.replace(/,.*| of CPU.*/, "");
}

/** A value, or of a latency p50, p99 and p99.9. */
function valueText(measured: Measured | undefined): string {
  const { value, p99, p999 } = measured ?? {};
  return (p99 === undefined ? [value] : [value, p99, p999]).map(shortNumber).join(" / ");
}

/** Lines of cells: the first `left` columns stand to the left, the others to the right. */
export function alignedText(headings: readonly string[], rows: readonly (readonly string[])[], left: number): string {
  const widths = headings.map((heading, column) => Math.max(heading.length, ...rows.map((row) => (row[column] ?? "").length)));
  const line = (row: readonly string[]): string =>
    widths
      .map((width, column) => (column < left ? (row[column] ?? "").padEnd(width) : (row[column] ?? "").padStart(width)))
      .join("  ")
      .trimEnd();
  return [headings, ...rows].map((row) => `${line(row)}\n`).join("");
}

function goalText(row: Row): string {
  const met = isMet(row);
  return `${boundText(row)}${met === undefined ? "" : met ? " met" : " missed"}`;
}

function boundText(row: Row): string {
  const { goal } = row;
  if (goal === undefined) return "";
  const p99 = goal.p99AtMost === undefined ? "" : ` / ${goal.p99AtMost}`;
  const bound = goal.atMost === undefined ? `>= ${goal.atLeast}` : `<= ${goal.atMost}${p99}`;
  const prefix = { value: "", ratio: "ratio ", null: "to null " }[goal.of];
  return `${prefix}${bound}`;
}

/** `0/0/3`: of the systems in the order of the columns, those that were measured. */
function countsText(row: Row, of: (measured: Measured) => number | undefined): string {
  const counts = (["tandem", ...others] as const).flatMap((name) => {
    const measured = row.systems[name];
    const count = measured === undefined ? undefined : of(measured);
    return count === undefined ? [] : [String(count)];
  });
  return counts.join("/");
}
