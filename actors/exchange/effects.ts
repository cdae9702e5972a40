import type { FrameRecord } from "../../cluster/backhaul/frame.ts";

/** What an exchange wants done. The shell drains all effects of one event before it gives the next event. */
export type Effect =
  | {
      /** Put this record into the next frame to this access. */
      readonly type: "send";
      readonly access: string;
      readonly record: FrameRecord;
      /**
       * Leaves only when the peer holds everything up to this sequence number of the store, or the disk does (design: commit before
       * forward). Undefined: at once.
       */
      readonly commit: number | undefined;
      /** It is a 2xx to an INVITE, which need not wait where a gateway has brought it (docs/decisions/0031-a-gateway-is-a-second-memory.md). */
      readonly isAnswer: boolean;
    }
  | {
      /** A line for the log. */
      readonly type: "log";
      readonly text: string;
    }
  | {
      /** Ask that exchange for a subscriber's secrets; the answer comes back as {@link Exchange.credentials}. */
      readonly type: "credentials";
      readonly addressOfRecord: string;
      readonly exchange: number;
    }
  | {
      /**
       * Ask that exchange where an address-of-record's phones are now. For a URI (`sip:...`) ask for those that have registered this Contact
       * ({@link Exchange.flowsOf}). The answer comes back as {@link Exchange.flows}. Not answered in time, it counts as unavailable.
       */
      readonly type: "flows";
      readonly addressOfRecord: string;
      readonly exchange: number;
      readonly reference: string;
    };

/** One row of `tandem registrations`. */
export type Registration = {
  readonly aor: string;
  readonly contact: string;
  readonly transport: string;
  readonly expiresSeconds: number;
  /** The cell that took the last REGISTER of this binding, or, when that is down, the one that says so. */
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
