import { afterAll, beforeAll, expect, it } from "vitest";
import { accountOf } from "../../kit/world/subscribers.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";
import { UdpPhone } from "../gateway/phones.ts";
import { requestText } from "../gateway/sip-text.ts";
import { establish, exchange } from "./clients/call.ts";
import { Phone } from "./clients/phone.ts";
import type { Transport, Way } from "./clients/stack.ts";

/** One of two gateways is drained while its phones talk: they keep what they have, go to the other one, and no call is lost. */

let system: Tandem;
const phones: Phone[] = [];

beforeAll(async () => {
  system = await startTandem({ auth: "open", gateways: 2 });
});

afterAll(async () => {
  for (const phone of phones) phone.close();
  await system?.stop();
});

/** How a gateway is reached. */
function wayOf(gateway: number, transport: Transport): Way {
  const listener = system.run.gateways[gateway]?.listeners.find((one) => one.transport === transport);
  if (listener === undefined) throw new Error(`gateway ${gateway} does not listen for ${transport}`);
  return { transport, host: listener.host, port: listener.port, ca: "", domain: system.domain };
}

async function registered(user: string, gateway: number, transport: Transport): Promise<Phone> {
  const phone = await Phone.open(wayOf(gateway, transport), accountOf(user));
  phones.push(phone);
  expect(await phone.register()).toMatchObject({ status: 200 });
  return phone;
}

/** What the first gateway says to whoever probes it. */
async function probed(): Promise<string> {
  const probe = await UdpPhone.open();
  probe.send(requestText("OPTIONS", `sip:${system.domain}`), wayOf(0, "UDP").port);
  const answer = await probe.inbox.untilText("\r\n");
  probe.close();
  return answer.slice("SIP/2.0 ".length, "SIP/2.0 200".length);
}

async function stateOf(gateway: string): Promise<string> {
  const { gateways } = JSON.parse((await system.cli("status", "--json")).out) as { readonly gateways: readonly Record<string, string>[] };
  return gateways.find(({ id }) => id === gateway)?.["state"] ?? "";
}

async function call(from: Phone, to: Phone): Promise<void> {
  const { caller } = await establish(from, to);
  expect(await exchange("BYE", caller, to)).toMatchObject({ status: 200 });
}

it("keeps its calls and takes new ones, sends connections away, says what is left, and when nothing is", { timeout: 60_000 }, async () => {
  const alice = await registered("alice", 0, "UDP");
  const bob = await registered("bob", 0, "UDP");
  const carol = await registered("carol", 0, "TCP");
  const standing = await establish(alice, bob);
  expect(await probed()).toBe("200");

  const drained = system.cli("drain", "g1", "--deadline", "0s");
  await until(async () => (await stateOf("g1")) === "draining");
  await until(async () => (await probed()) === "503");
  expect(await exchange("BYE", standing.caller, bob)).toMatchObject({ status: 200 });
  await call(bob, alice);

  // Closed after some quiet seconds; a phone that knows another gateway is back there.
  await until(async () => !(await namesBy("g1")).includes("carol"), 20_000);
  carol.close();
  const carolElsewhere = await registered("carol", 1, "TCP");
  await call(alice, carolElsewhere);
  for (const phone of [alice, bob]) expect(await phone.register(0)).toMatchObject({ status: 200 });

  const { code, out } = await drained;
  expect([code, out.split("\n").at(-2)]).toEqual([
    0,
    `Gateway g1 is out of service; npx tandem undrain g1 --state ${system.state} takes it back`,
  ]);
  expect(out).toMatch(
    /^Gateway g1 is draining, and has \d+ connections? and \d+ registrations? left(?:: \d+ .+ UTC if nothing more comes)?$/m,
  );
  expect(await system.cli("drain", "g2")).toMatchObject({
    code: 1,
    err: "tandem: gateway g2 stays in service: no other gateway is up that phones could go to\n",
  });
  expect(await system.cli("undrain", "g1")).toMatchObject({ code: 0, out: "Gateway g1 is in service\n" });
  await until(async () => (await probed()) === "200");
  expect(await stateOf("g1")).toBe("up");
});

async function namesBy(gateway: string): Promise<readonly string[]> {
  const listed = JSON.parse((await system.cli("registrations", "--json")).out) as readonly Record<string, string>[];
  return listed.filter((each) => each["gateway"] === gateway).map(({ aor = "" }) => aor.replace(/@.*/, ""));
}
