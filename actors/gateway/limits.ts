import { backhaulQueueOctetsMax } from "../../cluster/limits.ts";

/** Limits and times of what a gateway decides, each with its reason. Units come last in the names. */

/** What cannot reach its exchange is held so long, for a cell that comes back; then requests are answered 503. Above the backoff. */
export const backhaulHoldMs = 4_000;
/** Before the first map: octets held of messages that nobody can place yet. */
export const unplacedOctetsMax = 1024 * 1024;
/** How often a gateway tells the cells what it has counted, at most: each message wakes a core group. */
export const tallyMsMin = 5_000;
/** Backoff of backhauls and control links: the first retry is immediate, then doubling with jitter. */
export const reconnectMsMin = 50;
export const reconnectMsMax = 2_000;
/** A replica that the map has no more is listened to for so long: until it has heard of the map as well, and closes the backhaul itself. */
export const replicaLeavesMs = 5_000;
/** A hello that an exchange never answers, though its runtime answers pings: it hangs; the backhaul is made anew. */
export const helloAnswerMs = 10_000;
/** An exchange that answered the hello and did not say whether it serves: an older one, which always does. */
export const servingAssumedMs = 1_000;
/** A replica that could be used for less than this comes and goes: next time it must be stable for one heartbeat period first. */
export const flapMs = 1_000;
/**
 * Going back to the primary: the other's answers are waited for so long, and the records between the replicas so long after the last. In the rule an
 * answer means that the primary has them. One that has only just caught up may get them after the 20 ms of a batch and its way from cell to cell.
 */
export const returnWaitMs = 200;
export const returnSettleMs = 100;
/** How often one message is taken from a lost backhaul to the next. One that ends every process that reads it must not go round for ever. */
export const movesMax = 4;
/** What two backhauls and all that waits for them may hold for one exchange: a margin below one backhaul's limit, for what takes over. */
export const exchangeQueueOctetsMax: number = backhaulQueueOctetsMax - 1024;
/** New requests may fill so much of it: the rest is for what ends or confirms calls. A second of 3000 such messages is 2 MiB. */
export const exchangeQueueNewOctetsMax: number = (exchangeQueueOctetsMax * 3) / 4;
/** What goes on as well may fill so much, where nothing proves that its source has a call. */
export const exchangeQueueUnprovedOctetsMax: number = (exchangeQueueOctetsMax * 7) / 8;
/** A cell that another cell declares down is pinged at once, and has so long to answer. A cut between cells is no reason to leave it. */
export const declaredDownAnswerMs = 250;
/** The same while new requests are refused because all is late: the silence after which it would be given up by itself otherwise. */
export const declaredDownLateMs = 3_000;
/** How often silence is looked for, while an answer is owed: a part of the heartbeat's period within these bounds. */
export const watchMsMin = 10;
export const watchMsMax = 250;
/** Pings when no map has said otherwise (design: 1 s x 3). */
export const heartbeatDefault: { readonly periodMs: number; readonly missed: number } = { periodMs: 1_000, missed: 3 };
/**
 * How often this process looks at the clock when nothing happens, so that it knows that it stood still: less than what counts as that. Where it is
 * the heartbeat's period, a look costs nothing; each wake of an idle process costs up to two milliseconds.
 */
export const lookMsMax = 1_000;
/**
 * What had waited in sockets is read within this afterwards. New requests wait so long for the ends of their connections. New ones in datagrams are
 * left to be said again (after 500 ms the first time).
 */
export const standstillWaitMs = 500;
