import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, linkSync, mkdirSync, readFileSync, renameSync, rmSync, rmdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { ClusterMap } from "../cluster/map/cluster-map.ts";
import { carriedMapSchema } from "../schemas/cluster-map.ts";
import { read } from "../schemas/reading.ts";
import { Failure, codeOf, reasonOf } from "./errors.ts";
import { isListOf, isTable, isText } from "./json.ts";
import type { Listener } from "./layout.ts";
import { startOf } from "./process-table.ts";

/** DIR/run.json: the running system, for whoever wants to find or to kill its processes. There while it runs. */
export type Run = {
  readonly domain: string;
  /** `membersUrl`: where commands reach it, in a system with an authority. */
  /** `version`: of the program that it runs; absent: an earlier release has written it. */
  readonly cells: readonly {
    readonly id: string;
    readonly pid: number;
    readonly url: string;
    readonly version?: string;
    readonly membersUrl?: string;
  }[];
  readonly gateways: readonly {
    readonly id: string;
    readonly pid: number;
    readonly version?: string;
    readonly listeners: readonly Listener[];
  }[];
};

/** DIR/cluster.json: what must stay the same while DIR holds data, because places of records are computed from it. */
export type ClusterSettings = {
  readonly domain: string;
  readonly exchanges: number;
  readonly cells: number;
  /** Their letters, where these are no more the first ones. */
  readonly letters?: readonly string[];
  /** Which of these numbers commands have changed since DIR was made. Absent: none, or an earlier release has. */
  readonly changed?: readonly ("cells" | "exchanges")[];
  /** Keys the hash that places are computed by, 32 hex digits. Absent: DIR was made before there was a key. */
  readonly hashKey?: string;
  /** Where members reach the cells of this machine, in a system with an authority; and what this machine is called there. Absent: it has none. */
  readonly listen?: { readonly host: string; readonly port: number };
  readonly host?: string;
  /** What this host runs in a system that it has joined. Absent: it has made the system itself. */
  readonly joined?: Joined;
};

/** What a host runs that has joined a system. */
export type Joined = {
  /** Its gateways by name. */
  readonly gateways: readonly string[];
  /** Where it stands, as the map says it of its cells. */
  readonly location?: string;
  /** Its cell has been in the map: one that is not there now was removed. */
  readonly isPlaced: boolean;
  /** Options of this machine that a start needs (`KeptOptions`). Absent: an earlier release has written it. */
  readonly options?: Readonly<Record<string, readonly string[]>>;
};

/** DIR/passwords.json: passwords of the first subscribers by address-of-record, to be printed again. */
export type Passwords = { readonly provisioned: boolean; readonly passwords: Readonly<Record<string, string>> };

/**
 * The format of a state directory, in cluster.json: which files there are, and what is in those that are not made again at every start. Raise it with
 * every change after which the release before would misread one, or lose what is in it; also with those of a cell's databases (workers/disk-format.ts).
 * So nothing of a later release is started with. Format 1 is what 0.1.0 writes. What says none is of before, and is read as format 1. Format 2 has an authority,
 * and is written for such a system alone: 0.1.0 would start it without.
 */
const stateFormat = 2;
const formatWithoutAuthority = 1;

/** Whatever is in one of these is for this user alone: keys, the databases of cells, whose files workerd makes as it likes, and what this user runs. */
const closedFolders = ["acme", "authority", "cells", "members", "programs", "tls"] as const;
type ClosedFolder = (typeof closedFolders)[number];

/** The directory that holds everything of one system: data, keys, settings. Files are replaced whole, never half-written. */
export class StateDirectory {
  readonly path: string;
  /** Directories that this process has made, the innermost first. */
  #made: readonly string[] = [];

  constructor(path: string) {
    this.path = path;
  }

  /** Makes the directory when there is none, and closes to others what is for this user alone. Throws a {@link Failure}. */
  create(): void {
    try {
      this.#made = makeDirectory(this.path);
    } catch (error) {
      throw new Failure(`${this.path}: cannot be made a state directory: ${reasonOf(error)}`);
    }
    for (const folder of closedFolders) closeToOthers(this.file(folder));
  }

