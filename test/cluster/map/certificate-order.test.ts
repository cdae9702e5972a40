import { expect, it } from "vitest";
import { type CertificateOrder, openOrderOf } from "../../../cluster/map/certificate-order.ts";
import type { ClusterMap } from "../../../cluster/map/cluster-map.ts";
import { changeFor } from "../../../cluster/map/wish.ts";
import { groupMap } from "../group/group-map.ts";

const order: CertificateOrder = { host: "h1", until: 1_000, challenges: [] };
const challenges = [{ token: "t", answer: "t.x" }];
const after = (map: ClusterMap, wish: CertificateOrder, now: number): ClusterMap => {
  const change = changeFor(map, { orderCertificate: wish }, now);
  if ("refused" in change) throw new Error(change.refused);
  return { ...map, ...change };
};

it("one host orders at a time: its challenges are there until it is done, or its time is over", () => {
  const begun = after(groupMap(["a", "b"]), order, 0);
  const asked = after(begun, { ...order, until: 1_100, challenges }, 100);
  expect(openOrderOf(asked, 200)).toEqual({ ...order, until: 1_100, challenges });
  expect(() => after(asked, { ...order, host: "h2" }, 200)).toThrow("host h1 orders a certificate");
  // It has died: another one orders when its time is over.
  expect(openOrderOf(asked, 1_100)).toBeUndefined();
  expect(openOrderOf(after(asked, { ...order, host: "h2", until: 9_000 }, 1_100), 1_200)?.host).toBe("h2");
  // Or it is done.
  const done = after(asked, { ...order, until: 300, challenges: [] }, 300);
  expect(openOrderOf(done, 300)).toBeUndefined();
  expect(openOrderOf(after(done, { ...order, host: "h2", until: 9_000 }, 301), 302)?.host).toBe("h2");
  expect(openOrderOf({}, 0)).toBeUndefined();
});
