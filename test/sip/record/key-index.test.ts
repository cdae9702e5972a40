import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { KeyIndex } from "../../../sip/record/key-index.ts";

describe("KeyIndex", () => {
  test("agrees with a plain list under any sequence of operations", () => {
    const operation = fc.record({ isAdd: fc.boolean(), text: fc.constantFrom("a", "b"), key: fc.constantFrom("1", "2", "3", "4") });
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
        const index = new KeyIndex();
        const model: Record<string, string[]> = { a: [], b: [] };
        for (const { isAdd, text, key } of operations) {
          const present = model[text] ?? [];
          if (isAdd) {
            index.add(text, key);
            if (!present.includes(key)) present.push(key);
          } else {
            index.remove(text, key);
            model[text] = present.filter((each) => each !== key);
          }
          for (const each of ["a", "b"]) expect([...index.keysOf(each)]).toEqual(model[each]);
          expect(index.size).toBe(Object.values(model).filter((keys) => keys.length > 0).length);
        }
      }),
    );
  });

  test("a hundred thousand phones behind one proxy come and go: none costs more than another", () => {
    const index = new KeyIndex();
    const keys = Array.from({ length: 100_000 }, (_, number) => `binding ${number}`);
    for (const key of keys) index.add("flow", key);
    for (const key of keys) index.add("flow", key);
    expect([...index.keysOf("flow")]).toEqual(keys);
    for (const key of keys.toReversed()) index.remove("flow", key);
    expect(index.size).toBe(0);
  });
});
