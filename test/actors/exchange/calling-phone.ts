import { buildAckForNon2xx } from "../../../sip/message/build.ts";
import { Header } from "../../../sip/message/header-names.ts";
import { octetsOf, stringOf } from "../../../sip/message/octets.ts";
import { parseMessage, type SipMessage } from "../../../sip/message/sip-message.ts";
import { isParseError } from "../../../sip/errors.ts";
import type { Transport } from "../../../sip/flow/flow.ts";
import { answer, TestPhone } from "./harness.ts";
import type { PairWorld, Receiver } from "./pair-world.ts";

type Repeating = { readonly text: string; at: number; gap: number; readonly until: number };

/** What a callee does with a call. */
export type Manner = "answers" | "is busy" | "rings";

/**
 * A phone that plays both parts of RFC 3261 as far as a call needs: it repeats over UDP what has had no answer, repeats a 2xx until the ACK
 * comes, and takes a request with a branch that it knows for a repetition. What it saw is in `log`.
 */
export class CallingPhone implements Receiver {
  readonly phone: TestPhone;
  access: string;
  key: string;
  /** Requests taken for new, final answers to its own requests: `INVITE`, `200 BYE`. */
  readonly log: string[] = [];
  /** Requests that came again in other words, both copies. */
  readonly differing: string[] = [];
  manner: Manner = "answers";
  /** What the caller does when it hears ringing. */
  cancelsOnRinging = false;
  readonly #world: PairWorld;
  readonly #isReliable: boolean;
  readonly #repeating = new Map<string, Repeating>();
  readonly #answered = new Map<string, string>();
  readonly #sent = new Map<string, string>();
  readonly #heard = new Map<string, string>();
  #invite: SipMessage | undefined;
  #ok: SipMessage | undefined;
  #answerAt = Number.POSITIVE_INFINITY;
  #cSeq = 100;
  #cancelled = false;

  constructor(world: PairWorld, user: string, address: string, port: number, transport: Transport, access?: string) {
    this.phone = new TestPhone(user, address, port, transport, access ?? (transport === "WS" ? "b.0" : "g1"));
    this.access = this.phone.access;
    this.key = this.phone.key;
    this.#world = world;
    this.#isReliable = transport !== "UDP";
    world.phones.push(this);
  }

  /** Takes another flow: a new connection, another gateway or line. */
  moveTo(access: string, key: string): void {
    this.access = access;
    this.key = key;
  }

  register(headers: readonly string[] = []): void {
    this.#request(this.phone.register(600, headers));
    this.#world.settle();
  }

  call(user: string, headers: readonly string[] = []): void {
    this.#request(this.phone.request("INVITE", `sip:${user}@example.test`, headers, "v=0"));
  }

