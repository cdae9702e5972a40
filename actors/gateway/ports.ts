import type { Clocks } from "../../sip/time.ts";
import type { MakeTimer } from "../timer.ts";
import type { ConnectToCell } from "./cell-link.ts";

/** What the parts of a gateway need of its process. */
export type ProcessPorts = Clocks & {
  readonly timer: MakeTimer;
  /** Runs this when all has been read that has come: once, and soon. */
  readonly afterThisTurn: (run: () => void) => void;
  /** From 0 to 1, another one each time. */
  readonly random: () => number;
  readonly connect: ConnectToCell;
  readonly log: Log;
};

/** One event as one line. Only changes of state are logged, never messages: a flood of SIP is no flood of lines. */
export type Log = (event: string, details?: Readonly<Record<string, string | number>>) => void;

/** What is counted since the start. Plain numbers that the parts of a gateway raise. */
export type Counters = {
  messagesIn: number;
  /** Requests that the gateway answered with 503 itself. */
  refused: number;
  /** Those of them that were refused because what had been taken was late. */
  shed: number;
  /** And those whose sources ask for much and get nothing; and how many sources that are now. */
  noise: number;
  noisySources: number;
  /** Responses and ACKs that could not reach an exchange, datagrams that this process was too late to read, and copies of what it has refused. */
  dropped: number;
  framesIn: number;
  framesOut: number;
  backhaulFailures: number;
  /** Lost replicas whose calls the other was told to take over, and messages that moved with them. */
  takeovers: number;
  messagesMoved: number;
  resolutions: number;
};
