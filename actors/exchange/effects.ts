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
      /** This may be for an INVITE that one of these exchanges has in hand: ask them. It is given back if none has. */
      readonly type: "offer";
      readonly access: string;
      readonly record: FrameRecord;
      readonly elders: readonly number[];
      /** It is a CANCEL, of which there may be so many that belong to nothing. */
      readonly isCancel: boolean;
    }
  | {
      /** This is for that exchange: whoever brought it here has an older map. */
      readonly type: "pass";
      readonly access: string;
      readonly record: FrameRecord;
      readonly exchange: number;
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
  /** The cell that serves it now. */
  readonly primary: string;
  readonly userAgent: string;
  /** The gateway or line that it is reached by now, mostly the one that it came by. Empty: none, that one is down, and its phone has to come by another. */
  readonly gateway: string;
  /** The cell of that line. Absent: it is a gateway, or nothing. */
  readonly cell?: string;
};

/** What an exchange holds. */
export type ExchangeCounts = {
  readonly registrations: number;
  readonly dialogs: number;
  readonly transactions: number;
  readonly subscribers: number;
};
