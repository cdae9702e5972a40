import { describe, expect, it } from "vitest";
import {
  copiesMax,
  decisionMs,
  emergenciesPerSecondMax,
  refusalMs,
  shedDelayMs,
  shedColdMs,
  shedRegistersMs,
  shedRequestsMin,
  shedUpdateMs,
  straysPerSecond,
  tokensPerStray,
} from "../../../cluster/limits.ts";
import type { RoutingKey } from "../../../cluster/map/routing-key.ts";
import { Entrance, type Verdict } from "../../../cluster/overload/entrance.ts";
import { callHashOf, kindOf } from "../../../cluster/overload/kinds.ts";
import { NoisySources } from "../../../cluster/overload/noisy-sources.ts";
import type { ShedNews } from "../../../cluster/overload/shedding.ts";
import { octetsOf } from "../../../sip/message/octets.ts";

type Said = { readonly uri?: string; readonly call?: string; readonly cSeq?: number };

function request(method: string, { uri = "sip:bob@example.test", call = "c1", cSeq = 1 }: Said = {}): Uint8Array {
  return octetsOf(
    `${method} ${uri} SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7:5006;branch=z9hG4bK${method}${cSeq}\r\nMax-Forwards: 70\r\n` +
      `From: <sip:alice@example.test>;tag=1\r\nTo: <sip:bob@example.test>\r\nCall-ID: ${call}\r\nCSeq: ${cSeq} ${method}\r\n\r\n`,
  );
}

type From = {
  readonly source?: string;
  readonly key?: RoutingKey;
  readonly isKnown?: boolean;
  readonly isProved?: boolean;
  readonly isTrusted?: boolean;
  readonly isDatagram?: boolean;
};

/** An entrance, and a clock. */
class Rig {
  now = 100_000;
  delayMs: number | undefined = 5;
  readonly news: ShedNews[] = [];
  readonly entrance: Entrance;

  constructor(random = 0.25, noise?: NoisySources) {
    this.entrance = new Entrance({ delayMs: () => this.delayMs, news: (news) => this.news.push(news), random: () => random }, noise);
  }

  /** Time passes, and somebody looks. */
  pass(ms: number): this {
    for (let passed = 0; passed < ms; passed += shedUpdateMs) {
      this.now += shedUpdateMs;
      this.entrance.look(this.now);
    }
    return this;
  }

  /** Late for so long that next to nothing new is taken. */
  late(): this {
    this.delayMs = 1_000;
    return this.pass(10_000);
  }

  verdict(
    octets: Uint8Array,
    { source = "c6336407", key, isKnown = false, isProved = false, isTrusted = false, isDatagram = true }: From = {},
  ): Verdict {
    const asked = {
      source: () => source,
      payer: () => source,
      isKnown: () => isKnown,
      isProved: () => isProved,
      isTrusted: () => isTrusted,
      isRepeatable: () => isDatagram,
    };
    return this.entrance.verdict({ octets, key, ...asked }, this.now);
  }

  takes(octets: Uint8Array, from: From = {}): boolean {
    return this.verdict(octets, from) === "take";
  }

  /** How many of some calls are taken, which differ in their Call-IDs. */
  taken(count: number, from: From = {}, method = "INVITE"): number {
    let taken = 0;
    for (let index = 0; index < count; index += 1) {
      if (this.takes(request(method, { call: `${method}${from.source ?? ""}${this.now}x${index}` }), from)) taken += 1;
    }
    return taken;
  }
}

describe("an entrance that is in time", () => {
  it("takes everything", () => {
    expect(new Rig().pass(1_000).taken(1_000)).toBe(1_000);
  });
});

