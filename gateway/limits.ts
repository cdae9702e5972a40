/** Limits and times of the gateway, each with its reason. Units come last in the names. */

/** TCP, TLS and WebSocket connections of one gateway. A plain one costs some 10 KB, one over TLS some 60; each needs a file descriptor (`ulimit -n`). */
export const connectionsMax = 20_000;
/** Nothing in either direction: longer than the longest registration lives (3600 s), so that no phone loses the flow it is called on. */
export const connectionIdleMs = 3_900_000;
/** Part of a message, and the rest does not come: a slow attack, or a phone that died in mid-message. */
export const partialMessageMs = 30_000;
/** TCP keep-alive finds dead connections (a laptop that sleeps, a NAT that forgot) long before the idle time. */
export const tcpKeepAliveMs = 60_000;
/** Handshakes of whoever connected, TLS and WebSocket together, from the moment when the connection was accepted. */
export const handshakeMs = 10_000;
/** Who connected and has not sent a whole message after this is of no use, handshakes and keep-alives included. Phones register at once. */
export const firstMessageMs = 10_000;
/**
 * Connections of all listeners in the middle of their handshakes: softphones that come back all at once, at a millisecond of TLS each. Over: one is closed of
 * the address that has the most.
 */
export const handshakesMax = 2_000;
/**
 * Connections from one address (IPv6: one /64) whose phones have not registered, whatever their stage. Ten thousand softphones behind one address may
 * connect before the first of them registers.
 */
export const strangersPerSourceMax = 12_000;
/** Where room is made within one address, only those go that have been there longer: what has just begun may be a phone. */
export const greetingMs = 5_000;
/** Of all connections, those that the gateway may have opened. An exchange that is told to open them, by a stranger's Via for one, must not fill it. */
export const openedShareMax = 0.25;
/** Softphones over the limit that are let in at once, to be told 503. */
export const refusedTogetherMax = 64;
/** Frames that one message of a softphone may come in: no client makes more than one of 64 KiB, and each costs a hundred octets. */
export const framesPerMessageMax = 64;
/** HTTP request of whoever connected, from its first octet to its last; how often those that take longer are looked for. */
export const httpRequestMs = 10_000;
export const httpCheckMs = 2_000;
/**
 * A PROXY header, version 2: 16 octets, addresses, and what a balancer says of TLS or of its cloud, which is a few hundred. HAProxy's document asks receivers for
 * 536 at least.
 */
export const proxyHeaderOctetsMax = 2_048;
/** It is the first that a balancer sends, in one segment: sent again once, it is there within three seconds. */
export const proxyHeaderMs = 3_000;
/** Connections of balancers that have not sent it. They are counted by nobody else yet, and each has a descriptor. */
export const proxyHeadersMax = 1_000;
/** One line about those that were refused in so long: a balancer that is configured wrongly has each connection refused. */
export const proxySaidMs = 60_000;
/** Connections to the page that tells load balancers how the gateway is: some balancers, and whoever watches. They are short. Over: one is closed. */
export const healthConnectionsMax = 64;
/** Of these, from one address (IPv6: one /64): a pair of balancers behind one has a few. Over: the one that has been there longest is closed. */
export const healthConnectionsPerSourceMax = 16;
/** Who asks does so at once. A first segment that was lost is there again within this (RFC 6298). */
export const healthSilentMs = 1_000;
/** A question to it, from its first octet to its last; and how many octets it has, with all that browsers say. */
export const healthRequestMs = 2_000;
export const healthRequestOctetsMax = 8_192;
/** A connection that the gateway opens: below Timer F, so that the next target can still be tried (RFC 3263 4.3). */
export const connectTimeoutMs = 4_000;
/** Messages that wait for one connection to be made. */
export const connectingOctetsMax = 256 * 1024;
/** Written and not taken by the other end: it reads too slowly, or not at all. The connection is closed. */
export const unwrittenOctetsMax = 1024 * 1024;
/** After a last answer, for the other end to take it. */
export const lingerMs = 1_000;
/**
 * A stream that cannot be followed any further ends when the requests before have been answered, or after this: two T1, and the way from an exchange
 * to its peer.
 */
