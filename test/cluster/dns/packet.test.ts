import { describe, expect, it } from "vitest";
import { type AnswerRecord, decodeAnswer, encodeQuestion } from "../../../cluster/dns/packet.ts";
import { packetOf } from "./zones.ts";

const records: readonly AnswerRecord[] = [
  { name: "_sip._udp.example.test", ttl: 60, type: "SRV", priority: 10, weight: 70, port: 5060, target: "g1.example.test" },
  {
    name: "example.test",
    ttl: 60,
    type: "NAPTR",
    order: 10,
    preference: 50,
    flags: "s",
    service: "SIP+D2U",
    regexp: "",
    replacement: "_sip._udp.example.test",
  },
  { name: "g1.example.test", ttl: 61, type: "A", address: "192.0.2.1" },
  { name: "g1.example.test", ttl: 62, type: "AAAA", address: "2001:db8:0:0:0:0:0:1" },
  { name: "g2.example.test", ttl: 63, type: "CNAME", target: "g1.example.test" },
];

describe("a question to a name server [RFC1035 4]", () => {
  it("has its number, the name and the type", () => {
    const octets = encodeQuestion(0x1234, "_sip._udp.a.test", "SRV");
    expect(Buffer.from(octets).toString("latin1")).toBe("\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x04_sip\x04_udp\x01a\x04test\0\0\x21\0\x01");
  });
});

describe("an answer", () => {
  it("is read with all that a zone of ours has", () => {
    expect(decodeAnswer(packetOf(7, 0x8580, records))).toEqual({ id: 7, code: 0, isAuthoritative: true, isTruncated: false, records });
    expect(decodeAnswer(packetOf(7, 0x8183, []))).toEqual({ id: 7, code: 3, isAuthoritative: false, isTruncated: false, records: [] });
  });

  it("may point to names that stood before [RFC1035 4.1.4]", () => {
    const question = encodeQuestion(7, "G1.example.test", "A");
    const answer = Uint8Array.from([...question, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
    answer[2] = 0x84;
    answer[7] = 1;
    expect(decodeAnswer(answer)?.records).toEqual([{ name: "g1.example.test", ttl: 60, type: "A", address: "192.0.2.1" }]);
    // A name that points to itself has no end.
    answer.set([0xc0, question.length], question.length);
    expect(decodeAnswer(answer)).toBeUndefined();
  });

  it("is none when it is cut off anywhere, or when it is a question", () => {
    const whole = packetOf(7, 0x8580, records);
    for (let length = 0; length < whole.length; length += 1) expect(decodeAnswer(whole.subarray(0, length))).toBeUndefined();
    expect(decodeAnswer(encodeQuestion(7, "example.test", "A"))).toBeUndefined();
  });

  it("that says it is cut off has what is there", () => {
    const [first] = records;
    const whole = packetOf(7, 0x8780, first === undefined ? [] : [first]);
    whole[7] = 2;
    expect(decodeAnswer(whole)).toMatchObject({ isTruncated: true, records: [first] });
  });

  it("of any octets throws nothing", () => {
    for (let seed = 1; seed <= 2_000; seed += 1) {
      const octets = packetOf(seed, 0x8580, records);
      let state = seed;
      for (let change = 0; change < 4; change += 1) {
        state = (state * 48_271) % 2_147_483_647;
        octets[state % octets.length] = state >> 8;
      }
      expect(() => decodeAnswer(octets)).not.toThrow();
    }
  });
});
