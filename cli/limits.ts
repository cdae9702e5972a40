/** Limits of the `tandem` process for whatever strangers can reach, each with its reason. Units come last in the names. */

/** A request to join: a token, and a kilobyte for the host and each of all that it can run. */
export const joinBodyOctetsMax = 65_536;
/**
 * Connections at a join door at once: machines join one at a time. For one more the oldest of the source that has the most is closed. Whoever has as
 * many addresses keeps others out only by so many new connections within the second that joining takes.
 */
export const joinSocketsMax = 64;
/** Of those, from one source. For one more its oldest is closed. */
export const joinSocketsPerSourceMax = 4;
/** A newcomer has its request at hand when it connects: TLS, header and body take less than this on any line. */
export const joinRequestMs = 10_000;
/** A header of ours has 400 octets. */
export const joinHeaderOctetsMax = 4_096;
/** Tries within this: a machine that joins needs two, and people who mistype some more. */
export const joinTriesMs = 60_000;
export const joinTriesPerSourceMax = 20;
/** A try costs a cell two milliseconds. */
export const joinTriesInAllMax = 200;
/** Clocks that differ by more are set before a machine joins: signatures bear 30 s, and both clocks go on to drift. */
export const joinClockMsMax = 10_000;
