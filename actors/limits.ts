import { backhaulQueueOctetsMax } from "../cluster/limits.ts";
import { t1Ms } from "../sip/limits.ts";

/** Every limit of the actors, each with its reason. Units come last in the names. */

/**
 * RFC 3261 18.1.1: what is larger than 1300 octets does not go over UDP to a phone that has registered over a connection as well. Datagrams of
 * several fragments get lost in NATs. What we add to a request, Via and Record-Route, is 300.
 */
export const datagramRequestOctetsMax: number = 1_300 - 300;
/** How long after its start, or a takeover, a replica may be asked what the other one has forwarded already: a transaction's lifetime. */
export const repeatedMs = 32_000;

/**
 * Nothing happened here for so long, though something should have: the process stood still. Phones that watch their connections give up after
 * about as long. What is shorter may be a busy machine.
 */
export const standstillMsMin = 1_500;
/**
 * After a standstill a line reads what had waited in its sockets. New requests wait this long, until the ends of the connections behind them have
 * been read as well. A thousand softphones' last words take a second.
 */
export const lineStandstillWaitMs = 1_500;
/** New requests, and what came behind them, that wait in one access then. Over: they pass. */
export const standstillMessagesMax = 2_000;
/** A line does not try an unreachable replica before this has passed, as long as the other one answers. */
export const unreachableMs = 3_000;
/**
 * A line asks the replica of its cell what is kept when it has heard nothing for so long. By then a batch has been to the peer and back, and mostly another
 * frame has left, whose answer says it. At 100 ms every second call to a replica was such a question.
 */
export const keptAskMs = 500;
/** A replica that has not answered a request within a dialog for so long is asked whether it is there. Phones answer sooner, and those who hang up wait on. */
export const owedAskMs = 1_000;
/**
 * Records that a line keeps for that, and their octets: a second at 1000 calls/s on one line, and as many octets as its queue. Those without an answer count, and
 * stay. Over: the oldest that has one is forgotten. It is lost only when the replica dies before its peer knows, and then its phone says it again.
 */
export const unkeptRecordsMax = 5_000;
export const unkeptOctetsMax: number = backhaulQueueOctetsMax;
/**
 * A cell that is taken out of service sends so many softphones elsewhere at first, in a step of half a second. It sends a quarter more with each step, up to
 * 200 a second: cells with nothing else to do take those easily.
 */
export const drainPortionFirst = 8;
export const drainGrowth = 1.25;
export const drainPortionMax = 100;
export const drainStepMs = 500;
/** A softphone of which nothing has been heard or said for this long is in the middle of nothing but perhaps ringing or a call. */
export const drainQuietMs = 5_000;
/** When none has been quiet for so long, those that are left are sent all the same, at the pace of all. */
export const drainPatienceMs = 60_000;
/**
 * So many go in a step besides, of those on which nobody has registered. Nothing of theirs is waited for, and nothing that they send holds a drain up.
 * The end of each is told to the exchanges that it has talked to, so it is the pace that idle cells take easily.
 */
export const drainStrangersPortion = 100;
/**
 * A drain is over after this, whatever softphones send and however late all is: they can do both on purpose. A removal at full load took two and a half minutes. At
 * the slowest pace, one in a step, 1200 go. Where there are more, the pace falls no lower than the rest of the time allows.
 */
export const drainMsMax = 600_000;
/** Over this exchanges are late, and fewer are sent: a fifth of T1, long before anything is refused or said again. */
export const drainLateMs: number = t1Ms / 5;
/** What was measured longer ago says nothing of now. */
export const lateKnownMs = 2_000;

/**
 * All cells that are up have a new map within milliseconds. One that does not answer is waited for so long while another one does. Where none does it is longer, and
 * less than who asks the coordinator waits (cellAnswerMsMax).
 */
export const mapSpreadMs = 1_000;
export const mapSpreadMsMax = 1_500;

/** How often a core group asks exchanges that have something left in its cell whether that is so. Each is woken by it, and there are none mostly. */
export const leftAskedMs = 2_000;
/**
 * A replica that the map has no more is empty so long after the primary has all of it. The pair has both written it by then. What is
 * kept longer would come back when it has ended everywhere else.
 */
