import type { Request } from "sip";
import { afterAll, beforeAll, expect, it } from "vitest";
import { UdpPhone } from "../gateway/phones.ts";
import { requestText } from "../gateway/sip-text.ts";
import { establish, exchange, OutgoingCall, sdpOf } from "./clients/call.ts";
import { Phone, randomId } from "./clients/phone.ts";
import { accountOf, addSubscribers } from "../../kit/world/subscribers.ts";
import { transports } from "./clients/stack.ts";
import { wayOf } from "./clients/way.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";

/** Enough users that either cell serves some of them. */
const users = Array.from({ length: 8 }, (_, index) => `user${index}`);
const gatewayTransports = transports.filter((transport) => transport !== "WS");

let system: Tandem;
const phones: Phone[] = [];

beforeAll(async () => {
  system = await startTandem();
  await addSubscribers(system, users.map(accountOf));
  for (const [index, user] of users.entries()) {
    const transport = gatewayTransports[index % gatewayTransports.length] ?? "UDP";
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

type Row = { readonly aor: string; readonly primary: string; readonly transport: string };

async function rows(): Promise<Row[]> {
  const { code, out, err } = await system.cli("registrations", "--json");
  if (code !== 0) throw new Error(err);
  return JSON.parse(out);
}

const names = (some: Row[]): string[] => some.map(({ aor, transport }) => `${aor} ${transport}`).toSorted();

const pidOf = (cell: string): number => system.run.cells.find(({ id }) => id === cell)?.pid ?? 0;

function phoneOf(aor: string | undefined): Phone {
  const phone = phones.find(({ addressOfRecord }) => addressOfRecord === `sip:${aor}`);
  if (phone === undefined) throw new Error(`no phone is ${aor}`);
  return phone;
}

/** What the gateway says to a datagram. */
async function answerTo(method: string, uri: string): Promise<string> {
  const phone = await UdpPhone.open();
  try {
    const { host, port } = wayOf(system, "UDP");
    const via = `SIP/2.0/UDP 127.0.0.1:${phone.port};rport;branch=z9hG4bK${randomId()}`;
    phone.send(requestText(method, uri, { via, callId: randomId() }), port, host);
    await until(() => phone.inbox.all !== "");
    return phone.inbox.all;
  } finally {
    phone.close();
  }
}

/** Everybody is called, and calls. */
async function everybodyCalls(): Promise<void> {
  for (const [index, phone] of phones.entries()) {
    const other = phones[(index + 1) % phones.length] ?? phone;
    const { caller } = await establish(phone, other);
    expect(await exchange("BYE", caller, other)).toMatchObject({ status: 200 });
  }
}

it.each(["a", "b"])(
  "[RFC3261 15] cell %s is killed and started again: its registrations are back from its disk, its calls go on",
  async (cell) => {
    const before = await rows();
    expect(before).toHaveLength(users.length);
    const callee = phoneOf(before.find(({ primary }) => primary === cell)?.aor);
    const caller = phones.find((phone) => phone !== callee) ?? callee;
    const call = await establish(caller, callee);
    const killed = pidOf(cell);
    process.kill(killed, "SIGKILL");
    expect(await exchange("BYE", call.caller, callee)).toMatchObject({ status: 200 });
    await until(() => pidOf(cell) !== killed);
    expect(names(await rows())).toEqual(names(before));
    await everybodyCalls();
  },
);

it("[RFC3261 17.1.2] a REGISTER while both cells are down for a moment is served when they are back", async () => {
  for (const { pid } of system.run.cells) process.kill(pid, "SIGKILL");
  for (const phone of phones) expect(await phone.register()).toMatchObject({ status: 200 });
  await everybodyCalls();
});

type Ringing = { readonly call: OutgoingCall; readonly callee: Phone; readonly invite: Request };

async function ring(caller: Phone, callee: Phone): Promise<Ringing> {
  const call = new OutgoingCall(caller, callee.addressOfRecord);
  const invite = await callee.next("INVITE", call.callId);
  callee.answer(invite, 180, "Ringing");
  await call.untilProvisional(180);
  return { call, callee, invite };
}

/** The caller hangs up: the answers to its CANCEL and to its INVITE. */
async function cancelled({ call, callee, invite }: Ringing): Promise<number[]> {
  const { status } = await call.cancel();
  callee.answer(await callee.next("CANCEL", call.callId), 200, "OK");
  callee.answer(invite, 487, "Request Terminated");
  const final = await call.final;
  // Of the replica that cancelled it, which the stack keeps to itself, or of the caller.
  await until(() => callee.heard.includes(`ACK ${call.callId}`));
  return [status, final.status];
}

/** The callee answers, and the caller ends the call: the answers to INVITE and BYE. */
async function answered({ call, callee, invite }: Ringing): Promise<number[]> {
  callee.answer(invite, 200, "OK", sdpOf(callee));
  const dialog = await call.untilAnswered();
  await callee.next("ACK", call.callId);
  const { status } = await call.final;
  return [status, (await exchange("BYE", dialog, callee)).status];
}

it("[RFC3261 16.10] both cells are killed while phones ring: those whose callers hang up fall silent, the others can be answered", async () => {
  const calls: Ringing[] = [];
  for (const [index, caller] of phones.entries()) calls.push(await ring(caller, phones[(index + 3) % phones.length] ?? caller));
  // By then every frame with an INVITE is acknowledged: none comes again.
  await everybodyCalls();
  const killed = system.run.cells.map(({ pid }) => pid);
  for (const pid of killed) process.kill(pid, "SIGKILL");
  await until(() => system.run.cells.every(({ pid }) => !killed.includes(pid)));
  const statuses = [];
  for (const [index, call] of calls.entries()) statuses.push(await (index % 2 === 0 ? cancelled(call) : answered(call)));
  expect(statuses).toEqual(calls.map((_, index) => (index % 2 === 0 ? [200, 487] : [200, 200])));
});

it("[RFC3261 21.5.4] both cells hang: OPTIONS to the gateway is answered 503, REGISTER 503 with Retry-After; then all is well again", async () => {
  const options = (): Promise<string> => answerTo("OPTIONS", `sip:127.0.0.1:${system.firstPort}`);
  expect(await options()).toMatch(/^SIP\/2\.0 200 /);
  const pids = system.run.cells.map(({ pid }) => pid);
  for (const pid of pids) process.kill(pid, "SIGSTOP");
  try {
    await until(async () => (await options()).startsWith("SIP/2.0 503 "));
    expect(await answerTo("REGISTER", "sip:example.test")).toMatch(/^SIP\/2\.0 503 [^]*\r\nRetry-After: \d+\r\n/);
  } finally {
    for (const pid of pids) process.kill(pid, "SIGCONT");
  }
  await until(async () => (await options()).startsWith("SIP/2.0 200 "));
  expect(await rows()).toHaveLength(users.length);
  await everybodyCalls();
});
