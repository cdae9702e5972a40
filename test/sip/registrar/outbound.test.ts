import { describe, expect, it } from "vitest";
import { flowClosed } from "../../../sip/registrar/reachability.ts";
import { flowOf, headersOf, TestRegistrar, type Register } from "./registering.ts";

const instance = '+sip.instance="<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>"';
const supported = ["Supported: path, outbound"];
const twoVias = ["SIP/2.0/TLS edge.example.test;branch=z9hG4bK2", "SIP/2.0/TCP 192.0.2.4;branch=z9hG4bK1"];

function outbound(contact: string, regId: number, more: Register = {}): Register {
  return { contacts: [`<${contact}>;reg-id=${regId};${instance}`], headers: supported, flow: flowOf("TCP"), ...more };
}

describe("outbound", () => {
  it("[RFC5626 6] says Require: outbound and Flow-Timer, and remembers the flow", () => {
    const registrar = new TestRegistrar();
    const result = registrar.register(outbound("sip:bob@10.0.0.1;transport=tcp;ob", 1));
    expect([result.status, headersOf(result, "Require"), headersOf(result, "Flow-Timer")]).toEqual([200, ["outbound"], ["90"]]);
    expect(headersOf(result, "Contact")[0]).toContain(`;reg-id=1;${instance};expires=600`);
    expect(registrar.targets()).toMatchObject([
      { requestUri: "sip:bob@10.0.0.1;transport=tcp;ob", flow: flowOf("TCP"), group: "urn:uuid:00000000-0000-1000-8000-aabbccddeeff" },
    ]);
  });

  it("[RFC5626 6] replaces the binding of the same instance and reg-id, whatever the contact and Call-ID", () => {
    const registrar = new TestRegistrar();
    registrar.register(outbound("sip:bob@10.0.0.1:1111", 1));
    registrar.register(outbound("sip:bob@10.0.0.1:2222", 1, { callId: "boot-2", flow: flowOf("TCP", "192.0.2.4", 2222, "c2") }));
    expect(registrar.bindings.map(({ contact, flow }) => [contact, flow])).toEqual([
      ["sip:bob@10.0.0.1:2222", flowOf("TCP", "192.0.2.4", 2222, "c2")],
    ]);
  });

  it("[RFC5626 6] keeps the flows of one instance apart by reg-id, the newest first, as one group", () => {
    const registrar = new TestRegistrar();
    registrar.register(outbound("sip:bob@10.0.0.1", 1));
    registrar.now += 1_000;
    registrar.register(outbound("sip:bob@10.0.0.1", 2, { callId: "flow-2", flow: flowOf("TCP", "192.0.2.4", 5060, "c2") }));
    expect(registrar.targets().map(({ flow }) => flow)).toEqual([flowOf("TCP", "192.0.2.4", 5060, "c2"), flowOf("TCP")]);
    expect(new Set(registrar.targets().map(({ group }) => group)).size).toBe(1);
  });

  it("[RFC5626 6] ignores a reg-id without instance", () => {
    const registrar = new TestRegistrar();
    const result = registrar.register({ contacts: ["<sip:bob@192.0.2.4>;reg-id=1"], headers: supported, vias: twoVias });
    expect([result.status, headersOf(result, "Require"), registrar.bindings[0]?.regId]).toEqual([200, [], 0]);
  });

  it("[RFC5626 6] refuses several contacts when one has a reg-id with 400, unless the others are removals", () => {
    const registrar = new TestRegistrar();
    const contacts = [`<sip:bob@10.0.0.1>;reg-id=1;${instance}`, "<sip:bob@10.0.0.2>"];
    expect(registrar.register({ contacts, headers: supported }).status).toBe(400);
    expect(registrar.register({ contacts: [contacts[0] ?? "", "<sip:bob@10.0.0.2>;expires=0"], headers: supported }).status).toBe(200);
  });

  it.each([
    ["there is no Path", []],
    ["the first hop has not said ob", ["Path: <sip:edge.example.test;lr>"]],
    ["only a later hop has said ob", ["Path: <sip:inner.example.test;lr;ob>, <sip:edge.example.test;lr>"]],
  ])("[RFC5626 6] answers 439 behind another proxy when %s", (_, path) => {
    const registrar = new TestRegistrar();
    const result = registrar.register(outbound("sip:bob@10.0.0.1", 1, { vias: twoVias, headers: [...supported, ...path] }));
    expect([result.status, registrar.contacts]).toEqual([439, []]);
  });

  it("[RFC5626 6] ignores the reg-id there when the phone does not say outbound", () => {
    const registrar = new TestRegistrar();
    const result = registrar.register(outbound("sip:bob@10.0.0.1", 1, { vias: twoVias, headers: [] }));
    expect([result.status, headersOf(result, "Require"), registrar.bindings[0]?.regId]).toEqual([200, [], 0]);
  });

  it("[RFC5626 6] applies behind an edge proxy that has said ob, and goes by its path", () => {
    const registrar = new TestRegistrar();
    const path = ["<sip:inner.example.test;lr>", "<sip:token@edge.example.test;lr;ob>"];
    const result = registrar.register(
      outbound("sip:bob@10.0.0.1", 1, { vias: twoVias, headers: [...supported, `Path: ${path.join(", ")}`] }),
    );
    expect([result.status, headersOf(result, "Require")]).toEqual([200, ["outbound"]]);
    expect(registrar.targets()).toMatchObject([{ routes: path }]);
    expect(registrar.bindings[0]?.flow).toBe("");
  });

  it("[RFC5626 6] applies without Supported: outbound, but does not say so", () => {
    const registrar = new TestRegistrar();
    const result = registrar.register(outbound("sip:bob@10.0.0.1", 1, { headers: [] }));
    expect([result.status, headersOf(result, "Require"), registrar.bindings[0]?.regId]).toEqual([200, [], 1]);
  });

  it("replaces a plain binding with the same contact when the phone turns outbound on, and removes an outbound one by its contact", () => {
    const registrar = new TestRegistrar();
    registrar.register({ contacts: ["<sip:bob@192.0.2.4>"] });
    registrar.register(outbound("sip:bob@192.0.2.4", 1, { cSeq: 2 }));
    expect(registrar.bindings.map(({ regId }) => regId)).toEqual([1]);
    registrar.register({ contacts: ["<sip:bob@192.0.2.4>;expires=0"], cSeq: 3 });
    expect(registrar.contacts).toEqual([]);
  });

  it("keeps the order of CSeq when the phone turns outbound on", () => {
    const registrar = new TestRegistrar();
    registrar.register({ contacts: ["<sip:bob@192.0.2.4>"], cSeq: 5 });
    expect(registrar.register(outbound("sip:bob@192.0.2.4", 1, { cSeq: 4 })).status).toBe(500);
  });
});