export const handedOverMs = 5_000;
/** What another exchange of the same cell has not taken, or not told, is brought or asked for again after this. */
export const handOverRetryMs = 200;
/** So often an exchange that starts asks one that it has come from. It is in the same process: if it does not answer in ten seconds it never will. */
export const elderTriesMax = 50;
/** After its start an exchange asks those that it has come from whether they have an INVITE in hand: copies and ACKs come for 64*T1 (RFC 3261 17.1.1.2, 17.2.1). */
export const elderAskedMs: number = 64 * t1Ms;
/**
 * For so long it waits for their answers, all asked at once. They are in the same process mostly, and answer in a millisecond. One that stands still in another
 * cell is waited for until phones say over UDP again what they have said.
 */
export const elderAnswerMs: number = t1Ms;
/** Requests for which elders are asked at once: 4000 a second while one of them is silent. Over: they are not asked, and a copy may ring twice. */
export const elderOffersMax = 2_000;
/**
 * CANCELs that belong to nothing, for which elders are asked: so many a second, and so many at once. Who hangs up on a call of before a doubling belongs to
 * something, and does not count. So these are an attacker's, and each costs 0.1 ms in each elder. Over: an INVITE that nobody knows is looked for at once.
 * Connections, whose sources are not forged, and datagrams have as many each.
 */
export const strayCancelsPerSecond = 50;
export const strayCancelsBurst: number = 4 * strayCancelsPerSecond;
/** Of these one source may have a fifth, an office whose callers hang up together: whoever sends more leaves the others theirs. */
export const strayCancelsOfSourcePerSecond: number = strayCancelsPerSecond / 5;
export const strayCancelsOfSourceBurst: number = strayCancelsBurst / 5;
/** Sources that are remembered for that. Over: those of before are forgotten, and have their share again. The bound for all stays. */
export const strayCancelSourcesMax = 2_000;
/** An exchange that could not be told of a view is told again with so many beats. What fails so often fails for a reason that a view does not mend. */
export const tellTriesMax = 5;

/**
 * What an exchange keeps of what it has sent on one backhaul and has no acknowledgement for. Over: the oldest is forgotten, as if it had arrived.
 * That is a second at 1000 calls/s; acknowledgements take {@link frameAckDelayMs} and the way.
 */
export const unacknowledgedOctetsMax = 4 * 1024 * 1024;

/**
 * A frame of an exchange that a gateway has answered after so long says that what is read here had waited. Silence is judged by when the others
 * spoke, so timers ring later by that. Less is the gateway's own delay, and a busy moment.
 */
export const readLateMsMin = 100;
/** No later than this: Timers B and F then end after 40 s. */
export const readLateMsMax = 8_000;
/** It is said in the log when it is so much, for so long: after a standstill it is for a moment. */
export const readLateSaidMs = 1_000;
export const readLateLastingMs = 3_000;
/** What was measured longer ago counts no more. */
export const readLateKnownMs = 2_000;

/** How long an exchange believes what another one said about a subscriber's secrets: a changed password counts everywhere after this. */
export const credentialsCacheMs = 60_000;
/** Callers of other exchanges whose secrets one exchange remembers; the oldest goes first and is asked for again. */
export const credentialsCachedMax = 10_000;
/** Requests that wait for a caller's secrets at once, and how long; over: 503 with Retry-After. */
export const credentialsWaitingMax = 5_000;
export const credentialsWaitMs = 3_000;
/**
 * Client transactions that ended lately and are remembered, so that a late response to them is dropped. Over two generations these are twice as many.
 * The oldest are forgotten first, and a response to those is passed on by its Vias. Only while a replica is young, or for another's.
 */
export const endedKeysMax = 50_000;
/** A subscription that says no end (RFC 6665 4.2.1.1: it should), and the longest that is believed. */
export const subscriptionSecondsDefault = 3_600;
export const subscriptionSecondsMax = 7 * 24 * 3600;
/**
 * SUBSCRIBEs and REFERs whose first NOTIFY may overtake their answer: 150 a second for 64 s. Thirty octets each. Over: the earliest is forgotten,
 * and a NOTIFY that comes before the answer is refused.
 */
export const subscriptionsAwaitedMax = 10_000;
/**
 * Records of INVITEs may age by this more than their INVITEs do, when the wall clock is set forward. It is less than what the CANCEL of Timer C may
 * take. It is more than the standstill of a busy machine comes to, after which not every record is to be written again.
 */
