import type { Secrets } from "../cluster/authority/keyring.ts";
import type { ClusterMap } from "../cluster/map/cluster-map.ts";
import { unsoundness } from "../cluster/map/sound-map.ts";
import { jurisdictions, locationHints } from "../cluster/places.ts";
import { writtenMapSchema } from "../schemas/cluster-map.ts";
import { faultText, read } from "../schemas/reading.ts";
import type { CoreGroupObject } from "./core-group/core-group-object.ts";
import type { ExchangeObject } from "./exchange/exchange-object.ts";
import type { LedgerObject } from "./ledger/ledger-object.ts";
import type { LineObject } from "./line/line-object.ts";
import { Outgoing } from "./outgoing.ts";
import { choicesText, isJurisdiction, isLocationHint } from "./places.ts";
import { CellKeys, type CheckingKeys, type SigningKey } from "./member-keys.ts";

/** What a cell's Worker is given: see wrangler.toml; `tandem up` gives the same to its workerd processes. */
export type Environment = {
  /** The cell's id in the cluster map. */
  readonly CELL: string;
  /** The {@link ClusterMap} as JSON text. */
  readonly CLUSTER: string;
  /** Shared by all cells: signs tokens and nonces; without an authority requests as well, and gateways have it too. */
  readonly TANDEM_SECRET: string;
  /** This cell's own private key, PKCS #8 in base64: signs its requests in a system with an authority. */
  readonly TANDEM_MEMBER_KEY?: string;
  /** The {@link Keyring} as JSON text, in a system with an authority. Its core group knows more perhaps. */
  readonly TANDEM_KEYRING?: string;
  /** Set where members have a socket of their own: then nothing but softphones is served on the other one. */
  readonly MEMBERS_SOCKET?: string;
  /**
   * Softphones that this cell may have at once, a whole number. `tandem up` knows how many file descriptors workerd may open, and what it does when
   * there is none. Absent on Cloudflare, which has enough.
   */
  readonly SOFTPHONES_MAX?: string;
  /** A directory on the disk of the objects, where files show whether there is room: `tandem up` only. Absent on Cloudflare. */
  readonly DISK?: Fetcher;
  /** Where on Cloudflare the objects of this cell are to be: counts when they are used for the first time, and is a wish. */
  readonly LOCATION_HINT?: DurableObjectLocationHint;
  /** Within whose borders they are and have their data: other ones are other objects, so it never changes. */
  readonly JURISDICTION?: DurableObjectJurisdiction;
  /** Which code this is, where `tandem up` starts it: a hash of the script. */
  readonly CODE?: string;
  /** The same on Cloudflare, whose wrangler gives each upload an id, and a tag where it is told one. */
  readonly VERSION_METADATA?: WorkerVersionMetadata;
  /** What the object that has this environment asks of other cells: on Cloudflare only, which counts it. */
  readonly OUTGOING?: Outgoing;
  readonly EXCHANGE: DurableObjectNamespace<ExchangeObject>;
  readonly LINE: DurableObjectNamespace<LineObject>;
  readonly CORE_GROUP: DurableObjectNamespace<CoreGroupObject>;
  readonly LEDGER: DurableObjectNamespace<LedgerObject>;
  /** `CELL_B`: a service binding to cell b, where both run on Cloudflare. */
  readonly [binding: `CELL_${string}`]: Fetcher | undefined;
};

/** What is known in a process of the cell that it is. */
type Latest = {
  readonly text: string;
  readonly deployed: ClusterMap;
  /** Undefined: the core group has not said yet which it has. */
  readonly newest: ClusterMap | undefined;
  readonly keys: CellKeys;
  /** What tokens and nonces are signed with. */
  readonly secrets: Secrets;
  /** False: the core group has not said yet which they are. */
  readonly areSecretsKnown: boolean;
};

/** All requests and objects of a process have the same text of the map that it was deployed with. */
let latest: Latest | undefined;

/** Said for a part that does not say which code it runs. */
export const unknownCode = "unknown";

/** What a Worker is given by its environment in wrangler.toml: without `--env` it gets none of it. */
const deployedNames: readonly (keyof Environment)[] = ["CELL", "CLUSTER", "EXCHANGE", "LINE", "CORE_GROUP", "LEDGER"];