describe("an entrance that is late", () => {
  it.each(["INVITE", "SUBSCRIBE", "MESSAGE", "OPTIONS", "PUBLISH", "REGISTER", "REFER", "NOBODYKNOWS"])(
    "refuses nearly every %s that begins something",
    (method) => {
      expect(new Rig().pass(1_000).late().taken(1_000, {}, method)).toBeLessThan(60);
    },
  );

  it.each(["SIP/2.0 200 OK", "ACK", "CANCEL", "BYE", "PRACK"])("takes every %s, but no flood of them from one source", (method) => {
    const rig = new Rig().pass(1_000).late();
    expect(rig.taken(1_000, {}, method)).toBe(1_000);
    expect(rig.taken(20_000, {}, method)).toBeLessThan(500);
    expect(rig.taken(100, { source: "0a000001" }, method)).toBe(100);
    expect(rig.taken(20_000, { isTrusted: true }, method)).toBe(20_000);
    expect(rig.taken(20_000, { key: { exchange: 0, cell: "a" }, isProved: true }, method)).toBe(20_000);
  });

  it("takes what ends the calls that were taken, however many they are", () => {
    const rig = new Rig().pass(1_000).late();
    for (let second = 0; second < 20; second += 1) {
      const taken = rig.taken(20_000);
      expect(rig.taken(3 * taken, {}, "CANCEL")).toBe(3 * taken);
      rig.pass(1_000);
    }
  });

  it("takes whatever has a token of ours, and no REGISTER for that", () => {
    const rig = new Rig().pass(1_000).late();
    const key = { exchange: 0, cell: "a" };
    for (const method of ["INVITE", "INFO", "UPDATE", "NOTIFY", "REFER"]) expect(rig.taken(200, { key }, method)).toBe(200);
    expect(rig.taken(200, { key }, "REGISTER")).toBeLessThan(45);
  });

  it("takes no flood of tokens that nobody has verified, and drops what is too much: no 503 for what may be of a call", () => {
    const rig = new Rig().pass(1_000).late();
    const key = { exchange: 0, cell: "a" };
    const usual = (straysPerSecond * tokensPerStray) / 10;
    rig.taken(20_000, { key });
    let [taken, lost, lostOfOthers] = [0, 0, 0];
    for (let tenth = 0; tenth < 50; tenth += 1) {
      rig.pass(100);
      taken += rig.taken(1_200, { key });
      lost += 20 - rig.taken(20, { key, source: "0a000001" });
      lost += 200 - rig.taken(200, { key, source: "0a000002", isProved: true });
      // What others begin does not suffer for it.
      for (let other = 10; other < 15; other += 1) lostOfOthers += 1 - rig.taken(1, { source: `0a0001${other}` });
    }
    expect([taken <= 50 * usual, lost]).toEqual([true, 0]);
    // The bound is found within the first tenths.
    expect(lostOfOthers).toBeLessThan(25);
    for (const method of ["BYE", "INFO", "ACK"]) expect(rig.verdict(request(method), { key })).toBe("drop");
    rig.taken(20_000, {}, "BYE");
    expect(rig.verdict(request("BYE"))).toBe("drop");
  });

  it("takes the REGISTER of a phone that is known, and not its calls", () => {
    const rig = new Rig().pass(1_000).late();
    expect(rig.taken(200, { isKnown: true }, "REGISTER")).toBe(200);
    expect(rig.taken(200, { isKnown: true })).toBeLessThan(45);
  });

  it("takes the REGISTERs of all in the first seconds: who comes back from a cell that has died is not known here", () => {
    const rig = new Rig().pass(shedColdMs);
    rig.delayMs = 1_000;
    rig.pass(1_000);
    expect([rig.news, rig.taken(1_000, {}, "REGISTER")]).toEqual([["began"], 1_000]);
    rig.pass(shedRegistersMs);
    expect(rig.taken(1_000, {}, "REGISTER")).toBeLessThan(700);
  });

  it("takes all of a source that the operator trusts", () => {
    expect(new Rig().pass(1_000).late().taken(500, { isTrusted: true })).toBe(500);
  });

  it("takes emergency calls, but no flood of them", () => {
    const rig = new Rig().pass(1_000).late();
    for (const [index, uri] of [
      "urn:service:sos",
      "URN:service:sos.fire",
      "sip:112@example.test",
      "sip:911@example.test;user=phone",
      "tel:112",
    ].entries())
      expect([uri, rig.takes(request("INVITE", { uri, call: `sos${index}` }))]).toEqual([uri, true]);
    let taken = 0;
    for (let index = 0; index < 500; index += 1)
      if (rig.takes(request("INVITE", { uri: "sip:112@example.test", call: `flood${index}` }))) taken += 1;
    expect(taken).toBeLessThan(emergenciesPerSecondMax + 30);
    expect(
      rig.takes(request("INVITE", { uri: "sip:1120@example.test", call: "2" })) &&
        rig.takes(request("INVITE", { uri: "sip:0911@example.test", call: "3" })),
    ).toBe(false);
  });

  it("says when it begins and when it is over", () => {
    const rig = new Rig().pass(1_000).late();
    expect(rig.entrance.share).toBeGreaterThan(0.9);
    rig.delayMs = 0;
    rig.pass(10_000);
    expect([rig.news, rig.entrance.share, rig.taken(500)]).toEqual([["began", "ended"], undefined, 500]);
  });
});

