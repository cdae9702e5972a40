import { cellsText, exchangesText as exchangesNamed } from "../../cluster/group/exchanges-text.ts";
import type { Change, Member, Status } from "../../schemas/api-answers.ts";
import { hostsSchema } from "../../schemas/hosts.ts";
import { read } from "../../schemas/reading.ts";
import type { ApiClient } from "../api-client.ts";
import type { Arguments } from "../arguments.ts";
import { Failure, printable } from "../errors.ts";
import type { Io } from "../io.ts";
import { doublingText } from "../doubling-text.ts";
import type { Run } from "../state-directory.ts";
import { isStatus } from "../status.ts";
import { program } from "../program.ts";
import { durationText, tableText } from "../table.ts";
import { findGatewayHost, findTarget } from "../target.ts";
import { gatewayHostStatus, gatewayHostText } from "./own-host.ts";

export async function run(args: Arguments, io: Io): Promise<void> {
  const own = findGatewayHost(args, io.environment);
  if (own !== undefined) {
    const seen = await gatewayHostStatus(own);
    return io.out(args.flags.has("json") ? `${JSON.stringify(seen)}\n` : gatewayHostText(seen));
  }
  const { api, domain, state } = findTarget(args, io.environment);
  const answer = await api.get("/api/status");
  const running = state?.readRun();
  const host = state?.readCluster()?.host;
  const hosts = host === undefined ? [] : await hostVersions(api);
  if (args.flags.has("json")) return io.out(`${JSON.stringify(withVersions(answer, running, hosts))}\n`);
  if (!isStatus(answer)) throw new Failure("the cell's answer is no status: is it of another version?");
  if (domain !== undefined) io.out(`Domain ${domain}, coordinator ${answer.coordinator}\n\n`);
  else io.out(`Coordinator ${answer.coordinator}\n\n`);
  io.out(`${cellsTable(answer.cells)}\n`);
  io.out(hindrancesText(answer.cells));
  io.out(`${gatewaysText(answer.gateways)}\n`);
  io.out(goneText(answer));
  io.out(versionsText(running, areSeveral(answer, host) ? host : undefined));
  io.out(hostVersionsText(hosts));
  io.out(codesText(answer.cells));
  io.out(countsText(answer));
  io.out(exchangesText(answer));
  io.out(doublingText(answer));
  if (answer.signaturesRefused > 0)
    io.out(`Requests refused for a wrong or old signature, since the cells started: ${answer.signaturesRefused}\n`);
  const latest = answer.history.slice(-changesShown);
  if (latest.length > 0) io.out(`\n${tableText(["CHANGED", "EPOCH", "MEMBER", "FROM", "TO", "CAUSE"], latest.map(changeRow))}`);
}

/** Machines are named where they are known. */
export function cellsTable(cells: Status["cells"]): string {
  const hosts = hostColumn(cells);
  return tableText(
    ["CELL", ...hosts.heading, "STATE", "EPOCH", "HEARD", "MISSED", "DELAY"],
    cells.map((cell) => [cell.id, ...hosts.of(cell), stateText(cell), cell.epoch, heardText(cell), cell.missed ?? 0, delayText(cell)]),
  );
}

type OnHost = { readonly host?: string };

function hostColumn(members: readonly OnHost[]): {
  readonly heading: readonly string[];
  readonly of: (member: OnHost) => readonly string[];
} {
  const isKnown = members.some(({ host }) => host !== undefined);
  return { heading: isKnown ? ["HOST"] : [], of: ({ host = "" }) => (isKnown ? [host] : []) };
}

/** One sentence for each machine that is gone with all that ran there. */
export function goneText({ gone = [] }: Pick<Status, "gone">): string {
  return gone
    .map(({ host, cells, gateways }) => {
      const those = [...cells.map((id) => `cell ${id}`), ...gateways.map((id) => `gateway ${id}`)];
      const last = those.pop() ?? "";
      return `Host ${host} is gone: ${those.length === 0 ? last : `${those.join(", ")} and ${last}`}.\n`;
    })
    .join("");
}

type HostVersion = { readonly host: string; readonly version: string };

/** Which version `tandem` itself is of on each machine that has said it lately. A status is one without them, too. */
async function hostVersions(api: ApiClient): Promise<HostVersion[]> {
  const answer = await api.get("/api/hosts").catch(() => undefined);
  const { value: hosts = [] } = read(hostsSchema, answer);
  return hosts.flatMap(({ host, state, report }) => (report === undefined || state === "gone" ? [] : [{ host, version: report.version }]));
}

