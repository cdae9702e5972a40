import { readFileSync } from "node:fs";
import { type Arguments, usage } from "../arguments.ts";
import { subscriberAddSpec } from "../command-specs.ts";
import { Failure, codeOf, reasonOf } from "../errors.ts";
import type { Io } from "../io.ts";
import { isListOf, isText } from "../json.ts";
import { parseAddressOfRecord, parseSubscribersCsv, subscriberRecordOf } from "../subscribers.ts";
import { findTarget } from "../target.ts";

/** Subscribers of one request: its body stays below 256 KiB, and a cell's answer well below its time limit. */
const batchSize = 1_000;

export async function add(args: Arguments, io: Io): Promise<void> {
  const given = args.values.get("password");
  if (given === undefined) throw usage(subscriberAddSpec, "--password is missing (- reads it from standard input)");
  const target = findTarget(args, io.environment);
  const aor = parseAddressOfRecord(args.positionals[0] ?? "", target.domain);
  const password = given === "-" ? ((await io.readStdin()).split(/\r?\n/, 1)[0] ?? "") : given;
  if (password === "") throw new Failure("the password is empty");
  await target.api.put("/api/subscribers", [subscriberRecordOf(aor, password)]);
  target.state?.forgetPasswords([aor]);
  io.out(`${aor} may register\n`);
}

export async function remove(args: Arguments, io: Io): Promise<void> {
  const target = findTarget(args, io.environment);
  const aor = parseAddressOfRecord(args.positionals[0] ?? "", target.domain);
  await target.api.delete(`/api/subscribers?aor=${encodeURIComponent(aor)}`);
  target.state?.forgetPasswords([aor]);
  io.out(`${aor} is removed\n`);
}

export async function list(args: Arguments, io: Io): Promise<void> {
  const { api } = findTarget(args, io.environment);
  const answer = await api.get("/api/subscribers");
  if (!isListOf(answer, isText)) throw new Failure("the cell's answer is no list of subscribers: is it of another version?");
  if (args.flags.has("json")) return io.out(`${JSON.stringify(answer)}\n`);
  for (const aor of answer) io.out(`${aor}\n`);
}

/** Everything is checked before anything is sent: a mistake in line 900 leaves no 899 subscribers behind. */
export async function importFile(args: Arguments, io: Io): Promise<void> {
  const target = findTarget(args, io.environment);
  const file = args.positionals[0] ?? "";
  let subscribers;
  try {
    subscribers = parseSubscribersCsv(readFileSync(file, "utf8"), target.domain);
  } catch (error) {
    if (codeOf(error) === "ENOENT") throw new Failure(`${file} does not exist`);
    throw new Failure(`${file}: ${reasonOf(error)}`);
  }
  for (let at = 0; at < subscribers.length; at += batchSize) {
    const batch = subscribers.slice(at, at + batchSize);
    try {
      await target.api.put(
        "/api/subscribers",
        batch.map(({ aor, password }) => subscriberRecordOf(aor, password)),
      );
    } catch (error) {
      throw new Failure(`${at} of ${subscribers.length} imported, then: ${reasonOf(error)} (importing the file again does no harm)`);
    }
    target.state?.forgetPasswords(batch.map(({ aor }) => aor));
  }
  io.out(`${subscribers.length} subscribers imported\n`);
}
