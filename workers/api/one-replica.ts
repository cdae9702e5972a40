import { exchangeOf, type ClusterMap } from "../../cluster/map/cluster-map.ts";
import { servingCells } from "../../cluster/map/serving-cells.ts";
import { askCell } from "../cells.ts";
import { diskFullText } from "../disk-room.ts";
import { type Environment, exchangeObject } from "../environment.ts";

/** Has one replica of an exchange do something: the nearest, or the other one when that cannot be reached. To do it twice is the same. */
export async function atOneOf<Result>(
  env: Environment,
  map: ClusterMap,
  exchange: number,
  act: (cell: string) => Promise<Result>,
): Promise<Result> {
  let failure: unknown;
  for (const cell of servingCells(map, exchange, env.CELL)) {
    try {
      return await act(cell);
    } catch (error) {
      if (!isDiskFull(failure)) failure = error;
    }
  }
  throw failure;
}

export function isDiskFull(error: unknown): boolean {
  return error instanceof Error && error.message === diskFullText;
}

/** Removes a subscriber at its exchange. False: there was none. Rejects when neither replica does it. */
export async function removeSubscriber(env: Environment, map: ClusterMap, addressOfRecord: string): Promise<boolean> {
  return await atItsExchange(env, map, addressOfRecord, "removeSubscriber", (exchange) => `/cell/subscribers/${exchange}/remove`);
}

/** Ends what is registered of an address-of-record at its exchange. False: nothing was. Rejects when neither replica does it. */
export async function endRegistrations(env: Environment, map: ClusterMap, addressOfRecord: string): Promise<boolean> {
  return await atItsExchange(env, map, addressOfRecord, "endRegistrations", (exchange) => `/cell/registrations/${exchange}/end`);
}

/** `path`: by which another cell does the same. */
async function atItsExchange(
  env: Environment,
  map: ClusterMap,
  addressOfRecord: string,
  act: "removeSubscriber" | "endRegistrations",
  path: (exchange: number) => string,
): Promise<boolean> {
  const exchange = exchangeOf(map, addressOfRecord);
  return await atOneOf(env, map, exchange, async (cell) =>
    cell === env.CELL
      ? await exchangeObject(env, exchange)[act](addressOfRecord)
      : await askCell<boolean>(env, map, cell, path(exchange), addressOfRecord),
  );
}
