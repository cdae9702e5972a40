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
/** Batches under way at once: one each {@link peerOverlapMs} to a peer that takes 200 ms. To one further away they leave as much further apart. */
export const peerFlightsMax = 8;
/**
 * Nobody waits longer for the answer of a peer that counts as together, however far away it seems. Two ways round the earth take 400 ms, and four times
 * what they vary by fits in. A phone says again what it has said after 500 ms, and is answered then.
 */
export const answerMsMax = 1_000;
/** An answer is waited for so much longer than the mean at least, though all took the same so far: what a machine that is busy adds now and then. */
export const answerMarginMs = 100;
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
/** Who has answered nothing for so long stood still: that is no queue. Shorter silences make none that begins anything. */
export const shedStallMs = 500;
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
/** What has a token, of a source that is proved: of 1500 calls/s, ACKs and BYEs are 3000. While all is late it may send so many times as many as a stray. */
export const tokensPerProved = 40;
/**
 * Requests a second of all sources together to which nothing good was answered. Below this nobody is looked at. A town of 100 000 phones that registers
 * again each hour is 28. INVITEs to one silent phone are said seven times each: so many make a tenth of a core busy.
 */
export const noisyPerSecond = 200;
/** So many of them at once, after a quiet time. At 5000/s they are there within a twentieth of a second. */
export const noisyAtOnce = 200;
/**
 * Of REGISTERs so many more at once, and so many more a second: an office behind one address comes back with all its phones. Each asks twice before anything
 * good is answered. One that is refused costs a tenth of an INVITE and leaves nothing: 2000 are a fifth of a second of one core, once in a hundred seconds.
 */
export const noisyRegistersAtOnce = 2_000;
export const noisyRegistersPerSecond = 20;
/** Requests a second of one source that are taken in any case: it is no flood, and it may be a phone that nobody knows yet. Fifty that flood have 250 by it. */
export const noisyPerSourceMin = 5;
/** What a source may ask for with each good answer. One call in four that succeeds is a bad line, and one in eight (a call rings and is answered) no flood. */
export const noisyCreditPerAnswer = 4;
/** The most that it may have in advance: 1500 calls/s that nobody answers for four seconds, each said twice or three times. */
export const noisyCreditMax = 20_000;
/** What a source may have in advance that has had a call or has registered: what it says while a cell is taken over. */
export const noisyCreditOfProved = 5_000;
/** How long it is known, once or twice, what a source has got; and of how many sources, some hundred octets each. */
export const noisyKnownMs = 600_000;
export const noisySourcesMax = 10_000;
/** How long a flow on which a phone has registered is known, once or twice: longer than the longest registration lives. Forty octets each. */
export const knownFlowsMs = 4_000_000;
export const knownFlowsMax = 100_000;
/** Waiting that is longer than the shortest of the last minute or two is a queue: the rest is the way, and what the pair takes. */
export const shortestKnownMs = 60_000;

/**
 * The highest epoch of a map: an eighth of 2^53, above which numbers are not exact, and a version that is raised is not another one. A map each millisecond
 * would reach it in 35 000 years.
 */
export const mapEpochMax = 1_125_899_906_842_624;
/**
 * How far above the known one an epoch may be. Who numbers the maps that he deploys by the clock, in ms, comes that far with the first of them, until 2109.
 * Further is a slip or a forgery: all that is written later would have to be above it.
 */
