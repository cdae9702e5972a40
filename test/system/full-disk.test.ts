import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { Registrant } from "./clients/registrant.ts";
import { startTandem, type Outcome, type Tandem } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";
import { roomSlackOctets } from "../../workers/limits.ts";

/** A disk of a few megabytes, or why there is none to be had: only root may mount one. */
function smallDisk(): string | Error {
  const directory = mkdtempSync(join(tmpdir(), "tandem-full-"));
  try {
    execFileSync("/bin/sh", ["-c", 'mount -t tmpfs -o size=12m tmpfs "$0"', directory], { stdio: "pipe" });
    return directory;
  } catch (error) {
    rmSync(directory, { recursive: true });
    return error instanceof Error ? error : new Error(String(error));
  }
}

const made = smallDisk();
let system: Tandem | undefined;

afterAll(async () => {
  await system?.stop();
  if (typeof made !== "string") return;
  execFileSync("/bin/sh", ["-c", 'umount "$0"', made]);
  rmSync(made, { recursive: true });
});

/** Takes every block, and those that somebody gives up meanwhile. */
function fill(directory: string): void {
  for (let octets = 1024 * 1024; octets >= 4_096;) {
    try {
      appendFileSync(join(directory, "fill"), Buffer.alloc(octets));
    } catch {
      octets /= 2;
    }
  }
  expect(statfsSync(directory).bavail).toBe(0);
}

/**
 * Takes every block, and again those of cells that were just looking for room: they would find them again, for an idle cell writes nothing. What a cell
 * gives up that has found none is more, and is left to its objects.
 */
async function untilFull(directory: string, isSaid: () => boolean): Promise<void> {
  fill(directory);
  await until(() => {
    const { bavail, bsize } = statfsSync(directory);
    if (!isSaid() && bavail > 0 && bavail * bsize <= 2 * roomSlackOctets) fill(directory);
    return isSaid();
  });
}

function linesOf({ events }: Tandem, pattern: RegExp): string[] {
  return events.map(({ text }) => String(text)).filter((text) => pattern.test(text));
}

async function usersOf(running: Tandem): Promise<string[]> {
  const { out } = await running.cli("registrations", "--json");
  return (JSON.parse(out) as { readonly aor: string }[]).map(({ aor }) => aor.slice(0, aor.indexOf("@")));
}

it("there is a small disk, or this user may not mount one, and nothing else fails like a full disk", () => {
  expect(typeof made === "string" ? "mounted" : made.message).toMatch(/^mounted$|superuser|permitted|permission|not found|unknown/i);
});

it.runIf(typeof made === "string")(
  "on a full disk nothing that was acknowledged is lost: it is kept in two memories and said, or refused; with room it is written",
  async () => {
    const disk = String(made);
    const state = join(disk, "state");
    mkdirSync(state);
    system = await startTandem({ auth: "open", state, restart: false });
    const running = system;
    await untilFull(disk, () => linesOf(running, /the disk is full/).length > 0);
    const registrant = await Registrant.connect(running.run.cells[1]?.url ?? "", running.domain);
    const users = Array.from({ length: 250 }, (_, index) => `u${index}`);
    const answers = await Promise.all(users.map(async (user) => ({ user, answer: await registrant.register(user, 1) })));
    // On a busy machine the peer may be late for a moment: then it is refused.
    const refused = answers.filter(({ answer }) => answer?.status !== 200);
    expect(refused.filter(({ answer }) => answer?.status !== 503 || answer.retryAfter === undefined)).toEqual([]);
    const acknowledged = answers.filter(({ answer }) => answer?.status === 200).map(({ user }) => user);
    expect(acknowledged.length).toBeGreaterThan(0);
    const listed = await usersOf(running);
    expect(acknowledged.filter((user) => !listed.includes(user))).toEqual([]);
    // Whoever cleans a log gives blocks up, and what then fits is rightly stored: the test takes them again.
    await until(async () => {
      fill(disk);
      return (await running.cli("status")).out.includes("disk full");
    });
    const added: Outcome[] = [];
    await until(async () => {
      fill(disk);
      added.push(await running.cli("subscriber", "add", `dave${added.length}`, "--password", "p"));
      return added.at(-1)?.code === 1;
    });
    expect(added.at(-1)?.err).toContain("the disk is full: nothing is stored");
    // One memory is not enough.
    await untilFull(disk, () => linesOf(running, /cell b: the disk is full/).length > 0);
    process.kill(running.run.cells[0]?.pid ?? 0, "SIGKILL");
    await until(async () => (await registrant.register("late", 1))?.status === 503);
    const left = await usersOf(running);
    expect(acknowledged.filter((user) => !left.includes(user))).toEqual([]);
    rmSync(join(disk, "fill"));
    await until(async () => (await registrant.register("late", 1))?.status === 200);
    await until(() => linesOf(running, /the disk has room again/).length > 0);
    expect(linesOf(running, /cell b: the disk is full/)).toHaveLength(1);
    expect(linesOf(running, /SQLITE|stack:|No space|stale|workerd/)).toEqual([]);
    // And now it is on the disk.
    await until(async () => (await usersOf(running)).includes("late"));
    registrant.socket.close();
  },
  60_000,
);
