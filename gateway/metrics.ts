import { type Metric, single } from "../cluster/metrics/exposition.ts";
import type { Counters } from "./counters.ts";

/** What a gateway is at the moment of being asked. */
export type GatewaySelf = {
  readonly name: string;
  readonly counters: Readonly<Counters>;
  /** Connections that phones have opened. */
  readonly connections: number;
  readonly isReachable: boolean;
  readonly isDraining: boolean;
  readonly isNative: boolean;
  /** How long what was taken waits for the cells, and datagrams in the sockets, ms. */
  readonly lateMs: number;
  readonly inputDelayMs: number;
};

/** What the process has used. */
export type ProcessUse = { readonly cpuSeconds: number; readonly memoryOctets: number; readonly startedAt: number };

/** Of each counter: its name and what it means. */
const counted: Readonly<Record<Exclude<keyof Counters, "noisySources">, readonly [name: string, help: string]>> = {
  messagesIn: ["messages_in", "SIP messages from phones."],
  messagesOut: ["messages_out", "SIP messages to phones."],
  keepAlives: ["keep_alives", "Keep-alives of phones that were answered."],
  junk: ["junk", "Datagrams that are no SIP, and streams that lost their framing."],
  limited: ["limited", "Messages from a source over its limit."],
  refused: ["refused", "Requests that the gateway answered with 503 itself."],
  shed: ["shed", "New requests refused because all was late."],
  noise: ["noise", "New requests refused, of sources that ask for much and get nothing."],
  dropped: ["dropped", "Messages that could not reach an exchange, or were read too late."],
  undeliverable: ["undeliverable", "Messages that could not be delivered to a phone."],
  datagramsLost: ["datagrams_lost", "Datagrams that the kernel dropped when a listener's socket was full."],
  datagramsPaced: ["datagrams_paced", "Datagrams that left some milliseconds later, to spread a burst."],
  datagramsDropped: ["datagrams_dropped", "Datagrams for which nobody had room when they were to leave."],
  framesIn: ["frames_in", "Frames from cells."],
  framesOut: ["frames_out", "Frames to cells."],
  backhaulFailures: ["backhaul_failures", "Backhauls that were lost or could not be opened."],
  takeovers: ["takeovers", "Lost replicas whose calls the other one was told to take over."],
  messagesMoved: ["messages_moved", "Messages that moved to the other replica with them."],
  connectionsOpened: ["connections_opened", "Connections to phones and next hops that the gateway opened."],
  connectionsAccepted: ["connections_accepted", "Connections of phones that were taken."],
  connectionsRefused: ["connections_refused", "Connections that were refused, because there were too many."],
  connectionsEvicted: ["connections_evicted", "Connections of strangers that were closed to make room for others."],
  connectionsClosed: ["connections_closed", "Connections that were closed, by either side."],
  proxyHeadersRefused: ["proxy_headers_refused", "Connections of load balancers without a readable PROXY header."],
  resolutions: ["resolutions", "Names of next hops that were looked up."],
};

/** The metrics of a gateway. No label is a stranger's word. */
export function gatewayMetrics(self: GatewaySelf, process: ProcessUse): Metric[] {
  const { name, counters, isNative } = self;
  return [
    single("tandem_gateway_info", "gauge", "1; which gateway this is, and how it reads datagrams.", 1, {
      gateway: name,
      datagrams: isNative ? "many at once" : "one at a time",
    }),
    gauge("ready", "1: at least one cell can be reached, and it is not draining.", self.isReachable && !self.isDraining ? 1 : 0),
    gauge("draining", "1: an operator has taken it out of service.", self.isDraining ? 1 : 0),
    gauge("connections", "Connections of phones that are open.", self.connections),
    gauge("late_seconds", "How long what was taken waits for the cells.", self.lateMs / 1_000),
    gauge("input_delay_seconds", "How long datagrams wait in a socket before they are read.", self.inputDelayMs / 1_000),
    gauge("noisy_sources", "Sources that are refused something now, because they ask for much and get nothing.", counters.noisySources),
    ...Object.entries(counted).map(([key, [metric, help]]) =>
      single(`tandem_gateway_${metric}_total`, "counter", help, counters[key as keyof typeof counted]),
    ),
    single("process_cpu_seconds_total", "counter", "CPU time of the process, user and system.", process.cpuSeconds),
    single("process_resident_memory_bytes", "gauge", "Memory of the process.", process.memoryOctets),
    single("process_start_time_seconds", "gauge", "When the process was started, in seconds since 1970.", process.startedAt),
  ];
}

function gauge(name: string, help: string, value: number): Metric {
  return single(`tandem_gateway_${name}`, "gauge", help, value);
}
