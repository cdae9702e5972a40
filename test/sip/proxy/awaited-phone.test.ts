import { describe, expect, it } from "vitest";
import { branchesMax, phoneReturnMs } from "../../../sip/limits.ts";
import { buildResponse } from "../../../sip/message/build.ts";
import { stringOf } from "../../../sip/message/octets.ts";
import { restoreInvite, snapshotInvite } from "../../../sip/proxy/snapshot.ts";
import { recordOf } from "../../../sip/record/record-text.ts";
import type { Invite } from "../../../sip/record/values.ts";
import { isParseError } from "../../../sip/errors.ts";
import { makeVersion } from "../record/make-version.ts";
import { caller, phone1, phone2, phone3, phoneTcp, request, Rig, target } from "./rig.ts";

/** Phones that have lost their connections while a request is for them. */

function calling(targets: Rig["targets"], method = "INVITE"): Rig {
  const rig = new Rig();
  rig.mayReturn = true;
  rig.targets = targets;
  rig.receive(request(method), caller);
  rig.take();
  return rig;
}

/** The reference under which the latest search is answered. */
function sought(rig: Rig): string {
  const last = rig.sought.at(-1);
  if (last === undefined) throw new Error("nobody is looked for");
  return last.reference;
}

/** The phone of {@link phoneTcp} on another flow. */
function same(flow: string): Rig["targets"][number] {
  return target(flow, { requestUri: target(phoneTcp).requestUri });
}

/** A request whose target is a phone of a dialog. */
function inDialog(): Rig {
  const rig = new Rig();
  rig.targets = [{ requestUri: "sip:bob@elsewhere.invalid", routes: [], flow: phoneTcp, seek: "onFailure" }];
  rig.receive(request("MESSAGE"), caller);
  rig.take();
  return rig;
}

/** The record of the INVITE, as the peer and the disk have it. */
function overText(snapshot: Invite | undefined): Invite {
  const version = makeVersion({ ms: 1, counter: 0, cell: "a" });
  const record = recordOf(JSON.parse(JSON.stringify({ kind: "invite", key: "k", version, value: snapshot })));
  if (isParseError(record) || record.kind !== "invite" || record.value === undefined) throw new Error("no INVITE");
  return record.value;
}

