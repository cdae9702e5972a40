import { type RemoteInfo, type Socket, createSocket } from "node:dgram";
import { isIPv6 } from "node:net";
import { serializeFlowKey } from "../../sip/flow/flow.ts";
import { bindError } from "./bind-error.ts";
import type { ListenerConfig } from "../config/config.ts";
import { flowsRememberedMax, udpBufferOctets } from "../limits.ts";

export type UdpHandlers = {
  /** A datagram, whatever is in it; `address` is its sender's. */
  receive(flowKey: string, octets: Uint8Array, address: string): void;
  failed(error: Error): void;
};

/** Where a socket is, and what the kernel gave for datagrams that wait to be read: it counts each with what it takes of its own memory. */
export type UdpBound = { readonly listener: number; readonly host: string; readonly port: number; readonly receiveBufferOctets: number };

/** One UDP socket on one cluster address. Requests and responses leave from the address and port that phones send to (RFC 3581 4). */
export class UdpListener {
  readonly isIpv6: boolean;
  /** Undefined before it is bound. */
  bound: UdpBound | undefined;
  readonly #config: ListenerConfig;
  readonly #index: number;
  readonly #handlers: UdpHandlers;
  readonly #socket: Socket;
  /** Flow keys by address and port: making one costs more than all else on the way of a datagram. */
  #keys = new Map<string, Map<number, string>>();
  #keyCount = 0;

  constructor(config: ListenerConfig, index: number, handlers: UdpHandlers) {
    this.#config = config;
    this.#index = index;
    this.#handlers = handlers;
    this.isIpv6 = isIPv6(config.host);
    const family = this.isIpv6 ? 6 : 4;
    this.#socket = createSocket({
      type: family === 6 ? "udp6" : "udp4",
      ...(family === 6 ? { ipv6Only: true } : {}),
      recvBufferSize: udpBufferOctets,
      sendBufferSize: udpBufferOctets,
      // Destinations are addresses: nothing to look up. The default would spend a tick on each datagram to find that out.
      lookup: (hostname, _options, callback) => callback(null, hostname, family),
    });
  }

  /** Binds; the port that it got. Rejects with a GatewayError. */
  start(): Promise<number> {
    const { host, port } = this.#config;
    return new Promise((resolve, reject) => {
      this.#socket.once("error", (error) => reject(bindError(this.#config, error)));
      // No reuseAddr: the kernel then refuses a second instance for this address.
      this.#socket.bind({ address: host, port, exclusive: true }, () => {
        this.#socket.removeAllListeners("error");
        this.#socket.on("error", (error) => this.#handlers.failed(error));
        this.#socket.on("message", (octets, remote) => this.#receive(octets, remote));
        const bound = {
          listener: this.#index,
          host,
          port: this.#socket.address().port,
          receiveBufferOctets: this.#socket.getRecvBufferSize(),
        };
        this.bound = bound;
        resolve(bound.port);
      });
    });
  }

  /** Sends one datagram. `failed` is called when the system refuses it; what the network loses is the transaction layer's. */
  send(octets: Uint8Array, address: string, port: number, failed: () => void): void {
    if (port === 0) {
      failed();
      return;
    }
    this.#socket.send(octets, port, address, (error) => {
      if (error !== null) failed();
    });
  }

  stop(): Promise<void> {
    return new Promise((resolve) => {
      try {
        this.#socket.close(() => resolve());
      } catch {
        // It was never bound.
        resolve();
      }
    });
  }

  #receive(octets: Uint8Array, remote: RemoteInfo): void {
    this.#handlers.receive(this.#keyOf(remote.address, remote.port), octets, remote.address);
  }

  #keyOf(address: string, port: number): string {
    let ports = this.#keys.get(address);
    const known = ports?.get(port);
    if (known !== undefined) return known;
    if (this.#keyCount >= flowsRememberedMax) {
      this.#keys = new Map();
      this.#keyCount = 0;
      ports = undefined;
    }
    if (ports === undefined) {
      ports = new Map();
      this.#keys.set(address, ports);
    }
    const key = serializeFlowKey({ transport: "UDP", listener: this.#index, connection: "", address, port });
    ports.set(port, key);
    this.#keyCount += 1;
    return key;
  }
}
