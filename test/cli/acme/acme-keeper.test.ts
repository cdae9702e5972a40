import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generate } from "selfsigned";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { AcmeGroup } from "../../../cli/acme-group.ts";
import { AcmeKeeper } from "../../../cli/acme/acme-keeper.ts";
import { doorLookMs, orderLookMs } from "../../../cli/acme/limits.ts";
import type { AcmeSettings } from "../../../cli/settings.ts";
import { StateDirectory } from "../../../cli/state-directory.ts";
import type { ServedCertificate } from "../../../cluster/authority/served.ts";

const name = "pbx.example.test";
const settings: AcmeSettings = { mail: "a@example.test", directory: "https://ca.invalid/dir", ca: undefined, names: [name], port: 80 };
let directory: string;
let state: StateDirectory;
/** What happened: what was said, told to the group, and how often gateways were to read their files. */
let said: string[];
let kept: ServedCertificate[];
let shown: number;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "tandem-keeper-"));
  state = new StateDirectory(directory);
  [said, kept, shown] = [[], [], 0];
  const own = await made("Tandem CA of example.test", 1);
  writeFileSync(join(directory, "cert.pem"), own.chain);
  writeFileSync(join(directory, "key.pem"), own.key);
});

afterEach(() => {
  vi.useRealTimers();
  rmSync(directory, { recursive: true, force: true });
});

/** A certificate that is good for so many days from now, and was issued so many hours ago. */
async function made(issuer: string, days: number, hoursAgo = 1): Promise<ServedCertificate> {
  const until = new Date(Date.now() + days * 86_400_000);
  const { cert, private: key } = await generate([{ name: "commonName", value: issuer }], {
    keyType: "ec",
    notBeforeDate: new Date(Date.now() - hoursAgo * 3_600_000),
    notAfterDate: until,
    extensions: [{ name: "subjectAltName", altNames: [{ type: 2, value: name }] }],
  });
  return {
    directory: settings.directory,
    names: [name],
    chain: `${cert.trim()}\n`,
    key: `${key.trim()}\n`,
    until: Math.floor(until.getTime() / 1000) * 1000,
  };
}

function keeperIn(group: Partial<AcmeGroup>): AcmeKeeper {
  const keeper = new AcmeKeeper({
    settings,
    state,
    hosts: ["127.0.0.1"],
    group: {
      mayOrder: () => false,
      hasOthers: () => true,
      served: () => Promise.resolve(undefined),
      keep: (served) => Promise.resolve(void kept.push(served)),
      order: () => Promise.resolve(false),
      open: () => undefined,
      ...group,
    },
    changed: () => Promise.resolve(void (shown += 1)),
    say: (event, cause) => void said.push(`${event}: ${cause}`),
  });
  keeper.filesWith({ ca: undefined, certificate: join(directory, "cert.pem"), key: join(directory, "key.pem") });
  return keeper;
}

const fileText = (): string => readFileSync(join(directory, "acme", "gateway.pem"), "utf8");

it("shows what another machine has ordered, and the later one when there is one", async () => {
  const [first, later] = [await made("some CA", 30, 2), await made("some CA", 20, 1)];
  let served = first;
  const keeper = keeperIn({ served: () => Promise.resolve(served) });
  expect(await keeper.look()).toMatch(/^good until /);
  expect(fileText()).toBe(`${first.key}${first.chain}`);
  expect([said.length, shown]).toEqual([1, 1]);
  expect(said[0]).toMatch(/^renewed: certificate of pbx\.example\.test by ACME until \d{4}-\d\d-\d\d, from another machine$/);
  served = later;
  await keeper.look();
  served = first;
  await keeper.look();
  expect(fileText()).toBe(`${later.key}${later.chain}`);
  expect(shown).toBe(2);
  // It has no cell, and says nothing to the others.
  expect(kept).toEqual([]);
});

it("has cells keep what it shows, where they have none or an older one", async () => {
  const [first, later] = [await made("some CA", 30, 2), await made("some CA", 20, 1)];
  let served: ServedCertificate | undefined = later;
  const keeper = keeperIn({ mayOrder: () => true, served: () => Promise.resolve(served) });
  await keeper.look();
  expect(kept).toEqual([]);
  served = undefined;
  await keeper.look();
  served = first;
  await keeper.look();
  for (const each of kept) expect({ ...each, until: 0 }).toEqual({ ...later, until: 0 });
  expect(kept).toHaveLength(2);
});

