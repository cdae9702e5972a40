import { describe, expect, it } from "vitest";
import { isParseError } from "../../../sip/errors.ts";
import { parseRecord, serializeRecord } from "../../../sip/record/record-text.ts";
import { cancelAnswerMs, copyDelayMs, t1Ms, timerCLateMs, timerCMs } from "../../../sip/limits.ts";
import { restoreInvite, snapshotInvite } from "../../../sip/proxy/snapshot.ts";
import type { Invite } from "../../../sip/record/values.ts";
import { caller, callerTcp, phone1, phone2, phone3, phoneTcp, request, Rig, target } from "./rig.ts";

/** The INVITE of one replica taken up by another so long after its record was made, over JSON. */
function takenOver(a: Rig, ageMs = 1_500, record: (snapshot: Invite) => Invite = (snapshot) => snapshot): Rig {
  const snapshot = snapshotInvite(a.context, a.now, a.now);
  if (snapshot === undefined) throw new Error("nothing to take over");
  const b = new Rig({ cell: "b" });
  b.now = a.now + ageMs;
  const copy = JSON.parse(JSON.stringify(record(snapshot))) as Invite;
  const restored = restoreInvite(copy, b.proxy, b.layer, b.now, ageMs);
  if (restored === undefined) throw new Error("it was not taken up");
  b.servers.push(restored.tx);
  // The phones have the requests of the first replica; what they answer is built from those.
  b.sent.unshift(...a.sent.filter((sent) => sent.message.isRequest));
  return b;
}

function calling(targets: Rig["targets"], options: Parameters<typeof request>[1] = {}): Rig {
  const a = new Rig();
  a.targets = targets;
  a.recordRoute = true;
  a.receive(request("INVITE", options), caller);
  return a;
}