  /** Removes what {@link create} has made and nothing has been put into: of a start that was refused nothing is left. */
  removeEmpty(): void {
    try {
      for (const directory of this.#made) rmdirSync(directory);
    } catch {
      // Something is in it.
    }
  }

  /** Makes a directory in it, for this user alone, whoever may read the state directory. Throws a {@link Failure}. */
  makeDirectory(folder: ClosedFolder, ...names: string[]): void {
    try {
      mkdirSync(this.file(folder, ...names), { recursive: true, mode: 0o700 });
    } catch (error) {
      throw new Failure(`${this.file(folder, ...names)}: cannot be made: ${reasonOf(error)}`);
    }
  }

  file(...names: string[]): string {
    return join(this.path, ...names);
  }

  /** The secret shared by cells, gateways and commands; made at the first start. 64 hex digits. */
  secret(): string {
    const known = this.readSecret();
    if (known !== undefined) return known;
    const secret = randomBytes(32).toString("hex");
    this.write("secret", `${secret}\n`, 0o600);
    return secret;
  }

  readSecret(): string | undefined {
    const text = this.#read("secret")?.trim();
    if (text === "") throw new Failure(`${this.file("secret")} is empty: remove it to have a new one made`);
    if (text !== undefined && text.length < secretLengthMin)
      throw new Failure(`${this.file("secret")} must hold at least ${secretLengthMin} characters: remove it to have a new one made`);
    return text;
  }

  readRun(): Run | undefined {
    return this.#readJson("run.json", isRun);
  }

  writeRun(run: Run): void {
    this.write("run.json", `${JSON.stringify(run, undefined, 2)}\n`);
  }

  removeRun(): void {
    rmSync(this.file("run.json"), { force: true });
  }

  /** Throws a {@link Failure} when a later release has made the directory. */
  readCluster(): ClusterSettings | undefined {
    const known = this.#readJson("cluster.json", isOfLaterOrOurs);
    if (known === undefined || !isOfLater(known)) return known;
    const { format } = known;
    throw new Failure(
      `${this.path} is of a later release (format ${format}, this one reads ${stateFormat}): start that, or use another --state`,
    );
  }

  /** The newest cluster map that this host has heard of, in a system with an authority; undefined: none, or the file is damaged. */
  readMap(): ClusterMap | undefined {
    try {
      const text = this.#read("map.json");
      return text === undefined ? undefined : read(carriedMapSchema, JSON.parse(text)).value;
    } catch {
      return undefined;
    }
  }

  /** It has a secret of the cluster, the key of its hash. */
  writeMap(map: ClusterMap): void {
    this.write("map.json", `${JSON.stringify(map)}\n`, 0o600);
  }

  /** Its host has heard that it was removed: its keys count nowhere any more, and a later start asks nobody. */
  markRemoved(): void {
    this.write(removedFile, `${removedText}\n`);
  }

  /** Throws a {@link Failure} for the directory of a host that is no member any more. */
  checkNotRemoved(isRemoved = existsSync(this.file(removedFile))): void {
    if (isRemoved) throw new Failure(`${removedText}: to join again, use another --state than ${this.path}, with tandem join`);
  }

  writeCluster(settings: ClusterSettings): void {
    const format = settings.host === undefined ? formatWithoutAuthority : stateFormat;
    this.write("cluster.json", `${JSON.stringify({ ...settings, format }, undefined, 2)}\n`, 0o600);
  }

  /** Undefined: there are none, or the file is damaged. Nothing that serves phones depends on it. */
  readPasswords(): Passwords | undefined {
    try {
      return this.#readJson("passwords.json", isPasswords);
    } catch {
      return undefined;
    }
  }

  /** Gives a passwords.json that cannot be read another name, that is free. Undefined: it is whole, or not there. */
  setPasswordsAside(): { readonly keptAs: string; readonly reason: string } | undefined {
    try {
      this.#readJson("passwords.json", isPasswords);
      return undefined;
    } catch (error) {
      const file = this.file("passwords.json");
      let number = 1;
      while (existsSync(`${file}.${number}`)) number += 1;
      try {
        renameSync(file, `${file}.${number}`);
      } catch (cause) {
        throw new Failure(`${file}: cannot be renamed: ${reasonOf(cause)}`);
      }
      return { keptAs: `${file}.${number}`, reason: reasonOf(error) };
    }
  }

  writePasswords(passwords: Passwords): void {
    this.write("passwords.json", `${JSON.stringify(passwords, undefined, 2)}\n`, 0o600);
  }

  /** Someone chose another password, or removed the subscriber: what was printed is not true any more. */
  forgetPasswords(addressesOfRecord: readonly string[]): void {
    const known = this.readPasswords();
    if (known === undefined) return;
    const left = Object.entries(known.passwords).filter(([addressOfRecord]) => !addressesOfRecord.includes(addressOfRecord));
    if (left.length === Object.keys(known.passwords).length) return;
    this.writePasswords({ ...known, passwords: Object.fromEntries(left) });
  }

  /**
   * Takes the directory for this process. Returns true when a run that was killed had left its lock.
   * Throws a {@link Failure} while another process has it.
   */
  lock(): boolean {
    const own = this.file(`lock.${process.pid}`);
    let stale = false;
    try {
      writeFileSync(own, `${JSON.stringify({ pid: process.pid, started: startOf(process.pid) })}\n`);
      // Linking fails when the name is taken, and the file is whole from its first moment on.
      for (let attempt = 0; attempt < 3; attempt += 1) {
        try {
          linkSync(own, this.file("lock"));
          return stale;
        } catch (error) {
          if (codeOf(error) !== "EEXIST") throw error;
        }
        const owner = this.#lockOwner();
        if (owner !== undefined)
          throw new Failure(`${this.path} is in use by a running tandem (process ${owner}): stop it, or use another --state`);
        stale = true;
        rmSync(this.file("lock"), { force: true });
      }
      throw new Failure(`${this.file("lock")} cannot be taken`);
    } finally {
      rmSync(own, { force: true });
    }
  }

  unlock(): void {
    rmSync(this.file("lock"), { force: true });
  }

  /** The process that runs this directory's system. A process id may have been given to another process: its start time tells. */
  #lockOwner(): number | undefined {
    const owner = this.#readJson("lock", isLock);
    if (owner === undefined) return undefined;
    const started = startOf(owner.pid);
    return started !== undefined && started === owner.started ? owner.pid : undefined;
  }

