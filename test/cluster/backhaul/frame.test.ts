import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { frameOctetsMax } from "../../../cluster/limits.ts";
import { messageOctetsMax } from "../../../sip/limits.ts";
import { protocolVersion } from "../../../cluster/protocol-version.ts";
import { decodeFrame, encodeFrame, isFrameError, jsonOctets, parseJsonOctets, RecordKind } from "../../../cluster/backhaul/frame.ts";

const records = fc.array(
  fc.record({
    kind: fc.integer({ min: 0, max: 255 }),
    key: fc.stringMatching(/^[ -~]{0,40}$/),
    octets: fc.uint8Array({ maxLength: 200 }),
  }),
  { maxLength: 20 },
);
const counter = fc.integer({ min: 0, max: 2 ** 32 - 1 });

describe("frames", () => {
  it("come back as they were sent", () => {
    fc.assert(
      fc.property(counter, counter, records, (seq, ack, sent) => {
        expect(decodeFrame(encodeFrame(seq, ack, sent))).toEqual({ seq, ack, records: sent });
      }),
    );
  });

  it("are an error, never a throw, when cut off anywhere", () => {
    const frame = encodeFrame(1, 2, [{ kind: RecordKind.message, key: "u0..7f00000113c4", octets: new Uint8Array(30) }]);
    const whole = [9, frame.length];
    for (let length = 0; length <= frame.length; length += 1) {
      expect(isFrameError(decodeFrame(frame.subarray(0, length))), `cut at ${length}`).toBe(!whole.includes(length));
    }
  });

  it("never throw on any octets", () => {
    const property = fc.property(fc.uint8Array({ maxLength: 300 }), (octets) => {
      decodeFrame(octets);
      decodeFrame(Uint8Array.of(protocolVersion, ...octets));
    });
    expect(() => fc.assert(property)).not.toThrow();
  });

  it("refuse a record longer than a message may be, and a frame longer than a frame may be", () => {
    const long = encodeFrame(1, 0, [{ kind: RecordKind.message, key: "k", octets: new Uint8Array(messageOctetsMax + 1) }]);
    expect(decodeFrame(long)).toEqual({ frameError: `record longer than ${messageOctetsMax} octets` });
    expect(isFrameError(decodeFrame(new Uint8Array(frameOctetsMax + 1)))).toBe(true);
  });

  it.each([protocolVersion - 1, protocolVersion + 1])("refuse another version: %i", (theirs) => {
    const frame = encodeFrame(1, 0, []);
    expect(isFrameError(decodeFrame(frame))).toBe(false);
    frame[0] = theirs;
    expect(decodeFrame(frame)).toEqual({ frameError: `it has version ${theirs} of the protocol, this is version ${protocolVersion}` });
  });

  it("throw when a key does not fit: that is our own mistake", () => {
    expect(() => encodeFrame(1, 0, [{ kind: 1, key: "k".repeat(256), octets: new Uint8Array(0) }])).toThrow(RangeError);
  });

  it("carry JSON as ASCII octets", () => {
    const value = { name: "Zoë ☎", list: [1, 2] };
    expect(jsonOctets(value).every((octet) => octet < 128)).toBe(true);
    expect(parseJsonOctets(jsonOctets(value))).toEqual(value);
    expect(parseJsonOctets(Uint8Array.of(0x7b))).toBeUndefined();
  });
});
