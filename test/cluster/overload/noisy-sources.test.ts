import { describe, expect, it } from "vitest";
import {
  noisyAtOnce,
  noisyCreditMax,
  noisyCreditOfProved,
  noisyPerSecond,
  noisyPerSourceMin,
  noisyRegistersAtOnce,
  noisyRegistersPerSecond,
  shedSourcesMax,
} from "../../../cluster/limits.ts";
import { type NoiseNews, NoisySources } from "../../../cluster/overload/noisy-sources.ts";
import { KnownFlows } from "../../../cluster/overload/known-flows.ts";
import { octetsOf } from "../../../sip/message/octets.ts";

const answer = (status: string, method: string): Uint8Array => octetsOf(`SIP/2.0 ${status}\r\nCSeq: 7 ${method}\r\n\r\n`);
const addressOf = (index: number): string => (0x0a000000 + index).toString(16).padStart(8, "0");

/** Who pays for what a source has proved by its flow. */
function provedOf(source: string): string {
  const flows = new KnownFlows();
  flows.sent(`u0..${source}138e`, octetsOf("INVITE sip:a@h SIP/2.0\r\n\r\n"), 0);
  return flows.payerOf(`u0..${source}138e`);
}

/** Sources, and a clock. */
class Rig {
  now = 100_000;
  readonly news: Parameters<NoiseNews>[] = [];
  readonly noise = new NoisySources((...news) => void this.news.push(news));

  /** A source asks once. With which probability it may. */
  ask(source: string, isProved = false, kind: "begins" | "registers" = "begins"): number {
    return this.noise.came(kind, this.now) ? this.noise.asked(source, isProved, this.now, kind === "registers") : 1;
  }

  /** So many phones of one address register within a quarter of a second, and a busy system answers late. Each asks, is challenged, and asks again. How many are refused the first time. */
  office(phones: number, kind: "begins" | "registers"): number {
    const [source, again, answers]: [string, number[], number[]] = [addressOf(0), [], []];
    let refused = 0;
    for (let phone = 0; phone < phones || answers.length > 0 || again.length > 0;) {
      this.now += 250 / phones;
      while ((answers[0] ?? Infinity) <= this.now) {
        answers.shift();
        if (this.noise.isOn) this.noise.sent(source, answer("200 OK", "REGISTER"), this.now);
      }
      while ((again[0] ?? Infinity) <= this.now) {
        again.shift();
        // It is taken as the first was.
        if (this.noise.came(kind, this.now)) this.noise.asked(source, false, this.now);
        answers.push(this.now + 400);
      }
      if (phone >= phones) continue;
      refused += 1 - this.ask(source, false, kind);
      again.push(this.now + 200);
      phone += 1;
    }
    return refused;
  }

  /** How many of what so many sources ask in some seconds, at a rate that they share, may pass. `answered`: what each is answered. */
  flood(perSecond: number, seconds: number, sources: number, { answered, isProved = false }: Flood = {}): number {
    let passed = 0;
    for (let index = 0; index < perSecond * seconds; index += 1) {
      this.now += 1_000 / perSecond;
      const source = addressOf(index % sources);
      passed += this.ask(source, isProved);
      if (answered !== undefined) if (this.noise.isOn) this.noise.sent(source, answered, this.now);
    }
    return passed;
  }
}

type Flood = { readonly answered?: Uint8Array; readonly isProved?: boolean };

