import { servedCertificatesMax, servedOctetsMax } from "../cluster/authority/limits.ts";
/** Every limit of the edge that is not one of the core's (sip/limits.ts), each with its reason. Units come last in the names. */

/**
 * Signatures that one memory of used ones holds: 4000 a second, each for `signatureAgeSecondsMax` and the 10 s of its span, some 15 MB. A replica
 * gets some hundred frames and batches a second. Over: refused.
 */
export const signaturesRememberedMax = 160_000;
/** Refused signatures are told to the core group together, after this. */
export const refusalsGatheredMs = 200;
/** Bodies that are being read by the routes of one kind, together. Over: 503. Only who has the secret has one read. */
export const bodiesOctetsMax = 16 * 1024 * 1024;

/** A body of the API: 10 000 subscribers with both HA1 values and their names are 2 MB. */
export const apiBodyOctetsMax = 8 * 1024 * 1024;

/** A cell that has not answered after this is not asked for its share of a status or a list. */
export const cellAnswerMsMax = 2_000;

/**
 * Requests of one object that Cloudflare lets wait for the head of their answers at once. A handshake of a WebSocket is one. Further ones wait there, whoever they
 * are for. https://developers.cloudflare.com/workers/platform/limits/#simultaneous-open-connections
 */
export const outgoingMax = 6;

/** As much of a cell's refusal stands in another one's status. */
export const refusalTextOctetsMax = 300;

/** As much is read of an answer that no cell has given, to say what it is. Cloudflare's own are a line. */
export const strangersAnswerOctetsMax = 512;

/** An exchange that does not open a WebSocket for batches or frames within this is spoken to by requests. */
export const cellSocketOpenMsMax = 2_000;

/** Two gateways of one name take turns within seconds: that is said this often. */
export const nameTakenSaidMs = 60_000;
/** Exchanges that lose their peers, or find them again, within this are said in one line. */
export const loneSaidMs = 1_500;

/** Room that is asked for beyond what is to be written: the database's log writes whole pages, those of its index too. */
export const roomSlackOctets = 128 * 1024;
/**
 * Half of that may be written for so long before room is asked for again: writes of one moment ask once. Longer, and somebody else has filled the disk
 * before the last of them, which resets its object.
 */
export const roomProvenMs = 20;
/** What every object keeps free for what the runtime writes by itself: an alarm's end is three pages of 4 KiB. */
export const roomReserveOctets = 64 * 1024;
/**
 * An object that starts opens its database, for which the runtime makes an index of 32 KiB and a log. That much is kept for each object of a cell: one
 * may be reset while the disk is full.
 */
export const wakeReserveOctets = 48 * 1024;
/** While the disk is full the objects of a cell are called this often: one that was reset opens its database again, as soon as there is room for it. */
export const openedAgainMs = 5_000;
/** A disk that was full has room again when there is this much: less would come and go with each write. */
export const roomAgainOctets = 1024 * 1024;
/** What a change of the view takes on the disk, at most: the epoch, and a line of history for each member. */
export const viewOctets = 64 * 1024;
/** A cluster map as JSON, at most: 4096 exchanges with 40 octets for the pair of each, and some hundred cells. */
export const mapOctets = 256 * 1024;

/** A row of an exchange's disk may have 2 MB; this much holds some hundred records, and is read back in a millisecond. */
export const logRowOctets = 256 * 1024;
/** Lines of no use that a log may have beside as many as are of use: a small log is not worth cleaning. */
export const logSlack = 256;
/** Rows of which nothing counts that a log keeps for the batches that come. Phones that refresh leave one row now, and two or none another time. */
export const logDeadRowsMax = 64;
/** Lines that one write writes again at most to have others deleted: some ten milliseconds. */
export const logCleanedMax = 4_096;

/**
 * Messages of one softphone: sustained rate and burst. A phone in a call sends a handful; a whole office behind one WebSocket stays
 * below this. Over: the WebSocket is closed with 1008, because over a reliable transport a dropped message is a broken promise.
 */
export const socketMessagesPerSecondMax = 1_000;
export const socketMessagesBurstMax = 2_000;
/**
 * Octets that one softphone may have been sent without having shown that it reads: as at a gateway. Over: closed. It is asked to show it, by the branch
 * of what it is sent, whenever this much more may be unread.
 */
export const unreadOctetsMax = 1024 * 1024;
export const unreadProofOctets: number = unreadOctetsMax / 8;
/** So much a second is taken for read all the same: answers to REGISTERs and OPTIONS have no branch of ours. Who reads nothing gets 4 MB in an hour by it. */
export const unreadLeakOctetsPerSecond = 1_024;
/** Exchanges that a softphone has talked to and that hear of its end. Its own and its callees': more than these are not remembered. */
export const socketExchangesMax = 64;

/**
 * WebSockets of one line: Cloudflare has 32 768 hibernating ones for an object, and closes none to make room. The margin is for those that are
 * closing. A cell on a machine of one's own has its own limit for all its lines together, SOFTPHONES_MAX. Over: 503 to the handshake.
 */
export const lineSocketsMax = 32_000;
/**
 * WebSockets of one line from one address (IPv6: one /64) on which nobody has registered. Ten thousand softphones behind one address may connect to
 * the four lines of a cell before the first of them registers. Over: 503.
 */
