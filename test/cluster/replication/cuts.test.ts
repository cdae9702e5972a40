import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { recordKinds } from "../../../sip/record/record-kinds.ts";
import type { StateRecord } from "../../../sip/record/state-record.ts";
import { recordsArbitrary } from "../../sip/record/records.ts";
import { calm, World, type Replica } from "./world.ts";

const spanMs = 60_000;

/** Records of all kinds, each made in one of the two cells at some time. */
const changes = recordsArbitrary.chain((records) =>
  fc.tuple(...records.map((record) => fc.record({ record: fc.constant(record), at: fc.integer({ min: 0, max: spanMs }) }))),
);

const cuts = fc.array(fc.record({ from: fc.integer({ min: 0, max: spanMs }), ms: fc.integer({ min: 1, max: 20_000 }) }), { maxLength: 6 });

const network = fc.record({
  loss: fc.double({ min: 0, max: 0.4, noNaN: true }),
  duplicates: fc.double({ min: 0, max: 0.4, noNaN: true }),
  delayMsMax: fc.constantFrom(3, 80, 600),
});

/** All that is held, ends included. */
function everythingIn(replica: Replica, records: readonly StateRecord[]): (StateRecord | undefined)[] {
  const keys = new Set(records.map(({ key }) => key));
  return recordKinds.flatMap((kind) => [...keys].map((key) => replica.store.get(kind, key)));
}

describe("after any sequence of cuts", () => {
  it("both replicas hold the same within 5 s, field for field, ends included", () => {
    fc.assert(
      fc.property(changes, cuts, network, fc.integer({ min: 1, max: 1_000_000 }), (made, cutFor, way, seed) => {
        const world = new World(seed);
        world.network = way;
        for (const { record, at } of made) {
          const replica = record.version.endsWith("a") ? world.a : world.b;
          world.after(at, () => replica.put(record));
        }
        let open = 0;
        for (const { from, ms } of cutFor) {
          const turn = (by: number): void => {
            open += by;
            world.isCut = open > 0;
          };
          world.after(from, () => turn(1));
          world.after(from + ms, () => turn(-1));
        }
        world.pass(spanMs + 20_001);
        world.network = calm;
        for (const replica of [world.a, world.b]) replica.input();
        world.pass(5_000);
        const records = made.map(({ record }) => record);
        expect(everythingIn(world.a, records)).toEqual(everythingIn(world.b, records));
        expect([world.a.link.state, world.b.link.state]).toEqual(["together", "together"]);
      }),
      { numRuns: 200 },
    );
  });
});
