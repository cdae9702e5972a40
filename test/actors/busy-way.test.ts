import { describe, expect, it } from "vitest";
import { BusyWay } from "../../actors/busy-way.ts";
import { peerSocketBatches, peerSocketIdleMs, peerSocketRetryMs } from "../../actors/limits.ts";

const start = 1_790_000_000_000;

function wayToPeer(): BusyWay {
  return new BusyWay({ messages: peerSocketBatches, idleMs: peerSocketIdleMs, retryMs: peerSocketRetryMs });
}

/** The ways of so many batches, one each so many milliseconds. */
function ways(way: BusyWay, count: number, eachMs: number, from: number): string[] {
  return Array.from({ length: count }, (_, index) => way.leaves(from + index * eachMs));
}

describe("batches to the peer", () => {
  it("go by requests while they are few", () => {
    const spacing = Math.ceil(1_000 / (peerSocketBatches - 1));
    expect(new Set(ways(wayToPeer(), 1_000, spacing, start))).toEqual(new Set(["request"]));
  });

  it("have a WebSocket opened by the one that is too many in a second, and go over it from the next one on", () => {
    const way = wayToPeer();
    expect(ways(way, peerSocketBatches, 1, start)).toEqual([...Array.from({ length: peerSocketBatches - 1 }, () => "request"), "open"]);
    expect(way.leaves(start + 10)).toBe("request");
    way.opened();
    expect(way.leaves(start + 60_000)).toBe("socket");
  });

  it("ask for a WebSocket that is not to be had again after a pause, and not before", () => {
    const way = wayToPeer();
    const asked = ways(way, 10_000, 1, start).flatMap((each, index) => (each === "open" ? [index] : []));
    const first = peerSocketBatches - 1;
    expect(asked).toEqual([first, first + peerSocketRetryMs]);
  });

  it("go by requests again when the WebSocket has ended, until they are many again", () => {
    const way = wayToPeer();
    ways(way, peerSocketBatches, 1, start);
    way.opened();
    way.ended();
    expect(way.leaves(start + 10)).toBe("request");
    expect(ways(way, peerSocketBatches, 1, start + 2 * peerSocketRetryMs)).toContain("open");
  });

  it("let a WebSocket go that nothing has needed for a while", () => {
    const way = wayToPeer();
    way.opened();
    way.leaves(start);
    expect([way.isSpare(start + peerSocketIdleMs - 1), way.isSpare(start + peerSocketIdleMs)]).toEqual([false, true]);
  });

  it("are counted anew when the clock is set back", () => {
    const way = wayToPeer();
    ways(way, peerSocketBatches - 1, 1, start);
    expect(ways(way, peerSocketBatches - 1, 1, start - 60_000)).not.toContain("open");
  });
});
