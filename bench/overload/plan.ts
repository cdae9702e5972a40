import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { optionErrorOf } from "../option-error.ts";

export const kinds = ["invite", "options", "register", "garbage", "pieces"] as const;
export type Kind = (typeof kinds)[number];

/** What there is to run, with the calls a second and the seconds when nothing is said. */
const works = {
  throttled: { rate: 450, seconds: 60 },
  rush: { rate: 6_000, seconds: 25 },
  flood: { rate: 20, seconds: 60 },
} as const;
type WorkName = keyof typeof works;

export type Plan = {
  readonly name: WorkName;
  readonly share: number;
  readonly rate: number;
  readonly seconds: number;
  readonly kind: Kind;
  readonly messages: number;
  readonly sources: number;
  readonly checkout: string | undefined;
};

const help = `Usage: npm run overload -- [options] throttled|rush|flood

What a system does that is offered more than it can do. Debian's package sip-tester must be there.

  throttled        a share of a core for all its processes (a cgroup; needs root): what it carries when it is warm, then --rate, then few calls
  rush             calls that stand, and then far more new ones a second than the machine carries
  flood            one source, or --sources, that sends --messages a second of --kind; others call and register meanwhile

  --seconds N      of overload; 60 for throttled and flood, 25 for rush
  --rate N         calls offered a second; 450 for throttled, 6000 for rush, 20 for the others of a flood
  --share X        of a core, for throttled: 0.1667
  --kind K         of a flood: invite (to a phone that is silent), options (to the same), register (granted: the domain is open), garbage (no SIP),
                   pieces (OPTIONS over TCP, each in three segments)
  --messages N     of a flood, a second: 5000
  --sources N      of a flood: 1
  --checkout DIR   another checkout, installed with npm ci
`;

const secondsMax = 3_600;
const rateMax = 100_000;
/** Each has an address of its own: 127.0.1.1 and those that follow. */
const sourcesMax = 254;
const shareMin = 0.01;

/** What the command line asks for, or a text for people with an exit code: the help, or in one line what is wrong. */
export function planOf(args: readonly string[]): Plan | { readonly text: string; readonly code: 0 | 2 } {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        seconds: { type: "string" },
        rate: { type: "string" },
        share: { type: "string", default: "0.1667" },
        kind: { type: "string", default: "invite" },
        messages: { type: "string", default: "5000" },
        sources: { type: "string", default: "1" },
        checkout: { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    if (values.help) return { text: help, code: 0 };
    const name = nameOf(positionals);
    const { rate, seconds } = works[name];
    return {
      name,
      share: shareOf(values.share),
      rate: wholeOf("rate", values.rate ?? String(rate), rateMax),
      seconds: wholeOf("seconds", values.seconds ?? String(seconds), secondsMax),
      kind: kindOf(values.kind),
      messages: wholeOf("messages", values.messages, rateMax),
      sources: wholeOf("sources", values.sources, sourcesMax),
      checkout: values.checkout === undefined ? undefined : checkoutOf(values.checkout),
    };
  } catch (error) {
    return { text: `${optionErrorOf(error)}\n`, code: 2 };
  }
}

function nameOf(positionals: readonly string[]): WorkName {
  const [name = "", ...rest] = positionals;
  if (rest.length > 0 || (name !== "throttled" && name !== "rush" && name !== "flood"))
    throw new RangeError(
      `one of throttled, rush and flood is run, not ${positionals.length === 0 ? "nothing" : positionals.join(" ")}: see --help`,
    );
  return name;
}

function wholeOf(name: string, text: string, max: number): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isInteger(value) || value < 1 || value > max)
    throw new RangeError(`--${name} takes a whole number from 1 to ${max}, not ${text}`);
  return value;
}

function shareOf(text: string): number {
  const value = Number(text);
  if (!(value >= shareMin && value <= 1)) throw new RangeError(`--share takes a number from ${shareMin} to 1, not ${text}`);
  return value;
}

function kindOf(text: string): Kind {
  const kind = kinds.find((each) => each === text);
  if (kind === undefined) throw new RangeError(`--kind takes ${kinds.join(", ")}, not ${text}`);
  return kind;
}

function checkoutOf(text: string): string {
  const directory = resolve(text);
  if (!existsSync(join(directory, "cli", "tandem.ts"))) throw new RangeError(`--checkout: ${directory} is no checkout of Tandem`);
  if (!existsSync(join(directory, "node_modules"))) throw new RangeError(`--checkout: ${directory} is not installed: run npm ci there`);
  return directory;
}
