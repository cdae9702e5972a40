import type { Connector, DatagramEndpoint, Link, LinkHandlers, PhoneTransport, Target } from "../phone/link.ts";
import { openStream } from "./stream-link.ts";
import { UdpEndpoint } from "./udp-endpoint.ts";
import { openWebSocket } from "./web-socket-link.ts";

/** `host`: the phone's own address, for UDP. `ca`: PEM of the authority to trust, for TLS. */
export type NodeConnectorOptions = {
  readonly transport: PhoneTransport;
  readonly domain: string;
  readonly host: string;
  readonly ca: string | undefined;
};

/** A phone's ways over the sockets of Node. */
export class NodeConnector implements Connector {
  readonly #options: NodeConnectorOptions;

  constructor(options: NodeConnectorOptions) {
    this.#options = options;
  }

  connect(target: Target, handlers: LinkHandlers): Link {
    const { transport, domain, ca } = this.#options;
    switch (transport) {
      case "tcp":
      case "tls":
        return openStream({ transport, domain, ca }, target, handlers);
      case "ws":
        return openWebSocket(target, handlers);
      case "udp":
        throw new RangeError("UDP knows no connections");
    }
  }

  bind(targets: readonly Target[], handlers: LinkHandlers): DatagramEndpoint {
    return new UdpEndpoint(targets, this.#options.host, handlers);
  }
}
