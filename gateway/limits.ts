import { backhaulQueueOctetsMax } from "../cluster/limits.ts";

/** Limits and times of the gateway, each with its reason. Units come last in the names. */

/** TCP, TLS and WebSocket connections of one gateway. A plain one costs some 10 KB, one over TLS some 60; each needs a file descriptor (`ulimit -n`). */
export const connectionsMax = 20_000;
/** Nothing in either direction: longer than the longest registration lives (3600 s), so that no phone loses the flow it is called on. */
export const connectionIdleMs = 3_900_000;
/** Part of a message, and the rest does not come (a slow attack, or a peer that died in mid-message). */
export const partialMessageMs = 30_000;
/** TCP keep-alive finds dead peers (a laptop that sleeps, a NAT that forgot) long before the idle time. */
export const tcpKeepAliveMs = 60_000;
/**
 * Handshakes of a peer that connected, TLS and WebSocket together, from the moment when it was accepted.
 */
export const handshakeMs = 10_000;
/** Who connected and has not sent a whole message, or a keep-alive, after this is of no use. Phones register at once. */
export const firstMessageMs = 30_000;
/**
 * Connections of all listeners in the middle of their handshakes: softphones that come back all at once, at a millisecond of TLS each. Over: one is closed of
 * the address that has the most.
 */
export const handshakesMax = 2_000;
/**
 * Connections from one address (IPv6: one /64) whose phones have not registered, whatever their stage: ten thousand softphones behind one address may
 * connect before the first of them registers.
 */
export const strangersPerSourceMax = 12_000;
/** Where room is made within one address, only those go that have been there longer: what has just begun may be a phone. */
export const greetingMs = 5_000;
/** Of all connections, those that the gateway may have opened: an exchange that is told to, by a stranger's Via for one, must not fill it. */
export const openedShareMax = 0.25;
/** Softphones over the limit that are let in at once, to be told 503. */
export const refusedTogetherMax = 64;
/** Frames that one message of a softphone may come in: no client makes more than one of 64 KiB, and each costs a hundred octets. */
export const framesPerMessageMax = 64;
/** HTTP request of a peer that connected, from its first octet to its last; how often those that take longer are looked for. */
export const httpRequestMs = 10_000;
export const httpCheckMs = 2_000;
/** A connection that the gateway opens: below Timer F, so that the next target can still be tried (RFC 3263 4.3). */
export const connectTimeoutMs = 4_000;
/** Messages that wait for one connection to be made. */
export const connectingOctetsMax = 256 * 1024;
/** Written and not taken by the peer: it reads too slowly, or not at all; the connection is closed. */
export const unwrittenOctetsMax = 1024 * 1024;
/** After a last answer, for the peer to take it. */
export const lingerMs = 1_000;
/** A stream that cannot be followed any further ends when the requests before have been answered, or after this: two T1 and a way to a pair. */
export const lastAnswersMs = 2_000;
/** For softphones to answer the close of their WebSockets when the gateway stops: it has half a second in all. */
export const goodbyeMs = 250;
/** Backhauls that one connection remembers to tell of its end; over: all are told. */
export const linksPerConnectionMax = 64;

/** Socket buffers of a UDP listener: bursts of a second at 1000 calls/s. The kernel may give less (net.core.rmem_max). */
export const udpBufferOctets = 4 * 1024 * 1024;
/** UDP address pairs whose flow key is remembered; it is only a cache. */
export const flowsRememberedMax = 65_536;

/** What cannot reach its exchange is held so long, for a cell that comes back; then requests are answered 503. Above the backoff. */
export const backhaulHoldMs = 4_000;
/** Before the first map: octets held of messages that nobody can place yet. */
export const unplacedOctetsMax = 1024 * 1024;
/** Backoff of backhauls and control links: the first retry is immediate, then doubling with jitter. */
export const reconnectMsMin = 50;
export const reconnectMsMax = 2_000;
/** WebSocket handshake with a cell. */
export const handshakeTimeoutMs = 3_000;
/** A hello that an exchange never answers, though its runtime answers pings: it hangs; the backhaul is made anew. */
export const helloAnswerMs = 10_000;
/** An exchange that answered the hello and did not say whether it serves: an older one, which always does. */
export const servingAssumedMs = 1_000;
/** A replica that could be used for less than this comes and goes: next time it must be stable for one heartbeat period first. */
export const flapMs = 1_000;
/**
 * Going back to the primary: the other's answers are waited for so long, and the records between the replicas so long after the last. In the rule
 * an answer means that the primary has them; one that has only just caught up may get them after the 20 ms of a batch and its way from cell to cell.
 */
export const returnWaitMs = 200;
export const returnSettleMs = 100;
/** How often one message is taken from a lost backhaul to the next: one that ends every process that reads it must not go round for ever. */
export const movesMax = 4;
/** What two backhauls and all that waits for them may hold for one exchange: a margin below one backhaul's limit, for what takes over. */
export const exchangeQueueOctetsMax = backhaulQueueOctetsMax - 1024;
/** A cell that another cell declares down is pinged at once, and has so long to answer: a cut between cells is no reason to leave it. */
export const declaredDownAnswerMs = 250;
/** How often silence is looked for, while an answer is owed: a part of the heartbeat's period within these bounds. */
export const watchMsMin = 10;
export const watchMsMax = 250;
/** Pings when no map has said otherwise (design: 1 s x 3). */
export const heartbeatDefault = { periodMs: 1_000, missed: 3 } as const;
/** What a control link may send: a map of a thousand cells fits. */
export const controlOctetsMax = 1024 * 1024;
/** Exchanges that a map may name: a bound against a broken one. */
export const exchangesMax = 4_096;

/**
 * How often this process looks at the clock when nothing happens, so that it knows that it stood still: less than what counts as that. Where it is
 * the heartbeat's period, a look costs nothing; each wake of an idle process costs up to two milliseconds.
 */
export const lookMsMax = 1_000;
/** This process has not run for so long though it should have: it stood still. What is shorter may be a busy machine. */
export const standstillMsMin = 1_500;
/**
 * What had waited in sockets is read within this afterwards: new requests wait so long for the ends of their connections, new ones in datagrams
 * are left to be said again (after 500 ms the first time).
 */
export const standstillWaitMs = 500;
/** New requests, and what came behind them, that wait then. Over: they pass. */
export const standstillMessagesMax = 2_000;

/** RFC 3263: one question to one server, tries of it, and one resolution with all its steps. */
export const dnsQueryTimeoutMs = 1_000;
export const dnsTries = 2;
export const resolutionTimeoutMs = 4_000;
/** Records of one answer that are looked at, and flows that one resolution yields. */
export const dnsRecordsMax = 16;
export const flowsPerResolutionMax = 12;
/** Resolutions at once; over: the answer is empty at once. */
export const resolutionsMax = 1_000;
/** Answers remembered, by name and type, and for how long: addresses by their TTL up to this. */
export const dnsCacheEntriesMax = 4_096;
export const dnsCacheMs = 30_000;
/** A name without answer is asked again after this. */
export const dnsNegativeCacheMs = 5_000;

/** Per-source limit, when it is on: messages a window, and how long a source over it is ignored. */
export const sourceWindowMs = 2_000;
export const sourceBanMs = 120_000;
/** Sources that are counted at once. */
export const sourcesMax = 100_000;
