import { describe, expect, it } from "vitest";
import {
  confirmed,
  dialogFrom2xx,
  dialogKeyOf,
  isEndingOfOurs,
  onBye,
  onInDialogRequest,
  onResponse,
  otherSide,
  senderOf,
  withFlow,
} from "../../../sip/dialog/dialog.ts";
import { phoneFlowsOf, presentFlow } from "../../../sip/dialog/present-flow.ts";
import { isParseError } from "../../../sip/errors.ts";
import { dialogLifetimeMs, dialogUnacknowledgedMs } from "../../../sip/limits.ts";
import { octetsOf } from "../../../sip/message/octets.ts";
import { parseMessage, type SipMessage } from "../../../sip/message/sip-message.ts";
import { endOfDialog } from "../../../sip/record/dialog-record.ts";
import type { Dialog } from "../../../sip/record/values.ts";
import { bindingRecord, bindingTombstone, side, version } from "../record/records.ts";

const now = 1_700_000_000_000;

type Parts = {
  readonly contact?: string;
  readonly cSeq?: number;
  readonly headers?: readonly string[];
  readonly fromCallee?: boolean;
  readonly sameTags?: boolean;
};

/** A message of the dialog between alice (tag a) and bob (tag b). */
function message(startLine: string, method: string, parts: Parts = {}, toTag = true): SipMessage {
  const [from, to] =
    parts.fromCallee === true
      ? ["bob@example.test>;tag=b", "alice@example.test>;tag=a"]
      : ["alice@example.test>;tag=a", "bob@example.test>;tag=b"];
  const parsed = parseMessage(
    octetsOf(
      [
        startLine,
        "Via: SIP/2.0/UDP 192.0.2.4;branch=z9hG4bK1",
        `From: <sip:${parts.sameTags === true ? to : from}`,
        `To: <sip:${toTag ? to : to.replace(/;tag=./, "")}`,
        "Call-ID: call-1",
        `CSeq: ${parts.cSeq ?? 1} ${method}`,
        ...(parts.contact === undefined ? [] : [`Contact: ${parts.contact}`]),
        ...(parts.headers ?? []),
        "Content-Length: 0",
        "",
        "",
      ].join("\r\n"),
    ),
  );
  if (isParseError(parsed)) throw new Error(parsed.reason);
  return parsed;
}

function request(method: string, parts: Parts = {}, toTag = true): SipMessage {
  return message(`${method} sip:bob@192.0.2.9 SIP/2.0`, method, parts, toTag);
}

function response(status: number, method: string, parts: Parts = {}): SipMessage {
  return message(`SIP/2.0 ${status} x`, method, parts);
}

function started(headers: readonly string[] = []): Dialog {
  const made = dialogFrom2xx({
    request: request("INVITE", { contact: "<sip:alice@192.0.2.4>" }, false),
    response: response(200, "INVITE", { contact: '<sip:bob@192.0.2.9>;+sip.instance="<urn:uuid:ABC>"', headers }),
    caller: { addressOfRecord: "alice@example.test", flow: "g1~w0.c1.x", instanceId: "" },
    callee: { addressOfRecord: "bob@example.test", flow: "", instanceId: "" },
    version: version(now),
    now,
  });
  if (made === undefined) throw new Error("no dialog");
  expect(made.key).toBe("call-1 a b");
  return made.value;
}

