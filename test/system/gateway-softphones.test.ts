import { afterAll, beforeAll, expect, it } from "vitest";
import { establish, exchange } from "./clients/call.ts";
import { Phone } from "./clients/phone.ts";
import { Softphone } from "./clients/softphone.ts";
import type { Way } from "./clients/stack.ts";
import { accountOf, addSubscribers } from "../../kit/world/subscribers.ts";
import { secureWebSocketWayOf, wayOf } from "./clients/way.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";

/** What is particular to softphones whose WebSockets are at a gateway; that they call and are called is in softphones.test.ts. */

type Row = { readonly aor: string; readonly transport: string; readonly gateway: string };

let system: Tandem;
const open: { close(): void }[] = [];

beforeAll(async () => {
  system = await startTandem({ webSocket: true });
  await addSubscribers(system, ["alice", "bob", "carol", "browser"].map(accountOf));
});

afterAll(async () => {
  for (const phone of open) phone.close();
  await system?.stop();
});

async function registered(user: string, way: Way): Promise<Phone> {
  const phone = await Phone.open(way, accountOf(user));
  open.push(phone);
  expect(await phone.register()).toMatchObject({ status: 200 });
  return phone;
}

async function rowsOf(user: string): Promise<readonly Row[]> {
  return JSON.parse((await system.cli("registrations", user, "--json")).out);
}

it("run.json and the text of the start name the listeners", () => {
  const [gateway] = system.run.gateways;
  expect(gateway?.listeners.map(({ transport }) => transport)).toEqual(["UDP", "TCP", "TLS", "WS", "WSS"]);
  const step = system.events.find((event) => event["step"] === "gateways");
  expect(JSON.stringify(step)).toMatch(/ UDP TCP, \S+ TLS, \S+ WS, \S+ WSS/);
});

it("[RFC7118] over WSS, with a certificate that the domain's authority vouches for", async () => {
  const [bob, carol] = [await registered("bob", secureWebSocketWayOf(system)), await registered("carol", wayOf(system, "UDP"))];
  expect(await rowsOf("bob")).toMatchObject([{ transport: "wss", gateway: "g1" }]);
  for (const [from, to] of [
    [bob, carol],
    [carol, bob],
  ] as const) {
    const { caller } = await establish(from, to);
    expect(await exchange("BYE", caller, to)).toMatchObject({ status: 200 });
  }
});

it("[RFC5626 5.3] one whose WebSocket ends is not registered any more", async () => {
  const alice = await registered("alice", wayOf(system, "WS", "gateway"));
  expect(await rowsOf("alice")).toHaveLength(1);
  alice.close();
  await until(async () => (await rowsOf("alice")).length === 0);
});

it("[RFC5626 4.5] killed, the gateway comes back, and so do its softphones: they are called again, and listed once", async () => {
  const softphone = new Softphone(wayOf(system, "WS", "gateway"), accountOf("browser"));
  open.push(softphone);
  expect(await softphone.register()).toBe("registered");
  const killed = system.run.gateways[0]?.pid ?? 0;
  let registrations = 0;
  softphone.ua.on("registered", () => (registrations += 1));
  process.kill(killed, "SIGKILL");
  await until(() => registrations > 0);
  expect(system.run.gateways[0]?.pid).not.toBe(killed);
  const carol = await registered("carol", wayOf(system, "UDP"));
  expect(await carol.request("OPTIONS", softphone.addressOfRecord, softphone.addressOfRecord)).toMatchObject({ status: 200 });
  expect(await rowsOf("browser")).toMatchObject([{ transport: "ws", gateway: "g1" }]);
});
