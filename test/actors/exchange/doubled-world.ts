import { exchangeOf, type ClusterMap } from "../../../cluster/map/cluster-map.ts";
import { doubled } from "../../../cluster/map/doubling.ts";
import { ActorWorld, type TestBackhaul } from "./actor-world.ts";
import { TestPhone, testMap } from "./harness.ts";

/** One exchange, then two of it, and two when everything is where it belongs. */
export const one: ClusterMap = { ...testMap(), version: 1, writer: "a" };
export const two: ClusterMap = { ...one, ...doubled(one), version: 2 };
export const over: ClusterMap = { ...two, version: 3, doubled: { first: 1 } };

const users = ["alice", "bob", "carol", "dave", "erin", "frank"];

/** A phone whose exchange of two this is. */
function phoneOf(exchange: number, port: number): TestPhone {
  const user = users.find((each) => exchangeOf(two, `${each}@example.test`) === exchange) ?? "";
  return new TestPhone(user, "198.51.100.7", port, "TCP");
}

export const stays: TestPhone = phoneOf(0, 5060);
export const goes: TestPhone = phoneOf(1, 5061);

type World = { readonly world: ActorWorld; readonly gateway: TestBackhaul };

/** Exchange 0 of one, with both phones. */
export function elder(): World {
  const world = new ActorWorld({ map: one }).join();
  const gateway = world.backhaul();
  for (const phone of [stays, goes]) gateway.message(phone.key, phone.register());
  world.advance(20);
  world.answerBatches();
  return { world, gateway };
}

/** Exchange 1 of two, which waits for its elder to tell what it has. */
export function younger(map: ClusterMap = two): World {
  const world = new ActorWorld({ exchange: 1, map }).join();
  return { world, gateway: world.backhaul() };
}
