import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { accountOf } from "../../kit/world/subscribers.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";
import { establish, exchange } from "./clients/call.ts";
import { Phone } from "./clients/phone.ts";
import { wayOf } from "./clients/way.ts";

const directory = mkdtempSync(join(tmpdir(), "tandem-clock-"));
const setBy = join(directory, "ms");
let system: Tandem | undefined;
const phones: Phone[] = [];

afterAll(async () => {
  for (const phone of phones) phone.close();
  await system?.stop();
  rmSync(directory, { recursive: true });
});

/** The wall clock of the Node processes, off by what the file says. That of workerd is the machine's, which nobody here may set. */
const clock = `import { readFileSync } from "node:fs";
const now = Date.now;
Date.now = () => now() + Number(readFileSync(${JSON.stringify(setBy)}, "utf8"));`;

async function phoneOf(running: Tandem, user: string): Promise<Phone> {
  const phone = await Phone.open(wayOf(running, "UDP"), accountOf(user));
  phones.push(phone);
  expect(await phone.register()).toMatchObject({ status: 200 });
  return phone;
}

it("starts the cells again, one after the other, when the clock is set back: a call goes on", async () => {
  writeFileSync(setBy, "0");
  const options = `--import data:text/javascript,${encodeURIComponent(clock)}`;
  const running = await startTandem({
    auth: "open",
    spawn: (command, args) => spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, NODE_OPTIONS: options } }),
  });
  system = running;
  const [caller, callee] = [await phoneOf(running, "u1"), await phoneOf(running, "u2")];
  const call = await establish(caller, callee);
  const before = running.run.cells;
  writeFileSync(setBy, "-5000");
  const restarted = (): string[] => running.events.filter(({ event }) => event === "restarted").map(({ process: name }) => String(name));
  await until(() => restarted().length === 2);
  expect(restarted()).toEqual(["cell a", "cell b"]);
  expect(running.events.filter(({ event }) => event === "ended").map(({ cause }) => String(cause))).toEqual(
    before.map(({ pid }) => `process ${pid}: the clock was set back by 5 s, and its timers stand for as long`),
  );
  expect(running.events.filter(({ event }) => event === "died" || event === "not renewed")).toEqual([]);
  expect(await exchange("BYE", call.caller, callee)).toMatchObject({ status: 200 });
  expect(JSON.parse((await running.cli("registrations", "--json")).out)).toHaveLength(2);
});