describe("so few requests that they cannot be what takes the time", () => {
  it("are all taken, however late all is", () => {
    const rig = new Rig().pass(1_000).late();
    for (let second = 0; second < 10; second += 1) {
      expect(rig.taken(shedRequestsMin)).toBe(shedRequestsMin);
      rig.pass(1_000);
    }
    expect(rig.taken(20 * shedRequestsMin)).toBeLessThan(5 * shedRequestsMin);
  });
});

describe("what belongs together", () => {
  it("is taken when its first was taken in time: copies, and what has the credentials", () => {
    const rig = new Rig().pass(1_000);
    const calls = Array.from({ length: 50 }, (_, index) => `early${index}`);
    for (const call of calls) rig.takes(request("INVITE", { call }));
    rig.delayMs = 1_000;
    rig.pass(4_000);
    expect(calls.filter((call) => rig.takes(request("INVITE", { call })))).toHaveLength(50);
    expect(calls.filter((call) => rig.takes(request("INVITE", { call, cSeq: 2 })))).toHaveLength(50);
  });

  it("is refused with it, when the share has become smaller meanwhile; who asks later asks anew", () => {
    const rig = new Rig().pass(1_000).late();
    const refused = Array.from({ length: 100 }, (_, index) => `r${index}`).filter((call) => !rig.takes(request("INVITE", { call })));
    rig.delayMs = 0;
    rig.pass(refusalMs / 2);
    expect(new Set(refused.map((call) => rig.verdict(request("INVITE", { call }))))).toEqual(new Set(["drop"]));
    expect(new Set(refused.map((call) => rig.verdict(request("INVITE", { call }), { isDatagram: false })))).toEqual(new Set(["refuse"]));
    rig.pass(10_000);
    expect(refused.filter((call) => !rig.takes(request("INVITE", { call })))).toEqual([]);
  });
});

describe("a Call-ID that was taken once", () => {
  let asked = 0;
  /** One that is taken while next to nothing is. */
  const takenCall = (rig: Rig): string => {
    for (;;) {
      rig.taken(100);
      rig.pass(shedUpdateMs);
      asked += 1;
      if (rig.takes(request("INVITE", { call: `t${asked}` }))) return `t${asked}`;
    }
  };

  it("lets its copies in, and no flood of them", () => {
    const rig = new Rig().pass(1_000).late();
    const call = takenCall(rig);
    let taken = 0;
    for (let index = 0; index < 1_000; index += 1) if (rig.takes(request("INVITE", { call, cSeq: index }))) taken += 1;
    expect(taken).toBe(copiesMax);
  });

  it("lets in nothing else: no other method, no other source, and not itself again for ever", () => {
    const rig = new Rig().pass(1_000).late();
    let taken = 0;
    for (let index = 0; index < 10; index += 1) {
      const call = takenCall(rig);
      rig.taken(1_000, { source: "0a000001" });
      if (rig.takes(request("MESSAGE", { call }))) taken += 1;
      if (rig.takes(request("INVITE", { call }), { source: "0a000001" })) taken += 1;
      rig.pass(3 * decisionMs);
      rig.taken(1_000);
      if (rig.takes(request("INVITE", { call }))) taken += 1;
    }
    expect(taken).toBeLessThan(10);
  });

  it("is another one in another process, and what has none is never the same", () => {
    const calls = Array.from({ length: 2_000 }, (_, index) => `p${index}`);
    const takenBy = (random: number): Set<string> => {
      const rig = new Rig(random).pass(1_000).late();
      rig.taken(200);
      return new Set(calls.filter((call, index) => rig.pass(index % 20 === 0 ? shedUpdateMs : 0).takes(request("INVITE", { call }))));
    };
    const [one, other] = [takenBy(0.25), takenBy(0.75)];
    expect(one.size).toBeGreaterThan(10);
    expect([...one].filter((call) => other.has(call)).length).toBeLessThan(one.size / 2);
    const rig = new Rig().pass(1_000).late();
    rig.taken(1_000);
    const nameless = octetsOf("INVITE sip:bob@example.test SIP/2.0\r\n\r\n");
    expect(calls.filter(() => rig.takes(nameless)).length).toBeLessThan(200);
  });

  it("counts its copies in the share of its source", () => {
    const rig = new Rig().pass(1_000).late();
    const calls = Array.from({ length: 10 }, () => takenCall(rig));
    rig.pass(2_000);
    for (const call of calls) for (let copy = 0; copy < copiesMax; copy += 1) rig.takes(request("INVITE", { call }));
    expect(rig.taken(100)).toBeLessThan(30);
  });
});

