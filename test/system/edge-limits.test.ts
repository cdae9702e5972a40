import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import type { ObjectCounts } from "../../bench/cost/meter.ts";
import { MeteredSystem, meterReportOf } from "../../bench/cost/metered-system.ts";
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
  const beatsOf = async (): Promise<number> => (await countsAt(a.url))["core group"]?.alarms ?? 0;
  for (const { pid } of [b, c]) {
    process.kill(pid, "SIGSTOP");
    undo.push(() => void process.kill(pid, "SIGCONT"));
  }
  // Of what is asked meanwhile much goes to lines and replicas that are frozen. Nobody waits for the answers.
  for (const [index, phone] of phones.entries()) void phone.register(`u${index}`);
  const before = await beatsOf();
  await until(async () => (await beatsOf()) >= before + 8, 200_000);
  for (const [kind, { outgoingMost, subrequestsMost }] of Object.entries(await countsAt(a.url))) {
    expect([kind, outgoingMost <= outgoingMax, subrequestsMost <= subrequestsMax]).toEqual([kind, true, true]);
  }
  // It was counted: a beat goes to all three others at once, and two of them do not answer.
  expect((await countsAt(a.url))["core group"]?.outgoingMost).toBeGreaterThanOrEqual(3);
}, 300_000);
