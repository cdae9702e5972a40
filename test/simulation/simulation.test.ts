import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { aimedFaultKinds, type AimedFaultKind } from "./aimed-faults.ts";
import { faultKinds, laterFaultKinds, type Fault } from "./faults.ts";
import { innerFaultKinds } from "./inner-faults.ts";
import { Moments } from "./moments.ts";
import { excuses, type Excuse, type Witness } from "./pardons.ts";
import { Repertoire } from "./repertoire.ts";
import { optionsOf, replayOf } from "./settings.ts";
import { simulate } from "./simulate.ts";

/** More: `npx node test/simulation/run.ts --runs 3000`. */
const runs = 300;
/** Seeds that nobody has run before, as long as they are few: a failure names its seed. */
const freshRuns = 40;

const noOthers = { faults: [], laterFaults: [], innerFaults: [] };

/** Of ten fresh seeds one has a group of four cells, and one of six. The others are as they are drawn. */
const sizes = [4, 6];

/** Seeds beyond those that failed once, and of what. */
const mended: readonly (readonly [why: string, seeds: readonly number[]])[] = [
  ["an INVITE that rang when the clocks were set forward past its record, and was known to one cell only", [692, 801278, 6001042]],
  ["a dialog that was over by the clock of one cell, and not yet by the other's", [6000288]],
  ["a BYE that was said anew with a password, and came before the first one to a caller who has no dialog any more", [7001893]],
];

/** The same where what becomes of calls is noted: of runs as they are now. */
const mendedRecords: readonly (readonly [why: string, seeds: readonly number[]])[] = [
  ["a 200 that nobody has acknowledged, and its caller was told 487", [88368]],
  ["a 487 that passed when nobody knew its INVITE any more", [4288]],
  ["a call that was noted by a cell which had no replica a second later, and then all died", [43000256]],
  ["an INVITE in one cell only, whose 200 had passed the other one: lost, while its call stood", [42000133]],
  ["the end of a registration, when another disk was full, or its cell had lost the exchange", [12334, 7192]],
  ["an INVITE that was over, and was on the disk of one cell still", [490296, 91193]],
  ["an INVITE that a cell brought after its death, and whose refusal had passed the other one", [770112]],
  ["an INVITE that came behind its 200, and was refused by the CANCEL behind it", [66682593]],
];

/** The same with so many cells. */
const mendedGroups: readonly (readonly [why: string, cells: number, seeds: readonly number[]])[] = [
  ["a call whose callee had asked in it, and one cell saw the answer only", 4, [30001321]],
  ["a refusal that its line could not hear, and said 503 by itself", 6, [60000162]],
  ["a CANCEL just after a doubling, in a cell that was cut from the one that had its INVITE", 4, [30002301]],
  ["a call that both cells of its callee died with, and those of its caller lived", 4, [30002512]],
];

/** The same of runs whose faults are all of these kinds. */
const mendedDrawn: readonly (readonly [why: string, drawn: readonly Fault["kind"][], seeds: readonly number[]])[] = [
  [
    "a 180 that went to the other replica, for its own had started anew a moment ago: 408",
    ["crash a cell", "set a clock", "reset a core group"],
    [350643],
  ],
  ["an INVITE that a line had brought, and its exchange was reset before the other one knew", ["reset an exchange"], [331899]],
];

/** The same of runs with nothing but faults of a kind that is aimed. */
const mendedAimed: readonly (readonly [why: string, kind: AimedFaultKind, seeds: readonly number[]])[] = [
  [
    "an ACK to the connection before, for its phone answered there and registered anew in one moment",
    "freeze a cell after a commit",
    [622],
  ],
];

/** The same of the first edition: as they were then. */
const mendedFirst: readonly (readonly [why: string, seeds: readonly number[]])[] = [
  ["a REFER that a re-INVITE has overtaken", [1707, 2972, 9000, 10511, 10531, 10944, 12130]],
  ["a 200 read by a replica that had been frozen: the other one rang on", [2307]],
  ["a phone that came back and rang for ever: 480", [1846, 10381, 10472, 11245]],
  ["a phone that answers when its caller has had the 487 of a cancelled call", [20189, 21166, 21286, 22229, 31874]],
  ["a caller without a password who never heard that his callee was busy", [40305, 40723, 50417]],
  ["a gateway that started anew while a cell was away: its phones were forgotten", [51112]],
  ["a phone that came back, and its caller's cell died while it rang: 480", [40526]],
  ["an INVITE whose cell stood still, and whose 200 the other one passed: 480 as well", [40905]],
  ["a copy of a refused INVITE that came when the phone had registered", [51442]],
  ["a 481 to what a BYE had overtaken, which became 480", [60299]],
  ["a phone that took another network while its re-INVITE was answered, and hung up", [60112]],
  ["a 200 that one cell passed, while the other one had the CANCEL and was cut off from it", [60327]],
  ["records of an INVITE that were not the same text in both cells", [62437]],
  ["a 486 that a cell without the record of its INVITE passed, and Timer C in the other one", [62747]],
  ["an INVITE that was refused just before its cell died", [30760]],
  ["an answer to the address in a Via, whose caller was back at another gateway", [673]],
  ["a phone that answered on another connection, and its ACK went to the one before", [5231]],
  ["an answer that was lost, with the one copy of it", [43]],
];

