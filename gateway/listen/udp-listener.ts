import type { ListenerConfig } from "../config/config.ts";
import type { NativeDatagrams } from "../native/native.ts";
import { BatchedUdp } from "./batched-udp.ts";
import { PlainUdp } from "./plain-udp.ts";

export type UdpHandlers = {
  /** A datagram, whatever is in it; `address` is its sender's. The octets do not change any more. */
  receive(flowKey: string, octets: Uint8Array, address: string): void;
  failed(error: Error): void;
  /** A datagram to send to this place for which there was no room. */
  dropped(place: UdpPlace): void;
};

/** An address and port, as a listener sends to it. */
export type UdpPlace = {
  readonly address: string;
  readonly port: number;
  /** The address as the system has it in memory: one number of 32 bits, or four. */
  readonly words: Int32Array;
};

/** Where a socket is, and what the kernel gave for datagrams that wait to be read: it counts each with what it takes of its own memory. */
export type UdpBound = { readonly listener: number; readonly host: string; readonly port: number; readonly receiveBufferOctets: number };

/** One UDP socket on one cluster address. Requests and responses leave from the address and port that phones send to (RFC 3581 4). */
export type UdpListener = {
  readonly isIpv6: boolean;
  /** Undefined before it is bound. */
  readonly bound: UdpBound | undefined;
  /** Binds; the port that it got. Rejects with a GatewayError. */
  start(): Promise<number>;
  /** Sends one datagram. `failed` is called when the system refuses it; what the network loses is the transaction layer's. */
  send(octets: Uint8Array, place: UdpPlace, failed: () => void): void;
  stop(): Promise<void>;
};

/** A listener that reads and sends many datagrams with one system call where there is code for it, and one by one elsewhere. */
export function udpListener(
  config: ListenerConfig,
  index: number,
  handlers: UdpHandlers,
  native: NativeDatagrams | undefined,
): UdpListener {
  return native === undefined ? new PlainUdp(config, index, handlers) : new BatchedUdp(config, index, handlers, native);
}
