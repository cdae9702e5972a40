import { encodeFrame, RecordKind } from "../../cluster/backhaul/frame.ts";
import { Backhaul } from "../../cluster/backhaul/backhaul.ts";

/** What a caller and a callee send into the system, and when, ms after the INVITE: SIPp's calls, 100 ms of ringing and `talkMs` of talk. */
function messagesOf(talkMs: number, responseMs: number): number[] {
  const answered = 100;
  // INVITE, 180, 200, ACK, BYE, 200.
  return [0, responseMs, answered, answered + responseMs, answered + talkMs, answered + talkMs + responseMs];
}

const octets = new Uint8Array(500);

/**
 * Frames a call that a gateway sends to one exchange at a rate: the real flush rule (cluster/backhaul/backhaul.ts) in simulated time, fed with calls at
 * random times, each frame answered after `answerMs`. Deterministic.
 */
export function framesPerCall(callsPerSecond: number, answerMs: number, talkMs = 1_000): number {
  const calls = 4_000;
  let state = 1;
  const random = (): number => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
  const arrivals: number[] = [];
  let at = 0;
  for (let call = 0; call < calls; call += 1) {
    at += (-Math.log(1 - random()) * 1000) / callsPerSecond;
    for (const after of messagesOf(talkMs, answerMs + 1)) arrivals.push(at + after);
  }
  arrivals.sort((one, other) => one - other);
  const backhaul = new Backhaul();
  const answers: { at: number; seq: number }[] = [{ at: answerMs, seq: 1 }];
  backhaul.connect({ kind: RecordKind.hello, key: "g1", octets }, 0);
  let [frames, seq] = [0, 1];
  const flush = (now: number): void => {
    for (const _ of backhaul.tick(now)) {
      frames += 1;
      seq += 1;
      answers.push({ at: now + answerMs, seq });
    }
  };
  for (let index = 0; index < arrivals.length || answers.length > 0;) {
    const arrival = arrivals[index] ?? Number.POSITIVE_INFINITY;
    const deadline = backhaul.nextDeadline() ?? Number.POSITIVE_INFINITY;
    const answer = answers[0]?.at ?? Number.POSITIVE_INFINITY;
    const now = Math.min(arrival, deadline, answer);
    if (now === answer) {
      backhaul.receive(acknowledgement(answers.shift()?.seq ?? 0), now);
    } else if (now === arrival) {
      backhaul.offer({ kind: RecordKind.message, key: "u0..c633640713c4", octets }, now);
      index += 1;
    }
    flush(now);
  }
  return frames / calls;
}

/** A frame of the other side that only acknowledges; it has no number. */
function acknowledgement(ack: number): Uint8Array {
  return encodeFrame(0, ack, []);
}
