import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Subscribers, callOnce, withPhones } from "./call.ts";
import { type BrowserHost, type BrowserPhone, startChromium } from "./clients/chromium-jssip.ts";
import { type Phone, RegistrationRefused, addressOfRecord } from "./clients/phone.ts";
import { startSippPhone } from "./clients/sipp-phone.ts";
import { type System, accountOf, startSystem } from "./system.ts";

let system: System;
let subscribers: Subscribers;
let chromium: BrowserHost;

beforeAll(async () => {
  system = await startSystem({ auth: "digest" });
  subscribers = await Subscribers.provision(system, 30);
  chromium = await startChromium();
});

afterAll(async () => {
  await chromium?.stop();
  await system?.stop();
});

/** A page at the given cell, of which 0 is the first, or at the gateway. */
async function openPage(at: number | "gateway"): Promise<BrowserPhone> {
  const url = at === "gateway" ? system.gatewayWs : (system.ws[at] ?? "");
  return await chromium.openPhone(accountOf(system, subscribers.next(), "WS"), url);
}

describe("JsSIP in Chromium", () => {
  test.each([
    { from: 0, to: 1, hangsUp: "caller" },
    { from: 1, to: 0, hangsUp: "callee" },
    { from: 0, to: 0, hangsUp: "callee" },
    { from: "gateway", to: 1, hangsUp: "caller" },
    { from: 0, to: "gateway", hangsUp: "callee" },
    { from: "gateway", to: "gateway", hangsUp: "caller" },
  ] as const)(
    "[RFC7118] a WebRTC call with media from a page at $from to a page at $to: cells by number, or the gateway",
    async ({ from, to, hangsUp }) => {
      await withPhones([async () => await openPage(from), async () => await openPage(to)], async (caller, callee) => {
        if (caller === undefined || callee === undefined) throw new Error("two pages are needed");
        await Promise.all([caller.register(), callee.register()]);
        await caller.call(addressOfRecord(callee.account));
        await callee.ringing();
        await caller.ringback();
        await callee.answer();
        await Promise.all([caller.established(), callee.established()]);
        await Promise.all([caller.media(), callee.media()]);
        for (const page of [caller, callee]) {
          const media = await page.mediaStatistics();
          expect(media.iceState).toMatch(/^(connected|completed)$/);
          expect(media.packetsReceived).toBeGreaterThan(0);
          expect(media.packetsSent).toBeGreaterThan(0);
        }
        await (hangsUp === "caller" ? caller : callee).hangup();
        await Promise.all([caller.ended(), callee.ended()]);
      });
    },
  );

  test("[RFC3261 9] a page that gives up before the answer ends the ringing of the other page", async () => {
    await withPhones([async () => await openPage(0), async () => await openPage(1)], async (caller, callee) => {
      if (caller === undefined || callee === undefined) throw new Error("two pages are needed");
      await Promise.all([caller.register(), callee.register()]);
      await caller.call(addressOfRecord(callee.account));
      await callee.ringing();
      await caller.ringback();
      await caller.hangup();
      expect(await callee.ended()).toMatch(/Canceled/);
      await caller.ended();
    });
  });

  test("a page that refuses a call tells the caller so", async () => {
    await withPhones([async () => await openPage(0), async () => await openPage(1)], async (caller, callee) => {
      if (caller === undefined || callee === undefined) throw new Error("two pages are needed");
      await Promise.all([caller.register(), callee.register()]);
      await caller.call(addressOfRecord(callee.account));
      await callee.ringing();
      await callee.hangup();
      expect(await caller.ended()).toMatch(/^480 /);
    });
  });

  test("a page with a wrong password is refused", async () => {
    const account = { ...accountOf(system, subscribers.next(), "WS"), password: "wrong" };
    await withPhones([async () => await chromium.openPhone(account, system.ws[0] ?? "")], async (page) => {
      await expect(page?.register()).rejects.toBeInstanceOf(RegistrationRefused);
    });
  });

  test.each(["UDP", "TCP"] as const)("signalling of a call from a page to a SIPp phone over %s: 180, 200, ACK, BYE", async (transport) => {
    const startSipp = async (): Promise<Phone> => await startSippPhone(accountOf(system, subscribers.next(), transport), "webrtc");
    await withPhones<Phone>([async () => await openPage(0), startSipp], async (page, phone) => {
      if (page === undefined || phone === undefined) throw new Error("two phones are needed");
      await Promise.all([page.register(), phone.register()]);
      await expect(callOnce(page, phone, { hangsUp: "caller", media: false })).resolves.toBeUndefined();
    });
  });

  test.each(["UDP", "TCP"] as const)("signalling of a call from a SIPp phone over %s to a page: 180, 200, ACK, BYE", async (transport) => {
    const startSipp = async (): Promise<Phone> => await startSippPhone(accountOf(system, subscribers.next(), transport), "webrtc");
    await withPhones<Phone>([startSipp, async () => await openPage(1)], async (phone, page) => {
      if (page === undefined || phone === undefined) throw new Error("two phones are needed");
      await Promise.all([page.register(), phone.register()]);
      await expect(callOnce(phone, page, { hangsUp: "caller", media: false })).resolves.toBeUndefined();
    });
  });
});
