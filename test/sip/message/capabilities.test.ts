import { expect, it } from "vitest";
import { TestExchange, TestPhone, valuesOf } from "../../actors/exchange/harness.ts";

it("[RFC3261 11.2] an OPTIONS for the domain is told what there is, and what a REGISTER may require", () => {
  const world = new TestExchange();
  const alice = new TestPhone("alice", "198.51.100.7", 5070);
  const [answer] = world.receive(alice.key, alice.request("OPTIONS", "sip:example.test"));
  expect(answer?.message.status).toBe(200);
  expect(valuesOf(answer, "Supported")).toEqual(["path, outbound"]);
  expect(valuesOf(answer, "Accept")).toEqual(["*/*"]);
  expect(valuesOf(answer, "Allow")[0]).toMatch(/^INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, /);
  const tags = valuesOf(answer, "Supported")[0] ?? "";
  const registered = world.receive(alice.key, alice.register(600, [`Require: ${tags}`]));
  expect(registered.map(({ message }) => message.status)).toEqual([200]);
});
