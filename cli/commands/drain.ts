import { setTimeout as delay } from "node:timers/promises";
import { weightOf } from "../../cluster/assignment/shares.ts";
import { drainDeadlineMsMax } from "../../cluster/limits.ts";
import { membersSchema, registrationsSchema } from "../../schemas/api-answers.ts";
import { read } from "../../schemas/reading.ts";
import type { ApiClient } from "../api-client.ts";
import { type Arguments, type CommandSpec, usage } from "../arguments.ts";
import { drainSpec, undrainSpec } from "../command-specs.ts";
import { answered, cellPath, statusIn, statusOf, Unended, untilEmpty, untilHeard } from "../cell-service.ts";
import { Failure } from "../errors.ts";
import type { Io } from "../io.ts";
import { otherCodeText } from "./status.ts";
import { mapOf } from "../map-changes.ts";
import { durationText } from "../table.ts";
import { findTarget, typed } from "../target.ts";

/** A gateway has closed all connections two and a half minutes after its deadline (`drainMsMax` in gateway/limits.ts). */
const emptyMsMax = 180_000;
/** The cell that is asked hears of it with the next heartbeat at the latest, and that may be missed. */
const seenMsMax = 5_000;
const pollMs = 250;
/** Cloudflare replaces an object's code after 300 s at the latest, unless it is told another time. */
const codeMsMax = 600_000;
/** Phones that know where else to go register there within this, if they register every few minutes. */
const deadlineDefault = "5m";
/** All registrations are asked for, which may be megabytes. */
const registrationsMs = 5_000;
/** Two answers round the seconds of one registration apart, and mean the same time. */
const sameTimeMs = 10_000;

/** Takes a cell, a gateway or all that runs on a host out of service. Resolves when nothing is left that could not go on without it. */
export async function drain(args: Arguments, io: Io): Promise<void> {
  const { api } = findTarget(args, io.environment);
  const [name = ""] = args.positionals;
  const deadline = args.values.get("deadline");
  const deadlineMs = deadlineOf(drainSpec, deadline);
  const named = await namedBy(api, name);
  const { kind, cells, gateways } = named;
  if (deadline !== undefined && gateways.length === 0) {
    const why = kind === "Host" ? "has none" : "is a cell";
    throw usage(drainSpec, `--deadline: is for gateways, and ${name} ${why}`);
  }
  await beginAll(api, named, deadlineMs);
  const say = (text: string): void => io.out(text);
  try {
    for (const cell of cells) await untilEmpty(api, cell, say);
    for (const gateway of gateways) await untilIdle(api, gateway, deadlineMs, say);
  } catch (error) {
    if (!(error instanceof Unended)) throw error;
    throw new Failure(`${error.message}; ${name} goes on draining: type it again to see what is left`);
  }
  io.out(`${kind} ${name} is out of service; ${typed(args, `undrain ${name}`)} takes it back\n`);
}

export async function undrain(args: Arguments, io: Io): Promise<void> {
  const { api } = findTarget(args, io.environment);
  const [name = ""] = args.positionals;
  const { kind, cells, gateways } = await namedBy(api, name);
  const code = args.values.get("code");
  if (cells.length === 0 && code !== undefined) throw usage(undrainSpec, `--code: is for cells, and ${name} is a gateway`);
  for (const gateway of gateways) await change(api, gateway, gatewayPath(gateway), { draining: false });
  for (const cell of cells) {
    const start = performance.now();
    await untilOfOneCode(api, cell, code, io);
    // One whose code is replaced may not answer for a moment.
    const reachMs = code === undefined ? 0 : codeMsMax - (performance.now() - start);
    await untilReached(() => change(api, cell, cellPath(cell), { draining: false }), reachMs);
  }
  const unheard: string[] = [];
  for (const cell of cells) {
    const missing = await untilHeard(api, cell);
    if (missing !== "") unheard.push(kind === "Cell" ? `. But ${missing}` : `. But of cell ${cell}: ${missing}`);
  }
  const inMap = cells.length === 0 ? [] : (await mapOf(api)).cells;
  const without = cells.filter((cell) => inMap.some((each) => each.id === cell && weightOf(each) === 0));
  const more = without.map((cell) =>
    kind === "Cell"
      ? `. Its weight is 0, so it gets no exchanges: ${typed(args, `cell weight ${cell} 1`)} gives it its share`
      : `. The weight of cell ${cell} is 0, so it gets no exchanges: ${typed(args, `cell weight ${cell} 1`)} gives it its share`,
  );
  io.out(`${kind} ${name} is in service${unheard.join("")}${more.join("")}\n`);
}