describe("an initial request whose phone has lost its connection [RFC3261 16.5]", () => {
  it("waits, and goes to what comes back", () => {
    const rig = calling([target(phoneTcp)]);
    rig.undeliverable(phoneTcp);
    expect(rig.take()).toEqual([]);
    expect(rig.sought).toMatchObject([{ failed: [phoneTcp], seek: "registration", until: rig.now + phoneReturnMs }]);
    rig.proxy.returned(sought(rig), [target(phoneTcp), target(phone1)], rig.now);
    expect(rig.take()).toEqual(["phone1 INVITE"]);
    rig.answer(phone1, 200);
    expect(rig.take()).toEqual(["caller 200"]);
    expect(rig.stopped).toEqual([sought(rig)]);
    rig.advance(64_000);
    expect(rig.isIdle).toBe(true);
  });

  it("gets 480 when nobody has come, and there is nothing left of it", () => {
    const rig = calling([target(phoneTcp)]);
    rig.undeliverable(phoneTcp);
    rig.proxy.resolved(sought(rig), [], rig.now);
    expect(rig.take()).toEqual(["caller 480"]);
    rig.advance(64_000);
    expect(rig.isIdle).toBe(true);
  });

  it("gets 480 even when nobody says that the time is over", () => {
    const rig = calling([target(phoneTcp)], "MESSAGE");
    rig.undeliverable(phoneTcp, "MESSAGE");
    rig.advance(2 * phoneReturnMs);
    expect(rig.take()).toEqual(["caller 100", "caller 480"]);
  });

  it("[RFC3261 9.2] gets 487 when it is cancelled", () => {
    const rig = calling([target(phoneTcp)]);
    rig.undeliverable(phoneTcp);
    rig.receive(request("CANCEL"), caller);
    expect(rig.take()).toEqual(["caller 200", "caller 487"]);
    expect(rig.stopped).toEqual([sought(rig)]);
    rig.proxy.returned(sought(rig), [target(phone1)], rig.now);
    expect(rig.take()).toEqual([]);
  });

  it.each([
    [408, 408],
    [487, 487],
    [503, 500],
    [500, 500],
  ])("gets what the phone says that has come back, be it %i, and not that it was away", (says, gets) => {
    for (const isUnreachable of [false, true]) {
      const rig = calling([target(phoneTcp)]);
      if (isUnreachable) rig.unreachable.add(phoneTcp);
      rig.undeliverable(phoneTcp);
      rig.unreachable.clear();
      rig.proxy.returned(sought(rig), [isUnreachable ? target(phoneTcp) : same(phone1)], rig.now);
      rig.answer(isUnreachable ? phoneTcp : phone1, 180);
      rig.proxy.resolved(sought(rig), [], rig.now);
      rig.answer(isUnreachable ? phoneTcp : phone1, says);
      expect(rig.take().at(-1)).toBe(`caller ${gets}`);
    }
  });

  it.each([408, 487, 500])("waits on when another phone says %i, and calls who comes back", (says) => {
    const rig = calling([target(phoneTcp), target(phone2)]);
    rig.undeliverable(phoneTcp);
    rig.answer(phone2, says);
    expect(rig.take()).toEqual(["phone2 ACK"]);
    rig.proxy.returned(sought(rig), [same(phone1)], rig.now);
    rig.answer(phone1, 200);
    expect(rig.take()).toEqual(["phone1 INVITE", "caller 200"]);
  });

  it.each([408, 487])("gets 480 when one phone has not come back, and another one said %i", (says) => {
    const rig = calling([target(phoneTcp), target(phone2)]);
    rig.undeliverable(phoneTcp);
    rig.answer(phone2, says);
    rig.proxy.resolved(sought(rig), [], rig.now);
    expect(rig.take()).toEqual(["phone2 ACK", "caller 480"]);
  });

  it.each(["while one phone is waited for", "when one phone has not come back"])(
    "gets 487 at once when it is cancelled %s, and another one rings",
    (when) => {
      const rig = calling([target(phoneTcp), target(phone2)]);
      rig.answer(phone2, 180);
      rig.undeliverable(phoneTcp);
      if (when.startsWith("when")) rig.proxy.resolved(sought(rig), [], rig.now);
      rig.receive(request("CANCEL"), caller);
      rig.answer(phone2, 487);
      expect(rig.take()).toEqual(["caller 180", "caller 200", "phone2 CANCEL", "phone2 ACK", "caller 487"]);
    },
  );

  it("rings the others meanwhile, undisturbed, and whoever comes back too", () => {
    const rig = calling([target(phoneTcp), target(phone2)]);
    rig.answer(phone2, 180);
    rig.undeliverable(phoneTcp);
    rig.proxy.returned(sought(rig), [target(phone1), target(phone2)], rig.now);
    expect(rig.take()).toEqual(["caller 180", "phone1 INVITE"]);
    rig.answer(phone1, 180);
    rig.answer(phone2, 200);
    expect(rig.take()).toEqual(["caller 180", "caller 200", "phone1 CANCEL"]);
  });

  it("calls a phone once that moves on while it is called, and again when that flow dies", () => {
    const rig = calling([target(phoneTcp)]);
    rig.undeliverable(phoneTcp);
    rig.proxy.returned(sought(rig), [same(phone1)], rig.now);
    rig.proxy.returned(sought(rig), [same(phone2)], rig.now);
    expect(rig.take()).toEqual(["phone1 INVITE"]);
    rig.undeliverable(phone1);
    expect([rig.sought.length, rig.stopped.length]).toEqual([2, 1]);
    rig.proxy.returned(sought(rig), [same(phone2)], rig.now);
    expect(rig.take()).toEqual(["phone2 INVITE"]);
  });

  it("is not held up by it when another phone has answered: that is the answer", () => {
    const rig = calling([target(phoneTcp), target(phone2)]);
    rig.undeliverable(phoneTcp);
    rig.answer(phone2, 486);
    expect(rig.take()).toEqual(["phone2 ACK", "caller 486"]);
    expect(rig.stopped).toEqual([sought(rig)]);
  });

  it("goes on to the targets of lower q at once", () => {
    const rig = calling([target(phoneTcp), target(phone2, { q: 0.5 })]);
    rig.undeliverable(phoneTcp);
    expect(rig.take()).toEqual(["phone2 INVITE"]);
  });

  it("[RFC5626 7] tries the other flows of the instance first, and the one on which it comes back although the instance has had its turn", () => {
    const rig = calling([target(phoneTcp, { group: "i" }), target(phone2, { group: "i" })]);
    rig.undeliverable(phoneTcp);
    expect(rig.take()).toEqual(["phone2 INVITE"]);
    expect(rig.sought).toEqual([]);
    rig.undeliverable(phone2);
    rig.proxy.returned(sought(rig), [target(phone1, { group: "i" })], rig.now);
    expect(rig.take()).toEqual(["phone1 INVITE"]);
  });

  it("takes the same flow, with the same branch, when it was the way to it that was missing", () => {
    const rig = calling([target(phoneTcp)]);
    const first = rig.last(phoneTcp);
    rig.unreachable.add(phoneTcp);
    rig.undeliverable(phoneTcp);
    expect(rig.sought.at(-1)?.failed).toEqual([]);
    rig.proxy.returned(sought(rig), [target(phoneTcp)], rig.now);
    expect(rig.take()).toEqual(["phoneTcp INVITE"]);
    expect(rig.last(phoneTcp).text).toBe(first.text);
  });

  it("is not forwarded more often than a request may be, however often the phone comes and goes", () => {
    const rig = calling([target(phoneTcp)]);
    for (let turn = 0; turn < 3 * branchesMax; turn += 1) {
      const flow = rig.sent.findLast(({ message }) => message.isRequest)?.flow ?? "";
      rig.undeliverable(flow);
      rig.proxy.returned(sought(rig), [target(phone1.replace("c000020b", (0xc0000200 + turn).toString(16)))], rig.now);
    }
    const invites = rig.sent.filter(({ message }) => message.isRequest);
    expect(invites.length).toBeLessThan(branchesMax);
    expect(rig.context.branches).toHaveLength(branchesMax);
    rig.proxy.resolved(sought(rig), [], rig.now);
    expect(rig.take().at(-1)).toBe("caller 480");
  });

  it("goes on waiting at the replica that takes it over", () => {
    const a = calling([target(phoneTcp, { group: "i" })]);
    a.undeliverable(phoneTcp);
    const b = new Rig({ cell: "b" });
    b.mayReturn = true;
    b.now = a.now + 1_000;
    expect(restoreInvite(overText(snapshotInvite(a.context, a.now, a.now)), b.proxy, b.layer, b.now)).toBeDefined();
    expect(b.take()).toEqual([]);
    expect(b.sought).toMatchObject([{ failed: [phoneTcp], seek: "registration" }]);
    b.proxy.returned(sought(b), [target(phone3, { group: "i" })], b.now);
    expect(b.take()).toEqual(["phone3 INVITE"]);
  });

  it("has a record of the same text in both cells", () => {
    const rig = calling([target(phoneTcp), target(phone2)]);
    rig.undeliverable(phoneTcp);
    rig.proxy.returned(sought(rig), [same(phone1)], rig.now);
    rig.answer(phone1, 180);
    const snapshot = snapshotInvite(rig.context, rig.now, rig.now);
    expect(JSON.stringify(overText(snapshot))).toBe(JSON.stringify(snapshot));
  });

  it.each([
    [487, 487],
    [408, 408],
    [500, 500],
  ])("that is taken over when the phone has come back gets what that says, be it %i", (says, gets) => {
    const a = calling([target(phoneTcp)]);
    a.undeliverable(phoneTcp);
    a.proxy.returned(sought(a), [same(phone1)], a.now);
    a.answer(phone1, 180);
    const b = new Rig({ cell: "b" });
    b.mayReturn = true;
    b.now = a.now + 1_000;
    expect(restoreInvite(overText(snapshotInvite(a.context, a.now, a.now)), b.proxy, b.layer, b.now)).toBeDefined();
    b.proxy.resolved(sought(b), [], b.now);
    // The phone answers the request that the first replica has sent.
    b.receive(stringOf(buildResponse(a.last(phone1, "INVITE").message, says, { toTag: "of-phone1", headers: [] })), phone1);
    expect(b.take().at(-1)).toBe(`caller ${gets}`);
  });
});

