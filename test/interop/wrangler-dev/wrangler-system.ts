import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse, stringify } from "smol-toml";
import { ApiClient } from "../../../cli/api-client.ts";
import { makeBundle } from "../../../cli/bundle.ts";
import { isListOf, isTable } from "../../../cli/json.ts";
import { program, root } from "../../../cli/program.ts";
import { isStatus } from "../../../cli/status.ts";
import { freePorts } from "../../../kit/world/free-ports.ts";
import { tandem } from "../../../kit/world/tandem.ts";
import { comesTrue } from "../../../kit/world/until.ts";
import type { Status } from "../../../schemas/api-answers.ts";
import { Program } from "../program.ts";
import { startMsMax, WranglerCell } from "./wrangler-cell.ts";

/** Nothing here takes longer, on a machine that is ten times slower. */
const patienceMs = 120_000;
const pollMs = 100;
const secret = "the secret of a system of wrangler dev";

const counts = { exchangeCount: 4, lineCount: 4 };

/** Users of one domain know nothing of the other. */
export const domains = { udp: "udp.test", ws: "ws.test" } as const;

/** Two cells of `wrangler dev` and a gateway on this machine. */
export class WranglerSystem {
  readonly cells: readonly [WranglerCell, WranglerCell];
  readonly udpPort: number;
  readonly #directory: string;
  #gateway: Program | undefined;

  private constructor(directory: string, cells: readonly [WranglerCell, WranglerCell], udpPort: number) {
    this.#directory = directory;
    this.cells = cells;
    this.udpPort = udpPort;
  }

  /** Of each cell. */
  get objects(): readonly string[] {
    return [...numbered("exchange", counts.exchangeCount), ...numbered("line", counts.lineCount), "core-group", "ledger"];
  }

  /** Starts it, and waits until all is in service. */
  static async open(code: string): Promise<WranglerSystem> {
    const directory = mkdtempSync(join(tmpdir(), "tandem-wrangler-"));
    const firstPort = await freePorts(5);
    const { directory: bundle, modules } = await makeBundle(join(directory, "bundle"));
    const settings = settingsOf(firstPort);
    const cellOf = (id: string, index: number): WranglerCell =>
      new WranglerCell({
        id,
        directory: join(directory, id),
        port: firstPort + index,
        inspectorPort: firstPort + 2 + index,
        secret,
        settings,
        script: join(bundle, modules[0] ?? ""),
      });
    const system = new WranglerSystem(directory, [cellOf("a", 0), cellOf("b", 1)], firstPort + 4);
    try {
      await Promise.all(system.cells.map((cell) => cell.start(code)));
      await system.#startGateway();
      await system.untilWhole();
    } catch (error) {
      await system.stop();
      throw error;
    }
    return system;
  }

  async stop(): Promise<void> {
    await this.#gateway?.stop();
    await Promise.all(this.cells.map((cell) => cell.stop()));
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 5 });
  }

  /** Does what an operator does with this command, who asks a cell. Throws with what it says when it fails. */
  async command(asked: WranglerCell, ...words: readonly string[]): Promise<string> {
    const { code, out, err } = await tandem([...words, "--url", asked.url], { TANDEM_SECRET: secret });
    if (code !== 0) throw new Error(`tandem ${words.join(" ")}: ${err.trim()} ${out}`);
    return out;
  }

  /** As a cell sees it; undefined: it does not answer. */
  async status(asked: WranglerCell): Promise<Status | undefined> {
    const status = await new ApiClient([asked.url], secret).get("/api/status").catch(() => undefined);
    return isStatus(status) ? status : undefined;
  }

  /** Which code a cell runs, as the other one sees it, when that is not this one. */
  async untilOtherCode(cell: WranglerCell, before: string | undefined): Promise<string> {
    const [asked] = this.cells.filter((each) => each !== cell);
    let code: string | undefined;
    await this.#until(`cell ${cell.id} runs another code than ${before}`, async () => {
      code = asked === undefined ? undefined : (await this.status(asked))?.cells.find(({ id }) => id === cell.id)?.code;
      return code !== undefined && code !== before;
    });
    return code ?? "";
  }

  async untilDown(cell: WranglerCell, asked: WranglerCell): Promise<void> {
    await this.#until(`cell ${cell.id} is down`, async () => {
      const status = await this.status(asked);
      return status?.cells.find(({ id }) => id === cell.id)?.state === "down";
    });
  }

  /** Everybody is up in the eyes of everybody, and both replicas of each exchange are together. */
  async untilWhole(): Promise<void> {
    await this.#until("all is in service", async () => (await Promise.all(this.cells.map((cell) => this.#isWhole(cell)))).every(Boolean));
  }

  async #isWhole(asked: WranglerCell): Promise<boolean> {
    const status = await this.status(asked);
    if (status === undefined) return false;
    const { cells, gateways } = status;
    if (cells.length !== 2 || gateways.length !== 1 || ![...cells, ...gateways].every(({ state }) => state === "up")) return false;
    const summary = await new ApiClient([asked.url], secret, "cell").get("/cell/summary").catch(() => undefined);
    const exchanges = isTable(summary) ? summary["exchanges"] : undefined;
    return isListOf(exchanges, isTable) && exchanges.length > 0 && exchanges.every(({ pair }) => pair === "together");
  }

  async #until(what: string, condition: () => Promise<boolean>): Promise<void> {
    if (await comesTrue(condition, patienceMs, pollMs)) return;
    const [a, b] = this.cells;
    const seen = await Promise.all(this.cells.map((cell) => this.status(cell)));
    throw new Error(`not within ${patienceMs} ms: ${what}\n${JSON.stringify(seen)}\n${a.said}\n${b.said}\n${this.#gateway?.lines.tail()}`);
  }

  async #startGateway(): Promise<void> {
    const file = join(this.#directory, "gateway.toml");
    const config = {
      name: "g1",
      secret,
      cells: this.cells.map(({ id, url }) => ({ id, url })),
      listeners: [{ transport: "udp", host: "127.0.0.1", port: this.udpPort }],
    };
    writeFileSync(file, stringify(config), { mode: 0o600 });
    this.#gateway = new Program(program.node, [program.gateway, "--config", file], { name: "the gateway" });
    await this.#gateway.line(/^gateway g1 ready$/, { withinMs: startMsMax });
  }
}

/** wrangler.toml of this checkout, with a map of cells on this machine that lets every phone in. */
function settingsOf(firstPort: number): Record<string, unknown> {
  const file: unknown = parse(readFileSync(join(root, "wrangler.toml"), "utf8"));
  if (!isTable(file) || !isTable(file["env"])) throw new Error("wrangler.toml has no environments");
  const env = Object.entries(file["env"]).map(([id, cell]) => {
    if (!isTable(cell) || !isTable(cell["vars"])) throw new Error(`wrangler.toml: env.${id} has no vars`);
    const { CLUSTER } = cell["vars"];
    const map: unknown = JSON.parse(String(CLUSTER));
    if (!isTable(map)) throw new Error(`wrangler.toml: the map of env.${id} is none`);
    const own = {
      ...map,
      ...counts,
      cells: ["a", "b"].map((each, index) => ({ id: each, url: `http://127.0.0.1:${firstPort + index}` })),
      domains: Object.values(domains).map((name) => ({ name, auth: "open" })),
    };
    return [id, { ...cell, vars: { ...cell["vars"], CLUSTER: JSON.stringify(own) } }];
  });
  return { ...file, env: Object.fromEntries(env) as unknown };
}

function numbered(kind: string, count: number): string[] {
  return Array.from({ length: count }, (_, number) => `${kind}-${number}`);
}
