import { read, writeSync } from "node:fs";
import type { WireState } from "../wire.ts";

/**
 * What is between two machines (wire.ts): `wire-process.ts DEVICE DEVICE`, which are file descriptors of TUN devices. A packet that comes out of one goes into
 * the other, after its time. It is told by messages how the wire is, and answers each when it is so.
 */
const [left = 0, right = 0] = process.argv.slice(2).map(Number);
/** A TUN device gives one packet at a time, of its MTU at most. */
const packetOctetsMax = 65_536;

let state: WireState = { delayMs: 0, lostPercent: 0, isCut: false };

function carry(from: number, to: number): void {
  const octets = Buffer.alloc(packetOctetsMax);
  read(from, octets, 0, octets.length, null, (error, length) => {
    if (error !== null) return end();
    if (!isLost()) deliver(Buffer.from(octets.subarray(0, length)), to);
    carry(from, to);
  });
}

function isLost(): boolean {
  return state.isCut || Math.random() * 100 < state.lostPercent;
}

/** What is under way when the wire is cut is lost as well. */
function deliver(packet: Buffer, to: number): void {
  if (state.delayMs === 0) return put(packet, to);
  setTimeout(() => {
    if (!state.isCut) put(packet, to);
  }, state.delayMs);
}

function put(packet: Buffer, to: number): void {
  try {
    writeSync(to, packet);
  } catch {
    // The other machine is off: nobody is told, as with a wire.
  }
}

/** Both reads are waiting in threads of their own, and would keep the process. */
function end(): void {
  process.kill(process.pid, "SIGKILL");
}

process.on("message", (next: WireState) => {
  state = next;
  process.send?.("so it is");
});
process.on("disconnect", end);
carry(left, right);
carry(right, left);
process.send?.("open");
