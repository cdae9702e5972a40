import { describe, expect, it } from "vitest";
import type { BranchState } from "../../../sip/proxy/branch.ts";
import { restoreInvite, snapshotInvite } from "../../../sip/proxy/snapshot.ts";
import type { Target } from "../../../sip/proxy/target-set.ts";
import { caller, phone1, phone2, phoneTcp, request, Rig, target } from "./rig.ts";

const named: Target = { requestUri: "sip:bob@pbx.invalid", routes: [] };
const moved: Target = { requestUri: "sip:bob@phone.invalid", routes: [], seek: "first" };

function calling(targets: readonly Target[]): Rig {
  const rig = new Rig();
  rig.targets = targets;
  rig.mayReturn = true;
  rig.receive(request("INVITE"), caller);
  return rig;
}

function statesOf(rig: Rig): BranchState[] {
  return rig.context.branches.map(({ state }) => state);
}

/** A call whose only phone has lost its connection. */
function awaiting(): Rig {
  const rig = calling([target(phoneTcp)]);
  rig.undeliverable(phoneTcp);
  return rig;
}

describe("the machine of a branch", () => {
  it("is Resolving while the addresses of its next hop are looked up", () => {
    const rig = calling([named]);
    expect(statesOf(rig)).toEqual(["Resolving"]);
    rig.proxy.resolved(rig.resolves[0]?.reference ?? "", [phone1], rig.now);
    expect(statesOf(rig)).toEqual(["Calling"]);
  });

  it("is Seeking while the flow of its phone is looked for, and sends nothing meanwhile", () => {
    const rig = calling([moved]);
    expect(statesOf(rig)).toEqual(["Seeking"]);
    expect(rig.take()).toEqual(["caller 100"]);
    rig.proxy.resolved(rig.sought[0]?.reference ?? "", [phone1], rig.now);
    expect(statesOf(rig)).toEqual(["Calling"]);
  });

  it("is Awaiting while it stands for phones that may come back; it never sends", () => {
    const rig = awaiting();
    expect(statesOf(rig)).toEqual(["Finished", "Awaiting"]);
    rig.proxy.returned(rig.sought[0]?.reference ?? "", [target(phone2)], rig.now);
    expect(statesOf(rig)).toEqual(["Finished", "Awaiting", "Calling"]);
    expect(rig.context.branches[1]).toMatchObject({ hasFound: true, client: undefined });
  });

  it("goes from Calling over Proceeding and Cancelling to Finished", () => {
    const rig = calling([target(phone1)]);
    expect(statesOf(rig)).toEqual(["Calling"]);
    rig.answer(phone1, 180);
    expect(statesOf(rig)).toEqual(["Proceeding"]);
    rig.receive(request("CANCEL"), caller);
    expect(statesOf(rig)).toEqual(["Cancelling"]);
    expect(rig.context.state).toBe("Closing");
    rig.answer(phone1, 487);
    expect(statesOf(rig)).toEqual(["Finished"]);
    expect(rig.context.state).toBe("Ended");
  });

  it.each([
    ["Resolving", () => calling([named])],
    ["Seeking", () => calling([moved])],
    ["Awaiting", awaiting],
  ])("that is %s is called Resolving in a record, and what it was by who takes it up", (state, make) => {
    const a = make();
    const snapshot = snapshotInvite(a.context, a.now, a.now);
    if (snapshot === undefined) throw new Error("nothing to take over");
    expect(snapshot.branches.at(-1)?.state).toBe("Resolving");
    const b = new Rig({ cell: "b" });
    b.mayReturn = true;
    expect(restoreInvite(snapshot, b.proxy, b.layer, a.now)?.branches.at(-1)?.state).toBe(state);
  });

  it.each([
    ["Resolving", () => calling([named])],
    ["Seeking", () => calling([moved])],
    ["Awaiting", awaiting],
  ])("ends with nothing to cancel while it is %s", (_state, make) => {
    const rig = make();
    rig.take();
    rig.receive(request("CANCEL"), caller);
    expect(statesOf(rig).every((state) => state === "Finished")).toBe(true);
    expect(rig.take()).toEqual(["caller 200", "caller 487"]);
  });
});
