import { credentials } from "./credentials.ts";
import type { Sent, TestExchange, TestPhone } from "./harness.ts";

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
