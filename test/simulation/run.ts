import { parseArgs } from "node:util";
import { faultKinds, laterFaultKinds } from "./faults.ts";
import { innerFaultKinds } from "./inner-faults.ts";
import { Moments } from "./moments.ts";
import { Pardons } from "./pardons.ts";
import { Repertoire } from "./repertoire.ts";
import { simulate, type Outcome } from "./simulate.ts";

/** `npx node test/simulation/run.ts --runs N [--seed S] [--faults none|"kind, kind"] [--verbose] [--repertoire] [--until-failed]`: N runs from seed S on, and what was done in which fault. */
const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "300" },
    seed: { type: "string", default: "1" },
    faults: { type: "string" },
    verbose: { type: "boolean", default: false },
    repertoire: { type: "boolean", default: false },
    "until-failed": { type: "boolean", default: false },
  },
});

/** So many seeds reach everything that matters, whichever they are. */
const runsThatMeetAll = 300;

const first = Number(values.seed);
const runs = Number(values.runs);
const isWanted = (kind: string): boolean => values.faults === undefined || values.faults.split(/, */).includes(kind);
const faults = values.faults === undefined ? faultKinds : faultKinds.filter(isWanted);
const laterFaults = laterFaultKinds.filter(isWanted);
const innerFaults = innerFaultKinds.filter(isWanted);
const startedAt = performance.now();
const failed: Outcome[] = [];
const repertoire = new Repertoire();
const moments = new Moments();
const pardons = new Pardons();
let events = 0;
let calls = 0;
let simulatedMs = 0;
for (let seed = first; seed < first + runs; seed += 1) {
  const outcome = simulate({ seed, faults, laterFaults, innerFaults, isVerbose: values.verbose });
  events += outcome.events;
  calls += outcome.calls;
  repertoire.add(outcome.faults, outcome.done);
  moments.add(outcome.moments);
  pardons.add(outcome.pardons);
  simulatedMs += outcome.simulatedMs;
  if (outcome.violations.length === 0) continue;
  failed.push(outcome);
  say(outcome, values.faults);
  if (values["until-failed"]) break;
}
const seconds = (performance.now() - startedAt) / 1000;
console.log(
  `${runs} runs, ${failed.length} failed: ${(runs / seconds).toFixed(1)} runs/s, ${Math.round(simulatedMs / 3_600_000)} h simulated, ${calls} calls, ${events} events`,
);
const byInvariant = new Map<string, number[]>();
for (const { seed, violations } of failed) {
  for (const name of new Set(violations.map(({ invariant }) => invariant))) byInvariant.set(name, [...(byInvariant.get(name) ?? []), seed]);
}
for (const [name, seeds] of byInvariant) console.log(`${name}: ${seeds.length} runs, seeds ${seeds.slice(0, 12).join(" ")}`);
console.log(`faults, in a thousand runs:\n${repertoire.faultsOf(runs)}`);
console.log(`moments that matter:\n${moments.table}`);
console.log(`excuses, uses in a thousand runs:\n${pardons.tableOf(runs)}`);
const isBlind = runs >= runsThatMeetAll && values.faults === undefined && moments.missing.length > 0;
if (isBlind) console.log(`never reached: ${moments.missing.join("; ")}`);
if (values.repertoire) console.log(repertoire.table);
process.exitCode = failed.length === 0 && !isBlind ? 0 : 1;

function say({ seed, violations, faults: happened }: Outcome, only: string | undefined): void {
  console.log(`seed ${seed}: ${happened.map((fault) => `${fault.kind} (${fault.target}) ${fault.from}..${fault.until}`).join("; ")}`);
  for (const { invariant, at, detail } of violations.slice(0, 5)) console.log(`  ${(at / 1000).toFixed(3)} s ${invariant}: ${detail}`);
  const option = only === undefined ? "" : ` --faults "${only}"`;
  console.log(`  npx node test/simulation/run.ts --runs 1 --seed ${seed}${option} --verbose`);
}
