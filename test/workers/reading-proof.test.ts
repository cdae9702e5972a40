import { describe, expect, it } from "vitest";
import { unreadLeakOctetsPerSecond, unreadOctetsMax } from "../../workers/limits.ts";
import { ReadingProof } from "../../workers/line/reading-proof.ts";

const encoder = new TextEncoder();
const body = "x".repeat(10_000);

function request(number: number, method = "MESSAGE"): Uint8Array {
  return encoder.encode(
    `${method} sip:bob@b.invalid SIP/2.0\r\nVia: SIP/2.0/WS example.test;branch=z9hG4bKours${number}.x;a\r\n\r\n${body}`,
  );
}

function response(number: number): Uint8Array {
  return encoder.encode(`SIP/2.0 200 OK\r\nVia: SIP/2.0/WS example.test;branch=z9hG4bKours${number}.x;a\r\n\r\n`);
}

/** Sends until it is too much; how many that were, at most so many. `afterwards`: what the softphone says to each. */
function send(
  proof: ReadingProof,
  most: number,
  afterwards: (number: number) => Uint8Array | undefined,
  everyMs = 0,
  method = "MESSAGE",
): number {
  for (let number = 0; number < most; number += 1) {
    if (proof.sent(request(number, method), number * everyMs) === "over") return number;
    const said = afterwards(number);
    if (said !== undefined) proof.heard(said);
  }
  return most;
}

describe("who reads what he is sent", () => {
  it("may be sent any number of messages, answers coming late or not to all of them", () => {
    expect(send(new ReadingProof(0, 0), 5_000, response)).toBe(5_000);
    expect(send(new ReadingProof(0, 0), 5_000, (number) => response(number - 30))).toBe(5_000);
    expect(send(new ReadingProof(0, 0), 5_000, (number) => (number % 3 === 0 ? undefined : response(number)))).toBe(5_000);
  });

  it("and has nothing to answer, is sent little: a week of answers to REGISTER", () => {
    const proof = new ReadingProof(0, 0);
    const answer = encoder.encode(`SIP/2.0 200 OK\r\n\r\n${"x".repeat(900)}`);
    const states = new Set(Array.from({ length: 10_000 }, (_, minute) => proof.sent(answer, minute * 60_000)));
    expect(states).toEqual(new Set(["fine"]));
  });
});

describe("who does not read", () => {
  const most = Math.ceil(unreadOctetsMax / body.length) + 1;

  it.each([
    ["says nothing", undefined],
    ["sends keep-alives", encoder.encode("\r\n\r\n")],
    ["sends requests", request(-1, "OPTIONS")],
    ["sends answers to what he has not read", response(-1)],
  ])("is sent no more than the limit when he %s", (_name, said) => {
    expect(send(new ReadingProof(0, 0), 10 * most, () => said)).toBeLessThanOrEqual(most);
    // The same with ACKs and answers, which nobody answers.
    expect(send(new ReadingProof(0, 0), 10 * most, () => said, 0, "ACK")).toBeLessThanOrEqual(most);
  });

  it("and did before, is found out", () => {
    const proof = new ReadingProof(0, 0);
    expect(send(proof, 1_000, response)).toBe(1_000);
    expect(send(proof, 10 * most, () => undefined)).toBeLessThanOrEqual(most);
  });

  it("gets a little more in an hour", () => {
    const sent = send(new ReadingProof(0, 0), 100_000, () => undefined, 1_000) * body.length;
    expect(sent).toBeLessThanOrEqual(1.2 * (unreadOctetsMax + (sent / body.length) * unreadLeakOctetsPerSecond));
  });

  it("is known again when the object has slept", () => {
    const proof = new ReadingProof(unreadOctetsMax - body.length, 0);
    expect(send(proof, 10, () => undefined)).toBeLessThanOrEqual(1);
  });
});