describe("sources that ask for much and get nothing", () => {
  it.each([1, 9])("have so much a second together, however many they are: %i", (sources) => {
    const passed = new Rig().flood(5_000, 10, sources);
    expect(passed).toBeGreaterThan(0.8 * 10 * noisyPerSecond);
    expect(passed).toBeLessThan(noisyAtOnce + 1.4 * 10 * noisyPerSecond);
  });

  it("have a few each, when they are fifty", () => {
    expect(new Rig().flood(5_000, 10, 50)).toBeLessThan(noisyAtOnce + 1.6 * 10 * 50 * noisyPerSourceMin);
  });

  it("take nothing from those who ask for little", () => {
    const rig = new Rig();
    for (let second = 0; second < 10; second += 1) {
      rig.flood(4_900, 1, 2);
      for (let index = 0; index < 100; index += 1) expect(rig.ask(addressOf(1_000 + index))).toBe(1);
    }
  });

  it.each([500, 2_000])("are no office of %d phones that register at once, though nothing speaks for the first of them", (phones) => {
    expect(new Rig().office(phones, "registers")).toBe(0);
    // The same of other requests is a flood.
    expect(new Rig().office(phones, "begins")).toBeGreaterThan(10);
  });

  it("are those that flood with REGISTERs all the same, when what an office may have is used up", () => {
    const rig = new Rig();
    let passed = 0;
    for (let index = 0; index < 50_000; index += 1) {
      rig.now += 1_000 / 5_000;
      passed += rig.ask(addressOf(index % 9), false, "registers");
    }
    expect(passed).toBeLessThan(noisyAtOnce + noisyRegistersAtOnce + 10 * (1.4 * noisyPerSecond + noisyRegistersPerSecond));
  });

  it("are not looked at while all together ask for little", () => {
    expect(new Rig().flood(noisyPerSecond - 1, 20, 1)).toBe(20 * (noisyPerSecond - 1));
  });

  it.each([
    ["180 Ringing", "INVITE"],
    ["200 OK", "INVITE"],
    ["200 OK", "REGISTER"],
    ["202 Accepted", "MESSAGE"],
  ])("are those whose requests are not answered %s to %s", (status, method) => {
    expect(new Rig().flood(3_000, 10, 1, { answered: answer(status, method) })).toBe(30_000);
  });

  it.each([
    ["100 Trying", "INVITE"],
    ["401 Unauthorized", "REGISTER"],
    ["200 OK", "OPTIONS"],
    ["200 OK", "CANCEL"],
    ["200 OK", "BYE"],
  ])("are also those whose requests are answered %s to %s", (status, method) => {
    expect(new Rig().flood(3_000, 10, 1, { answered: answer(status, method) })).toBeLessThan(3_000);
  });

  it("wait a while for their answers, if they have had calls", () => {
    expect(new Rig().flood(1_000, 4, 1, { isProved: true })).toBe(4_000);
    expect(new Rig().flood(5_000, 10, 1, { isProved: true })).toBeLessThan(noisyCreditOfProved + 3_000);
  });

  it("have no more in advance than what four bad seconds take", () => {
    const rig = new Rig();
    rig.flood(3_000, 60, 1, { answered: answer("200 OK", "INVITE") });
    expect(rig.flood(5_000, 10, 1)).toBeLessThan(noisyCreditMax + 3_000);
  });

  it("take nothing from what is proved by its flow, though they were heard first under the same address", () => {
    const rig = new Rig();
    const [forged, proved] = [addressOf(0), provedOf(addressOf(0))];
    rig.flood(5_000, 2, 1);
    let [lost, passed] = [0, 0];
    for (let call = 0; call < 1_000; call += 1) {
      passed += rig.flood(1_500, 1 / 50, 1);
      lost += 1 - rig.ask(proved, true);
    }
    expect(lost).toBe(0);
    expect(passed).toBeLessThan(1.2 * 20 * noisyPerSecond);
    // What it has in advance was its own. When that is used up it has half of what all may, whoever floods under its address.
    for (let call = 0; call < noisyCreditOfProved; call += 1) rig.ask(proved, true);
    lost = 0;
    for (let second = 0; second < 10; second += 1) {
      rig.flood(5_000, 1, 1);
      for (let call = 0; call < 50; call += 1) lost += 1 - rig.ask(proved, true);
    }
    expect([lost < 1, rig.ask(forged) < 0.2]).toEqual([true, true]);
  });

  it("have what is proved of them in advance also when that is proved later", () => {
    const rig = new Rig();
    rig.flood(5_000, 2, 1);
    expect(rig.flood(2_000, 2, 1, { isProved: true })).toBe(4_000);
  });

  it("have one line in the log when it begins, which says how much it is, and one when it is over, though nobody says anything more", () => {
    const rig = new Rig();
    const look = (ms: number): number => {
      for (let passed = 0; passed < ms; passed += 1_000) rig.noise.look((rig.now += 1_000));
      return rig.news.length;
    };
    const [one, other] = ["0a000000", "0a000001"];
    for (const source of [other, one, one]) rig.noise.refused(source, rig.now);
    expect(look(1_000)).toBe(1);
    rig.noise.refused(one, rig.now);
    expect([look(8_000), rig.noise.sources, look(3_000), rig.noise.sources]).toEqual([1, 2, 2, 0]);
    rig.noise.refused(other, rig.now);
    expect(look(1_000)).toBe(3);
    expect(rig.news).toEqual([
      ["began", { refused: 3, sources: 2, source: one, ofSource: 2 }],
      ["ended", { refused: 4, sources: 2, source: one, ofSource: 3 }],
      ["began", { refused: 1, sources: 1, source: other, ofSource: 1 }],
    ]);
  });

  it("are counted in the log up to a bound, and more as one", () => {
    const rig = new Rig();
    for (let index = 0; index < 2 * shedSourcesMax; index += 1) rig.noise.refused(addressOf(index), rig.now);
    rig.noise.look(rig.now);
    expect(rig.news).toEqual([["began", { refused: 2 * shedSourcesMax, sources: shedSourcesMax + 1, source: addressOf(0), ofSource: 1 }]]);
  });
});
