import { describe, expect, it } from "vitest";
import { bindingRecordsPerAddressOfRecordMax, contactsPerAddressOfRecordMax, formerFlowsMax } from "../../../sip/limits.ts";
import { flowClosed } from "../../../sip/registrar/reachability.ts";
import type { Transport } from "../../../sip/flow/flow.ts";
import { bob, flowOf, TestRegistrar, type Register } from "./registering.ts";

const instance = '+sip.instance="<urn:uuid:00000000-0000-1000-8000-aabbccddeeff>"';
const transports = ["UDP", "TCP", "TLS", "WS", "WSS"] as const;

/** A REGISTER of a phone that connects from this port and names it in Contact and Via. */
function from(
  transport: Transport,
  port: number,
  more: Register & { readonly parameters?: string; readonly host?: string } = {},
): Register {
  const { host = "192.0.2.4", parameters = "", ...rest } = more;
  return {
    contacts: [`<sip:bob@${host}:${port};transport=${transport.toLowerCase()}>${parameters}`],
    vias: [`SIP/2.0/${transport} ${host}:${port};rport;branch=z9hG4bK1`],
    flow: flowOf(transport, host, port, `c${port}`),
    ...rest,
  };
}

/** Takes away what was reached on a connection that has closed. */
function close(registrar: TestRegistrar, flow: string): void {
  registrar.apply(flowClosed(flow, registrar.store.bindingsOnFlow(flow)));
}

/** As many phones as there is room for, each at a place of its own; it does not get any later meanwhile. */
function fullOf(transport: Transport): TestRegistrar {
  const registrar = new TestRegistrar();
  for (let n = 1; n <= contactsPerAddressOfRecordMax; n += 1) {
    expect(registrar.register(from(transport, 5060, { host: `192.0.2.${n}`, callId: `phone-${n}` })).status).toBe(200);
  }
  return registrar;
}

describe("one instance without reg-id", () => {
  it.each(transports)("has the contact of its latest REGISTER, however often it comes from another port, over %s", (transport) => {
    for (const isClosing of [true, false]) {
      const registrar = new TestRegistrar();
      for (let n = 1; n <= 40; n += 1) {
        const register = from(transport, 20_000 + n, { cSeq: n, parameters: `;${instance}` });
        expect(registrar.register(register).status).toBe(200);
        expect(registrar.targets().map(({ flow }) => flow)).toEqual([register.flow]);
        if (isClosing) close(registrar, register.flow ?? "");
      }
    }
  });

  it.each(["TCP", "TLS"] as const)("takes along the flows that it had, formerFlowsMax of them, over %s", (transport) => {
    for (const isClosing of [true, false]) {
      const registrar = new TestRegistrar();
      const flows: string[] = [];
      for (let n = 1; n <= 2 * formerFlowsMax; n += 1) {
        const register = from(transport, 20_000 + n, { cSeq: n, parameters: `;${instance}` });
        registrar.register(register);
        const [target] = registrar.targets();
        const binding = registrar.store.binding(target?.bindingKey ?? "");
        expect(binding?.formerFlows ?? []).toEqual(flows.slice(0, formerFlowsMax));
        flows.unshift(register.flow ?? "");
        if (isClosing) close(registrar, register.flow ?? "");
      }
    }
  });

  it("has it whatever Call-ID, user and host it takes", () => {
    const registrar = new TestRegistrar();
    registrar.register(from("UDP", 5070, { parameters: `;${instance}` }));
    const moved = { contacts: [`<sip:bob-0x55@198.51.100.9>;${instance}`], callId: "boot-2", flow: flowOf("UDP", "198.51.100.9") };
    registrar.register(moved);
    expect(registrar.contacts).toEqual(["sip:bob-0x55@198.51.100.9"]);
  });

  it("keeps several contacts of one REGISTER, one for each transport, those of other instances, and flows with a reg-id", () => {
    const registrar = new TestRegistrar();
    const two = ["<sip:bob@192.0.2.4>", "<sip:bob@[2001:db8::4]>"].map((contact) => `${contact};${instance}`);
    registrar.register({ contacts: two });
    registrar.register({ contacts: two, cSeq: 2 });
    expect(registrar.contacts).toHaveLength(2);
    registrar.register(from("TCP", 5071, { parameters: `;${instance}`, callId: "tcp" }));
    registrar.register(from("TCP", 5072, { parameters: `;${instance.replace("eeff", "ee00")}`, callId: "other" }));
    registrar.register(from("TCP", 5073, { parameters: `;${instance};reg-id=1`, callId: "outbound", headers: ["Supported: outbound"] }));
    expect(registrar.contacts).toHaveLength(5);
    registrar.register({ contacts: [`<sip:bob@192.0.2.4:5074>;${instance}`], cSeq: 3 });
    expect(registrar.contacts).toHaveLength(4);
  });

  it("[RFC3261 10.3 7] is not taken back by an older REGISTER that comes late, nor disturbed by a repeated one", () => {
    const registrar = new TestRegistrar();
    registrar.register(from("UDP", 5071, { cSeq: 1, parameters: `;${instance}` }));
    registrar.register(from("UDP", 5073, { cSeq: 3, parameters: `;${instance}` }));
    expect(registrar.register(from("UDP", 5072, { cSeq: 2, parameters: `;${instance}` })).status).toBe(500);
    expect(registrar.register(from("UDP", 5071, { cSeq: 1, parameters: `;${instance}` })).status).toBe(500);
    expect(registrar.register(from("UDP", 5073, { cSeq: 3, parameters: `;${instance}` })).changes).toEqual([]);
    expect(registrar.contacts).toEqual(["sip:bob@192.0.2.4:5073;transport=udp"]);
  });

  it("can take off a contact that another one has replaced", () => {
    const registrar = new TestRegistrar();
    registrar.register(from("UDP", 5071, { cSeq: 1, parameters: `;${instance}` }));
    registrar.register(from("UDP", 5072, { cSeq: 2, parameters: `;${instance}` }));
    expect(registrar.register(from("UDP", 5071, { cSeq: 3, headers: ["Expires: 0"] })).status).toBe(200);
    expect(registrar.contacts).toEqual(["sip:bob@192.0.2.4:5072;transport=udp"]);
  });
});