/** What a name means: a cell, a gateway, or a host and what runs there. */
type Named = {
  readonly kind: "Cell" | "Gateway" | "Host";
  readonly cells: readonly string[];
  readonly gateways: readonly string[];
  /** Those of them that were out of service before. */
  readonly drained: readonly string[];
};

/** A name that nobody has is for the cells to say. */
async function namedBy(api: ApiClient, name: string): Promise<Named> {
  const { cells, gateways } = await statusOf(api);
  const drained = [...cells, ...gateways].filter(({ state }) => state === "draining").map(({ id }) => id);
  if (cells.some(({ id }) => id === name)) return { kind: "Cell", cells: [name], gateways: [], drained };
  if (gateways.some(({ id }) => id === name)) return { kind: "Gateway", cells: [], gateways: [name], drained };
  const { value: members = [] } = read(membersSchema, await api.get("/api/members"));
  const runs = ({ id }: { readonly id: string }): boolean => members.some((each) => each.id === id && each.host === name);
  const [itsCells, itsGateways] = [cells, gateways].map((all) => all.filter(runs).map(({ id }) => id));
  if (itsCells?.length === 0 && itsGateways?.length === 0) return { kind: "Cell", cells: [name], gateways: [], drained };
  return { kind: "Host", cells: itsCells ?? [], gateways: itsGateways ?? [], drained };
}

/** All or none: half a host out of service is what nobody has asked for. */
async function beginAll(api: ApiClient, { cells, gateways, drained }: Named, deadlineMs: number): Promise<void> {
  const begun: string[] = [];
  try {
    for (const gateway of gateways) {
      await beginDrain(api, gateway, deadlineMs);
      if (!drained.includes(gateway)) begun.push(gatewayPath(gateway));
    }
    for (const cell of cells) {
      await change(api, cell, cellPath(cell), { draining: true });
      if (!drained.includes(cell)) begun.push(cellPath(cell));
    }
  } catch (error) {
    for (const path of begun) await api.put(path, { draining: false }).catch(() => undefined);
    throw error;
  }
}

function gatewayPath(gateway: string): string {
  return `/api/gateways/${encodeURIComponent(gateway)}/draining`;
}

/** Each cell that is asked says that another one does not answer: why is said once. */
async function change(api: ApiClient, name: string, path: string, body: object): Promise<void> {
  try {
    await api.put(path, body);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    if (error.message === `there is no cell ${name}`) throw new Failure(`there is no cell, gateway or host ${name}`);
    const status = await statusOf(api).catch(() => undefined);
    if (status?.cells.some(({ id, state }) => id === name && state === "down") === true) throw new Failure(`cell ${name} is down`);
    throw error;
  }
}

/** When a gateway that is drained closes the connections that it still has, ms from now. */
export function deadlineOf(spec: CommandSpec, text = deadlineDefault): number {
  const [, digits = "", unit = ""] = /^(\d{1,6})([smh])$/.exec(text) ?? [];
  const ms = Number(digits) * ({ s: 1_000, m: 60_000, h: 3_600_000 }[unit] ?? Number.NaN);
  if (ms <= drainDeadlineMsMax) return ms;
  throw usage(spec, `--deadline ${text}: must be a time such as 30s, 10m or 2h, and ${durationText(drainDeadlineMsMax / 1_000)} at most`);
}

/** Again and again as long as a cell cannot be reached, for so long. */
async function untilReached(ask: () => Promise<void>, msMax: number): Promise<void> {
  for (const start = performance.now(); ; await delay(pollMs)) {
    try {
      return await ask();
    } catch (error) {
      const isAway = error instanceof Failure && / (?:cannot be reached|is down)$/.test(error.message);
      if (!isAway || performance.now() - start >= msMax) throw error;
    }
  }
}

/**
 * Until a cell and all its objects run one code, `wanted` if that is given. An object that is to be replaced yet would be while it serves. A cell that does not
 * answer, or is of a release that says nothing of this, is not waited for unless the code is given.
 */
