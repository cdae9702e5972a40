import { readSettings, type GroupSettings } from "../../cluster/group/settings.ts";
import type { Cause, Change, MemberState, View } from "../../cluster/group/view.ts";
import { gatewaysRememberedMax, historyRowsMax } from "../limits.ts";

type ChangeRow = { epoch: number; at: number; kind: string; member: string; before: string; after: string; cause: string; detail: string };

/** What a core group must not forget when its process ends: its epoch, the settings, whether it drains, the gateways it knew, the history. */
export class GroupDisk {
  readonly #sql: SqlStorage;
  readonly #kv: SyncKvStorage;

  constructor(storage: DurableObjectStorage) {
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

  readGateways(): { readonly id: string; readonly state: MemberState }[] {
    const rows = this.#sql.exec<{ gateway: string; state: string }>("select gateway, state from members order by at");
    return rows.toArray().map(({ gateway, state }) => ({ id: gateway, state: state as MemberState }));
  }

  readSettings(): GroupSettings | undefined {
    const [row] = this.#sql.exec<{ value: string }>("select value from settings").toArray();
    return row === undefined ? undefined : readSettings(JSON.parse(row.value));
  }

  writeSettings(settings: GroupSettings): void {
    this.#sql.exec("delete from settings");
    this.#sql.exec("insert into settings (value) values (?)", JSON.stringify(settings));
  }

  /** Whether the operator has taken this cell out of service. */
  readDraining(): boolean {
    return this.#kv.get<boolean>("draining") ?? false;
  }

  writeDraining(isDraining: boolean): void {
    this.#kv.put("draining", isDraining);
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
      if (kind === "gateway") this.#sql.exec("insert or replace into members (gateway, state, at) values (?, ?, ?)", id, to, at);
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