export const strangersPerSourceMax = 3_000;
/**
 * WebSockets from one address that may break the protocol at one line within {@link brokenHeldMs}. Each holds two descriptors until garbage is collected,
 * and no close frees them. No phone breaks it twice. Over: 503.
 */
export const brokenPerSourceMax = 50;
export const brokenHeldMs = 60_000;
/** Addresses of which that is remembered: some 100 octets each. */
export const breakersSourcesMax = 10_000;
/** Of those that a full line has closed to make room, so many may still be there: descriptors are kept for them (cli/descriptors.ts). */
export const strangersLeavingMax = 64;
/** A WebSocket that has brought no whole message, and no keep-alive, after this is closed. Softphones register at once. */
export const firstMessageMs = 10_000;
/** A full line counts its softphones again this often at most: some milliseconds for ten thousand. */
export const socketsRecountMs = 250;

/** Gateways that a core group remembers after they went away, the oldest forgotten first: cluster/group forgets above the same number. */
export const gatewaysRememberedMax = 1_000;
/** What is kept of where a gateway listens, as JSON: some twenty listeners. It stands beside a socket, where the runtime has 2 KiB. */
export const listenersOctetsMax = 1_400;
/** Changes of the view that are kept: those of a bad day. */
export const historyRowsMax = 500;
/** A ledger that does not say for so long that it can do its work cannot: shorter than from one question to the next. */
export const ledgerAliveMsMax = 3_000;
/** A request for members: a host and all that runs on it, in a kilobyte each. */
export const membersOctetsMax: number = 128 * 1024;
/** What a host reports: 64 processes with the last words of each. */
export const hostReportOctetsMax: number = 64 * 1024;
/** Hosts whose reports a cell keeps in memory: more machines than a system of this kind has. The one that has been silent for longest makes room. */
export const hostsRememberedMax = 128;
/** What a host that says nothing any more has said last is shown for a day. */
export const hostRememberedMs = 86_400_000;
/** A host reports every two seconds: one that has not for so long is dead, or reaches no cell. */
export const hostSilentMs = 10_000;
/** What only cells have, as JSON: up to a dozen secrets, the keys of an authority, and certificates that gateways show. */
export const keyringOctets: number = 4 * 1024 + 2 * servedCertificatesMax * servedOctetsMax;
/** How often a cell asks another one for that. A change is brought at once to those that are up; this is for one that was away. */
export const keyringAskedMs = 10_000;
/** Exchanges of a cell that starts wait so long for the other cells to say what they have: none of them is frozen, usually. */
export const keyringAskedAtFirstMs = 1_000;
/** A status shows the latest of these. */
export const historyShownMax = 20;
/** A heartbeat tells of every gateway, in some 70 octets each, and brings the map to whoever has an older one. */
export const heartbeatOctetsMax: number = 256 * 1024 + mapOctets;
/** Settings are a handful of numbers. */
export const settingsOctetsMax = 4 * 1024;
/** A cell that has not answered after this is left out of a status: whoever watches a failure wants to see it happen. */
export const summaryAnswerMsMax = 1_000;
/** The answer of `/ready` counts for so long: whoever asks more often hears the same. */
export const readyKnownMs = 1_000;
/** A core group that has not answered by then serves nobody. */
export const readyMsMax = 1_000;
/** What an exchange of that cell has to say what it counts, or its core group: the answer of the others is to come in time. */
export const exchangeCountsMsMax = 600;
/** The same as {@link summaryAnswerMsMax} for a cell that is suspected already. */
export const suspectAnswerMsMax = 250;

/** A line that has not been told again for this long takes new softphones. It missed that its cell is back, or its cell has died. */
export const drainHoldMs = 5_000;

/** Refused signatures are counted, and said at most this often: strangers do not fill the log. */
export const refusalsSaidMs = 60_000;
/**
 * Parts that are refused because they speak another version are said once each, so many within an hour. Nobody's signature is checked for it, so
 * strangers may invent names; an installation has a handful of gateways.
 */
export const otherVersionsSaidMax = 16;
export const otherVersionsSaidMs = 3_600_000;

/** Parts of a replica's digest. At 100 changes a second one change is on its way to the peer at a time. So nearly all parts are the same in both. */
export const digestParts = 64;
/**
 * How far behind the beats of a local core group its alarm stands. A group that was reset is called within a second by its gateways and the other cells.
 * One that has neither beats again after this.
 */
export const beatBackstopMs = 60_000;

/** A delivery of call records goes to this cell's ledger, from there to the collector's, and from there to its copy. */
export const deliveryAnswerMsMax: number = 3 * cellAnswerMsMax;
/** A call record on the disk, with its indexes. */
export const callRecordOctetsUsual = 1_024;
/** A ledger that has records looks once a day for those that are too old: what is asked for is never older, whatever is kept. */
export const ledgerSweepMs = 86_400_000;
/** Calls that are listed where no number is asked for. */
export const callsListedDefault = 1_000;
/** What ledgers say to each other at a time: some hundred records, the longest of a phone's liking. */
export const ledgerBodyOctetsMax = 8 * 1024 * 1024;
/** Subscribers of a domain that is removed which are removed at once: each is on a disk and at a peer before the next hundred. */
export const removedAtOnce = 100;
