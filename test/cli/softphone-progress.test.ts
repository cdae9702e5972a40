import { expect, it } from "vitest";
import { SoftphoneProgress } from "../../cli/softphone-progress.ts";

function saidOf(lefts: readonly (number | undefined)[]): string[] {
  const said: string[] = [];
  let now = 0;
  const progress = new SoftphoneProgress(
    (text) => void said.push(text.trim()),
    () => now,
  );
  for (const left of lefts) {
    now += 1_000;
    progress.look(left);
  }
  return said;
}

it("softphones that go elsewhere are said now and then, and when all have gone", () => {
  const lefts = [undefined, ...Array.from({ length: 13 }, (_, seconds) => 12 - seconds), 0, 0];
  expect(saidOf(lefts)).toEqual(["3", "8", "12"].map((gone) => `${gone} of 12 softphones have gone elsewhere`));
});

it("nothing is said of softphones that stay, nor of none", () => {
  expect(saidOf(Array.from({ length: 20 }, () => 12))).toEqual([]);
  expect(saidOf([0, 0, 0])).toEqual([]);
});