/** Why nobody can be served here, in a sentence that says what to do; undefined: everybody can. Throws nothing. */
export function faultOfEnvironment(env: Environment): string | undefined {
  const given: Partial<Environment> = env;
  const missing = deployedNames.filter((name) => given[name] === undefined);
  if (missing.length > 0)
    return `this Worker was deployed without ${missing.join(", ")}: say which cell it is, npx wrangler deploy --env a`;
  const { LOCATION_HINT, JURISDICTION } = env;
  if (LOCATION_HINT !== undefined && !isLocationHint(LOCATION_HINT)) return `LOCATION_HINT ${choicesText(LOCATION_HINT, locationHints)}`;
  if (JURISDICTION !== undefined && !isJurisdiction(JURISDICTION)) return `JURISDICTION ${choicesText(JURISDICTION, jurisdictions)}`;
  try {
    const { keys, deployed } = latestOf(env);
    keys.signing(deployed);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** A broken map throws, and so does a missing secret: nothing can be served without them. */
function latestOf(env: Environment): Latest {
  const { CLUSTER, TANDEM_SECRET, TANDEM_MEMBER_KEY, TANDEM_KEYRING } = env;
  if (latest?.text === CLUSTER) return latest;
  // Whatever the types say: nothing keeps a Worker from being deployed without its secrets.
  if ((TANDEM_SECRET as string | undefined) === undefined || TANDEM_SECRET === "") {
    throw new TypeError(`the secret TANDEM_SECRET is missing: npx wrangler secret put TANDEM_SECRET --env ${env.CELL}`);
  }
  const { value, fault } = read(writtenMapSchema, clusterJsonOf(CLUSTER));
  if (fault !== undefined) throw new TypeError(`CLUSTER: ${faultText(fault)}`);
  const unsound = unsoundness(value);
  if (unsound !== undefined) throw new TypeError(`CLUSTER: ${unsound}`);
  return (latest = {
    text: CLUSTER,
    deployed: value,
    newest: undefined,
    keys: new CellKeys(TANDEM_SECRET, TANDEM_MEMBER_KEY),
    secrets: { signing: TANDEM_SECRET, accepted: [] },
    areSecretsKnown: TANDEM_KEYRING === undefined,
  });
}

/** The environment of one object: Cloudflare counts its outgoing requests apart from those of others. */
export function environmentOfObject(env: Environment): Environment {
  return env.DISK === undefined ? { ...env, OUTGOING: new Outgoing() } : env;
}

/** Which code runs here: an object has the environment of the code that it was started with. */
export function codeOf({ CODE, VERSION_METADATA }: Environment): string {
  if (CODE !== undefined) return CODE;
  if (VERSION_METADATA === undefined) return unknownCode;
  const { tag, id } = VERSION_METADATA;
  return tag === "" ? id : tag;
}

/** The cluster map that this cell was deployed with. A broken one throws. */
export function deployedMapOf(env: Environment): ClusterMap {
  return latestOf(env).deployed;
}

/** What this cell signs its requests with, by the newest map. */
export function signingKeyOf(env: Environment): SigningKey {
  return latestOf(env).keys.signing(clusterMapOf(env));
}

/** What this cell checks requests with, by the newest map: who is not in it is refused from then on. */
export function checkingKeysOf(env: Environment): CheckingKeys {
  return latestOf(env).keys.checking(clusterMapOf(env));
}

/** The newest cluster map that is known in this process. */
export function clusterMapOf(env: Environment): ClusterMap {
  const { newest, deployed } = latestOf(env);
  return newest ?? deployed;
}

/** Whether the core group has said in this process which map is the newest, and what tokens are signed with where that may have been changed. */
export function isMapKnown(env: Environment): boolean {
  const { newest, areSecretsKnown } = latestOf(env);
  return newest !== undefined && areSecretsKnown;
}

/** The core group says which map is the newest. */
export function learnMap(env: Environment, newest: ClusterMap): void {
  latest = { ...latestOf(env), newest };
}

/** What tokens and nonces are signed with here, and what else is checked with. */
export function secretsOf(env: Environment): Secrets {
  return latestOf(env).secrets;
}

/** The core group says what that is. `areKnown` false: it has not asked the other cells yet. */
export function learnSecrets(env: Environment, secrets: Secrets, areKnown: boolean): void {
  latest = { ...latestOf(env), secrets, areSecretsKnown: areKnown };
}

/** Asks the core group of this cell which map is the newest, and works from that from now on. Rejects when it does not say. */
export async function askForMap(env: Environment): Promise<ClusterMap> {
  const map = await coreGroupObject(env).newestMap();
  learnMap(env, map);
  return map;
}

function clusterJsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new TypeError(`CLUSTER: is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** Names of objects: one exchange, line or core group is one object of its cell. */
export function exchangeName(exchange: number): string {
  return `exchange-${exchange}`;
}

export function lineName(line: number): string {
  return `line-${line}`;
}

export const coreGroupName = "core-group";
export const ledgerName = "ledger";

/*
 * Every object of this cell is asked for here. An object is made by whoever asks for it first, and stays where it was made for good: so each call says where.
 */

type Place = Pick<Environment, "LOCATION_HINT" | "JURISDICTION">;

export function exchangeObject(env: Place & Pick<Environment, "EXCHANGE">, exchange: number): DurableObjectStub<ExchangeObject> {
  return placedObject(env, env.EXCHANGE, exchangeName(exchange));
}

export function lineObject(env: Place & Pick<Environment, "LINE">, line: number): DurableObjectStub<LineObject> {
  return placedObject(env, env.LINE, lineName(line));
}

export function coreGroupObject(env: Place & Pick<Environment, "CORE_GROUP">): DurableObjectStub<CoreGroupObject> {
  return placedObject(env, env.CORE_GROUP, coreGroupName);
}

export function ledgerObject(env: Place & Pick<Environment, "LEDGER">): DurableObjectStub<LedgerObject> {
  return placedObject(env, env.LEDGER, ledgerName);
}

function placedObject<Kind extends Rpc.DurableObjectBranded>(
  { LOCATION_HINT, JURISDICTION }: Place,
  namespace: DurableObjectNamespace<Kind>,
  name: string,
): DurableObjectStub<Kind> {
  const within = JURISDICTION === undefined ? namespace : namespace.jurisdiction(JURISDICTION);
  return LOCATION_HINT === undefined ? within.getByName(name) : within.getByName(name, { locationHint: LOCATION_HINT });
}

/** The number at the end of an object's name. Objects are only ever reached by name, so a missing one is a broken invariant. */
export function numberOfName(id: DurableObjectId): number {
  const number = Number(id.name?.slice(id.name.lastIndexOf("-") + 1));
  if (!Number.isInteger(number)) throw new Error(`object ${id.name ?? id.toString()} has no number in its name`);
  return number;
}
