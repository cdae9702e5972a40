import fc from "fast-check";
import { expect, test } from "vitest";
import { MessageBoundary } from "../../gateway/connections/message-boundary.ts";

type Frame = { readonly isLast: boolean; readonly opcode: number; readonly length: number };

const text = 1;
const continuation = 0;
const ping = 9;

/** A masked frame (RFC 6455 5.2); `wide`: its length in eight octets, whatever it is. */
function frameOf({ isLast, opcode, length }: Frame, wide = false): Buffer {
  const start = (isLast ? 0x80 : 0) | opcode;
  const size = Buffer.alloc(wide || length > 0xffff ? 9 : length > 125 ? 3 : 1);
  if (size.length === 1) size[0] = 0x80 | length;
  else if (size.length === 3) size.writeUInt16BE(length, 1);
  else size.writeBigUInt64BE(BigInt(length), 1);
  if (size.length > 1) size[0] = 0x80 | (size.length === 3 ? 126 : 127);
  return Buffer.concat([Buffer.from([start]), size, Buffer.alloc(4, 7), Buffer.alloc(length, 0xff)]);
}

/** Where a message ends: the octets before it. */
function endsOf(frames: readonly Frame[], octets: readonly Buffer[]): Set<number> {
  const ends = new Set([0]);
  let [at, isOpen] = [0, false];
  for (const [index, { isLast, opcode }] of frames.entries()) {
    at += octets[index]?.length ?? 0;
    if (opcode < 8) isOpen = !isLast;
    if (!isOpen) ends.add(at);
  }
  return ends;
}

test.each([0, 1, 125, 126, 65_535, 65_536])("[RFC6455 5.2] a message of %i octets, and another one, octet by octet", (length) => {
  const frames = [
    { isLast: true, opcode: text, length },
    { isLast: true, opcode: text, length: 3 },
  ];
  const octets = frames.map((frame) => frameOf(frame));
  const ends = endsOf(frames, octets);
  const boundary = new MessageBoundary();
  const found: number[] = [0];
  for (const [index, octet] of Buffer.concat(octets).entries()) if (boundary.follow(Buffer.from([octet]))) found.push(index + 1);
  expect(new Set(found)).toEqual(ends);
});

test("[RFC6455 5.4] a message in fragments is whole with its last one; control frames between them change nothing", () => {
  const boundary = new MessageBoundary();
  expect(boundary.follow(frameOf({ isLast: false, opcode: text, length: 10 }))).toBe(false);
  expect(boundary.follow(frameOf({ isLast: true, opcode: ping, length: 4 }))).toBe(false);
  expect(boundary.follow(frameOf({ isLast: false, opcode: continuation, length: 0 }))).toBe(false);
  expect(boundary.follow(frameOf({ isLast: true, opcode: continuation, length: 300 }, true))).toBe(true);
  expect(boundary.follow(frameOf({ isLast: true, opcode: ping, length: 0 }))).toBe(true);
});

test("whatever the frames and wherever they are cut, an end is where a message ends", () => {
  const frame = fc.record({
    isLast: fc.boolean(),
    opcode: fc.constantFrom(text, 2, ping),
    length: fc.constantFrom(0, 1, 125, 126, 200, 70_000),
  });
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 6 }), fc.array(fc.nat(100_000), { maxLength: 20 }), (frames, cuts) => {
      const octets = frames.map((each) => frameOf(each));
      const all = Buffer.concat(octets);
      const ends = endsOf(frames, octets);
      const boundary = new MessageBoundary();
      const places = [...new Set([...cuts.map((cut) => cut % (all.length + 1)), all.length])].toSorted((a, b) => a - b);
      let from = 0;
      for (const to of places) {
        expect(boundary.follow(all.subarray(from, to))).toBe(ends.has(to));
        from = to;
      }
    }),
    { numRuns: 300 },
  );
});
