import { setTimeout as delay } from "node:timers/promises";
import { type MapAnswer, mapAnswerSchema } from "../../schemas/api-answers.ts";
import { read } from "../../schemas/reading.ts";
import type { ApiClient } from "../api-client.ts";
import type { Arguments } from "../arguments.ts";
import { withChanged } from "../cluster.ts";
import { Failure } from "../errors.ts";
import type { Io } from "../io.ts";
import { waitingText } from "../doubling-text.ts";
import { findTarget } from "../target.ts";

const pollMs = 250;
/** Exchanges hand over within a second or two. Calls wait for nothing, so nobody has to wait here for a cell that does not. */
const overMsMax = 60_000;
/** The map may change between two questions, and then it is asked again. */
const triesMax = 5;

/** Doubles the number of exchanges. Resolves when each has what belongs to it, but for what cells have that are down. */
export async function double(args: Arguments, io: Io): Promise<void> {
  const { api, state } = findTarget(args, io.environment);
  const isJson = args.flags.has("json");
  const before = await ask(api);
  const { exchangeCount } = await doubled(api, before);
  // The next start of this system begins with as many.
  const cluster = state?.readCluster();
  if (cluster !== undefined) state?.writeCluster(withChanged(cluster, "exchanges", exchangeCount));
  if (!isJson) io.out(`${before.exchangeCount} exchanges become ${exchangeCount}\n`);
  const down = await untilOver(api, exchangeCount, (text) => (isJson ? undefined : io.out(text)));
  if (isJson)
    io.out(`${JSON.stringify({ before: before.exchangeCount, exchanges: exchangeCount, ...(down.length === 0 ? {} : { down }) })}\n`);
  else if (down.length === 0) io.out(`There are ${exchangeCount} exchanges, and each has what belongs to it\n`);
  else io.out(`There are ${exchangeCount} exchanges. ${waitingText(down)}\n`);
}

async function doubled(api: ApiClient, before: MapAnswer): Promise<MapAnswer> {
  const wanted = 2 * before.exchangeCount;
  for (let tries = 1, map = before; ; tries += 1, map = await ask(api)) {
    if (map.exchangeCount === wanted && tries > 1) return map;
    try {
      return (
        read(mapAnswerSchema, await api.put("/api/map", { version: map.version, writer: map.writer, exchangeCount: wanted })).value ?? map
      );
    } catch (error) {
      if (tries === triesMax || !(error instanceof Failure) || !error.message.includes("changed meanwhile")) throw error;
    }
  }
}

/** Resolves with the cells that are down, and have still to hand over. */
async function untilOver(api: ApiClient, exchanges: number, say: (text: string) => void): Promise<readonly string[]> {
  let most = 0;
  let said = 0;
  for (const start = performance.now(); ; await delay(pollMs)) {
    const { doubling } = await ask(api);
    if (doubling === undefined) return [];
    most = Math.max(most, doubling.left);
    const done = most - doubling.left;
    if (done > said) say(`${done} of ${most} replicas have handed over\n`);
    said = Math.max(said, done);
    if (doubling.left === 0 && doubling.down !== undefined) return doubling.down;
    if (performance.now() - start > overMsMax)
      throw new Failure(`there are ${exchanges} exchanges, and ${doubling.left} replicas have not handed over yet: see tandem status`);
  }
}

async function ask(api: ApiClient): Promise<MapAnswer> {
  const { value, fault } = read(mapAnswerSchema, await api.get("/api/map"));
  if (fault !== undefined) throw new Failure("the cell's answer is no map: is it of another version?");
  return value;
}
