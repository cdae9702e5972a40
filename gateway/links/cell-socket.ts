import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { WebSocket } from "ws";
import type { CellConnection, CellConnectionEvents, CellTarget, Loss } from "../../actors/gateway/cell-link.ts";
import { frameOctetsMax } from "../../cluster/limits.ts";
import { otherVersionOf, otherVersionText, protocolVersion, versionHeader } from "../../cluster/protocol-version.ts";
import { cellAuthorization, cellSocketUrl } from "./cell-authorization.ts";
import { type MaskKeys, maskedFrame } from "./masked-frame.ts";
import type { MemberIdentity } from "./member-identity.ts";
import { closeAnswerMs, controlOctetsMax, handshakeTimeoutMs } from "../limits.ts";

/** A cell closes so what a newer connection of the same name has replaced; this gateway has made none. */
const replacedCode = 4001;

/** Who connects: with the secret of the system, or as a member with a key and a certificate of its own. */
export type CellSocketSigner = { readonly gateway: string } & ({ readonly secret: string } | { readonly member: MemberIdentity });

/** One WebSocket to a cell. */
export class CellSocket implements CellConnection {
  readonly #target: CellTarget;
  readonly #signer: CellSocketSigner;
  readonly #events: CellConnectionEvents;
  readonly #keys: MaskKeys;
  readonly #socket: WebSocket;
  #stream: Socket | undefined;

  /** Connects. */
  constructor(target: CellTarget, signer: CellSocketSigner, keys: MaskKeys, events: CellConnectionEvents) {
    this.#target = target;
    this.#keys = keys;
    this.#signer = signer;
    this.#events = events;
    this.#socket = this.#connect();
    this.#listen(this.#socket);
  }

  send(data: Uint8Array | string): void {
    // Frames of a backhaul go past the library, which has nothing under way when it has no compression: the order stays.
    if (typeof data !== "string" && this.#stream !== undefined && this.#socket.readyState === WebSocket.OPEN)
      this.#stream.write(maskedFrame(data, this.#keys.next()));
    else this.#socket.send(data);
  }

  close(): void {
    const socket = this.#socket;
    this.#listenNoMore();
    if (socket.readyState !== WebSocket.OPEN) {
      socket.terminate();
      return;
    }
    socket.close(1001);
    setTimeout(() => socket.terminate(), closeAnswerMs).unref();
  }

  /**
   * Ends the connection with a reset. A close would first deliver what waits in the kernel, to a frozen process even minutes later. By then it has
   * gone elsewhere. TLS cannot be reset this way; it is destroyed.
   */
  cut(): void {
    this.#listenNoMore();
    if (this.#stream !== undefined && !(this.#stream instanceof TLSSocket)) this.#stream.resetAndDestroy();
    this.#socket.terminate();
  }

  #connect(): WebSocket {
    const { cell, url: cellUrl, exchange } = this.#target;
    const { gateway } = this.#signer;
    const member = "member" in this.#signer ? this.#signer.member : undefined;
    const key = "secret" in this.#signer ? this.#signer.secret : this.#signer.member.key;
    const [path, purpose, octetsMax] =
      exchange === "control"
        ? (["/control", "control", controlOctetsMax] as const)
        : ([`/backhaul/${exchange}`, `backhaul ${exchange}`, frameOctetsMax] as const);
    const url = new URL(cellSocketUrl(cellUrl, path));
    const signed = { purpose, gateway, cell, path: url.pathname + url.search };
    return new WebSocket(url, {
      headers: { authorization: cellAuthorization(key, signed, Date.now()), [versionHeader]: String(protocolVersion) },
      handshakeTimeout: handshakeTimeoutMs,
      maxPayload: octetsMax,
      perMessageDeflate: false,
      skipUTF8Validation: true,
      // Nobody else's certificate is believed, and all that members speak knows TLS 1.3.
      ...(member === undefined ? {} : { ...member.tls, minVersion: "TLSv1.3" }),
    });
  }

  #listen(socket: WebSocket): void {
    const events = this.#events;
    let isUp = false;
    socket.on("upgrade", (response) => {
      this.#stream = response.socket;
      this.#refuseOtherVersion(response);
    });
    socket.on("unexpected-response", (request, response) => {
      request.destroy();
      if (!this.#refuseOtherVersion(response)) events.lost(this.#refusalText(response.statusCode ?? 0), "missed heartbeats");
    });
    socket.on("open", () => {
      isUp = true;
      events.opened();
    });
    socket.on("message", (data: Buffer, isBinary: boolean) => {
      if (isBinary) events.binary(data);
      else events.text(data.length === 4 ? data.toString("latin1") : data.toString("utf8"));
    });
    socket.on("close", (code) =>
      events.lost(code === replacedCode ? "another gateway has this name" : `closed with ${code}`, "closed socket"),
    );
    // A close follows every error; the first reason is the one that tells.
    socket.on("error", (error) => events.lost(error.message, isUp ? "closed socket" : lossOf(error)));
  }

  /** True: the cell that answered speaks another version, and this connection is given up. */
  #refuseOtherVersion({ statusCode, headers }: IncomingMessage): boolean {
    const said = headers[versionHeader];
    const theirs = otherVersionOf(statusCode ?? 0, Array.isArray(said) ? said[0] : said);
    if (theirs === undefined) return false;
    const text = otherVersionText(`cell ${this.#target.cell}`, theirs, `gateway ${this.#signer.gateway}`);
    this.#events.lost(text, "another version");
    return true;
  }

  #refusalText(status: number): string {
    if (status !== 401) return `the cell answered ${status}`;
    const what = "secret" in this.#signer ? "this secret" : "this gateway's key: is it a member";
    return `the cell does not accept ${what}, or the clocks differ by more than 30 s`;
  }

  #listenNoMore(): void {
    this.#socket.removeAllListeners();
    // Ending a socket that is still connecting makes an error event, which must find a listener.
    this.#socket.on("error", () => {});
  }
}

/** Why there was no connection to be had. Whoever does not answer may be frozen. */
function lossOf(error: Error): Loss {
  return "code" in error && error.code === "ECONNREFUSED" ? "connection refused" : "missed heartbeats";
}
