import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import type { ObjectCounts } from "../../bench/cost/meter.ts";
import { MeteredSystem, meterReportOf } from "../../bench/cost/metered-system.ts";
import { isStatus } from "../../cli/status.ts";
import { until } from "../../kit/world/until.ts";
import { outgoingMax } from "../../workers/limits.ts";
import { Registrant } from "./clients/registrant.ts";

/** What one event may ask of others on the free plan: https://developers.cloudflare.com/workers/platform/limits/#subrequests */
const subrequestsMax = 50;

const directories: string[] = [];
const undo: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const each of undo.splice(0).toReversed()) await each();
  for (const path of directories.splice(0)) rmSync(path, { recursive: true, force: true, maxRetries: 5 });
});

function directory(): string {
  const path = mkdtempSync(join(tmpdir(), "tandem-edge-"));
  directories.push(path);
  return path;
}

/** Which of the limits the objects of a cell have met, by their kind. */
async function countsAt(url: string): Promise<Readonly<Record<string, ObjectCounts>>> {
  return (await meterReportOf(url)).objects;
}

it("stays within Cloudflare's limits while two of four cells are frozen: six requests of an object at once, fifty of an event", async () => {
  const system = await MeteredSystem.start({ directory }, 1, 4);
  undo.push(() => system.stop());
  const [a, b, c] = system.cells;
  if (a === undefined || b === undefined || c === undefined) throw new Error("no cells");
  const phones: Registrant[] = [];
  for (let number = 0; number < 12; number += 1) {
    const phone = await Registrant.connect(a.url, system.domain);
    undo.push(() => phone.close());
    phones.push(phone);
  }
  const register = async (round: number): Promise<void> => {
    await Promise.allSettled(phones.map(async (phone, index) => await phone.register(`u${round}x${index}`)));
  };
  await register(0);
  for (const { pid } of [b, c]) {
    process.kill(pid, "SIGSTOP");
    undo.push(() => void process.kill(pid, "SIGCONT"));
  }
  // Of what is asked meanwhile much goes to lines and replicas that are frozen.
  void register(1);
  await until(async () => {
    const status = await system.touch();
    return isStatus(status) && [b.id, c.id].every((id) => status.cells.some((cell) => cell.id === id && (cell.missed ?? 0) >= 8));
  }, 100_000);
  for (const [kind, { outgoingMost, subrequestsMost }] of Object.entries(await countsAt(a.url))) {
    expect([kind, outgoingMost <= outgoingMax, subrequestsMost <= subrequestsMax]).toEqual([kind, true, true]);
  }
  // It was counted: beats to three others, of which two do not answer.
  expect((await countsAt(a.url))["core group"]?.outgoingMost).toBeGreaterThanOrEqual(4);
});
