import { isParseError } from "../errors.ts";
import { messageOctetsMax } from "../limits.ts";
import { Params, noParams, parseParams } from "../message/params.ts";
import type { SipMessage } from "../message/sip-message.ts";
import type { Via } from "../message/via.ts";
import { addressToHex, defaultPort, flowKeyOf, joinFlow, serializeFlowKey, splitFlow } from "./flow.ts";
import type { FlowKey } from "./flow.ts";

/** Where responses go (RFC 3261 18.2, RFC 3581), by the top Via and the flow the request came on. `maddr` is not followed. */

/**
 * RFC 3261 18.2.1 and RFC 3581 4: the request with the source it came from in its top Via. `received` is added when that is not the sent-by host or
 * the client asked for `rport`. What the client wrote there itself is replaced. What comes back may be kept for minutes: its octets keep no others.
 */
export function stampReceived(message: SipMessage, flow: string): SipMessage {
  const via = message.topVia;
  const source = flowKeyOf(flow);
  if (isParseError(via) || source === undefined) return message;
  if (saysSource(via, source)) return isAlone(message) ? message : message.withTopVia(via);
  const stamped = message.withTopVia(new StampedVia(via, source, via.rport !== undefined));
  return stamped.octets.length > messageOctetsMax ? message : stamped;
}

/**
 * The same for a request that is answered within its event and goes nowhere else, as most REGISTERs are. Only its answer has the source, and no octets
 * are copied.
 */
export function stampAnswer(message: SipMessage, flow: string): void {
  const via = message.topVia;
  const source = flowKeyOf(flow);
  if (isParseError(via) || source === undefined || saysSource(via, source)) return;
  const stamped = new StampedVia(via, source, via.rport !== undefined);
  const octets = message.end - message.start + stamped.text.length - via.text.length;
  if (octets <= messageOctetsMax) message.answerVia(stamped);
}

/** Whether the source is what the client thinks, and did not ask for. */
function saysSource(via: Via, source: FlowKey): boolean {
  return via.rport === undefined && via.received === undefined && isSameHost(via.host, source.address);
}

/** False: the octets of the message are a small part of what came with them, which a message that is kept would keep as well. */
function isAlone({ octets, start, end }: SipMessage): boolean {
  return octets.buffer.byteLength <= 2 * (end - start) + keptOctetsMin;
}

/** Less than this is not worth a copy. */
const keptOctetsMin = 4_096;

const rport = ";rport";

/** Where the question for `rport` stands in a Via, as nearly every client over UDP asks it (RFC 3581 3). -1: it has to be read with care. */
function plainRport({ text, received, rport: asked }: Via): number {
  if (received !== undefined || asked !== true || text.includes('"')) return -1;
  const at = text.indexOf(rport);
  const end = at + rport.length;
  return end === text.length || text.charAt(end) === ";" ? at : -1;
}

/** The text of a Via with its source in it, behind its other parameters. */
function stampedText(via: Via, source: FlowKey, asked: boolean): string {
  const { text } = via;
  const at = plainRport(via);
  if (at >= 0) return `${text.slice(0, at)}${text.slice(at + rport.length)};received=${source.address};rport=${source.port}`;
  const pairs: string[] = [];
  for (const [name, value] of via.params.entries()) if (name !== "received" && name !== "rport") pairs.push(name, value);
  pairs.push("received", source.address);
  if (asked) pairs.push("rport", String(source.port));
  const semicolon = text.indexOf(";");
  const head = semicolon < 0 ? text : text.slice(0, semicolon).trimEnd();
  return head + new Params(pairs).serialize();
}

/** A Via with its source in it, whose parameters are read when they are asked for. */
class StampedVia implements Via {
  readonly transport: string;
  readonly host: string;
  readonly port: number | undefined;
  readonly branch: string | undefined;
  readonly received: string;
  readonly rport: number | undefined;
  readonly text: string;

  constructor(via: Via, source: FlowKey, asked: boolean) {
    this.transport = via.transport;
    this.host = via.host;
    this.port = via.port;
    this.branch = via.branch;
    this.received = source.address;
    this.rport = asked ? source.port : undefined;
    this.text = stampedText(via, source, asked);
  }

  get params(): Params {
    const params = parseParams(this.text, this.text.indexOf(";"));
    return isParseError(params) ? noParams : params;
  }
}

/**
 * RFC 3261 18.2.2: the flow that a response leaves on. Over a connection it is that connection. Over UDP it is the source address, with the source
 * port when the client asked for `rport` (RFC 3581 4), else with the sent-by port.
 */
export function responseFlow(message: SipMessage, flow: string): string {
  const via = message.topVia;
  const parts = splitFlow(flow);
  const source = flowKeyOf(flow);
  if (parts === undefined || source === undefined || isParseError(via)) return flow;
  if (source.transport !== "UDP" || via.rport !== undefined) return flow;
  const port = via.port ?? defaultPort("UDP");
  return port === source.port ? flow : joinFlow(parts.access, serializeFlowKey({ ...source, port }));
}

/**
 * RFC 3261 18.2.2: a response whose connection is gone goes to the source address at the sent-by port, over a new connection if need be.
 * Undefined where that is no use: over UDP, and for WebSockets, which only clients open (RFC 7118 5).
 */
export function fallbackFlow(via: Via, flow: string): string | undefined {
  const parts = splitFlow(flow);
  const source = flowKeyOf(flow);
  if (parts === undefined || source === undefined || source.connection === "") return undefined;
  const { transport } = source;
  if (transport !== "TCP" && transport !== "TLS") return undefined;
  const port = via.port ?? defaultPort(transport);
  return joinFlow(parts.access, serializeFlowKey({ transport, listener: source.listener, connection: "", address: source.address, port }));
}

/** RFC 3581: true when the source in a stamped Via is not what the client thinks it is: there is a NAT in between. */
export function isBehindNat(via: Via): boolean {
  if (via.received !== undefined && !isSameHost(via.host, via.received)) return true;
  return typeof via.rport === "number" && via.rport !== (via.port ?? 5060) && via.transport === "UDP";
}

function isSameHost(host: string, address: string): boolean {
  if (host === address) return true;
  return host.startsWith("[") && address.includes(":") && addressToHex(host) === addressToHex(address);
}