describe("[RFC5626 4.3] a Contact with ob and without", () => {
  it("is one binding, refreshed and taken off either way", () => {
    const registrar = new TestRegistrar();
    registrar.register({ contacts: ["<sip:bob@192.0.2.4;ob>"] });
    registrar.register({ contacts: ["<sip:bob@192.0.2.4>"], cSeq: 2 });
    expect(registrar.contacts).toEqual(["sip:bob@192.0.2.4"]);
    registrar.register({ contacts: ["<sip:bob@192.0.2.4;ob>"], cSeq: 3 });
    expect(registrar.contacts).toEqual(["sip:bob@192.0.2.4;ob"]);
    registrar.register({ contacts: ["<sip:bob@192.0.2.4>;expires=0"], cSeq: 4 });
    expect(registrar.contacts).toEqual([]);
  });
});

describe("a full list", () => {
  it.each(["TCP", "TLS"] as const)("first gives up what has lost its connection, the longest unrefreshed first, over %s", (transport) => {
    const registrar = fullOf(transport);
    const lost = [flowOf(transport, "192.0.2.7", 5060, "c5060"), flowOf(transport, "192.0.2.3", 5060, "c5060")];
    registrar.now += 10;
    registrar.register(from(transport, 5060, { host: "192.0.2.3", callId: "phone-3", cSeq: 2 }));
    for (const flow of lost) close(registrar, flow);
    expect(registrar.register(from(transport, 5060, { host: "198.51.100.1", callId: "new" })).status).toBe(200);
    expect(registrar.contacts.some((contact) => contact.includes("@192.0.2.7:"))).toBe(false);
    expect(registrar.contacts.some((contact) => contact.includes("@192.0.2.3:"))).toBe(true);
    expect(registrar.register(from(transport, 5060, { host: "198.51.100.2", callId: "new-2" })).status).toBe(200);
    expect(registrar.register(from(transport, 5060, { host: "198.51.100.3", callId: "new-3" })).status).toBe(403);
    expect(registrar.contacts).toHaveLength(contactsPerAddressOfRecordMax);
  });

  it.each(transports.slice(0, 3))(
    "gives up the ghosts of the phone that asks: without an instance, another port at each start, over %s",
    (transport) => {
      const registrar = new TestRegistrar();
      registrar.register(from(transport, 5060, { host: "198.51.100.1", callId: "another phone" }));
      for (let n = 1; n <= 40; n += 1) {
        registrar.now += 1;
        expect(registrar.register(from(transport, 20_000 + n, { callId: `start-${n}` })).status).toBe(200);
      }
      expect(registrar.contacts).toHaveLength(contactsPerAddressOfRecordMax);
      expect(registrar.contacts[0]).toContain("@198.51.100.1:5060");
      expect(registrar.contacts.at(-1)).toContain(":20040");
    },
  );

  it("pushes no other phone out: not of another place, nor of another instance, nor one behind another NAT with the same address", () => {
    const registrar = fullOf("UDP");
    expect(registrar.register(from("UDP", 5060, { host: "198.51.100.1", callId: "new" })).status).toBe(403);
    expect(registrar.register(from("UDP", 5070, { host: "192.0.2.4", callId: "new", parameters: `;${instance}` })).status).toBe(403);
    const behindNat = { ...from("UDP", 5070, { host: "192.0.2.4", callId: "new" }), flow: flowOf("UDP", "203.0.113.9", 5070) };
    expect(registrar.register(behindNat).status).toBe(403);
    expect(registrar.contacts).toHaveLength(contactsPerAddressOfRecordMax);
  });
});

it("bounds what a user can make us remember with contacts that expire", () => {
  const registrar = new TestRegistrar();
  for (let n = 1; n <= 300; n += 1) {
    registrar.now += 61_000;
    expect(registrar.register(from("UDP", 20_000 + n, { callId: `start-${n}`, headers: ["Expires: 60"] })).status).toBe(200);
  }
  expect(registrar.store.bindingsOf(bob).length).toBeLessThanOrEqual(bindingRecordsPerAddressOfRecordMax);
  expect(registrar.contacts).toEqual(["sip:bob@192.0.2.4:20300;transport=udp"]);
});
