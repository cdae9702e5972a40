import { describe, expect, it } from "vitest";
import { otherVersionOf, otherVersionStatus, otherVersionText, protocolVersion, versionOf } from "../../cluster/protocol-version.ts";

describe("the version of the protocol between the parts of a system", () => {
  it("is 1 of whoever says none, and 0 of whoever says what is no version", () => {
    expect([undefined, null, "1", "2", "65536"].map(versionOf)).toEqual([1, 1, 1, 2, 65_536]);
    expect(["", "x", "-1", "2.5", "2, 2", "123456"].map(versionOf)).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it("is another one when it is not ours, the one before as well as the one to come", () => {
    expect(otherVersionOf(200, String(protocolVersion))).toBeUndefined();
    expect(otherVersionOf(401, String(protocolVersion - 1))).toBe(protocolVersion - 1);
    expect(otherVersionOf(otherVersionStatus, String(protocolVersion + 1))).toBe(protocolVersion + 1);
    expect(otherVersionOf(401, undefined)).toBe(1);
  });

  it("is not known from the failure of whatever stands between", () => {
    expect(otherVersionOf(521, null)).toBeUndefined();
    expect(otherVersionOf(500, String(protocolVersion + 1))).toBe(protocolVersion + 1);
  });

  it("is said in one line that names both and says which part to upgrade", () => {
    expect(otherVersionText("cell b", 1, "cell a", 2)).toBe(
      "cell b speaks version 1 of the protocol, cell a version 2: upgrade cell b; until then neither uses the other",
    );
    expect(otherVersionText("cell b", 3, "gateway g1", 2)).toBe(
      "cell b speaks version 3 of the protocol, gateway g1 version 2: upgrade gateway g1; until then neither uses the other",
    );
  });
});
