import { createHash, createPublicKey, verify } from "node:crypto";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { Socket } from "node:net";
import { noTokenText, readInvitation } from "../cluster/authority/invitation.ts";
import { otherVersionText, protocolVersion, versionHeader } from "../cluster/protocol-version.ts";
import type { MembersAdded } from "../schemas/api-answers.ts";
import {
  type JoinAnswer,
  type JoinBody,
  joinBodySchema,
  joinForm,
  joinProofHeader,
  joinProofText,
  joinVersionsSchema,
} from "../schemas/join.ts";
import { faultText, read } from "../schemas/reading.ts";
import { fingerprintOf } from "./authority.ts";
import { DoorComers } from "./door-comers.ts";
import { Failure, reasonOf, Refusal } from "./errors.ts";
import { JoinTries } from "./join-tries.ts";
import {
  joinBodyOctetsMax,
  joinClockMsMax,
  joinHeaderOctetsMax,
  joinRequestMs,
  joinSocketsMax,
  joinSocketsPerSourceMax,
} from "./limits.ts";
import { oneRequestEach } from "./one-request-each.ts";

/** The certificate of the host with its key, and the authority's: PEM. */
export type DoorTls = { readonly cert: string; readonly key: string; readonly ca: string };

export type JoinDoorOptions = {
  readonly host: string;
  readonly port: number;
  readonly tls: DoorTls;
  /** What the machine that joins must speak, as people know it. */
  readonly release: string;
  /** Has a cell look at the token, and make members. Throws a {@link Refusal} when it does not. */
  readonly admit: (token: string, members: JoinBody["members"]) => Promise<MembersAdded>;
  /** Somebody has joined, or was refused: for a log. */
  readonly said: (event: "joined" | "refused", text: string) => void;
  readonly wall?: () => number;
  /** How long who asks may take to write the request. */
  readonly requestMs?: number;
};

/** Why nothing is given. */
class Refused extends Error {
  readonly status: number;

  constructor(status: number, reason: string) {
    super(reason);
    this.status = status;
  }
}

/**
 * Where machines ask to join: TLS without a certificate of theirs, and `POST /join` alone (docs/decisions/0047-a-machine-joins-by-an-invitation.md). Strangers reach
 * it, so all that they can take has a limit.
 */
export class JoinDoor {
  readonly #options: JoinDoorOptions;
  readonly #server: Server;
  readonly #tries = new JoinTries();
  readonly #comers = new DoorComers({ inAllMax: joinSocketsMax, perSourceMax: joinSocketsPerSourceMax });
  readonly #sockets = new Set<Socket>();

