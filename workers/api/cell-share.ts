import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { exchangesIn } from "../../cluster/map/serving-cells.ts";
import { within } from "../cells.ts";
import { coreGroupName, exchangeName, type Environment } from "../environment.ts";
import type { LoneExchange } from "../core-group/lone-exchanges.ts";
import type { CountsOfExchange } from "../exchange/exchange-object.ts";
import { cellAnswerMsMax, exchangeCountsMsMax } from "../limits.ts";
import { warnOf } from "../way-lost.ts";

/** What this cell contributes to a status or a list: the answers of its own objects. Other cells ask for it under `/cell/`. */

export type CellSummary = {
  readonly cell: string;
  /** Requests that this cell refused for their signature since its core group started. */
  readonly signaturesRefused: number;
  /** While this cell is out of service: its softphones that have not gone elsewhere yet, if that is known. */
  readonly softphonesLeft?: number | undefined;
  /** Present while this cell's disk has no room: what changes is in memory only. */
  readonly isDiskFull?: true;
  /** Exchanges of this cell that have had no second replica for a while, and why. Absent: the cell is of an earlier release. */
  readonly lone?: readonly LoneExchange[];
  /** Exchanges that have something left here, though this cell has a replica of them no more. Absent: the cell is of an earlier release. */
  readonly left?: readonly number[];
  /** Of every replica in this cell that has answered. */
  readonly exchanges: readonly CountsOfExchange[];
  /** Those that have not, in time. Absent: none, or the cell is of an earlier release. */
  readonly silent?: readonly number[];
};

export async function summaryOf(env: Environment, map: ClusterMap): Promise<CellSummary> {
  const numbers = exchangesIn(map, env.CELL);
  const counts = Promise.allSettled(numbers.map((exchange) => countsOf(env, exchange)));
  const group = env.CORE_GROUP.getByName(coreGroupName);
  const own = Promise.all([
    group.signaturesRefused(),
    group.softphonesLeft(),
    group.isDiskFull(),
    group.loneExchanges(),
    group.leftExchanges(),
  ]);
  const [[signaturesRefused, softphonesLeft, isDiskFull, lone, left], settled] = await Promise.all([
    within(own, exchangeCountsMsMax),
    counts,
  ]);
  const exchanges = settled.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
  const silent = numbers.filter((_, index) => settled[index]?.status === "rejected");
  return {
    cell: env.CELL,
    signaturesRefused,
    softphonesLeft,
    ...(isDiskFull ? { isDiskFull } : {}),
    lone,
    left,
    exchanges,
    ...(silent.length === 0 ? {} : { silent }),
  };
}

/** One that hangs, or throws, is no reason that nothing is known of the others. */
async function countsOf(env: Environment, exchange: number): Promise<CountsOfExchange> {
  try {
    return await within(env.EXCHANGE.getByName(exchangeName(exchange)).counts(), exchangeCountsMsMax);
  } catch (error) {
    warnOf(`exchange ${exchange} does not say what it counts`, error);
    throw error;
  }
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

/** Calls that stand now in some of this cell's exchanges, as a JSON array. */
export async function liveCallsOf(env: Environment, exchanges: readonly number[], addressOfRecord: string | undefined): Promise<string> {
  const lists = exchanges.map((exchange) => env.EXCHANGE.getByName(exchangeName(exchange)).liveCalls(addressOfRecord));
  return joinArrays(await within(Promise.all(lists), cellAnswerMsMax));
}

/** What some of this cell's exchanges know of a call by its id, as a JSON array. */
export async function callNamed(env: Environment, exchanges: readonly number[], id: string): Promise<string> {
  const lists = exchanges.map((exchange) => env.EXCHANGE.getByName(exchangeName(exchange)).callNamed(id));
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
