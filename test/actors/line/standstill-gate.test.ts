import { describe, expect, it } from "vitest";
import { octetsOf } from "../../../sip/message/octets.ts";
import { standstillMessagesMax, standstillMsMin, lineStandstillWaitMs } from "../../../actors/limits.ts";
import { StandstillGate } from "../../../actors/line/standstill-gate.ts";

type Said = { readonly key: string; readonly octets: Uint8Array; readonly name: string };

function said(key: string, method: string): Said {
  const text =
    `${method} sip:bob@example.test SIP/2.0\r\nVia: SIP/2.0/WS x.invalid;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n` +
    `From: <sip:alice@example.test>;tag=1\r\nTo: <sip:bob@example.test>\r\nCall-ID: c\r\nCSeq: 1 ${method}\r\n\r\n`;
  return { key, octets: octetsOf(text), name: `${key} ${method}` };
}

/** A gate, its clock, and a core group that answers when it is told to. */
class Rig {
  now = 1_790_000_000_000;
  readonly passed: string[] = [];
  asked = 0;
  tell: (agoMs: number) => void = () => undefined;
  #timers: { readonly at: number; readonly run: () => void }[] = [];
  readonly gate = new StandstillGate<Said>({
    wentOnAgo: (told) => {
      this.asked += 1;
      this.tell = told;
    },
    pass: ({ name }) => void this.passed.push(name),
    timer: (run) => ({
      set: (delayMs) => void (this.#timers = [{ at: this.now + delayMs, run }]),
      clear: () => void (this.#timers = []),
    }),
    now: () => this.now,
  });

  read(...messages: Said[]): void {
    for (const message of messages) this.gate.take(message, this.now);
  }

  wait(ms: number): void {
    this.now += ms;
    const due = this.#timers.filter(({ at }) => at <= this.now);
    this.#timers = this.#timers.filter(({ at }) => at > this.now);
    for (const { run } of due) run();
  }

  /** Somebody has spoken, and it was no standstill. */
  awake(): this {
    this.read(said("x", "INVITE"));
    this.tell(Number.POSITIVE_INFINITY);
    this.passed.length = 0;
    this.asked = 0;
    return this;
  }
}

describe("a line", () => {
  it("asks nobody while its softphones talk, nor for what passes in any case", () => {
    const rig = new Rig().awake();
    for (let count = 0; count < 10; count += 1) {
      rig.wait(standstillMsMin - 1);
      rig.read(said("a", "INVITE"));
    }
    rig.wait(3_600_000);
    rig.read(said("a", "REGISTER"));
    expect([rig.asked, rig.passed.length]).toEqual([0, 11]);
  });

  it("that was idle asks for the first call, and lets it pass when it hears that nothing stood still", () => {
    const rig = new Rig().awake();
    rig.wait(10_000);
    rig.read(said("a", "INVITE"), said("b", "REGISTER"));
    expect([rig.asked, rig.passed]).toEqual([1, ["b REGISTER"]]);
    rig.tell(60_000);
    rig.read(said("c", "INVITE"));
    expect([rig.asked, rig.passed]).toEqual([1, ["b REGISTER", "a INVITE", "c INVITE"]]);
  });

  it("that has just been woken asks as well", () => {
    const rig = new Rig();
    rig.read(said("a", "INVITE"));
    expect([rig.asked, rig.passed]).toEqual([1, []]);
    rig.tell(Number.POSITIVE_INFINITY);
    expect(rig.passed).toEqual(["a INVITE"]);
  });
});

describe("a line whose process stood still", () => {
  it("forgets the calls of softphones that have gone, makes those of the others, and is itself again", () => {
    const rig = new Rig().awake();
    rig.wait(10_000);
    rig.read(said("gone", "INVITE"), said("there", "INVITE"));
    rig.tell(0);
    rig.read(said("gone", "CANCEL"), said("late", "INVITE"));
    rig.gate.closed("gone");
    expect(rig.passed).toEqual(["gone CANCEL"]);
    rig.wait(lineStandstillWaitMs - 1);
    expect(rig.passed).toEqual(["gone CANCEL"]);
    rig.wait(1);
    expect(rig.passed).toEqual(["gone CANCEL", "there INVITE", "late INVITE"]);
    rig.read(said("next", "INVITE"));
    expect([rig.asked, rig.passed.at(-1)]).toEqual([1, "next INVITE"]);
  });

  it("a softphone that has gone before anybody said so is forgotten too", () => {
    const rig = new Rig().awake();
    rig.wait(10_000);
    rig.read(said("gone", "INVITE"));
    rig.gate.closed("gone");
    rig.tell(0);
    rig.wait(lineStandstillWaitMs);
    expect(rig.passed).toEqual([]);
  });

  it("and stands still again before they pass keeps them on", () => {
    const rig = new Rig().awake();
    rig.wait(10_000);
    rig.read(said("gone", "INVITE"), said("there", "INVITE"));
    rig.tell(0);
    rig.wait(10_000);
    expect([rig.asked, rig.passed]).toEqual([2, []]);
    rig.tell(0);
    rig.gate.closed("gone");
    rig.wait(lineStandstillWaitMs);
    expect(rig.passed).toEqual(["there INVITE"]);
  });

  it(`keeps ${standstillMessagesMax} calls; more pass`, () => {
    const rig = new Rig().awake();
    rig.wait(10_000);
    for (let count = 0; count < standstillMessagesMax + 3; count += 1) rig.read(said(`phone${count}`, "INVITE"));
    expect(rig.passed).toHaveLength(3);
  });
});