  write(name: string, text: string, mode = 0o644): void {
    const file = this.file(name);
    const fresh = `${file}.new`;
    this.#refuseForeign(name);
    try {
      writeFileSync(fresh, text, { mode });
      chmodSync(fresh, mode);
      renameSync(fresh, file);
    } catch (error) {
      removeHalf(fresh);
      throw new Failure(`${file}: cannot be written: ${reasonOf(error)}`);
    }
  }

  /** Throws when a file that is about to be replaced is none that was written here: whoever put it there has no other copy perhaps. */
  #refuseForeign(name: string): void {
    const isOurs = { "run.json": isRun, "cluster.json": isClusterSettings, "passwords.json": isPasswords }[name];
    const isGenerated = /^(?:cell-[a-z]+\.capnp|gateway-\w+\.toml)$/.test(name);
    if (isOurs === undefined && !isGenerated) return;
    const text = this.#read(name);
    if (text === undefined) return;
    if (isGenerated ? text.startsWith(generatedMark) : isOurs?.(parseJson(text)) === true) return;
    throw new Failure(`${this.file(name)} is not of tandem's making, and is not replaced: move it away, or use another --state`);
  }

  #read(name: string): string | undefined {
    try {
      return readFileSync(this.file(name), "utf8");
    } catch (error) {
      if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return undefined;
      throw new Failure(`${this.file(name)}: cannot be read: ${reasonOf(error)}`);
    }
  }

  #readJson<T>(name: string, isWanted: (value: unknown) => value is T): T | undefined {
    const text = this.#read(name);
    if (text === undefined) return undefined;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw new Failure(`${this.file(name)} is damaged: not JSON`);
    }
    if (!isWanted(value)) throw new Failure(`${this.file(name)} is damaged: it does not hold what this version of tandem writes there`);
    return value;
  }
}

