import { generateKeyPairSync } from "node:crypto";
import { expect, test } from "vitest";
import { cellAuthorization } from "../../gateway/links/cell-authorization.ts";
import { CellKeys } from "../../workers/member-keys.ts";
import * as cell from "../../workers/signature.ts";
import { testMap } from "../actors/exchange/harness.ts";

const now = 1_790_000_000_000;
const received = { purpose: "backhaul 3", to: "a", method: "GET", path: "/backhaul/3?x=1" };
const upgrade = { purpose: received.purpose, gateway: "g1", cell: received.to, path: received.path };
const { privateKey, publicKey } = generateKeyPairSync("ed25519");
const { x: key = "" } = publicKey.export({ format: "jwk" });
const map = { ...testMap("digest", 4), authority: "a", members: [{ id: "g1", kind: "gateway", host: "h1", key }] as const };

test.each([
  ["with the secret of the system", "secret", "secret"],
  ["with its own key", privateKey, new CellKeys("", undefined).checking(map)],
])("a gateway signs as cells check it, for one cell and one path, and never the same twice, %s", (_name, signing, checking) => {
  const header = cellAuthorization(signing, upgrade, now);
  expect(cell.checkSignature(header, checking, received, now)).toMatchObject({ who: "g1", madeAt: now, bodyHash: "-" });
  for (const change of [{ to: "b" }, { path: "/backhaul/3" }, { purpose: "control" }, { method: "POST" }]) {
    expect(cell.checkSignature(header, checking, { ...received, ...change }, now)).toEqual({ refusal: "wrong" });
  }
  expect(cellAuthorization(signing, upgrade, now)).not.toBe(header);
});

test("a gateway that signs for anything but its links is refused, though the key is its own", () => {
  for (const purpose of ["cell", "api", "host", "pair 3"]) {
    const header = cellAuthorization(privateKey, { ...upgrade, purpose }, now);
    const outcome = cell.checkSignature(header, new CellKeys("", undefined).checking(map), { ...received, purpose }, now);
    expect(outcome).toEqual({ refusal: "not allowed" });
  }
});
