import type { Host } from "./host.ts";
import type { End } from "./network.ts";
import type { Phone } from "./phone.ts";

/** WS is at a line, WSS at a gateway. */
export type PhoneTransport = "UDP" | "TCP" | "WS" | "WSS";

export type AttachmentHandlers = {
  message(octets: Uint8Array, from: string): void;
  /** There is a way (again), and it is another one. */
  attached(): void;
};

/** After so long the routers know that a gateway is gone which shares its address with another one. */
const rerouteMs = 1_000;
const keepAliveMs = 5_000;
const reconnectMs = 500;

/** A phone's way into the cluster: datagrams to a gateway, or a connection to a gateway or a line, made anew elsewhere when it fails. */
export class Attachment {
  readonly #phone: Phone;
  readonly #handlers: AttachmentHandlers;
  /** Which gateway or cell is used: of a list that begins at a random place. */
  #choice: number;
  #end: End | undefined;
  #attempt = 0;
  /** Where it was connected last. */
  #lastTarget: string | undefined;
  /** Written while there was no connection. */
  #unsent: Uint8Array[] = [];
  #isAnswered = true;
  #gaveUpAt = Number.NEGATIVE_INFINITY;

  constructor(phone: Phone, handlers: AttachmentHandlers) {
    this.#phone = phone;
    this.#handlers = handlers;
    this.#choice = phone.cluster.random.whole(0, 3);
    if (phone.transport === "UDP") {
      phone.cluster.datagrams.set(`${phone.address}:5060`, {
        host: () => phone.host,
        receive: (octets, from) => handlers.message(octets, from),
      });
    }
  }

  start(): void {
    if (this.#phone.transport === "UDP") this.#handlers.attached();
    else this.#connect();
  }

  /** `to`: where a request came from, that this answers; undefined: wherever the phone sends requests to. */
  send(octets: Uint8Array, to: string | undefined): void {
    if (this.#phone.transport !== "UDP") {
      if (this.#end?.isOpen === true) this.#end.send(octets);
      else this.#unsent.push(octets);
      return;
    }
    const { cluster, host, address } = this.#phone;
    const gateway = this.#gateway(to);
    if (gateway === undefined) return;
    cluster.network.datagram(
      host,
      () => gateway.host,
      () => {
        this.#phone.registration.arrives(octets);
        gateway.datagram(address, 5060, octets);
      },
    );
  }

  /** What the phone sends is not answered: it tries elsewhere. */
  giveUp(reason: string): void {
    const { now } = this.#phone.host.world;
    if (now - this.#gaveUpAt < 2_000) return;
    this.#gaveUpAt = now;
    this.#phone.trace(() => `gives its way up: ${reason}`);
    if (this.#phone.transport !== "UDP") return this.#lost();
    const { gateways } = this.#phone.cluster;
    if (gateways[0]?.address === gateways[1]?.address) return;
    this.#choice += 1;
    this.#handlers.attached();
  }

  /** Goes on over another connection; the one before is as it is for who is at its other end. */
  move(): void {
    this.#phone.trace(() => "changes its network");
    this.#attempt += 1;
    this.#choice += 1;
    this.#end = undefined;
    this.#connect();
  }

  /** Where gateways share an address the routers choose. */
  #gateway(to: string | undefined): Phone["cluster"]["gateways"][number] | undefined {
    const { gateways } = this.#phone.cluster;
    const preferred = gateways[this.#choice % gateways.length];
    const address = to ?? preferred?.address;
    if (preferred?.address === address && (preferred?.host.silentMs ?? 0) < rerouteMs) return preferred;
    const there = gateways.filter((gateway) => gateway.address === address);
    return there.find(({ host }) => host.silentMs < rerouteMs) ?? there[0];
  }

  #connect(): void {
    const { cluster, host, address, transport } = this.#phone;
    this.#attempt += 1;
    const attempt = this.#attempt;
    const port = 10_000 + ((attempt * 7) % 50_000);
    const target = this.#target();
    cluster.network.connect(
      host,
      target,
      (end) => {
        if (transport === "TCP" || transport === "WSS") return cluster.gateway(target.name).accept(transport, address, port, end);
        return cluster.cell(target.name).acceptSoftphone(`${target.name}.0`, address, port, end);
      },
      (end) => {
        // It has gone elsewhere meanwhile.
        if (attempt === this.#attempt) this.#opened(end, attempt);
        else end.reset();
        return {
          message: (data) => {
            if (attempt !== this.#attempt) return;
            if (data === "pong") this.#isAnswered = true;
            else this.#handlers.message(data as Uint8Array, "");
          },
          closed: () => {
            if (attempt === this.#attempt) this.#lost();
          },
        };
      },
      () => {
        if (attempt === this.#attempt) this.#lost();
      },
      true,
    );
  }

  #target(): Host {
    const { cells, gateways } = this.#phone.cluster;
    const hosts = (this.#phone.transport === "WS" ? cells.filter(({ isDraining }) => !isDraining) : gateways).map(({ host }) => host);
    const host = hosts[this.#choice % hosts.length];
    if (host === undefined) throw new Error("nowhere to connect to");
    return host;
  }

  #opened(end: End, attempt: number): void {
    const { name } = this.#target();
    this.#phone.trace(() => `is connected to ${name}`);
    if (this.#lastTarget !== undefined && this.#lastTarget !== name) this.#phone.returnsElsewhere();
    this.#lastTarget = name;
    this.#end = end;
    this.#isAnswered = true;
    this.#keepAlive(attempt);
    this.#handlers.attached();
    for (const octets of this.#unsent.splice(0)) end.send(octets);
    this.#phone.resendUnanswered();
  }

  #keepAlive(attempt: number): void {
    if (attempt !== this.#attempt) return;
    if (!this.#isAnswered) return this.giveUp("keep-alive");
    this.#isAnswered = false;
    this.#end?.send("ping");
    this.#phone.host.after(keepAliveMs, () => this.#keepAlive(attempt));
  }

  #lost(): void {
    this.#phone.trace(() => "has lost its connection");
    this.#attempt += 1;
    this.#choice += 1;
    const end = this.#end;
    this.#end = undefined;
    this.#phone.registration.flowLost();
    end?.reset();
    const attempt = this.#attempt;
    const wait = reconnectMs * (0.5 + this.#phone.cluster.random.real());
    this.#phone.host.after(wait, () => {
      if (attempt === this.#attempt) this.#connect();
    });
  }
}
