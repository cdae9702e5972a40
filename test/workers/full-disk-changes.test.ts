import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { DiskRoom } from "../../workers/disk-room.ts";
import { exchangeName } from "../../workers/environment.ts";
import { recordOctetsUsual } from "../../actors/limits.ts";
import { roomSlackOctets } from "../../workers/limits.ts";
import { answerAsPeer, callApi, domain, loopback, subscriberOf, userOf } from "./cell.ts";

/** Subscribers that an operator changes while the disk is full: it is said, and nothing has changed. */

const users = Array.from({ length: 10 }, (_, index) => userOf(`full${index}-`));

/** Each object finds room for so many octets; after its first question for so many. */
function roomFor(octets: number, later = octets): void {
  const asked = new WeakSet<DiskRoom>();
  const full = new WeakSet<DiskRoom>();
  vi.spyOn(DiskRoom.prototype, "ask").mockImplementation(function ask(this: DiskRoom, wanted) {
    const isRoom = wanted <= (asked.has(this) ? later : octets);
    asked.add(this);
    if (isRoom) full.delete(this);
    else full.add(this);
    return isRoom ? true : Promise.resolve(false);
  });
  vi.spyOn(DiskRoom.prototype, "isFull", "get").mockImplementation(function isFull(this: DiskRoom) {
    return full.has(this);
  });
}

async function listed(): Promise<string[]> {
  vi.restoreAllMocks();
  return await (await callApi("GET", "/subscribers")).json<string[]>();
}

async function put(...named: string[]): Promise<{ readonly status: number; readonly body: unknown }> {
  const response = await callApi(
    "PUT",
    "/subscribers",
    named.map((user) => subscriberOf(user, "new")),
  );
  return { status: response.status, body: await response.json() };
}

beforeEach(() => answerAsPeer(loopback));
afterEach(() => void vi.restoreAllMocks());

describe("a full disk", () => {
  it("refuses a list for which there is no room, though there would be for one of it", async () => {
    roomFor(5 * recordOctetsUsual);
    expect(await put(...users)).toEqual({ status: 507, body: { error: "the disk is full: nothing is stored" } });
    expect(await listed()).toEqual([]);
    roomFor(roomSlackOctets);
    expect(await put(...users)).toMatchObject({ status: 200 });
  });

  it("takes back what found no room any more when it was to be written: a new one, a new password, a removal", async () => {
    const [known = "", fresh = userOf("fresh")] = users;
    const exchange = env.EXCHANGE.getByName(exchangeName(0));
    await put(known);
    const before = await exchange.credentialsOf(`${known}@${domain}`);
    expect(before).toBeDefined();
    roomFor(roomSlackOctets, -1);
    const response = await callApi("PUT", "/subscribers", [subscriberOf(known, "other"), subscriberOf(fresh, "other")]);
    expect([response.status, await response.json()]).toEqual([507, { error: "the disk is full: nothing is stored" }]);
    vi.restoreAllMocks();
    expect(await exchange.credentialsOf(`${known}@${domain}`)).toEqual(before);
    roomFor(roomSlackOctets, -1);
    expect((await callApi("DELETE", `/subscribers?aor=${known}@${domain}`)).status).toBe(507);
    vi.restoreAllMocks();
    expect(await exchange.credentialsOf(`${known}@${domain}`)).toEqual(before);
  });

  it("says how many are stored when only some exchanges had room, and no stack goes to the log", async () => {
    const errors = vi.spyOn(console, "error");
    const many = Array.from({ length: 100 }, (_, index) => userOf(`some${index}-`, 1));
    roomFor(60 * recordOctetsUsual);
    expect(await put(userOf("one", 0), ...many)).toEqual({ status: 507, body: { error: "the disk is full: 1 of 101 stored" } });
    expect(errors).not.toHaveBeenCalled();
  });
});
