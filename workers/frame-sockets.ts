import type { FrameSocket, OpenSocket } from "../actors/frame-socket.ts";
import { answerClose, closeQuietly } from "./close-socket.ts";
import { cellSocketOpenMsMax } from "./limits.ts";

/**
 * WebSockets between a line and an exchange of another cell (docs/decisions/0045-a-busy-line-has-websockets.md): actors/frame-socket.ts decides what
 * goes over them. Neither end hibernates. It ends when frames are few, before the objects could sleep.
 */

/** The end of the line. Opens one, if that can be had in time: requests do as well. */
export async function openFrameSocket(
  open: (signal: AbortSignal) => Promise<WebSocket>,
  opened: (socket: OpenSocket) => FrameSocket,
): Promise<void> {
  const controller = new AbortController();
  // No AbortSignal.timeout: one that rings later would end the WebSocket.
  const timer = setTimeout(() => controller.abort(), cellSocketOpenMsMax);
  try {
    hold(await open(controller.signal), opened);
  } catch {
    // Nobody is there, or of a release that has no such WebSocket.
  } finally {
    clearTimeout(timer);
  }
}

/** The end of the exchange. The response opens the WebSocket. */
export function acceptFrameSocket(opened: (socket: OpenSocket) => FrameSocket): Response {
  const { 0: far, 1: near } = new WebSocketPair();
  hold(near, opened);
  return new Response(null, { status: 101, webSocket: far });
}

function hold(socket: WebSocket, opened: (socket: OpenSocket) => FrameSocket): void {
  socket.accept();
  socket.binaryType = "arraybuffer";
  const frames = opened({
    send: (octets) => {
      try {
        socket.send(octets);
      } catch {
        // It has died, and its end has not been told yet.
      }
    },
    close: () => closeQuietly(socket),
  });
  socket.addEventListener("message", ({ data }: { readonly data: unknown }) => frames.received(octetsOf(data)));
  socket.addEventListener("close", ({ code, reason }) => {
    answerClose(socket, code, reason);
    frames.closed();
  });
  socket.addEventListener("error", () => frames.closed());
}

/** A copy, and the original is freed: workerd keeps the event that brought it until a full collection. Text is no message of ours. */
function octetsOf(data: unknown): Uint8Array {
  if (!(data instanceof ArrayBuffer)) return new Uint8Array(0);
  const octets = new Uint8Array(data).slice();
  data.transfer(0);
  return octets;
}
