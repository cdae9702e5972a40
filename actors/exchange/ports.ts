import type { FrameRecord } from "../../cluster/backhaul/frame.ts";
import type { SeenCause } from "../../cluster/group/view.ts";
import type { PairState } from "../../cluster/replication/peer-link.ts";
import type { PhoneFlow } from "../../sip/dialog/present-flow.ts";
import type { Listener } from "../../sip/flow/flow.ts";
import type { Memory } from "../../sip/record/memory.ts";
import type { Rows } from "../../sip/record/record-store.ts";
import type { StateRecord } from "../../sip/record/state-record.ts";
import type { MakeTimer } from "../timer.ts";
import type { CallsPort } from "./call-courier.ts";
import type { SubscriberCredentials } from "./credential-cache.ts";
import type { Clocks, WallMs } from "../../sip/time.ts";

/** What an exchange actor needs of the process that it lives in. A port never calls back before it has returned, unless it says so. */
export type ExchangePorts = Clocks & {
  /** A timer that is set keeps an object awake. */
  readonly timer: MakeTimer;
  /** Runs when the present event is over and before the next one: a microtask. */
  readonly soon: (run: () => void) => void;
  readonly alarm: AlarmPort;
  readonly rest: RestPort;
  readonly disk: DiskPort;
  readonly boots: BootsPort;
  readonly room: RoomPort;
  readonly peer: PeerPort;
  readonly lines: LinePort;
  readonly others: OtherExchangesPort;
  readonly coreGroup: CoreGroupPort;
  readonly calls: CallsPort;
  readonly log: LogPort;
  /** Ends this actor. The next one has the disk, and what its peer knows. */
  readonly restart: (reason: string) => void;
  /** The same, and the next one has an empty disk. */
  readonly empty: (reason: string) => void;
};

/** Wakes an object that sleeps. */
export type AlarmPort = {
  /** Rings at this time at the latest, as `alarmRang` of the actor. */
  arm(at: WallMs): void;
};

/** What a replica that sleeps has lost nothing of: it outlives the actor, and ends with the process. */
export type RestPort = {
  /** Nothing is in progress. `orphansUntil`: what the next start of this actor is to be given. Called with every event. */
  begin(orphansUntil: WallMs): void;
  /** Something is. */
  end(): void;
};

/** All of it happens within the call. */
export type DiskPort = {
  /** How far the memory of this disk's replica goes back. Undefined: this is the first start with it. */
  readMemory(): Memory | undefined;
  /** Is written with the next write, though that has no records. */
  setMemory(memory: Memory): void;
  read(): Iterable<StateRecord>;
  /** Throws when the disk does not take it: then this actor is over, because its memory counts as written what is not. */
  write(rows: Rows): void;
  /** What the next write, of so many records, may write beside them. */
  cleaningOctets(records: number): number;
};

/** Which start of each access was met last. It outlives the actor. */
export type BootsPort = {
  of(access: string): string | undefined;
  /** Known from now on; written when there is room. */
  keep(access: string, boot: string): void;
};

/** Whether the disk has room. */
export type RoomPort = {
  /** As it was found when it was asked last. */
  readonly isFull: boolean;
  /** Whether so many octets may be written now. True: yes, and `told` is not called. Else it is called, and a write has to be done within that call. */
  ask(octets: number, told: (isRoom: boolean) => void): boolean;
  /** The same while nothing else may happen, at the start. */
  askInside(octets: number, told: (isRoom: boolean) => void): boolean;
};

/** The other replica. Which cell that is in may change, and no number of a batch comes twice. */
export type PeerPort = {
  /** Brings a batch to it, in this cell. What became of it is told to the actor: `peerAnswered` or `peerFailed`. */
  send(id: number, batch: string, cell: string): void;
  /** Nobody waits for that answer any more. Nothing is told. */
  abandon(id: number): void;
};

export type LinePort = {
  /** Brings a frame to a line. `done` gets the frame that answers it; undefined: the line did not take it, or not in time. */
  bring(access: string, frame: Uint8Array, done: (answer: Uint8Array | undefined) => void): void;
};

/** Questions to the other exchanges. Not answered in time they are answered with `unavailable`, or with false. */
export type OtherExchangesPort = {
  /** Brings records to an exchange that they belong to, as a batch: in this cell if it is here. `answered`: whether it has taken them. */
  give(exchange: number, batch: string, answered: (isTaken: boolean) => void): void;
  /** Has an exchange of this cell bring this one what belongs to it. `answered`: whether it has. */
  askElder(exchange: number, answered: (hasTold: boolean) => void): void;
  /** Brings what came from an access to another exchange, as if that had brought it there. `answered`: whether it was taken. */
  offer(offered: Offered, answered: (isTaken: boolean) => void): void;
  credentials(
    addressOfRecord: string,
    exchange: number,
    answered: (answer: SubscriberCredentials | "unknown" | "unavailable") => void,
  ): void;
  flows(addressOfRecord: string, exchange: number, answered: (answer: readonly PhoneFlow[] | "unavailable") => void): void;
};

/** What an access has brought to one exchange, and may be for another one. */
export type Offered = {
  readonly exchange: number;
  /** That one's replicas to be asked, in this order, until one answers. */
  readonly cells: readonly string[];
  readonly access: string;
  readonly record: FrameRecord;
  /** False: it is taken if it belongs to an INVITE there. */
  readonly isSure: boolean;
};

export type CoreGroupPort = {
  /** Asks for the view, which is told to the actor: `setFirstView`. `isSyncing`: `caughtUp` will follow. */
  askForView(isSyncing: boolean): void;
  /** This replica has caught up with its peer. */
  caughtUp(): void;
  /** A cell cannot be reached from here. */
  suspect(cell: string, cause: SeenCause): void;
  /** This replica is something else to its peer than it was. */
  pairChanged(state: PairState, cause: string): void;
  /** This cell, which is to take the place of the secondary, has been told all that there is. Undefined: none has, or not any more. */
  copied(cell: string | undefined): void;
  /** Nothing is here that belongs to another exchange, now that there are so many. */
  handedOver(exchangeCount: number): void;
  /** The map has no replica here, and nothing is left of one. */
  emptied(): void;
};

export type LogPort = {
  warn(text: string): void;
  error(text: string): void;
  /** An invariant is broken. */
  threw(error: unknown): void;
};

/** What must be known of a backhaul when the actor wakes: plain data. */
export type BackhaulState = {
  /** Undefined until the hello. */
  readonly boot: string | undefined;
  readonly access: string;
  readonly listeners: readonly Listener[];
  /** Numbers of the last frame sent and received. */
  readonly sent: number;
  readonly received: number;
  /** The last frame that may be acknowledged: all that came of it is committed. */
  readonly done: number;
  /** The last acknowledgement sent. */
  readonly acknowledged: number;
  /** Whether it was told last that this replica serves; undefined: nothing yet. */
  readonly toldServing: boolean | undefined;
};

/** The socket of one backhaul. */
export type BackhaulSocket = {
  /** False: it has died, and its end has not been told yet. */
  send(frame: Uint8Array): boolean;
  close(code: number, reason: string): void;
  /** Keeps what an actor that wakes is given, until the event is over. Called more than once a frame. */
  keep(state: BackhaulState): void;
};