describe("the dialog of a call", () => {
  it("[RFC3261 12.1] is made by the 2xx, with both sides' targets, tags, instances and the caller's CSeq", () => {
    expect(started()).toEqual({
      callId: "call-1",
      caller: {
        tag: "a",
        addressOfRecord: "alice@example.test",
        contact: "sip:alice@192.0.2.4",
        flow: "g1~w0.c1.x",
        instanceId: "",
        cSeq: 1,
        version: version(now),
      },
      callee: {
        tag: "b",
        addressOfRecord: "bob@example.test",
        contact: "sip:bob@192.0.2.9",
        flow: "",
        instanceId: "urn:uuid:abc",
        cSeq: -1,
        version: version(now),
      },
      state: "answered",
      createdAt: now,
      expiresAt: now + dialogLifetimeMs,
    });
  });

  it("[RFC3261 12] has one key from both sides; a missing tag is an empty one [RFC2543], and two of them are none", () => {
    expect(dialogKeyOf(request("BYE"))).toBe("call-1 a b");
    expect(dialogKeyOf(request("BYE", { fromCallee: true }))).toBe("call-1 a b");
    expect(dialogKeyOf(request("BYE", {}, false))).toBe("call-1  a");
    expect(dialogKeyOf(message("BYE sip:bob@192.0.2.9 SIP/2.0", "BYE", { sameTags: true }))).toBeUndefined();
  });

  it("[RFC2543] is made by a 2xx without a To tag too: its ACK and BYE have none either", () => {
    const context = { addressOfRecord: "", flow: "", instanceId: "" };
    const made = dialogFrom2xx({
      request: request("INVITE", {}, false),
      response: message("SIP/2.0 200 OK", "INVITE", {}, false),
      caller: context,
      callee: context,
      version: version(now),
      now,
    });
    expect(made?.key).toBe("call-1  a");
    expect(made?.value.callee.tag).toBe("");
    if (made === undefined) return;
    expect(onInDialogRequest(made.value, request("ACK", {}, false), "", version(now + 1)).sender).toBe("caller");
    expect(onResponse(made.value, request("BYE", {}, false), response(200, "BYE"), version(now + 2), now).dialog).toBeUndefined();
  });

  it("[RFC3261 13.3.1.4] is over soon when no ACK comes, and lives for a week once confirmed", () => {
    const dialog = started();
    expect(endOfDialog(dialog)).toBe(now + dialogUnacknowledgedMs);
    const acknowledged = onInDialogRequest(dialog, request("ACK"), "", version(now + 1)).dialog;
    expect([acknowledged.state, endOfDialog(acknowledged)]).toEqual(["confirmed", now + dialogLifetimeMs]);
    expect(confirmed(acknowledged)).toBe(acknowledged);
  });

  it("[RFC4028 8.2] lives as long as its session timer says, and one transaction more", () => {
    expect(started(["Session-Expires: 1800;refresher=uac"]).expiresAt).toBe(now + 1_800_000 + 32_000);
    expect(started(["x: 10"]).expiresAt).toBe(now + 90_000 + 32_000);
    expect(started(["Session-Expires: 9999999999"]).expiresAt).toBe(now + dialogLifetimeMs);
    expect(started(["Session-Expires: soon"]).expiresAt).toBe(now + dialogLifetimeMs);
  });
});

describe("requests within a dialog", () => {
  const dialog = confirmed(started());

  it("[RFC3261 12.2.1.1] carry each side's own CSeq", () => {
    const fromCallee = onInDialogRequest(dialog, request("INFO", { cSeq: 77, fromCallee: true }), "", version(now + 1));
    expect([fromCallee.sender, fromCallee.dialog.caller.cSeq, fromCallee.dialog.callee.cSeq]).toEqual(["callee", 1, 77]);
    const fromCaller = onInDialogRequest(fromCallee.dialog, request("INFO", { cSeq: 2 }), "", version(now + 2));
    expect([fromCaller.sender, fromCaller.dialog.caller.cSeq, fromCaller.dialog.callee.cSeq]).toEqual(["caller", 2, 77]);
    expect([fromCaller.dialog.caller.version, fromCaller.dialog.callee.version]).toEqual([version(now + 2), version(now + 1)]);
  });

  it("[RFC3261 12.2.2] move nothing when their CSeq is lower", () => {
    const moved = onInDialogRequest(dialog, request("INFO", { cSeq: 5 }), "", version(now + 1)).dialog;
    const late = onInDialogRequest(moved, request("INFO", { cSeq: 4 }), "g1~elsewhere", version(now + 2));
    expect(late).toEqual({ dialog: moved, sender: "caller", isOutOfOrder: true });
    expect(late.dialog).toBe(moved);
  });

  it("[RFC3261 13.2.2.4] ACK and CANCEL have the CSeq of their INVITE and count for nothing", () => {
    const moved = onInDialogRequest(dialog, request("INVITE", { cSeq: 5 }), "", version(now + 1)).dialog;
    const acknowledged = onInDialogRequest(moved, request("ACK", { cSeq: 4 }), "", version(now + 2));
    expect([acknowledged.isOutOfOrder, acknowledged.dialog]).toEqual([false, moved]);
  });

  it("change nothing at all when they say nothing new, so that nothing is replicated", () => {
    expect(onInDialogRequest(dialog, request("ACK"), "g1~w0.c1.x", version(now + 1)).dialog).toBe(dialog);
  });

  it("take over the flow that their sender is on now", () => {
    const moved = onInDialogRequest(dialog, request("INFO", { cSeq: 2 }), "a.1~w0.c2.y", version(now + 1)).dialog;
    expect([moved.caller.flow, moved.callee.flow]).toEqual(["a.1~w0.c2.y", ""]);
  });

  it("of a stranger's tag move nothing", () => {
    const stranger = { ...dialog, caller: side("x"), callee: side("y") };
    expect(onInDialogRequest(stranger, request("INFO"), "f", version(now + 1))).toEqual({
      dialog: stranger,
      sender: undefined,
      isOutOfOrder: false,
    });
    expect(onResponse(stranger, request("BYE"), response(200, "BYE"), version(now + 1), now).dialog).toBe(stranger);
    expect(senderOf(stranger, request("BYE"))).toBeUndefined();
    expect([otherSide("caller"), otherSide("callee")]).toEqual(["callee", "caller"]);
  });
});