export const inviteAgedMsMax = 10_000;
/**
 * INVITEs of the other replica that are read for a request of an early dialog, which may be a stranger's: 1000 take 0.2 ms. With more of them its token
 * is believed for as long as they ring.
 */
export const foreignInvitesReadMax = 1_000;
/** Gateways come to a replica that has started within this time. Until then who needs one waits, as where one has been and is away. */
export const gatewaysComeMs = 2_000;
/** Questions for addresses that wait for a gateway to come back; over: refused at once, as if none had been there. */
export const resolutionsWaitingMax = 1_000;
/**
 * INVITEs that nobody remembers and whose callers have hung up, or phones refused: where those wait for the last word, and what they said. The oldest is forgotten. So many
 * such CANCELs in all are under way at once; what a phone has said 487 to is no more. Over: 481.
 */
export const orphansRememberedMax = 1_000;
/** For one source with a connection, or a registered phone: an office whose calls end together. */
export const orphansPerSourceMax: number = orphansRememberedMax / 10;
/**
 * For one source whose datagrams may be forged, which nobody is registered at; for all of those; and for those for one callee. True ones are answered
 * in a moment.
 */
export const orphansPerStrangerMax = 20;
export const orphansOfStrangersMax: number = orphansRememberedMax / 5;
export const orphansPerCalleeMax: number = 2 * orphansPerStrangerMax;
/** How long one counts that no phone knows: its transaction with the phones (64*T1). */
export const orphanCancelMs: number = 64 * t1Ms;
/** How long an access that has lost the other replica is evidence that calls of its are to be taken over here, one by one. */
export const takeoverEvidenceMs = 10_000;
/** A replica that was frozen reads what had come meanwhile: for this long it takes nothing back that it has lost. */
export const lostCallsMs = 2_000;
/** A dialog that comes from the peer so long after it was made: one of the two stood still. What it has in hand may have been answered meanwhile. */
export const lateRecordMs = 1_000;
/** A connection that was lost longer ago has no phone that would come back any moment: RFC 5626 4.5 tries again within 30 s. 480 at once. */
export const phoneLostMs = 30_000;
/**
 * What comes from an access so soon after it has changed to this replica was sent to the other one before, perhaps. The access says it again at once,
 * its caller after T1.
 */
export const replayedMs: number = 1.2 * t1Ms;
/** INVITEs that are remembered because their 2xx has passed without state; more take the place of the oldest. */
export const passedMax = 1_000;
/** Another exchange is asked again where a phone is after a pause that grows from this to that: ten questions in {@link phoneReturnMs}. */
export const phoneAskMsMin = 100;
export const phoneAskMsMax = 1_000;
/** Within this another exchange has answered, or both cells that have it were waited for in vain. What has not come by then does not come. */
export const phoneAnswerMsMax = 4_500;
/** Phones that are searched and waited for at once, by requests, responses and ACKs: 300 a second of them for {@link phoneReturnMs}. Over: 480. */
export const phoneSearchesMax = 2_000;
/** The same for one address-of-record, each of whose REGISTERs looks for all of them, some microseconds each. A quarter: users share the place. */
export const phoneSearchesPerUserMax: number = phoneSearchesMax / 4;
/**
 * Looks through all bindings of an exchange for a Contact, for its own callers and for other exchanges: 10 000 take a millisecond. Attended transfers to
 * softphones are rarer. Over: 480.
 */
export const contactSearchesPerSecondMax = 50;
/** For one caller, so that nobody takes the others' share. */
export const contactSearchesPerCallerMax = 5;
/** Other exchanges that are asked for one Contact. In a larger cluster only that of the user in Referred-By is: 480 when he has not registered it. */
export const exchangesAskedMax = 64;
/** Lines of failed logins in the log: so many at once, then one every 200 ms: 60 MB a day at worst. */
export const failedLoginLinesMax = 100;
export const failedLoginLineMs = 200;
/** What such a line shows of a user and of a method. */
export const failedLoginUserOctetsMax = 128;
export const failedLoginMethodOctetsMax = 32;
/** A line about requests that were refused because too many wait: one a minute, and what it shows of the callee. */
export const crowdedLineMs = 60_000;
export const crowdedUserOctetsMax = 128;

