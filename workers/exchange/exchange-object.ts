import { DurableObject } from "cloudflare:workers";
import type { SubscriberCredentials } from "../../actors/exchange/credential-cache.ts";
import type { ExchangeCounts } from "../../actors/exchange/effects.ts";
import type { Exchange } from "../../actors/exchange/exchange.ts";
import type { SipCount } from "../../actors/exchange/sip-tally.ts";
import { LineSockets } from "../../actors/exchange/line-sockets.ts";
import { ExchangeActor, movedText } from "../../actors/exchange/exchange-actor.ts";
import type { DiskPort, ExchangePorts, LogPort } from "../../actors/exchange/ports.ts";
import { decodeFrame, isFrameError } from "../../cluster/backhaul/frame.ts";
import type { CallEnding } from "../../cluster/calls/live-call.ts";
import type { View } from "../../cluster/group/view.ts";
import { countedMsMax } from "../../cluster/limits.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import type { PairState } from "../../cluster/replication/peer-link.ts";
import type { PhoneFlow } from "../../sip/dialog/present-flow.ts";
import type { RecordStore } from "../../sip/record/record-store.ts";
import { serializeRecord } from "../../sip/record/record-text.ts";
import type { SubscriberChange } from "../../sip/record/values.ts";
import { callIdOf } from "../call-id.ts";
import { openCellSocket, within } from "../cells.ts";
import { answerClose, closeQuietly } from "../close-socket.ts";
import { checkDiskFormat } from "../disk-format.ts";
import { diskFullText, DiskRoom } from "../disk-room.ts";
import {
  askForMap,
  clusterMapOf,
  codeOf,
  type Environment,
  environmentOfObject,
  exchangeName,
  isMapKnown,
  numberOfName,
  secretsOf,
} from "../environment.ts";
import { cellAnswerMsMax } from "../limits.ts";
import { acceptFrameSocket } from "../frame-sockets.ts";
import { lineListeners } from "../line/line-listeners.ts";
import { objectTimers } from "../object-timers.ts";
import { randomIds } from "../random-id.ts";
import { changingTokenSigner, hashOf } from "../signature.ts";
import { TimelyCalls } from "../timely-calls.ts";
import { Alarm } from "./alarm.ts";
import { BackhaulSockets } from "./backhaul-sockets.ts";
import { Boots } from "./boots.ts";
import { digestOf, type Digest } from "./digest.ts";
import { Disk } from "./disk.ts";
import { Lines } from "./lines.ts";
import { OtherExchanges } from "./other-exchanges.ts";
import { OwnCoreGroup } from "./own-core-group.ts";
import { OwnLedger } from "./own-ledger.ts";
import { PeerCalls } from "./peer-calls.ts";
import { acceptPeerSocket } from "./peer-socket.ts";
import { PeerBatches } from "./peer-batches.ts";
import { PeerWays } from "./peer-ways.ts";
import { Rest } from "./rest.ts";
import { Room } from "./room.ts";

/**
 * What one exchange counts. `pair`: what this replica is to the other one; `alone`: there is none; `none`: this cell has no replica any more. `code`: which it
 * runs; absent: that of an earlier release.
 */
export type CountsOfExchange = ExchangeCounts & {
  readonly exchange: number;
  readonly pair: PairState | "alone" | "none" | "joining";
  readonly code?: string;
};

/** What a replica has counted since it started, for `/metrics`. */
export type ExchangeMetrics = CountsOfExchange & { readonly sip: readonly SipCount[]; readonly lateMs: number };

const resolved = Promise.resolve();
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * One replica of one exchange as a Durable Object. It decides nothing. What comes goes to the actor (actors/exchange), and its ports carry out what
 * that wants. They are sockets, the disk, the alarm, and calls to other objects and cells.
 */
export class ExchangeObject extends DurableObject<Environment> {
  readonly #number: number;
  readonly #timers = objectTimers();
  readonly #actor: ExchangeActor;
  readonly #backhauls: BackhaulSockets;
  readonly #lines: LineSockets;
  readonly #alarm: Alarm;
  /** Undefined while the actor reads it back from the disk. */
  #store: RecordStore | undefined;