describe("answers within a dialog", () => {
  const dialog = confirmed(started());

  it.each(["INVITE", "UPDATE"])("[RFC3261 12.2.1.2] a 2xx to %s moves both targets and sets the session timer anew", (method) => {
    const refresh = request(method, { cSeq: 2, contact: "<sip:alice@198.51.100.1>" });
    const moved = onResponse(
      dialog,
      refresh,
      response(200, method, { contact: "<sip:bob@198.51.100.2>", headers: ["Session-Expires: 90"] }),
      version(now + 1),
      now + 5_000,
    ).dialog;
    expect([moved?.caller.contact, moved?.callee.contact]).toEqual(["sip:alice@198.51.100.1", "sip:bob@198.51.100.2"]);
    expect(moved?.callee.instanceId).toBe("urn:uuid:abc");
    expect(moved?.expiresAt).toBe(now + 5_000 + 90_000 + 32_000);
  });

  it("[RFC3261 12.2.2] a refused re-INVITE moves nothing, nor does a provisional answer or another method", () => {
    const refresh = request("INVITE", { cSeq: 2, contact: "<sip:alice@198.51.100.1>" });
    expect(onResponse(dialog, refresh, response(488, "INVITE"), version(now + 1), now).dialog).toBe(dialog);
    expect(onResponse(dialog, refresh, response(180, "INVITE"), version(now + 1), now).dialog).toBe(dialog);
    const info = request("INFO", { contact: "<sip:alice@198.51.100.1>" });
    expect(onResponse(dialog, info, response(200, "INFO"), version(now + 1), now).dialog).toBe(dialog);
  });

  it.each([200, 202, 403, 481, 408, 500, 503])("[RFC3261 15.1.1] %i to BYE ends it, from either side", (status) => {
    for (const fromCallee of [false, true]) {
      const bye = request("BYE", { cSeq: 2, fromCallee });
      expect(onResponse(dialog, bye, response(status, "BYE", { fromCallee }), version(now + 1), now).dialog).toBeUndefined();
    }
    expect(onBye(status)).toBe(true);
  });

  it.each([100, 401, 407])("[RFC3261 22] %i to BYE does not end it", (status) => {
    expect(onResponse(dialog, request("BYE", { cSeq: 2 }), response(status, "BYE"), version(now + 1), now).dialog).toBe(dialog);
    expect(onBye(status)).toBe(false);
  });

  it.each([481, 408])("[RFC5057 5.1] %i to what is not of the call leaves it alone", (status) => {
    for (const method of ["NOTIFY", "REFER", "SUBSCRIBE", "MESSAGE", "OPTIONS"]) {
      expect(onResponse(dialog, request(method, { cSeq: 2 }), response(status, method), version(now + 1), now).dialog).toBe(dialog);
    }
    expect(["INFO", "PRACK", "INVITE", "UPDATE", "BYE"].map((method) => isEndingOfOurs(method, status))).toEqual([
      false,
      false,
      true,
      true,
      true,
    ]);
  });

  it.each([481, 408])("[RFC3261 12.2.1.2] %i to any request of the call ends it", (status) => {
    expect(onResponse(dialog, request("INFO", { cSeq: 2 }), response(status, "INFO"), version(now + 1), now).dialog).toBeUndefined();
  });
});

