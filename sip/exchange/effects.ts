import type { FrameRecord } from "../transport/frame.ts";

/** What an exchange wants done. The shell drains all effects of one event before it gives the next event. */
export type Effect =
  | {
      /** Put this record into the next frame to this access. */
      readonly type: "send";
      readonly access: string;
      readonly record: FrameRecord;
      /** Leaves only when every record that has changed so far is committed (design: commit before forward). */
      readonly committed: boolean;
    }
  | {
      /** Ask that exchange for a subscriber's secrets; the answer comes back as {@link Exchange.credentials}. */
      readonly type: "credentials";
      readonly addressOfRecord: string;
      readonly exchange: number;
    };

/** One row of `tandem registrations`. */
export type Registration = {
  readonly aor: string;
  readonly contact: string;
  readonly transport: string;
  readonly expiresSeconds: number;
  /** The cell that took the last REGISTER of this binding. */
  readonly primary: string;
  readonly userAgent: string;
  /** The access that its flow belongs to: a gateway or a line. */
  readonly gateway: string;
};

/** What an exchange holds. */
export type ExchangeCounts = {
  readonly registrations: number;
  readonly dialogs: number;
  readonly transactions: number;
  readonly subscribers: number;
};
