import { serializeFlowKey } from "../../sip/flow/flow.ts";
import { flowsRememberedMax } from "../limits.ts";

/** Who has sent a datagram. */
export type UdpSource = { readonly flowKey: string; readonly address: string };

/**
 * Flow keys by address and port: making one costs more than all else on the way of a datagram. An address is what a socket tells at no cost. `textOf`
 * writes it out.
 */
export class FlowKeys<Address extends string | number> {
  readonly #listener: number;
  readonly #textOf: (address: Address) => string;
  #sources = new Map<Address, Map<number, UdpSource>>();
  #count = 0;

  constructor(listener: number, textOf: (address: Address) => string) {
    this.#listener = listener;
    this.#textOf = textOf;
  }

  sourceOf(at: Address, port: number): UdpSource {
    return this.#sources.get(at)?.get(port) ?? this.#remember(at, port);
  }

  #remember(at: Address, port: number): UdpSource {
    if (this.#count >= flowsRememberedMax) {
      this.#sources = new Map();
      this.#count = 0;
    }
    const address = this.#textOf(at);
    const source = { flowKey: serializeFlowKey({ transport: "UDP", listener: this.#listener, connection: "", address, port }), address };
    const ports = this.#sources.get(at) ?? new Map<number, UdpSource>();
    this.#sources.set(at, ports);
    ports.set(port, source);
    this.#count += 1;
    return source;
  }
}
