import { runCommand } from "../command-line.ts";
import { Moments } from "./moments.ts";
import { Pardons } from "./pardons.ts";
import { Repertoire } from "./repertoire.ts";
import { help, optionsOf, parseSettings, replayOf, type Settings } from "./settings.ts";
import { simulate, type Outcome } from "./simulate.ts";

/** So many seeds reach everything that matters, whichever they are. */
const runsThatMeetAll = 300;

/** Runs of many seeds, and what they came upon. `--help` says how. */
await runCommand((args) => {
  const settings = parseSettings(args);
  if (settings !== undefined) return runAll(settings) ? 0 : 1;
  console.log(help);
  return 0;
});

/** True: nothing failed, and the runs have seen what they must. */
function runAll(settings: Settings): boolean {
  const startedAt = performance.now();
  const failed: Outcome[] = [];
  const repertoire = new Repertoire();
  const moments = new Moments();
  const pardons = new Pardons();
  let runs = 0;
  let events = 0;
  let calls = 0;
  let simulatedMs = 0;
  while (runs < settings.runs && !(settings.endsAtFailure && failed.length > 0)) {
    const outcome = simulate(optionsOf(settings, settings.seed + runs));
    runs += 1;
    events += outcome.events;
    calls += outcome.calls;
    repertoire.add(outcome.faults, outcome.done);
    moments.add(outcome.moments);
    pardons.add(outcome.pardons, outcome.seed);
    simulatedMs += outcome.simulatedMs;
    if (outcome.violations.length === 0) continue;
    failed.push(outcome);
    say(outcome, settings);
  }
  const seconds = (performance.now() - startedAt) / 1000;
  console.log(
    `${runs} runs, ${failed.length} failed: ${(runs / seconds).toFixed(1)} runs/s, ${Math.round(simulatedMs / 3_600_000)} h simulated, ${calls} calls, ${events} events`,
  );
  sayByInvariant(failed);
  console.log(`faults, in a thousand runs:\n${repertoire.faultsOf(runs)}`);
  console.log(`moments that matter:\n${moments.table}`);
  console.log(`excuses, uses in a thousand runs:\n${pardons.tableOf(runs)}`);
  const isBlind = runs >= runsThatMeetAll && hasAll(settings) && moments.missing.length > 0;
  if (isBlind) console.log(`never reached: ${moments.missing.join("; ")}`);
  if (settings.hasRepertoire) console.log(repertoire.table);
  return failed.length === 0 && !isBlind;
}

/** Everything comes in these runs: none of it may be missing. */
function hasAll({ edition, drawn, without }: Settings): boolean {
  return edition === "present" && drawn === undefined && without.length === 0;
}

function say({ seed, violations, faults }: Outcome, settings: Settings): void {
  console.log(`seed ${seed}: ${faults.map((fault) => `${fault.kind} (${fault.target}) ${fault.from}..${fault.until}`).join("; ")}`);
  for (const { invariant, at, detail } of violations.slice(0, 5)) console.log(`  ${(at / 1000).toFixed(3)} s ${invariant}: ${detail}`);
  console.log(`  ${replayOf({ ...settings, seed })}`);
}

function sayByInvariant(failed: readonly Outcome[]): void {
  const byInvariant = new Map<string, number[]>();
  for (const { seed, violations } of failed) {
    for (const name of new Set(violations.map(({ invariant }) => invariant)))
      byInvariant.set(name, [...(byInvariant.get(name) ?? []), seed]);
  }
  for (const [name, seeds] of byInvariant) console.log(`${name}: ${seeds.length} runs, seeds ${seeds.slice(0, 12).join(" ")}`);
}
