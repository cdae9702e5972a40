import type { LeftToHandOver } from "../../cluster/group/coordinator.ts";
import type { MapAnswer } from "../../schemas/api-answers.ts";

/** What answers say of a doubling of the exchanges that is not over; nothing when there is none. */
export function doublingIn(doubling: LeftToHandOver | undefined): Pick<MapAnswer, "doubling"> {
  if (doubling === undefined) return {};
  const { left, down } = doubling;
  return { doubling: { left, ...(down.length === 0 ? {} : { down: [...down] }) } };
}
