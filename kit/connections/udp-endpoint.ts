import { type Socket as UdpSocket, createSocket } from "node:dgram";
import { isIPv6 } from "node:net";
import type { DatagramEndpoint, Link, LinkHandlers, Target } from "../phone/link.ts";
import { hostInUri } from "../../sip/host-in-uri.ts";

/** The socket of a UDP phone: one for its whole life, whichever of the targets it sends to. */
export class UdpEndpoint implements DatagramEndpoint {
  readonly #socket: UdpSocket;
  readonly #links: readonly UdpLink[];
  readonly #host: string;
  readonly #opened: (link: Link) => void;

  constructor(targets: readonly Target[], host: string, handlers: LinkHandlers) {
    this.#socket = createSocket({
      type: isIPv6(host) ? "udp6" : "udp4",
      lookup: (name, _options, found) => found(null, name, isIPv6(host) ? 6 : 4),
    });
    this.#links = targets.map((target) => new UdpLink(this.#socket, target));
    this.#socket.on("error", () => undefined);
    this.#socket.on("message", (octets, remote) => {
      // Gateways of several machines listen at the same port. A NAT may be between: then the port alone says which it is.
      const links = this.#links.filter(({ target }) => target.port === remote.port);
      const link = links.find(({ target }) => target.host === remote.address) ?? links[0] ?? this.#links[0];
      if (link !== undefined) handlers.received(octets, link);
    });
    this.#host = host;
    this.#opened = (link) => handlers.opened(link);
  }

  /** Binds any port; `opened` is called for every link, perhaps before this returns. */
  open(): void {
    this.#socket.bind(0, this.#host, () => {
      for (const link of this.#links) link.opened();
      for (const link of this.#links) this.#opened(link);
    });
  }

  get links(): readonly Link[] {
    return this.#links;
  }

  close(): void {
    for (const link of this.#links) link.isOpen = false;
    this.#socket.close();
  }
}

class UdpLink implements Link {
  readonly target: Target;
  readonly isReliable = false;
  readonly #socket: UdpSocket;
  via = "";
  contactHost = "";
  isOpen = false;

  constructor(socket: UdpSocket, target: Target) {
    this.#socket = socket;
    this.target = target;
  }

  opened(): void {
    const { address, port } = this.#socket.address();
    this.contactHost = `${hostInUri(address)}:${port}`;
    this.via = `SIP/2.0/UDP ${this.contactHost}`;
    this.isOpen = true;
  }

  send(octets: Uint8Array): void {
    this.#socket.send(octets, this.target.port, this.target.host, () => undefined);
  }

  ping(): void {}

  close(): void {}
}