  constructor(ctx: DurableObjectState, shared: Environment) {
    const env = environmentOfObject(shared);
    super(ctx, env);
    const map = clusterMapOf(env);
    this.#number = numberOfName(ctx.id);
    checkDiskFormat(ctx.storage, `exchange ${this.#number}`);
    this.#timers.clock.countAtMost(countedMsMax(map.heartbeat));
    const nextId = randomIds();
    this.#lines = this.#lineSockets();
    const room = new DiskRoom(env.DISK, exchangeName(this.#number), this.#timers.clock.now);
    const rest = new Rest(`${env.CELL} ${this.#number}`);
    this.#alarm = new Alarm(ctx.storage, room);
    this.#actor = new ExchangeActor(
      {
        exchange: this.#number,
        cell: env.CELL,
        boot: nextId(),
        map,
        orphansUntil: rest.orphansUntil,
        lineListeners,
      },
      { sign: changingTokenSigner(() => secretsOf(env)), hash: hashOf, nextId },
      this.#ports(room, rest),
    );
    this.#store = this.#actor.exchange.store;
    this.#backhauls = new BackhaulSockets(ctx);
    this.#backhauls.wake((socket, state, isOpen) => this.#actor.wakeBackhaul(socket, state, isOpen));
    if (isMapKnown(env)) this.#actor.start();
    if (isMapKnown(env) && env.DISK === undefined) return;
    void ctx.blockConcurrencyWhile(() => this.#begin(env));
  }

  /** While nothing else may happen: what this replica is, by the newest map, must be known before it serves anybody, and whether there is room. */
  async #begin(env: Environment): Promise<void> {
    if (!isMapKnown(env)) {
      try {
        this.#actor.setMap(await within(askForMap(env), cellAnswerMsMax));
      } catch (error) {
        console.warn(`exchange ${this.#number}: works from the map that was deployed: ${String(error)}`);
      }
      this.#actor.start();
    }
    if (env.DISK !== undefined) await new Promise<void>((told) => this.#actor.askForRoomAtFirst(told));
  }

  /** Takes a gateway's backhaul, or the WebSocket of the peer or a line. The caller has checked the signature and says whose it is. */
  override fetch(request: Request): Response {
    const who = request.headers.get("tandem-who");
    if (who === null || request.headers.get("upgrade")?.toLowerCase() !== "websocket") return new Response(null, { status: 426 });
    const { pathname, searchParams } = new URL(request.url);
    if (pathname.startsWith("/pair/")) return acceptPeerSocket((batch) => this.takePeerMessage(batch));
    if (pathname.startsWith("/line/")) return acceptFrameSocket((socket) => this.#lines.accept(searchParams.get("access") ?? "", socket));
    return this.#backhauls.accept(who, (access, socket) => this.#actor.acceptBackhaul(access, socket));
  }

  /** Resolves when the frame has been processed: the object stays awake for as long. */
  override async webSocketMessage(socket: WebSocket, data: ArrayBuffer | string): Promise<void> {
    const end = this.#backhauls.endOf(socket);
    if (end === undefined) return closeQuietly(socket, 1002, "a backhaul without a name");
    if (typeof data === "string") return this.#actor.refuseBackhaul(end, "text on a backhaul");
    return await new Promise<void>((over) => this.#actor.takeBackhaulFrame(end, new Uint8Array(data), over));
  }

  override webSocketClose(socket: WebSocket, code: number, reason: string): void {
    answerClose(socket, code, reason);
    this.webSocketError(socket);
  }

  override webSocketError(socket: WebSocket): void {
    const end = this.#backhauls.endOf(socket);
    if (end !== undefined) this.#actor.backhaulClosed(end);
  }

  override async alarm(): Promise<void> {
    this.#alarm.rang();
    await new Promise<void>((over) => this.#actor.alarmRang(over));
  }

  /**
   * A frame from a line. The answer acknowledges it, and brings along what this exchange has for the line. Undefined: it came, or had to wait here,
   * until after this time (ms), and its line has gone to the other replica with it. No new request of it was taken.
   */
  takeLineFrame(access: string, octets: Uint8Array, until?: number): Promise<Uint8Array | undefined> {
    return new Promise((answered, reject) => {
      const refused = (reason: string): void => reject(new Error(reason));
      this.#actor.takeLineFrame({ access, octets, until }, { answered, refused });
    });
  }

  /** A batch of records from the other replica, by a request; the answer. Undefined: that was no such batch, or there is no other replica. */
  takePeerBatch(octets: Uint8Array): Uint8Array | undefined {
    return this.#takeBatch(octets);
  }

  /** The same, over the peer's WebSocket: what is billed otherwise has another name. */
  takePeerMessage(octets: Uint8Array): Uint8Array | undefined {
    return this.#takeBatch(octets);
  }

  /** Records of another exchange that belong to this one, as a batch. Rejects when this is no replica of it. */
  takeHandedOver(octets: Uint8Array): boolean {
    if (!this.#actor.takeHandedOver(decoder.decode(octets))) throw new Error(movedText);
    return true;
  }

  /** One that has come from this one starts. Resolves when it has all that is here of it. */
  handOver(): Promise<void> {
    this.#actor.setMap(clusterMapOf(this.env));
    return new Promise((resolve) => this.#actor.handOver(resolve));
  }

  /** What an access has brought to another exchange. `isSure` false: it is taken if it belongs to an INVITE here. */
  takeOffered(access: string, octets: Uint8Array, isSure: boolean): Promise<boolean> {
    const frame = decodeFrame(octets);
    const record = isFrameError(frame) ? undefined : frame.records[0];
    if (record === undefined) throw new TypeError("no frame with a record");
    return new Promise((resolve) => this.#actor.takeOffered(access, record, isSure, resolve));
  }

  /** The cell's view, or the map, has changed. Answers whether this replica serves yet, or is not to. */
  setView(view: View, map: ClusterMap): { readonly isServing: boolean } {
    this.#timers.clock.countAtMost(countedMsMax(view.heartbeat));
    this.#actor.setMap(map);
    this.#actor.setView(view);
    for (const end of this.#backhauls.closeStrangers(map)) this.#actor.backhaulClosed(end);
    return { isServing: this.#actor.isCaughtUp };
  }

  /** A subscriber's secrets, for an exchange that authenticates a call from this one's subscriber. */
  credentialsOf(addressOfRecord: string): Promise<SubscriberCredentials | undefined> {
    return this.#whenServing(() => this.#ofThis(addressOfRecord).credentialsOf(addressOfRecord));
  }

  /** Where a user's phones are, for an exchange that has a call with one of them. */
  flowsOf(addressOfRecord: string): Promise<PhoneFlow[] | "unavailable"> {
    return this.#whenServing((now) => this.#ofThis(addressOfRecord).flowsOf(addressOfRecord, now));
  }

  /** Adds or replaces subscribers. Answered when they are on disk, and at the peer if it is there: with how many were replaced. */
  putSubscribers(changes: readonly SubscriberChange[]): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#actor.changes.put(changes, (outcome) => (outcome === "full" ? reject(new Error(diskFullText)) : resolve(outcome)));
    });
  }

  /** Removes a subscriber. False: there was none. */
  removeSubscriber(addressOfRecord: string): Promise<boolean> {
    this.#ofThis(addressOfRecord);
    return new Promise((resolve, reject) => {
      this.#actor.changes.remove(addressOfRecord, (outcome) => (outcome === "full" ? reject(new Error(diskFullText)) : resolve(outcome)));
    });
  }

  /** Ends what is registered of an address-of-record, whose domain was removed. False: nothing was. */
  endRegistrations(addressOfRecord: string): Promise<boolean> {
    this.#ofThis(addressOfRecord);
    return new Promise((resolve, reject) => {
      this.#actor.changes.endRegistrations(addressOfRecord, (outcome) =>
        outcome === "full" ? reject(new Error(diskFullText)) : resolve(outcome),
      );
    });
  }

  /** An operator ends a call that stands. Answered when the other replica knows that, or the disk does. */
  endCall(id: string): Promise<CallEnding> {
    return new Promise((resolve) => this.#actor.changes.end((key) => callIdOf(key) === id, resolve));
  }

  subscribers(): Promise<string[]> {
    return this.#whenServing(() => this.#actor.exchange.subscribers());
  }

  /** Registrations as a JSON array: 10 000 are text on the way to a client anyhow, and cross to the Worker faster as text. */
  registrations(addressOfRecord: string | undefined): Promise<string> {
    return this.#whenServing((now) => JSON.stringify(this.#actor.exchange.registrations(addressOfRecord, now)));
  }

  /** Calls that stand now, as a JSON array. */
  liveCalls(addressOfRecord: string | undefined): Promise<string> {
    return this.#whenServing(() => JSON.stringify(this.#actor.exchange.liveCalls(addressOfRecord)));
  }

  /** What is known of a call by its id, as a JSON array. It stands now, or it is over and its record is still here: that is a list, and the other is none. */
  callNamed(id: string): Promise<string> {
    return this.#whenServing(() => {
      const { exchange } = this.#actor;
      const live = exchange.liveCalls(undefined).filter(({ key }) => callIdOf(key) === id);
      const over = Array.from(exchange.store.records("call")).filter(({ key }) => callIdOf(key) === id);
      return `[${[...over.map((record) => serializeRecord(record)), ...live.map((call) => JSON.stringify(call))].join(",")}]`;
    });
  }

  /** Does not wait for anything: this is also how one sees that a replica does not serve. */
  counts(): CountsOfExchange {
    const counts = this.#actor.exchange.counts(this.#timers.clock.now());
    return { exchange: this.#number, pair: this.#actor.pairState, code: codeOf(this.env), ...counts };
  }

  metrics(): ExchangeMetrics {
    const { exchange } = this.#actor;
    return { ...this.counts(), sip: exchange.sipCounts(), lateMs: exchange.lateMs };
  }

  /** Of what is in memory now: for whoever compares the two replicas. */
  digest(): Digest {
    return digestOf(this.#actor.exchange.store);
  }

  /** Throws when another exchange has what belongs to this name: whoever asks has an older map. */
  #ofThis(addressOfRecord: string): Exchange {
    const { exchange } = this.#actor;
    if (exchange.isElsewhere(addressOfRecord)) throw new Error(movedText);
    return exchange;
  }

  #takeBatch(octets: Uint8Array): Uint8Array | undefined {
    const answer = this.#actor.takePeerBatch(decoder.decode(octets));
    return answer === undefined ? undefined : encoder.encode(answer);
  }

  #whenServing<Result>(run: (now: number) => Result): Promise<Result> {
    return new Promise((resolve, reject) => {
      const answer = (now: number): void => {
        try {
          resolve(run(now));
        } catch (error) {
          reject(error);
        }
      };
      this.#actor.whenServing(answer, (reason) => reject(new Error(reason)));
    });
  }

  #ports(room: DiskRoom, rest: Rest): ExchangePorts {
    const { ctx, env } = this;
    const calls = new TimelyCalls(env, this.#timers.clock.now);
    const batches = new PeerWays((peer) => this.#peerBatches(peer, calls));
    return {
      now: this.#timers.clock.now,
      wallAt: this.#timers.clock.wallAt,
      timer: this.#timers.timer,
      // In workerd queueMicrotask costs twenty times as much.
      soon: (run) => void resolved.then(run),
      alarm: this.#alarm,
      rest,
      disk: this.#disk(),
      boots: new Boots(ctx.storage, room),
      room: new Room(room),
      peer: batches,
      lines: new Lines(env, this.#number, calls, this.#lines),
      others: new OtherExchanges(env),
      coreGroup: new OwnCoreGroup({
        env,
        exchange: this.#number,
        timer: this.#timers.timer,
        told: (view, map) => {
          this.#actor.setMap(map);
          this.#actor.setFirstView(view);
        },
        errors: batches,
      }),
      calls: new OwnLedger(env, this.#number),
      log: this.#log(),
      restart: (reason) => ctx.abort(reason),
      empty: (reason) => void this.#empty(reason),
    };
  }

  /** Those of lines of other cells. */
  #lineSockets(): LineSockets {
    const { clock, timer } = this.#timers;
    return new LineSockets({
      now: clock.now,
      wallAt: clock.wallAt,
      timer,
      take: (access, octets, until, answer) =>
        this.#actor.takeLineFrame(
          { access, octets, until },
          { answered: (frame) => answer(frame ?? "late"), refused: (reason) => answer(new Error(reason)) },
        ),
    });
  }

  #peerBatches(peer: string, calls: TimelyCalls): PeerBatches {
    const peerCalls = new PeerCalls({
      now: this.#timers.clock.now,
      request: (batch, signal) => calls.ask(peer, `/cell/pair/${this.#number}`, batch, signal),
      open: (signal) => openCellSocket(this.env, clusterMapOf(this.env), peer, `/pair/${this.#number}`, `pair ${this.#number}`, signal),
    });
    return new PeerBatches({
      call: (batch) => peerCalls.ask(batch),
      answered: (id, answer) => this.#actor.peerAnswered(id, answer),
      failed: (id, isRefused, cause) => this.#actor.peerFailed(id, isRefused, cause),
    });
  }

  /** A write that fails ends this start of the object: the next one has the disk and the peer. */
  #disk(): DiskPort {
    const disk = new Disk(this.ctx.storage, (record) => this.#store?.textOf(record) ?? serializeRecord(record));
    return {
      readMemory: () => disk.readMemory(),
      setMemory: (memory) => disk.setMemory(memory),
      read: () => disk.read(),
      write: (rows) => {
        try {
          disk.write(rows);
        } catch (error) {
          console.error(`exchange ${this.#number}: the disk does not take records: ${String(error)}`);
          this.ctx.abort("the disk does not take records");
          throw error;
        }
      },
      cleaningOctets: (records) => disk.cleaningOctets(records),
    };
  }

  /** The next start has nothing but what its peer tells it. */
  async #empty(reason: string): Promise<void> {
    await this.ctx.storage.deleteAll();
    await this.ctx.storage.sync();
    this.ctx.abort(reason);
  }

  #log(): LogPort {
    return {
      warn: (text) => console.warn(text),
      error: (text) => console.error(text),
      threw: (error) => console.error(`exchange ${this.#number}:`, error instanceof Error ? (error.stack ?? error.message) : String(error)),
    };
  }
}
