import { describe, expect, it } from "vitest";
import { Outbox } from "../../../actors/exchange/outbox.ts";
import { Release, Wait } from "../../../actors/exchange/release.ts";
import { RecordKind } from "../../../cluster/backhaul/frame.ts";

describe("what commits have set free", () => {
  const happened: string[] = [];
  const soon: (() => void)[] = [];
  const release = new Release({
    soon: (run) => soon.push(run),
    now: () => 5,
    send: (outbox) => {
      for (const [access, records] of outbox.entries()) happened.push(`${access}: ${records.map(({ key }) => key).join(" ")}`);
    },
    acknowledge: () => happened.push("acknowledge"),
    threw: (error) => happened.push(String(error)),
  });

  function add(access: string, key: string): void {
    const outbox = new Outbox();
    outbox.add(access, { kind: RecordKind.send, key, octets: new Uint8Array(0) });
    release.add(outbox, () => happened.push(`over ${key}`));
  }

  it("leaves together when all that waited has gone on, though one of them fails", () => {
    release.committed(() => add("g1", "one"));
    release.committed(() => {
      throw new Error("broken");
    });
    release.committed(() => add("g1", "two"));
    add("g2", "three");
    expect([happened, soon.length]).toEqual([[], 1]);
    soon[0]?.();
    expect(happened).toEqual(["Error: broken", "g2: three", "g1: one two", "acknowledge", "over three", "over one", "over two"]);
    expect(soon).toHaveLength(1);
  });

  it("is planned anew by what comes later", () => {
    happened.length = 0;
    add("g1", "four");
    soon[1]?.();
    expect(happened).toEqual(["g1: four", "acknowledge", "over four"]);
  });

  it("waits for all that an event waits for, and not when that is done already", () => {
    const freed: number[] = [];
    const wait = new Wait((now) => freed.push(now));
    wait.for(true);
    expect(wait.isOver).toBe(true);
    wait.for(false);
    wait.for(false);
    wait.done(1);
    expect([wait.isOver, freed]).toEqual([false, []]);
    wait.done(2);
    expect([wait.isOver, freed]).toEqual([true, [2]]);
  });
});
