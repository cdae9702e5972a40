import type { FrameSocket, OpenSocket } from "../../actors/frame-socket.ts";
import type { End, EndHandlers } from "./network.ts";
import type { ObjectLife } from "./object-life.ts";

/** One end of a WebSocket between a line and an exchange, which an object holds: it does not sleep with it, and the socket ends with the object. */
export function heldBy(life: ObjectLife, end: End, opened: (socket: OpenSocket) => FrameSocket): EndHandlers {
  const isHeld = life.begin(() => end.close());
  const frames = opened({
    send: (octets) => end.send(octets),
    close: () => {
      isHeld();
      end.close();
    },
  });
  return {
    message: (data) => life.event(() => frames.received(data as Uint8Array)),
    closed: () => {
      isHeld();
      life.event(() => frames.closed());
    },
  };
}
