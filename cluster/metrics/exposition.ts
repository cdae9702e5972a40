/** One value of a metric. Labels are few and bounded: what strangers write is never one. */
export type Sample = { readonly labels?: Readonly<Record<string, string>>; readonly value: number };

/** A metric as Prometheus knows it: its name with the base unit at the end, and `_total` where it only grows. */
export type Metric = {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge";
  readonly samples: readonly Sample[];
};

/** Of the text format 0.0.4, which every release of Prometheus reads. */
export const expositionType = "text/plain; version=0.0.4; charset=utf-8";

/** Metrics as the text format of Prometheus has them, in the order in which they stand. Those without a value are left out. */
export function expositionOf(metrics: readonly Metric[]): string {
  let text = "";
  for (const { name, help, type, samples } of metrics) {
    if (samples.length === 0) continue;
    text += `# HELP ${name} ${help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}\n# TYPE ${name} ${type}\n`;
    for (const { labels, value } of samples) text += `${name}${labelsText(labels)} ${valueText(value)}\n`;
  }
  return text;
}

/** A metric with one value. */
export function single(name: string, type: Metric["type"], help: string, value: number, labels?: Sample["labels"]): Metric {
  return { name, help, type, samples: [labels === undefined ? { value } : { labels, value }] };
}

function labelsText(labels: Sample["labels"] = {}): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

function valueText(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
}
