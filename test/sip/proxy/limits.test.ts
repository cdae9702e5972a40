import { describe, expect, it } from "vitest";
import { branchesMax, messageOctetsMax } from "../../../sip/limits.ts";
import { caller, phone1, request, Rig, target } from "./rig.ts";

function flowOf(number: number): string {
  return `g1~u0..0a00${number.toString(16).padStart(4, "0")}13c4`;
}

describe("limits of the proxy", () => {
  it("branchesMax: a target set of thousands starts no more branches than that", () => {
    const rig = new Rig();
    rig.targets = Array.from({ length: 3_000 }, (_, number) => target(flowOf(number)));
    rig.receive(request("INVITE"), caller);
    expect(rig.sent.filter((sent) => sent.message.method === "INVITE")).toHaveLength(branchesMax);
    for (let number = 0; number < branchesMax; number += 1) rig.answer(flowOf(number), 486);
    expect(rig.take().at(-1)).toBe("caller 486");
  });

  it("branchesMax: serial targets and late ones count as well", () => {
    const rig = new Rig();
    rig.targets = Array.from({ length: 50 }, (_, number) => target(flowOf(number), { q: 1 - number / 100 }));
    rig.receive(request("INVITE"), caller);
    let started = 0;
    while (rig.log().at(-1)?.startsWith("caller 4") !== true) {
      rig.answer(flowOf(started), 486);
      started += 1;
    }
    expect(started).toBe(branchesMax);
  });

  it("attempts: next hops with thousands of addresses that all fail end soon", () => {
    const rig = new Rig();
    rig.targets = Array.from({ length: branchesMax }, (_, number) => ({ requestUri: `sip:bob@far${number}.test`, routes: [] }));
    rig.receive(request("INVITE"), caller);
    const flows = Array.from({ length: 3_000 }, (_, number) => flowOf(number));
    for (const { reference } of rig.resolves) rig.proxy.resolved(reference, flows, rig.now);
    rig.advance(10 * 32_000);
    const branches = rig.sent.filter((sent) => sent.message.method === "INVITE").map((sent) => sent.text);
    expect(new Set(branches).size).toBeLessThanOrEqual(3 * branchesMax);
    expect(rig.isIdle).toBe(true);
  });

  it("messageOctetsMax: what grows over it on its way is answered 513", () => {
    const rig = new Rig();
    rig.targets = [target(phone1)];
    rig.recordRoute = true;
    const empty = request("INVITE", { body: "" }).length;
    rig.receive(request("INVITE", { body: "x".repeat(messageOctetsMax - empty - 100) }), caller);
    expect(rig.take()).toEqual(["caller 100", "caller 513"]);
  });

  it("transactionsMax: new requests are refused, calls in progress can end", () => {
    const rig = new Rig({ transactionsMax: 10 });
    rig.targets = [target(phone1)];
    for (let number = 0; number < 1_000; number += 1)
      rig.receive(request("INVITE", { branch: `z9hG4bK${number}`, callId: `${number}` }), caller);
    expect(rig.take().filter((line) => line === "caller 503")).toHaveLength(990);
    rig.receive(request("BYE", { branch: "z9hG4bKbye", toTag: "b" }), caller);
    expect(rig.take()).toEqual(["phone1 BYE"]);
  });
});
