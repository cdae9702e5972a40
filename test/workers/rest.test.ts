import { afterEach, describe, expect, it, vi } from "vitest";
import { Authority } from "../../actors/exchange/authority.ts";
import { inviteLifetimeMs } from "../../sip/limits.ts";
import { Rest } from "../../workers/exchange/rest.ts";
import { domain, putToSleep, userOf } from "./cell.ts";
import { GatewayBackhaul } from "./gateway-backhaul.ts";

describe("Rest", () => {
  it("outlives the sleep of an object, not a reset in the middle of its work", () => {
    expect(new Rest("z 0").orphansUntil).toBeUndefined();
    new Rest("z 0").begin(5);
    expect(new Rest("z 0").orphansUntil).toBe(5);
    expect(new Rest("z 1").orphansUntil).toBeUndefined();
    const awake = new Rest("z 0");
    awake.end();
    expect(new Rest("z 0").orphansUntil).toBeUndefined();
    awake.begin(7);
    awake.begin(9);
    expect(new Rest("z 0").orphansUntil).toBe(9);
  });
});

const via = (n: number): string => `Via: SIP/2.0/TCP 198.51.100.7;rport;branch=z9hG4bKrest${n}\r\nMax-Forwards: 70\r\n`;

describe("an exchange that slept", () => {
  afterEach(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
  });

  const from = "From: <sip:x@example.net>;tag=1\r\n";

  /** A stranger cancels what there never was; the status. */
  async function cancelled(backhaul: GatewayBackhaul, callee: string, n: number): Promise<string> {
    const to = `To: <sip:${callee}@${domain}>\r\nCall-ID: rest${n}\r\nCSeq: 1 CANCEL\r\nContent-Length: 0\r\n\r\n`;
    backhaul.sendMessage(`CANCEL sip:${callee}@${domain} SIP/2.0\r\n${via(n)}${from}${to}`);
    const { text } = await backhaul.take();
    return text.slice(8, 11);
  }

  it("does not open the window for INVITEs of before its start again", async () => {
    vi.spyOn(Authority.prototype, "checkRegister").mockReturnValue({ type: "granted" });
    const bob = userOf("resting");
    const backhaul = await GatewayBackhaul.connect(0);
    const identity = `From: <sip:${bob}@${domain}>;tag=1\r\nTo: <sip:${bob}@${domain}>\r\nCall-ID: r\r\nCSeq: 1 REGISTER\r\n`;
    const contact = "Contact: <sip:x@198.51.100.7;transport=tcp>;expires=3600\r\nContent-Length: 0\r\n\r\n";
    backhaul.sendMessage(`REGISTER sip:${domain} SIP/2.0\r\n${via(0)}${identity}${contact}`);
    expect((await backhaul.take()).text.slice(8, 11)).toBe("200");
    await putToSleep(0);
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + inviteLifetimeMs });
    expect(await cancelled(backhaul, bob, 1)).toBe("481");
    backhaul.socket.close();
  });
});