/** Of several machines: it matters while they are upgraded. What their cells and gateways run is said there. */
export function hostVersionsText(hosts: readonly HostVersion[]): string {
  if (hosts.length < 2) return "";
  const by = Map.groupBy(hosts, ({ version }) => version);
  if (by.size === 1) return `tandem itself is of the same version on all ${hosts.length} hosts, ${printable([...by.keys()].join(""))}.\n`;
  const texts = Array.from(by, ([version, those]) => `${printable(version)} on ${those.map(({ host }) => host).join(", ")}`);
  return `tandem itself is of several versions: ${texts.join("; ")}.\n`;
}

/** The answer, with the version of each process that runs on this machine, and of `tandem` itself on each. */
function withVersions(answer: unknown, running: Run | undefined, hosts: readonly HostVersion[]): unknown {
  if (running === undefined || !isStatus(answer)) return answer;
  return {
    ...answer,
    ...(hosts.length === 0 ? {} : { hosts }),
    cells: answer.cells.map((cell) => ({ ...cell, ...versionOf(cell.id, running.cells) })),
    gateways: answer.gateways.map((gateway) => ({ ...gateway, ...versionOf(gateway.id, running.gateways) })),
  };
}

function versionOf(id: string, all: readonly { readonly id: string; readonly version?: string }[]): { readonly version?: string } {
  const version = all.find((each) => each.id === id)?.version;
  return version === undefined ? {} : { version };
}

/** Whether something runs on another machine than this one. */
function areSeveral({ cells, gateways }: Pick<Status, "cells" | "gateways">, own: string | undefined): boolean {
  return [...cells, ...gateways].some(({ host }) => host !== undefined && host !== own);
}

/**
 * One version is said in a word. While an upgrade is under way, or was stopped, there are several. `host`: this machine, where there are others, of whose processes
 * this says nothing.
 */
export function versionsText(running: Pick<Run, "cells" | "gateways"> | undefined, host?: string): string {
  const all = [
    ...(running?.cells ?? []).map((cell) => ({ ...cell, kind: "cell" })),
    ...(running?.gateways ?? []).map((gateway) => ({ ...gateway, kind: "gateway" })),
  ];
  const by = Map.groupBy(
    all.filter(({ version }) => version !== undefined),
    ({ version }) => version,
  );
  if (by.size === 0) return "";
  if (by.size === 1) return `${host === undefined ? "Version" : `Version of what runs on host ${host}:`} ${[...by.keys()].join("")}.\n`;
  const texts = Array.from(by, ([version, those]) => `${version} in ${those.map(({ kind, id }) => `${kind} ${id}`).join(", ")}`);
  return `Versions of ${host === undefined ? "this machine" : `what runs on host ${host}`}: ${texts.join("; ")}. ${program.name} upgrade goes on, or back.\n`;
}

/** Which code the cells run. It is said in a word where all of them run the same, as those of one machine do. */
export function codesText(cells: Status["cells"]): string {
  const known = cells.flatMap(({ id, code, otherCode = [] }) => (code === undefined ? [] : [{ id, code, otherCode }]));
  if (known.length === 0) return "";
  const codes = new Set(known.map(({ code }) => code));
  const [first = ""] = codes;
  const ofEach = known.map(({ id, code }) => `${code} in cell ${id}`).join(", ");
  const said = codes.size === 1 && known.length > 1 ? `All run the same code, ${first}` : `Code ${ofEach}`;
  const others = known.flatMap(({ id, otherCode }) => otherCode.map((each) => `${otherCodeText(id, each)}\n`));
  return `${said}.\n${others.join("")}`;
}

/** Objects of a cell that run other code than its Worker. */
export function otherCodeText(cell: string, { code, objects }: { readonly code: string; readonly objects: readonly string[] }): string {
  return `Cell ${cell}: ${objects.join(", ")} ${objects.length === 1 ? "runs" : "run"} other code (${code}).`;
}

/** So many registrations for each cell fall evenly enough that how they are spread means something. */
const toldOfEach = 20;

/** What the cells hold, and what is not in it. */
export function countsText({ registrations, dialogs, uncounted = [], loadBalance, cells }: Counts): string {
  const late = cells.filter(({ isLate }) => isLate === true).map(({ id }) => id);
  const live = cells.filter(({ state }) => state !== "down").length;
  const isTold = live >= 2 && registrations >= live * toldOfEach;
  const balance = isTold ? ` They are spread as if ${loadBalance.toFixed(1)} of the ${live} live cells had the same.` : "";
  const lines = [`Registrations ${registrations}, dialogs ${dialogs}.${balance}`];
  if (uncounted.length > 0) lines.push(`They are without those of ${exchangesNamed(uncounted)}, for which no cell has answered.`);
  if (late.length > 0)
    lines.push(
      `${cellsIn(late)} not answered this status in time: what only ${late.length === 1 ? "it knows" : "they know"} is not shown.`,
    );
  return `${lines.join("\n")}\n`;
}

