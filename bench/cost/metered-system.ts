import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { transformSync } from "esbuild";
import { ApiClient } from "../../cli/api-client.ts";
import type { Bundle } from "../../cli/bundle.ts";
import { clusterSettingsOf } from "../../cli/cluster.ts";
import { layoutOf } from "../../cli/layout.ts";
import { LocalSystem } from "../../cli/local-system.ts";
import { jsonReporter } from "../../cli/reporter.ts";
import { type Run, StateDirectory } from "../../cli/state-directory.ts";
import { freePorts } from "../../kit/world/free-ports.ts";
import { loopback as host, settingsAt } from "../../kit/world/settings-at.ts";
import type { Programs } from "../programs.ts";
import type { Endpoint } from "../system.ts";
import type { MeterReport } from "./meter.ts";

const main = `import app, { ExchangeObject as Exchange, LineObject as Line, CoreGroupObject as CoreGroup, LedgerObject as Ledger } from "./index.js";
import { metered, meteredWorker, meterGlobals } from "./meter.js";
meterGlobals(globalThis);
export const ExchangeObject = metered("exchange", Exchange);
export const LineObject = metered("line", Line);
export const CoreGroupObject = metered("core group", CoreGroup);
export const LedgerObject = metered("ledger", Ledger);
export default meteredWorker(app);
`;

/** A system whose cells count what Cloudflare would bill, and refuse what it would let wait. */
export class MeteredSystem {
  readonly name = "tandem";
  readonly domain = "bench.test";
  readonly sip: Endpoint;
  readonly webSockets: readonly string[];
  readonly #urls: readonly string[];
  readonly #system: LocalSystem;
  readonly #api: ApiClient;

  private constructor(system: LocalSystem, sip: Endpoint, secret: string) {
    this.#system = system;
    this.sip = sip;
    this.#urls = system.run.cells.map(({ url }) => url);
    this.#api = new ApiClient(this.#urls, secret);
    this.webSockets = this.#urls.map((url) => url.replace(/^http/, "ws"));
  }

  static async start(programs: Pick<Programs, "directory">, gateways = 1, cells = 2): Promise<MeteredSystem> {
    const port = await freePorts(2 * gateways + cells);
    const state = new StateDirectory(programs.directory());
    const settings = settingsAt(port, { state: state.path, domain: "bench.test", gateways, cells });
    const cluster = clusterSettingsOf(settings, undefined);
    const reporter = jsonReporter({ out: () => undefined }, () => new Date());
    const layout = layoutOf(settings, cluster.cells);
    const system = new LocalSystem({ settings, cluster, layout, state, reporter, wrap: withMeter, mayEvict: true });
    await system.start(new AbortController().signal);
    return new MeteredSystem(system, { host, port }, state.secret());
  }

  /** What each cell has counted since it started. */
  async read(): Promise<MeterReport[]> {
    return await Promise.all(this.#urls.map(meterReportOf));
  }

  /** Its processes, as `run.json` has them. */
  get cells(): Run["cells"] {
    return this.#system.run.cells;
  }

  /** Asks every replica of every exchange something. */
  async touch(): Promise<void> {
    await this.#api.get("/api/status");
  }

  async stop(): Promise<void> {
    await this.#system.stop();
  }
}

/** What the cell at this URL has counted since it started. */
export async function meterReportOf(url: string): Promise<MeterReport> {
  const response = await fetch(`${url}/meter`);
  return (await response.json()) as MeterReport;
}

function withMeter(bundle: Bundle): Bundle {
  const source = readFileSync(join(import.meta.dirname, "meter.ts"), "utf8");
  writeFileSync(join(bundle.directory, "meter.js"), transformSync(source, { loader: "ts" }).code);
  writeFileSync(join(bundle.directory, "metered.js"), main);
  return { ...bundle, modules: ["metered.js", "meter.js", ...bundle.modules] };
}
