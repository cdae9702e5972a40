import { setTimeout as delay } from "node:timers/promises";
import type { Status } from "../schemas/api-answers.ts";
import { type ApiClient, KeyRefusal } from "./api-client.ts";
import { Failure, Refusal } from "./errors.ts";
import { SoftphoneProgress } from "./softphone-progress.ts";
import { isStatus } from "./status.ts";

/** A cell sends softphones away that are never quiet when none has gone for a minute. So long after the last one nothing more is to be expected. */
const stalledMsMax = 120_000;
/** The cell that is asked hears of it with the next heartbeat at the latest, and that may be missed. */
const seenMsMax = 5_000;
/** A cell that has started joins for twelve seconds at most, and the others hear what it is then at once, or with the next heartbeat. */
const heardMsMax = 15_000;
const pollMs = 250;
const heardPollMs = 100;
/** Whoever waits for a cell that does not answer hears of it after this. */
const silentSaidMs = 2_000;

/** What was begun has not come to its end while somebody waited for it, and goes on. */
export class Unended extends Failure {}

export function cellPath(cell: string): string {
  return `/api/cells/${encodeURIComponent(cell)}`;
}

/** Whether a cell serves, and is not the only one: so it may be taken out of service, where cells have what others have. */
export function isToBeTaken({ cells }: Pick<Status, "cells">, cell: string): boolean {
  const state = cells.find(({ id }) => id === cell)?.state;
  return cells.length > 1 && (state === "up" || state === "joining");
}

/** Until a cell that was taken out of service has no softphones left. Throws {@link Unended} when it has some yet. */
export async function untilEmpty(
  api: Pick<ApiClient, "get">,
  cell: string,
  say: (text: string) => void,
  signal?: AbortSignal,
): Promise<void> {
  const progress = new SoftphoneProgress(say);
  let seen: number | undefined;
  let changedAt = performance.now();
  for (const start = performance.now(); ; await delay(pollMs, undefined, { signal })) {
    const { cells } = statusIn(await answered(api, "/api/status", changedAt + stalledMsMax, say, signal));
    const member = cells.find(({ id }) => id === cell);
    if (member === undefined) throw new Failure("the cell's answer is no status: is it of another version?");
    if (member.state === "draining" && member.softphonesLeft === 0) return;
    const ms = performance.now() - start;
    if (member.softphonesLeft !== seen) [seen, changedAt] = [member.softphonesLeft, performance.now()];
    progress.look(member.softphonesLeft);
    // It has died, or somebody else has taken it back.
    if (member.state !== "draining" && ms > seenMsMax) throw new Failure(`cell ${cell} is ${member.state}`);
    if (performance.now() - changedAt > stalledMsMax) {
      throw new Unended(`cell ${cell} is draining, and has ${member.softphonesLeft ?? "an unknown number of"} softphones left`);
    }
  }
}

/**
 * Until a cell is in such a state in all eyes: its own, and those of the cells that live. Else one of them may be asked next to go, and refuse, for it believes that
 * nobody could take over. Resolves to what is missing after a while, in words; empty: nothing.
 */
export async function untilHeard(
  api: Pick<ApiClient, "get">,
  cell: string,
  states: readonly string[] = ["up"],
  signal?: AbortSignal,
): Promise<string> {
  for (const until = performance.now() + heardMsMax; ; await delay(heardPollMs, undefined, { signal })) {
    const missing = missingIn(await statusOf(api).catch(() => undefined), cell, states);
    if (missing === "" || performance.now() > until) return missing;
  }
}

function missingIn(status: Status | undefined, cell: string, states: readonly string[]): string {
  const member = status?.cells.find(({ id }) => id === cell);
  if (member === undefined) return "no cell says what the others have heard";
  const { state, ownState = state, unheardBy = [] } = member;
  if (!states.includes(ownState)) return `it is ${ownState} yet`;
  if (ownState !== state) return "not every cell has heard of it";
  if (unheardBy.length === 0) return "";
  return `${unheardBy.map((id) => `cell ${id}`).join(" and ")} ${unheardBy.length === 1 ? "has" : "have"} not heard of it`;
}

/** What cells answer. While none does it is asked again: what was begun goes on without whoever waits for it. */
export async function answered(
  api: Pick<ApiClient, "get">,
  path: string,
  until: number,
  say: (text: string) => void,
  signal?: AbortSignal,
): Promise<unknown> {
  let isSaid = false;
  for (const start = performance.now(); ; await delay(pollMs, undefined, { signal })) {
    try {
      return await api.get(path);
    } catch (error) {
      if (!(error instanceof Failure) || error instanceof Refusal || error instanceof KeyRefusal) throw error;
      const now = performance.now();
      if (now >= until) throw new Unended(error.message);
      if (isSaid || now - start < silentSaidMs) continue;
      say(`No cell answers, and is asked again: ${error.message}\n`);
      isSaid = true;
    }
  }
}

export async function statusOf(api: Pick<ApiClient, "get">): Promise<Status> {
  return statusIn(await api.get("/api/status"));
}

export function statusIn(status: unknown): Status {
  if (!isStatus(status)) throw new Failure("the cell's answer is no status: is it of another version?");
  return status;
}