/** A registrar whose only phone has lost its flow. */
function closed(register: Register): TestRegistrar {
  const registrar = new TestRegistrar();
  registrar.register(register);
  const flow = register.flow ?? flowOf("UDP");
  registrar.apply(flowClosed(flow, registrar.store.bindingsOnFlow(flow)));
  return registrar;
}

describe("flows that close", () => {
  it("[RFC7118 5] removes what came over a WebSocket", () => {
    expect(closed({ contacts: ["<sip:x1@abc.invalid;transport=ws>"], flow: flowOf("WS") }).targets()).toEqual([]);
    expect(closed({ contacts: ["<sip:bob@192.0.2.4;transport=ws>"], flow: flowOf("WSS") }).contacts).toEqual([]);
  });

  it("[RFC5626 7] removes outbound bindings, over UDP too", () => {
    expect(closed(outbound("sip:bob@10.0.0.1", 1)).contacts).toEqual([]);
    expect(closed(outbound("sip:bob@10.0.0.1", 1, { flow: flowOf("UDP") })).contacts).toEqual([]);
  });

  it("removes a contact that nobody can dial", () => {
    expect(closed({ contacts: ["<sip:bob@phone.invalid>"], flow: flowOf("TCP") }).contacts).toEqual([]);
  });

  it("lets the contact of a plain TCP or TLS binding be dialled", () => {
    const registrar = closed({ contacts: ["<sip:bob@192.0.2.4:5062;transport=tcp>"], flow: flowOf("TCP", "192.0.2.4", 40_000) });
    expect(registrar.targets()).toMatchObject([{ requestUri: "sip:bob@192.0.2.4:5062;transport=tcp" }]);
    expect(registrar.targets()[0]?.flow).toBeUndefined();
  });

  it("leaves a plain UDP binding as it is", () => {
    expect(closed({ contacts: ["<sip:bob@192.0.2.4>"] }).targets()).toMatchObject([{ flow: flowOf("UDP") }]);
  });

  it("does not touch a phone that has come back on another flow", () => {
    const registrar = new TestRegistrar();
    registrar.register(outbound("sip:bob@10.0.0.1", 1));
    const before = registrar.store.bindingsOnFlow(flowOf("TCP"));
    registrar.register(outbound("sip:bob@10.0.0.1", 1, { cSeq: 2, flow: flowOf("TCP", "192.0.2.4", 5060, "c2") }));
    // What the close of the old flow still says of it, at a replica that had not heard of the new one.
    registrar.apply(flowClosed(flowOf("TCP"), before));
    expect(registrar.targets()).toMatchObject([{ flow: flowOf("TCP", "192.0.2.4", 5060, "c2") }]);
  });

  it("lets a softphone register again on its next flow", () => {
    const registrar = closed(outbound("sip:x1@abc.invalid;transport=ws", 1, { flow: flowOf("WS") }));
    expect(
      registrar.register(outbound("sip:x1@abc.invalid;transport=ws", 1, { cSeq: 2, flow: flowOf("WS", "192.0.2.4", 1, "c2") })).status,
    ).toBe(200);
    expect(registrar.targets()).toHaveLength(1);
  });
});
