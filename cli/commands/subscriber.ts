import { readFileSync } from "node:fs";
import { subscribersSchema, subscribersStoredSchema } from "../../schemas/api-answers.ts";
import { read } from "../../schemas/reading.ts";
import { type Arguments, usage } from "../arguments.ts";
import { subscriberAddSpec } from "../command-specs.ts";
import { decodeCsv } from "../csv.ts";
import { addressOfRecordAt, domainRows } from "../domains.ts";
import { Failure, codeOf, reasonOf } from "../errors.ts";
import type { Io } from "../io.ts";
import { parseSubscribersCsv, type SubscriberFile } from "../subscriber-files.ts";
import { passwordOfInput, subscriberRecordOf } from "../subscribers.ts";
import { findTarget, type Target } from "../target.ts";

/** Subscribers of one request: its body stays below 256 KiB, and a cell's answer well below its time limit. */
const batchSize = 1_000;

export async function add(args: Arguments, io: Io): Promise<void> {
  const given = args.values.get("password");
  if (given === undefined) throw usage(subscriberAddSpec, "--password is missing (- reads it from standard input)");
  const target = findTarget(args, io.environment);
  const aor = await addressOfRecordAt(target, args.positionals[0] ?? "");
  const password = given === "-" ? passwordOfInput(await io.readStdin()) : given;
  if (password === "") throw new Failure("the password is empty");
  // What Node makes of octets on a command line that are not UTF-8.
  if (password.includes("\uFFFD")) throw new Failure("the password is not UTF-8, as phones send it");
  const answer = await target.api.put("/api/subscribers", [subscriberRecordOf(aor, password)]);
  const done = changedOf(answer) > 0 ? `${aor} was there already: the password is changed` : `${aor} may register`;
  forgetPasswords(target, [aor], done);
  io.out(`${done}\n`);
}

export async function remove(args: Arguments, io: Io): Promise<void> {
  const target = findTarget(args, io.environment);
  const aor = await addressOfRecordAt(target, args.positionals[0] ?? "");
  await target.api.delete(`/api/subscribers?aor=${encodeURIComponent(aor)}`);
  forgetPasswords(target, [aor], `${aor} is removed`);
  io.out(`${aor} is removed\n`);
}

export async function list(args: Arguments, io: Io): Promise<void> {
  const { api } = findTarget(args, io.environment);
  const { value: answer, fault } = read(subscribersSchema, await api.get("/api/subscribers"));
  if (fault !== undefined) throw new Failure("the cell's answer is no list of subscribers: is it of another version?");
  if (args.flags.has("json")) return io.out(`${JSON.stringify(answer)}\n`);
  for (const aor of answer) io.out(`${aor}\n`);
}

/** Everything is checked before anything is sent: a mistake in line 900 leaves no 899 subscribers behind. */
export async function importFile(args: Arguments, io: Io): Promise<void> {
  const target = findTarget(args, io.environment);
  const file = args.positionals[0] ?? "";
  const domains = await domainRows(target.api);
  const { subscribers, md5Only, others } = readSubscribersFile(
    file,
    target.domain,
    domains.map(({ name }) => name),
  );
  let changed = 0;
  for (let at = 0; at < subscribers.length; at += batchSize) {
    const batch = subscribers.slice(at, at + batchSize);
    try {
      changed += changedOf(await target.api.put("/api/subscribers", batch));
    } catch (error) {
      throw new Failure(`${at} of ${subscribers.length} imported, then: ${reasonOf(error)} (importing the file again does no harm)`);
    }
    const aors = batch.map(({ aor }) => aor);
    forgetPasswords(target, aors, `${at + batch.length} of ${subscribers.length} imported`);
  }
  io.out(`${importedText(subscribers.length, changed)}\n`);
  for (const [kind, count] of others) io.out(`${count} of kind ${kind} left out: only sip and pjsip are SIP phones\n`);
  const isSha256Asked = domains.some(({ digest }) => digest !== undefined && !digest.includes("MD5"));
  if (md5Only > 0 && isSha256Asked) {
    io.out(`${md5Only} of them cannot register: the file has hashes of MD5 only, and the system asks for SHA-256 (tandem up --digest)\n`);
  }
}

function importedText(count: number, changed: number): string {
  if (count === 0) return "no subscribers imported: the file has none";
  const imported = `${count} ${count === 1 ? "subscriber" : "subscribers"} imported`;
  if (changed === 0) return imported;
  if (count === 1) return `${imported}, who was there already: the password is changed`;
  if (changed === 1) return `${imported}, 1 of them was there already: that password is changed`;
  return `${imported}, ${changed} of them were there already: their passwords are changed`;
}

/** What a start prints is not true any more. The change itself is done by then, and is said. */
function forgetPasswords({ state }: Target, aors: readonly string[], done: string): void {
  try {
    state?.forgetPasswords(aors);
  } catch (error) {
    throw new Failure(`${done}; but the next start prints passwords as they were: ${reasonOf(error)}`);
  }
}

function readSubscribersFile(file: string, domain: string | undefined, others: readonly string[]): SubscriberFile {
  try {
    return parseSubscribersCsv(decodeCsv(readFileSync(file)), domain, others);
  } catch (error) {
    const code = codeOf(error);
    if (code === "ENOENT") throw new Failure(`${file} does not exist`);
    if (code === "EISDIR") throw new Failure(`${file} is a directory: name the CSV file`);
    if (code === "EACCES") throw new Failure(`${file} may not be read by this user`);
    throw new Failure(`${file}: ${reasonOf(error)}`);
  }
}

/** How many of those that were put had been there before. */
function changedOf(answer: unknown): number {
  return read(subscribersStoredSchema, answer).value?.changed ?? 0;
}
