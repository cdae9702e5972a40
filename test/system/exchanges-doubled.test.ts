import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { accountOf, addSubscribers } from "../../kit/world/subscribers.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";
import type { Group } from "../../schemas/api-answers.ts";
import { callAll, exchange, OutgoingCall, sdpOf } from "./clients/call.ts";
import { Phone } from "./clients/phone.ts";
import { wayOf } from "./clients/way.ts";

/** Enough users that half of them have another exchange than before. */
const users = Array.from({ length: 16 }, (_, index) => `user${index}`);

let system: Tandem;
const phones: Phone[] = [];

beforeAll(async () => {
  system = await startTandem({ cells: 2, exchanges: 4 });
  await addSubscribers(system, users.map(accountOf));
  for (const [index, user] of users.entries()) {
    const phone = await Phone.open(wayOf(system, index % 2 === 0 ? "UDP" : "WS"), accountOf(user));
    phones.push(phone);
    expect(await phone.register()).toMatchObject({ status: 200 });
  }
});

afterAll(async () => {
  for (const phone of phones) phone.close();
  await system?.stop();
});

async function json<Answer>(...words: string[]): Promise<Answer> {
  const { code, out, err } = await system.cli(...words, "--json");
  if (code !== 0) throw new Error(err);
  return JSON.parse(out) as Answer;
}

/** Each phone rings for a call of the one before it. */
async function ringAll(): Promise<{ readonly call: OutgoingCall; readonly answer: () => void }[]> {
  const ringing: { readonly call: OutgoingCall; readonly answer: () => void }[] = [];
  for (const [index, phone] of phones.entries()) {
    const callee = phones[(index + 1) % phones.length] ?? phone;
    const call = new OutgoingCall(phone, callee.addressOfRecord);
    const invite = await callee.next("INVITE", call.callId);
    callee.answer(invite, 180, "Ringing");
    await call.untilProvisional(180);
    ringing.push({ call, answer: () => callee.answer(invite, 200, "OK", sdpOf(callee)) });
  }
  return ringing;
}

it("four exchanges become eight while calls stand and ring: all of them go on, and everybody is registered once", async () => {
  const standing = await callAll(phones);
  const ringing = await ringAll();
  expect(await json("exchanges", "double")).toEqual({ before: 4, exchanges: 8 });
  const { exchanges } = await json<Group>("group");
  expect(exchanges.map(({ state }) => state)).toEqual(Array.from({ length: 8 }, () => "paired"));
  // Every other call is given up, and the others are answered.
  for (const { call, answer } of ringing.filter((_, index) => index % 2 === 0)) {
    answer();
    await call.untilAnswered();
  }
  for (const { call } of ringing.filter((_, index) => index % 2 === 1)) {
    expect(await call.cancel()).toMatchObject({ status: 200 });
    expect(await call.final).toMatchObject({ status: 487 });
  }
  for (const { caller, callee } of standing) expect(await exchange("BYE", caller, callee)).toMatchObject({ status: 200 });
  const registered = await json<{ readonly aor: string }[]>("registrations");
  expect(registered.map(({ aor }) => aor).toSorted()).toEqual(users.map((user) => `${user}@${system.domain}`).toSorted());
  expect(await json<string[]>("subscriber", "list")).toHaveLength(users.length + 3);
  for (const phone of phones) expect(await phone.register()).toMatchObject({ status: 200 });
  for (const { caller, callee } of await callAll(phones)) expect(await exchange("BYE", caller, callee)).toMatchObject({ status: 200 });
  expect(JSON.parse(readFileSync(join(system.state, "cluster.json"), "utf8"))).toMatchObject({ exchanges: 8 });
});