it("orders none while another machine does, and waits for one that has a cell where it has none", async () => {
  expect(await keeperIn({ mayOrder: () => true }).look()).toBe("another machine orders it");
  expect(await keeperIn({}).look()).toBe("none yet: a machine with a cell that was started with --acme is to order it");
  expect([said, shown]).toEqual([[], 0]);
});

it("says once what is none for its names, shows what it has, and has cells keep that", async () => {
  const [good, other, next] = [await made("some CA", 30, 3), await made("some CA", 60, 2), await made("some CA", 30, 1)];
  let served = good;
  const keeper = keeperIn({ mayOrder: () => true, served: () => Promise.resolve(served) });
  await keeper.look();
  [said, kept] = [[], []];
  for (const bad of [{ until: Number.MAX_SAFE_INTEGER }, { key: good.key }, { chain: "none" }]) {
    served = { ...other, ...bad };
    await keeper.look();
    expect(fileText()).toBe(`${good.key}${good.chain}`);
    expect(kept.at(-1)).toEqual(good);
  }
  await keeper.look();
  const line = "warns: what cells keep as the certificate of pbx.example.test is not shown here:";
  const replace = "tandem reload --renew-certificate on a machine with a cell replaces it";
  expect(said).toEqual([`${line} it ends at another time than was said; ${replace}`, `${line} it cannot be read; ${replace}`]);
  served = next;
  await keeper.look();
  expect(fileText()).toBe(`${next.key}${next.chain}`);
});

it("orders another one when it is told to, though the one it shows is good for long", async () => {
  const good = await made("some CA", 60);
  const orders: number[] = [];
  const keeper = (mayOrder: boolean, isFree: boolean): AcmeKeeper =>
    keeperIn({
      mayOrder: () => mayOrder,
      served: () => Promise.resolve(good),
      order: (forMs) => Promise.resolve((orders.push(forMs), isFree)),
    });
  expect(await keeper(true, true).look()).toMatch(/^good until /);
  await expect(keeper(false, true).renew()).rejects.toThrow("renew it on one that has a cell and was started with --acme");
  expect(orders).toEqual([]);
  await expect(keeper(true, false).renew()).rejects.toThrow("another machine orders a certificate now: try again in a minute");
  // There is no authority in this test: it was asked, and all is as it was.
  const asked = keeper(true, true);
  await expect(asked.renew()).rejects.toThrow("ca.invalid");
  expect(orders).toHaveLength(3);
  expect(fileText()).toBe(`${good.key}${good.chain}`);
  expect(await asked.look()).toMatch(/^good until /);
});

it("tries again soon after the order of another machine has ended", async () => {
  vi.useFakeTimers();
  let isOpen = true;
  let tries = 0;
  const keeper = keeperIn({
    mayOrder: () => true,
    order: () => Promise.resolve((tries += 1) === 0),
    open: () => (isOpen ? { host: "h2", until: Date.now() + 1_000, challenges: [] } : undefined),
  });
  keeper.start();
  await vi.advanceTimersByTimeAsync(10 * orderLookMs);
  expect(tries).toBe(1);
  isOpen = false;
  await vi.advanceTimersByTimeAsync(2 * doorLookMs);
  expect(tries).toBe(2);
  // Yet another one was first: not at once again.
  await vi.advanceTimersByTimeAsync(orderLookMs - 2 * doorLookMs);
  expect(tries).toBe(2);
  await vi.advanceTimersByTimeAsync(3 * doorLookMs);
  expect(tries).toBe(3);
  await keeper.stop();
});

it("takes nothing that is for other names, or for another key", async () => {
  const [one, other] = [await made("some CA", 30), await made("some CA", 30)];
  const before = ((): string => {
    keeperIn({});
    return fileText();
  })();
  await keeperIn({ served: () => Promise.resolve({ ...one, key: other.key }) }).look();
  await keeperIn({ served: () => Promise.reject(new Error("nobody answers")) }).look();
  expect([fileText(), shown]).toEqual([before, 0]);
});
