import { setTimeout as delay } from "node:timers/promises";
import type { ApiClient } from "../api-client.ts";
import type { Arguments } from "../arguments.ts";
import { Failure } from "../errors.ts";
import type { Io } from "../io.ts";
import { isStatus } from "../status.ts";
import { findTarget } from "../target.ts";

/** A cell sends its last softphones away after a minute; a full one has ten thousand of them, 200 a second. */
const emptyMsMax = 180_000;
/** The cell that is asked hears of it with the next heartbeat at the latest, and that may be missed. */
const seenMsMax = 5_000;
const pollMs = 250;

/** Takes a cell out of service. Resolves when nothing is left that could not go on without it. */
export async function drain(args: Arguments, io: Io): Promise<void> {
  const { api } = findTarget(args, io.environment);
  const [cell = ""] = args.positionals;
  await api.put(pathOf(cell), { draining: true });
  await untilEmpty(api, cell);
  io.out(`Cell ${cell} is out of service; tandem undrain ${cell} takes it back\n`);
}

export async function undrain(args: Arguments, io: Io): Promise<void> {
  const { api } = findTarget(args, io.environment);
  const [cell = ""] = args.positionals;
  await api.put(pathOf(cell), { draining: false });
  io.out(`Cell ${cell} is in service\n`);
}

async function untilEmpty(api: ApiClient, cell: string): Promise<void> {
  for (const start = performance.now(); ; await delay(pollMs)) {
    const status = await api.get("/api/status");
    const member = isStatus(status) ? status.cells.find(({ id }) => id === cell) : undefined;
    if (member === undefined) throw new Failure("the cell's answer is no status: is it of another version?");
    if (member.state === "draining" && member.softphonesLeft === 0) return;
    const ms = performance.now() - start;
    // It has died, or somebody else has taken it back.
    if (member.state !== "draining" && ms > seenMsMax) throw new Failure(`cell ${cell} is ${member.state}`);
    if (ms > emptyMsMax) {
      throw new Failure(`cell ${cell} is draining, and has ${member.softphonesLeft ?? "an unknown number of"} softphones left`);
    }
  }
}

function pathOf(cell: string): string {
  return `/api/cells/${encodeURIComponent(cell)}`;
}
