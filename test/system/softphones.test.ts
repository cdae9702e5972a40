import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Dialog, OutgoingCall, sdpOf } from "./clients/call.ts";
import { Phone } from "./clients/phone.ts";
import { Softphone } from "./clients/softphone.ts";
import { transports } from "./clients/stack.ts";
import { accountOf, addSubscribers } from "../../kit/world/subscribers.ts";
import { type Door, wayOf } from "./clients/way.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";

/** Where JsSIP's two softphones are: what one sends the other crosses from one place to another. */
const cases: readonly { readonly where: string; readonly doors: readonly [Door, Door] }[] = [
  { where: "the two cells", doors: ["a", "b"] },
  { where: "the gateway and a cell", doors: ["gateway", "b"] },
];

describe.each(cases)("softphones at $where", ({ doors }) => {
  let system: Tandem;
  let softphone: Softphone;
  let other: Softphone;
  const phones: Phone[] = [];
  const softphones: Softphone[] = [];

  beforeAll(async () => {
    system = await startTandem({ webSocket: doors.includes("gateway") });
    await addSubscribers(system, ["browser", "other", ...transports.map((transport) => transport.toLowerCase())].map(accountOf));
    softphone = new Softphone(wayOf(system, "WS", doors[0]), accountOf("browser"));
    other = new Softphone(wayOf(system, "WS", doors[1]), accountOf("other"));
    softphones.push(softphone, other);
    for (const one of softphones) await one.register();
    for (const transport of transports) {
      const phone = await Phone.open(wayOf(system, transport, doors[0]), accountOf(transport.toLowerCase()));
      phones.push(phone);
      await phone.register();
    }
  });

  afterAll(async () => {
    for (const one of [...phones, ...softphones]) one.close();
    await system?.stop();
  });

  it("[RFC7118] [RFC5626] JsSIP registers with digest, and is listed where it is", async () => {
    const rows: { aor: string; transport: string; gateway: string; userAgent: string }[] = JSON.parse(
      (await system.cli("registrations", "--json")).out,
    );
    const shown = rows
      .filter(({ userAgent }) => userAgent.startsWith("JsSIP"))
      .map(({ aor, transport, gateway }) => `${aor} ${transport} ${gateway.split(".")[0]}`);
    const places = doors.map((door) => (door === "gateway" ? "g1" : door));
    expect(shown.toSorted()).toEqual([`browser@example.test ws ${places[0]}`, `other@example.test ws ${places[1]}`]);
  });

  it("[RFC3261 22] JsSIP with a wrong password is refused with 401", async () => {
    const stranger = new Softphone(wayOf(system, "WS", doors[0]), { user: "browser", password: "wrong" });
    softphones.push(stranger);
    expect(await stranger.register()).toBe("401");
  });

  it("[RFC3428] MESSAGE between the softphones, and to nobody", async () => {
    expect(await softphone.message(other.addressOfRecord, "Grüße \u{1F4DE}")).toBe(200);
    expect(other.messages).toEqual([{ from: "browser", text: "Grüße \u{1F4DE}" }]);
    expect(await softphone.message("sip:nobody@example.test", "?")).toBe(404);
  });

  it("[RFC3261 13] the softphones call each other from cell to cell, change the session, and hang up", async () => {
    for (const [from, to] of [
      [softphone, other],
      [other, softphone],
    ] as const) {
      const outgoing = from.call(to.addressOfRecord);
      const incoming = await to.ringing();
      await outgoing.until("progress");
      incoming.answer();
      await Promise.all([outgoing.until("confirmed"), incoming.until("confirmed")]);
      await outgoing.renegotiate();
      await incoming.renegotiate();
      expect([outgoing.events.at(-1), incoming.events.at(-1)]).toEqual(["reinvite", "reinvite"]);
      incoming.hangUp();
      await Promise.all([outgoing.until("ended Terminated"), incoming.until("ended Terminated")]);
    }
  });

  it("[RFC3261 9] a softphone cancels, and one rejects", async () => {
    const cancelled = softphone.call(other.addressOfRecord);
    const missed = await other.ringing();
    await cancelled.until("progress");
    cancelled.hangUp();
    await missed.until("failed Canceled");
    const rejected = softphone.call(other.addressOfRecord);
    (await other.ringing()).hangUp();
    await rejected.until("failed Unavailable");
    expect([...cancelled.events, ...rejected.events]).toEqual(["progress", "failed Canceled", "progress", "failed Unavailable"]);
  });

  describe.each(transports)("JsSIP and npm's sip over %s", (transport) => {
    const phoneOf = (): Phone => {
      const phone = phones.find(({ way }) => way.transport === transport);
      if (phone === undefined) throw new Error(`no phone has ${transport}`);
      return phone;
    };

    it("[RFC3261 13] JsSIP calls: a re-INVITE from each side, BYE from JsSIP", async () => {
      const phone = phoneOf();
      const call = softphone.call(phone.addressOfRecord);
      const invite = await phone.next("INVITE");
      phone.answer(invite, 180, "Ringing");
      await call.until("progress");
      phone.answer(invite, 200, "OK", sdpOf(phone));
      await phone.next("ACK");
      await call.until("confirmed");
      const renegotiated = call.renegotiate();
      phone.answer(await phone.next("INVITE"), 200, "OK", sdpOf(phone, 2));
      await phone.next("ACK");
      await renegotiated;
      const dialog = Dialog.ofRequest(phone, invite);
      expect(await dialog.request("INVITE", sdpOf(phone, 3))).toMatchObject({ status: 200 });
      await call.until("reinvite");
      call.hangUp();
      phone.answer(await phone.next("BYE"), 200, "OK");
      await call.until("ended Terminated");
    });

    it("[RFC3261 13] JsSIP is called; the other hangs up", async () => {
      const phone = phoneOf();
      const call = new OutgoingCall(phone, softphone.addressOfRecord);
      const incoming = await softphone.ringing();
      await call.untilProvisional(180);
      incoming.answer();
      const dialog = await call.untilAnswered();
      await incoming.until("confirmed");
      expect(await dialog.request("BYE")).toMatchObject({ status: 200 });
      await incoming.until("ended Terminated");
    });

    it("[RFC3261 11] OPTIONS to JsSIP is answered by JsSIP", async () => {
      const phone = phoneOf();
      const response = await phone.request("OPTIONS", softphone.addressOfRecord, softphone.addressOfRecord);
      expect(response).toMatchObject({ status: 200 });
      expect(response.headers["allow"]).toContain("REFER");
    });
  });
});
