import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { sourcesOf, textOf } from "./sources.ts";

const docs = join(import.meta.dirname, "../../docs");
/** Metrics of gateways are named by their counters: gateway/metrics.ts. */
const made = [...sourcesOf("workers"), ...sourcesOf("gateway")].map(textOf).join("\n");

/** What Prometheus is told to look at in a document. */
function metricsIn(text: string): string[] {
  return [...new Set(text.match(/\btandem_[a-z_]+\b/g))].toSorted();
}

function isMade(metric: string): boolean {
  const ofGateway = /^tandem_gateway_(.+?)(?:_total)?$/.exec(metric)?.[1];
  return made.includes(`"${metric}"`) || (ofGateway !== undefined && made.includes(`"${ofGateway}"`));
}

describe("documents about metrics", () => {
  it.each(["monitoring/alerts.yml", "monitoring/dashboard.json", "operations.md"])("%s names those that are there", (file) => {
    const metrics = metricsIn(readFileSync(join(docs, file), "utf8"));
    expect(metrics.length).toBeGreaterThan(8);
    expect(metrics.filter((metric) => !isMade(metric))).toEqual([]);
  });

  it("know one that is not there", () => {
    expect(isMade("tandem_gateway_never_made_total")).toBe(false);
    expect(isMade("tandem_members_up")).toBe(false);
  });
});
