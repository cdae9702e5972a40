import type { MapAnswer } from "../schemas/api-answers.ts";

/** A doubling of the exchanges that is not over, as a line; empty: there is none. */
export function doublingText({ doubling }: Pick<MapAnswer, "doubling">): string {
  if (doubling === undefined) return "";
  const { left, down = [] } = doubling;
  const replicas = `${left} ${left === 1 ? "replica has" : "replicas have"} still to hand over`;
  return `The exchanges have been doubled: ${[...(left === 0 ? [] : [replicas]), ...(down.length === 0 ? [] : [shortText(down)])].join("; ")}\n`;
}

/** That of cells that are down, where nothing else is waited for. */
export function waitingText(down: readonly string[]): string {
  const text = shortText(down);
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}: the next doubling waits for that`;
}

function shortText(down: readonly string[]): string {
  const [cells, they] =
    down.length === 1 ? [`cell ${down.join("")} is down`, "it brings"] : [`cells ${down.join(", ")} are down`, "they bring"];
  return `${cells}, and ${they} what belongs to new ones when back`;
}