type Counts = Pick<Status, "registrations" | "dialogs" | "uncounted" | "loadBalance"> & {
  readonly cells: readonly Pick<Status["cells"][number], "id" | "state" | "isLate">[];
};

function cellsIn(cells: readonly string[]): string {
  const text = cellsText(cells);
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)} ${cells.length === 1 ? "has" : "have"}`;
}

/** Exchanges that are not in two cells, if there are any, and what that means. */
export function exchangesText({ exchanges = [], risk = "" }: Pick<Status, "exchanges" | "risk">): string {
  const shown = exchanges.filter(({ state }) => state !== "paired");
  const table = tableText(
    ["EXCHANGE", "PRIMARY", "SECONDARY", "STATE"],
    shown.map(({ exchange, primary, secondary, joining, state, cause }) => [
      exchange,
      primary,
      secondary,
      [state, ...(joining === undefined ? [] : [`to ${joining}`]), ...(cause === undefined ? [] : [cause])].join(", "),
    ]),
  );
  return `${shown.length === 0 ? "" : `\n${table}\n`}${risk === "" ? "" : `${risk}\n`}`;
}

/** Why cells do not hear each other, where something has said so. */
export function hindrancesText(cells: Status["cells"]): string {
  const lines = cells.flatMap(({ id, hindrance }) => (hindrance === undefined ? [] : [`Cell ${id}: ${hindrance}\n`]));
  return lines.length === 0 ? "" : `${lines.join("")}\n`;
}

/** There and back between the asked cell and this one. */
function delayText({ delayMs }: Status["cells"][number]): string {
  return delayMs === undefined ? "" : `${delayMs < 10 ? delayMs.toFixed(1) : Math.round(delayMs)} ms`;
}

/** What gateways have counted is shown when there is something: datagrams, and whether they go many at once. */
export function gatewaysText(gateways: readonly Gateway[]): string {
  const isWorthIt = gateways.some(({ isNative = true, ...gateway }) => !isNative || counts.some(([name]) => (gateway[name] ?? 0) > 0));
  const more = (gateway: Gateway): (string | number)[] => [
    ...counts.map(([name]) => gateway[name] ?? 0),
    gateway.isNative === undefined ? "?" : gateway.isNative ? "yes" : "no",
  ];
  const hosts = hostColumn(gateways);
  return tableText(
    ["GATEWAY", ...hosts.heading, "STATE", "HEARD", "MISSED", ...(isWorthIt ? [...counts.map(([, heading]) => heading), "NATIVE"] : [])],
    gateways.map((gateway) => [
      gateway.id,
      ...hosts.of(gateway),
      stateText(gateway),
      heardText(gateway),
      gateway.missed ?? 0,
      ...(isWorthIt ? more(gateway) : []),
    ]),
  );
}

type Gateway = Status["gateways"][number];

const counts = [
  ["datagramsLost", "LOST"],
  ["datagramsDropped", "DROPPED"],
  ["datagramsPaced", "PACED"],
  ["shed", "SHED"],
  ["noise", "NOISE"],
] as const;

/** Enough for what happened last; `--json` has more. */
const changesShown = 5;

function stateText(member: Member): string {
  const { state, suspicion, isFenced, isLate, isDiskFull, softphonesLeft, connectionsLeft, refused, noisySources = 0 } = member;
  return [
    state,
    ...(softphonesLeft === undefined ? [] : [softphonesLeft === 0 ? "no softphones left" : `${softphonesLeft} softphones left`]),
    ...(connectionsLeft === undefined || state !== "draining"
      ? []
      : [connectionsLeft === 0 ? "no connections left" : `${connectionsLeft} connections left`]),
    ...(isFenced === true ? ["fenced"] : []),
    ...(isLate === true ? ["late"] : []),
    ...(isDiskFull === true ? ["disk full"] : []),
    ...(refused === undefined ? [] : [`refuses ${Math.ceil(refused * 100)} % of new requests`]),
    ...(noisySources === 0 ? [] : [`refuses ${noisySources} noisy ${noisySources === 1 ? "source" : "sources"}`]),
    ...(suspicion === undefined ? [] : [`suspect: ${suspicion}`]),
  ].join(", ");
}

function heardText({ heardMs }: Member): string {
  return heardMs === undefined
    ? "never"
    : heardMs < 10_000
      ? `${(heardMs / 1_000).toFixed(1)} s ago`
      : `${durationText(heardMs / 1_000)} ago`;
}

function changeRow({ at, epoch, kind, id, from, to, cause, detail }: Change): (string | number)[] {
  return [new Date(at).toISOString(), epoch, `${kind} ${id}`, from, to, detail === "" ? cause : `${cause} (${detail})`];
}
