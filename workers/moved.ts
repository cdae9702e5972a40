import { againText, movedText } from "../actors/exchange/exchange-actor.ts";
import { askForMap, type Environment } from "./environment.ts";

/** RFC 9110 15.5.20, misdirected: this cell has no replica of the exchange any more. Whoever asks works from an older map. */
export const movedStatus = 421;

/** What an exchange says of it. */
export function isMoved(error: unknown): boolean {
  return error instanceof Error && error.message.includes(movedText);
}

/** Whether an exchange could not be told of a map because it starts anew by it, as it is to. */
export function startsAnew(error: Error): boolean {
  return error.message.includes(againText);
}

/** Somebody was told so: the core group may know a newer map than is known here. Never rejects. */
export async function learnWhereTo(env: Environment): Promise<void> {
  try {
    await askForMap(env);
  } catch (error) {
    console.warn(`cell ${env.CELL}: the core group does not say which map is the newest: ${String(error)}`);
  }
}
