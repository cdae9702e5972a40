import { setTimeout as delay } from "node:timers/promises";
import { type Secret, secretSchema } from "../../schemas/api-answers.ts";
import { read } from "../../schemas/reading.ts";
import type { Arguments } from "../arguments.ts";
import { Failure } from "../errors.ts";
import type { Io } from "../io.ts";
import { findTarget } from "../target.ts";

/** All cells that are up have it within a second or two. */
const signsMsMax = 10_000;
const pollMs = 200;

/** Has the system sign tokens and nonces with another secret, or shows who is waited for. */
export async function run(args: Arguments, io: Io): Promise<void> {
  const { api } = findTarget(args, io.environment);
  let secret = secretOf(args.flags.has("show") ? await api.get("/api/secret") : await api.put("/api/secret", {}));
  const wanted = secret.next;
  if (!args.flags.has("show")) {
    for (const until = performance.now() + signsMsMax; secret.next !== undefined && performance.now() < until;) {
      await delay(pollMs);
      secret = secretOf(await api.get("/api/secret"));
    }
  }
  if (args.flags.has("json")) return io.out(`${JSON.stringify(secret)}\n`);
  io.out(`${linesOf(secret, wanted !== undefined && !args.flags.has("show")).join("\n")}\n`);
}

function linesOf({ next, former, waitsFor }: Secret, isChanged: boolean): string[] {
  const ends = former.map(({ until }) => until.replace("T", " ").replace(/\.\d+Z$/, " UTC"));
  const [last, ...earlier] = ends;
  return [
    ...(next === undefined
      ? [isChanged ? "Tokens and nonces are signed with another secret now" : "All cells sign tokens and nonces with the same secret"]
      : [
          "All cells that are up take the next secret; tokens and nonces are still signed with the one before",
          `Waited for: ${waitsFor.map((cell) => `cell ${cell}`).join(", ") || "the coordinator"}; for one that is down a minute`,
        ]),
    ...(last === undefined ? [] : [`What the one before has signed counts until ${last}`]),
    ...(earlier.length === 0 ? [] : [`${earlier.length} more count, until ${earlier.join(", ")}`]),
  ];
}

function secretOf(answer: unknown): Secret {
  const { value } = read(secretSchema, answer);
  if (value === undefined) throw new Failure("the cell's answer does not say which secrets count: is it of another version?");
  return value;
}
