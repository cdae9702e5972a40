import { leftDetail } from "../../cluster/group/gateway-member.ts";
import { readSettings, withSettings } from "../../cluster/group/settings.ts";
import type { Cause, Change, MemberState, View } from "../../cluster/group/view.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { epochFault, unsoundness } from "../../cluster/map/sound-map.ts";
import { carriedMapOf } from "../carried-map.ts";
import { checkDiskFormat } from "../disk-format.ts";
import { gatewaysRememberedMax, historyRowsMax } from "../limits.ts";

type ChangeRow = { epoch: number; at: number; kind: string; member: string; before: string; after: string; cause: string; detail: string };

/** What a core group must not forget when its process ends: its epoch, the map, whether it drains, the gateways it knew, the history. */
export class GroupDisk {
  readonly #sql: SqlStorage;
  readonly #kv: SyncKvStorage;

  /** Throws when a later release has written it. */
  constructor(storage: DurableObjectStorage) {
    checkDiskFormat(storage, "the core group");
    this.#sql = storage.sql;
    this.#kv = storage.kv;
    this.#sql.exec("create table if not exists view (epoch integer not null)");
    this.#sql.exec("insert into view (epoch) select 0 where not exists (select 1 from view)");
    this.#sql.exec("create table if not exists settings (value text not null)");
    this.#sql.exec("create table if not exists members (gateway text primary key, state text not null, at integer not null) without rowid");
    this.#sql.exec(
      "create table if not exists history (number integer primary key autoincrement, epoch integer not null, at integer not null, kind text not null, " +
        "member text not null, before text not null, after text not null, cause text not null, detail text not null)",
    );
  }

  readEpoch(): number {
    return this.#sql.exec<{ epoch: number }>("select epoch from view").one().epoch;
  }

  /** One that had said that it ends is `left` on the disk: to an earlier release it is not up. */
  readGateways(): { readonly id: string; readonly state: MemberState; readonly hasLeft: boolean }[] {
    const rows = this.#sql.exec<{ gateway: string; state: string }>("select gateway, state from members order by at");
    return rows.toArray().map(({ gateway, state }) => {
      const hasLeft = state === "left";
      return { id: gateway, state: hasLeft ? "down" : (state as MemberState), hasLeft };
    });
  }

  /**
   * The newest map that was known here; undefined: none but the one that was `deployed`. The table is called by what earlier releases have put into it.
   * They find that in a map as well. `fault`: what is kept cannot be used, and why.
   */
  readMap(deployed: ClusterMap): { readonly map?: ClusterMap; readonly fault?: string } {
    const [row] = this.#sql.exec<{ value: string }>("select value from settings").toArray();
    if (row === undefined) return {};
    const kept = parseJson(row.value);
    const map = carriedMapOf(kept);
    if (map !== undefined) {
      const fault = unsoundness(map);
      return fault === undefined ? { map } : { fault };
    }
    const settings = isMapLike(kept) ? undefined : readSettings(kept);
    if (settings === undefined) return { fault: "it has not the form of a map" };
    const fault = epochFault(settings.version);
    if (fault !== undefined) return { fault };
    return settings.version <= deployed.version ? {} : { map: withSettings(deployed, settings) };
  }

  /** What is kept cannot be used. It stays to be looked at, where nothing reads it. */
  setMapAside(): void {
    this.#sql.exec("create table if not exists settings_aside (value text not null)");
    this.#sql.exec("delete from settings_aside");
    this.#sql.exec("insert into settings_aside (value) select value from settings");
    this.#sql.exec("delete from settings");
  }

  writeMap(map: ClusterMap): void {
    this.#sql.exec("delete from settings");
    this.#sql.exec("insert into settings (value) values (?)", JSON.stringify(map));
  }

  /** Whether the operator has taken this cell out of service. */
  readDraining(): boolean {
    return this.#kv.get<boolean>("draining") ?? false;
  }

  writeDraining(isDraining: boolean): void {
    this.#kv.put("draining", isDraining);
  }

  /** Exchanges that have something left here of a replica that the map has no more. */
  readLeft(): readonly number[] {
    return this.#kv.get<readonly number[]>("left") ?? [];
  }

  writeLeft(exchanges: readonly number[]): void {
    this.#kv.put("left", exchanges);
  }

  /** The epoch of a view before anybody hears of it, and what changed. */
  writeView(view: View, changes: readonly Change[]): void {
    this.#sql.exec("update view set epoch = ?", view.epoch);
    for (const { epoch, at, kind, id, from, to, cause, detail } of changes) {
      this.#sql.exec(
        "insert into history (epoch, at, kind, member, before, after, cause, detail) values (?, ?, ?, ?, ?, ?, ?, ?)",
        epoch,
        at,
        kind,
        id,
        from,
        to,
        cause,
        detail,
      );
      const state = detail === leftDetail ? "left" : to;
      if (kind === "gateway") this.#sql.exec("insert or replace into members (gateway, state, at) values (?, ?, ?)", id, state, at);
    }
    if (changes.length === 0) return;
    this.#sql.exec("delete from history where number <= (select max(number) from history) - ?", historyRowsMax);
    this.#sql.exec(
      "delete from members where gateway not in (select gateway from members order by at desc limit ?)",
      gatewaysRememberedMax,
    );
  }

  /** The latest changes, the newest last. */
  readHistory(rows: number): Change[] {
    const latest = this.#sql.exec<ChangeRow>(
      "select epoch, at, kind, member, before, after, cause, detail from history order by number desc limit ?",
      rows,
    );
    return latest
      .toArray()
      .toReversed()
      .map(({ epoch, at, kind, member, before, after, cause, detail }) => ({
        epoch,
        at,
        kind: kind as Change["kind"],
        id: member,
        from: before as MemberState,
        to: after as MemberState,
        cause: cause as Cause,
        detail,
      }));
  }
}

/** A damaged map is no settings of an earlier release, which have no cells: what was deployed would count as new as it. */
function isMapLike(kept: unknown): boolean {
  return typeof kept === "object" && kept !== null && "cells" in kept;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
