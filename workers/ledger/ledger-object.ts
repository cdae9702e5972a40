import { DurableObject } from "cloudflare:workers";
import { LedgerActor, type LedgerPorts } from "../../actors/ledger/ledger-actor.ts";
import { ledgerChunkMax } from "../../actors/limits.ts";
import { nobodyYet, type Collector } from "../../cluster/calls/collector.ts";
import {
  isCopied,
  isRead,
  isDelivery,
  isTaking,
  type Copied,
  type Copying,
  type Read,
  type Reading,
  type Taking,
} from "../../cluster/calls/messages.ts";
import { callRecordsOf } from "../../cluster/calls/retention.ts";
import { askCell, CellAnswerError, within } from "../cells.ts";
import { checkDiskFormat } from "../disk-format.ts";
import { diskFullText, DiskRoom } from "../disk-room.ts";
import { clusterMapOf, codeOf, coreGroupObject, type Environment, environmentOfObject, ledgerName } from "../environment.ts";
import { objectTimers } from "../object-timers.ts";
import { callRecordOctetsUsual, cellAnswerMsMax, ledgerSweepMs } from "../limits.ts";
import { warnOf } from "../way-lost.ts";
import { CallTable, hasCallTable } from "./call-table.ts";
import type { AskedOfLedger, Listing } from "./question.ts";

type Opened = { readonly table: CallTable; readonly actor: LedgerActor };

/**
 * The ledger of this cell: it gives {@link LedgerActor} a table and the ledgers of other cells. It does nothing by itself but to forget once a day what is
 * too old, so it sleeps while nobody calls. It writes nothing without having asked for room, and makes its tables when something is to be kept.
 */
export class LedgerObject extends DurableObject<Environment> {
  readonly #room: DiskRoom;
  #opened: Opened | undefined;
  #isSweepSet = false;

  /** Throws when a later release has written its database. */
  constructor(ctx: DurableObjectState, shared: Environment) {
    const env = environmentOfObject(shared);
    super(ctx, env);
    checkDiskFormat(ctx.storage, "the ledger");
    this.#room = new DiskRoom(env.DISK, ledgerName, () => Date.now());
  }

  /** What there is already: nothing is written to know it. */
  get #made(): Opened | undefined {
    return this.#opened !== undefined || hasCallTable(this.ctx.storage) ? this.#open() : undefined;
  }

  /** Its tables are made where there are none: where there is room for them. */
  #open(): Opened {
    if (this.#opened !== undefined) return this.#opened;
    const table = new CallTable(
      this.ctx.storage,
      () => callRecordsOf(clusterMapOf(this.env)),
      () => Date.now(),
    );
    this.#opened = { table, actor: new LedgerActor(this.env.CELL, this.#ports(table)) };
    return this.#opened;
  }

  /** Records of an exchange of this cell, or of another cell's that its ledger passes on. */
  async take(text: string): Promise<Taking> {
    const delivery: unknown = JSON.parse(text);
    if (!isDelivery(delivery)) throw new TypeError("no call records");
    if (!(await this.#hasRoomFor(delivery.records.length))) return { outcome: "failed", owner: this.#made?.table.owner ?? nobodyYet };
    const taking = await new Promise<Taking>((told) => this.#open().actor.take(delivery, told));
    await this.#setSweep();
    return taking;
  }

  async copied(message: Copying): Promise<Copied> {
    if (!(await this.#hasRoomFor(message.records.length))) throw new Error(diskFullText);
    const answer = this.#open().actor.copied(message);
    await this.#setSweep();
    return answer;
  }

  /** It keeps who has asked. */
  async readBy(message: Reading): Promise<Read> {
    if (!(await this.#hasRoomFor(1))) throw new Error(diskFullText);
    return this.#open().actor.readBy(message);
  }

  /** What was asked, if this is the collector's ledger, or may answer in its place. Without room it has not read the others, and says what it has. */
  async list({ query, isAnyGood }: AskedOfLedger): Promise<Listing> {
    const hasRoom = await this.#hasRoomFor(1);
    const collector = hasRoom
      ? await new Promise<Collector | undefined>((told) => this.#open().actor.whenRead(told))
      : await this.#collector();
    if (!isAnyGood && collector?.cell !== this.env.CELL) return { collector: collector?.cell };
    return { records: this.#made?.table.find(query) ?? [] };
  }

  /** Whether it can do its work: it reads, and what it writes is kept. One that has had nothing to do takes no room for the answer. */
  async isAlive(): Promise<boolean> {
    const made = this.#made;
    if (made === undefined && !this.#room.isFull) return true;
    if (!(await this.#hasRoomFor(1))) return false;
    await this.#setSweep();
    return made?.table.isWell() ?? true;
  }

  /** Does nothing else. */
  stayAwake(): void {}

  code(): string {
    return codeOf(this.env);
  }

  override async alarm(): Promise<void> {
    this.#isSweepSet = false;
    const made = this.#made;
    // Without room nothing is forgotten yet. Whoever finds room sets the next sweep.
    if (made === undefined || !(await this.#hasRoomFor(1))) return;
    made.table.forgetOld();
    await this.#setSweep();
  }

  /** Records are forgotten in time, though nobody calls any more. */
  async #setSweep(): Promise<void> {
    if (this.#isSweepSet || this.#made === undefined || this.#made.table.count === 0) return;
    const isSet = (await this.ctx.storage.getAlarm()) !== null;
    if (!isSet && !(await this.#hasRoomFor(1))) return;
    this.#isSweepSet = true;
    if (!isSet) await this.ctx.storage.setAlarm(Date.now() + ledgerSweepMs);
  }

  async #hasRoomFor(records: number): Promise<boolean> {
    return await this.#room.ask(records * callRecordOctetsUsual);
  }

  #ports(table: CallTable): LedgerPorts {
    const { env } = this;
    const ask = async <Answer>(
      cell: string,
      path: string,
      message: unknown,
      is: (answer: unknown) => answer is Answer,
    ): Promise<Answer | undefined> => {
      try {
        const answer = await askCell<unknown>(env, clusterMapOf(env), cell, path, message);
        // What it says is kept. Without room it has said nothing.
        return is(answer) && (await this.#hasRoomFor(ledgerChunkMax)) ? answer : undefined;
      } catch (error) {
        // That a cell is not there says the core group.
        if (error instanceof CellAnswerError) console.warn(`the ledger of cell ${cell}: ${error.message}`);
        return undefined;
      }
    };
    return {
      disk: table,
      timer: objectTimers().timer,
      collector: (told) => void this.#collector().then(async (collector) => told((await this.#hasRoomFor(1)) ? collector : undefined)),
      pass: (cell, delivery, told) => void ask(cell, "/cell/ledger/take", delivery, isTaking).then(told),
      copy: (cell, message, told) => void ask(cell, "/cell/ledger/copy", message, isCopied).then(told),
      read: (cell, message, told) => void ask(cell, "/cell/ledger/read", message, isRead).then(told),
    };
  }

  async #collector(): Promise<Collector | undefined> {
    try {
      return await within(coreGroupObject(this.env).collector(), cellAnswerMsMax);
    } catch (error) {
      warnOf("the core group does not say who collects call records", error);
      return undefined;
    }
  }
}
