import { afterEach, beforeEach, expect, it } from "vitest";
import { phoneReturnMs } from "../../sip/limits.ts";
import { frameValidMs, standstillMsMin } from "../../actors/limits.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";
import { HandSoftphone } from "./clients/hand-softphone.ts";

let system: Tandem;
const softphones: HandSoftphone[] = [];
let frozen = 0;

/** The core group's beat is a second: what is longer than that and the least standstill is seen for certain. */
const frozenMs = 1_000 + standstillMsMin + 500;

async function open(user: string, cell: string): Promise<HandSoftphone> {
  const phone = await HandSoftphone.open(system.run.cells.find(({ id }) => id === cell)?.url ?? "", user);
  softphones.push(phone);
  expect(await phone.register()).toMatch(/^SIP\/2\.0 200 /);
  return phone;
}

function say(phone: HandSoftphone, to: string, body: string): void {
  phone.socket.send(phone.message(to, body));
}

/** Bodies of the MESSAGEs that a phone has had. */
function heardBy({ messages }: HandSoftphone): string[] {
  return messages.filter((text) => text.startsWith("MESSAGE ")).map((text) => text.slice(text.indexOf("\r\n\r\n") + 4));
}

/** Stops cell a, lets things happen meanwhile, and has it go on after a time that it must notice. */
async function standStill(meanwhile: () => void | Promise<void>): Promise<void> {
  frozen = system.run.cells.find(({ id }) => id === "a")?.pid ?? 0;
  process.kill(frozen, "SIGSTOP");
  const at = Date.now();
  await meanwhile();
  await until(() => Date.now() - at > frozenMs);
  process.kill(frozen, "SIGCONT");
  frozen = 0;
}

beforeEach(async () => {
  system = await startTandem({ auth: "open", restart: false });
});

afterEach(async () => {
  if (frozen !== 0) process.kill(frozen, "SIGCONT");
  for (const { socket } of softphones.splice(0)) socket.terminate();
  await system.stop();
});

it("a cell that stood still passes on what softphones said to it that are still there, and not what those said that have gone", async () => {
  const bob = await open("bob", "b");
  const [gone, lost, there] = [await open("gone", "a"), await open("lost", "a"), await open("there", "a")];
  await standStill(() => {
    say(gone, "bob", "from one who has gone elsewhere since");
    gone.socket.close();
    say(lost, "bob", "from one whose connection broke");
    lost.socket.terminate();
    say(there, "bob", "from one who waits");
  });
  await until(() => heardBy(bob).length > 0);
  say(there, "bob", "later");
  await until(() => heardBy(bob).includes("later"));
  expect(heardBy(bob)).toEqual(["from one who waits", "later"]);
});

it("what another cell sent to a line that stood still is not delivered when it is given up by then", async () => {
  const alice = await open("alice", "a");
  const bob = await open("bob", "b");
  await standStill(async () => {
    say(bob, "alice", "too late");
    // Longer than the line may take: its sender is told before the line goes on.
    await until(() => bob.messages.some((text) => /^SIP\/2\.0 4\d\d /.test(text)), frameValidMs + 2 * phoneReturnMs);
  });
  await until(() => {
    if (!heardBy(alice).includes("in time")) say(bob, "alice", "in time");
    return heardBy(alice).includes("in time");
  });
  expect(heardBy(alice)).not.toContain("too late");
});
