import { periodMsMax, periodMsMin, missedMax, missedMin } from "../../cluster/limits.ts";
import { type Settings, settingsSchema } from "../../schemas/api-answers.ts";
import { read } from "../../schemas/reading.ts";
import { type Arguments, wholeNumber } from "../arguments.ts";
import { heartbeatSpec } from "../command-specs.ts";
import { Failure } from "../errors.ts";
import type { Io } from "../io.ts";
import { findTarget } from "../target.ts";

/** Shows how failures are detected, or changes it: no restart, in force everywhere within milliseconds. */
export async function run(args: Arguments, io: Io): Promise<void> {
  const period = args.values.get("period-ms");
  const missed = args.values.get("missed");
  const asked = {
    ...(period === undefined ? {} : { periodMs: wholeNumber(heartbeatSpec, "period-ms", period, periodMsMin, periodMsMax) }),
    ...(missed === undefined ? {} : { missed: wholeNumber(heartbeatSpec, "missed", missed, missedMin, missedMax) }),
  };
  const { api } = findTarget(args, io.environment);
  let answer = settingsOf(await api.get("/api/settings"));
  if (Object.keys(asked).length > 0) answer = settingsOf(await api.put("/api/settings", { heartbeat: { ...answer.heartbeat, ...asked } }));
  if (args.flags.has("json")) return io.out(`${JSON.stringify(answer)}\n`);
  io.out(`A heartbeat every ${answer.heartbeat.periodMs} ms; down when ${answer.heartbeat.missed} in a row are missed\n`);
}

function settingsOf(answer: unknown): Settings {
  const { value, fault } = read(settingsSchema, answer);
  if (fault !== undefined) throw new Failure("the cell's answer are no settings: is it of another version?");
  return value;
}