describe("an INVITE taken up by the other replica", () => {
  it("is sent again where nothing was heard, with the same octets and branch: over a connection once, for its access may never have had it", () => {
    const a = calling([target(phone1), target(phoneTcp), target(phone2)], { body: "v=0\r\n\u00ff" });
    a.answer(phone2, 180);
    const b = takenOver(a);
    expect(b.last(phoneTcp).text).toBe(a.last(phoneTcp).text);
    // The other replica's three, and that.
    expect(b.take().slice(3)).toEqual(["phoneTcp INVITE"]);
    // Over UDP the phone may have answered: it says that again within T1, and no copy is to meet it.
    b.advance(copyDelayMs - 1);
    expect(b.take()).toEqual([]);
    b.advance(1);
    expect(b.take()).toEqual(["phone1 INVITE"]);
    expect(b.last(phone1).text).toBe(a.last(phone1).text);
    b.advance(t1Ms);
    expect(b.take()).toEqual(["phone1 INVITE"]);
  });

  it("is read back as the same text: replicas are compared by it", () => {
    const a = calling([target(phone1), target(phone2)]);
    a.answer(phone1, 180);
    const value = snapshotInvite(a.context, a.now, a.now);
    if (value === undefined) throw new Error("it is in progress");
    const text = serializeRecord({ kind: "invite", key: "k", version: "0mwpn68gn0000a", value });
    const read = parseRecord(text);
    expect(isParseError(read) ? read : serializeRecord(read)).toBe(text);
  });

  it("is not sent again where the phone repeats its 2xx", () => {
    const a = calling([target(phone1)]);
    const b = takenOver(a);
    b.take();
    b.advance(t1Ms);
    b.answer(phone1, 200);
    expect(b.take()).toEqual(["caller 200"]);
    b.advance(64 * t1Ms);
    expect(b.take()).toEqual([]);
  });

  it("goes on: the answer of a phone is forwarded, the others are cancelled", () => {
    const a = calling([target(phone1), target(phone2)]);
    a.answer(phone1, 180);
    a.answer(phone2, 180);
    const b = takenOver(a);
    b.take();
    b.answer(phone1, 200);
    expect(b.take()).toEqual(["caller 200", "phone2 CANCEL"]);
  });

  it("answers a retransmission of the INVITE with the last provisional response, To tag and all", () => {
    const a = calling([target(phone1)]);
    a.answer(phone1, 183, { toTag: "early" });
    const b = takenOver(a);
    b.take();
    b.receive(request("INVITE"), caller);
    expect(b.take()).toEqual(["caller 183"]);
    expect(b.last(caller, "183").message.toTag).toBe("early");
  });

  it("can be cancelled by the caller", () => {
    const a = calling([target(phone1)]);
    a.answer(phone1, 180);
    const b = takenOver(a);
    b.take();
    b.receive(request("CANCEL"), caller);
    expect(b.take()).toEqual(["caller 200", "phone1 CANCEL"]);
    b.answer(phone1, 487);
    expect(b.take()).toEqual(["phone1 ACK", "caller 487"]);
    b.advance(64_000);
    expect(b.isIdle).toBe(true);
  });

  it("remembers the best response, the challenges, and the targets still to be tried", () => {
    const a = calling([target(phone1), target(phone2), target(phone3, { q: 0.2 })]);
    a.answer(phone1, 407, { headers: [["Proxy-Authenticate", 'Digest realm="one"']] });
    const b = takenOver(a);
    b.take();
    b.answer(phone2, 401, { headers: [["WWW-Authenticate", 'Digest realm="two"']] });
    expect(b.take()).toEqual(["phone2 ACK", "phone3 INVITE"]);
    b.answer(phone3, 404);
    const best = b.last(caller, "407");
    expect(best.text).toContain('Proxy-Authenticate: Digest realm="one"\r\n');
    expect(best.text).toContain('WWW-Authenticate: Digest realm="two"\r\n');
  });

  it("goes on cancelling, and looks addresses up again", () => {
    const a = calling([target(phone1), { requestUri: "sip:bob@far.test", routes: [] }]);
    a.answer(phone1, 180);
    const looking = takenOver(a);
    expect(looking.resolves.map((question) => question.uri)).toEqual(["sip:bob@far.test"]);
    looking.proxy.resolved(looking.resolves[0]?.reference ?? "", [phone2], looking.now);
    expect(looking.log().at(-1)).toBe("phone2 INVITE");
    a.receive(request("CANCEL"), caller);
    const cancelling = takenOver(a);
    expect(cancelling.log().at(-1)).toBe("phone1 CANCEL");
    cancelling.advance(cancelAnswerMs);
    expect(cancelling.log()).toContain("caller 487");
  });

  it("is not taken up twice, nor where it is known", () => {
    const a = calling([target(phone1)]);
    const snapshot = snapshotInvite(a.context, a.now, a.now);
    if (snapshot === undefined) throw new Error("nothing to take over");
    expect(restoreInvite(snapshot, a.proxy, a.layer, a.now)).toBeUndefined();
    const b = takenOver(a);
    expect(restoreInvite(snapshot, b.proxy, b.layer, b.now)).toBeUndefined();
    expect(restoreInvite({ ...snapshot, request: "junk" }, b.proxy, b.layer, b.now)).toBeUndefined();
  });

  it("answers over the caller's connection", () => {
    const a = new Rig();
    a.targets = [target(phone1)];
    a.receive(request("INVITE", { via: "SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bKt" }), callerTcp);
    a.answer(phone1, 180);
    const b = takenOver(a);
    b.answer(phone1, 486);
    expect(b.last(callerTcp, "486").flow).toBe(callerTcp);
  });
});

/** What is said until just before that moment, and then. */
function saidBy(rig: Rig, at: number): readonly (readonly string[])[] {
  rig.take();
  rig.advance(at - 1 - rig.now);
  const before = rig.take();
  rig.advance(1);
  return [before, rig.take()];
}

const isCancelledThen: readonly (readonly string[])[] = [[], ["phone1 CANCEL"]];

/** As a release makes it that does not say how long Timer C has run. */
function ofBefore(snapshot: Invite): Invite {
  return { ...snapshot, branches: snapshot.branches.map((branch) => ({ ...branch, timerCRanMs: undefined })) };
}

