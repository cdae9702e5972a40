import { describe, expect, it } from "vitest";
import { streamsFirst } from "../../../sip/registrar/large-requests.ts";
import { RecordKind } from "../../../cluster/backhaul/frame.ts";
import { answer, TestExchange, TestPhone } from "../../actors/exchange/harness.ts";
import { bob, flowOf, TestRegistrar } from "./registering.ts";

const instance = '+sip.instance="<urn:uuid:00000000-0000-1000-8000-aabbccddeeff>"';

function firsts(registrar: TestRegistrar): (readonly [flow: string | undefined, group: string | undefined])[] {
  const targets = streamsFirst(registrar.targets(), (key) => registrar.store.binding(key));
  return targets.map(({ flow, group }) => [flow, group]);
}

describe("[RFC3261 18.1.1] a request over 1300 octets", () => {
  const udp = "<sip:bob@192.0.2.4>";
  const tcp = "<sip:bob@192.0.2.4;transport=tcp>";

  it.each([
    ["of one instance", `;${instance}`],
    ["of one user and host", ""],
  ])("has the connection of a phone first, and its datagrams behind it, in one group: %s", (_, parameters) => {
    for (const order of [
      ["TCP", "UDP"],
      ["UDP", "TCP"],
    ] as const) {
      const registrar = new TestRegistrar();
      for (const transport of order) {
        registrar.now += 1;
        const contact = `${transport === "UDP" ? udp : tcp}${parameters}`;
        registrar.register({ contacts: [contact], callId: transport, flow: flowOf(transport) });
      }
      const [first, second, ...others] = firsts(registrar);
      expect([first?.[0], second?.[0], others]).toEqual([flowOf("TCP"), flowOf("UDP"), []]);
      expect(first?.[1]).toBeDefined();
      expect(second?.[1]).toBe(first?.[1]);
    }
  });

  it("changes nothing for other phones: over UDP alone, of another place or instance, or whose connection has gone", () => {
    const registrar = new TestRegistrar();
    registrar.register({ contacts: [tcp], callId: "1", flow: flowOf("TCP") });
    registrar.register({ contacts: ["<sip:bob@192.0.2.5>"], callId: "2", flow: flowOf("UDP", "192.0.2.5") });
    registrar.register({ contacts: [`<sip:bob@192.0.2.4:5070>;${instance}`], callId: "3", flow: flowOf("UDP", "192.0.2.4", 5070) });
    expect(new Set(firsts(registrar))).toEqual(new Set(registrar.targets().map(({ flow, group }) => [flow, group])));
    const without = new TestRegistrar();
    without.register({ contacts: ["<sip:bob@192.0.2.4>"], callId: "1" });
    without.register({ contacts: ["<sip:bob@192.0.2.4:5062;transport=tcp>"], callId: "2", flow: flowOf("TCP") });
    const [connection] = without.bindings.filter(({ transport }) => transport === "TCP");
    const key = without.store.bindingsOf(bob).find(({ value }) => value === connection)?.key ?? "";
    if (connection !== undefined) without.apply([{ type: "put", key, value: { ...connection, flow: "" } }]);
    expect(new Set(firsts(without))).toEqual(
      new Set([
        [flowOf("UDP"), undefined],
        [undefined, undefined],
      ]),
    );
  });

  it("goes over TCP to a phone that has registered over both, over UDP when that fails, and over UDP to one that has registered over UDP alone", () => {
    const world = new TestExchange();
    const both = [new TestPhone("bob", "198.51.100.8", 5070), new TestPhone("bob", "198.51.100.8", 5071, "TCP")] as const;
    world.receive(both[1].key, both[1].register().replace("register-of", "tcp-of"));
    world.now += 10;
    world.receive(both[0].key, both[0].register());
    const carol = new TestPhone("carol", "198.51.100.9", 5070);
    world.receive(carol.key, carol.register());
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const call = (user: string, octets: number): string[] => {
      const headers = [`Call-ID: ${user}-${octets}`];
      const sent = world.receive(alice.key, alice.request("INVITE", `sip:${user}@example.test`, headers, "v".repeat(octets)));
      return sent.filter(({ message }) => message.method === "INVITE").map(({ key }) => key);
    };
    expect(call("bob", 10).toSorted()).toEqual(both.map(({ key }) => key).toSorted());
    expect(call("carol", 1_300)).toEqual([carol.key]);
    expect(call("bob", 1_300)).toEqual([both[1].key]);
    const invite = world.sent.at(-1);
    if (invite === undefined) throw new Error("nothing was sent");
    expect(invite.message.octets.length).toBeGreaterThan(1_300);
    const lost = call("bob", 1_310);
    expect(lost).toEqual([both[1].key]);
    const again = world.record(RecordKind.undeliverable, both[1].key, world.sent.at(-1)?.text ?? "");
    expect(again.filter(({ message }) => message.method === "INVITE").map(({ key }) => key)).toEqual([both[0].key]);
    // Not for a phone that says no.
    expect(world.receive(both[1].key, answer(invite.message, 486, "b")).map(({ message }) => message.status || message.method)).toEqual([
      "ACK",
      486,
    ]);
  });

  it("is as large as it leaves: what leaves over UDP all the same has no more than 1300", () => {
    const world = new TestExchange();
    const both = [new TestPhone("bob", "198.51.100.8", 5070), new TestPhone("bob", "198.51.100.8", 5071, "TCP")] as const;
    for (const phone of both) world.receive(phone.key, phone.register().replace("register-of", `${phone.key}-of`));
    expect(world.exchange.registrations(undefined, world.now)).toHaveLength(2);
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const lengths: number[] = [];
    for (let octets = 0; octets < 1_300; octets += 20) {
      const text = alice.request("INVITE", "sip:bob@example.test", [`Call-ID: ${octets}`], "v".repeat(octets));
      const sent = world.receive(alice.key, text).filter(({ message, key }) => message.method === "INVITE" && key === both[0].key);
      lengths.push(...sent.map(({ text: left }) => left.length));
    }
    // And what is far from it does go there.
    expect(Math.max(...lengths)).toBeGreaterThan(1_200);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(1_300);
  });
});