export const mapEpochAheadMax = 4_398_046_511_104;
/** Exchanges of a map. Each is an object in two cells, and a connection of each gateway: no machine has room for more. */
export const exchangesMax = 4_096;
/** Cells that were removed and are still known by name: one that comes back later has been away for more changes than anybody makes. */
export const formerCellsMax = 64;
/** Domains of a map, some hundred octets each, with every map that is told. */
export const domainsMax = 200;
/** Gateways to which the operator has given a weight, some 30 octets each with every map. As many as are remembered at all. */
export const gatewaysWeighedMax = 1_000;
/** What a weight of DNS has room for (RFC 2782). */
export const gatewayWeightMax = 65_535;
/** How long others may remember what the zone says: a gateway that is taken out of it gets no phones a minute later. */
export const dnsTtlSeconds = 60;
/** Above this a record is told of as one that is remembered for long. */
export const dnsTtlSecondsLong = 300;
/** Records in one answer of a name server that are looked at: 64 gateways with two addresses each, and as much again. */
export const dnsAnswersMax = 256;
/** A gateway that is drained keeps its connections for a week at most, as a call may stand; a timer has room for 24 days. */
export const drainDeadlineMsMax: number = 7 * 24 * 3_600_000;
/** Members that sign with keys of their own: each is 150 octets of the map, which is told to all with each change. */
export const membersMax = 512;
/** Members of a host that comes by an invitation, beside the host itself: more gateways than a machine has cores help nobody. So one invitation does not fill the map. */
export const invitedMembersMax = 16;
/** Keys of members that were removed, of 43 characters each. Older ones are forgotten: by then no side of a cut has a map that knows them, and no invitation counts that was theirs. */
export const revokedKeysMax = 512;
/** Invitations that were used and have not expired, 100 octets of the map each. More machines than that do not join within a week. */
export const usedInvitationsMax = 128;
/** A used one is remembered for so long after its end: by then no clock of the system takes it for good. */
export const usedInvitationKeptMs = 600_000;
/** Orders to hosts in a map, some 200 octets each: people give them one at a time, and each is carried out within seconds. */
export const ordersMax = 64;
/** What became of an order is remembered for so long: whoever gave it asks again and again meanwhile. */
export const orderKeptMs = 3_600_000;
/** A host that has not taken an order after this does not reach any cell, and is not to do it later when nobody expects it. */
export const orderTakenMs = 30_000;
/** A line for people. */
export const orderTextMax = 400;
/** Names by which people tell a cell and a gateway. Nobody else has one: he would keep it from those. */
export const cellNamePattern: RegExp = /^[0-9A-Za-z]$/;
export const gatewayNamePattern: RegExp = /^g\d+$/;
/** Names of members: they ride in signatures, in file names and in URIs, and a dot would make a gateway's a line's. */
export const memberNamePattern: RegExp = /^[0-9A-Za-z-]{1,32}$/;
/** Lines of a cell: each is an object that a request may wake. */
export const lineCountMax = 4_096;

/** Gateways that are remembered: above it, those that are down make room. */
export const gatewaysMax = 1_000;
/** A gateway that has left is shown so long: whoever looks just after it was stopped sees what became of it. */
export const leftShownMs = 60_000;
/** News may be this much later than what they tell. So a cell that loses a hundred gateways at once says it in a few heartbeats. */
export const newsSpacingMs = 50;
/** A probe that left so recently will answer the same question. */
export const probeSpacingMs = 50;

/** Below: more traffic than use, and pauses of a busy machine look like failures. */
export const periodMsMin = 100;
/** Above: nobody would be found dead within minutes. */
export const periodMsMax = 60_000;
export const missedMin = 1;
export const missedMax = 20;

/** A cell that is down for so long is not waited for: another one gets what it had. A restart takes seconds, and that of a machine about as long as this. */
export const healAfterMs = 30_000;
/** Less is what a busy machine may take to answer; more is a day, and a cell that is away for longer is not coming back. */
export const healAfterMsMin = 1_000;
export const healAfterMsMax = 86_400_000;
/**
 * Requests over connections that a replica was given and has not answered, in one gateway or line: all calls of a busy one that end within
 * some seconds. 600 octets each are 3 MB. Over: one is lost when the replica dies that has it, as its phone does not say it again.
 */
export const owedRequestsMax = 5_000;
/** Nobody waits for an answer for longer than Timer F. */
export const owedRequestsMs: number = 64 * t1Ms;
export const owedSweepMs = 8_000;

/** Replicas that are replaced at once: each is a full copy. As many as an exchange's cell makes in some seconds, and few maps where there are hundreds. */
export const healsAtOnceMax = 32;
/** Exchanges that are moved at once, for nothing but balance. Each takes time from calls, and nobody waits for it. */
export const movesAtOnceMax = 4;

/**
 * Call records are kept for as long, unless the operator says otherwise. A month is enough for whoever disputes a bill. Nobody is to learn from them whom
 * somebody called last year.
 */
export const callRecordDaysDefault = 30;
export const callRecordDaysMax = 3_650;
/** And no more than these: 50 MB in either ledger. */
export const callRecordsMostDefault = 100_000;
export const callRecordsMostMax = 10_000_000;
/** Of a cell: a thousand times what another one has is more than any two machines differ by. */
export const cellWeightMax = 1_000;
/** An authority that is asked for a certificate looks from several places, and takes minutes when it is busy. After this another host may ask. */
export const certificateOrderMsMax = 300_000;
