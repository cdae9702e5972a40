import { t1Ms } from "../sip/limits.ts";

/** Every limit of what makes one system of many, each with its reason. Units come last in the names. */

/** Addresses in a display name that are looked at, each for some microseconds; a name with more is refused as if it showed another's. */
export const addressesInNameMax = 8;
/** Percent escapes within percent escapes of a name that are undone (`%2540`), each a pass over it. No phone is known that undoes more than two. */
export const escapesDepthMax = 4;

/** One frame between an access and an exchange. workerd takes 32 MiB, we flush at 64 KiB, and a single message may exceed that by its header. */
export const frameOctetsMax = 1024 * 1024;
/**
 * How far apart the frames of a busy backhaul leave: as many milliseconds as the square root of what the last one held. At a steady rate that is a
 * millisecond for each message per millisecond. One is the least that a timer knows. Four is the most: at 1500 calls/s and above what waits for a
 * processor waits longer than that (docs/decisions/0033-answers-leave-with-their-event.md).
 */
export const frameDistanceMsMin = 1;
export const frameDistanceMsMax = 4;
/**
 * How long a message waits for company of which nobody hears when it comes (patience.ts), a twenty-fifth of T1. It is also the largest distance of frames
 * with nothing but REGISTERs and their like. They keep a millisecond for each message of the last frame: 2 at 1000 REGISTERs/s over two exchanges, and
 * this from 2000 on, where it is what makes them cheap.
 */
export const patientFrameDelayMs = 20;
/**
 * A frame from an exchange is acknowledged by the next one of its access, or by one of its own after this. An answer of a phone's brings it along, so
 * a busy backhaul has none of its own. What is unacknowledged when a backhaul is lost is tried another way, though it may have arrived: so it is not
 * long.
 */
export const frameAckDelayMs = 20;
/** A frame leaves when it holds this much. */
export const frameFlushOctets = 64 * 1024;
/**
 * A replica that has left a frame unanswered for so long is late: half of T1. Phones are about to say again over UDP what it has not read. Copies of
 * what is on its way there are dropped, of so many datagrams, a second at 1000 calls/s. Over: copies pass.
 */
export const backhaulLateMs: number = t1Ms / 2;
export const datagramsUnderWayMax = 4_000;
/**
 * A replica that falls silent so soon after the other one was given up for silence is waited for so many times as long. Both are on a machine that is
 * busy. The first of them is given up as fast as ever.
 */
export const busyMachineMs = 10_000;
export const busyMachineFactor = 3;
/** What a gateway has said of too much to do counts for so long. It says it with each beat. */
export const overloadKnownMs = 5_000;
/** What an access keeps for one backhaul, unsent and unacknowledged together; over: the newest request is refused with 503. */
export const backhaulQueueOctetsMax = 8 * 1024 * 1024;

/** A batch to the peer leaves with this many characters of records. A full table goes in chunks that take the other side some milliseconds each. */
export const peerBatchOctets = 256 * 1024;
/** The largest batch that is read: one with a last record of the largest size. */
export const peerBatchOctetsMax = 8 * 1024 * 1024;
/**
 * Changes that nobody waits for go to the peer after this at the latest, for a batch costs as much as some calls, whatever is in it. Nothing is lost
 * by waiting: the frames that made them are not acknowledged before.
 */
export const peerDelayMs = 50;
/**
 * What somebody waits for leaves at once, unless such a batch has just left: as many milliseconds ago as that one held records, between these two. Up to
 * about 800 changes a second that is the least, and a REGISTER takes some milliseconds then. Above, batches hold the more the busier it is.
 */
export const peerDistanceMsMin = 8;
export const peerDistanceMsMax = 20;
/**
 * An answer of the peer that takes longer than this comes from far away. Then what somebody waits for leaves beside the batch that is under way. So a
 * commit costs one way there and back, and not up to two. Answers of a peer nearby take a few milliseconds, and one batch after the other groups
 * best.
 */
export const peerOverlapMs = 25;
/** A timer that rings so late rings on a machine that is held up: its peer's answer may be there, unread. Idle machines are late by a few milliseconds. */
export const peerLateMs = 20;
/** Batches under way at once. One leaves each {@link peerOverlapMs} for as long as an answer may take before the peer counts as lagging. */
export const peerFlightsMax = 8;
/** How long a replica that has started waits for its peer to say anything, and how long for all of its records. It serves alone then. */
export const peerSyncMs = 2_000;
export const peerSyncMsMax = 10_000;
/** A cell that has started joins for no longer than its exchanges may take for it, and one of them may have died over it. */
export const joiningMsMax = peerSyncMsMax + peerSyncMs;
/** A peer that does not answer is tried again after this, then after twice as long, up to the maximum. */
export const peerRetryMs = 50;
export const peerRetryMsMax = 1_000;
/** With nothing new to tell, a peer that is away is not tried for longer. An idle exchange sleeps, and the one that comes back speaks first. */
export const peerQuietMs = 60_000;
/** Starts of the peer that are over and that are remembered: what one of them sent and arrives late counts no more. */
export const peerBootsRememberedMax = 8;
/**
 * A standstill of a process, and a step forward of its wall clock, count for at least so much where the two look alike. Half a minute of patience
 * (Timers B and F) must not end by it. Every standstill must be noticed ({@link countedMsMax}).
 */
