import { describe, expect, it } from "vitest";
import { removalFault } from "../../../cluster/group/removal.ts";
import type { MemberState } from "../../../cluster/group/view.ts";

const cellsOf = (...states: MemberState[]): { id: string; state: MemberState }[] =>
  states.map((state, index) => ({ id: String.fromCharCode(97 + index), state }));

describe("cells that are to be removed", () => {
  it("may go when two others are up that are in service", () => {
    const cells = cellsOf("up", "up", "draining", "down");
    expect(removalFault({ cells }, cells.slice(0, 2))).toBeUndefined();
    expect(removalFault({ cells }, cells.slice(0, 3))).toBeUndefined();
    expect(removalFault({ cells: cells.slice(0, 1) }, cells.slice(0, 1))).toBeUndefined();
  });

  it("stay when fewer are", () => {
    const cells = cellsOf("up", "down", "draining");
    expect(removalFault({ cells }, cells.slice(0, 2))).toMatch(/^cell c stays: only cell a would be up/);
    expect(removalFault({ cells }, cells.slice(1))).toMatch(/^cell a stays: no other cell is up/);
  });
});
