import type { CallEnding } from "../../cluster/calls/live-call.ts";
import type { SubscriberChange } from "../../sip/record/values.ts";
import type { SubscriberCredentials } from "./credential-cache.ts";
import type { DiskWriter } from "./disk-writer.ts";
import type { EventRunner } from "./event-runner.ts";
import type { Exchange } from "./exchange.ts";
import type { Clocks, SteadyMs } from "../../sip/time.ts";

/** `full`: the disk has no room, and nothing has changed. */
export type ChangeOutcome = "done" | "full";

export type OperatorChangesOptions = {
  readonly exchange: Exchange;
  readonly writer: DiskWriter;
  readonly events: EventRunner;
  readonly now: Clocks["now"];
  /** Whether there is a peer that is to have everything too. */
  readonly isPaired: () => boolean;
};

type Change = {
  /** So many records at most. */
  readonly records: number;
  readonly run: (now: SteadyMs) => void;
  readonly undo: (now: SteadyMs) => void;
  readonly done: (outcome: ChangeOutcome) => void;
};

/** What an operator changes of an exchange: its subscribers, and calls that he ends. A subscriber is on the disk and at the peer before it is answered, or nothing has changed. */
export class OperatorChanges {
  readonly #options: OperatorChangesOptions;

  constructor(options: OperatorChangesOptions) {
    this.#options = options;
  }

  /** Adds or replaces subscribers. `done` is told how many were replaced. */
  put(changes: readonly SubscriberChange[], done: (replaced: number | "full") => void): void {
    const { exchange } = this.#options;
    const before: { readonly aor: string; readonly known: SubscriberCredentials | undefined }[] = [];
    const run = (at: SteadyMs): void => {
      for (const { aor, ...credentials } of changes) {
        before.push({ aor, known: exchange.store.subscriber(aor) });
        exchange.putSubscriber(aor, credentials, at);
      }
    };
    const undo = (at: SteadyMs): void => {
      for (const { aor, known } of before) {
        if (known === undefined) exchange.removeSubscriber(aor, at);
        else exchange.putSubscriber(aor, known, at);
      }
    };
    const told = (outcome: ChangeOutcome): void =>
      done(outcome === "full" ? outcome : before.filter(({ known }) => known !== undefined).length);
    this.#askForRoom({ records: changes.length, run, undo, done: told });
  }

  /** Removes a subscriber. `done` is told whether there was one. */
  remove(addressOfRecord: string, done: (wasThere: boolean | "full") => void): void {
    const { exchange } = this.#options;
    let known: SubscriberCredentials | undefined;
    const run = (at: SteadyMs): void => {
      known = exchange.store.subscriber(addressOfRecord);
      exchange.removeSubscriber(addressOfRecord, at);
    };
    const undo = (at: SteadyMs): void => {
      if (known !== undefined) exchange.putSubscriber(addressOfRecord, known, at);
    };
    this.#askForRoom({ records: 1, run, undo, done: (outcome) => done(outcome === "full" ? outcome : known !== undefined) });
  }

  /** Ends what is registered of an address-of-record. `done` is told whether anything was. Nothing is taken back: a phone may register anew. */
  endRegistrations(addressOfRecord: string, done: (wasThere: boolean | "full") => void): void {
    const { exchange } = this.#options;
    let wasThere = false;
    const run = (at: SteadyMs): void => {
      wasThere = exchange.endRegistrations(addressOfRecord, at);
    };
    const records = exchange.store.bindingsOf(addressOfRecord).length;
    this.#askForRoom({ records, run, undo: () => {}, done: (outcome) => done(outcome === "full" ? outcome : wasThere) });
  }

  /** Ends a call. `done` is told when the other replica knows that, or the disk does. */
  end(isIt: (key: string) => boolean, done: (ending: CallEnding) => void): void {
    const { exchange, events, now } = this.#options;
    let ending: CallEnding = "unknown";
    const run = (at: SteadyMs): void => {
      ending = exchange.endCall(isIt, at);
    };
    const over = (_answer: unknown, at: SteadyMs): void => this.#commit({ done: () => done(ending) }, at);
    events.event(run, now(), { over, refused: () => done("busy") });
  }

  #askForRoom(change: Change): void {
    const { writer, events, now } = this.#options;
    writer.hasRoom(change.records, now(), (isRoom, toldAt) => {
      if (isRoom) events.event(change.run, toldAt, { over: (_answer, at) => this.#write(change, at) });
      else change.done("full");
    });
  }

  /** Somebody else may have taken the room before this is written: then it is taken back. */
  #write(change: Change, now: SteadyMs): void {
    const { exchange, writer, events } = this.#options;
    const written = (at: SteadyMs): void => {
      if (writer.isFull && exchange.store.hasDirty) events.event(change.undo, at, { over: () => change.done("full") });
      else this.#commit(change, at);
    };
    if (writer.flush(now, written)) written(now);
  }

  #commit({ done }: Pick<Change, "done">, now: SteadyMs): void {
    const { exchange, events, isPaired } = this.#options;
    const committed = (): void => done("done");
    if (!isPaired() || events.commit(exchange.store.sequence, now, committed)) committed();
  }
}
