import { describe, expect, it, vi } from "vitest";
import { CallKeeper } from "../../../actors/exchange/call-keeper.ts";
import { InviteKeeper } from "../../../actors/exchange/invite-keeper.ts";
import { RecordClock } from "../../../actors/exchange/record-clock.ts";
import { foreignInvitesReadMax, inviteAgedMsMax } from "../../../actors/limits.ts";
import { inviteLifetimeMs } from "../../../sip/limits.ts";
import { snapshotInvite } from "../../../sip/proxy/snapshot.ts";
import { HybridClock } from "../../../cluster/time/hybrid-clock.ts";
import { RecordStore } from "../../../sip/record/record-store.ts";
import { testMap } from "./harness.ts";
import { caller, phone1, request, Rig, target } from "../../sip/proxy/rig.ts";

function keeperOf({ proxy, layer: transactions }: Rig, store: RecordStore, aheadMs: number | (() => number)): InviteKeeper {
  const clock = new RecordClock("a", (moment: number) => moment + (typeof aheadMs === "number" ? aheadMs : aheadMs()));
  return new InviteKeeper({ store, clock, proxy, transactions, calls: new CallKeeper(store, clock, () => testMap()) });
}

/** The keeper of a replica whose peer has so many INVITEs in hand; how many records it reads for an answer. */
function keeperBeside(invites: number): { readonly keeper: InviteKeeper; readonly read: () => number } {
  const rig = new Rig();
  rig.targets = [target(phone1)];
  rig.receive(request("INVITE", { callId: "call-of-theirs" }), caller);
  const value = snapshotInvite(rig.context, rig.now, rig.now);
  if (value === undefined) throw new Error("nothing is forwarded");
  const store = new RecordStore();
  const clock = new HybridClock("b");
  for (let index = 0; index < invites; index += 1) {
    const text = value.request.replace("call-of-theirs", `call-${index}`);
    store.apply({ kind: "invite", key: `invite ${index}`, version: clock.tick(rig.now), value: { ...value, request: text } });
  }
  let read = 0;
  const records = store.records.bind(store);
  vi.spyOn(store, "records").mockImplementation(function* counted(kind) {
    for (const record of records(kind)) {
      read += 1;
      yield record;
    }
  } as typeof records);
  return { keeper: keeperOf(rig, store, 0), read: () => read };
}

it("knows for certain of up to foreignInvitesReadMax INVITEs of the other replica whether one has a Call-ID", () => {
  const { keeper } = keeperBeside(foreignInvitesReadMax);
  expect(keeper.mayBeForeign(`call-${foreignInvitesReadMax - 1}`)).toBe(true);
  expect(keeper.mayBeForeign("a-stranger's")).toBe(false);
});

it("foreignInvitesReadMax: with ten times as many a stranger's request costs no more, and is not refused for what was not read", () => {
  const { keeper, read } = keeperBeside(10 * foreignInvitesReadMax);
  expect(keeper.mayBeForeign("a-stranger's")).toBe(true);
  expect(read()).toBeLessThanOrEqual(foreignInvitesReadMax + 1);
});

/** An INVITE that rings, and what its record says after the wall clock was set by so much: how long it is good for, ms. */
function goodForMs(stepMs: number): number {
  const rig = new Rig();
  rig.targets = [target(phone1)];
  rig.receive(request("INVITE", { callId: "call" }), caller);
  const store = new RecordStore();
  let aheadMs = 1_000_000;
  const keeper = keeperOf(rig, store, () => aheadMs);
  keeper.changed(rig.context, rig.now);
  keeper.flush(rig.now);
  aheadMs += stepMs;
  keeper.flush(rig.now);
  const [record] = store.records("invite");
  return (record?.value?.expiresAt ?? 0) - (rig.now + aheadMs);
}

describe("the wall clock is set forward while an INVITE rings", () => {
  it.each([60_000, 3_600_000])("by %i ms: its record is written again, and ends no sooner than it would have", (stepMs) => {
    expect(goodForMs(stepMs)).toBe(inviteLifetimeMs);
  });

  it("inviteAgedMsMax: by that much it may age, and is not written again", () => {
    expect(goodForMs(inviteAgedMsMax)).toBe(inviteLifetimeMs - inviteAgedMsMax);
    expect(goodForMs(inviteAgedMsMax + 1)).toBe(inviteLifetimeMs);
  });

  it("set back it lasts for longer", () => {
    expect(goodForMs(-60_000)).toBe(inviteLifetimeMs + 60_000);
  });
});

/** An INVITE of the other replica that rings, and the clocks of both are set by so much: whether it can be taken up so long after its record. */
function isTakenUp(stepMs: number, afterMs: number): boolean {
  const theirs = new Rig();
  theirs.targets = [target(phone1)];
  theirs.receive(request("INVITE", { callId: "call" }), caller);
  const rig = new Rig();
  rig.targets = [target(phone1)];
  let aheadMs = 1_000_000;
  const value = snapshotInvite(theirs.context, rig.now, rig.now + aheadMs);
  if (value === undefined) throw new Error("nothing is forwarded");
  const record = { kind: "invite", key: "call", version: new HybridClock("b").tick(rig.now + aheadMs), value } as const;
  const store = new RecordStore();
  store.apply(record);
  const keeper = keeperOf(rig, store, () => aheadMs);
  keeper.flush(rig.now);
  aheadMs += stepMs;
  return keeper.adopt(record, rig.now + afterMs) !== undefined;
}

describe("an INVITE that the other replica has in hand", () => {
  it("is taken up as long as somebody may wait for it", () => {
    expect(isTakenUp(0, inviteLifetimeMs)).toBe(true);
    expect(isTakenUp(0, inviteLifetimeMs + 1)).toBe(false);
  });

  it.each([60_000, 3_600_000])("is as old as it was when the clocks are set forward by %i ms, and not written again yet", (stepMs) => {
    expect(isTakenUp(stepMs, 2_000)).toBe(true);
    expect(isTakenUp(stepMs, inviteLifetimeMs + 1)).toBe(false);
  });
});
