import { describe, expect, it } from "vitest";
import { LineSockets } from "../../../actors/exchange/line-sockets.ts";
import type { FrameSocket, OpenSocket } from "../../../actors/frame-socket.ts";
import { ExchangeSockets } from "../../../actors/line/exchange-sockets.ts";
import { frameSocketFrames, frameSocketIdleMs, frameSocketRetryMs } from "../../../actors/limits.ts";
import { VirtualTime } from "../virtual-time.ts";

const time = new VirtualTime();
const clocks = { now: () => time.now, wallAt: (moment: number) => moment, timer: (run: () => void) => time.timer(run) };
const silent: OpenSocket = { send: () => {}, close: () => {} };

type Opening = { readonly exchange: number; readonly cell: string; readonly opened: (socket: OpenSocket) => FrameSocket };

/** A line's WebSockets, and which of them it has asked for. */
function world(): { readonly sockets: ExchangeSockets; readonly openings: Opening[]; readonly beBusy: (exchange: number) => void } {
  const openings: Opening[] = [];
  const sockets = new ExchangeSockets({
    ...clocks,
    open: (exchange, cell, opened) => void openings.push({ exchange, cell, opened }),
    take: () => {},
  });
  const beBusy = (exchange: number): void => {
    for (let frame = 0; frame < frameSocketFrames; frame += 1) sockets.socketFor(exchange, "b");
  };
  return { sockets, openings, beBusy };
}

describe("a line", () => {
  it("opens a WebSocket to the replica that it speaks to often, and speaks by requests until it is there", () => {
    const { sockets, openings, beBusy } = world();
    for (let frame = 0; frame < 100; frame += 1) {
      expect(sockets.socketFor(1, "b")).toBeUndefined();
      time.pass(1_000);
    }
    expect(openings).toEqual([]);
    beBusy(2);
    expect(openings).toMatchObject([{ exchange: 2, cell: "b" }]);
    expect(sockets.socketFor(2, "b")).toBeUndefined();
    const socket = openings[0]?.opened(silent);
    expect(sockets.socketFor(2, "b")).toBe(socket);
    expect(sockets.socketFor(2, "c")).toBeUndefined();
  });

  it("has none any more when it has ended, and asks for another when it is busy again", () => {
    const { sockets, openings, beBusy } = world();
    beBusy(1);
    openings[0]?.opened(silent);
    time.pass(frameSocketIdleMs);
    expect(sockets.socketFor(1, "b")).toBeUndefined();
    time.pass(frameSocketRetryMs);
    beBusy(1);
    expect(openings).toHaveLength(2);
  });

  it("asks again for one that was not to be had, after a pause", () => {
    const { openings, beBusy } = world();
    for (let ms = 0; ms < frameSocketRetryMs; ms += 100) {
      beBusy(1);
      time.pass(100);
    }
    expect(openings).toHaveLength(1);
    beBusy(1);
    expect(openings).toHaveLength(2);
  });
});

describe("an exchange", () => {
  it("speaks to a line on the WebSocket that this has opened last, as long as it is there", () => {
    const lines = new LineSockets({ ...clocks, take: () => {} });
    expect(lines.socketFor("b.1")).toBeUndefined();
    const [first, second] = [lines.accept("b.1", silent), lines.accept("b.1", silent)];
    expect(lines.socketFor("b.1")).toBe(second);
    first.closed();
    expect(lines.socketFor("b.1")).toBe(second);
    expect(lines.socketFor("b.2")).toBeUndefined();
    second.closed();
    expect(lines.socketFor("b.1")).toBeUndefined();
  });
});
