import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { establish, exchange, OutgoingCall, sdpOf } from "./clients/call.ts";
import { Phone } from "./clients/phone.ts";
import { accountOf, addSubscribers } from "../../kit/world/subscribers.ts";
import type { Transport } from "./clients/stack.ts";
import { wayOf } from "./clients/way.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";

/** A gateway holds no call: killed with -9 in the middle of one over UDP and started again by the supervisor, the call goes on. */

let system: Tandem;
let alice: Phone;
let bob: Phone;
const phones: Phone[] = [];

beforeAll(async () => {
  system = await startTandem();
  await addSubscribers(system, ["alice", "bob", "carol"].map(accountOf));
  alice = await registered("alice", "UDP");
  bob = await registered("bob", "UDP");
});

afterAll(async () => {
  for (const phone of phones) phone.close();
  await system?.stop();
});

async function registered(user: string, transport: Transport): Promise<Phone> {
  const phone = await Phone.open(wayOf(system, transport), accountOf(user));
  phones.push(phone);
  const { status, reason } = await phone.register();
  if (status !== 200) throw new Error(`${user} cannot register: ${status} ${reason}`);
  return phone;
}

const gatewayPid = (): number => system.run.gateways[0]?.pid ?? 0;

function killGateway(): number {
  const pid = gatewayPid();
  process.kill(pid, "SIGKILL");
  return pid;
}

/** A call that rings. */
async function ringing(): Promise<{ outgoing: OutgoingCall; answer: (status: number, reason: string, sdp?: string) => void }> {
  const outgoing = new OutgoingCall(alice, bob.addressOfRecord);
  const invite = await bob.next("INVITE", outgoing.callId);
  bob.answer(invite, 180, "Ringing");
  await outgoing.untilProvisional(180);
  return { outgoing, answer: (status, reason, sdp) => bob.answer(invite, status, reason, sdp) };
}

async function wholeCall(from: Phone, to: Phone): Promise<void> {
  const { caller } = await establish(from, to);
  expect(await exchange("BYE", caller, to)).toMatchObject({ status: 200 });
}

it("[RFC3261 14] [RFC3261 15] killed during calls over UDP: BYE of the caller, BYE of the callee, re-INVITE; and a new call", async () => {
  const [first, second, third] = [await establish(alice, bob), await establish(alice, bob), await establish(bob, alice)];
  const killed = killGateway();
  expect(
    await Promise.all([
      exchange("BYE", first.caller, bob),
      exchange("BYE", second.callee, alice),
      exchange("INVITE", third.callee, bob, sdpOf(alice, 2)),
    ]),
  ).toMatchObject([{ status: 200 }, { status: 200 }, { status: 200, content: sdpOf(bob, 2) }]);
  expect(gatewayPid()).not.toBe(killed);
  expect(await exchange("BYE", third.caller, alice)).toMatchObject({ status: 200 });
  await wholeCall(alice, bob);
  await wholeCall(bob, alice);
});

it("[RFC3261 13.3.1.4] [RFC3261 9] killed while calls ring over UDP: one is answered, one cancelled; one begins in between", async () => {
  const [answered, cancelled] = [await ringing(), await ringing()];
  killGateway();
  const begun = establish(bob, alice);
  answered.answer(200, "OK", sdpOf(bob));
  const cancelling = cancelled.outgoing.cancel();
  const dialog = await answered.outgoing.untilAnswered();
  await bob.next("ACK", answered.outgoing.callId);
  expect(await exchange("BYE", dialog, bob)).toMatchObject({ status: 200 });
  bob.answer(await bob.next("CANCEL"), 200, "OK");
  cancelled.answer(487, "Request Terminated");
  expect(await cancelling).toMatchObject({ status: 200 });
  expect(await cancelled.outgoing.final).toMatchObject({ status: 487 });
  expect(await exchange("BYE", (await begun).caller, alice)).toMatchObject({ status: 200 });
});

it("[RFC3261 18.1.1] a phone over TCP is called by a new connection to its Contact, or on the one that it registers on again", async () => {
  // The stack says so on the console when a connection goes.
  const said = vi.spyOn(console, "log").mockImplementation(() => undefined);
  const carol = await registered("carol", "TCP");
  const killed = killGateway();
  await until(async () => gatewayPid() !== killed && (await alice.register()).status === 200);
  await wholeCall(alice, carol);
  expect(await carol.register()).toMatchObject({ status: 200 });
  await wholeCall(alice, carol);
  await wholeCall(carol, alice);
  said.mockRestore();
});
