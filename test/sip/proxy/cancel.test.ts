import { describe, expect, it } from "vitest";
import { cancelAnswerMs, phoneSilentMs } from "../../../sip/limits.ts";
import { caller, phone1, phone2, phone3, request, Rig, target, valuesOf } from "./rig.ts";

function calling(...flows: string[]): Rig {
  const rig = new Rig();
  rig.targets = flows.map((flow) => target(flow));
  rig.receive(request("INVITE"), caller);
  return rig;
}

describe("[RFC3261 16.10] CANCEL", () => {
  it("[RFC3261 9.2, 16.10] 200 at once, CANCEL on every ringing branch, 487 when they have all ended", () => {
    const rig = calling(phone1, phone2);
    rig.answer(phone1, 180);
    rig.answer(phone2, 183);
    rig.take();
    rig.receive(request("CANCEL", { headers: ['Reason: Q.850;cause=16;text="Terminated"'] }), caller);
    expect(rig.take()).toEqual(["caller 200", "phone1 CANCEL", "phone2 CANCEL"]);
    expect(rig.layer.size).toBeGreaterThan(0);
    rig.receive(request("CANCEL"), caller);
    expect(rig.take()).toEqual(["caller 200"]);
  });

  it("[RFC3326] passes the Reason on", () => {
    const rig = calling(phone1);
    rig.answer(phone1, 180);
    rig.receive(request("CANCEL", { headers: ['Reason: Q.850;cause=16;text="Terminated"'] }), caller);
    expect(valuesOf(rig.last(phone1, "CANCEL"), "Reason")).toEqual(['Q.850;cause=16;text="Terminated"']);
  });

  it("[RFC3261 9.2] the INVITE gets the 487 of a branch, and its ACK stays here", () => {
    const rig = calling(phone1, phone2);
    for (const flow of [phone1, phone2]) rig.answer(flow, 180);
    rig.receive(request("CANCEL"), caller);
    for (const flow of [phone1, phone2]) rig.answer(flow, 200, { method: "CANCEL" });
    rig.take();
    rig.answer(phone1, 487, { method: "INVITE", toTag: "first" });
    rig.answer(phone2, 487, { method: "INVITE" });
    expect(rig.take()).toEqual(["phone1 ACK", "phone2 ACK", "caller 487"]);
    rig.receive(request("ACK", { toTag: "first" }), caller);
    expect(rig.take()).toEqual([]);
    rig.advance(40_000);
    expect(rig.isIdle).toBe(true);
  });

  it("[RFC3261 9.1] is held until a provisional response has come", () => {
    const rig = calling(phone1);
    rig.take();
    rig.receive(request("CANCEL"), caller);
    expect(rig.take()).toEqual(["caller 200"]);
    rig.advance(500);
    expect(rig.log()).toEqual(["phone1 INVITE"]);
    rig.answer(phone1, 100);
    expect(rig.take()).toEqual(["phone1 INVITE", "phone1 CANCEL"]);
  });

  it("[RFC3261 9.1] a branch that never answers ends with its Timer B, the INVITE with 487 long before", () => {
    const rig = calling(phone1);
    rig.receive(request("CANCEL"), caller);
    rig.advance(cancelAnswerMs - 1);
    expect(rig.log()).not.toContain("caller 487");
    rig.advance(1);
    expect(rig.take()).toContain("caller 487");
    rig.receive(request("ACK", { toTag: rig.last(caller, "487").message.toTag ?? "" }), caller);
    rig.advance(31_000);
    expect(rig.log()).not.toContain("phone1 CANCEL");
    rig.advance(40_000);
    expect(rig.isIdle).toBe(true);
  });

  it("[RFC3261 9.1] a branch that ignores the CANCEL holds no caller up, and is given up after 64*T1", () => {
    const rig = calling(phone1);
    rig.answer(phone1, 180);
    rig.receive(request("CANCEL"), caller);
    rig.advance(cancelAnswerMs - 1);
    expect(rig.log()).not.toContain("caller 487");
    rig.advance(1);
    expect(rig.take()).toContain("caller 487");
    rig.advance(30_000);
    expect(rig.log()).toContain("phone1 CANCEL");
    rig.advance(40_000);
    expect(rig.isIdle).toBe(true);
  });

  it("[RFC3261 16.10] a phone that says nothing holds no caller up when the one that rang has ended", () => {
    const rig = calling(phone1, phone2);
    rig.answer(phone1, 180);
    rig.advance(3_000);
    rig.receive(request("CANCEL"), caller);
    rig.take();
    rig.answer(phone1, 487, { method: "INVITE" });
    expect(rig.take()).toEqual(["phone1 ACK", "caller 487"]);
  });

  it("[RFC3261 16.10] where all phones have been silent for a while 487 comes at once", () => {
    const rig = calling(phone1, phone2);
    rig.advance(3_000);
    rig.take();
    rig.receive(request("CANCEL"), caller);
    expect(rig.take()).toEqual(["caller 200", "caller 487"]);
  });

  it("[RFC3261 9.1] a phone that is heard of after the 487 is cancelled then, and does not ring on", () => {
    const rig = calling(phone1, phone2);
    rig.answer(phone1, 180);
    rig.advance(3_000);
    rig.receive(request("CANCEL"), caller);
    rig.answer(phone1, 487, { method: "INVITE" });
    rig.advance(10_000);
    rig.take();
    rig.answer(phone2, 180);
    expect(rig.take()).toEqual(["phone2 CANCEL"]);
    rig.answer(phone2, 487, { method: "INVITE" });
    expect(rig.take()).toEqual(["phone2 ACK"]);
  });

  it("[RFC3261 16.7 5] a 2xx that comes after the 487 is forwarded all the same", () => {
    const rig = calling(phone1, phone2);
    rig.answer(phone1, 180);
    rig.advance(3_000);
    rig.receive(request("CANCEL"), caller);
    rig.answer(phone1, 487, { method: "INVITE" });
    rig.receive(request("ACK", { toTag: rig.last(caller, "487").message.toTag ?? "" }), caller);
    rig.take();
    rig.answer(phone2, 200, { method: "INVITE" });
    expect(rig.take()).toEqual(["caller 200"]);
    rig.advance(10_000); // Timer I: the transaction that said 487 is forgotten
    rig.take();
    rig.answer(phone2, 200, { method: "INVITE" });
    expect(rig.take()).toEqual(["caller 200"]);
  });

  it("[RFC3261 16.7 5] nor does it hold up a call that one phone has declined for all", () => {
    const rig = calling(phone1, phone2);
    rig.answer(phone1, 180);
    rig.advance(3_000);
    rig.take();
    rig.answer(phone1, 603);
    expect(rig.take()).toEqual(["phone1 ACK", "caller 603"]);
  });

  it("is not looked for on another flow once its caller has hung up", () => {
    const rig = calling(phone1);
    rig.advance(phoneSilentMs);
    rig.receive(request("CANCEL"), caller);
    rig.take();
    rig.proxy.resolved(rig.sought[0]?.reference ?? "", [phone2], rig.now);
    expect(rig.take()).toEqual([]);
  });

  it("[RFC3261 16.7 5] a 2xx that crosses the CANCEL is forwarded", () => {
    const rig = calling(phone1, phone2);
    for (const flow of [phone1, phone2]) rig.answer(flow, 180);
    rig.receive(request("CANCEL"), caller);
    rig.answer(phone2, 487);
    rig.take();
    rig.answer(phone1, 200, { method: "INVITE" });
    expect(rig.take()).toEqual(["caller 200"]);
  });

  it("[RFC3261 9.2] without a transaction: 481", () => {
    const rig = new Rig();
    rig.receive(request("CANCEL"), caller);
    expect(rig.take()).toEqual(["caller 481"]);
  });

  it("[RFC3261 9.2] has no effect once a final response has been sent", () => {
    const rig = calling(phone1);
    rig.answer(phone1, 200);
    rig.take();
    rig.receive(request("CANCEL"), caller);
    expect(rig.take()).toEqual(["caller 200"]);
  });

  it("starts nothing new: lower targets and addresses are given up", () => {
    const rig = new Rig();
    rig.targets = [{ requestUri: "sip:bob@far.test", routes: [] }, target(phone3, { q: 0.5 })];
    rig.receive(request("INVITE"), caller);
    rig.receive(request("CANCEL"), caller);
    expect(rig.take()).toEqual(["caller 100", "caller 200", "caller 487"]);
    rig.proxy.resolved(rig.resolves[0]?.reference ?? "", [phone1], rig.now);
    expect(rig.take()).toEqual([]);
  });

  it("[RFC3261 9.2] before the INVITE has been forwarded ends it with 487; forwarding it then does nothing", () => {
    const rig = new Rig();
    const held: (() => void)[] = [];
    const forward = rig.proxy.forward.bind(rig.proxy);
    rig.proxy.forward = (...args) => void held.push(() => forward(...args));
    rig.targets = [target(phone1)];
    rig.receive(request("INVITE"), caller);
    rig.receive(request("CANCEL"), caller);
    expect(rig.take()).toEqual(["caller 200", "caller 487"]);
    for (const go of held) go();
    expect(rig.take()).toEqual([]);
  });
});
