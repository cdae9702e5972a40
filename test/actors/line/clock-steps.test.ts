import { describe, expect, it } from "vitest";
import { ExchangeLink } from "../../../actors/line/exchange-link.ts";
import { decodeFrame, isFrameError, RecordKind, type FrameRecord } from "../../../cluster/backhaul/frame.ts";
import { patientFrameDelayMs } from "../../../cluster/limits.ts";
import { octetsOf, stringOf } from "../../../sip/message/octets.ts";
import { Clocked } from "../../simulation/clocked.ts";

/** Three messages to a replica that answers nothing yet, and a step of the wall clock while the second waits in the backhaul: when each leaves, by true time. */
function leavingOverStep(stepMs: number): string[] {
  const clocked = new Clocked();
  const { clock, timer } = clocked.timers;
  const left: string[] = [];
  const link = new ExchangeLink({
    access: "a.0",
    now: clock.now,
    timer,
    call: (octets) => {
      const frame = decodeFrame(octets);
      if (isFrameError(frame)) throw new Error(frame.frameError);
      const messages = frame.records.filter(({ kind }) => kind === RecordKind.message);
      for (const { octets: text } of messages) left.push(`${stringOf(text).slice(0, 3)} ${clocked.world.now}`);
    },
    isUnordered: false,
    received: () => undefined,
    failed: () => undefined,
  });
  const offer = (at: number, text: string): void => clocked.at(at, () => void link.offer(messageOf(text), clock.now()));
  offer(1_000, "INVITE one");
  // What can wait takes its time: see cluster/backhaul/patience.ts.
  offer(1_005, "ACK two\r\n\r\n");
  clocked.stepAt(1_010, stepMs);
  offer(3_000, "INVITE three");
  clocked.runUntil(10_000);
  return left;
}

function messageOf(text: string): FrameRecord {
  return { kind: RecordKind.message, key: "w0.1.0a000001", octets: octetsOf(text) };
}

describe("a record that waits in a backhaul when the wall clock is set", () => {
  const without = ["INV 1000", `ACK ${1_005 + patientFrameDelayMs}`, "INV 3000"];

  it("leaves after its delay without a step", () => {
    expect(leavingOverStep(0)).toEqual(without);
  });

  it.each([-60_000, -3_600_000, 3_600_000])("by %i ms leaves in its time, and holds nothing else", (stepMs) => {
    expect(leavingOverStep(stepMs)).toEqual(without);
  });
});
