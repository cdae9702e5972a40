import { expect } from "vitest";
import { credentials } from "./credentials.ts";
import { TestExchange, TestPhone, type Sent } from "./harness.ts";

/** The header line that answers a challenge. */
export function proofOf(challenge: Sent | undefined, method: string, uri: string, user: string, password = "password"): string {
  return credentials(challenge, { user, password, method, uri });
}

/** A request of a phone that has been challenged, and proves who it is. */
export function proved(world: TestExchange, phone: TestPhone, method: string, uri: string, headers: readonly string[] = []): Sent[] {
  const [challenge] = world.receive(phone.key, phone.request(method, uri, headers), phone.access);
  return world.receive(phone.key, phone.request(method, uri, [...headers, proofOf(challenge, method, uri, phone.user)]), phone.access);
}

/** REGISTER with the right password: what is answered. */
export function registered(world: TestExchange, phone: TestPhone, headers: readonly string[] = [], expires = 600): Sent | undefined {
  const [challenge] = world.receive(phone.key, phone.register(expires, headers), phone.access);
  const proof = proofOf(challenge, "REGISTER", "sip:example.test", phone.user);
  return world.receive(phone.key, phone.register(expires, [...headers, proof]), phone.access)[0];
}

export type Rig = { readonly world: TestExchange; readonly alice: TestPhone; readonly bob: TestPhone; readonly eve: TestPhone };

/** Alice, bob and carol are ours, alice and bob are registered; eve is somebody at an address. */
export function rigOf(): Rig {
  const world = new TestExchange("digest");
  for (const user of ["alice", "bob", "carol"]) world.addSubscriber(user, "password");
  const alice = new TestPhone("alice", "198.51.100.7", 5070);
  const bob = new TestPhone("bob", "203.0.113.9", 5080);
  for (const phone of [alice, bob]) expect(registered(world, phone)?.message.status).toBe(200);
  return { world, alice, bob, eve: new TestPhone("eve", "198.51.100.66", 5066) };
}
