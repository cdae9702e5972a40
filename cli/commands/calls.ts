import { callEndedSchema, callSchema, type CallRow } from "../../schemas/api-answers.ts";
import { read } from "../../schemas/reading.ts";
import { usage, wholeNumber, type Arguments } from "../arguments.ts";
import { latestCalls, liveCalls, otherVersion } from "../call-pages.ts";
import { callsSpec } from "../command-specs.ts";
import { addressOfRecordAt } from "../domains.ts";
import { Failure, printable } from "../errors.ts";
import type { Io } from "../io.ts";
import { durationText, tableText } from "../table.ts";
import { findTarget } from "../target.ts";

/** A table of more is seldom read: who wants them says since when, or how many. */
const tableRowsMax = 1_000;
const limitMax = 10_000_000;

/** `tandem calls`. */
export async function list(args: Arguments, io: Io): Promise<void> {
  const { flags, values, positionals } = args;
  if (flags.has("json") && flags.has("csv")) throw usage(callsSpec, "--json and --csv: choose one of the two");
  if (flags.has("live") && ["failed", "since", "limit"].some((name) => flags.has(name) || values.has(name)))
    throw usage(callsSpec, "--live does not go with --since, --failed, --limit");
  const limit = limitOf(args);
  const target = findTarget(args, io.environment);
  const { api } = target;
  const [typed] = positionals;
  const query = new URLSearchParams();
  if (typed !== undefined) query.set("aor", await addressOfRecordAt(target, typed));
  if (flags.has("failed")) query.set("failed", "true");
  const since = values.get("since");
  if (since !== undefined) query.set("since", sinceOf(since, Date.now()).toISOString());
  const { calls, isCut } = flags.has("live") ? { calls: await liveCalls(api, query), isCut: false } : await latestCalls(api, query, limit);
  if (flags.has("json")) io.out(`${JSON.stringify(calls)}\n`);
  else if (flags.has("csv")) io.out(csvOf(calls));
  else if (calls.length === 0) io.out(flags.has("live") ? "No call stands now.\n" : "There are no such calls.\n");
  else io.out(tableText(["ID", "BEGAN", "CALLER", "CALLEE", "RANG", "TALKED", "STATUS", "WHAT BECAME OF IT"], calls.map(tableRow)));
  if (isCut) io.err(`These are the latest ${calls.length}; there are earlier ones: --since T lists all since then, --limit N so many\n`);
}

/** Who names a time, or reads them with a program, wants all of them. */
function limitOf({ flags, values }: Arguments): number {
  const limit = values.get("limit");
  if (limit !== undefined) return wholeNumber(callsSpec, "limit", limit, 1, limitMax);
  return values.has("since") || flags.has("json") || flags.has("csv") ? limitMax : tableRowsMax;
}

/** `tandem calls show`. */
export async function show(args: Arguments, io: Io): Promise<void> {
  const { api } = findTarget(args, io.environment);
  const [id = ""] = args.positionals;
  const { value: call, fault } = read(callSchema, await api.get(`/api/calls/${encodeURIComponent(id)}`));
  if (fault !== undefined) throw new Failure(otherVersion);
  if (args.flags.has("json")) return io.out(`${JSON.stringify(call)}\n`);
  const { caller, callee, answeredBy, start, ring, answer, end, status, reason, cells, gateways, failovers } = call;
  const lines: readonly (readonly [string, string])[] = [
    ["Call", call.id],
    ["Caller", caller],
    ["Callee", callee],
    ["Answered by", answeredBy],
    ["Began", localTime(start)],
    ["Rang", ring === null ? "" : localTime(ring)],
    ["Answered", answer === null ? "" : localTime(answer)],
    ["Ended", end === null ? "" : localTime(end)],
    ["Became of it", `${reason} (${status})`],
    ["Cells", cells.join(", ")],
    ["Gateways", gateways.join(", ")],
    ["Failovers", String(failovers)],
  ];
  io.out(lines.map(([name, text]) => `${`${name}:`.padEnd(14)}${printable(text) || "-"}\n`).join(""));
}

/** `tandem calls end`. */
export async function endCall(args: Arguments, io: Io): Promise<void> {
  const { api } = findTarget(args, io.environment);
  const [id = ""] = args.positionals;
  const { value: ended, fault } = read(callEndedSchema, await api.delete(`/api/calls/${encodeURIComponent(id)}`));
  if (fault !== undefined) throw new Failure(otherVersion);
  if (args.flags.has("json")) return io.out(`${JSON.stringify(ended)}\n`);
  const what = ended.was === "answered" ? "both phones are told to hang up" : "its phones stop ringing, and its caller is told so";
  io.out(`Call ${ended.id} is ended: ${what}\n`);
}

/** `30m`, `2h`, `7d` before now, or a time as ISO 8601 writes it: without a zone, that of this machine. */
export function sinceOf(text: string, nowMs: number): Date {
  const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  const at = count === undefined ? Date.parse(text) : nowMs - Number(count) * (unitMs[unit ?? "s"] ?? 1_000);
  if (Number.isNaN(at) || (count === undefined && !/^\d{4}-\d{2}/.test(text)))
    throw usage(callsSpec, `--since ${text}: must be like 30m, 2h or 7d, or like 2026-11-30T08:00`);
  return new Date(at);
}

const unitMs: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function tableRow({ id, caller, callee, start, ring, answer, end, status, reason, failovers }: CallRow): (string | number)[] {
  const until = end ?? new Date().toISOString();
  const rang = ring === null ? "-" : lastedText(ring, answer ?? until);
  const talked = answer === null ? "-" : lastedText(answer, until);
  const what = failovers === 0 ? reason : `${reason}; ${failovers === 1 ? "1 failover" : `${failovers} failovers`}`;
  return [id, localTime(start), caller, callee, rang, talked, status, what];
}

function lastedText(from: string, until: string): string {
  return durationText((Date.parse(until) - Date.parse(from)) / 1_000);
}

function two(number: number): string {
  return String(number).padStart(2, "0");
}

/** `2026-11-30 08:05:09`, by the clock of this machine. */
export function localTime(iso: string): string {
  const at = new Date(iso);
  const date = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${date} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

const csvFields: readonly (keyof CallRow)[] = [
  "id",
  "caller",
  "callee",
  "answeredBy",
  "start",
  "ring",
  "answer",
  "end",
  "status",
  "reason",
  "cells",
  "gateways",
  "failovers",
];

/** RFC 4180. Lists have spaces between their parts; what there is none of is empty. */
export function csvOf(calls: readonly CallRow[]): string {
  const rows = calls.map((call) => csvFields.map((field) => csvText(call[field])));
  return [csvFields, ...rows].map((row) => `${row.join(",")}\r\n`).join("");
}

/** A program that shows tables takes what begins with one of `=+-@` for a formula, and phones choose their names. */
function csvText(value: CallRow[keyof CallRow]): string {
  if (typeof value === "number") return String(value);
  const text = value === null ? "" : typeof value === "string" ? value : value.join(" ");
  const harmless = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
