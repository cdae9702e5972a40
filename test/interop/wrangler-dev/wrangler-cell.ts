import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join, relative } from "node:path";
import { stringify } from "smol-toml";
import { Guard } from "../../../cli/guard.ts";
import { program, root } from "../../../cli/program.ts";
import { comesTrue, until } from "../../../kit/world/until.ts";

/** Two cores that others use as well: wrangler bundles, then starts two processes. */
export const startMsMax = 120_000;
const linesMax = 400;
const wrangler = join(root, "node_modules", "wrangler", "bin", "wrangler.js");

export type WranglerCellOptions = {
  readonly id: string;
  /** Of its own. */
  readonly directory: string;
  readonly port: number;
  readonly inspectorPort: number;
  readonly secret: string;
  /** What wrangler.toml says, but for `main`. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** The main module of the cells' script. */
  readonly script: string;
};

/** A cell that `wrangler dev` runs. */
export class WranglerCell {
  readonly id: string;
  readonly url: string;
  readonly #options: WranglerCellOptions;
  readonly #guard = new Guard();
  #child: ChildProcess | undefined;
  #lines: string[] = [];

  constructor(options: WranglerCellOptions) {
    this.id = options.id;
    this.url = `http://127.0.0.1:${options.port}`;
    this.#options = options;
    const { directory, settings, secret } = options;
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, "wrangler.toml"), stringify({ ...settings, main: "index.ts" }));
    writeFileSync(join(directory, ".dev.vars"), `TANDEM_SECRET=${secret}\n`, { mode: 0o600 });
  }

  /** Starts it, and waits until it answers. */
  async start(code: string): Promise<void> {
    this.write(code);
    const { id, directory, port, inspectorPort } = this.#options;
    const options = [
      ["--env", id],
      ["--config", join(directory, "wrangler.toml")],
      ["--persist-to", join(directory, "objects")],
      ["--ip", "127.0.0.1"],
      ["--port", String(port)],
      ["--inspector-port", String(inspectorPort)],
      ["--show-interactive-dev-session", "false"],
      // Else each request has a line.
      ["--log-level", "warn"],
    ].flat();
    const child = spawn(program.node, [wrangler, "dev", ...options], {
      cwd: directory,
      // Its processes end with it: they are one group.
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        ...process.env,
        ...quiet,
        WRANGLER_LOG_PATH: join(directory, "log"),
        WRANGLER_REGISTRY_PATH: join(directory, "registry"),
        WRANGLER_CACHE_DIR: join(directory, "cache"),
        HOME: directory,
        XDG_CONFIG_HOME: directory,
      },
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.#lines = [...this.#lines, ...text.split("\n").filter((line) => line.trim() !== "")].slice(-linesMax);
      });
    }
    const { pid } = child;
    if (pid === undefined) throw new Error("wrangler cannot be started");
    await this.#guard.add(-pid);
    const answers = async (): Promise<boolean> => (await this.code()) === code || child.exitCode !== null;
    if (!(await comesTrue(answers, startMsMax, 50)) || child.exitCode !== null)
      throw new Error(`wrangler dev of cell ${this.id} does not serve:\n${this.said}`);
  }

  /** Changes its files: wrangler sees that, and replaces what runs. */
  write(code: string): void {
    const { directory, script } = this.#options;
    const file = join(directory, "index.ts");
    const pathOf = (to: string): string => JSON.stringify(`./${relative(directory, to)}`);
    const classes = ["ExchangeObject", "LineObject", "CoreGroupObject", "LedgerObject"];
    const lines = [
      `import * as cell from ${pathOf(script)};`,
      `import { evictable, withDoor } from ${pathOf(join(import.meta.dirname, "evictable-cell.ts"))};`,
      ...classes.map((name) => `export class ${name} extends evictable(cell.${name}) {}`),
      `export default withDoor(cell.default, ${JSON.stringify(code)});`,
    ];
    // Nobody is to read half of it.
    writeFileSync(`${file}.new`, `${lines.join("\n")}\n`);
    renameSync(`${file}.new`, file);
  }

  /** Which code it says it runs; undefined: it does not answer. */
  async code(): Promise<string | undefined> {
    return await this.#ask("code").catch(() => undefined);
  }

  /** Ends an object. Throws when it lives on. */
  async evict(name: string): Promise<void> {
    await this.#ask(`evict/${name}`);
  }

  /** Ends all its processes at once. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child?.pid === undefined) return;
    const { pid } = child;
    const closed = child.exitCode === null && child.signalCode === null ? once(child, "close") : undefined;
    signalGroup(pid, "SIGKILL");
    await closed;
    await until(() => !signalGroup(pid, 0));
    this.#guard.remove(-pid);
  }

  async stop(): Promise<void> {
    await this.kill();
    this.#guard.close();
  }

  /** What wrangler has said last. */
  get said(): string {
    return this.#lines.join("\n");
  }

  async #ask(order: string): Promise<string> {
    const response = await fetch(`${this.url}/test/${order}`, { signal: AbortSignal.timeout(answerMsMax) });
    const text = await response.text();
    if (response.ok) return text;
    throw new Error(`cell ${this.id}, ${order}: ${response.status} ${text}`);
  }
}

const answerMsMax = 10_000;

/** No network, no questions, nothing kept elsewhere. */
const quiet = {
  CI: "true",
  NO_COLOR: "1",
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_HIDE_BANNER: "true",
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
};

/** False: nobody of the group is there any more. */
function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-pid, signal);
  } catch {
    return false;
  }
}
