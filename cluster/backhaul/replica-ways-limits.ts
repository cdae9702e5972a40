/** Times and sizes of a gateway's ways to the replicas of one exchange. */
export type ReplicaWaysLimits = {
  /** Octets held for one exchange, in both backhauls and here; below what one backhaul may hold by what takeovers need. */
  readonly octetsMax: number;
  /** How long a record waits while no replica can be used. */
  readonly holdMs: number;
  /** An exchange that has answered the hello and not said whether it serves is taken to serve after this. */
  readonly servingAssumedMs: number;
  /** A hello without answer, though the connection lives. */
  readonly helloAnswerMs: number;
  /** A replica that could be used for less than this comes and goes: next time it must be stable for a period. */
  readonly flapMs: number;
  /** Going back: how long the other's answers are waited for at most, and how much longer after the last of them. */
  readonly returnWaitMs: number;
  readonly returnSettleMs: number;
  /** How often one record is taken from a lost backhaul: what ends every process that reads it must not go round for ever. */
  readonly movesMax: number;
};