async function untilOfOneCode(api: ApiClient, cell: string, wanted: string | undefined, io: Io): Promise<void> {
  let said = "";
  for (const start = performance.now(); ; await delay(pollMs)) {
    const { cells } = await statusOf(api);
    const { code, otherCode = [], state = "gone" } = cells.find(({ id }) => id === cell) ?? {};
    if (wanted === undefined && (code === undefined || state === "down")) return;
    const waits = otherCode.map((each) => otherCodeText(cell, each));
    if (wanted !== undefined && code !== wanted)
      waits.unshift(`Cell ${cell} runs ${code === undefined ? "no code that it says" : code}, and not ${wanted}.`);
    if (waits.length === 0) return;
    const text = waits.join(" ");
    if (performance.now() - start > codeMsMax) throw new Failure(`cell ${cell} stays out of service: ${text}`);
    if (text !== said) io.out(`${text}\n`);
    said = text;
  }
}

/** Begins to take a gateway out of service. */
export async function beginDrain(api: ApiClient, gateway: string, deadlineMs: number): Promise<void> {
  await change(api, gateway, gatewayPath(gateway), { draining: true, closeAfterMs: deadlineMs });
}

/** Until a gateway that is drained has nothing left. Says what is left whenever that is another. Throws {@link Unended} when it has something yet. */
export async function untilIdle(api: ApiClient, gateway: string, deadlineMs: number, say: (text: string) => void): Promise<void> {
  let said = "";
  let registrations: Registered = { count: undefined, overUdp: 0, udpUntil: 0 };
  let askedAt = Number.NEGATIVE_INFINITY;
  const start = performance.now();
  for (const until = start + deadlineMs + emptyMsMax; ; await delay(pollMs)) {
    const { gateways } = statusIn(await answered(api, "/api/status", until, say));
    const member = gateways.find(({ id }) => id === gateway);
    const { state = "gone", connectionsLeft } = member ?? {};
    const now = performance.now();
    if (state !== "draining" && now - start > seenMsMax) throw new Failure(`gateway ${gateway} is ${state}`);
    if (state !== "draining" || connectionsLeft === undefined) continue;
    if (now - askedAt > registrationsMs) {
      const list = await answered(api, "/api/registrations", until, say);
      registrations = registeredBy(list, gateway, Date.now(), registrations.udpUntil);
      askedAt = now;
    }
    if (connectionsLeft === 0 && registrations.count === 0) return;
    const left = `gateway ${gateway} is draining, and has ${counted(connectionsLeft, "connection")} and ${counted(registrations.count, "registration")} left`;
    if (now > until) throw new Unended(`${left}: those phones know nobody else to register by`);
    const text = `${left.replace("gateway", "Gateway")}${overUdpText(registrations)}`;
    if (text !== said && askedAt === now) say(`${text}\n`);
    if (askedAt === now) said = text;
  }
}

type Registered = {
  /** Undefined: nobody was asked yet. */
  readonly count: number | undefined;
  readonly overUdp: number;
  /** When the last of those over UDP expires, ms since 1970. */
  readonly udpUntil: number;
};

function registeredBy(list: unknown, gateway: string, now: number, before: number): Registered {
  const { value, fault } = read(registrationsSchema, list);
  if (fault !== undefined) throw new Failure("the cell's answer is no list of registrations: is it of another version?");
  const here = value.filter((each) => each.gateway === gateway);
  const overUdp = here.filter(({ transport }) => transport === "UDP");
  const last = now + 1_000 * Math.max(0, ...overUdp.map(({ expiresSeconds }) => expiresSeconds));
  const udpUntil = Math.abs(last - before) < sameTimeMs ? before : last;
  return { count: here.length, overUdp: overUdp.length, udpUntil };
}

/** Nobody closes what has no connection: such a phone is gone when it has gone by itself. */
function overUdpText({ overUdp, udpUntil }: Registered): string {
  if (overUdp === 0) return "";
  // The minute in which the last one is over.
  const time = new Date(udpUntil + 59_999).toISOString().slice(11, 16);
  const who =
    overUdp === 1 ? "1 is over UDP, and leaves when its phone registers" : `${overUdp} are over UDP, and leave when their phones register`;
  return `: ${who} elsewhere, or by ${time} UTC if nothing more comes`;
}

function counted(count: number | undefined, what: string): string {
  return `${count ?? "?"} ${what}${count === 1 ? "" : "s"}`;
}
