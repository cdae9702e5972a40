import { type Socket, connect } from "node:net";
import { connect as connectTls } from "node:tls";
import { StreamFramer } from "../../sip/message/stream-framer.ts";
import type { Link, LinkHandlers, Target } from "../phone/link.ts";
import { hostInUri } from "../../sip/host-in-uri.ts";
import { connectMsMax } from "./limits.ts";

/** `domain`: whose certificate a server has to show over TLS. `ca`: PEM of the authority to trust. */
export type StreamOptions = { readonly transport: "tcp" | "tls"; readonly domain: string; readonly ca: string | undefined };

const crlfcrlf = new Uint8Array([0x0d, 0x0a, 0x0d, 0x0a]);

/** A connection over TCP or TLS. `opened` or `closed` follows. */
export function openStream(options: StreamOptions, target: Target, handlers: LinkHandlers): Link {
  const isTls = options.transport === "tls";
  const socket: Socket = isTls
    ? connectTls({
        host: target.host,
        port: target.port,
        servername: options.domain,
        ...(options.ca === undefined ? {} : { ca: options.ca }),
      })
    : connect({ host: target.host, port: target.port });
  socket.setNoDelay(true);
  const framer = new StreamFramer();
  let cause = "closed by the server";
  const link = {
    target,
    via: `SIP/2.0/${isTls ? "TLS" : "TCP"} invalid.invalid`,
    contactHost: "",
    isReliable: true,
    isOpen: false,
    send: (octets: Uint8Array): void => void socket.write(octets),
    ping: (): void => void socket.write(crlfcrlf),
    close: (why: string): void => {
      cause = why;
      socket.destroy();
    },
  };
  const timer = setTimeout(() => {
    cause = `no connection in ${connectMsMax} ms`;
    socket.destroy();
  }, connectMsMax);
  socket.once(isTls ? "secureConnect" : "connect", () => {
    clearTimeout(timer);
    const local = `${hostInUri(socket.localAddress ?? "127.0.0.1")}:${socket.localPort ?? 0}`;
    link.via = `SIP/2.0/${isTls ? "TLS" : "TCP"} ${local}`;
    link.contactHost = `${local};transport=${options.transport}`;
    link.isOpen = true;
    handlers.opened(link);
  });
  socket.on("data", (chunk: Buffer) => {
    for (const event of framer.push(chunk)) {
      if (event.type === "message") handlers.received(event.octets, link);
      // Two pongs in a row look like a ping.
      else if (event.type === "pong" || event.type === "ping") handlers.pong(link);
      else {
        cause = "broken stream";
        socket.destroy();
      }
    }
  });
  socket.on("error", (error) => {
    cause = error.message;
  });
  socket.once("close", () => {
    clearTimeout(timer);
    link.isOpen = false;
    handlers.closed(link, cause);
  });
  return link;
}