export const clockJumpMsMin = 5_000;

/** What such a jump counts for: more than the silence after which others take over from who stood still. */
export function countedMsMax({ periodMs, missed }: { readonly periodMs: number; readonly missed: number }): number {
  return Math.max(clockJumpMsMin, 2 * periodMs * missed);
}

/** Clocks of cells and gateways may differ by this much, and a signed request may be under way this long. */
export const signatureAgeSecondsMax = 30;

/**
 * Input that waits for longer than this, over all that it takes when nothing waits, is late: new requests are refused in part. A phone says its request
 * again after T1, and each copy is work: this leaves the other half of T1 to the network. Frames of a machine that shares its processor in slices of
 * 100 ms wait for two of them without being late.
 */
export const shedDelayMs: number = 0.4 * t1Ms;
/** It begins when this was waited for {@link shedBeginsMs}: phones are about to say again what they have said. */
export const shedBeginsDelayMs: number = 0.8 * t1Ms;
/** A machine that shares its processor, or does in one go what a minute brings, is late for a second or two. Nothing is lost by that: Timer B of callers is 32 s. */
export const shedBeginsMs = 2_000;
/** So much is waited when far more comes than is done: phones have said all twice. It begins sooner, before there are too many copies. */
export const shedSoonDelayMs = 1_000;
/** All that is measured within this must be late. A garbage collection or a neighbour's moment are over by then. */
export const shedSoonMs = 500;
/** The delay must not be less than the mean of about so long: a queue that shrinks is served. */
export const shedTrendMs = 500;
/** Who has just started, or has another replica now, is slow for so long: code is compiled, and phones come back. Both bounds must be passed by then. */
export const shedColdMs = 10_000;
/** REGISTERs of phones that are not known are refused when it has lasted for so long: thousands of phones that have lost a cell are back by then. */
export const shedRegistersMs = 3_000;
/** It ends when nothing was refused for so long: no flapping at the edge. */
export const shedEndsMs = 1_000;
/** How often the share is set anew: a few round trips of frames under load. */
export const shedUpdateMs = 100;
/** What waits for longer than this waits for no other reason. */
export const shedDelayMsMax = 1_000;
/**
 * How much larger the share becomes with each setting, for a second of delay over the bound, and for a second by which the delay has grown. The ratio is that
 * of RFC 8033; the size was found with `test/cluster/overload/shedding.test.ts`.
 */
export const shedPerSecondLate = 0.12;
export const shedPerSecondLater = 0.6;
/** The most by which one setting changes it. */
export const shedStepMax = 0.1;
/** Less than this is none. */
export const shedShareMin = 0.01;
/** Some are always taken, or nobody would learn that there is time again. */
export const shedShareMax = 0.98;
/** Requests of sources are counted for so long. Two of these windows tell who asks for most. */
export const shedWindowMs = 1_000;
/** Sources that are counted apart, some hundred octets each; more are counted as one. */
export const shedSourcesMax = 4_096;
/**
 * How long it is remembered, once or twice, what became of a request: phones say an INVITE again for 32 s, the last time after 31.5. More than so many at once,
 * 20 octets each, and the oldest are forgotten.
 */
export const decisionMs: number = 32 * t1Ms;
export const decisionsMax = 50_000;
/**
 * For so long a copy of a refused request is one that has crossed the refusal, and is not answered. Copies that come later (T2) say that it was lost on
 * its way. Whoever is refused is told to come back later than this.
 */
export const refusalMs: number = 8 * t1Ms;
/**
 * Copies that are taken of a request that was. An INVITE is said 7 times in 32 s (RFC 3261 17.1.1.2) and another request 11 times (17.1.2.2), with its
 * credentials as often again.
 */
export const copiesMax = 22;
/**
 * So few new requests in a second are all taken, however late all is. It is not they that make it late. A machine
 * that is busy with something else is slow, and does what it is asked.
 */
export const shedRequestsMin = 20;
/** Emergency calls that are taken however late an exchange is. A city has fewer; a flood of them is none. */
export const emergenciesPerSecondMax = 20;
/**
 * What ends or confirms another request and has no token of ours: its CANCEL, the ACK of a refusal, and a copy of each. While all is late a source may send so
 * many for each request of its that is taken. And so many a second besides, for requests that were taken before.
 */
export const straysPerRequest = 4;
export const straysPerSecond = 100;
/** And so many times as many of what has a token, where neither a REGISTER nor a call has proved its source: calls from before this process began, or forgeries. */
export const tokensPerStray = 2;
/** How long a flow on which a phone has registered is known, once or twice: longer than the longest registration lives. Forty octets each. */
export const knownFlowsMs = 4_000_000;
export const knownFlowsMax = 100_000;
/** Waiting that is longer than the shortest of the last minute or two is a queue: the rest is the way, and what the pair takes. */
export const shortestKnownMs = 60_000;
