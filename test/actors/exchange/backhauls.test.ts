import { describe, expect, it } from "vitest";
import { Backhauls, isBackhaulError, type BackhaulEnd, type BackhaulInput } from "../../../actors/exchange/backhauls.ts";
import type { BackhaulSocket, BackhaulState } from "../../../actors/exchange/ports.ts";
import { encodeFrame, jsonOctets, RecordKind, type Frame, type FrameRecord } from "../../../cluster/backhaul/frame.ts";
import { octetsOf } from "../../../sip/message/octets.ts";
import { frameOf } from "./actor-world.ts";
import { listeners } from "./harness.ts";

const tcpFlow = "t1.c1.c633640713c4";

/** A socket that writes down what it is told. */
class Socket implements BackhaulSocket {
  readonly frames: Frame[] = [];
  readonly closed: number[] = [];
  isDead = false;
  kept: BackhaulState | undefined;

  send(frame: Uint8Array): boolean {
    if (!this.isDead) this.frames.push(frameOf(frame));
    return !this.isDead;
  }

  close(code: number): void {
    this.closed.push(code);
  }

  keep(state: BackhaulState): void {
    this.kept = state;
  }
}

function newBackhauls(boots = new Map<string, string>()): Backhauls {
  return new Backhauls({ of: (access) => boots.get(access), keep: (access, boot) => boots.set(access, boot) });
}

function hello(boot = "boot1", key = "g1"): FrameRecord {
  return { kind: RecordKind.hello, key, octets: jsonOctets({ boot, listeners }) };
}

function send(text: string): FrameRecord {
  return { kind: RecordKind.send, key: tcpFlow, octets: octetsOf(text) };
}

function give(backhauls: Backhauls, end: BackhaulEnd, seq: number, records: readonly FrameRecord[] = [], ack = 0): BackhaulInput {
  const input = backhauls.receive(end, encodeFrame(seq, ack, records), 0);
  if (isBackhaulError(input)) throw new Error(input.backhaulError);
  return input;
}

function open(backhauls: Backhauls, boot = "boot1"): { readonly socket: Socket; readonly end: BackhaulEnd; readonly input: BackhaulInput } {
  const socket = new Socket();
  const end = backhauls.accept("g1", socket);
  return { socket, end, input: give(backhauls, end, 1, [hello(boot)]) };
}

describe("an exchange's ends of backhauls", () => {
  it("are in use from the hello on", () => {
    const backhauls = newBackhauls();
    const end = backhauls.accept("g1", new Socket());
    expect([backhauls.has("g1"), backhauls.send("g1", [send("one")], 0)]).toEqual([false, false]);
    expect(give(backhauls, end, 1, [hello()]).opened).toMatchObject({ boot: "boot1", isNewBoot: true, listeners });
    expect([backhauls.has("g1"), backhauls.send("g1", [send("one")], 0)]).toEqual([true, true]);
  });

  it.each([
    ["a gap", 3, 0, [], "frame 3 after 1"],
    ["an acknowledgement of what was not sent", 2, 1, [], "acknowledges 1 of 0"],
  ])("find a confused gateway by %s", (_name, seq, ack, records, backhaulError) => {
    const backhauls = newBackhauls();
    const { end } = open(backhauls);
    expect(backhauls.receive(end, encodeFrame(seq, ack, records), 0)).toEqual({ backhaulError });
  });

  it.each([
    ["no hello", send("one"), "the first record is no hello"],
    ["another's name", hello("boot1", "g2"), "hello from g2 on a backhaul of g1"],
    ["no listeners", { kind: RecordKind.hello, key: "g1", octets: jsonOctets({ boot: "x" }) }, "the first record is no hello"],
  ])("find one that begins with %s", (_name, record, backhaulError) => {
    const backhauls = newBackhauls();
    expect(backhauls.receive(backhauls.accept("g1", new Socket()), encodeFrame(1, 0, [record]), 0)).toEqual({ backhaulError });
  });

  it("acknowledge a frame when it and all before it are finished", () => {
    const backhauls = newBackhauls();
    const { end, socket } = open(backhauls);
    give(backhauls, end, 2);
    give(backhauls, end, 3);
    for (const seq of [3, 1, 2]) {
      backhauls.finish(end, seq);
      backhauls.acknowledge(0);
    }
    expect(socket.frames.map(({ ack }) => ack)).toEqual([1, 3]);
    expect(socket.kept).toMatchObject({ received: 3, done: 3, acknowledged: 3 });
  });

  it("say once whether this replica serves", () => {
    const backhauls = newBackhauls();
    const { socket } = open(backhauls);
    for (const isServing of [false, false, true, true]) backhauls.tellServing(isServing, 0);
    expect(socket.frames.flatMap(({ records }) => records.map(({ key }) => key))).toEqual(["0", "1"]);
  });

  it("give what was not acknowledged to the next backhaul, and know a new start of the gateway", () => {
    const backhauls = newBackhauls();
    const first = open(backhauls);
    for (const text of ["one", "two"]) backhauls.send("g1", [send(text)], 0);
    give(backhauls, first.end, 2, [], 1);
    const second = open(backhauls);
    expect(second.input.opened).toMatchObject({ isNewBoot: false, again: [{ octets: octetsOf("two") }] });
    expect(first.socket.closed).toEqual([4001]);
    expect(backhauls.closed(first.end, 0)).toBeUndefined();
    expect(open(backhauls, "boot2").input.opened).toMatchObject({ isNewBoot: true, again: [] });
  });

  it("give it back when the backhaul ends, and nothing can be sent then", () => {
    const backhauls = newBackhauls();
    const { end } = open(backhauls);
    backhauls.send("g1", [send("one")], 0);
    expect(backhauls.closed(end, 0)).toMatchObject({ access: "g1", records: [{ octets: octetsOf("one") }] });
    expect([backhauls.has("g1"), backhauls.send("g1", [send("two")], 0)]).toEqual([false, false]);
  });

  it("do not take what a dead socket does not take", () => {
    const backhauls = newBackhauls();
    const { socket } = open(backhauls);
    socket.isDead = true;
    expect(backhauls.send("g1", [send("one")], 0)).toBe(false);
  });

  it("go on where they were when the object wakes: everything that had come is done", () => {
    const boots = new Map<string, string>();
    const before = newBackhauls(boots);
    const { end, socket } = open(before);
    give(before, end, 2);
    before.send("g1", [send("one")], 0);
    const woken = newBackhauls(boots);
    if (socket.kept === undefined) throw new Error("nothing was kept");
    const again = woken.wake(socket, socket.kept, true);
    woken.send("g1", [send("two")], 0);
    expect(socket.frames.at(-1)).toMatchObject({ seq: 2, ack: 2 });
    expect(give(woken, again, 3, [], 2)).toMatchObject({ access: "g1", seq: 3 });
  });

  it("do not use a socket again that had closed while the object slept", () => {
    const backhauls = newBackhauls();
    const { socket } = open(backhauls);
    if (socket.kept === undefined) throw new Error("nothing was kept");
    const woken = newBackhauls();
    const end = woken.wake(socket, socket.kept, false);
    expect([woken.has("g1"), woken.closed(end, 0)]).toEqual([false, undefined]);
  });
});
