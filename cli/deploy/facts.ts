import { setTimeout as delay } from "node:timers/promises";
import { type Status, statusSchema, subscribersSchema } from "../../schemas/api-answers.ts";
import { read } from "../../schemas/reading.ts";
import { ApiClient, KeyRefusal } from "../api-client.ts";
import { Failure } from "../errors.ts";
import { mapOf } from "../map-changes.ts";
import { again } from "./again.ts";
import type { Facts, KnownCell } from "./plan.ts";
import type { Cell, System } from "./system.ts";

/** A busy cell answers late, and is asked again for so long. */
const lateMsMax = 15_000;
const pollMs = 250;

/** Which cells answer: what is there is asked, and not the account. Throws a {@link Failure} when something else is there than what the file says. */
export async function factsOf(system: System, secret: string | undefined): Promise<Facts> {
  const known = await Promise.all(system.cells.map(async (cell) => ({ cell, isThere: await answersAs(cell) })));
  const there = known.filter(({ isThere }) => isThere).map(({ cell }) => cell);
  if (there.length === 0) return { cells: new Map(), hasSubscribers: false, hasSecret: secret !== undefined };
  const names = there.map(({ id, url }) => `cell ${id} at ${url}`).join(", ");
  if (secret === undefined) throw new Failure(`${system.secretFile} is missing, and without the secret in it nobody can ask ${names}`);
  const api = new ApiClient(
    there.map(({ url }) => url),
    secret,
  );
  try {
    const status = await settledStatus(api, there, names);
    await checkRunning(system, api);
    const { value: subscribers = [] } = read(subscribersSchema, await again(() => api.get("/api/subscribers"), lateMsMax));
    const cells = there.map(({ id }): [string, KnownCell] => {
      const own = status.cells.find((each) => each.id === id);
      return [id, { code: own?.code, isMixed: (own?.otherCode ?? []).length > 0, isDraining: own?.state === "draining" }];
    });
    return { cells: new Map(cells), hasSubscribers: subscribers.length > 0, hasSecret: true };
  } catch (error) {
    if (!(error instanceof KeyRefusal)) throw error;
    throw new Failure(`${error.message}: ${system.secretFile} is not the secret that it was deployed with`);
  }
}

/** The status, when all cells that are there have said which code they run; one that is late is asked again, and not deployed again. */
async function settledStatus(api: ApiClient, there: readonly Cell[], names: string): Promise<Status> {
  for (const start = performance.now(); ; await delay(pollMs)) {
    const { value: status } = read(statusSchema, await again(() => api.get("/api/status"), lateMsMax));
    if (status === undefined) throw new Failure(`what ${names} answers is no status: is it of another version?`);
    const own = status.cells.filter(({ id }) => there.some((cell) => cell.id === id));
    const isSettled = own.every(({ code, otherCode = [] }) => code !== undefined && otherCode.length === 0);
    if (isSettled || performance.now() - start > lateMsMax) return status;
  }
}

/** Whether a cell is there, with all that it needs. One that lacks its secret is not. Throws a {@link Failure} when another one is. */
export async function answersAs({ id, url }: Cell): Promise<boolean> {
  const said = await cellAt(url);
  if (said !== "" && said !== id) throw new Failure(`${url} is cell ${said}, and not ${id}`);
  return said === id;
}

/** Which cell says that it is there; empty: none. One that takes long is asked again. */
async function cellAt(url: string): Promise<string> {
  for (const start = performance.now(); ; await delay(pollMs)) {
    try {
      return await new ApiClient([url], "").cell();
    } catch (error) {
      const isLate = error instanceof Failure && error.message.includes("no answer within");
      if (!isLate || performance.now() - start > lateMsMax) return "";
    }
  }
}

/** Places of all that is kept follow from the cells and the number of exchanges: those of a running system are changed by other commands. */
async function checkRunning(system: System, api: ApiClient): Promise<void> {
  const map = await again(() => mapOf(api), lateMsMax);
  const [own, wanted] = [map.cells, system.map.cells].map((cells) =>
    cells
      .map(({ id }) => id)
      .toSorted()
      .join(", "),
  );
  if (own !== wanted)
    throw new Failure(`cells: the running system has ${own}, and the file ${wanted}: docs/cloudflare.md says how that is changed`);
  if (map.exchangeCount !== system.map.exchangeCount)
    throw new Failure(
      `exchanges: the running system has ${map.exchangeCount}, and the file ${system.map.exchangeCount}: only tandem exchanges double changes that`,
    );
}
