import { setTimeout as delay } from "node:timers/promises";
import { Failure, reasonOf } from "./errors.ts";
import type { HostPlace } from "./host-place.ts";
import { type CellOfLayout, membersUrlOf } from "./layout.ts";
import type { LocalMembers } from "./local-members.ts";
import type { Reporter } from "./reporter.ts";

/** A change of the map is known everywhere within a heartbeat or two. */
const knownMsMax = 15_000;
const pollMs = 200;

/**
 * A host that starts tells the others where its cells are, when the map has them elsewhere. Resolves when that is known. True: they have moved. Throws a
 * {@link Failure} when nobody can be told: the others would look for them where they were. `maker`: this host, where it has made the system.
 */
export async function tellAddress(place: HostPlace, cells: readonly CellOfLayout[], maker: string | undefined): Promise<boolean> {
  const isElsewhere = (cell: CellOfLayout): boolean =>
    place.map?.cells.some(({ id, url }) => id === cell.id && url !== membersUrlOf(cell)) === true;
  const moved = cells.filter(isElsewhere);
  if (moved.length === 0) return false;
  if (place.others.length === 0) {
    if (place.map?.members?.every((member) => member.host === maker) === true) return true;
    throw new Failure("no other machine has a cell that could tell the others of another address: start with the one before");
  }
  await place
    .apiElsewhere("host")
    .put("/host/address", { cells: moved.map((cell) => ({ id: cell.id, url: membersUrlOf(cell), door: cell.url })) });
  for (const until = performance.now() + knownMsMax; moved.some(isElsewhere); await delay(pollMs)) {
    if (performance.now() > until) throw new Failure("the others do not say yet that this machine is at another address: start again");
    await place.look();
  }
  return true;
}

/** Of a host that has joined, at its start. Certificates that are there may be good for another while. Not so those for the address before. */
export async function renewAtStart(
  members: LocalMembers,
  cells: readonly CellOfLayout[],
  place: HostPlace,
  hasMoved: boolean,
  reporter: Reporter,
): Promise<void> {
  for (const until = performance.now() + knownMsMax; ; await delay(pollMs)) {
    try {
      return void (await members.renew(cells, place.api("host"), new Date()));
    } catch (error) {
      // The cell that is asked may not have heard of the move yet.
      if (hasMoved && error instanceof Failure && performance.now() < until) continue;
      if (hasMoved) throw error;
      return reporter.event("tandem", "warns", `certificates of members are not renewed: ${reasonOf(error)}; tried again in an hour`);
    }
  }
}
