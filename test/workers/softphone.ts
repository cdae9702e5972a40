import { vi } from "vitest";
import { linesOf, messageText, responseText } from "../../kit/phone/message-text.ts";
import { phoneReturnMs } from "../../sip/limits.ts";
import { hashOf } from "../../workers/signature.ts";
import { domain, upgrade } from "./cell.ts";

/** A minimal softphone (RFC 7118) that writes its messages by hand: what a line and an exchange see of JsSIP. */

/** Longer than any answer takes: a request may be held for a phone that has lost its connection. */
const answerMsMax = 2 * phoneReturnMs;

export class Softphone {
  readonly user: string;
  readonly socket: WebSocket;
  readonly messages: string[] = [];
  readonly binary: Uint8Array[] = [];
  closed: { readonly code: number; readonly reason: string } | undefined;
  readonly #password: string;
  readonly #id: string = crypto.randomUUID();
  #cSeq = 0;
  #taken = 0;

  static async connect(user: string, password: string): Promise<Softphone> {
    const response = await upgrade("/", { "sec-websocket-protocol": "sip" });
    const { webSocket } = response;
    if (webSocket === null) throw new Error(`no WebSocket: ${response.status} ${await response.text()}`);
    return new Softphone(user, password, webSocket);
  }

  private constructor(user: string, password: string, socket: WebSocket) {
    this.user = user;
    this.#password = password;
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => {
      if (typeof data === "string") this.messages.push(data);
      else this.binary.push(new Uint8Array(data as ArrayBuffer));
    });
    socket.addEventListener("close", ({ code, reason }) => {
      this.closed = { code, reason };
    });
    socket.accept();
  }

  get contact(): string {
    return `sip:${this.user}@${this.user}.invalid;transport=ws`;
  }

  /** The next message that comes and has not been taken; waits for it. */
  async take(): Promise<string> {
    await vi.waitFor(
      () => {
        if (this.messages.length <= this.#taken) throw new Error(`${this.user} is still waiting for a message`);
      },
      { timeout: answerMsMax },
    );
    this.#taken += 1;
    return this.messages[this.#taken - 1] ?? "";
  }

  /** The first message that begins so, taken or not; waits for it. */
  async received(start: string): Promise<string> {
    return await vi.waitFor(
      () => {
        const found = this.messages.find((message) => message.startsWith(start));
        if (found === undefined) throw new Error(`${this.user} is still waiting for ${start}`);
        return found;
      },
      { timeout: answerMsMax },
    );
  }

  /** The next final response; requests and provisional responses are skipped. */
  async takeFinal(): Promise<string> {
    for (;;) {
      const message = await this.take();
      if (message.startsWith("SIP/2.0 ") && !message.startsWith("SIP/2.0 1")) return message;
    }
  }

  request(method: string, uri: string, headers: readonly string[], body = ""): string {
    const branch = `z9hG4bK${crypto.randomUUID().replaceAll("-", "")}`;
    const has = (name: string): boolean => headers.some((header) => header.startsWith(`${name}:`));
    if (!has("CSeq")) this.#cSeq += 1;
    const via = `Via: SIP/2.0/WS ${this.user}.invalid;branch=${branch}`;
    const lines = [via, "Max-Forwards: 70", ...headers, ...(has("CSeq") ? [] : [`CSeq: ${this.#cSeq} ${method}`])];
    return messageText(`${method} ${uri} SIP/2.0`, lines, body);
  }

  /** Sends a request, answers a challenge, returns the final response. */
  async transact(method: string, uri: string, headers: readonly string[], body = ""): Promise<string> {
    this.socket.send(this.request(method, uri, headers, body));
    const response = await this.takeFinal();
    const challenge = /^(WWW|Proxy)-Authenticate: *(.*algorithm=MD5.*)$/im.exec(response);
    if (challenge === null) return response;
    if (method === "INVITE") this.socket.send(this.ackOf(response, uri, headers));
    const name = challenge[1] === "WWW" ? "Authorization" : "Proxy-Authorization";
    const authorization = `${name}: ${this.#answer(challenge[2] ?? "", method, uri)}`;
    this.socket.send(this.request(method, uri, [...headers, authorization], body));
    return await this.takeFinal();
  }

  register(expires = 600): Promise<string> {
    return this.transact("REGISTER", `sip:${domain}`, [
      `From: <sip:${this.user}@${domain}>;tag=${this.user}`,
      `To: <sip:${this.user}@${domain}>`,
      `Call-ID: ${this.#id}`,
      `Contact: <${this.contact}>;reg-id=1;+sip.instance="<urn:uuid:00000000-0000-4000-8000-${this.user.padStart(12, "0").slice(-12)}>"`,
      "Supported: path, outbound",
      `Expires: ${expires}`,
      "User-Agent: test phone",
    ]);
  }

  /** [RFC3261 17.1.1.3] The ACK for a final response that is no 2xx. */
  ackOf(response: string, uri: string, headers: readonly string[]): string {
    const sent = headers.filter((header) => /^(From|Call-ID):/.test(header));
    const cSeq = /^CSeq: (\d+)/m.exec(response)?.[1] ?? "0";
    const { vias, to } = linesOf(response);
    return messageText(`ACK ${uri} SIP/2.0`, [...vias, "Max-Forwards: 70", ...sent, to, `CSeq: ${cSeq} ACK`]);
  }

  /** A response to a request that came. */
  respond(request: string, status: string, headers: readonly string[] = [], body = ""): void {
    this.socket.send(responseText(status, linesOf(request), this.user, headers, body));
  }

  #answer(challenge: string, method: string, uri: string): string {
    const value = (name: string): string => new RegExp(`${name}="?([^",]+)"?`, "i").exec(challenge)?.[1] ?? "";
    const nonce = value("nonce");
    const ha1 = hashOf("MD5", `${this.user}:${value("realm")}:${this.#password}`);
    const ha2 = hashOf("MD5", `${method}:${uri}`);
    const response = hashOf("MD5", `${ha1}:${nonce}:00000001:cnonce:auth:${ha2}`);
    return `Digest username="${this.user}", realm="${value("realm")}", nonce="${nonce}", uri="${uri}", response="${response}", algorithm=MD5, cnonce="cnonce", qop=auth, nc=00000001`;
  }
}
