/** A process as it is now. `stopped`: it was told to. `down`: it has died, and may be started again. */
export type ProcessState = {
  readonly name: string;
  readonly state: "up" | "starting" | "down" | "stopped";
  /** While it lives. */
  readonly pid?: number;
  /** ms since the epoch. */
  readonly since: number;
  readonly starts: number;
  /** What it said last on its standard error, and when; empty: nothing. */
  readonly said: string;
  readonly saidAt: number;
};
