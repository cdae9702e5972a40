import { DurableObject } from "cloudflare:workers";
import type { View } from "../../sip/core-group/view.ts";
import type { SubscriberCredentials } from "../../sip/exchange/credential-cache.ts";
import type { Effect, ExchangeCounts } from "../../sip/exchange/effects.ts";
import { Exchange } from "../../sip/exchange/exchange.ts";
import { sweepMs } from "../../sip/limits.ts";
import type { ClusterMap } from "../../sip/placement/cluster-map.ts";
import { isLine, lineOf } from "../../sip/transport/flow.ts";
import { decodeFrame, encodeFrame, isFrameError, RecordKind, type FrameRecord } from "../../sip/transport/frame.ts";
import { askCell, servingCells, within } from "../cells.ts";
import { clusterMapOf, exchangeName, numberOfName, type Environment } from "../environment.ts";
import { cellAnswerMsMax, sweepAlarmMs } from "../limits.ts";
import { lineListeners } from "../line/line-listeners.ts";
import { randomIds } from "../random-id.ts";
import { hashOf, tokenSigner } from "../signature.ts";
import { Deadlines } from "./deadlines.ts";
import { Disk } from "./disk.ts";
import { framesOf } from "./frames-of.ts";
import { LineCouriers, undeliverableOf } from "./line-couriers.ts";
import { Outbox } from "./outbox.ts";
import { isTrunkError, TrunkSockets } from "./trunk-sockets.ts";

/** What one exchange counts. */
export type CountsOfExchange = ExchangeCounts & { readonly exchange: number };

/** A subscriber to provision. */
export type SubscriberChange = { readonly aor: string } & SubscriberCredentials;

/**
 * One replica of one exchange: a thin shell. It gives events to the core (sip/exchange), one at a time, and carries out what the core
 * wants after each: frames to accesses, records to disk, deadlines, questions to other exchanges.
 */
export class ExchangeObject extends DurableObject<Environment> {
  readonly #map: ClusterMap;
  readonly #number: number;
  readonly #exchange: Exchange;
  readonly #disk: Disk;
  readonly #trunks: TrunkSockets;
  readonly #lines: LineCouriers;
  readonly #deadlines: Deadlines;
  #flushTimer: ReturnType<typeof setTimeout> | null = null;
  /** When records are to be looked at for what has expired, ms. */
  #nextSweep = 0;
  /** Events whose changes are being committed. */
  #committing = 0;

  constructor(ctx: DurableObjectState, env: Environment) {
    super(ctx, env);
    this.#map = clusterMapOf(env);
    this.#number = numberOfName(ctx.id);
    this.#exchange = new Exchange(
      { exchange: this.#number, cell: env.CELL, map: this.#map },
      { sign: tokenSigner(env.TANDEM_SECRET), hash: hashOf, nextId: randomIds() },
      Date.now(),
    );
    this.#disk = new Disk(ctx.storage);
    for (const record of this.#disk.read()) this.#exchange.restore(record);
    // There is no pair to wait for: a removed record needs no row once the disk knows.
    this.#exchange.store.acknowledge(Number.POSITIVE_INFINITY);
    this.#trunks = new TrunkSockets(ctx);
    for (const { access, listeners } of this.#trunks.opened()) this.#exchange.connectAccess(access, listeners);
    this.#lines = new LineCouriers(env, this.#map, this.#number, (access, records) => this.#returned(access, records));
    for (const { id } of this.#map.cells) {
      const listeners = lineListeners(this.#map, id);
      for (let line = 0; line < this.#map.lineCount; line += 1) this.#exchange.connectAccess(lineOf(id, line), listeners);
    }
    this.#deadlines = new Deadlines(ctx.storage, () => void this.#event((now) => this.#exchange.tick(now)));
    this.#sweep(Date.now());
    this.#arm(Date.now());
  }

  /** Takes a gateway's trunk. The caller has checked the signature and says whose it is. */
  override fetch(request: Request): Response {
    const access = request.headers.get("tandem-who");
    if (access === null || request.headers.get("upgrade")?.toLowerCase() !== "websocket") return new Response(null, { status: 426 });
    return this.#trunks.accept(access);
  }

  override async webSocketMessage(socket: WebSocket, data: ArrayBuffer | string): Promise<void> {
    const input = this.#trunks.receive(socket, data);
    if (isTrunkError(input)) {
      console.warn(`exchange ${this.#number}: closed the trunk of a confused gateway: ${input.trunkError}`);
      const lost = this.#trunks.refuse(socket, input);
      if (lost !== undefined) await this.#event(() => this.#exchange.disconnectAccess(lost));
      return;
    }
    const { access, records, opened } = input;
    await this.#event((now) => {
      if (opened !== undefined) this.#exchange.connectAccess(access, opened.listeners);
      if (opened?.isNewBoot === true) this.#exchange.forgetConnections(access, now);
      this.#receive(access, records, now);
    });
    this.#trunks.send(access, []);
  }

  override async webSocketClose(socket: WebSocket): Promise<void> {
    const lost = this.#trunks.closed(socket);
    if (lost !== undefined) await this.#event(() => this.#exchange.disconnectAccess(lost));
  }

  override webSocketError(socket: WebSocket): Promise<void> {
    return this.webSocketClose(socket);
  }

  override async alarm(): Promise<void> {
    this.#deadlines.alarmRang();
    await this.#event((now) => {
      this.#nextSweep = now;
      this.#exchange.tick(now);
    });
  }

