import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Subscribers, callOnce, withPhones } from "./call.ts";
import { startBaresip } from "./clients/baresip.ts";
import { type BrowserHost, startChromium } from "./clients/chromium-jssip.ts";
import { startLinphone } from "./clients/linphone.ts";
import type { Phone, PhoneTransport } from "./clients/phone.ts";
import { type System, accountOf, startSystem } from "./system.ts";

/*
 * Two phones register with digest, each over its transport, and one calls the other: every pairing of UDP, TCP, TLS and WebSocket.
 * Between phones: baresip and linphone, in turn as the caller; the media is plain RTP, heard by linphone (which has no sound card to
 * speak with). Between a phone and a browser: baresip with ICE and DTLS-SRTP, and JsSIP in Chromium; both hear each other.
 * Only browsers speak WebSocket here, so there the makes are the same.
 */

type Make = "baresip" | "linphone" | "JsSIP";

interface Pairing {
  readonly caller: PhoneTransport;
  readonly callee: PhoneTransport;
  readonly callerMake: Make;
  readonly calleeMake: Make;
  readonly hangsUp: "caller" | "callee";
}

const transports: readonly PhoneTransport[] = ["UDP", "TCP", "TLS", "WS"];
const pairings = transports.flatMap((caller, row) => transports.map((callee, column) => pairingOf(caller, callee, row, column)));

let system: System;
let subscribers: Subscribers;
let chromium: BrowserHost;

beforeAll(async () => {
  system = await startSystem({ auth: "digest" });
  subscribers = await Subscribers.provision(system, pairings.length * 2);
  chromium = await startChromium();
});

afterAll(async () => {
  await chromium?.stop();
  await system?.stop();
});

describe("digest registration and a call with media", () => {
  test.each(pairings)("$callerMake over $caller calls $calleeMake over $callee, the $hangsUp hangs up", async (pairing) => {
    const { caller, callee, callerMake, calleeMake, hangsUp } = pairing;
    const webRtc = caller === "WS" || callee === "WS";
    await withPhones(
      [async () => await startPhone(callerMake, caller, webRtc), async () => await startPhone(calleeMake, callee, webRtc)],
      async (from, to) => {
        if (from === undefined || to === undefined) throw new Error("two phones are needed");
        await Promise.all([from.register(), to.register()]);
        await expect(callOnce(from, to, { hangsUp, media: true })).resolves.toBeUndefined();
      },
    );
  });
});

async function startPhone(make: Make, transport: PhoneTransport, webRtc: boolean): Promise<Phone> {
  const account = { ...accountOf(system, subscribers.next(), transport), webRtc };
  if (make === "baresip") return await startBaresip(account);
  if (make === "linphone") return await startLinphone(account);
  return await chromium.openPhone(account, system.ws[0] ?? "");
}

function pairingOf(caller: PhoneTransport, callee: PhoneTransport, row: number, column: number): Pairing {
  const even = (row + column) % 2 === 0;
  const hangsUp = even ? "caller" : "callee";
  if (caller === "WS") return { caller, callee, callerMake: "JsSIP", calleeMake: callee === "WS" ? "JsSIP" : "baresip", hangsUp };
  if (callee === "WS") return { caller, callee, callerMake: "baresip", calleeMake: "JsSIP", hangsUp };
  return { caller, callee, callerMake: even ? "baresip" : "linphone", calleeMake: even ? "linphone" : "baresip", hangsUp };
}
