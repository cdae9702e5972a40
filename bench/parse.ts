/**
 * What reading one SIP message costs here and with the SIP parsers on npm: `npx node bench/parse.ts [--rounds N]`. Each reads the same messages and
 * takes out of each what a proxy needs to route it; that all of them find the same is checked first. Rounds are interleaved: every parser has its
 * turn with every message, then the next round. All are given octets, as a socket gives them; those who read text make it of them.
 * `npm ci --prefix bench` installs them: nothing else needs them.
 */
import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import { Header } from "../sip/message/header-names.ts";
import { MessageEdit } from "../sip/message/edit.ts";
import { buildResponse } from "../sip/message/build.ts";
import { octetsOf } from "../sip/message/octets.ts";
import { parseMessage } from "../sip/message/sip-message.ts";
import { StreamFramer } from "../sip/message/stream-framer.ts";
import { isParseError } from "../sip/errors.ts";
import { samples, type Sample } from "./parse/messages.ts";
import { allParsers, type SipParser } from "./parse/parsers.ts";
import { alignedText } from "./report.ts";
import { median, shortNumber } from "./statistics.ts";

/** A turn is about this long, so that a busy machine disturbs few of them. */
const turnMs = 4;
const warmTurns = 30;

let sink = 0;

/** Microseconds a run, in one turn. */
function turn(run: () => void, runs: number): number {
  const start = process.hrtime.bigint();
  for (let index = 0; index < runs; index += 1) run();
  return Number(process.hrtime.bigint() - start) / 1000 / runs;
}

type Case = { readonly parser: SipParser; readonly sample: Sample; readonly run: () => void; runs: number; readonly us: number[] };

/** Throws when a parser finds something else than Tandem does. */
function checkAll(parsers: readonly [SipParser, ...SipParser[]]): void {
  for (const { name, text } of samples) {
    const octets = Buffer.from(text, "latin1");
    const expected = JSON.stringify(parsers[0].read(octets));
    for (const parser of parsers) {
      const found = JSON.stringify(parser.read(octets));
      if (found !== expected) throw new Error(`${parser.name} reads in ${name} ${found}, Tandem ${expected}`);
    }
  }
}

function measure(parsers: readonly SipParser[], rounds: number): Case[] {
  const cases = samples.flatMap((sample) =>
    parsers.map((parser): Case => {
      const octets = Buffer.from(sample.text, "latin1");
      return { parser, sample, run: () => void (sink += parser.read(octets).callId.length), runs: 50, us: [] };
    }),
  );
  for (const each of cases) {
    for (let index = 0; index < warmTurns; index += 1) each.runs = Math.max(10, Math.ceil((turnMs * 1000) / turn(each.run, each.runs)));
  }
  for (let round = 0; round < rounds; round += 1) for (const each of cases) each.us.push(turn(each.run, each.runs));
  return cases;
}

function report(parsers: readonly SipParser[], cases: readonly Case[]): void {
  const usOf = (parser: SipParser, sample: Sample): number =>
    median(cases.find((each) => each.parser === parser && each.sample === sample)?.us ?? []);
  const [own, ...peers] = parsers;
  if (own === undefined) return;
  const line = (name: string, octets: number, us: (parser: SipParser) => number): string[] => {
    const fastest = peers.reduce((best, peer) => (us(peer) < us(best) ? peer : best));
    return [name, String(octets), ...parsers.map((parser) => shortNumber(us(parser))), fastest.name, shortNumber(us(fastest) / us(own))];
  };
  const rows = samples.map((sample) => line(sample.name, sample.text.length, (parser) => usOf(parser, sample)));
  rows.push(
    line(
      "all of them",
      sum(({ text }) => text.length),
      (parser) => sum((sample) => usOf(parser, sample)),
    ),
  );
  const headings = ["MESSAGE", "OCTETS", ...parsers.map(({ name }) => name.toUpperCase()), "FASTEST PEER", "TIMES AS LONG"];
  process.stdout.write(`Microseconds a message, medians: parse it and read what a proxy routes by.\n\n${alignedText(headings, rows, 1)}`);
}

function sum(of: (sample: Sample) => number): number {
  return samples.reduce((total, sample) => total + of(sample), 0);
}

/** What else Tandem does with octets, for whoever works on it. */
function reportOwn(rounds: number): void {
  const invite = octetsOf(samples.find(({ name }) => name.endsWith("audio"))?.text ?? "");
  const parsed = (): ReturnType<typeof message> => message(invite);
  const framed = new Uint8Array([...invite, ...invite]);
  const runs: Readonly<Record<string, () => void>> = {
    "index only": () => void (sink += parsed().bodyStart),
    "index and checkMandatory": () => void (sink += parsed().checkMandatory() === undefined ? 1 : 0),
    "edit as a proxy forwards": () => {
      const edit = new MessageEdit(parsed())
        .prepend(Header.Via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKabcdef")
        .set(Header.MaxForwards, "69")
        .prepend(Header.RecordRoute, "<sip:192.0.2.1;lr>")
        .setRequestUri("sip:bob@192.0.2.8");
      sink += edit.serialize().length;
    },
    "build a 180": () => void (sink += buildResponse(parsed(), 180, { toTag: "x" }).length),
    "frame two of a stream": () => void (sink += new StreamFramer().push(framed).length),
  };
  const rows = Object.entries(runs).map(([name, run]) => {
    for (let index = 0; index < warmTurns; index += 1) turn(run, 500);
    return [name, shortNumber(median(Array.from({ length: rounds }, () => turn(run, 500))))];
  });
  process.stdout.write(`\n${alignedText(["TANDEM, INVITE OF A BROWSER, AUDIO", "us"], rows, 1)}`);
}

function message(octets: Uint8Array): Exclude<ReturnType<typeof parseMessage>, { readonly error: string }> {
  const result = parseMessage(octets);
  if (isParseError(result)) throw new Error(result.reason);
  return result;
}

const { values } = parseArgs({ options: { rounds: { type: "string", default: "60" } } });
const rounds = Number(values.rounds);
if (!existsSync(new URL("node_modules", import.meta.url))) {
  process.stderr.write("The parsers to compare with are not installed: npm ci --prefix bench\n");
  process.exit(1);
}
const parsers = await allParsers();
checkAll(parsers);
report(parsers, measure(parsers, rounds));
reportOwn(rounds);
if (sink === 0) throw new Error("nothing was read");
