import { domain, stepMs, type Message, type PairedExchanges } from "./paired-exchanges.ts";

/** A load on paired exchanges: the same messages as those of `bench/scenarios`, by phones that cost little. */
export type Load = {
  /** Calls or REGISTERs begun in a second. */
  readonly rate: number;
  /** One step of {@link stepMs}: what begins, and what goes on. */
  step(): void;
};

/** As many messages as a frame of a busy backhaul has. */
const perFrame = 4;
const sdp = `v=0\r\no=sipp 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n`;

function octetsOf(lines: readonly string[], body = ""): Uint8Array {
  return Buffer.from(`${lines.join("\r\n")}\r\nContent-Length: ${body.length}\r\n\r\n${body}`, "latin1");
}

function linesOf(octets: Uint8Array): string[] {
  return Buffer.from(octets.buffer, octets.byteOffset, octets.length).toString("latin1").split("\r\n");
}

function valueOf(lines: readonly string[], name: string): string {
  return lines.find((line) => line.startsWith(name))?.slice(name.length) ?? "";
}

/** Phones register once, then again and again, in turn. */
export class Registers implements Load {
  readonly rate = 750;
  readonly #exchanges: PairedExchanges;
  readonly #phones: number;
  #count = 0;

  constructor(exchanges: PairedExchanges, phones = 750) {
    this.#exchanges = exchanges;
    this.#phones = phones;
  }

  step(): void {
    const messages: Message[] = [];
    const begun = (this.rate * stepMs) / 1000;
    for (let n = 0; n < begun; n++) messages.push(this.#register());
    let answers = this.#exchanges.receive(messages, perFrame).length;
    answers += this.#exchanges.step().length;
    if (answers !== begun) throw new Error(`${begun} REGISTERs, ${answers} answers`);
  }

  #register(): Message {
    this.#count += 1;
    const phone = this.#count % this.#phones;
    const port = 20_000 + phone;
    const user = `phone${phone}`;
    const octets = octetsOf([
      `REGISTER sip:${domain} SIP/2.0`,
      `Via: SIP/2.0/UDP 198.51.100.7:${port};branch=z9hG4bK-1-${this.#count}-0;rport`,
      "Max-Forwards: 70",
      `From: <sip:${user}@${domain}>;tag=r1x${this.#count}`,
      `To: <sip:${user}@${domain}>`,
      `Call-ID: ${user}-1@198.51.100.7`,
      `CSeq: ${Math.floor(this.#count / this.#phones) + 1} REGISTER`,
      `Contact: <sip:${user}@198.51.100.7:${port};transport=UDP>`,
      "Expires: 3600",
      "User-Agent: SIPp",
    ]);
    return { key: `u0..c6336407${port.toString(16).padStart(4, "0")}`, octets };
  }
}

const callerKey = "u0..c633640713ce";
const calleeKey = "u0..cb00710913d8";
const callerVia = "Via: SIP/2.0/UDP 198.51.100.7:5070";
const callees = 100;
/** When the callee answers and when the caller hangs up, in steps after the INVITE and after the 200. */
const answerSteps = 100 / stepMs;
const talkSteps = 1_000 / stepMs;

type Call = { readonly number: number; route: readonly string[]; to: string; target: string };

/** Whole calls: INVITE, 100, 180, 200, ACK, a second of talk, BYE, 200. */
export class Calls implements Load {
  readonly rate = 250;
  readonly #exchanges: PairedExchanges;
  readonly #later = new Map<number, Message[]>();
  readonly #calls = new Map<string, Call>();
  #steps = 0;
  #count = 0;

  constructor(exchanges: PairedExchanges) {
    this.#exchanges = exchanges;
    const registers = Array.from({ length: callees }, (_, index) => ({ key: calleeKey, octets: registerOf(index) }));
    exchanges.receive(registers, perFrame);
    exchanges.step();
  }

  step(): void {
    this.#steps += 1;
    const begun = (this.rate * stepMs) / 1000;
    let messages: Message[] = this.#later.get(this.#steps) ?? [];
    this.#later.delete(this.#steps);
    for (let n = 0; n < begun; n++) messages.push(this.#invite());
    while (messages.length > 0) messages = this.#exchanges.receive(messages, perFrame).flatMap((message) => this.#react(message));
    this.#plan(
      1,
      this.#exchanges.step().flatMap((message) => this.#react(message)),
    );
    if (this.#calls.size > begun * (answerSteps + talkSteps + 5)) throw new Error(`${this.#calls.size} calls stand that should be over`);
  }

  #plan(steps: number, messages: readonly Message[]): void {
    const at = this.#steps + steps;
    this.#later.set(at, [...(this.#later.get(at) ?? []), ...messages]);
  }

