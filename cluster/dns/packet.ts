import { dnsAnswersMax } from "../limits.ts";

/**
 * Questions to name servers and their answers (RFC 1035 4), as far as a zone of ours has them. Node's own resolver hides for how long an SRV record is
 * remembered, and whether the zone's own server has answered.
 */

export const recordTypes = { A: 1, CNAME: 5, AAAA: 28, SRV: 33, NAPTR: 35 } as const;
export type AskedType = keyof typeof recordTypes;

/** RFC 3403 4.1. */
export type NaptrRecord = {
  readonly order: number;
  readonly preference: number;
  readonly flags: string;
  readonly service: string;
  readonly regexp: string;
  readonly replacement: string;
};

type Data =
  | { readonly type: "A" | "AAAA"; readonly address: string }
  | { readonly type: "CNAME"; readonly target: string }
  | { readonly type: "SRV"; readonly priority: number; readonly weight: number; readonly port: number; readonly target: string }
  | ({ readonly type: "NAPTR" } & NaptrRecord);

/** Names are in lower case, without the dot at their end. */
export type AnswerRecord = { readonly name: string; readonly ttl: number } & Data;

export type DnsAnswer = {
  readonly id: number;
  /** RFC 1035 4.1.1: 0 is no error, 3 no such name, 5 refused. */
  readonly code: number;
  /** The zone's own server has answered. */
  readonly isAuthoritative: boolean;
  /** There is more than one datagram holds. */
  readonly isTruncated: boolean;
  readonly records: readonly AnswerRecord[];
};

const internet = 1;
const pointer = 0xc0;
/** RFC 1035 4.1.4: a name has at most so many labels. More is a loop of pointers. */
const labelsMax = 128;

/** A question, which the server is to answer whole: it may ask others for it. */
export function encodeQuestion(id: number, name: string, type: AskedType): Uint8Array {
  const labels = name.split(".").filter((label) => label !== "");
  const octets = [id >> 8, id & 0xff, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
  for (const label of labels) octets.push(label.length, ...Array.from(label, (letter) => letter.charCodeAt(0) & 0xff));
  octets.push(0, 0, recordTypes[type], 0, internet);
  return Uint8Array.from(octets);
}

/** An answer; undefined: it is none, or is cut off. Records of other types are left out. */
export function decodeAnswer(octets: Uint8Array): DnsAnswer | undefined {
  try {
    const reader = new Reader(octets);
    const id = reader.number(2);
    const flags = reader.number(2);
    if ((flags & 0x8000) === 0) return undefined;
    const [questions, answers] = [reader.number(2), reader.number(2)];
    reader.skip(4);
    for (let count = 0; count < questions; count += 1) {
      reader.name();
      reader.skip(4);
    }
    const isTruncated = (flags & 0x0200) !== 0;
    const records: AnswerRecord[] = [];
    for (let count = 0; count < Math.min(answers, dnsAnswersMax); count += 1) {
      if (isTruncated && reader.isAtEnd) break;
      const record = recordOf(reader);
      if (record !== undefined) records.push(record);
    }
    return { id, code: flags & 0x0f, isAuthoritative: (flags & 0x0400) !== 0, isTruncated, records };
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function recordOf(reader: Reader): AnswerRecord | undefined {
  const name = reader.name();
  const type = reader.number(2);
  reader.skip(2);
  const ttl = reader.number(4);
  const length = reader.number(2);
  const end = reader.at + length;
  const data = dataOf(reader, type, length);
  reader.moveTo(end);
  return data === undefined ? undefined : { name, ttl, ...data };
}

function dataOf(reader: Reader, type: number, length: number): Data | undefined {
  switch (type) {
    case recordTypes.A:
      if (length !== 4) throw new RangeError("an address of another length");
      return { type: "A", address: [0, 0, 0, 0].map(() => reader.number(1)).join(".") };
    case recordTypes.AAAA:
      if (length !== 16) throw new RangeError("an address of another length");
      return { type: "AAAA", address: Array.from({ length: 8 }, () => reader.number(2).toString(16)).join(":") };
    case recordTypes.CNAME:
      return { type: "CNAME", target: reader.name() };
    case recordTypes.SRV:
      return { type: "SRV", priority: reader.number(2), weight: reader.number(2), port: reader.number(2), target: reader.name() };
    case recordTypes.NAPTR:
      return {
        type: "NAPTR",
        order: reader.number(2),
        preference: reader.number(2),
        flags: reader.text(),
        service: reader.text(),
        regexp: reader.text(),
        replacement: reader.name(),
      };
    default:
      return undefined;
  }
}

/** Reads octets one after the other. Throws a RangeError behind their end. */
class Reader {
  at = 0;
  readonly #octets: Uint8Array;

  constructor(octets: Uint8Array) {
    this.#octets = octets;
  }

  get isAtEnd(): boolean {
    return this.at >= this.#octets.length;
  }

  number(size: 1 | 2 | 4): number {
    let value = 0;
    for (let count = 0; count < size; count += 1) value = value * 256 + this.#octet(this.at + count);
    this.at += size;
    return value;
  }

  skip(count: number): void {
    this.moveTo(this.at + count);
  }

  moveTo(at: number): void {
    if (at > this.#octets.length) throw new RangeError("cut off");
    this.at = at;
  }

  /** A length, and so many octets. */
  text(): string {
    const length = this.number(1);
    const start = this.at;
    this.skip(length);
    return String.fromCharCode(...this.#octets.subarray(start, this.at));
  }

  /** RFC 1035 4.1.4: labels, or a pointer to where the rest of the name stands. */
  name(): string {
    const labels: string[] = [];
    let at = this.at;
    let end: number | undefined;
    for (let steps = 0; steps < labelsMax; steps += 1) {
      const length = this.#octet(at);
      if (length === 0) {
        this.at = end ?? at + 1;
        return labels.join(".").toLowerCase();
      }
      if ((length & pointer) === pointer) {
        end ??= at + 2;
        at = (length & ~pointer) * 256 + this.#octet(at + 1);
        continue;
      }
      if ((length & pointer) !== 0 || at + 1 + length > this.#octets.length) throw new RangeError("no label");
      labels.push(String.fromCharCode(...this.#octets.subarray(at + 1, at + 1 + length)));
      at += 1 + length;
    }
    throw new RangeError("a name without an end");
  }

  #octet(at: number): number {
    const octet = this.#octets[at];
    if (octet === undefined) throw new RangeError("cut off");
    return octet;
  }
}
