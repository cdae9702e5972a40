import { describe, expect, it } from "vitest";
import { isParseError } from "../../../sip/errors.ts";
import { joinedMax } from "../../../sip/limits.ts";
import { restoreInvite, snapshotInvite } from "../../../sip/proxy/snapshot.ts";
import { caller, callerTcp, phone1, phone2, phoneTcp, request, Rig, target, valuesOf } from "./rig.ts";

const elsewhere = "SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bKelsewhere";

/** An INVITE that rings at phone1, or whatever the method does there. */
function forwarded(method = "INVITE"): Rig {
  const rig = new Rig();
  rig.targets = [target(phone1)];
  rig.receive(request(method), caller);
  return rig;
}

function branchOn(rig: Rig, flow: string): string | undefined {
  const via = rig.last(flow).message.topVia;
  return isParseError(via) ? undefined : via.branch;
}

describe("[RFC3261 16.3, RFC3263 4.3] a request that comes again on another way", () => {
  it("is not forwarded again: it waits for the answer of the first, and gets each response with its own Vias", () => {
    const rig = forwarded();
    rig.answer(phone1, 180);
    rig.take();
    rig.receive(request("INVITE", { via: elsewhere }), callerTcp);
    expect(rig.sent.slice(-2).map(({ flow, message }) => [flow, message.status])).toEqual([
      [callerTcp, 100],
      [callerTcp, 180],
    ]);
    rig.answer(phone1, 200);
    expect(rig.sent.slice(-2).map(({ flow, message }) => [flow, message.status])).toEqual([
      [caller, 200],
      [callerTcp, 200],
    ]);
    expect(valuesOf(rig.last(callerTcp, "200"), "Via")).toEqual([expect.stringContaining("z9hG4bKelsewhere")]);
    expect(valuesOf(rig.last(caller, "200"), "Via")).toEqual([expect.stringContaining("z9hG4bKcaller")]);
    expect(rig.last(callerTcp, "200").commit).toBe(rig.last(caller, "200").commit);
    rig.advance(64_000);
    expect(rig.isIdle).toBe(true);
  });

  it("gets the refusal as well, and acknowledges it for itself", () => {
    const rig = forwarded();
    rig.receive(request("INVITE", { via: elsewhere }), callerTcp);
    rig.answer(phone1, 486);
    expect([rig.last(caller, "486").flow, rig.last(callerTcp, "486").flow]).toEqual([caller, callerTcp]);
    for (const [via, flow] of [
      [undefined, caller],
      [elsewhere, callerTcp],
    ] as const) {
      rig.receive(request("ACK", via === undefined ? {} : { via }), flow);
    }
    rig.advance(64_000);
    expect(rig.isIdle).toBe(true);
  });

  it("is the same for a BYE and any other method", () => {
    const rig = forwarded("MESSAGE");
    rig.receive(request("MESSAGE", { via: elsewhere }), callerTcp);
    rig.answer(phone1, 200, { method: "MESSAGE" });
    expect(rig.take()).toEqual(["phone1 MESSAGE", "caller 200", "caller 200"]);
  });

  it("can be cancelled where the caller asked last; a CANCEL of an earlier copy ends only that one", () => {
    const rig = forwarded();
    rig.answer(phone1, 180);
    rig.receive(request("INVITE", { via: elsewhere }), callerTcp);
    rig.take();
    rig.receive(request("CANCEL"), caller);
    expect(rig.take()).toEqual(["caller 200", "caller 487"]);
    rig.receive(request("CANCEL", { via: elsewhere }), callerTcp);
    expect(rig.take()).toEqual(["caller 200", "phone1 CANCEL"]);
  });

  it.each([
    ["another CSeq", { cSeq: 2 }],
    ["another Call-ID", { callId: "call-2" }],
    ["another From tag", { fromTag: "another" }],
    ["another Request-URI: a fork on the way here", { requestUri: "sip:bob@192.0.2.9" }],
    ["credentials, though the CSeq is the same", { headers: ['Authorization: Digest username="alice", realm="other.test", response="x"'] }],
  ])("is another one with %s", (_, options) => {
    const rig = forwarded();
    rig.take();
    rig.receive(request("INVITE", { via: elsewhere, ...options }), callerTcp);
    expect(rig.take()).toContain("phone1 INVITE");
    const [first, second] = rig.sent.filter(({ message }) => message.isRequest).map(({ message }) => message.topVia);
    expect(first).not.toMatchObject({ branch: second !== undefined && "branch" in second ? second.branch : "" });
  });

  it("is refused when it has come too often [RFC3261 8.2.2.2]", () => {
    const rig = forwarded();
    for (let copy = 0; copy <= joinedMax; copy += 1) rig.receive(request("INVITE", { branch: `z9hG4bKcopy${copy}` }), caller);
    expect(rig.take().slice(-2)).toEqual(["caller 100", "caller 482"]);
  });

  it("is a retransmission to the phone when the replica that it asks now knows nothing of the first copy", () => {
    const a = forwarded();
    const b = new Rig({ cell: "b" });
    b.mayBeRepeated = true;
    b.targets = [target(phone1)];
    b.receive(request("INVITE", { via: elsewhere }), callerTcp);
    expect(branchOn(b, phone1)).toBe(branchOn(a, phone1));
    // The phone answers the copy that it had first.
    b.sent.push(...a.sent.filter(({ flow }) => flow === phone1));
    b.answer(phone1, 200);
    expect(valuesOf(b.last(callerTcp, "200"), "Via")).toEqual([expect.stringContaining("z9hG4bKelsewhere")]);
  });

  it("joins the one that is taken up from the other replica later", () => {
    const a = forwarded();
    const b = new Rig({ cell: "b" });
    b.targets = [target(phone1)];
    b.receive(request("INVITE", { via: elsewhere }), callerTcp);
    b.take();
    const snapshot = snapshotInvite(a.context, a.now, a.now);
    if (snapshot === undefined) throw new Error("nothing to take over");
    expect(restoreInvite(snapshot, b.proxy, b.layer, b.now)).toBeUndefined();
    b.answer(phone1, 200);
    expect(b.take().filter((each) => each.endsWith("200"))).toEqual(["caller 200", "caller 200"]);
  });
});

