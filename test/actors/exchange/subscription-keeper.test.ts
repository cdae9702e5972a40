import { describe, expect, it } from "vitest";
import { SubscriptionKeeper } from "../../../actors/exchange/subscription-keeper.ts";
import { RecordClock } from "../../../actors/exchange/record-clock.ts";
import { subscriptionsAwaitedMax, subscriptionSecondsMax } from "../../../actors/limits.ts";
import { octetsOf } from "../../../sip/message/octets.ts";
import type { SipMessage } from "../../../sip/message/sip-message.ts";
import { subscriptionKey } from "../../../sip/record/dialog-record.ts";
import { RecordStore } from "../../../sip/record/record-store.ts";
import { parsed } from "../../sip/transaction/recorder.ts";

const now = 1_795_000_000_000;
const nowhere = { addressOfRecord: "", flow: "", instanceId: "" };

function message(startLine: string, callId: string, toTag: string, headers: readonly string[] = []): SipMessage {
  const lines = ["Via: SIP/2.0/UDP 192.0.2.4;branch=z9hG4bK1", "From: <sip:a@x.test>;tag=a", `To: <sip:b@x.test>${toTag}`];
  return parsed(octetsOf([startLine, ...lines, `Call-ID: ${callId}`, "CSeq: 1 SUBSCRIBE", ...headers, "", ""].join("\r\n")));
}

const subscribe = (callId: string): SipMessage => message("SUBSCRIBE sip:b@x.test SIP/2.0", callId, "");

describe("what strangers can have remembered of subscriptions", () => {
  it("is no more than subscriptionsAwaitedMax of them: the earliest is forgotten", () => {
    const keeper = new SubscriptionKeeper(new RecordStore(), new RecordClock("a", (moment: number) => moment));
    for (let index = 0; index <= subscriptionsAwaitedMax + 10; index += 1) keeper.begins(subscribe(`call-${index}`), now);
    expect(keeper.size).toBe(subscriptionsAwaitedMax);
    expect([keeper.isAwaited("call-0", "a", now), keeper.isAwaited(`call-${subscriptionsAwaitedMax}`, "a", now)]).toEqual([false, true]);
    keeper.begins(subscribe("later"), now + 3_600_000);
    expect(keeper.size).toBe(1);
  });

  it("lasts for subscriptionSecondsMax at most, whatever Expires says", () => {
    const store = new RecordStore();
    const keeper = new SubscriptionKeeper(store, new RecordClock("a", (moment: number) => moment));
    for (const [index, expires] of ["4294967295", "99999999999999999999", "soon"].entries()) {
      const callId = `call-${index}`;
      const response = message("SIP/2.0 200 OK", callId, ";tag=b", [`Expires: ${expires}`]);
      const request = subscribe(callId);
      keeper.finished({ request, status: 200, response, sender: nowhere, receiver: nowhere, dialog: undefined, now });
      const expiresAt = store.dialog(subscriptionKey(callId, "a", "b"))?.expiresAt ?? 0;
      expect(expiresAt).toBeGreaterThan(now);
      expect(expiresAt).toBeLessThanOrEqual(now + subscriptionSecondsMax * 1000 + 32_000);
    }
  });
});
