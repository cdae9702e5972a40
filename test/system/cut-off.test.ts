import { afterEach, describe, expect, it } from "vitest";
import { Registrant } from "./clients/registrant.ts";
import { RiggedSystem } from "./rigged-system.ts";
import { until } from "../../kit/world/until.ts";

let system: RiggedSystem | undefined;
const softphones: Registrant[] = [];

afterEach(async () => {
  for (const softphone of softphones.splice(0)) softphone.close();
  await system?.stop();
  system = undefined;
});

async function softphoneAt(url: string, domain: string): Promise<Registrant> {
  const softphone = await Registrant.connect(url, domain);
  softphones.push(softphone);
  return softphone;
}

describe("a cell that reaches no other cell and no gateway", () => {
  it("[RFC3261 21.5.4] answers REGISTER with 503 and Retry-After, the others with 200; when it reaches them again, 200 too", async () => {
    const running = await RiggedSystem.open({ heartbeat: { periodMs: 200, missed: 3 } });
    system = running;
    const [cutOff, other] = [await softphoneAt(running.url("a"), running.domain), await softphoneAt(running.url("b"), running.domain)];
    // Users of both exchanges.
    const users = ["u1", "u2", "u3", "u4"];
    const statuses = async (softphone: Registrant): Promise<(number | undefined)[]> =>
      await Promise.all(users.map(async (user) => (await softphone.register(user))?.status));
    expect(await statuses(cutOff)).toEqual([200, 200, 200, 200]);
    running.cut();
    const isFenced = async (): Promise<boolean> => (await running.status("a")).cells[0]?.isFenced === true;
    await until(isFenced);
    for (const user of users) expect(await cutOff.register(user)).toEqual({ status: 503, retryAfter: expect.stringMatching(/^\d+$/) });
    expect(await statuses(other)).toEqual([200, 200, 200, 200]);
    expect((await running.status("b")).cells.map(({ id, state, isFenced: fenced }) => [id, state, fenced])).toEqual([
      ["a", "down", undefined],
      ["b", "up", undefined],
    ]);
    running.heal();
    await until(async () => !(await isFenced()));
    expect(await statuses(cutOff)).toEqual([200, 200, 200, 200]);
    // And what was refused meanwhile is nowhere.
    await until(async () => JSON.stringify([...(await running.contacts("a"))]) === JSON.stringify([...(await running.contacts("b"))]));
    expect((await running.contacts("b")).size).toBe(users.length);
  });
});

describe("two heartbeats that are lost between two cells", () => {
  it("change nothing: no state, no epoch, no line in the history", async () => {
    const running = await RiggedSystem.open();
    system = running;
    const seen = async (): Promise<unknown[]> => {
      const both = await Promise.all([running.status("a"), running.status("b")]);
      return both.map(({ cells, gateways, history }, asked) => [
        [...cells, ...gateways].map(({ id, state }) => [id, state]),
        cells[asked]?.epoch,
        history.length,
      ]);
    };
    /** ms since each cell has heard the other one, and whether it holds that against it. */
    const silences = async (): Promise<{ readonly ms: number; readonly isSuspect: boolean }[]> => {
      const [a, b] = await Promise.all([running.status("a"), running.status("b")]);
      return [a.cells[1], b.cells[0]].map((cell) => ({ ms: cell?.heardMs ?? 0, isSuspect: cell?.suspicion === "missed heartbeats" }));
    };
    await until(async () => (await silences()).every(({ ms }) => ms < 1_000));
    const before = await seen();
    running.cut();
    // One heartbeat is a suspicion after 1.75 s at the latest, the second was due after 2 s; the third is not missed before 2.75 s.
    await until(async () => (await silences()).every(({ ms, isSuspect }) => ms > 2_100 && isSuspect));
    running.heal();
    await until(async () => (await silences()).every(({ ms, isSuspect }) => ms < 1_000 && !isSuspect));
    const healedAt = performance.now();
    // As long as three more would take.
    await until(() => performance.now() - healedAt > 3_500);
    expect(await seen()).toEqual(before);
  });
});
