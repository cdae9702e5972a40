import { alignedText } from "../report.ts";
import { shortNumber } from "../statistics.ts";
import { type Sample, descriptors, meanOf, memory } from "./samples.ts";

/** How a soak is laid out in time, seconds. */
export type Course = {
  readonly seconds: number;
  /** A cell is killed this often, cell a first, then the other one. */
  readonly killSeconds: number;
};

/** What must be nothing: calls that failed, for example, with what became of them. */
export type Loss = { readonly what: string; readonly count: number; readonly of: number };

export type Outcome = {
  readonly course: Course;
  readonly samples: readonly Sample[];
  /** With no load, after a rehearsal and in the end. */
  readonly atRest: { readonly before: Sample; readonly after: Sample };
  readonly losses: readonly Loss[];
};

export type Judgement = { readonly text: string; readonly isMet: boolean };

/** The goal of an hour. */
const growthMax = 0.02;
/** What a process may have open more than before: a timer's or a socket's that comes and goes. */
export const descriptorsMoreMax = 8;
const minutesToKill = 10;

/** A cell is killed every ten minutes; in a short run once, in the middle. */
export function courseOf(minutes: number): Course {
  return { seconds: minutes * 60, killSeconds: minutes < 3 * minutesToKill ? minutes * 30 : minutesToKill * 60 };
}

/** When a cell is killed, and which one. None in the last moment: what comes after a kill is what is to be seen. */
export function killsOf({ seconds, killSeconds }: Course): readonly { readonly at: number; readonly cell: number }[] {
  const count = Math.ceil(seconds / killSeconds) - 1;
  return Array.from({ length: count }, (_, index) => ({ at: (index + 1) * killSeconds, cell: index % 2 }));
}

/**
 * The two spans that are compared: each has one kill of each cell, so that processes are as old in one as in the other. The first one begins when
 * everything has been warm for as long. Undefined when the run is too short for that.
 */
export function spansOf({ seconds, killSeconds }: Course): readonly [earlier: number, later: number, end: number] | undefined {
  const cycle = 2 * killSeconds;
  return seconds < 3 * cycle ? undefined : [seconds - 2 * cycle, seconds - cycle, seconds];
}

/** How much larger a figure is in the later span than in the earlier one: 0.02 is 2 %. */
export function growthOf(outcome: Outcome, name: string): number | undefined {
  const spans = spansOf(outcome.course);
  if (spans === undefined) return undefined;
  const [earlier, later, end] = spans;
  const [before, after] = [meanOf(outcome.samples, name, earlier, later), meanOf(outcome.samples, name, later, end)];
  return before === undefined || after === undefined || before === 0 ? undefined : after / before - 1;
}

/** How many descriptors each process has open more than before. */
export function descriptorsMore(
  before: Sample["figures"],
  after: Sample["figures"],
): readonly { readonly name: string; readonly more: number }[] {
  return Object.keys(after)
    .filter((name) => name.endsWith(descriptors))
    .map((name) => ({ name, more: (after[name] ?? 0) - (before[name] ?? 0) }));
}

/** Everything that a soak is to show, met or not. */
export function judgementsOf(outcome: Outcome): readonly Judgement[] {
  const { before, after } = outcome.atRest;
  const judged: Judgement[] = outcome.losses.map(({ what, count, of }) => ({
    text: `${what}: ${count} of ${of}, goal 0`,
    isMet: count === 0 && of > 0,
  }));
  for (const { name, more } of descriptorsMore(before.figures, after.figures)) {
    judged.push({ text: `${name}: ${more} more at rest than before, goal <= ${descriptorsMoreMax}`, isMet: more <= descriptorsMoreMax });
  }
  for (const dialogs of Object.keys(after.figures).filter((each) => each.endsWith("dialogs"))) {
    const left = after.figures[dialogs] ?? 0;
    judged.push({ text: `${dialogs}: ${left} at rest, goal 0`, isMet: left === 0 });
  }
  if (spansOf(outcome.course) === undefined) return judged;
  for (const name of Object.keys(after.figures).filter((each) => each.endsWith(memory))) {
    const growth = growthOf(outcome, name);
    const isMet = growth !== undefined && growth <= growthMax;
    judged.push({ text: `${name}: growth ${percent(growth)}, goal <= ${percent(growthMax)}`, isMet });
  }
  return judged;
}

/** One line for each figure: at rest before and after, and the means of the two spans. Of a short run the halves. */
export function tableOf(outcome: Outcome): string {
  const { before, after } = outcome.atRest;
  const [earlier, later, end] = spansOf(outcome.course) ?? [0, outcome.course.seconds / 2, outcome.course.seconds];
  const rows = Object.keys({ ...before.figures, ...after.figures }).map((name) => [
    name,
    shortNumber(before.figures[name]),
    shortNumber(meanOf(outcome.samples, name, earlier, later)),
    shortNumber(meanOf(outcome.samples, name, later, end)),
    percent(growthOf(outcome, name)),
    shortNumber(after.figures[name]),
  ]);
  const minutes = [earlier, later, end].map((seconds) => String(Math.round(seconds / 6) / 10));
  const span = (from: number): string => `MINUTES ${minutes[from] ?? ""} TO ${minutes[from + 1] ?? ""}`;
  return alignedText(["FIGURE", "AT REST BEFORE", span(0), span(1), "GROWTH", "AT REST AFTER"], rows, 1);
}

function percent(share: number | undefined): string {
  return share === undefined ? "-" : `${(share * 100).toFixed(1)} %`;
}
