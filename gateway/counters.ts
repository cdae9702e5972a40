import type { Counters as ActorCounters } from "../actors/gateway/ports.ts";

/** What happened since the start, for metrics and tests. Plain numbers that the parts of the gateway raise. */
export type Counters = ActorCounters & {
  messagesOut: number;
  keepAlives: number;
  /** Datagrams that are no SIP, and streams that lost their framing. */
  junk: number;
  /** Messages from a source over its limit. */
  limited: number;
  /** Messages that could not be delivered to a flow, reported to the exchange. */
  undeliverable: number;
  /** Datagrams that came when a listener's socket was full: the kernel dropped them. */
  datagramsLost: number;
  /** Datagrams that left some milliseconds later, so that their destination's socket does not overflow, and those for which nobody had room. */
  datagramsPaced: number;
  datagramsDropped: number;
  connectionsOpened: number;
  connectionsAccepted: number;
  connectionsRefused: number;
  /** Of strangers, closed to make room for others. */
  connectionsEvicted: number;
  connectionsClosed: number;
  /** Connections of load balancers without a PROXY header that can be read in time. */
  proxyHeadersRefused: number;
};

export function newCounters(): Counters {
  return {
    messagesIn: 0,
    messagesOut: 0,
    keepAlives: 0,
    junk: 0,
    limited: 0,
    refused: 0,
    shed: 0,
    noise: 0,
    noisySources: 0,
    dropped: 0,
    undeliverable: 0,
    datagramsLost: 0,
    datagramsPaced: 0,
    datagramsDropped: 0,
    framesIn: 0,
    framesOut: 0,
    backhaulFailures: 0,
    takeovers: 0,
    messagesMoved: 0,
    connectionsOpened: 0,
    connectionsAccepted: 0,
    connectionsRefused: 0,
    connectionsEvicted: 0,
    connectionsClosed: 0,
    proxyHeadersRefused: 0,
    resolutions: 0,
  };
}
