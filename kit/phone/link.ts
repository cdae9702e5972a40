export const phoneTransports = ["udp", "tcp", "tls", "ws"] as const;
export type PhoneTransport = (typeof phoneTransports)[number];

/** Where phones send to: a listener of a gateway, or a cell's WebSocket. */
export type Target = { readonly name: string; readonly host: string; readonly port: number };

/** One way of a phone to a target: a connection, or for UDP a socket and an address to send to. */
export type Link = {
  readonly target: Target;
  /** What stands in a Via: transport and sent-by. */
  readonly via: string;
  /** What a Contact has behind the user part. */
  readonly contactHost: string;
  readonly isReliable: boolean;
  isOpen: boolean;
  send(octets: Uint8Array): void;
  /** RFC 5626 3.5.1: CRLFCRLF on a connection. */
  ping(): void;
  /** `why`: what `closed` is to say. */
  close(why: string): void;
};

export type LinkHandlers = {
  opened(link: Link): void;
  received(octets: Uint8Array, link: Link): void;
  pong(link: Link): void;
  closed(link: Link, cause: string): void;
};

/** The socket of a UDP phone: one for its whole life, with a link to each of the targets. */
export type DatagramEndpoint = {
  readonly links: readonly Link[];
  /** `opened` is called for every link, perhaps before this returns. */
  open(): void;
  close(): void;
};

/** How a phone gets its ways: the port to sockets, or to a simulated network. */
export type Connector = {
  /** Opens a connection to a target; `opened` or `closed` follows. */
  connect(target: Target, handlers: LinkHandlers): Link;
  /** For UDP. */
  bind(targets: readonly Target[], handlers: LinkHandlers): DatagramEndpoint;
};