  constructor(options: JoinDoorOptions) {
    this.#options = options;
    const requestMs = options.requestMs ?? joinRequestMs;
    this.#server = createServer({
      ...contextOf(options.tls),
      minVersion: "TLSv1.3",
      handshakeTimeout: requestMs,
      headersTimeout: requestMs,
      requestTimeout: requestMs,
      connectionsCheckingInterval: Math.ceil(requestMs / 4),
      maxHeaderSize: joinHeaderOctetsMax,
    });
    this.#server.on("connection", (socket: Socket) => this.#connected(socket));
    this.#server.on("request", (request, response) => void this.#serve(request, response));
    // Whoever is no TLS, or ends in the middle: only that connection ends.
    this.#server.on("tlsClientError", (_error, socket) => socket.destroy());
    oneRequestEach(this.#server);
  }

  /** The port that it has: another one than asked for with 0 (tests). */
  async listen(): Promise<number> {
    const { host, port } = this.#options;
    this.#server.listen({ host, port, exclusive: true });
    await once(this.#server, "listening");
    // A connection that cannot be taken later is no reason to end.
    this.#server.on("error", () => undefined);
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : port;
  }

  /** From now on it shows another certificate. */
  renew(tls: DoorTls): void {
    this.#server.setSecureContext(contextOf(tls));
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #connected(socket: Socket): void {
    if (!this.#comers.admit(socket)) return;
    this.#sockets.add(socket);
    // The server's own bounds begin with the request, and a request has an end: whatever is not over by then never was one.
    const timer = setTimeout(() => socket.destroy(), 3 * (this.#options.requestMs ?? joinRequestMs));
    socket.once("close", () => {
      clearTimeout(timer);
      this.#sockets.delete(socket);
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const from = request.socket.remoteAddress ?? "";
    const answer = (status: number, body: object): void => {
      const text = JSON.stringify(body);
      response.writeHead(status, {
        "content-type": "application/json",
        "content-length": Buffer.byteLength(text),
        connection: "close",
        [versionHeader]: String(protocolVersion),
        ...(status === 429 ? { "retry-after": "60" } : {}),
      });
      response.end(text);
    };
    try {
      if (request.method !== "POST" || request.url !== "/join") throw new Refused(404, "there is nothing here but POST /join");
      if (!this.#tries.take(from, performance.now())) throw new Refused(429, "too many tries to join: try again in a minute");
      answer(200, await this.#answer(await bodyOf(request), request.headers[joinProofHeader], from));
    } catch (error) {
      const status = error instanceof Refused ? error.status : error instanceof Refusal ? 403 : error instanceof Failure ? 503 : 500;
      const text = status === 503 ? "no cell of this system answers now: try again" : status === 500 ? "this failed here" : reasonOf(error);
      if (status === 403 || status >= 500) this.#options.said("refused", `${from}: ${status >= 500 ? reasonOf(error) : text}`);
      if (!response.destroyed) answer(status, { error: text });
    }
  }

  async #answer(body: Uint8Array, proof: unknown, from: string): Promise<JoinAnswer> {
    const { token, members } = this.#requestIn(body, proof);
    const { certificates, keyring, map = "" } = await this.#options.admit(token, members);
    const [host, ...others] = members.map(({ id }) => id);
    this.#options.said("joined", `host ${host} at ${from}${others.length === 0 ? "" : ` with ${others.join(", ")}`}`);
    return { certificates, map, from, ...(keyring === undefined ? {} : { keyring }) };
  }

  /** What is wrong with a request is said here, as far as it needs no cell. */
  #requestIn(octets: Uint8Array, proof: unknown): JoinBody {
    const { release, tls, wall = (): number => Date.now() } = this.#options;
    const json = parsed(octets);
    const versions = read(joinVersionsSchema, json).value;
    if (versions === undefined) throw new Refused(400, "this is no request to join");
    const { form, protocol } = versions;
    if (form !== joinForm || protocol !== protocolVersion) {
      const who = `this machine (Tandem ${versions.release})`;
      const text =
        protocol === protocolVersion
          ? `${who} asks to join in form ${form}, the system (Tandem ${release}) in form ${joinForm}: upgrade ${form < joinForm ? "this machine" : "the system"}`
          : otherVersionText(who, protocol, `the system (Tandem ${release})`);
      throw new Refused(409, text);
    }
    const { value, fault } = read(joinBodySchema, json);
    if (fault !== undefined) throw new Refused(400, faultText(fault));
    const aheadMs = value.now - wall();
    if (Math.abs(aheadMs) > joinClockMsMax) {
      const by = `${Math.round(Math.abs(aheadMs) / 1000)} s`;
      throw new Refused(409, `the clock of this machine is off by ${by} (${aheadMs > 0 ? "ahead" : "behind"}): set it, then join`);
    }
    const invitation = readInvitation(value.token);
    if (invitation === undefined) throw new Refused(400, noTokenText);
    if (invitation.fingerprint !== fingerprintOf(tls.ca)) throw new Refused(403, "the token is of another system");
    if (!isProof(proof, octets, value.members[0]?.key ?? "")) throw new Refused(400, "the request is not signed by the host that it names");
    return value;
  }
}

function contextOf({ cert, key, ca }: DoorTls): { readonly cert: string; readonly key: string } {
  // The newcomer does not have the authority's certificate yet: it comes with the chain, and the token says which one is right.
  return { cert: `${cert}${ca}`, key };
}

/** What comes beyond the bound is read and forgotten: whoever sends it hears why. */
function bodyOf(request: IncomingMessage): Promise<Uint8Array> {
  return new Promise((taken, failed) => {
    const chunks: Uint8Array[] = [];
    let octets = 0;
    request.on("data", (chunk: Uint8Array) => {
      octets += chunk.length;
      if (octets <= joinBodyOctetsMax) chunks.push(chunk);
      else failed(new Refused(413, `a request to join has at most ${joinBodyOctetsMax} octets`));
    });
    request.once("end", () => taken(Buffer.concat(chunks)));
    for (const event of ["error", "close"]) request.once(event, () => failed(new Refused(400, "the request has no end")));
  });
}

function parsed(octets: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(octets));
  } catch {
    return undefined;
  }
}

/** Whether the host that stands first has signed this: its key is public, and says nothing by itself. */
function isProof(proof: unknown, body: Uint8Array, key: string): boolean {
  if (typeof proof !== "string" || !/^[0-9A-Za-z_-]{86}$/.test(proof)) return false;
  const bodyHash = createHash("sha256").update(body).digest("hex");
  try {
    const publicKey = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: key }, format: "jwk" });
    return verify(null, Buffer.from(joinProofText(bodyHash)), publicKey, Buffer.from(proof, "base64url"));
  } catch {
    return false;
  }
}