describe("a phone that comes back on another flow", () => {
  const instanceId = "urn:uuid:1";
  const callee = side("b", { instanceId, flow: "a.1~old", contact: "sip:bob@old.invalid" });

  it("[RFC5626 4.3] is found by its instance, on the flow that it registered last", () => {
    const records = [
      bindingRecord(version(1), { instanceId, flow: "a.1~new", registeredAt: 5, expiresAt: now + 1 }, "k1"),
      bindingRecord(version(2), { instanceId, flow: "b.1~newer", registeredAt: 6, expiresAt: now + 1 }, "k2"),
      bindingRecord(version(3), { instanceId: "urn:uuid:2", flow: "b.1~other", registeredAt: 9, expiresAt: now + 1 }, "k3"),
      bindingRecord(version(4), { instanceId, flow: "b.1~expired", registeredAt: 9, expiresAt: now }, "k4"),
      bindingTombstone(version(5), "x", 1),
    ];
    expect(presentFlow({ ...callee, heardAt: 0 }, phoneFlowsOf(records, now), () => true)).toBe("b.1~newer");
  });

  it("stays where it was heard after it had registered", () => {
    const records = [bindingRecord(version(1), { instanceId, flow: "a.1~registered", registeredAt: 5, expiresAt: now + 1 }, "k1")];
    expect(presentFlow({ ...callee, heardAt: 6 }, phoneFlowsOf(records, now), () => true)).toBe("a.1~old");
    expect(presentFlow({ ...callee, heardAt: 6 }, phoneFlowsOf(records, now), (flow) => flow !== "a.1~old")).toBe("a.1~registered");
    expect(presentFlow({ ...callee, heardAt: 6 }, [], () => false)).toBeUndefined();
  });

  it("stays on the dialog's flow while that is registered", () => {
    const records = [
      bindingRecord(version(1), { instanceId, flow: "b.1~new", registeredAt: 9, expiresAt: now + 1 }, "k1"),
      bindingRecord(version(2), { instanceId, flow: "a.1~old", registeredAt: 1, expiresAt: now + 1 }, "k2"),
    ];
    expect(presentFlow({ ...callee, heardAt: 0 }, phoneFlowsOf(records, now), () => true)).toBe("a.1~old");
    expect(presentFlow({ ...callee, heardAt: 0 }, phoneFlowsOf([], now), () => true)).toBe("a.1~old");
  });

  it("is found by its contact when it has named no instance", () => {
    const records = [bindingRecord(version(1), { contact: "sip:bob@h", flow: "g2~new", expiresAt: now + 1 })];
    expect(
      presentFlow({ ...side("b", { contact: "sip:bob@h", flow: "g1~old" }), heardAt: 0 }, phoneFlowsOf(records, now), () => true),
    ).toBe("g2~new");
    expect(
      presentFlow({ ...side("b", { contact: "sip:bob@elsewhere", flow: "g1~old" }), heardAt: 0 }, phoneFlowsOf(records, now), () => true),
    ).toBe("g1~old");
  });

  it("takes the dialog along", () => {
    const dialog = started();
    const moved = withFlow(dialog, "callee", "b.1~new", version(now + 1));
    expect([moved.callee.flow, moved.callee.version, moved.caller]).toEqual(["b.1~new", version(now + 1), dialog.caller]);
    expect(withFlow(moved, "callee", "b.1~new", version(now + 2))).toBe(moved);
  });
});
