import { resolve } from "node:path";
import { ApiClient, type Credentials } from "./api-client.ts";
import type { Arguments } from "./arguments.ts";
import { Failure, UsageError } from "./errors.ts";
import { cellsElsewhere } from "./host-place.ts";
import { Membership } from "./membership.ts";
import { program } from "./program.ts";
import { defaultState } from "./settings.ts";
import { quoted } from "./shown-path.ts";
import { type Run, StateDirectory } from "./state-directory.ts";

/** The running system that a command is for. */
export type Target = {
  readonly api: ApiClient;
  /** Known when the system runs from a state directory of this machine. */
  readonly domain: string | undefined;
  readonly state: StateDirectory | undefined;
  readonly credentials: Credentials;
};

/** A further command for the system that this one was for, as it is typed. `words`: the command and its words. */
export function typed({ values }: Pick<Arguments, "values">, words: string): string {
  const options = ["state", "url"].flatMap((name) => {
    const value = values.get(name);
    return value === undefined ? [] : [` --${name} ${quoted(value)}`];
  });
  return `${program.name} ${words}${options.join("")}`;
}

/** Finds the system: by --url or TANDEM_URL and TANDEM_SECRET, else by the state directory's run.json and secret. Throws {@link Failure}. */
export function findTarget(args: Arguments, environment: NodeJS.ProcessEnv): Target {
  const named = args.values.get("state");
  if (named !== undefined && args.values.has("url")) throw new UsageError("--url and --state exclude each other");
  const url = args.values.get("url") ?? (named === undefined ? environment["TANDEM_URL"] : undefined);
  const state = new StateDirectory(resolve(named ?? defaultState));
  if (url !== undefined && url !== "") {
    if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) throw new UsageError(`--url ${url}: must be an http or https URL`);
    const secret = environment["TANDEM_SECRET"] ?? state.readSecret();
    if (secret === undefined || secret === "") throw new Failure("TANDEM_SECRET must hold the system's secret when --url is used");
    return { api: new ApiClient([url.replace(/\/+$/, "")], secret), domain: undefined, state: undefined, credentials: secret };
  }
  const run = state.readRun();
  const host = state.readCluster()?.host;
  // In a system with an authority this machine asks with its own key.
  const credentials = host === undefined ? state.readSecret() : new Membership(state, host).identity();
  if (run === undefined || credentials === undefined)
    throw new Failure(`not running: no system has its state in ${state.path} (start it with tandem up, or name another --state)`);
  // Without an authority the API is in the cells of this machine alone.
  const elsewhere = host === undefined ? [] : cellsElsewhere(state.readMap(), run.cells);
  if (host !== undefined && run.cells.length === 0)
    throw new Failure(
      `host ${host} runs gateways only, and its key may ask for nothing but itself: give commands on a machine with a cell; tandem status and tandem host show ${host} here`,
    );
  const names = new Map([
    ...run.cells.map(({ id, url: door, membersUrl }) => [membersUrl ?? door, id] as const),
    ...elsewhere.map((cell) => [cell.url, cell.id] as const),
  ]);
  return {
    api: new ApiClient([...names.keys()], credentials, "api", undefined, names),
    domain: run.domain,
    state,
    credentials,
  };
}

/** A machine that runs gateways only: its key may ask cells for what concerns itself. */
export type GatewayHost = {
  readonly host: string;
  readonly run: Run;
  /** Any cell, and each for itself by its name. */
  readonly api: ApiClient;
  readonly cells: readonly { readonly id: string; readonly api: ApiClient }[];
};

/** The machine whose state directory is meant, where that runs gateways only; undefined: it is another one, or nothing runs. */
export function findGatewayHost(args: Arguments, environment: NodeJS.ProcessEnv): GatewayHost | undefined {
  const named = args.values.get("state");
  const url = args.values.get("url") ?? (named === undefined ? environment["TANDEM_URL"] : undefined);
  if (url !== undefined && url !== "") return undefined;
  const state = new StateDirectory(resolve(named ?? defaultState));
  const [run, host] = [state.readRun(), state.readCluster()?.host];
  if (run === undefined || host === undefined || run.cells.length > 0) return undefined;
  const identity = new Membership(state, host).identity();
  const cells = cellsElsewhere(state.readMap(), []);
  const apiOf = (urls: readonly string[]): ApiClient => new ApiClient(urls, identity, "host");
  return { host, run, api: apiOf(cells.map((cell) => cell.url)), cells: cells.map((cell) => ({ id: cell.id, api: apiOf([cell.url]) })) };
}
