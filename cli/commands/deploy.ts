import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { codeOfBundle, makeBundle } from "../bundle.ts";
import { type Arguments, parseArguments, usage } from "../arguments.ts";
import { deploySpec, drainSpec, undrainSpec } from "../command-specs.ts";
import { isLoopbackUrl } from "../deploy/cell-place.ts";
import { factsOf } from "../deploy/facts.ts";
import { type Change, DeployFiles } from "../deploy/files.ts";
import { gatewayTextOf } from "../deploy/gateway-text.ts";
import { commandOf, type Facts, hasAccounts, nothingThere, planOf, purposeOf, type Step, tagsOf, tokenNameOf } from "../deploy/plan.ts";
import { runSteps, type StepTools, type Subscribed } from "../deploy/run-steps.ts";
import { secretIn } from "../deploy/secret-file.ts";
import { isOnCloudflare, type System } from "../deploy/system.ts";
import { tryUploads } from "../deploy/try-uploads.ts";
import { type Wrangler, wranglerOf, wranglerProgram } from "../deploy/wrangler.ts";
import { Failure } from "../errors.ts";
import type { Io } from "../io.ts";
import { tableText } from "../table.ts";
import { drain, undrain } from "./drain.ts";

/** Makes wrangler.toml of tandem.toml, says what is to be done, and does it. */
export async function run(args: Arguments, io: Io): Promise<void> {
  if (args.flags.has("yes") && args.flags.has("dry-run")) throw usage(deploySpec, "--yes and --dry-run exclude each other");
  const wrangler = wranglerOf(wranglerProgram(), io.environment);
  const files = new DeployFiles(resolve(args.values.get("config") ?? "tandem.toml"), (line) => io.err(`tandem: ${line}\n`));
  const here = files.system.cells.find((cell) => isOnCloudflare(cell) && isLoopbackUrl(cell.url));
  if (here !== undefined && args.flags.has("yes"))
    throw new Failure(`${files.name}: cell ${here.id} is at ${here.url}, on this machine: on Cloudflare nobody would find it there`);
  await deploy(args, io, { files, wrangler, isAsked: here === undefined });
}

export type Deployment = {
  readonly files: DeployFiles;
  readonly wrangler: Wrangler;
  /** False: nobody is asked what is there, for nothing was ever deployed by this file. */
  readonly isAsked: boolean;
};

/** What {@link run} does with whatever runs as wrangler. */
export async function deploy(args: Arguments, io: Io, { files, wrangler, isAsked }: Deployment): Promise<void> {
  const { system } = files;
  const [isJson, isDry] = [args.flags.has("json"), args.flags.has("dry-run")];
  const say = (text: string): void => {
    if (!isJson) io.out(text);
  };
  const { last, first } = files.texts();
  const change = files.compare(last, args.flags.has("force"));
  const tags = tagsOf(await codeOfSources(), last, first);
  if (!isDry) files.write(last, first);
  const secret = secretIn(files.secret);
  const facts: Facts = isDry || !isAsked ? nothingThere : await factsOf(system, secret);
  const steps = planOf(system, tags, { ...facts, hasSecret: secret !== undefined });
  if (isDry) await tryUploads(system, steps, wrangler, say);
  say(`${files.typed.wrangler}: ${changeText(change, isDry)}\n\n${planText(system, steps, files)}\n`);
  let subscribed: readonly Subscribed[] = [];
  if (args.flags.has("yes")) {
    checkTokens(steps, system, io.environment);
    const stepFiles = { typed: files.typed, cwd: process.cwd(), secret: files.secret, secrets: files.secrets };
    subscribed = await runSteps(system, steps, stepFiles, secret, { ...toolsOf(io, say), wrangler });
    say(`\n${endText(system, subscribed)}\n`);
  } else if (steps.length > 0 && !isDry) {
    say(
      `npx tandem deploy --yes does it. Who types it: export TANDEM_SECRET="$(cat ${files.typed.secret})" for the commands of tandem\n\n`,
    );
  }
  const gateways = system.gateways.map((gateway) => ({ name: gateway.name, file: gatewayTextOf(system, gateway) }));
  if (!isJson) return io.out(gatewaysText(gateways, files.typed.secret));
  const typed = steps.map((step) => ({ does: purposeOf(step), command: commandOf(step, files.typed, hasAccounts(system)) ?? null }));
  io.out(`${JSON.stringify({ wranglerFile: change, steps: typed, isDone: args.flags.has("yes"), subscribed, gateways })}\n`);
}

/** Where there are two accounts, each has a token of its own: which one wrangler has is not to be guessed. Throws a {@link Failure}. */
function checkTokens(steps: readonly Step[], system: System, environment: NodeJS.ProcessEnv): void {
  for (const step of steps) {
    const name = step.kind === "deploy" ? tokenNameOf(step.cell, hasAccounts(system)) : undefined;
    if (name !== undefined && (environment[name] ?? "") === "")
      throw new Failure(`${name} is missing: it holds a token of account ${step.kind === "deploy" ? (step.cell.account?.name ?? "") : ""}`);
  }
}

/** Which code the sources make: as `wrangler deploy` would upload it. */
async function codeOfSources(): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), "tandem-deploy-code-"));
  try {
    return codeOfBundle(await makeBundle(directory));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function toolsOf(io: Io, say: (text: string) => void): Omit<StepTools, "wrangler"> {
  const asIo = (secret: string): Io => ({ ...io, out: say, environment: { ...io.environment, TANDEM_SECRET: secret } });
  return {
    say,
    drain: (cell, url, secret) => drain(parseArguments(drainSpec, [cell, "--url", url]), asIo(secret)),
    undrain: (cell, code, url, secret) => undrain(parseArguments(undrainSpec, [cell, "--code", code, "--url", url]), asIo(secret)),
    tokenOf: (name) => io.environment[name],
  };
}

function changeText(change: Change, isDry: boolean): string {
  const made = isDry ? "would be made" : "is made";
  if (change === "same") return "is what tandem.toml makes";
  if (change === "new") return `${made}: it was not there`;
  return `${made} anew: it was ${change === "other" ? "of an earlier tandem.toml" : "changed by hand, which is given up"}`;
}

function planText(system: System, steps: readonly Step[], files: DeployFiles): string {
  if (steps.length === 0) return "Nothing is to be done: what runs is what tandem.toml says\n";
  const rows = steps.map((step, index) => [
    index + 1,
    purposeOf(step),
    commandOf(step, files.typed, hasAccounts(system)) ?? "(wait until it does)",
  ]);
  return tableText(["STEP", "WHAT", "COMMAND"], rows);
}

function endText(system: System, subscribed: readonly Subscribed[]): string {
  const [first] = system.cells;
  const made = subscribed.map(({ aor, password }) => `${aor} may register, with the password ${password}: it is said this once\n`);
  return `${made.join("")}All cells run what tandem.toml says. TANDEM_URL=${first?.url ?? ""} npx tandem status shows them, with the secret in TANDEM_SECRET\n`;
}

function gatewaysText(gateways: readonly { readonly name: string; readonly file: string }[], secret: string): string {
  if (gateways.length === 0) return "Gateways: [[gateways]] in tandem.toml has what goes into each printed here\n";
  const each = gateways.map(({ name, file }) => `gateway.toml of ${name}:\n\n${file.replaceAll(/^(?=.)/gm, "    ")}\n`);
  return `${each.join("\n")}Beside it goes ${secret}, with mode 600. Then: npx node gateway/index.ts --config gateway.toml\n`;
}