/** A cell that has not taken a frame after this is unreachable: the other replica is tried. A transaction's T1 is 500 ms. */
export const frameAnswerMsMax = 2_000;
/**
 * A frame is to be delivered within this, or not at all. Its answer is waited for longer. So who was told that it did not arrive, or was told
 * nothing, can go elsewhere.
 */
export const frameValidMs = 1_500;
/** Records that wait for a line of another cell, while a frame to it is under way. Over: undeliverable. */
export const lineQueueRecordsMax = 10_000;
/**
 * Inputs (frames of accesses, mostly) that wait while a replica catches up or asks its peer what it has missed. They are some hundred milliseconds of
 * a busy exchange. Over: the backhaul is closed, and the gateway goes to the other replica.
 */
export const inputsWaitingMax = 2_000;

/**
 * A record on the disk, with what the database adds. A binding has some 500 octets, 1300 with a long Contact, and is written to the log and the
 * table.
 */
export const recordOctetsUsual = 2_048;
/** Commits that wait for the disk, as long as there is no peer to wait for, share a write: 50 a second at most. */
export const diskGroupMs = 20;

/**
 * Batches to the peer in one second from which on a WebSocket carries them: opening one costs as much as two requests. It keeps both replicas
 * awake, so it ends when there has been no batch for a while; calls in progress keep them awake for longer.
 */
export const peerSocketBatches = 5;
export const peerSocketIdleMs = 2_000;
/** A WebSocket that could not be had is asked for again after this: later than one that is being opened can come. */
export const peerSocketRetryMs = 5_000;
/**
 * Frames of a line to a replica of another cell, in one second, from which on a WebSocket carries them. Opening one costs as much as two requests. A call
 * is three frames of either phone. It ends sooner than the ten seconds after which the platform would let both objects sleep.
 */
export const frameSocketFrames = 3;
export const frameSocketIdleMs = 5_000;
export const frameSocketRetryMs = 5_000;
/** The replica ends one that its line should have ended: the line's word has not come through. */
export const frameSocketLeftMs: number = 3 * frameSocketIdleMs;

/**
 * What became of calls, of one exchange, that waits for the collector: so many records, and so many octets. They are 20 000 ordinary calls while nobody
 * collects. Over: calls are not noted, and the log says how many.
 */
export const callsWaitingMax = 20_000;
export const callsWaitingOctetsMax = 16 * 1024 * 1024;
/** The share of both for the calls of strangers, who have shown no password. The rest is for subscribers' calls, whatever strangers send. */
export const callsWaitingStrangersShare = 1 / 2;
/**
 * Records of calls are brought to the collector together, this often, at moments of the wall clock that all exchanges share. Each time two cells wait for
 * their disks. Both replicas have the records meanwhile. Longer makes the ledger write more at once, for which its cell stands still.
 */
export const callsGatheredMs = 2_000;
/** What exchanges bring to the collector's ledger within this is one commit. They come at the same moment, from all cells. */
export const ledgerGatheredMs = 100;
/** A delivery that was not taken is tried again after this. A collector that dies is replaced within four seconds. */
export const callsRetryMs = 2_000;
/** What the other replica has noted, and not brought to the collector within this, is brought by this one. */
export const callsOfPeerMs = 15_000;
/** Records, and octets, of one delivery: some milliseconds of a ledger. One record alone may have more octets. */
export const callsBatchMax = 500;
export const callsBatchOctetsMax = 1024 * 1024;
/** Records that one ledger tells another one at a time. */
export const ledgerChunkMax = 500;

/** A replica that has been without its peer for so long says so. Less is a moment of a busy machine, or of a cell that is started again. */
export const loneLastingMs = 5_000;

/** A timer that waits for longer looks at the clock in between: well below what a jump of it counts for (clockJumpMsMin). */
export const clockLookMs = 2_000;

/** SIP timers may be this late, so that a busy exchange is called back 100 times a second and not once for each transaction. */
export const timerSpacingMs = 10;
/**
 * An idle exchange that holds records wakes this often to forget what has expired. Expiry itself is exact, it is looked at with every
 * lookup; each wake is an event and a billed row.
 */
export const sweepAlarmMs = 15 * 60_000;
