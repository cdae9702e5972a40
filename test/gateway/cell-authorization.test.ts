import { expect, test } from "vitest";
import { cellAuthorization, signatureScheme } from "../../gateway/links/cell-authorization.ts";
import * as cell from "../../workers/signature.ts";

const now = 1_790_000_000_000;
const received = { purpose: "backhaul 3", to: "a", method: "GET", path: "/backhaul/3?x=1" };
const upgrade = { purpose: received.purpose, gateway: "g1", cell: received.to, path: received.path };

test("a gateway signs as cells check it, for one cell and one path, and never the same twice", () => {
  const header = cellAuthorization("secret", upgrade, now);
  expect(signatureScheme).toBe(cell.signatureScheme);
  expect(cell.checkSignature(header, "secret", received, now)).toMatchObject({ who: "g1", madeAt: now, bodyHash: "-" });
  for (const change of [{ to: "b" }, { path: "/backhaul/3" }, { purpose: "control" }, { method: "POST" }]) {
    expect(cell.checkSignature(header, "secret", { ...received, ...change }, now)).toEqual({ refusal: "wrong" });
  }
  expect(cellAuthorization("secret", upgrade, now)).not.toBe(header);
});
