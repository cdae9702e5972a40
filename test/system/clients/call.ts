import { createHash } from "node:crypto";
import type { Headers, Request, Response } from "sip";
import { until } from "../../../kit/world/until.ts";
import { randomId, type Phone } from "./phone.ts";

/** Description of a session without media: what it says is not what is tested. */
export function sdpOf(phone: Phone, version = 1): string {
  return [
    "v=0",
    `o=${phone.account.user} 1 ${version} IN IP4 127.0.0.1`,
    "s=-",
    "c=IN IP4 127.0.0.1",
    "t=0 0",
    "m=audio 9 RTP/AVP 0",
    "",
  ].join("\r\n");
}

/** One side of a dialog (RFC 3261 12). */
export class Dialog {
  readonly callId: string;
  readonly #phone: Phone;
  readonly #local: Headers["from"];
  readonly #remote: Headers["from"];
  readonly #target: string;
  readonly #routes: NonNullable<Headers["route"]>;
  #cSeq: number;

  private constructor(
    phone: Phone,
    headers: { readonly local: Headers["from"]; readonly remote: Headers["from"]; readonly of: Headers },
    routes: NonNullable<Headers["route"]>,
  ) {
    const { of, local, remote } = headers;
    this.callId = of["call-id"];
    this.#phone = phone;
    this.#local = local;
    this.#remote = remote;
    this.#target = Array.isArray(of.contact) ? (of.contact[0]?.uri ?? "") : "";
    this.#routes = routes;
    this.#cSeq = of.cseq.seq + 100;
  }

  /** The caller's side, by the 2xx (12.1.2). */
  static ofResponse(phone: Phone, { headers }: Response): Dialog {
    return new Dialog(phone, { local: headers.from, remote: headers.to, of: headers }, (headers["record-route"] ?? []).toReversed());
  }

  /** The callee's side, by the INVITE (12.1.1). */
  static ofRequest(phone: Phone, { headers }: Request): Dialog {
    const local = { ...headers.to, params: { ...headers.to.params, tag: phone.tag } };
    return new Dialog(phone, { local, remote: headers.from, of: headers }, headers["record-route"] ?? []);
  }

  /** A request within the dialog; the 2xx to a re-INVITE is acknowledged, each time that it comes. */
  async request(method: string, content = ""): Promise<Response> {
    const request = this.#make(method, (this.#cSeq += 1), content);
    const { seq } = request.headers.cseq;
    const acknowledge = ({ status }: Response): void => {
      if (method === "INVITE" && status < 300) this.acknowledge(seq);
    };
    const response = await this.#phone.transact(request, { repeated: acknowledge });
    acknowledge(response);
    return response;
  }

  acknowledge(cSeq: number): void {
    this.#phone.send(this.#make("ACK", cSeq, ""));
  }

  #make(method: string, cSeq: number, content: string): Request {
    return {
      method,
      uri: this.#target,
      version: "2.0",
      headers: {
        from: this.#local,
        to: this.#remote,
        "call-id": this.callId,
        cseq: { seq: cSeq, method },
        route: [...this.#routes],
        "max-forwards": "70",
        ...(method === "ACK" ? {} : { contact: [{ uri: this.#phone.contact, params: {} }] }),
        ...(content === "" ? {} : { "content-type": "application/sdp" }),
      },
      content,
    };
  }
}

/** An INVITE on its way. */
export class OutgoingCall {
  readonly callId = randomId();
  /** Statuses of the provisional responses, in order. */
  readonly provisional: number[] = [];
  readonly final: Promise<Response>;
  readonly #phone: Phone;
  #invite: Request | undefined;
  #dialog: Dialog | undefined;

  constructor(phone: Phone, uri: string) {
    this.#phone = phone;
    this.final = phone.request("INVITE", uri, uri, {
      headers: { "call-id": this.callId, contact: `<${phone.contact}>`, "content-type": "application/sdp" },
      content: sdpOf(phone),
      provisional: ({ status }) => void this.provisional.push(status),
      sent: (invite) => {
        this.#invite = invite;
      },
    });
  }

  async untilProvisional(status: number, msMax?: number): Promise<void> {
    await until(() => this.provisional.includes(status), msMax);
  }

  /** Waits for the 2xx and acknowledges it. */
  async untilAnswered(): Promise<Dialog> {
    const response = await this.final;
    if (response.status >= 300) throw new Error(`${response.status} ${response.reason}`);
    this.#dialog = Dialog.ofResponse(this.#phone, response);
    this.#dialog.acknowledge(response.headers.cseq.seq);
    return this.#dialog;
  }

  /** RFC 3261 9.1. Resolves with the response to the CANCEL. */
  cancel(): Promise<Response> {
    if (this.#invite === undefined) throw new Error("there is no INVITE yet");
    const { uri, headers } = this.#invite;
    const { via = [], from, to, route = [] } = headers;
    const [top] = via;
    if (top === undefined) throw new Error("the INVITE has not been sent yet");
    return this.#phone.transact({
      method: "CANCEL",
      uri,
      version: "2.0",
      headers: {
        via: [top],
        from,
        to,
        route: [...route],
        "call-id": this.callId,
        cseq: { seq: headers.cseq.seq, method: "CANCEL" },
        "max-forwards": "70",
      },
      content: "",
    });
  }
}

/** The id of the record of a call, by what its INVITE said (RFC 3261 8.1.1). */
export function callRecordId(callId: string, callerTag: string): string {
  return createHash("sha256").update(`${callId} ${callerTag}`, "latin1").digest("hex").slice(0, 16);
}

/** An established call: both sides of its dialog. */
export type Call = { readonly caller: Dialog; readonly callee: Dialog };

/** INVITE, 180, 200, ACK. */
export async function establish(from: Phone, to: Phone): Promise<Call> {
  const outgoing = new OutgoingCall(from, to.addressOfRecord);
  const invite = await Promise.race([to.next("INVITE", outgoing.callId), refusalOf(outgoing)]);
  to.answer(invite, 180, "Ringing");
  await outgoing.untilProvisional(180);
  const callee = Dialog.ofRequest(to, invite);
  to.answer(invite, 200, "OK", sdpOf(to));
  const caller = await outgoing.untilAnswered();
  await to.next("ACK", outgoing.callId);
  return { caller, callee };
}

/** A request within a dialog, the other side's 200, and for INVITE the ACK. */
export async function exchange(method: "INVITE" | "BYE", from: Dialog, to: Phone, sdp?: string): Promise<Response> {
  const response = from.request(method, sdp);
  const request = await to.next(method, from.callId);
  to.answer(request, 200, "OK", sdp === undefined ? undefined : sdpOf(to, 2));
  if (method === "INVITE") await to.next("ACK", from.callId);
  return await response;
}

/** Nobody need wait for a call that was refused. */
async function refusalOf(call: OutgoingCall): Promise<never> {
  const { status, reason } = await call.final;
  throw new Error(`the call was answered ${status} ${reason} before it reached the other phone`);
}

/** Each phone calls the next one, and the calls stand. */
export async function callAll(phones: readonly Phone[]): Promise<{ readonly caller: Dialog; readonly callee: Phone }[]> {
  const calls: { readonly caller: Dialog; readonly callee: Phone }[] = [];
  for (const [index, phone] of phones.entries()) {
    const callee = phones[(index + 1) % phones.length] ?? phone;
    const { caller } = await establish(phone, callee);
    calls.push({ caller, callee });
  }
  return calls;
}
