import { describe, expect, it } from "vitest";
import { durationText, tableText } from "../../cli/table.ts";

describe("tableText", () => {
  it("aligns texts left and numbers right, without blanks at the end", () => {
    const rows = [
      ["a", 7, "up"],
      ["bcd", 1234, ""],
    ];
    expect(tableText(["CELL", "N", "STATE"], rows)).toBe("CELL     N  STATE\na        7  up\nbcd   1234\n");
  });

  it("shows headings when there are no rows", () => {
    expect(tableText(["A", "B"], [])).toBe("A  B\n");
  });

  it("lets no control character through to the terminal", () => {
    expect(tableText(["USER AGENT"], [["\u001b[31mred\u009b\n"]])).toBe("USER AGENT\n?[31mred??\n");
  });
});

describe("durationText", () => {
  it.each([
    [0, "0 s"],
    [-3, "0 s"],
    [45.4, "45 s"],
    [60, "1 min"],
    [599, "9 min 59 s"],
    [3_600, "1 h"],
    [3_661, "1 h 1 min"],
    [90_061, "1 d 1 h"],
    [864_000, "10 d"],
  ])("%d s is %s", (seconds, text) => {
    expect(durationText(seconds)).toBe(text);
  });
});
