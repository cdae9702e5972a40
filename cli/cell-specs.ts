import { join } from "node:path";
import { type ClusterMap, pairOf } from "../cluster/map/cluster-map.ts";
import { type Bundle, bundleOf, codeOfBundle, modulesFor } from "./bundle.ts";
import { type Broken, setBrokenAside } from "./databases.ts";
import { descriptorsMax, softphonesMaxFor } from "./descriptors.ts";
import { type CellOfLayout, httpHostOf } from "./layout.ts";
import type { KnownProgram } from "./local-programs.ts";
import type { LocalMembers } from "./local-members.ts";
import type { Reporter } from "./reporter.ts";
import type { Settings } from "./settings.ts";
import { shownPath } from "./shown-path.ts";
import type { StateDirectory } from "./state-directory.ts";
import type { ProcessSpec } from "./supervisor.ts";
import { cellConfigText, objectsOf, readWorkerSettings } from "./workerd-config.ts";

export type CellSpecsOptions = {
  readonly settings: Settings;
  readonly state: StateDirectory;
  readonly reporter: Reporter;
  /** Those of this machine, in a system with an authority. */
  readonly members: LocalMembers | undefined;
  /** What cells sign tokens and nonces with. */
  readonly secret: () => string;
  /** What a process runs: `cell a`. */
  readonly programOf: (name: string) => KnownProgram;
  readonly mapFor?: ((cell: string, map: ClusterMap) => ClusterMap) | undefined;
  readonly wrap?: ((bundle: Bundle, cell: string) => Bundle) | undefined;
  readonly mayEvict?: boolean | undefined;
};

export type BrokenOfCell = Broken & { readonly cell: string };

/** How the cells of this machine are started, and what is found out of their databases before that. */
export class CellSpecs {
  readonly #options: CellSpecsOptions;
  /** What cells run; made at the start. */
  script: Bundle = { directory: "", modules: [] };
  /** By cell: exchanges that are to be filled by their peers. */
  readonly refilling = new Map<string, Set<number>>();
  /** Cells by objects whose databases could not be read since the start. */
  readonly #brokenIn = new Map<string, Set<string>>();

  constructor(options: CellSpecsOptions) {
    this.#options = options;
  }

  /** Where a cell finds out whether its disk has room. */
  roomOf(cell: string): string {
    return join(this.#options.state.file("cells", cell), "room");
  }

  /** How a cell is started that works from this map until it hears of a newer one. `broken`: takes what cannot be read there. */
  specOf(cell: CellOfLayout, map: ClusterMap, broken: BrokenOfCell[] = []): ProcessSpec {
    const { settings, mapFor, state, wrap, secret, programOf, mayEvict = false } = this.#options;
    const { id, port, url } = cell;
    const own = this.#options.members?.cellOf(cell);
    const [storage, room, file] = [state.file("cells", id), this.roomOf(id), state.file(`cell-${id}.capnp`)];
    state.makeDirectory("cells", id, "room");
    const { program, folder } = programOf(`cell ${id}`);
    const script = folder === undefined ? this.script : bundleOf(program);
    const worker = readWorkerSettings(program.wranglerFile, id);
    const softphonesMax = softphonesAt(map);
    const bundle = wrap?.(script, id) ?? script;
    const text = cellConfigText({
      cell: id,
      host: httpHostOf(settings),
      port,
      settings: worker,
      modules: modulesFor(bundle, file),
      storage,
      room,
      mayEvict,
      texts: {
        CELL: id,
        CODE: codeOfBundle(bundle),
        CLUSTER: JSON.stringify(mapFor?.(id, map) ?? map),
        ...(softphonesMax === undefined ? {} : { SOFTPHONES_MAX: String(softphonesMax) }),
        ...(own === undefined ? {} : { MEMBERS_SOCKET: own.socket.host }),
      },
      fromEnvironment: ["TANDEM_SECRET", ...Object.keys(own?.environment ?? {})],
      ...(own === undefined ? {} : { members: own.socket }),
    });
    state.write(`cell-${id}.capnp`, text, 0o600);
    const look = (): BrokenOfCell[] =>
      setBrokenAside(storage, objectsOf(id, worker.objects, map), new Date()).map((each) => ({ ...each, cell: id }));
    broken.push(...look());
    let isFirst = true;
    return {
      name: `cell ${id}`,
      command: [program.workerd(), "serve", file, "config"],
      environment: { TANDEM_SECRET: secret(), ...own?.environment },
      readiness: { url: `${url}/` },
      prepare: () => {
        // At the start all have been looked at, before the first line: what it promises may be broken in the next cell.
        if (!isFirst) this.sayWhatIsBroken(look(), map);
        isFirst = false;
      },
    };
  }

  /** Says of databases that were set aside what follows from it. */
  sayWhatIsBroken(all: readonly BrokenOfCell[], map: ClusterMap): void {
    const { reporter, state } = this.#options;
    for (const { object = "", cell } of all) this.#brokenIn.set(object, (this.#brokenIn.get(object) ?? new Set()).add(cell));
    for (const [index, { object, keptAs, reason, cell }] of all.entries()) {
      const whose = object === undefined ? "a file of the runtime" : `the database of ${object.replace(/-(?=\d)/, " ")}`;
      const exchange = Number(/^exchange-(\d+)$/.exec(object ?? "")?.[1] ?? Number.NaN);
      const cells = this.#brokenIn.get(object ?? "") ?? new Set();
      const { primary, secondary } = Number.isNaN(exchange) ? { primary: cell, secondary: cell } : pairOf(map, exchange);
      const isLost = !Number.isNaN(exchange) && [primary, secondary].every((each) => cells.has(each) || map.replication.enabled === false);
      const other = primary === cell ? secondary : primary;
      // How to go on is said once, with the last of them.
      const isSaidLater = all.slice(index + 1).some((each) => each.object === object);
      const next = Number.isNaN(exchange)
        ? "it is made again"
        : !isLost
          ? `what was in it comes from cell ${other}`
          : isSaidLater
            ? `that of cell ${other} cannot be read either`
            : "no other has what was in it: phones register again by themselves; import the subscribers, or stop and put a backup of the cells in place";
      if (!Number.isNaN(exchange) && !isLost) this.refilling.set(cell, (this.refilling.get(cell) ?? new Set()).add(exchange));
      reporter.event(`cell ${cell}`, "set aside", `${whose} cannot be read (${reason}) and is kept as ${shownPath(keptAs)}; ${next}`);
      const known = isLost ? state.readPasswords() : undefined;
      // The first subscribers are known: those are put again.
      if (known !== undefined) state.writePasswords({ ...known, provisioned: false });
    }
  }
}

/** How many softphones a cell may have at once; undefined: nobody knows. */
export function softphonesAt(map: ClusterMap): number | undefined {
  const descriptors = descriptorsMax();
  return descriptors === undefined ? undefined : softphonesMaxFor(descriptors, map.exchangeCount);
}
