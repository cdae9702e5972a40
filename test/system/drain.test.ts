import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { ApiClient } from "../../cli/api-client.ts";
import type { Status } from "../../schemas/api-answers.ts";
import { isStatus } from "../../cli/status.ts";
import { establish, exchange } from "./clients/call.ts";
import { Phone } from "./clients/phone.ts";
import { Registrant } from "./clients/registrant.ts";
import { accountOf } from "../../kit/world/subscribers.ts";
import { wayOf } from "./clients/way.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";

const running: Tandem[] = [];
const phones: { close(): void }[] = [];

async function start(options: Parameters<typeof startTandem>[0] = {}): Promise<Tandem> {
  const system = await startTandem({ auth: "open", ...options });
  running.push(system);
  return system;
}

afterEach(async () => {
  for (const phone of phones.splice(0)) phone.close();
  await Promise.all(running.splice(0).map((system) => system.stop()));
});

async function phoneOf(system: Tandem, user: string): Promise<Phone> {
  const phone = await Phone.open(wayOf(system, "UDP"), accountOf(user));
  phones.push(phone);
  expect(await phone.register()).toMatchObject({ status: 200 });
  return phone;
}

/** Two phones whose users' exchange has its primary in this cell: which users those are depends on the system's key. */
async function twoPhonesOf(system: Tandem, cell: string): Promise<readonly [Phone, Phone]> {
  const found: Phone[] = [];
  for (let number = 1; number <= 40; number += 1) {
    const phone = await phoneOf(system, `u${number}`);
    const listed = await system.cli("registrations", `u${number}@${system.domain}`, "--json");
    if ((JSON.parse(listed.out) as { readonly primary: string }[])[0]?.primary === cell) found.push(phone);
    const [first, second] = found;
    if (first !== undefined && second !== undefined) return [first, second];
  }
  throw new Error(`none of 40 users has cell ${cell}`);
}

async function softphoneAt(system: Tandem, cell: string): Promise<Registrant> {
  const url = system.run.cells.find(({ id }) => id === cell)?.url ?? "";
  const softphone = await Registrant.connect(url, system.domain);
  phones.push(softphone);
  return softphone;
}

async function statusOf(system: Tandem): Promise<Status> {
  const status: unknown = JSON.parse((await system.cli("status", "--json")).out);
  if (!isStatus(status)) throw new Error("no status");
  return status;
}

/** What the gateway has said of going from one cell to another, since `from`. */
function returnsTo(system: Tandem, cell: string, from: number): number {
  return system.events
    .slice(from)
    .filter(({ text }) => typeof text === "string" && text.includes(" return ") && text.endsWith(`to=${cell}`)).length;
}

