import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { OrderKind } from "../../cluster/map/orders.ts";
import { type Hosts, hostsSchema, type Order, orderSchema } from "../../schemas/hosts.ts";
import { read } from "../../schemas/reading.ts";
import type { ApiClient } from "../api-client.ts";
import { type Arguments, usage } from "../arguments.ts";
import { hostSpec } from "../command-specs.ts";
import { Failure, printable } from "../errors.ts";
import type { Io } from "../io.ts";
import { durationText, tableText } from "../table.ts";
import { lastWordsText } from "../last-words.ts";
import { findGatewayHost, findTarget } from "../target.ts";
import { deadlineOf } from "./drain.ts";
import { ownHostOf, processesText } from "./own-host.ts";

/** A host takes an order within two seconds, and a process starts within ten. */
const carriedOutMsMax = 60_000;
const pollMs = 250;
/** So far clocks may differ where signatures are taken. */
const clocksApartMsMax = 30_000;
/** What a report says of its release is a word: what is longer would push all other columns away. */
const versionCharactersMax = 24;

const kinds: ReadonlySet<string> = new Set<OrderKind>(["start", "stop", "restart", "reload"]);

/** Shows the hosts and what runs on each, or tells one what to do, and waits for what comes of it. */
export async function run(args: Arguments, io: Io): Promise<void> {
  const [host, what, member, surplus] = args.positionals;
  if (surplus !== undefined) throw usage(hostSpec, `unexpected argument ${JSON.stringify(surplus)}`);
  if (what === undefined || host === undefined) return await show(host, args, io);
  const { api } = findTarget(args, io.environment);
  if (!isKind(what)) throw usage(hostSpec, `ORDER ${what}: must be start, stop, restart or reload`);
  const takesProcess = what !== "reload";
  if (takesProcess !== (member !== undefined))
    throw usage(hostSpec, takesProcess ? "the name of a process is missing" : `reload is for the whole host`);
  const canWait = what === "stop" || what === "restart";
  const deadline = args.values.get("deadline");
  if (!canWait && (args.flags.has("now") || deadline !== undefined)) throw usage(hostSpec, "--now and --deadline are for stop and restart");
  if (args.flags.has("now") && deadline !== undefined) throw usage(hostSpec, "--now and --deadline exclude each other");
  const drainMs = canWait && !args.flags.has("now") ? deadlineOf(hostSpec, deadline) : undefined;
  const wish = { id: randomBytes(8).toString("hex"), what, ...(member === undefined ? {} : { member }) };
  const path = `/api/hosts/${encodeURIComponent(host)}/orders`;
  await api.put(path, drainMs === undefined ? wish : { ...wish, drainMs });
  const order = await carriedOut(api, `${path}/${wish.id}`, carriedOutMsMax + (drainMs ?? 0));
  const { outcome } = order;
  if (outcome === undefined) throw new Failure(`host ${host} has not said what became of it: tandem host shows what runs there`);
  if (!outcome.isDone) throw new Failure(`host ${host}: ${outcome.text}`);
  io.out(args.flags.has("json") ? `${JSON.stringify(order)}\n` : `Host ${host}: ${printable(outcome.text)}\n`);
}

/** The order with its outcome, or as it was last known. Any cell answers: the one that took it may have gone. */
async function carriedOut(api: ApiClient, path: string, msMax: number): Promise<Order> {
  let problem = new Failure("nobody knows of the order any more: it was lost in a cut; tandem host shows what runs");
  let known: Order | undefined;
  for (const until = performance.now() + msMax; performance.now() < until; await delay(pollMs)) {
    try {
      known = orderOf(await api.get(path));
      if (known.outcome !== undefined) return known;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      // The cell that is asked has not heard of it yet, or is the one that is stopped.
      if (known === undefined) problem = error;
    }
  }
  if (known === undefined) throw problem;
  return known;
}

async function show(host: string | undefined, args: Arguments, io: Io): Promise<void> {
  const all = await hostsFor(host, args, io);
  const shown = all.filter((each) => host === undefined || each.host === host);
  if (host !== undefined && shown.length === 0) throw new Failure(`there is no host ${host}`);
  if (args.flags.has("json")) return io.out(`${JSON.stringify(shown)}\n`);
  io.out(hostsText(shown));
}

/** Where only gateways run, what cells say of this machine. When none answers, what it knows by itself is said, and why that is all. */
async function hostsFor(host: string | undefined, args: Arguments, io: Io): Promise<Hosts> {
  const own = findGatewayHost(args, io.environment);
  if (own === undefined) {
    const { value } = read(hostsSchema, await findTarget(args, io.environment).api.get("/api/hosts"));
    if (value === undefined) throw new Failure("the cell's answer is no list of hosts: is it of another version?");
    return value;
  }
  if (host !== undefined && host !== own.host)
    throw new Failure(
      `host ${own.host} runs gateways only, and its key may ask for nothing but itself: ask of ${host} on a machine with a cell`,
    );
  try {
    return [(await ownHostOf(own.api)).host];
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    throw new Failure(`${error.message}; ${processesText(own.run)}`);
  }
}

export function hostsText(hosts: Hosts): string {
  const headings = ["HOST", "PROCESS", "STATE", "VERSION", "SINCE", "CPU", "MEMORY", "FILES", "LAST WORDS"];
  return tableText(headings, hosts.flatMap(rowsOf));
}

function rowsOf({ host, state, agoMs, report, runs = [] }: Hosts[number]): (readonly string[])[] {
  const age = agoMs === undefined ? "" : ` for ${durationText(agoMs / 1_000)}`;
  const own = [
    host,
    "tandem",
    state === "up" ? "up" : `${state}${age}`,
    (report?.version ?? "").slice(0, versionCharactersMax),
    agoText(report?.since),
  ];
  const processes = (report?.processes ?? []).map((each) => {
    const words = each.lastWords === undefined ? "" : `${agoText(each.saidAt)} ago: ${lastWordsText(each.lastWords)}`;
    const then = state === "gone" ? `gone, was ${each.state}` : each.state;
    return [host, `${each.kind} ${each.id}`, then, "", agoText(each.since), ...usageTexts(each), words];
  });
  // What the map has there, and no report that is known.
  const unreported =
    report === undefined ? runs.map(({ kind, id }) => [host, `${kind} ${id}`, state === "gone" ? "gone" : "not known"]) : [];
  return [[...own, ...usageTexts(report), ""], ...processes, ...unreported];
}

type Used = { readonly cpuPercent?: number; readonly memoryOctets?: number; readonly descriptors?: number };

function usageTexts({ cpuPercent, memoryOctets, descriptors }: Used = {}): string[] {
  return [
    cpuPercent === undefined ? "" : `${cpuPercent} %`,
    memoryOctets === undefined ? "" : `${Math.round(memoryOctets / 1_048_576)} MiB`,
    descriptors === undefined ? "" : String(descriptors),
  ];
}

/** How long ago that was, by the clock of the host that says it and of this machine. What is yet to come nobody believes. */
function agoText(at: number | undefined): string {
  if (at === undefined) return "";
  const ms = Date.now() - at;
  return ms < -clocksApartMsMax ? "?" : durationText(ms / 1_000);
}

function orderOf(answer: unknown): Order {
  const { value } = read(orderSchema, answer);
  if (value === undefined) throw new Failure("the cell's answer is no order: is it of another version?");
  return value;
}

function isKind(text: string): text is OrderKind {
  return kinds.has(text);
}