export const lastAnswersMs = 2_000;
/** A phone that has said and heard nothing for this long is in the middle of nothing but perhaps ringing or a call. */
export const drainQuietMs = 5_000;
/** When none has been quiet for so long, those that are left are closed as well. */
export const drainPatienceMs = 60_000;
/**
 * A gateway that is drained has closed all after this, however late all is and whatever they send. `tandem drain` waits three minutes after the deadline. Ten
 * thousand connections are 67 a second then, a third of the quickest pace.
 */
export const drainMsMax = 150_000;
/** For softphones to answer the close of their WebSockets when the gateway stops: it has half a second in all. */
export const goodbyeMs = 250;
/** Backhauls that one connection remembers to tell of its end; over: all are told. */
export const linksPerConnectionMax = 64;

/** Socket buffers of a UDP listener: half a second at 1000 calls/s, as the kernel counts. It may give less (net.core.rmem_max). */
export const udpBufferOctets = 4 * 1024 * 1024;
/** While there is too much to do: of three processes that all want the processor, the gateway then has a bit more than half of it. */
export const urgentSteps = 4;
/** How often a gateway that has something to do looks how long datagrams wait. */
export const probeMs = 100;
/** A letter to ourselves that has not come after this was dropped by the kernel, whose queue was full. */
export const probeRestMs = 1_000;
/**
 * What waits over one socket for the end of the turn, or for room in the kernel: a tenth of a second at 1500 calls/s. Over it is sent in the middle of
 * the turn. When the kernel has no room either, it is dropped and counted.
 */
export const udpOutboxDatagrams = 1_024;
export const udpOutboxOctets: number = 1024 * 1024;
/** Datagrams that are read share blocks of this size: twenty of them, or as many as one wake brings at 1500 calls/s. One that is kept keeps its block. */
export const udpPoolOctets: number = 16 * 1024;
/** Destinations whose dropped datagrams are counted between two such lines: pacing drops when thousands wait for one of them. */
export const droppingPlacesMax = 64;
/** One line about lost datagrams in so long: who is flooded must not be flooded with lines as well. */
export const lossesSaidMs = 60_000;
/** UDP address pairs whose flow key is remembered; it is only a cache. */
export const flowsRememberedMax = 65_536;

/**
 * Datagrams that leave for one address and port at once. A socket as Linux makes it has 208 KiB, which are 92 datagrams of 900 octets with what the
 * kernel adds, or 160 of 500. A third of that leaves room for others' datagrams, and for some milliseconds until its process runs.
 */
export const pacedBurst = 32;
/** Datagrams a millisecond after that, at least: more than the 6 of 1500 calls/s with all callers behind one port. */
export const pacedPerMsMin = 8;
/** A queue empties at the rate that takes about so long: a quarter of T1, so that nobody says anything again for the waiting. */
export const pacedSpreadMs = 128;
/** The mean rate of a destination is that of about so long: a burst changes it little, and who is sent more and more is not waited for long. */
export const pacedMeanMs = 1_000;
/**
 * Datagrams that wait for one destination: all 200s of a second at 4000 calls/s. Octets that wait for all of them: a cell sends less in a second, and
 * memory has a bound. Over: dropped as a network would, and counted.
 */
export const pacedCountMax = 4_096;
export const pacedOctetsMax: number = 16 * 1024 * 1024;

/** WebSocket handshake with a cell. */
export const handshakeTimeoutMs = 3_000;
/** A cell has so long to answer the close of a WebSocket. */
export const closeAnswerMs = 300;
/** What a control link may send: a map of a thousand cells fits. */
export const controlOctetsMax = 1024 * 1024;

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