describe("one source that asks for most", () => {
  it("loses most, and the others nothing", () => {
    const rig = new Rig().pass(1_000);
    rig.delayMs = 150;
    const others = Array.from({ length: 20 }, (_, index) => `0a0000${index.toString(16).padStart(2, "0")}`);
    /** One second of all. */
    const ask = (): number => {
      let lost = 0;
      for (let tenth = 0; tenth < 10; tenth += 1) {
        rig.taken(100, { source: "flood" });
        for (const source of tenth % 5 === 0 ? others : []) lost += 1 - rig.taken(1, { source });
        rig.pass(100);
      }
      return lost;
    };
    ask();
    rig.delayMs = 500;
    while (rig.entrance.share === undefined || rig.entrance.share < 0.6) ask();
    rig.delayMs = 200;
    const lost = ask() + ask() + ask();
    const ofFlood = rig.taken(1_000, { source: "flood" });
    expect(lost).toBe(0);
    expect(ofFlood).toBeLessThan(1_000 * (1 - (rig.entrance.share ?? 0)));
  });
});

function withHeader(header: string): Uint8Array {
  return octetsOf(`INVITE sip:bob@example.test SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKc\r\n${header}\r\n\r\nCall-ID: x`);
}

function ofOneNetwork(index: number): string {
  return `0a10${index.toString(16).padStart(4, "0")}`;
}

function ofMany(index: number): string {
  return `0b${(index * 256).toString(16).padStart(6, "0")}`;
}

/** Of 50 requests of others, each from a network of its own, those that are lost while 9000 sources say three times as much each. */
function lostTo(floodOf: (index: number) => string, isProved: boolean): number {
  const rig = new Rig().pass(1_000);
  rig.delayMs = 500;
  while ((rig.entrance.share ?? 0) < 0.5) rig.pass(shedUpdateMs);
  rig.delayMs = shedDelayMs;
  let lost = 0;
  for (let round = 0; round < 5; round += 1) {
    // All that could count for themselves have come first.
    for (let index = 0; index < 27_000; index += 1)
      rig.takes(request("INVITE", { call: `${round}x${index}` }), { source: floodOf(index % 9_000) });
    rig.pass(500);
    for (let index = 10; index < 20; index += 1) lost += 1 - rig.taken(1, { source: `c0a8${index}01`, isProved });
    rig.pass(500);
  }
  return lost;
}

/** 3000 that ask once, and 20 that are proved and ask for ten: how much of the latter is taken. */
function takenOfProved(rig: Rig): number {
  let taken = 0;
  for (let index = 0; index < 3_000; index += 1) {
    rig.taken(1, { source: (0x0a000000 + index * 7).toString(16).padStart(8, "0") });
    if (index % 15 === 0) taken += rig.taken(1, { source: `c6336${(index / 15) % 20}`.padEnd(8, "0"), isProved: true });
  }
  return taken;
}