  #invite(): Message {
    this.#count += 1;
    const number = this.#count;
    this.#calls.set(`${number}-1@198.51.100.7`, { number, route: [], to: "", target: "" });
    const uri = `sip:callee${number % callees}@${domain}`;
    const lines = [
      `INVITE ${uri} SIP/2.0`,
      `${callerVia};branch=z9hG4bK-1-${number}-0;rport`,
      ...commonOf(number, `<${uri}>`, "1 INVITE"),
      "Contact: <sip:caller@198.51.100.7:5070;transport=UDP>",
      "Allow: INVITE, ACK, CANCEL, BYE",
      "User-Agent: SIPp",
      "Content-Type: application/sdp",
    ];
    return { key: callerKey, octets: octetsOf(lines, sdp) };
  }

  /** What a phone says to what it has received. */
  #react({ key, octets }: Message): Message[] {
    const lines = linesOf(octets);
    const [start = ""] = lines;
    if (key === calleeKey) {
      if (start.startsWith("INVITE")) {
        this.#plan(answerSteps, [{ key, octets: answerOf(lines, "200 OK", sdp) }]);
        return [{ key, octets: answerOf(lines, "180 Ringing") }];
      }
      return start.startsWith("BYE") ? [{ key, octets: answerOf(lines, "200 OK") }] : [];
    }
    if (!start.startsWith("SIP/2.0 200")) return [];
    const callId = valueOf(lines, "Call-ID: ");
    const call = this.#calls.get(callId);
    if (call === undefined) throw new Error(`no call has the Call-ID ${callId}`);
    if (valueOf(lines, "CSeq: ") === "2 BYE") {
      this.#calls.delete(callId);
      return [];
    }
    call.route = lines
      .filter((line) => line.startsWith("Record-Route: "))
      .map((line) => line.slice(7))
      .toReversed();
    call.to = valueOf(lines, "To: ");
    call.target = /<([^>]*)>/.exec(valueOf(lines, "Contact: "))?.[1] ?? "";
    this.#plan(talkSteps, [{ key, octets: inDialog(call, "BYE", 2) }]);
    return [{ key, octets: inDialog(call, "ACK", 1) }];
  }
}

function commonOf(number: number, to: string, cSeq: string): string[] {
  return [
    "Max-Forwards: 70",
    `From: <sip:caller@${domain}>;tag=c1x${number}`,
    `To: ${to}`,
    `Call-ID: ${number}-1@198.51.100.7`,
    `CSeq: ${cSeq}`,
  ];
}

function inDialog(call: Call, method: string, cSeq: number): Uint8Array {
  const { number, route, to, target } = call;
  return octetsOf([
    `${method} ${target} SIP/2.0`,
    `${callerVia};branch=z9hG4bK-1-${number}-${method};rport`,
    ...route,
    ...commonOf(number, to, `${cSeq} ${method}`),
    "User-Agent: SIPp",
  ]);
}

const copied: readonly string[] = ["Via: ", "Record-Route: ", "From: ", "Call-ID: ", "CSeq: "];

function answerOf(request: readonly string[], status: string, body = ""): Uint8Array {
  const to = valueOf(request, "To: ");
  const lines = [
    `SIP/2.0 ${status}`,
    ...request.filter((line) => copied.some((name) => line.startsWith(name))),
    `To: ${to}${to.includes(";tag=") ? "" : `;tag=s1x${valueOf(request, "Call-ID: ")}`}`,
    "Contact: <sip:callee@203.0.113.9:5080;transport=UDP>",
    "User-Agent: SIPp",
    ...(body === "" ? [] : ["Content-Type: application/sdp"]),
  ];
  return octetsOf(lines, body);
}

function registerOf(callee: number): Uint8Array {
  return octetsOf([
    `REGISTER sip:${domain} SIP/2.0`,
    `Via: SIP/2.0/UDP 203.0.113.9:5080;branch=z9hG4bKr${callee};rport`,
    "Max-Forwards: 70",
    `From: <sip:callee${callee}@${domain}>;tag=r${callee}`,
    `To: <sip:callee${callee}@${domain}>`,
    `Call-ID: r${callee}@203.0.113.9`,
    "CSeq: 1 REGISTER",
    `Contact: <sip:callee${callee}@203.0.113.9:5080;transport=UDP>`,
    "Expires: 3600",
  ]);
}