describe("a phone of a dialog that is not where it was [RFC5626 4.3]", () => {
  it("is looked for again when the flow that was found is dead as well; dead ones are named, and the time does not begin anew", () => {
    const rig = inDialog();
    const until = rig.now + phoneReturnMs;
    rig.undeliverable(phoneTcp, "MESSAGE");
    rig.proxy.resolved(sought(rig), [phone1], rig.now);
    rig.now += 1_000;
    rig.undeliverable(phone1, "MESSAGE");
    expect(rig.sought.map(({ failed }) => failed)).toEqual([[phoneTcp], [phoneTcp, phone1]]);
    expect(rig.sought.map((each) => each.until)).toEqual([until, until]);
    rig.proxy.resolved(sought(rig), [phone2], rig.now);
    rig.answer(phone2, 200, { method: "MESSAGE" });
    expect(rig.take()).toEqual(["phone1 MESSAGE", "phone2 MESSAGE", "caller 200"]);
  });

  it("comes to an end when every flow that is found is dead", () => {
    const rig = inDialog();
    rig.undeliverable(phoneTcp, "MESSAGE");
    for (let turn = 0; rig.log().at(-1) !== "caller 480"; turn += 1) {
      const flow = phone1.replace("c000020b", (0xc0000200 + turn).toString(16));
      rig.proxy.resolved(sought(rig), [flow], rig.now);
      rig.undeliverable(flow, "MESSAGE");
    }
    expect(rig.sent.filter(({ message }) => message.isRequest)).toHaveLength(branchesMax);
  });
});