describe("thousands of sources that are invented and ask for little", () => {
  it("take nothing from those who have had calls", () => {
    const rig = new Rig().pass(1_000);
    rig.delayMs = 250;
    rig.pass(1_000);
    rig.delayMs = 1_000;
    rig.pass(1_500);
    takenOfProved(rig);
    rig.delayMs = shedDelayMs;
    rig.pass(1_000);
    expect(rig.entrance.share).toBeGreaterThan(0.5);
    expect(rig.entrance.share).toBeLessThan(0.9);
    expect(takenOfProved(rig)).toBeGreaterThan(0.98 * 200);
  });
});

describe("what has a token, of a source that is proved", () => {
  it("has a bound as well, far above what a trunk of 1500 calls a second sends", () => {
    const rig = new Rig().pass(1_000).late();
    const trunk = { key: { exchange: 0, cell: "a" }, isProved: true };
    expect(rig.taken(4_000, trunk, "BYE")).toBe(4_000);
    for (let second = 0; second < 10; second += 1) expect(rig.pass(1_000).taken(3_000, trunk, "BYE")).toBe(3_000);
    let taken = 0;
    for (let second = 0; second < 10; second += 1) taken += rig.pass(1_000).taken(20_000, trunk, "BYE");
    expect(taken).toBeLessThan(80_000);
  });
});

describe("an entrance that is in time, with somebody who floods", () => {
  it("takes whatever has a token, of whomever, and is late before it takes less", () => {
    const rig = new Rig(0.25, new NoisySources());
    const key = { exchange: 0, cell: "a" };
    for (let second = 0; second < 30; second += 1) {
      rig.taken(500, { source: "0a000001" });
      expect(rig.taken(1_000, { key }, "BYE")).toBe(1_000);
      expect(rig.taken(5_000, { key, isProved: true, source: "0a000002" }, "BYE")).toBe(5_000);
      rig.pass(1_000);
    }
    expect(rig.taken(1_000, { source: "0a000001" })).toBeLessThan(300);
    rig.late();
    expect(rig.taken(20_000, { key }, "BYE")).toBeLessThan(20_000);
  });
});

describe("more sources than are counted apart", () => {
  it("are counted by their networks: who is in another one loses nothing", () => {
    expect(lostTo(ofOneNetwork, false)).toBeLessThan(4);
  });

  it("take nothing from those who are proved, however many networks there are", () => {
    expect(lostTo(ofMany, true)).toBeLessThan(4);
    expect(lostTo(ofMany, false)).toBeGreaterThan(20);
  });
});

describe("the hash of a Call-ID", () => {
  it("is the same however the header is written, and spread evenly", () => {
    const hash = callHashOf(withHeader("Call-ID: abc@host"), 0);
    for (const header of ["i: abc@host", "call-id :  abc@host", "CALL-ID:abc@host "]) expect(callHashOf(withHeader(header), 0)).toBe(hash);
    expect(callHashOf(withHeader("Call-ID: abd@host"), 0)).not.toBe(hash);
    expect([callHashOf(withHeader("Contact: c"), 0), callHashOf(octetsOf(""), 0), callHashOf(octetsOf("\r\n"), 0)]).toEqual([0, 0, 0]);
    const tenths = Array.from({ length: 10 }, () => 0);
    for (let index = 0; index < 10_000; index += 1) {
      const tenth = Math.floor((callHashOf(withHeader(`Call-ID: ${index}-4711@127.0.0.1`), 0) / 2 ** 32) * 10);
      tenths[tenth] = (tenths[tenth] ?? 0) + 1;
    }
    for (const count of tenths) expect(Math.abs(count - 1_000)).toBeLessThan(150);
  });

  it("is read as well behind line ends that came before the message", () => {
    const text = `INVITE sip:bob@example.test SIP/2.0\r\ni: abc\r\n\r\n`;
    expect(callHashOf(octetsOf(`\r\n\r\n${text}`), 0)).toBe(callHashOf(octetsOf(text), 0));
    expect(kindOf(octetsOf(`\r\n\r\n${text}`), undefined)).toBe("begins");
  });
});