describe("a cell that is drained, killed and taken back", () => {
  it("is not missed: softphones go elsewhere, new calls to the other cell, the standing one goes on", async () => {
    const system = await start();
    const [caller, callee] = await twoPhonesOf(system, "a");
    const softphone = await softphoneAt(system, "a");
    expect(await softphone.register("soft")).toMatchObject({ status: 200 });
    const standing = [
      { call: await establish(caller, callee), other: callee },
      { call: await establish(callee, caller), other: caller },
    ];

    let said = system.events.length;
    expect(await system.cli("drain", "a")).toEqual({
      code: 0,
      out: `Cell a is out of service; npx tandem undrain a --state ${system.state} takes it back\n`,
      err: "",
    });
    expect(await softphone.untilClosed()).toBe(1012);
    await expect(softphoneAt(system, "a")).rejects.toThrow("503");
    const elsewhere = await softphoneAt(system, "b");
    expect(await elsewhere.register("soft")).toMatchObject({ status: 200 });
    const status = await statusOf(system);
    expect(status).toMatchObject({
      coordinator: "b",
      cells: [
        { id: "a", state: "draining", softphonesLeft: 0 },
        { id: "b", state: "up" },
      ],
    });
    expect(status.history.at(-1)).toMatchObject({ id: "a", from: "up", to: "draining", cause: "drained" });
    expect((await system.cli("status")).out).toMatch(/^a +draining, no softphones left /m);
    await until(() => returnsTo(system, "b", said) > 0);
    expect(await system.cli("drain", "b")).toEqual({
      code: 1,
      out: "",
      err: "tandem: cell b stays in service: no other cell is up that could take over\n",
    });

    const { pid } = system.run.cells[0] ?? { pid: 0 };
    process.kill(pid, "SIGKILL");
    for (const { call, other } of standing) expect(await exchange("BYE", call.caller, other)).toMatchObject({ status: 200 });
    const fresh = await establish(caller, callee);
    await until(() => system.run.cells[0]?.pid !== pid);
    await until(async () => (await statusOf(system)).cells[0]?.state === "draining");
    said = system.events.length;
    expect(await system.cli("undrain", "a")).toEqual({ code: 0, out: "Cell a is in service\n", err: "" });
    expect((await statusOf(system)).history.at(-1)).toMatchObject({ id: "a", from: "draining", to: "up", cause: "returned" });
    await until(() => returnsTo(system, "a", said) > 0);
    expect(await exchange("BYE", fresh.caller, callee)).toMatchObject({ status: 200 });
    expect(await (await softphoneAt(system, "a")).register("soft")).toMatchObject({ status: 200 });

    // As a script does it: the other cell may go as soon as a command has said that this one serves.
    for (const cell of ["b", "a", "b"]) {
      expect(await system.cli("drain", cell)).toMatchObject({ code: 0, err: "" });
      expect(await system.cli("undrain", cell)).toEqual({ code: 0, out: `Cell ${cell} is in service\n`, err: "" });
    }
  });
});

describe("the last cell", () => {
  it.each([
    ["of one", { cells: 1 }, "no other cell is up that could take over"],
    ["of two that do not replicate", { replication: "off" }, "without replication no other cell knows what it knows"],
  ] as const)("%s stays in service", async (_name, options, reason) => {
    const system = await start(options);
    const phone = await phoneOf(system, "u1");
    expect(await system.cli("drain", "a")).toEqual({ code: 1, out: "", err: `tandem: cell a stays in service: ${reason}\n` });
    expect((await statusOf(system)).cells[0]?.state).toBe("up");
    expect(await phone.register()).toMatchObject({ status: 200 });
    expect(await system.cli("drain", "z")).toEqual({ code: 1, out: "", err: "tandem: there is no cell, gateway or host z\n" });
  });
});

describe("--replication off", () => {
  it("keeps every record in one cell", async () => {
    const system = await start({ replication: "off" });
    const api = new ApiClient([system.run.cells[1]?.url ?? ""], readFileSync(join(system.state, "secret"), "utf8").trim());
    let users: readonly string[] = [];
    const rows = async (): Promise<{ readonly aor: string; readonly primary: string }[]> => {
      const listed = (await api.get("/api/registrations")) as { readonly aor: string; readonly primary: string }[];
      return listed.filter(({ aor }) => users.some((user) => aor.startsWith(`${user}@`)));
    };
    // Until the gateway has its way to an exchange's primary it takes the other cell, whose records nobody lists: other users then.
    let all: Awaited<ReturnType<typeof rows>> = [];
    await until(async () => {
      users = Array.from({ length: 6 }, (_, index) => `u${phones.length}-${index}`);
      for (const user of users) await phoneOf(system, user);
      all = await rows();
      return all.length === users.length;
    });
    const { pid } = system.run.cells[0] ?? { pid: 0 };
    process.kill(pid, "SIGSTOP");
    try {
      const own = all.filter(({ primary }) => primary === "b");
      expect(own.length).toBeLessThan(users.length);
      expect((await rows()).map(({ aor }) => aor).toSorted()).toEqual(own.map(({ aor }) => aor).toSorted());
    } finally {
      process.kill(pid, "SIGCONT");
    }
  });
});
