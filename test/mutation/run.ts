import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { runCommand } from "../command-line.ts";
import { runSeeds, runTests, type Verdict } from "./catchers.ts";
import { listOf } from "./list.ts";
import { mutations, type Mutation } from "./mutations.ts";
import { Scratch } from "./scratch.ts";
import { help, parseSettings } from "./settings.ts";
import { mutate, readSources, root, type Sources } from "./sources.ts";

type Fate = { readonly mutation: Mutation; readonly tests: Verdict; readonly seeds: Verdict | undefined; readonly seconds: number };

const notAsked: Verdict = { color: "broken", why: "the rule is not in the sources" };

/** Breaks one rule after the other, and fails if nobody notices. `--help` says how. */
await runCommand(async (args) => {
  const settings = parseSettings(args);
  if (settings === undefined) console.log(help);
  else if (settings.isList) writeFileSync(join(root, "docs", "mutations.md"), listOf(mutations));
  else return (await breakAll(settings.wanted)) ? 0 : 1;
  return 0;
});

/** True: every one was caught by all that should catch it. */
async function breakAll(wanted: readonly Mutation[]): Promise<boolean> {
  const sources = readSources();
  const scratch = new Scratch();
  const startedAt = performance.now();
  try {
    const sound = await judge(scratch, wanted);
    if (!sound) return false;
    const fates: Fate[] = [];
    for (const [index, mutation] of wanted.entries()) {
      const fate = await breakOne(scratch, sources, mutation);
      fates.push(fate);
      console.log(`${`${index + 1}/${wanted.length}`.padStart(6)} ${describe(fate)}`);
    }
    const survivors = fates.filter((fate) => !isCaught(fate));
    const seconds = Math.round((performance.now() - startedAt) / 1000);
    console.log(`${fates.length} mutations, ${fates.length - survivors.length} caught, in ${seconds} s`);
    for (const fate of survivors) console.log(`NOT CAUGHT ${describe(fate)}\n  ${fate.mutation.rule}`);
    return survivors.length === 0;
  } finally {
    scratch.remove();
  }
}

/** Nothing is broken yet: whoever is red now would catch everything. */
async function judge(scratch: Scratch, wanted: readonly Mutation[]): Promise<boolean> {
  const tests = await runTests(scratch.path, [...new Set(wanted.flatMap((mutation) => mutation.tests))]);
  const seeds = wanted.some(({ isSimulated }) => isSimulated) ? await runSeeds(scratch.path) : undefined;
  for (const verdict of [tests, seeds]) {
    if (verdict !== undefined && verdict.color !== "green") console.log(`fails although nothing is broken: ${verdict.why}`);
  }
  return tests.color === "green" && (seeds === undefined || seeds.color === "green");
}

async function breakOne(scratch: Scratch, sources: Sources, mutation: Mutation): Promise<Fate> {
  const startedAt = performance.now();
  const mutant = mutate(sources, mutation);
  if (typeof mutant === "string") return { mutation, tests: { ...notAsked, why: mutant }, seeds: undefined, seconds: 0 };
  scratch.write(mutant.file, mutant.text);
  const [tests, seeds] = await Promise.all([
    runTests(scratch.path, mutation.tests),
    mutation.isSimulated ? runSeeds(scratch.path) : undefined,
  ]);
  scratch.write(mutant.file, sources.get(mutant.file) ?? "");
  return { mutation, tests, seeds, seconds: (performance.now() - startedAt) / 1000 };
}

function isCaught({ tests, seeds }: Fate): boolean {
  return tests.color === "red" && (seeds === undefined || seeds.color === "red");
}

function describe({ mutation, tests, seeds, seconds }: Fate): string {
  const cells = [mutation.name.padEnd(36), tests.color.padEnd(6), (seeds?.color ?? "-").padEnd(6), `${seconds.toFixed(1)} s`.padStart(7)];
  const why = [tests.color === "green" ? "" : tests.why, seeds?.color === "red" ? seeds.why : ""].filter((text) => text !== "");
  return `${cells.join(" ")}  ${why.join("; ").replaceAll(/\s+/g, " ").slice(0, 140)}`;
}
