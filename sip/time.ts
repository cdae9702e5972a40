/**
 * Two kinds of time that do not mix: the compiler refuses one where the other is wanted. At run time both are plain numbers. A plain number passes for
 * either, because a sum has no kind; {@link later} keeps it.
 */
declare const kindOfTime: unique symbol;

/** A moment by the wall clock, ms since the epoch. People and NTP set it. What is written down, and what others are told, is in it: ends of records. */
export type WallMs = number & { readonly [kindOfTime]?: "wall" };

/** A moment of a count that is never set and never goes back, ms. It means nothing outside of its process. Timers and patience are in it. */
export type SteadyMs = number & { readonly [kindOfTime]?: "steady" };

/** Both clocks of a process. One reading serves a whole turn. */
export type Clocks = {
  readonly now: () => SteadyMs;
  /** What the wall clock says at this moment, which is of the present turn. */
  readonly wallAt: (moment: SteadyMs) => WallMs;
};

/** So many ms after a moment, or before it. */
export function later<Moment extends SteadyMs | WallMs>(moment: Moment, ms: number): Moment {
  // A sum of numbers has lost its kind.
  return (moment + ms) as Moment;
}
