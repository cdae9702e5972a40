import { describe, expect, it } from "vitest";
import { Strangers } from "../../workers/line/strangers.ts";

function socket(): WebSocket {
  return new WebSocketPair()[0];
}

describe("the strangers of a line", () => {
  it("have a bound for each source, which those who register or go give back", () => {
    const strangers = new Strangers({ perSourceMax: 3, leavingMax: 2 });
    const sockets = Array.from({ length: 3 }, socket);
    for (const each of sockets) {
      expect(strangers.mayCome("flood")).toBe(true);
      strangers.add(each, "flood");
    }
    expect([strangers.mayCome("flood"), strangers.mayCome("phone")]).toEqual([false, true]);
    for (const each of sockets.slice(1)) strangers.remove(each);
    expect(strangers.mayCome("flood")).toBe(true);
    expect([...strangers.sockets()]).toEqual(sockets.slice(0, 1));
  });

  it("make room for one of another source: the largest loses its oldest, and no more than may be leaving at once", () => {
    const strangers = new Strangers({ perSourceMax: 100, leavingMax: 2 });
    const flood = Array.from({ length: 10 }, socket);
    for (const each of flood) strangers.add(each, "flood");
    strangers.add(socket(), "other");
    expect(strangers.makeRoomFor("flood")).toBeUndefined();
    const closed = [strangers.makeRoomFor("phone"), strangers.makeRoomFor("phone")];
    expect(closed).toEqual(flood.slice(0, 2));
    expect(strangers.makeRoomFor("phone")).toBeUndefined();
    for (const each of flood.slice(0, 2)) strangers.remove(each);
    expect(strangers.makeRoomFor("phone")).toBe(flood[2]);
  });

  it("take no room from each other when all sources are alike", () => {
    const strangers = new Strangers({ perSourceMax: 100, leavingMax: 2 });
    for (const source of ["a", "b", "c"]) strangers.add(socket(), source);
    expect(strangers.makeRoomFor("a")).toBeUndefined();
    expect(strangers.makeRoomFor("new")).toBeDefined();
  });
});
