import { one } from "./dialog-call.ts";
import { TestExchange, TestPhone } from "./harness.ts";

export type World = { readonly world: TestExchange; readonly alice: TestPhone; readonly bob: TestPhone };

/** An exchange at which two phones have registered. */
export function aWorld(transport: "UDP" | "TCP" = "UDP"): World {
  const world = new TestExchange();
  const alice = new TestPhone("alice", "198.51.100.7", 5070, transport);
  const bob = new TestPhone("bob", "203.0.113.9", 5080, transport);
  for (const phone of [alice, bob]) one(world.receive(phone.key, phone.register()), "SIP/2.0 200");
  return { world, alice, bob };
}
