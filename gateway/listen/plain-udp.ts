import { type Socket, createSocket } from "node:dgram";
import { isIPv6 } from "node:net";
import type { ListenerConfig } from "../config/config.ts";
import { udpBufferOctets } from "../limits.ts";
import { bindError } from "./bind-error.ts";
import { FlowKeys } from "./flow-keys.ts";
import type { UdpBound, UdpHandlers, UdpListener, UdpPlace } from "./udp-listener.ts";

/** A listener over Node's own socket: a system call, and a call into JavaScript, for each datagram. */
export class PlainUdp implements UdpListener {
  readonly isIpv6: boolean;
  bound: UdpBound | undefined;
  readonly #index: number;
  readonly #config: ListenerConfig;
  readonly #handlers: UdpHandlers;
  readonly #socket: Socket;
  readonly #keys: FlowKeys<string>;
  #isStopped = false;

  constructor(config: ListenerConfig, index: number, handlers: UdpHandlers) {
    this.#index = index;
    this.#config = config;
    this.#handlers = handlers;
    this.#keys = new FlowKeys(index, (address) => address);
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

  start(): Promise<number> {
    const { host, port } = this.#config;
    return new Promise((resolve, reject) => {
      this.#socket.once("error", (error) => reject(bindError(this.#config, error)));
      // No reuseAddr: the kernel then refuses a second instance for this address.
      this.#socket.bind({ address: host, port, exclusive: true }, () => {
        this.#socket.removeAllListeners("error");
        this.#socket.on("error", (error) => this.#handlers.failed(error));
        this.#socket.on("message", (octets, remote) => {
          const { flowKey, address } = this.#keys.sourceOf(remote.address, remote.port);
          this.#handlers.receive(flowKey, octets, address);
        });
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

  send(octets: Uint8Array, { address, port }: UdpPlace, failed: () => void): void {
    if (port === 0 || this.#isStopped) {
      failed();
      return;
    }
    this.#socket.send(octets, port, address, (error) => {
      if (error !== null) failed();
    });
  }

  stop(): Promise<void> {
    this.#isStopped = true;
    return new Promise((resolve) => {
      try {
        this.#socket.close(() => resolve());
      } catch {
        // It was never bound.
        resolve();
      }
    });
  }
}