/** The commit that is tested: its seeds are its own, and the same when it is tested again. Zeros where there is no repository. */
function commit(): string {
  try {
    return execFileSync("git", ["rev-parse", "HEAD"], { cwd: import.meta.dirname, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  } catch {
    return "0000000";
  }
}

describe("a cluster in a seeded world", () => {
  it(`${runs} runs with up to three faults of every kind keep what they promise, and come upon all that people do`, () => {
    const failed: string[] = [];
    const repertoire = new Repertoire();
    const moments = new Moments();
    for (let seed = 1; seed <= runs; seed += 1) {
      const outcome = simulate({ seed });
      const { violations, faults, done } = outcome;
      repertoire.add(faults, done);
      moments.add(outcome.moments);
      if (violations.length === 0) continue;
      failed.push(replayOf({ seed }));
      for (const { invariant, at, detail } of violations.slice(0, 3)) failed.push(`  ${at} ms ${invariant}: ${detail}`);
    }
    expect(failed).toEqual([]);
    expect(repertoire.missing).toEqual([]);
    expect(moments.missing).toEqual([]);
  });

  it(`${freshRuns} runs that are fresh with each commit keep it too`, () => {
    const first = 1_000_000 + Number.parseInt(commit().slice(0, 7), 16);
    console.log(`fresh seeds of the simulation: ${first} to ${first + freshRuns - 1}`);
    const failed: string[] = [];
    for (let seed = first; seed < first + freshRuns; seed += 1) {
      const cells = sizes[(seed - first) % 10];
      const [violation] = simulate({ seed, ...(cells !== undefined && { cells }) }).violations;
      if (violation === undefined) continue;
      failed.push(`${replayOf({ seed, cells })}: ${violation.invariant}: ${violation.detail}`);
    }
    expect(failed).toEqual([]);
  });

  it.each([
    ...mended.map(([why, seeds]) => [why, seeds, "third"] as const),
    ...mendedRecords.map(([why, seeds]) => [why, seeds, "present"] as const),
    ...mendedFirst.map(([why, seeds]) => [why, seeds, "first"] as const),
  ])("does not fail again of %s", (_why, seeds, edition) => {
    for (const seed of seeds) {
      const replay = replayOf({ seed, edition });
      expect({ replay, violations: simulate({ seed, edition }).violations }).toEqual({ replay, violations: [] });
    }
  });

  it.each(mendedGroups)("does not fail again of %s, with %i cells", (_why, cells, seeds) => {
    for (const seed of seeds) expect(simulate({ seed, cells })).toMatchObject({ seed, violations: [] });
  });

  it.each(mendedDrawn)("does not fail again of %s, after faults of these kinds: %s", (_why, drawn, seeds) => {
    for (const seed of seeds) expect(simulate(optionsOf({ drawn }, seed))).toMatchObject({ seed, violations: [] });
  });

  it.each(mendedAimed)("does not fail again of %s, after one kind of fault: %s", (_why, kind, seeds) => {
    for (const seed of seeds) expect(simulate({ seed, ...noOthers, aimedFaults: [kind] })).toMatchObject({ seed, violations: [] });
  });

  it.each(Object.entries(excuses))("needs the excuse: %s", (excuse, witnesses) => {
    for (const { seed, edition = "third", drawn } of witnesses as readonly Witness[]) {
      const { pardons, violations } = simulate(optionsOf({ edition, drawn }, seed));
      const replay = replayOf({ seed, edition, drawn });
      expect({ replay, violations, isUsed: pardons.count(excuse as Excuse) > 0 }).toEqual({ replay, violations: [], isUsed: true });
    }
  });

  it("is the same world each time", () => {
    for (const seed of [7, 8]) expect(simulate({ seed })).toEqual(simulate({ seed }));
  });

  it.each(faultKinds)("finds nothing to complain of after one kind of fault: %s", (kind) => {
    for (let seed = 1001; seed <= 1010; seed += 1) expect(simulate({ seed, faults: [kind] }).violations).toEqual([]);
  });

  it.each(laterFaultKinds)("nor of a kind that came later: %s", (kind) => {
    for (let seed = 1001; seed <= 1030; seed += 1) expect(simulate({ seed, faults: [], laterFaults: [kind] }).violations).toEqual([]);
  });

  it.each(aimedFaultKinds)("nor of a kind that is aimed: %s", (kind) => {
    for (let seed = 1001; seed <= 1030; seed += 1) expect(simulate({ seed, ...noOthers, aimedFaults: [kind] }).violations).toEqual([]);
  });

  it.each(innerFaultKinds)("nor of a kind inside of cells: %s", (kind) => {
    for (let seed = 1001; seed <= 1025; seed += 1) expect(simulate({ seed, faults: [], innerFaults: [kind] }).violations).toEqual([]);
  });
});