/** Gateways refuse shorter ones. */
const secretLengthMin = 16;

/** How every configuration that is made again at each start begins. */
const generatedMark = '# Made by "tandem up"';

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isRun(value: unknown): value is Run {
  return isTable(value) && isText(value["domain"]) && isListOf(value["cells"], isCellOfRun) && isListOf(value["gateways"], isTable);
}

function isCellOfRun(value: unknown): value is Run["cells"][number] {
  return isTable(value) && isText(value["id"]) && isText(value["url"]) && typeof value["pid"] === "number";
}

function isClusterSettings(value: unknown): value is ClusterSettings {
  if (!isTable(value) || (value["hashKey"] !== undefined && !isText(value["hashKey"]))) return false;
  const { listen, host, joined } = value;
  if (
    joined !== undefined &&
    !(
      isTable(joined) &&
      isText(host) &&
      isListOf(joined["gateways"], isText) &&
      typeof joined["isPlaced"] === "boolean" &&
      areOptions(joined["options"])
    )
  )
    return false;
  if (listen !== undefined && !(isTable(listen) && isText(listen["host"]) && typeof listen["port"] === "number" && isText(host)))
    return false;
  if ([value["letters"], value["changed"]].some((texts) => texts !== undefined && !isListOf(texts, isText))) return false;
  return isText(value["domain"]) && typeof value["exchanges"] === "number" && typeof value["cells"] === "number";
}

const removedFile = "removed";
export const removedText = "this host was removed from its system";

function areOptions(value: unknown): boolean {
  return value === undefined || (isTable(value) && Object.values(value).every((texts) => isListOf(texts, isText)));
}

type OfLater = { readonly format: number };

/** Whatever else is in it. */
function isOfLater(value: unknown): value is OfLater {
  return isTable(value) && typeof value["format"] === "number" && value["format"] > stateFormat;
}

function isOfLaterOrOurs(value: unknown): value is OfLater | ClusterSettings {
  return isOfLater(value) || isClusterSettings(value);
}

function isPasswords(value: unknown): value is Passwords {
  return (
    isTable(value) &&
    typeof value["provisioned"] === "boolean" &&
    isTable(value["passwords"]) &&
    Object.values(value["passwords"]).every(isText)
  );
}

function isLock(value: unknown): value is { readonly pid: number; readonly started: string } {
  return isTable(value) && typeof value["pid"] === "number" && isText(value["started"]);
}

/** What a full disk has cut off. */
function removeHalf(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {
    // It is no file: nothing of it is ours.
  }
}

/** An earlier release, or a hand, has left it open to others. Throws a {@link Failure} when that cannot be changed. */
function closeToOthers(folder: string): void {
  try {
    if ((statSync(folder).mode & 0o077) !== 0) chmodSync(folder, 0o700);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return;
    throw new Failure(`${folder} is open to other users, and cannot be closed to them: ${reasonOf(error)}`);
  }
}

/** As `mkdirSync` does it with `recursive`, which does not end where a parent is there and takes no entries (/proc). What was made, the innermost first. */
function makeDirectory(path: string): string[] {
  try {
    mkdirSync(path, { mode: 0o700 });
    return [path];
  } catch (error) {
    if (codeOf(error) === "EEXIST" && statSync(path).isDirectory()) return [];
    const parent = dirname(path);
    if (codeOf(error) !== "ENOENT" || existsSync(parent)) throw error;
    const made = makeDirectory(parent);
    mkdirSync(path, { mode: 0o700 });
    return [path, ...made];
  }
}
