import { WebSocket } from "ws";
import type { Link, LinkHandlers, Target } from "../phone/link.ts";
import { hostInUri } from "../../sip/host-in-uri.ts";
import { connectMsMax } from "./limits.ts";

/** A connection over WebSocket (RFC 7118). `opened` or `closed` follows. */
export function openWebSocket(target: Target, handlers: LinkHandlers): Link {
  const socket = new WebSocket(`ws://${hostInUri(target.host)}:${target.port}/`, "sip", {
    handshakeTimeout: connectMsMax,
    perMessageDeflate: false,
    skipUTF8Validation: true,
  });
  // RFC 7118 5: a browser knows no address of its own, so it makes up a name.
  let cause = "closed by the server";
  const host = `${Math.random().toString(36).slice(2, 10)}.invalid`;
  const link = {
    target,
    via: `SIP/2.0/WS ${host}`,
    contactHost: `${host};transport=ws`,
    isReliable: true,
    isOpen: false,
    send: (octets: Uint8Array): void => socket.send(octets, { binary: false }),
    ping: (): void => socket.send("\r\n\r\n"),
    close: (why: string): void => {
      cause = why;
      socket.terminate();
    },
  };
  socket.once("open", () => {
    link.isOpen = true;
    handlers.opened(link);
  });
  socket.on("message", (data) => {
    const octets = Array.isArray(data) ? Buffer.concat(data) : data instanceof ArrayBuffer ? new Uint8Array(data) : data;
    if (octets.length <= 4) handlers.pong(link);
    else handlers.received(octets, link);
  });
  socket.on("error", (error) => {
    cause = error.message;
  });
  socket.once("close", () => {
    link.isOpen = false;
    handlers.closed(link, cause);
  });
  return link;
}
