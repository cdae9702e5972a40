import { afterEach, describe, expect, test, vi } from "vitest";
import { stderrLog } from "../../gateway/log.ts";

describe("what a gateway says", () => {
  afterEach(() => vi.restoreAllMocks());

  test("is what went wrong and what came right again, not what goes well", () => {
    const lines: string[] = [];
    vi.spyOn(process.stderr, "write").mockImplementation((text) => {
      lines.push(String(text).split(" ").slice(1).join(" ").trim());
      return true;
    });
    const log = stderrLog("g1", false);
    log("control-up", { cell: "a" });
    log("map", { cell: "a", version: 1 });
    log("view", { cell: "a", epoch: 2 });
    log("backhaul-up", { exchange: 0, cell: "a" });
    log("backhaul-down", { exchange: 0, cell: "a", reason: "closed" });
    log("backhaul-up", { exchange: 1, cell: "a" });
    log("backhaul-up", { exchange: 0, cell: "a" });
    log("map", { cell: "a", version: 2 });
    expect(lines).toEqual([
      "gateway g1 backhaul-down exchange=0 cell=a reason=closed",
      "gateway g1 backhaul-up exchange=0 cell=a",
      "gateway g1 map cell=a version=2",
    ]);
  });

  test("is one line, whatever an error says", () => {
    const write = vi.spyOn(process.stderr, "write").mockReturnValue(true);
    stderrLog("g1", false)("native-missing", { reason: "no such file\r\nRequire stack:\n- x.ts" });
    expect(String(write.mock.calls[0]?.[0])).toMatch(/^\S+ gateway g1 native-missing reason=no such file Require stack: - x.ts\n$/);
  });
});
