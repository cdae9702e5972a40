import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { createServer as createHolder, type AddressInfo, type Server as Holder } from "node:net";
import { join } from "node:path";
import { parse } from "smol-toml";
import { ApiClient } from "../../../cli/api-client.ts";
import { type Bundle, makeBundle, modulesFor } from "../../../cli/bundle.ts";
import { type Wrangler, wranglerOf } from "../../../cli/deploy/wrangler.ts";
import { program } from "../../../cli/program.ts";
import { cellConfigText, workerSettingsOf } from "../../../cli/workerd-config.ts";
import { until } from "../../../kit/world/until.ts";

/** What somebody has typed after `wrangler`, and with which token. */
export type Upload = { readonly words: readonly string[]; readonly token: string | undefined };

/** Passes on what it is given, and says what it is answered: all that a test has of wrangler. */
const recorder = `
const [, ...words] = process.argv;
const { CLOUDFLARE_API_TOKEN: token, TRIAL_ACCOUNT: account } = process.env;
const answer = await fetch(account, { method: "POST", body: JSON.stringify({ words, token, secret: process.env.TANDEM_SECRET }) });
console.log(await answer.text());
process.exitCode = answer.ok ? 0 : 1;
`;

type Environment = { readonly name: string; readonly services?: readonly { readonly binding: string; readonly service: string }[] };

/**
 * An account of Cloudflare's, as far as a deployment sees it: a Worker that is uploaded runs from then on, in a workerd of its own, with the code that it is
 * tagged with. One that is bound to another which is not there is refused.
 */
export class TrialAccount {
  readonly uploads: Upload[] = [];
  /** Why an upload is refused; undefined: it is not. */
  refusal: (words: readonly string[]) => string | undefined = () => undefined;
  readonly #directory: string;
  readonly #bundle: Bundle;
  readonly #ports: Readonly<Record<string, number>>;
  readonly #running = new Map<string, ChildProcess>();
  readonly #secrets = new Map<string, string>();
  readonly #workers = new Set<string>();
  readonly #server: Server;
  /** Cells that do not run: their ports are held, or another test would take one. */
  readonly #holders = new Map<string, Holder>();

  private constructor(directory: string, bundle: Bundle, ports: Readonly<Record<string, number>>) {
    this.#directory = directory;
    this.#bundle = bundle;
    this.#ports = ports;
    this.#server = createServer((request, response) => {
      this.#take(request).then(
        (text) => response.end(text),
        (error: unknown) => response.writeHead(500).end(`X [ERROR] ${error instanceof Error ? error.message : String(error)}`),
      );
    });
  }

  /** `ports`: where each cell is to be. Files stand in the directory. */
  static async open(directory: string, ports: Readonly<Record<string, number>>): Promise<TrialAccount> {
    const account = new TrialAccount(directory, await makeBundle(join(directory, "bundle")), ports);
    for (const cell of Object.keys(ports)) await account.#hold(cell);
    account.#server.listen(0, "127.0.0.1");
    await once(account.#server, "listening");
    return account;
  }

  get wrangler(): Wrangler {
    const { port } = this.#server.address() as AddressInfo;
    const environment = { ...process.env, TRIAL_ACCOUNT: `http://127.0.0.1:${port}` };
    return wranglerOf([process.execPath, "--input-type=module", "-e", recorder, "--"], environment);
  }

  url(cell: string): string {
    return `http://127.0.0.1:${this.#ports[cell]}`;
  }

  /** Ends a cell, and waits until it has. */
  async kill(cell: string): Promise<void> {
    await this.#end(cell);
    await this.#hold(cell);
  }

  async #end(cell: string): Promise<void> {
    const child = this.#running.get(cell);
    this.#running.delete(cell);
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }

  async close(): Promise<void> {
    for (const cell of Object.keys(this.#ports)) {
      await this.#end(cell);
      await this.#letGo(cell);
    }
    this.#server.close();
  }

  /** Whoever connects is sent away at once. */
  async #hold(cell: string): Promise<void> {
    const holder = createHolder((socket) => socket.destroy());
    holder.listen({ port: this.#ports[cell], host: "127.0.0.1" });
    await once(holder, "listening");
    this.#holders.set(cell, holder);
  }

  async #letGo(cell: string): Promise<void> {
    const holder = this.#holders.get(cell);
    this.#holders.delete(cell);
    if (holder === undefined) return;
    holder.close();
    await once(holder, "close");
  }

  async #take(request: IncomingMessage): Promise<string> {
    let body = "";
    for await (const chunk of request) body += String(chunk);
    const { words, token, secret } = JSON.parse(body) as Upload & { readonly secret?: string };
    if (secret !== undefined) throw new Error("the secret was in the environment");
    this.uploads.push({ words, token });
    const refused = this.refusal(words);
    if (refused !== undefined) throw new Error(refused);
    const [cell, tag, config, secrets] = ["--env", "--tag", "--config", "--secrets-file"].map((name) => valueOf(words, name));
    await this.#upload(cell ?? "", tag ?? "", config ?? "", secrets);
    return `Uploaded\nCurrent Version ID: ${tag}`;
  }

  async #upload(cell: string, tag: string, config: string, secrets: string | undefined): Promise<void> {
    const toml = readFileSync(config, "utf8");
    const { env } = parse(toml) as unknown as { readonly env: Readonly<Record<string, Environment>> };
    const { name = "", services = [] } = env[cell] ?? {};
    const missing = services.find(({ service }) => !this.#workers.has(service));
    if (missing !== undefined)
      throw new Error(`Could not resolve service binding '${missing.binding}'. Target script '${missing.service}' not found.`);
    if (secrets !== undefined) {
      if ((statSync(secrets).mode & 0o077) !== 0) throw new Error("others may read the secrets");
      this.#secrets.set(cell, (JSON.parse(readFileSync(secrets, "utf8")) as { readonly TANDEM_SECRET: string }).TANDEM_SECRET);
    }
    const secret = this.#secrets.get(cell);
    if (secret === undefined) throw new Error("The following required secrets have not been set: TANDEM_SECRET");
    await this.#end(cell);
    await this.#letGo(cell);
    await this.#start(cell, tag, toml, secret);
    this.#workers.add(name);
  }

  async #start(cell: string, tag: string, toml: string, secret: string): Promise<void> {
    const [storage, file] = [join(this.#directory, "cells", cell), join(this.#directory, `cell-${cell}.capnp`)];
    const room = join(storage, "room");
    mkdirSync(room, { recursive: true });
    const text = cellConfigText({
      cell,
      host: "127.0.0.1",
      port: this.#ports[cell] ?? 0,
      settings: workerSettingsOf(toml, cell),
      modules: modulesFor(this.#bundle, file),
      storage,
      room,
      mayEvict: false,
      texts: { CODE: tag },
      fromEnvironment: ["TANDEM_SECRET"],
    });
    writeFileSync(file, text);
    const child = spawn(program.workerd(), ["serve", file, "config"], { env: { TANDEM_SECRET: secret }, stdio: "ignore" });
    this.#running.set(cell, child);
    await until(async () => (await new ApiClient([this.url(cell)], "").cell().catch(() => "")) === cell, 60_000);
  }
}

function valueOf(words: readonly string[], name: string): string | undefined {
  const at = words.indexOf(name);
  return at < 0 ? undefined : words[at + 1];
}
