import { describe, expect, it } from "vitest";
import { gatewaysComeMs } from "../../../actors/limits.ts";
import { listeners, TestExchange, TestPhone, type Sent } from "./harness.ts";

/** A softphone calls a phone behind a gateway so long after the replica has started. */
function asked(afterMs: number): { readonly world: TestExchange; readonly sent: Sent[] } {
  const world = new TestExchange("open", { hasGateway: false });
  const bob = new TestPhone("bob", "203.0.113.9", 5080, "WS");
  world.receive(
    bob.key,
    bob.request("REGISTER", "sip:example.test", ["To: <sip:bob@example.test>", `Contact: ${bob.contact}`]),
    bob.access,
  );
  world.advance(afterMs);
  return { world, sent: world.receive(bob.key, bob.request("OPTIONS", "sip:alice@198.51.100.7:5070"), bob.access) };
}

describe("a replica that has started, and has no gateway yet", () => {
  it("keeps what is for a phone behind one until that has come", () => {
    const { world, sent } = asked(gatewaysComeMs - 1);
    expect(sent).toEqual([]);
    world.exchange.connectAccess("g1", listeners);
    world.drain();
    expect(world.resolving).toMatchObject([{ uri: "sip:alice@198.51.100.7:5070" }]);
  });

  it("keeps nothing when none has come in time", () => {
    expect(asked(gatewaysComeMs).sent.map(({ message }) => message.status)).toEqual([480]);
  });
});
