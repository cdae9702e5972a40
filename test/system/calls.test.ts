import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Dialog, establish, exchange, OutgoingCall, sdpOf } from "./clients/call.ts";
import { Phone } from "./clients/phone.ts";
import { transports, type Transport } from "./clients/stack.ts";
import { accountOf, addSubscribers } from "../../kit/world/subscribers.ts";
import { wayOf } from "./clients/way.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";

/** Two of each transport: a call from UDP to UDP takes two phones as well. */
const callers = transports.map((transport) => ({ transport, user: `caller-${transport.toLowerCase()}` }));
const callees = transports.map((transport) => ({ transport, user: `callee-${transport.toLowerCase()}` }));
const pairings = transports.flatMap((from) => transports.map((to) => ({ from, to })));

let system: Tandem;
const phones: Phone[] = [];

beforeAll(async () => {
  system = await startTandem();
  const users = [...callers, ...callees].map(({ user }) => user);
  await addSubscribers(system, [...users, "away"].map(accountOf));
  for (const { transport, user } of [...callers, ...callees]) {
    const phone = await Phone.open(wayOf(system, transport), accountOf(user));
    phones.push(phone);
    const { status, reason } = await phone.register();
    if (status !== 200) throw new Error(`${user} cannot register: ${status} ${reason}`);
  }
});

afterAll(async () => {
  for (const phone of phones) phone.close();
  await system?.stop();
});

function phoneOf(user: string): Phone {
  const phone = phones.find(({ account }) => account.user === user);
  if (phone === undefined) throw new Error(`there is no ${user}`);
  return phone;
}

const callerOver = (transport: Transport): Phone => phoneOf(`caller-${transport.toLowerCase()}`);
const calleeOver = (transport: Transport): Phone => phoneOf(`callee-${transport.toLowerCase()}`);

it("[RFC3261 10] every phone is registered, over the transport that it has", async () => {
  const { out } = await system.cli("registrations", "--json");
  const rows: { aor: string; transport: string; gateway: string }[] = JSON.parse(out);
  expect(rows.map(({ aor, transport }) => `${aor} ${transport}`).toSorted()).toEqual(
    [...callers, ...callees].map(({ user, transport }) => `${user}@example.test ${transport.toLowerCase()}`).toSorted(),
  );
  for (const { transport, gateway } of rows) expect(gateway).toMatch(transport === "ws" ? /^[ab]\.\d+$/ : /^g1$/);
});

describe.each(pairings)("from $from to $to", ({ from, to }) => {
  it("[RFC3261 13] [RFC3261 14] INVITE, 180, 200, ACK, a re-INVITE from each side, BYE from the caller and from the callee", async () => {
    const [caller, callee] = [callerOver(from), calleeOver(to)];
    for (const hangsUp of ["caller", "callee"] as const) {
      const call = await establish(caller, callee);
      expect(await exchange("INVITE", call.caller, callee, sdpOf(caller, 2))).toMatchObject({ status: 200, content: sdpOf(callee, 2) });
      expect(await exchange("INVITE", call.callee, caller, sdpOf(callee, 3))).toMatchObject({ status: 200, content: sdpOf(caller, 2) });
      const bye = hangsUp === "caller" ? exchange("BYE", call.caller, callee) : exchange("BYE", call.callee, caller);
      expect(await bye).toMatchObject({ status: 200 });
    }
    expect([caller.inbox, callee.inbox]).toEqual([[], []]);
  });

  it("[RFC3428] MESSAGE arrives as it was written", async () => {
    const [caller, callee] = [callerOver(from), calleeOver(to)];
    const content = "Grüße, \u{1F4DE}\r\n\r\nSIP/2.0 200 OK\r\n";
    const octets = Buffer.from(content).toString("latin1");
    const sent = caller.request("MESSAGE", callee.addressOfRecord, callee.addressOfRecord, {
      headers: { "content-type": "text/plain;charset=utf-8" },
      content: octets,
    });
    const message = await callee.next("MESSAGE");
    callee.answer(message, 200, "OK");
    expect(message.content).toBe(octets);
    expect(message.headers).not.toHaveProperty("proxy-authorization");
    expect(await sent).toMatchObject({ status: 200 });
  });

  it("[RFC3261 9] CANCEL while it rings", async () => {
    const [caller, callee] = [callerOver(from), calleeOver(to)];
    const call = new OutgoingCall(caller, callee.addressOfRecord);
    const invite = await callee.next("INVITE", call.callId);
    callee.answer(invite, 180, "Ringing");
    await call.untilProvisional(180);
    const cancelled = call.cancel();
    callee.answer(await callee.next("CANCEL", call.callId), 200, "OK");
    callee.answer(invite, 487, "Request Terminated");
    expect(await cancelled).toMatchObject({ status: 200 });
    expect(await call.final).toMatchObject({ status: 487 });
  });

  it("[RFC3261 21.4.22] 486 from a phone that is busy", async () => {
    const [caller, callee] = [callerOver(from), calleeOver(to)];
    const call = new OutgoingCall(caller, callee.addressOfRecord);
    callee.answer(await callee.next("INVITE", call.callId), 486, "Busy Here");
    expect(await call.final).toMatchObject({ status: 486 });
  });
});

describe.each(transports)("over %s", (transport) => {
  it("[RFC3261 22] a wrong password: 401 again for REGISTER, 407 for INVITE", async () => {
    const { account } = callerOver(transport);
    const stranger = await Phone.open(wayOf(system, transport), { user: account.user, password: "wrong" });
    try {
      expect(await stranger.register()).toMatchObject({ status: 401 });
      expect(await new OutgoingCall(stranger, calleeOver(transport).addressOfRecord).final).toMatchObject({ status: 407 });
    } finally {
      stranger.close();
    }
  });

  it("[RFC3261 16.5] 404 for a user that does not exist, 480 for one that is not registered", async () => {
    const caller = callerOver(transport);
    expect(await new OutgoingCall(caller, "sip:nobody@example.test").final).toMatchObject({ status: 404 });
    expect(await new OutgoingCall(caller, "sip:away@example.test").final).toMatchObject({ status: 480 });
  });

  it("[RFC3261 10.2.2] a phone that has unregistered is not called any more; it comes back with its next REGISTER", async () => {
    const [caller, callee] = [callerOver(transport), calleeOver(transport)];
    expect(await callee.register(0)).toMatchObject({ status: 200 });
    expect(await new OutgoingCall(caller, callee.addressOfRecord).final).toMatchObject({ status: 480 });
    expect(await callee.register()).toMatchObject({ status: 200 });
    const { callee: side } = await establish(caller, callee);
    expect(side).toBeInstanceOf(Dialog);
    expect(await exchange("BYE", side, caller)).toMatchObject({ status: 200 });
  });
});

it("[RFC3261 17.1.1.2] no answer: over UDP the INVITE is repeated until the phone says something; that it gave up reaches the caller", async () => {
  const [caller, callee] = [callerOver("WS"), calleeOver("UDP")];
  const call = new OutgoingCall(caller, callee.addressOfRecord);
  const invite = await callee.next("INVITE", call.callId);
  const copies = (): number => callee.heard.filter((one) => one === `INVITE ${call.callId}`).length;
  await until(() => copies() >= 3);
  expect(call.provisional).toEqual([100]);
  callee.answer(invite, 180, "Ringing");
  await call.untilProvisional(180);
  callee.answer(invite, 480, "Temporarily Unavailable");
  expect(await call.final).toMatchObject({ status: 480 });
});
