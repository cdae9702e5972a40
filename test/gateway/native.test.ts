import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { loadNative } from "../../gateway/native/native.ts";
import { nativeDatagrams } from "./harness.ts";

const folder = join(import.meta.dirname, "../../gateway/native");
const digest = createHash("sha256")
  .update(readFileSync(join(folder, "datagrams.c")))
  .digest("hex");

describe("the prebuilt native code", () => {
  test.each(["linux-x64", "linux-arm64"])("of %s was made from the source as it is now (gateway/native/build.sh)", (build) => {
    expect(readFileSync(join(folder, `${build}.node`)).includes(digest)).toBe(true);
  });

  test("is what runs on Linux, where it has a build", () => {
    const native = loadNative(() => {});
    expect(native?.sourceDigest).toBe(process.platform === "linux" ? digest : undefined);
  });
});

/** Whatever JavaScript may hand over where something else is expected. */
const anything = fc.oneof(
  fc.constantFrom(
    undefined,
    null,
    true,
    false,
    "",
    "127.0.0.1",
    "::1",
    "x".repeat(300),
    0,
    1,
    -1,
    65_536,
    2 ** 31,
    2 ** 32,
    1e300,
    Number.NaN,
  ),
  fc.constantFrom(
    () => {},
    {},
    [],
    new ArrayBuffer(0),
    new ArrayBuffer(28),
    new ArrayBuffer(64 * 65_536),
    new Uint8Array(4),
    Symbol("s"),
    1n,
  ),
);

const native = nativeDatagrams();

/** Whether a row lies in the outbox of the test below. */
function isInside({ length, start }: { readonly length: number; readonly start: number }): boolean {
  return length >= 0 && start >= 0 && start + length <= 1_000;
}

/** There is none to be called on other platforms than Linux; `nativeDatagrams` throws where there should be some. */
describe.runIf(native !== undefined)("native code that is called wrongly", () => {
  // Calls as no type allows them.
  const wrong = native as unknown as Readonly<Record<string, (...values: unknown[]) => unknown>>;

  test("refuses with a number and touches nothing", () => {
    if (native === undefined) return;
    fc.assert(
      fc.property(fc.constantFrom("open", "send", "watch", "close", "bound"), fc.array(anything, { maxLength: 12 }), (name, values) => {
        const result = wrong[name]?.(...values);
        expect(name === "bound" ? result === undefined : typeof result === "number" && result < 0).toBe(true);
      }),
      { numRuns: 5_000 },
    );
  });

  test("sends only what lies in its areas, whatever the rows say", () => {
    if (native === undefined) return;
    const { slots, slotOctets, rowNumbers } = native;
    const leavings = new Int32Array(20 * rowNumbers);
    const areas = [
      new ArrayBuffer(slots * slotOctets),
      new ArrayBuffer(slots * rowNumbers * 4),
      new ArrayBuffer(1_000),
      leavings.buffer,
    ] as const;
    const socket = native.open(
      false,
      "127.0.0.1",
      0,
      100_000,
      ...areas,
      () => {},
      () => {},
      () => {},
    );
    if (typeof socket === "number") throw new Error(`no socket: ${socket}`);
    const { port = 0 } = native.bound(socket) ?? {};
    const edge = fc.oneof(fc.integer({ min: -10, max: 1_010 }), fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }));
    const row = fc.record({ length: edge, start: edge });
    const loopback = new Int32Array(Uint8Array.of(127, 0, 0, 1).buffer)[0] ?? 0;
    fc.assert(
      fc.property(fc.array(row, { minLength: 1, maxLength: 20 }), fc.nat(25), fc.nat(25), (rows, first, end) => {
        for (const [i, { length, start }] of rows.entries()) leavings.set([length, port, loopback, 0, 0, 0, start], i * rowNumbers);
        const sent = native.send(socket, first, end);
        const foremost = rows[first];
        const isWrong = first > end || end > 20 || (first < end && foremost !== undefined && !isInside(foremost));
        expect(sent).toBeLessThanOrEqual(isWrong ? -1 : end - first);
      }),
      { numRuns: 2_000 },
    );
    expect(native.close(socket)).toBe(0);
    expect([native.close(socket), native.send(socket, 0, 1), native.watch(socket, true)].every((result) => result < 0)).toBe(true);
    expect(native.bound(socket)).toBeUndefined();
  });

  test("takes no areas that are too small for what comes", () => {
    if (native === undefined) return;
    const { slots, slotOctets, rowNumbers } = native;
    const right = [slots * slotOctets, slots * rowNumbers * 4, 1, rowNumbers * 4] as const;
    for (const [which] of right.entries()) {
      const [inbox = 0, arrivals = 0, outbox = 0, leavings = 0] = right.map((octets, i) => (i === which ? octets - 1 : octets));
      const areas = [new ArrayBuffer(inbox), new ArrayBuffer(arrivals), new ArrayBuffer(outbox), new ArrayBuffer(leavings)] as const;
      expect(
        native.open(
          false,
          "127.0.0.1",
          0,
          100_000,
          ...areas,
          () => {},
          () => {},
          () => {},
        ),
      ).toBeLessThan(0);
    }
  });
});
