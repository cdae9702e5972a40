import { describe, expect, it } from "vitest";
import { secretsOf } from "../../../sip/auth/digest.ts";
import type { ClusterMap } from "../../../cluster/map/cluster-map.ts";
import { domainAdded, domainRemoved } from "../../../cluster/map/domains.ts";
import { credentials } from "./credentials.ts";
import { hash, testMap, TestExchange, TestPhone, type Sent } from "./harness.ts";

const org = (text: string): string => text.replaceAll("example.test", "example.org");
const aor = "alice@example.org";

function statusesOf(sent: readonly Sent[]): number[] {
  return sent.map((each) => each.message.status);
}

/** An exchange that has been told of one domain more while it runs. */
function worldWithOrg(auth: "digest" | "open"): { readonly world: TestExchange; readonly map: ClusterMap } {
  const world = new TestExchange("digest");
  const map = { ...testMap("digest"), version: 2, ...domainAdded(testMap("digest"), { name: "example.org", auth }) };
  world.exchange.setMap(map);
  return { world, map };
}

describe("a domain that is added while an exchange runs", () => {
  it("has users of its own, who are asked for its realm", () => {
    const { world, map } = worldWithOrg("digest");
    world.addSubscriber("alice", "of example.test");
    world.exchange.putSubscriber(aor, secretsOf(hash, aor, "of example.org"), world.now);
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const register = (password: string): number[] => {
      const [challenge] = world.receive(alice.key, org(alice.register()));
      expect(challenge?.text).toContain('realm="example.org"');
      const proof = credentials(challenge, { user: "alice", password, method: "REGISTER", uri: "sip:example.org" });
      return statusesOf(world.receive(alice.key, org(alice.register(600, [proof]))));
    };
    expect(register("of example.test")).toEqual([401]);
    expect(register("of example.org")).toEqual([200]);
    expect(world.exchange.registrations(undefined, world.now)).toMatchObject([{ aor }]);
    world.exchange.setMap({ ...map, version: 3, ...domainRemoved(map, "example.org") });
    world.exchange.removeSubscriber(aor, world.now);
    expect(world.exchange.registrations(undefined, world.now)).toEqual([]);
  });

  it("takes anybody where it is open, and nobody when it is removed", () => {
    const { world, map } = worldWithOrg("open");
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    expect(statusesOf(world.receive(alice.key, org(alice.register())))).toEqual([200]);
    world.exchange.setMap({ ...map, version: 3, ...domainRemoved(map, "example.org") });
    expect(statusesOf(world.receive(alice.key, org(alice.register())))).toEqual([403]);
  });
});
