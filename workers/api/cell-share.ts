import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { exchangesIn } from "../../cluster/map/serving-cells.ts";
import { within } from "../cells.ts";
import { coreGroupName, exchangeName, type Environment } from "../environment.ts";
import type { CountsOfExchange } from "../exchange/exchange-object.ts";
import { cellAnswerMsMax } from "../limits.ts";

/** What this cell contributes to a status or a list: the answers of its own objects. Other cells ask for it under `/cell/`. */

export type CellSummary = {
  readonly cell: string;
  /** Requests that this cell refused for their signature since its core group started. */
  readonly signaturesRefused: number;
  /** While this cell is out of service: its softphones that have not gone elsewhere yet, if that is known. */
  readonly softphonesLeft?: number | undefined;
  /** Present while this cell's disk has no room: what changes is in memory only. */
  readonly isDiskFull?: true;
  /** Of every replica in this cell. */
  readonly exchanges: readonly CountsOfExchange[];
};

export async function summaryOf(env: Environment, map: ClusterMap): Promise<CellSummary> {
  const counts = exchangesIn(map, env.CELL).map((exchange) => env.EXCHANGE.getByName(exchangeName(exchange)).counts());
  const group = env.CORE_GROUP.getByName(coreGroupName);
  const [signaturesRefused, softphonesLeft, isDiskFull, ...exchanges] = await within(
    Promise.all([group.signaturesRefused(), group.softphonesLeft(), group.isDiskFull(), ...counts] as const),
    cellAnswerMsMax,
  );
  return { cell: env.CELL, signaturesRefused, softphonesLeft, ...(isDiskFull ? { isDiskFull } : {}), exchanges };
}

/** Registrations of some of this cell's exchanges, as a JSON array. */
export async function registrationsOf(
  env: Environment,
  exchanges: readonly number[],
  addressOfRecord: string | undefined,
): Promise<string> {
  const lists = exchanges.map((exchange) => env.EXCHANGE.getByName(exchangeName(exchange)).registrations(addressOfRecord));
  return joinArrays(await within(Promise.all(lists), cellAnswerMsMax));
}

/** Addresses-of-record of the subscribers of some of this cell's exchanges. */
export async function subscribersOf(env: Environment, exchanges: readonly number[]): Promise<string[]> {
  const lists = exchanges.map((exchange) => env.EXCHANGE.getByName(exchangeName(exchange)).subscribers());
  return (await within(Promise.all(lists), cellAnswerMsMax)).flat();
}

/** JSON arrays as text made one, without reading them. */
export function joinArrays(arrays: readonly string[]): string {
  const insides = arrays.map((array) => array.slice(1, -1)).filter((inside) => inside !== "");
  return `[${insides.join(",")}]`;
}