  /** A frame from a line. The answer acknowledges it, and brings along what this exchange has for the line. */
  async takeLineFrame(access: string, octets: Uint8Array): Promise<Uint8Array> {
    const frame = decodeFrame(octets);
    if (isFrameError(frame)) throw new Error(`frame from line ${access}: ${frame.frameError}`);
    // What goes into the answer could overtake what is under way to this line already, a CANCEL its INVITE.
    const answering = this.#lines.isIdle(access) ? access : undefined;
    const records = await this.#event((now) => this.#receive(access, frame.records, now), answering);
    const [first = [], ...rest] = framesOf(records);
    for (const some of rest) this.#lines.send(access, some);
    return encodeFrame(0, frame.seq, first);
  }

  /** A subscriber's secrets, for an exchange that authenticates a call from this one's subscriber. */
  credentialsOf(addressOfRecord: string): SubscriberCredentials | undefined {
    return this.#exchange.credentialsOf(addressOfRecord);
  }

  /** Adds or replaces subscribers. Answered when they are on disk. */
  async putSubscribers(changes: readonly SubscriberChange[]): Promise<void> {
    await this.#change((now) => {
      for (const { aor, ...credentials } of changes) this.#exchange.putSubscriber(aor, credentials, now);
    });
  }

  /** Removes a subscriber. False: there was none. */
  async removeSubscriber(addressOfRecord: string): Promise<boolean> {
    let wasThere = false;
    await this.#change((now) => {
      wasThere = this.#exchange.removeSubscriber(addressOfRecord, now);
    });
    return wasThere;
  }

  subscribers(): string[] {
    return this.#exchange.subscribers();
  }

  /** Registrations as a JSON array: 10 000 are text on the way to a client anyhow, and cross to the Worker faster as text. */
  registrations(addressOfRecord: string | undefined): string {
    return JSON.stringify(this.#exchange.registrations(addressOfRecord, Date.now()));
  }

  /** The cell's view has changed. As long as replicas do not share their records, an exchange does nothing because of it. */
  setView(_view: View): void {}

  counts(): CountsOfExchange {
    return { exchange: this.#number, ...this.#exchange.counts(Date.now()) };
  }

  /** One event on the core, and what it wants done. Returns what is for `answering`, an access that waits for an answer. */
  #event(run: (now: number) => void, answering?: string): Promise<FrameRecord[]> {
    const now = Date.now();
    this.#run(() => run(now));
    return this.#carryOut(now, answering);
  }

  /** A change by an operator: it is committed before this resolves, whatever the core wants sent. */
  async #change(run: (now: number) => void): Promise<void> {
    await this.#event(run);
    await this.#commit();
  }

  #receive(access: string, records: readonly FrameRecord[], now: number): void {
    for (const record of records) {
      if (record.kind !== RecordKind.hello) this.#run(() => this.#exchange.receive(access, record, now));
    }
  }

  /** A broken invariant must not take the other calls of this exchange along: it is said, and the next event served. */
  #run(act: () => void): void {
    try {
      act();
    } catch (error) {
      console.error(`exchange ${this.#number}:`, error instanceof Error ? (error.stack ?? error.message) : String(error));
    }
  }

  async #carryOut(now: number, answering?: string): Promise<FrameRecord[]> {
    this.#sweep(now);
    const early = new Outbox();
    const late = new Outbox();
    for (let effects = this.#exchange.takeEffects(); effects.length > 0; effects = this.#exchange.takeEffects()) {
      for (const effect of effects) this.#sort(effect, early, late, now);
    }
    const answer = early.take(answering);
    if (late.isEmpty && this.#committing === 0) this.#trunks.release();
    // Before anything is written: the output gate holds back what is sent after a write, until it is on disk.
    this.#send(early);
    if (late.isEmpty) {
      this.#flushLater();
    } else {
      this.#committing += 1;
      await this.#commit();
      this.#committing -= 1;
      if (this.#committing === 0) this.#trunks.release();
      answer.push(...late.take(answering));
      this.#send(late);
    }
    this.#arm(now);
    return answer;
  }

  #sort(effect: Effect, early: Outbox, late: Outbox, now: number): void {
    switch (effect.type) {
      case "send":
        if (isLine(effect.access) || this.#trunks.has(effect.access))
          (effect.commit !== undefined ? late : early).add(effect.access, effect.record);
        else this.#receive(effect.access, undeliverableOf([effect.record]), now);
        return;
      case "credentials":
        void this.#askForCredentials(effect.addressOfRecord, effect.exchange);
        return;
      case "flows":
        return;
    }
    effect satisfies never;
  }

  #send(outbox: Outbox): void {
    for (const [access, records] of outbox.entries()) {
      const isTaken = isLine(access) ? this.#lines.send(access, records) : this.#trunks.send(access, records);
      if (!isTaken) this.#returned(access, undeliverableOf(records));
    }
  }

  #returned(access: string, records: readonly FrameRecord[]): void {
    void this.#event((now) => this.#receive(access, records, now));
  }

  /**
   * Resolves when everything that has changed so far would survive the end of this process: when it is on disk. What must not be
   * forgotten leaves after this. The write is synchronous; the output gate holds what is sent afterwards until the disk has it.
   */
  async #commit(): Promise<void> {
    this.#flush();
  }

  #flush(): void {
    clearTimeout(this.#flushTimer);
    this.#flushTimer = null;
    this.#disk.write(this.#exchange.store.takeDirty());
  }

  #flushLater(): void {
    if (this.#flushTimer !== null || !this.#exchange.store.hasDirty) return;
    this.#flushTimer = setTimeout(() => this.#flush(), this.#map.flushMs);
  }

  /** Transactions in progress keep the object awake; records that will expire one day only have it wake for a moment. */
  #arm(now: number): void {
    const deadline = this.#exchange.nextDeadline();
    if (deadline !== undefined) return this.#deadlines.armTimer(deadline, now);
    this.#deadlines.disarmTimer();
    if (this.#exchange.store.size > this.#exchange.store.count("subscriber")) void this.#deadlines.armAlarm(now + sweepAlarmMs);
  }

  #sweep(now: number): void {
    if (now < this.#nextSweep) return;
    this.#nextSweep = this.#exchange.sweep(now) ?? now + sweepMs;
  }

  async #askForCredentials(addressOfRecord: string, exchange: number): Promise<void> {
    const answer = await this.#credentialsFrom(addressOfRecord, exchange);
    await this.#event((now) => this.#exchange.credentials(addressOfRecord, answer, now));
  }

  async #credentialsFrom(addressOfRecord: string, exchange: number): Promise<SubscriberCredentials | "unknown" | "unavailable"> {
    const [cell = this.env.CELL] = servingCells(this.#map, exchange);
    try {
      if (cell !== this.env.CELL) {
        const answer = await askCell<SubscriberCredentials | null>(
          this.env,
          this.#map,
          cell,
          `/cell/credentials/${exchange}`,
          addressOfRecord,
        );
        return answer ?? "unknown";
      }
      const object = this.env.EXCHANGE.getByName(exchangeName(exchange));
      return (await within(object.credentialsOf(addressOfRecord), cellAnswerMsMax)) ?? "unknown";
    } catch (error) {
      console.warn(`exchange ${this.#number}: no credentials from exchange ${exchange} in cell ${cell}: ${String(error)}`);
      return "unavailable";
    }
  }
}
