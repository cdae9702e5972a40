/**
 * What reading one SIP message costs: `node bench/parse.ts`. Each case runs in a hundred batches after warming up; the same octets go
 * through npm's `sip`, which reads everything eagerly, where it can read them.
 */
import { createRequire } from "node:module";
import { buildResponse } from "../sip/message/build.ts";
import { MessageEdit } from "../sip/message/edit.ts";
import { Header } from "../sip/message/header-names.ts";
import { octetsOf } from "../sip/message/octets.ts";
import { parseMessage } from "../sip/message/sip-message.ts";
import type { SipMessage } from "../sip/message/sip-message.ts";
import { StreamFramer } from "../sip/message/stream-framer.ts";
import { isParseError } from "../sip/errors.ts";

type PeerParser = { parse(text: string): unknown };
const peer = createRequire(import.meta.url)("sip") as PeerParser;

const head = [
  "Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK-524287-1---5c8d3ab0f1;rport=41822;received=198.51.100.9",
  "Max-Forwards: 70",
  "Route: <sip:edge.example.test:5060;lr>",
  "Contact: <sip:alice@192.0.2.7:5060;transport=udp>",
  "To: <sip:bob@example.test>;tag=8f3a1c",
  'From: "Alice" <sip:alice@example.test>;tag=9fxced76sl',
  "Call-ID: 3848276298220188511@192.0.2.7",
  "CSeq: 2 INVITE",
  "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE",
  "Supported: outbound, path, gruu",
  "User-Agent: phone/1.2.3",
];
const sdp = "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n";

function octetsWith(startLine: string, body: string): Uint8Array {
  return octetsOf(`${startLine}\r\n${head.join("\r\n")}\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
}

const request = octetsWith("INVITE sip:bob@example.test SIP/2.0", sdp);
const response = octetsWith("SIP/2.0 200 OK", sdp);

let sink = 0;

/** Everything the hot path of a proxy reads. */
function readAll(message: SipMessage): void {
  const via = message.topVia;
  const cSeq = message.cSeq;
  const routes = message.routes;
  const contacts = message.contacts;
  const maxForwards = message.maxForwards;
  sink += message.isRequest ? message.method.length + message.requestUri.length : message.status;
  if (!isParseError(via)) sink += (via.branch ?? "").length + (via.received ?? "").length + (typeof via.rport === "number" ? 1 : 0);
  sink += (message.fromTag ?? "").length + (message.toTag ?? "").length + message.callId.length;
  if (!isParseError(cSeq)) sink += cSeq.number;
  if (typeof maxForwards === "number") sink += maxForwards;
  if (!isParseError(routes)) sink += (routes[0]?.uri ?? "").length;
  if (!isParseError(contacts) && contacts !== "*") sink += (contacts[0]?.uri ?? "").length;
}

function parsed(octets: Uint8Array): SipMessage {
  const result = parseMessage(octets);
  if (isParseError(result)) throw new Error(result.reason);
  return result;
}

/** Microseconds a run: the quickest of a hundred batches, which a busy machine disturbs least, and the median. */
function measure(run: () => void): { best: number; median: number } {
  const batches: number[] = [];
  for (let batch = 0; batch < 110; batch++) {
    const start = process.hrtime.bigint();
    for (let i = 0; i < 2_000; i++) run();
    if (batch >= 10) batches.push(Number(process.hrtime.bigint() - start) / 2_000_000);
  }
  batches.sort((a, b) => a - b);
  return { best: batches[0] ?? 0, median: batches[batches.length >> 1] ?? 0 };
}

const requestText = Buffer.from(request).toString("latin1");
const responseText = Buffer.from(response).toString("latin1");
const framed = new Uint8Array([...request, ...request]);

const rows: Record<string, { octets: number; "best us": number; "median us": number }> = {};
function row(name: string, octets: number, run: () => void): void {
  const { best, median } = measure(run);
  rows[name] = { octets, "best us": Number(best.toFixed(2)), "median us": Number(median.toFixed(2)) };
}

row("request: index only", request.length, () => void (sink += parsed(request).bodyStart));
row("request: all a proxy reads", request.length, () => readAll(parsed(request)));
row("request: all, and checkMandatory", request.length, () => {
  const read = parsed(request);
  if (read.checkMandatory() !== undefined) throw new Error("not mandatory");
  readAll(read);
});
row("response: all a proxy reads", response.length, () => readAll(parsed(response)));
row("edit: as a proxy forwards", request.length, () => {
  const edit = new MessageEdit(parsed(request))
    .prepend(Header.Via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKabcdef")
    .set(Header.MaxForwards, "69")
    .removeFirst(Header.Route)
    .prepend(Header.RecordRoute, "<sip:192.0.2.1;lr>")
    .setRequestUri("sip:bob@192.0.2.8");
  sink += edit.serialize().length;
});
row("build: 180 response", request.length, () => void (sink += buildResponse(parsed(request), 180, { toTag: "x" }).length));
row("framer: two messages a chunk", framed.length, () => void (sink += new StreamFramer().push(framed).length));
row("npm sip: request", request.length, () => void (sink += peer.parse(requestText) === undefined ? 0 : 1));
row("npm sip: response", response.length, () => void (sink += peer.parse(responseText) === undefined ? 0 : 1));

console.table(rows);
if (sink === 0) throw new Error("nothing was read");
