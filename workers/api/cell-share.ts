import type { MemberState } from "../../cluster/group/view.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { exchangesIn } from "../../cluster/map/serving-cells.ts";
import { within } from "../cells.ts";
import {
  codeOf,
  coreGroupName,
  coreGroupObject,
  type Environment,
  exchangeName,
  exchangeObject,
  ledgerName,
  ledgerObject,
  lineName,
  lineObject,
  unknownCode,
} from "../environment.ts";
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
  /** What this cell is in its own eyes. Absent: it was removed, or is of an earlier release. */
  readonly state?: MemberState;
  /** Cells that live and have not answered since it is that. Absent: none, or the cell is of an earlier release. */
  readonly unheardBy?: readonly string[];
  /** Which code the Worker runs. Absent: the cell is of an earlier release. */
  readonly code?: string;
  /** Objects of this cell that run other code, by that code. Absent: none, or the cell is of an earlier release. */
  readonly otherCode?: OtherCode;
  /** Of every replica in this cell that has answered. */
  readonly exchanges: readonly CountsOfExchange[];
  /** Those that have not, in time. Absent: none, or the cell is of an earlier release. */
  readonly silent?: readonly number[];
};

/** Objects by the code that they run; `unknown` has those that have not said it in time. */
export type OtherCode = readonly { readonly code: string; readonly objects: readonly string[] }[];

export async function summaryOf(env: Environment, map: ClusterMap): Promise<CellSummary> {
  const numbers = exchangesIn(map, env.CELL);
  const counts = Promise.allSettled(numbers.map((exchange) => countsOf(env, exchange)));
  const group = coreGroupObject(env);
  const [own, settled, codes] = await Promise.all([
    within(Promise.resolve(group.ownShare()), exchangeCountsMsMax),
    counts,
    codesBeside(env, map),
  ]);
  for (const [index, each] of settled.entries()) {
    const code = each.status === "fulfilled" ? each.value.code : unknownCode;
    codes.set(exchangeName(numbers[index] ?? 0), code ?? unknownCode);
  }
  const otherCode = otherCodeIn(codes, codeOf(env));
  const exchanges = settled.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
  const silent = numbers.filter((_, index) => settled[index]?.status === "rejected");
  return {
    cell: env.CELL,
    ...own,
    code: codeOf(env),
    ...(otherCode.length === 0 ? {} : { otherCode }),
    exchanges,
    ...(silent.length === 0 ? {} : { silent }),
  };
}

/** Which code the objects of this cell run that are no exchanges, by their names. */
async function codesBeside(env: Environment, map: ClusterMap): Promise<Map<string, string>> {
  const asked: (readonly [name: string, code: () => Promise<string>])[] = [
    [coreGroupName, async () => await coreGroupObject(env).code()],
    [ledgerName, async () => await ledgerObject(env).code()],
    ...Array.from({ length: map.lineCount }, (_, line) => [lineName(line), async () => await lineObject(env, line).code()] as const),
  ];
  const said = await Promise.allSettled(asked.map(async ([, code]) => await within(code(), exchangeCountsMsMax)));
  return new Map(asked.map(([name], index) => [name, said[index]?.status === "fulfilled" ? said[index].value : unknownCode]));
}

/** Objects that run other code than the Worker. */
export function otherCodeIn(codes: ReadonlyMap<string, string>, own: string): OtherCode {
  const others = [...codes].filter(([, code]) => code !== own);
  return Array.from(
    Map.groupBy(others, ([, code]) => code),
    ([code, objects]) => ({ code, objects: objects.map(([name]) => name).toSorted() }),
  );
}

/** One that hangs, or throws, is no reason that nothing is known of the others. */
async function countsOf(env: Environment, exchange: number): Promise<CountsOfExchange> {
  try {
    return await within(exchangeObject(env, exchange).counts(), exchangeCountsMsMax);
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
  const lists = exchanges.map((exchange) => exchangeObject(env, exchange).registrations(addressOfRecord));
  return joinArrays(await within(Promise.all(lists), cellAnswerMsMax));
}

/** Calls that stand now in some of this cell's exchanges, as a JSON array. */
export async function liveCallsOf(env: Environment, exchanges: readonly number[], addressOfRecord: string | undefined): Promise<string> {
  const lists = exchanges.map((exchange) => exchangeObject(env, exchange).liveCalls(addressOfRecord));
  return joinArrays(await within(Promise.all(lists), cellAnswerMsMax));
}

/** What some of this cell's exchanges know of a call by its id, as a JSON array. */
export async function callNamed(env: Environment, exchanges: readonly number[], id: string): Promise<string> {
  const lists = exchanges.map((exchange) => exchangeObject(env, exchange).callNamed(id));
  return joinArrays(await within(Promise.all(lists), cellAnswerMsMax));
}

/** Addresses-of-record of the subscribers of some of this cell's exchanges. */
export async function subscribersOf(env: Environment, exchanges: readonly number[]): Promise<string[]> {
  const lists = exchanges.map((exchange) => exchangeObject(env, exchange).subscribers());
  return (await within(Promise.all(lists), cellAnswerMsMax)).flat();
}

/** JSON arrays as text made one, without reading them. */
export function joinArrays(arrays: readonly string[]): string {
  const insides = arrays.map((array) => array.slice(1, -1)).filter((inside) => inside !== "");
  return `[${insides.join(",")}]`;
}
