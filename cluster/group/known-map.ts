import type { ClusterMap } from "../map/cluster-map.ts";
import { doubled, withExchangesOf } from "../map/doubling.ts";
import { asDeployed, mapAtStart, statedAt } from "../map/deployed-map.ts";
import { withCells } from "../map/map-change.ts";
import { isNewer, mapVersionOf, mapVersionText, type MapVersion, uponOf } from "../map/map-version.ts";
import { revokedIn, withRevokedBeside, withRevokedWritten } from "../map/members.ts";
import { epochFault, unsoundness } from "../map/sound-map.ts";
import { type Fence, type Heartbeat, versionIn } from "./heartbeat.ts";
import { servicesOf, singletonsOf } from "./singletons.ts";
import { type GroupSettings, withSettings } from "./settings.ts";

/** What of the map is to be another. Its version follows. */
export type MapChange = Partial<Omit<ClusterMap, "version" | "writer" | "statedAt">>;

/** The newest cluster map that a core group knows, and how newer ones come about: they are written here, or heard of. */
export class KnownMap {
  readonly #deployed: ClusterMap;
  #map: ClusterMap;
  /** The latest epoch of each service that was known here. */
  readonly #fences = new Map<string, MapVersion>();
  /** The highest epoch that any cell has told of. */
  #epochSeen: number;
  /** The version that was refused last: nobody is asked for it again. */
  #refused: MapVersion | undefined;
  /** Cells of which a map was refused, which was said, since the last one was taken. */
  readonly #said = new Set<string>();
  #news: string | undefined;

  /** `kept`: the newest one that was known before; undefined: none but the one that was deployed. */
  constructor(deployed: ClusterMap, kept: ClusterMap | undefined) {
    this.#deployed = deployed;
    this.#map = mapAtStart(deployed, kept);
    this.#noteFences();
    this.#epochSeen = this.#map.version;
  }

  get map(): ClusterMap {
    return this.#map;
  }

  /** The map, for one who has an older one; undefined: he has not, or nobody knows. */
  newsFor(version: MapVersion | undefined): ClusterMap | undefined {
    return version !== undefined && isNewer(mapVersionOf(this.#map), version) ? this.#map : undefined;
  }

  /** The version that the next change gets. */
  nextVersion(writer: string): MapVersion {
    return { epoch: this.#epochSeen + 1, writer };
  }

  /** A new version, by this writer. Returns why there is none: what it would say is not sound. Other cells have things follow that are written with them. */
  write(change: MapChange, writer: string): string | undefined {
    const before = this.#map;
    const { cells, exchangeCount } = change;
    const isUnsaid = cells !== undefined && before.singletons === undefined;
    const follows = cells === undefined ? {} : { ...withCells(before, cells), ...(isUnsaid ? { singletons: servicesOf(before) } : {}) };
    const more = exchangeCount === undefined ? {} : doubled(before);
    const changed = { ...before, ...follows, ...change, ...more, version: this.#epochSeen + 1, writer, statedAt: statedAt(before) };
    const map = withRevokedWritten(changed);
    const fault = unsoundness(map, before);
    if (fault !== undefined) return `map ${map.version} is not written: ${fault}`;
    this.#epochSeen += 1;
    this.#take(map);
    return undefined;
  }

  /**
   * Another cell says which map it has, or what it is. `newer`: now it is known here as well. `to be asked`: it is newer, and the cell will tell it to
   * one who shows that he has an older one. `refused`: that map is not sound, so the one that is known here stays.
   */
  hear(heartbeat: Heartbeat): "newer" | "to be asked" | "known" | "refused" {
    const { settings, map } = heartbeat;
    const version = versionIn(heartbeat) ?? { epoch: settings.version, writer: "" };
    const epochWrong = epochFault(version.epoch, this.#map.version);
    if (epochWrong !== undefined) return this.#refuse(heartbeat.cell, version, epochWrong);
    this.#epochSeen = Math.max(this.#epochSeen, version.epoch);
    if (versionIn(heartbeat) === undefined) return this.#hearSettings(settings);
    if (!isNewer(version, mapVersionOf(this.#map))) return "known";
    if (map === undefined) return isSame(version, this.#refused) ? "refused" : "to be asked";
    const fault = isSame(version, mapVersionOf(map)) ? unsoundness(map, this.#map) : "it has another version than was said";
    if (fault !== undefined) return this.#refuse(heartbeat.cell, version, fault);
    const taken = withExchangesOf(asDeployed(this.#withOwn(map), this.#deployed), this.#map);
    this.#take(withRevokedBeside(taken, revokedIn(this.#map)));
    return "newer";
  }

  /** Another cell knows of keys that were revoked where its map comes from. True: they were not known here. */
  hearRevoked({ revoked = [] }: Heartbeat): boolean {
    const map = withRevokedBeside(this.#map, revoked);
    if (map === this.#map) return false;
    this.#take(map);
    return true;
  }

  /** Why a map was refused, to be said once; undefined: nothing is to be said. */
  takeNews(): string | undefined {
    const news = this.#news;
    this.#news = undefined;
    return news;
  }

  /** Services of which a later epoch was known here than the map says: it has lost to one of another side. Who was told of that epoch refuses the map's. */
  fences(): readonly Fence[] {
    return singletonsOf(this.#map).flatMap(({ name, since }) => {
      const known = this.#fences.get(name);
      return known !== undefined && isNewer(known, since) ? [{ name, since: known }] : [];
    });
  }

  /**
   * Somebody speaks who is no member. True: it is a cell that was removed, and on its side of a cut it has written a map that is newer than the one here.
   * The next that is written here is newer still.
   */
  meetsFormer(heartbeat: Heartbeat): boolean {
    const version = versionIn(heartbeat);
    const isFormer = this.#map.former?.includes(heartbeat.cell) ?? false;
    if (version === undefined || !isFormer || epochFault(version.epoch, this.#map.version) !== undefined) return false;
    this.#epochSeen = Math.max(this.#epochSeen, version.epoch);
    return isNewer(version, mapVersionOf(this.#map));
  }

  #hearSettings(settings: GroupSettings): "newer" | "known" {
    if (settings.version <= this.#map.version) return "known";
    this.#take(withSettings(this.#map, settings));
    return "newer";
  }

  /** Settings were laid upon an older map than the one that is known here. They are laid upon this one, and what it says beside them is not lost. */
  #withOwn(map: ClusterMap): ClusterMap {
    const upon = uponOf(map);
    if (upon === undefined || !isNewer(uponOf(this.#map) ?? mapVersionOf(this.#map), upon)) return map;
    return withSettings(this.#map, { version: map.version, heartbeat: map.heartbeat });
  }

  #take(map: ClusterMap): void {
    this.#map = map;
    this.#said.clear();
    this.#noteFences();
  }

  #noteFences(): void {
    for (const { name, since } of singletonsOf(this.#map)) {
      const known = this.#fences.get(name);
      if (known === undefined || isNewer(since, known)) this.#fences.set(name, since);
    }
  }

  #refuse(cell: string, version: MapVersion, fault: string): "refused" {
    this.#refused = version;
    if (!this.#said.has(cell)) this.#news = `map ${mapVersionText(version)} is not taken from cell ${cell}: ${fault}`;
    this.#said.add(cell);
    return "refused";
  }
}

function isSame(one: MapVersion, other: MapVersion | undefined): boolean {
  return one.epoch === other?.epoch && one.writer === other.writer;
}