describe("[RFC3261 16.8] Timer C of an INVITE taken up by other replicas", () => {
  it.each([0, 1, 2, 5, 20])("ends timerCLateMs late at most, after %i of them in turn and time in between", (count) => {
    let rig = calling([target(phone1)]);
    rig.answer(phone1, 180);
    const until = rig.now + timerCMs + (count > 0 ? timerCLateMs : 0);
    for (let each = 0; each < count; each += 1) {
      rig.advance(5_000);
      rig = takenOver(rig);
    }
    expect(saidBy(rig, until)).toEqual(isCancelledThen);
    rig.advance(200_000);
    expect(rig.isIdle).toBe(true);
  });

  it("is never early: what a phone says again within timerCLateMs changes no record, and what it says later does", () => {
    const a = calling([target(phone1)]);
    a.answer(phone1, 180);
    const from = a.now;
    const changes = a.changes.length;
    a.advance(timerCLateMs);
    a.answer(phone1, 180);
    expect(a.changes.length).toBe(changes);
    expect(saidBy(takenOver(a), from + timerCLateMs + timerCMs)).toEqual(isCancelledThen);
    a.advance(1);
    a.answer(phone1, 180);
    expect(a.changes.length).toBe(changes + 1);
    expect(saidBy(takenOver(a), a.now + timerCMs + timerCLateMs)).toEqual(isCancelledThen);
  });

  it("begins again when the phone says again that it rings", () => {
    const a = calling([target(phone1)]);
    a.answer(phone1, 180);
    const b = takenOver(a);
    b.advance(100_000);
    b.answer(phone1, 180);
    expect(saidBy(b, b.now + timerCMs)).toEqual(isCancelledThen);
  });

  it("is over at once where nobody had it in hand at its end", () => {
    const a = calling([target(phone1)]);
    a.answer(phone1, 180);
    expect(saidBy(takenOver(a, timerCMs + timerCLateMs - 1), a.now + timerCMs + timerCLateMs)).toEqual(isCancelledThen);
    expect(saidBy(takenOver(a, timerCMs + timerCLateMs), a.now + timerCMs + timerCLateMs)).toEqual(isCancelledThen);
  });

  it("runs from the record where nothing had been heard, and that is old", () => {
    const a = calling([target(phone1)]);
    expect(saidBy(takenOver(a, 64 * t1Ms), a.now + timerCMs + timerCLateMs)).toEqual(isCancelledThen);
  });

  it("begins anew with a record of a release that does not say it, and goes on from there", () => {
    const a = calling([target(phone1)]);
    a.answer(phone1, 180);
    const b = takenOver(a, 1_500, ofBefore);
    const until = b.now + timerCMs;
    b.advance(60_000);
    expect(saidBy(takenOver(b), until)).toEqual(isCancelledThen);
  });
});

describe("snapshotInvite", () => {
  it("gives nothing for what is not to be taken up: answered, or no INVITE", () => {
    const a = calling([target(phone1)]);
    a.answer(phone1, 200);
    expect(snapshotInvite(a.context, a.now, a.now)).toBeUndefined();
    expect(a.changes.at(-1)?.state).toBe("Ended");
    expect(a.finals).toEqual([200]);
    const other = new Rig();
    other.targets = [target(phone1)];
    other.receive(request("MESSAGE"), caller);
    expect(snapshotInvite(other.context, other.now, other.now)).toBeUndefined();
    expect(other.changes).toEqual([]);
  });

  it("changes are told when branches start, ring, fail and are cancelled", () => {
    const a = calling([target(phone1)]);
    const counts = [a.changes.length];
    a.answer(phone1, 180);
    counts.push(a.changes.length);
    a.receive(request("CANCEL"), caller);
    counts.push(a.changes.length);
    a.answer(phone1, 487);
    counts.push(a.changes.length);
    expect(counts).toEqual(counts.toSorted((left, right) => left - right));
    expect(new Set(counts).size).toBe(4);
  });
});
