import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePorts } from "../../kit/world/free-ports.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";
import { authorizationFor } from "../../workers/signature.ts";

const docs = join(import.meta.dirname, "../../docs/monitoring");

/** What promtool says, and its exit code. */
function promtool(words: readonly string[], input = ""): { readonly code: number | null; readonly said: string } {
  const { status, stdout, stderr, error } = spawnSync("promtool", words, { input, encoding: "utf8", timeout: 60_000 });
  return { code: status, said: error === undefined ? `${stdout}${stderr}` : error.message };
}

describe("Prometheus", () => {
  let system: Tandem;
  let health: number;

  beforeAll(async () => {
    health = await freePorts(1);
    system = await startTandem({ options: ["--health", `127.0.0.1:${health}`] });
  });

  afterAll(async () => {
    await system?.stop();
  });

  it("finds nothing wrong with what a gateway and a cell say", async () => {
    const gateway = await (await fetch(`http://127.0.0.1:${health}/metrics`)).text();
    const secret = readFileSync(join(system.state, "secret"), "utf8").trim();
    const authorization = authorizationFor(secret, { purpose: "api", who: "cli", to: "a", method: "GET", path: "/metrics" }, Date.now());
    const cell = await (await fetch(`${system.run.cells[0]?.url ?? ""}/metrics`, { headers: { authorization } })).text();
    for (const text of [gateway, cell]) {
      expect(text).toContain("# TYPE tandem_");
      expect(promtool(["check", "metrics"], text)).toEqual({ code: 0, said: "" });
    }
    expect(promtool(["check", "metrics"], "tandem_wrong_total gauge\n").code).not.toBe(0);
  });

  it("takes the rules, and they say what they are to say", () => {
    expect(promtool(["check", "rules", join(docs, "alerts.yml")])).toMatchObject({ code: 0 });
    expect(promtool(["test", "rules", join(docs, "alerts.test.yml")])).toMatchObject({ code: 0 });
  });
});
