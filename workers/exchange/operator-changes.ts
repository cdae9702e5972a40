import type { SubscriberCredentials } from "../../actors/exchange/credential-cache.ts";
import type { Exchange } from "../../actors/exchange/exchange.ts";
import { diskFullText } from "../disk-room.ts";
import type { DiskWriter } from "./disk-writer.ts";

/** A subscriber as the API puts it. */
export type SubscriberChange = SubscriberCredentials & { readonly aor: string };

export type OperatorChangesOptions = {
  readonly exchange: Exchange;
  readonly writer: DiskWriter;
  /** Does something with the exchange as an event of its own. */
  readonly event: (run: (now: number) => void) => Promise<unknown>;
  /** Resolves when the pair has everything, if it is there. */
  readonly committed: () => Promise<unknown> | undefined;
};

/** What an operator changes of an exchange: its subscribers. It is on the disk and at the pair before it is answered, or nothing has changed. */
export class OperatorChanges {
  readonly #options: OperatorChangesOptions;

  constructor(options: OperatorChangesOptions) {
    this.#options = options;
  }

  /** Adds or replaces subscribers. Resolves with how many were replaced. */
  async put(changes: readonly SubscriberChange[]): Promise<number> {
    const { exchange } = this.#options;
    const before: { readonly aor: string; readonly known: SubscriberCredentials | undefined }[] = [];
    await this.#change(
      changes.length,
      (now) => {
        for (const { aor, ...credentials } of changes) {
          before.push({ aor, known: exchange.store.subscriber(aor) });
          exchange.putSubscriber(aor, credentials, now);
        }
      },
      (now) => {
        for (const { aor, known } of before) {
          if (known === undefined) exchange.removeSubscriber(aor, now);
          else exchange.putSubscriber(aor, known, now);
        }
      },
    );
    return before.filter(({ known }) => known !== undefined).length;
  }

  /** Removes a subscriber. False: there was none. */
  async remove(addressOfRecord: string): Promise<boolean> {
    const { exchange } = this.#options;
    let known: SubscriberCredentials | undefined;
    await this.#change(
      1,
      (now) => {
        known = exchange.store.subscriber(addressOfRecord);
        exchange.removeSubscriber(addressOfRecord, now);
      },
      (now) => {
        if (known !== undefined) exchange.putSubscriber(addressOfRecord, known, now);
      },
    );
    return known !== undefined;
  }

  /** Room is asked for as many records as come. Somebody else may take it before they are written: then they are taken back. */
  async #change(records: number, run: (now: number) => void, undo: (now: number) => void): Promise<void> {
    const { exchange, writer, event, committed } = this.#options;
    if (!(await writer.hasRoom(records))) throw new Error(diskFullText);
    await event(run);
    await writer.flush();
    if (writer.isFull && exchange.store.hasDirty) {
      await event(undo);
      throw new Error(diskFullText);
    }
    await committed();
  }
}