  cancel(): void {
    const [invite = ""] = [...this.#sent.values()].filter((text) => text.startsWith("INVITE"));
    const kept = invite.split("\r\n").filter((line) => /^(?:Via|From|To|Call-ID|Max-Forwards|Route):/.test(line));
    const cSeq = /^CSeq: (\d+)/m.exec(invite)?.[1] ?? "";
    const [first = ""] = invite.split("\r\n");
    const lines = [first.replace("INVITE", "CANCEL"), ...kept, `CSeq: ${cSeq} CANCEL`, "Content-Length: 0"];
    this.#cancelled = true;
    this.#request(`${lines.join("\r\n")}\r\n\r\n`);
  }

  /** A request within the dialog that was answered, whichever part this phone has in it. */
  inDialog(method: string): void {
    this.#cSeq += 1;
    this.#request(this.#dialogRequest(method, this.#cSeq));
  }

  receive(message: SipMessage, now: number): void {
    if (message.isRequest) this.#receiveRequest(message, now);
    else this.#receiveResponse(message, now);
  }

  tick(now: number): void {
    if (now >= this.#answerAt) {
      this.#answerAt = Number.POSITIVE_INFINITY;
      if (this.#invite !== undefined) this.#answer(this.#invite, 200, now);
    }
    for (const [key, each] of this.#repeating) {
      if (now >= each.until) this.#repeating.delete(key);
      else if (now >= each.at) {
        each.gap = Math.min(2 * each.gap, 4_000);
        each.at = now + each.gap;
        this.#world.send(this, each.text);
      }
    }
  }

  #request(text: string): void {
    const message = parsed(text);
    const key = transactionOf(message);
    this.#sent.set(key, text);
    if (!this.#isReliable) this.#repeat(key, text, this.#world.now);
    this.#world.send(this, text);
  }

  #repeat(key: string, text: string, now: number): void {
    this.#repeating.set(key, { text, at: now + 500, gap: 500, until: now + 32_000 });
  }

  #receiveRequest(message: SipMessage, now: number): void {
    const key = transactionOf(message);
    const text = stringOf(message.octets, message.start, message.end);
    const first = this.#heard.get(key);
    if (first === undefined) this.#heard.set(key, text);
    else if (first !== text) this.differing.push(`${first}\n---\n${text}`);
    if (message.method === "ACK") {
      this.#repeating.delete("final");
      if (this.log.at(-1) !== "ACK") this.log.push("ACK");
      return;
    }
    const said = this.#answered.get(key);
    if (said !== undefined) return this.#world.send(this, said);
    this.log.push(message.method);
    switch (message.method) {
      case "INVITE":
        if (message.toTag !== undefined) return this.#answer(message, 200, now);
        this.#invite = message;
        this.#answer(message, 180, now);
        if (this.manner === "is busy") this.#answer(message, 486, now);
        if (this.manner === "answers") this.#answerAt = now + 1_000;
        return;
      case "CANCEL":
        this.#answer(message, 200, now);
        this.#answerAt = Number.POSITIVE_INFINITY;
        if (this.#invite !== undefined) this.#answer(this.#invite, 487, now);
        return;
      default:
        this.#answer(message, 200, now);
    }
  }

  #answer(request: SipMessage, status: number, now: number): void {
    const text = answer(request, status, `${this.phone.user}-tag`, [`Contact: ${this.phone.contact}`]);
    this.#answered.set(transactionOf(request), text);
    if (request.method === "INVITE" && status >= 200) this.#repeat("final", text, now);
    if (request.method === "INVITE" && status >= 300 && this.#isReliable) this.#repeating.delete("final");
    this.#world.send(this, text);
  }

  #receiveResponse(message: SipMessage, now: number): void {
    const key = transactionOf(message);
    const request = this.#sent.get(key);
    if (request === undefined) throw new Error(`${this.phone.user} has not asked for ${stringOf(message.octets)}`);
    const { status } = message;
    const isInvite = request.startsWith("INVITE");
    if (isInvite || status >= 200) this.#repeating.delete(key);
    if (status < 200) {
      if (status === 180 && this.cancelsOnRinging && !this.#cancelled) this.cancel();
      return;
    }
    const what = `${status} ${request.slice(0, request.indexOf(" "))}`;
    if (this.log.at(-1) !== what) this.log.push(what);
    if (!isInvite) return;
    if (status >= 300) return this.#world.send(this, stringOf(buildAckForNon2xx(parsed(request), message)));
    if (parsed(request).toTag === undefined) this.#ok = message;
    const cSeq = message.cSeq;
    this.#world.send(this, this.#dialogRequest("ACK", isParseError(cSeq) ? 0 : cSeq.number));
    void now;
  }

  #dialogRequest(method: string, cSeq: number): string {
    const peer = this.#ok ?? this.#invite;
    if (peer === undefined) throw new Error("no dialog");
    const values = peer.values(Header.RecordRoute);
    const routes = (this.#ok === undefined ? values : values.toReversed()).map((value) => `Route: ${value}`);
    const target = /<([^>]*)>/.exec(peer.text(Header.Contact) ?? "")?.[1] ?? "";
    const own = `${this.phone.user}-tag`;
    const from = this.#ok === undefined ? `${peer.text(Header.To)};tag=${own}` : peer.text(Header.From);
    const to = this.#ok === undefined ? peer.text(Header.From) : peer.text(Header.To);
    return this.phone.request(method, target, [
      ...routes,
      `From: ${from}`,
      `To: ${to}`,
      `Call-ID: ${peer.callId}`,
      `CSeq: ${cSeq} ${method}`,
      ...(method === "ACK" ? [`Contact: ${this.phone.contact}`] : []),
    ]);
  }
}

function parsed(text: string): SipMessage {
  const message = parseMessage(octetsOf(text));
  if (isParseError(message)) throw new Error(`${message.reason}\n${text}`);
  return message;
}

/** Branch and method: RFC 3261 17.1.3, 17.2.3. The sent-by of our one proxy is always the same. */
function transactionOf(message: SipMessage): string {
  const via = message.topVia;
  const cSeq = message.cSeq;
  if (isParseError(via) || isParseError(cSeq)) throw new Error("malformed");
  return `${via.branch} ${message.isRequest ? message.method : cSeq.method}`;
}