describe("[RFC5626 5.3] a request that goes to another flow of the same phone", () => {
  it("has the same branch, so that the phone sees it once", () => {
    const rig = new Rig();
    rig.targets = [target(phoneTcp, { group: "instance" }), target(phone2, { group: "instance" })];
    rig.receive(request("INVITE"), caller);
    rig.undeliverable(phoneTcp);
    expect(branchOn(rig, phone2)).toBe(branchOn(rig, phoneTcp));
    rig.answer(phoneTcp, 200); // it had it after all
    expect(rig.take()).toContain("caller 200");
  });
});

describe("[RFC3261 8.2.2.2] a phone that takes the second copy for another request, and refuses it", () => {
  it.each([200, 486])("has the first one: what it answers to that counts, %i", (status) => {
    const rig = new Rig();
    rig.targets = [target(phoneTcp, { group: "instance" }), target(phone2, { group: "instance" })];
    rig.receive(request("INVITE"), caller);
    rig.undeliverable(phoneTcp);
    rig.take();
    rig.answer(phone2, 482);
    expect(rig.take()).toEqual(["phone2 ACK"]);
    rig.answer(phoneTcp, status);
    expect(rig.take()).toContain(`caller ${status}`);
  });

  it("can be cancelled", () => {
    const rig = new Rig();
    rig.targets = [target(phoneTcp, { group: "instance" }), target(phone2, { group: "instance" })];
    rig.receive(request("INVITE"), caller);
    rig.undeliverable(phoneTcp);
    rig.answer(phone2, 482);
    rig.take();
    rig.receive(request("CANCEL"), caller);
    expect(rig.take()).toEqual(["caller 200", "phone2 CANCEL"]);
    rig.advance(64_000);
    expect(rig.take()).toContain("caller 487");
  });

  it("is believed when nothing was said twice: a fork upstream brought it there", () => {
    const rig = new Rig();
    rig.targets = [target(phone1)];
    rig.receive(request("INVITE"), caller);
    rig.answer(phone1, 482);
    expect(rig.take()).toContain("caller 482");
  });
});

describe("[RFC3261 18.2.2] a request that is repeated on another connection", () => {
  it("is answered there: its client has lost the first one", () => {
    const rig = new Rig();
    rig.targets = [target(phone1)];
    const other = `${callerTcp.slice(0, -1)}9`;
    const text = request("INVITE", { via: elsewhere });
    rig.receive(text, callerTcp);
    rig.receive(text, other);
    rig.answer(phone1, 200);
    expect(rig.sent.at(-1)?.flow).toBe(other);
  });
});
