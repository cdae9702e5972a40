import { statusSchema } from "../../schemas/api-answers.ts";
import { read } from "../../schemas/reading.ts";
import { ApiClient, KeyRefusal } from "../api-client.ts";
import { Failure, reasonOf } from "../errors.ts";
import { randomPassword, subscriberRecordOf } from "../subscribers.ts";
import { again, untilSo } from "./again.ts";
import { answersAs } from "./facts.ts";
import { commandOf, hasAccounts, type PlanFiles, purposeOf, type Step, tokenNameOf } from "./plan.ts";
import { forgetSecrets, makeSecret, writeSecrets } from "./secret-file.ts";
import type { System } from "./system.ts";
import type { Wrangler } from "./wrangler.ts";

/** A custom domain has its certificate after some minutes. */
const answerMsMax = 600_000;
/** Cells find each other within seconds, and copy what the one that was away has missed. */
const upMsMax = 300_000;

export type StepTools = {
  readonly wrangler: Wrangler;
  /** Commands of `tandem`, which ask the cell at a URL. */
  readonly drain: (cell: string, url: string, secret: string) => Promise<void>;
  readonly undrain: (cell: string, code: string, url: string, secret: string) => Promise<void>;
  readonly say: (text: string) => void;
  /** The token of an account. */
  readonly tokenOf: (name: string) => string | undefined;
};

export type StepFiles = {
  /** As the commands name them, from `cwd`, where wrangler is run. */
  readonly typed: PlanFiles;
  readonly cwd: string;
  /** The same files, absolute. */
  readonly secret: string;
  readonly secrets: string;
};

/** A subscriber that was made, whose password nobody else knows. */
export type Subscribed = { readonly aor: string; readonly password: string };

/** Does one step after the other. The first that fails ends it: a {@link Failure} says which, and the next time it goes on there. */
export async function runSteps(
  system: System,
  steps: readonly Step[],
  files: StepFiles,
  secret: string | undefined,
  tools: StepTools,
): Promise<readonly Subscribed[]> {
  let known = secret;
  const subscribed: Subscribed[] = [];
  try {
    for (const [index, step] of steps.entries()) {
      const command = commandOf(step, files.typed, hasAccounts(system));
      tools.say(`${index + 1}/${steps.length}  ${command ?? `until ${purposeOf(step)}`}\n`);
      try {
        if (step.kind === "make the secret") known = makeSecret(files.secret);
        else await runStep(system, step, files, known ?? "", tools, subscribed);
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        throw new Failure(
          `step ${index + 1} of ${steps.length}, ${purposeOf(step)}: ${reasonOf(error)} (tandem deploy --yes goes on there)`,
        );
      }
    }
  } finally {
    forgetSecrets(files.secrets);
  }
  return subscribed;
}

async function runStep(
  system: System,
  step: Exclude<Step, { readonly kind: "make the secret" }>,
  { typed, cwd, secrets }: StepFiles,
  secret: string,
  tools: StepTools,
  subscribed: Subscribed[],
): Promise<void> {
  switch (step.kind) {
    case "write the secrets":
      return writeSecrets(secrets, secret);
    case "forget the secrets":
      return forgetSecrets(secrets);
    case "deploy": {
      const name = tokenNameOf(step.cell, hasAccounts(system));
      const token = name === undefined ? undefined : tools.tokenOf(name);
      const words = ["deploy", "--env", step.cell.id, "--tag", step.tag, "--config", step.isFirst ? typed.first : typed.wrangler];
      await tools.wrangler({
        words: [...words, ...(step.isNew ? ["--secrets-file", typed.secrets] : [])],
        environment: token === undefined ? {} : { CLOUDFLARE_API_TOKEN: token },
        cwd,
      });
      return;
    }
    case "await":
      return await untilSo(
        async () => ((await answersAs(step.cell)) ? undefined : `nobody answers at ${step.cell.url} as cell ${step.cell.id}`),
        answerMsMax,
      );
    case "drain":
      // One that is down, or has not caught up, could not take over: the cell itself has to see that, and whoever passes it on.
      for (const url of [step.by, step.cell.url]) await untilSo(() => whyNotUp(system, step.cell.id, url, secret), upMsMax);
      return await again(() => tools.drain(step.cell.id, step.by, secret), upMsMax);
    case "undrain":
      await again(() => tools.undrain(step.cell.id, step.tag, step.by, secret), upMsMax);
      return await untilSo(() => whyNotUp(system, undefined, step.by, secret), upMsMax);
    case "subscribe": {
      const password = randomPassword();
      const record = subscriberRecordOf(step.addressOfRecord, password);
      await again(() => new ApiClient([step.by], secret).put("/api/subscribers", [record]), upMsMax);
      subscribed.push({ aor: step.addressOfRecord, password });
      return;
    }
    default:
      throw new Error(step satisfies never);
  }
}

/** Why not all cells but this one serve, in the eyes of the cell at a URL; undefined: they do. */
async function whyNotUp({ cells }: System, but: string | undefined, url: string, secret: string): Promise<string | undefined> {
  try {
    const { value: status } = read(statusSchema, await new ApiClient([url], secret).get("/api/status"));
    const stateOf = (id: string): string => status?.cells.find((each) => each.id === id)?.state ?? "in no status";
    const other = cells.find(({ id }) => id !== but && stateOf(id) !== "up");
    return other === undefined ? undefined : `cell ${other.id} is ${stateOf(other.id)}, as the cell at ${url} has it: mend it first`;
  } catch (error) {
    if (!(error instanceof Failure) || error instanceof KeyRefusal) throw error;
    return error.message;
  }
}
