import { UA, WebSocketInterface } from "jssip";
import type { RTCSession } from "jssip/lib/RTCSession.js";
import type { IncomingMessageEvent } from "jssip/lib/UA.js";
import { until } from "../../../kit/world/until.ts";
import type { Account } from "../../../kit/world/subscribers.ts";
import type { Way } from "./stack.ts";

/**
 * What JsSIP needs of a browser for a call. There is no media: a description is made up, and any is taken. All the rest, WebSocket,
 * transactions, digest and dialogs, is JsSIP's own. Chromium's real one takes part in test/interop.
 */
class MediaLess {
  readonly iceGatheringState = "complete";
  readonly iceConnectionState = "connected";
  readonly signalingState = "stable";
  localDescription: { type: string; sdp: string } | undefined;
  #version = 0;

  createOffer(): Promise<{ type: string; sdp: string }> {
    return Promise.resolve(this.#describe("offer"));
  }

  createAnswer(): Promise<{ type: string; sdp: string }> {
    return Promise.resolve(this.#describe("answer"));
  }

  setLocalDescription(description: { type: string; sdp: string }): Promise<void> {
    this.localDescription = description;
    return Promise.resolve();
  }

  setRemoteDescription(): Promise<void> {
    return Promise.resolve();
  }

  addEventListener(): void {}

  getSenders(): [] {
    return [];
  }

  close(): void {}

  #describe(type: string): { type: string; sdp: string } {
    this.#version += 1;
    const lines = [
      "v=0",
      `o=- 1 ${this.#version} IN IP4 0.0.0.0`,
      "s=-",
      "c=IN IP4 0.0.0.0",
      "t=0 0",
      "m=audio 9 UDP/TLS/RTP/SAVPF 111",
      "",
    ];
    return { type, sdp: lines.join("\r\n") };
  }
}

const browser = { RTCPeerConnection: MediaLess, RTCSessionDescription: Object };
Object.assign(globalThis, browser, { window: browser });

const noMedia = { mediaConstraints: { audio: false, video: false } };

/** A softphone of JsSIP, over its own WebSocket. */
export class Softphone {
  readonly ua: UA;
  readonly account: Account;
  readonly addressOfRecord: string;
  readonly messages: { readonly from: string; readonly text: string }[] = [];
  readonly incoming: RTCSession[] = [];

  constructor({ host, port, domain }: Way, account: Account) {
    this.account = account;
    this.addressOfRecord = `sip:${account.user}@${domain}`;
    this.ua = new UA({
      sockets: [new WebSocketInterface(`ws://${host}:${port}`)],
      uri: this.addressOfRecord,
      password: account.password,
      session_timers: false,
    });
    this.ua.on("newMessage", ({ originator, request, message }: { originator: string } & Omit<IncomingMessageEvent, "originator">) => {
      // Its own come as well.
      if (originator !== "remote") return;
      this.messages.push({ from: request.from.uri.user, text: request.body });
      message.accept({});
    });
    this.ua.on("newRTCSession", ({ originator, session }: { originator: string; session: RTCSession }) => {
      if (originator === "remote") this.incoming.push(session);
    });
  }

  /** Connects and registers. Resolves with "registered", or the status that it was refused with. */
  async register(): Promise<string> {
    let outcome = "";
    this.ua.on("registered", () => (outcome = "registered"));
    this.ua.on("registrationFailed", ({ response }) => (outcome = String(response?.status_code)));
    this.ua.start();
    await until(() => outcome !== "");
    return outcome;
  }

  /** Resolves with the status of the answer to a MESSAGE. */
  message(to: string, text: string): Promise<number> {
    return new Promise((resolve) => {
      this.ua.sendMessage(to, text, {
        eventHandlers: {
          succeeded: ({ response }) => resolve(response.status_code),
          failed: ({ response }) => resolve(response?.status_code ?? 0),
        },
      });
    });
  }

  call(to: string): SoftphoneCall {
    return new SoftphoneCall(this.ua.call(to, noMedia));
  }

  /** The next call to here. */
  async ringing(): Promise<SoftphoneCall> {
    await until(() => this.incoming.length > 0);
    const session = this.incoming.shift();
    if (session === undefined) throw new Error("it was there");
    return new SoftphoneCall(session);
  }

  close(): void {
    this.ua.stop();
  }
}

/** One call of a softphone, and what it has said about it. */
export class SoftphoneCall {
  readonly events: string[] = [];
  readonly #session: RTCSession;

  constructor(session: RTCSession) {
    this.#session = session;
    session.on("progress", () => this.events.push("progress"));
    session.on("accepted", () => this.events.push("accepted"));
    session.on("confirmed", () => this.events.push("confirmed"));
    session.on("reinvite", () => this.events.push("reinvite"));
    session.on("ended", ({ cause }) => this.events.push(`ended ${cause}`));
    session.on("failed", ({ cause }) => this.events.push(`failed ${cause}`));
  }

  answer(): void {
    this.#session.answer(noMedia);
  }

  /** A re-INVITE. Resolves when its 2xx has come. */
  renegotiate(): Promise<void> {
    return new Promise((resolve) => {
      this.#session.renegotiate({}, resolve);
    });
  }

  /** CANCEL, 480 or BYE, as the call stands. */
  hangUp(): void {
    this.#session.terminate();
  }

  async until(event: string): Promise<void> {
    try {
      await until(() => this.events.includes(event));
    } catch {
      throw new Error(`no "${event}", but ${this.events.join(", ")}`);
    }
  }
}
