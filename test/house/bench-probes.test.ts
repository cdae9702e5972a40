import { setImmediate as turn } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Probes, probeKinds } from "../../bench/phones/probes.ts";
import { linesOf, messageText, responseText, uriIn } from "../../kit/phone/message-text.ts";
import type { Link } from "../../kit/phone/link.ts";

type Send = (octets: Uint8Array) => void;

function linkOf(send: Send): Link {
  const target = { name: "system", host: "127.0.0.1", port: 5060 };
  return {
    target,
    via: "SIP/2.0/UDP 127.0.0.1:9",
    contactHost: "127.0.0.1:9",
    isReliable: false,
    isOpen: true,
    send,
    ping: () => undefined,
    close: () => undefined,
  };
}

/** A system between caller and callee that takes so many milliseconds for each message, and answers REGISTER by itself. */
class Way {
  readonly probes: Probes;
  readonly caller: Link;
  readonly callee: Link;
  readonly delayMs: number;
  /** Of messages from the caller, those that are lost. */
  lose: (text: string) => boolean = () => false;

  constructor(delayMs: number) {
    this.delayMs = delayMs;
    this.probes = new Probes("bench.test", ["probe-callee0"]);
    this.caller = linkOf((octets) => this.#fromCaller(octets));
    this.callee = linkOf((octets) => this.#deliver(octets, this.caller));
  }

  #fromCaller(octets: Uint8Array): void {
    const text = Buffer.from(octets).toString("latin1");
    if (this.lose(text)) return;
    if (text.startsWith("REGISTER ")) this.#deliver(Buffer.from(responseText("200 OK", linesOf(text), "t")), this.caller);
    else this.#deliver(octets, this.callee);
  }

  #deliver(octets: Uint8Array, link: Link): void {
    setTimeout(() => this.probes.receive(octets, link), this.delayMs);
  }
}

const order = { callsPerSecond: 20, registersPerSecond: 20, messagesPerSecond: 20, seconds: 1 };

async function passed<T>(running: Promise<T>): Promise<T> {
  const state = { isOver: false };
  const over = (): void => void (state.isOver = true);
  void running.then(over, over);
  while (!state.isOver) {
    await vi.advanceTimersByTimeAsync(20);
    await turn();
  }
  return await running;
}

describe("the bench's probes", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "performance"] }));
  afterEach(() => void vi.useRealTimers());

  it("time what is on the way, and not the ringing", async () => {
    const way = new Way(5);
    const outcome = await passed(way.probes.run([way.caller], order));
    expect(outcome).toMatchObject({ failed: 0, cause: undefined, retransmissions: 0 });
    for (const kind of probeKinds) {
      const samples = outcome.samples[kind];
      expect(samples.length).toBeGreaterThan(2);
      // There and back; a REGISTER is answered halfway.
      for (const ms of samples) expect(ms).toBe(kind === "REGISTER to 200" ? 5 : 10);
    }
    expect(outcome.calls).toBe(outcome.samples["INVITE to 200"].length);
  });

  it("say again what was lost, and count it in the time", async () => {
    const way = new Way(1);
    const lost = new Set<string>();
    // The first of each request.
    way.lose = (text) => {
      const { startLine, callId } = linesOf(text);
      const key = `${startLine.split(" ", 1)[0]} ${callId}`;
      if (startLine.startsWith("ACK") || startLine.startsWith("REGISTER") || lost.has(key)) return false;
      lost.add(key);
      return true;
    };
    const outcome = await passed(way.probes.run([way.caller], order));
    expect(outcome.failed).toBe(0);
    expect(outcome.retransmissions).toBe(2 * outcome.calls + outcome.samples["MESSAGE to 200"].length);
    for (const kind of ["INVITE to 180", "INVITE to 200", "BYE to 200", "MESSAGE to 200"] as const)
      for (const ms of outcome.samples[kind]) expect(ms).toBeGreaterThanOrEqual(500);
  });

  it("have failed when they are refused, or never answered", async () => {
    const way = new Way(1);
    way.lose = (text) => text.startsWith("MESSAGE ");
    const outcome = await passed(way.probes.run([way.caller], { ...order, callsPerSecond: 0 }));
    expect(outcome.samples["MESSAGE to 200"]).toEqual([]);
    expect(outcome.failed).toBeGreaterThan(2);
    expect(outcome.cause).toBe("MESSAGE to 200: no answer");
    expect(outcome.samples["REGISTER to 200"].length).toBeGreaterThan(2);
  });

  it("register users, and say why they cannot", async () => {
    const way = new Way(1);
    await passed(way.probes.register("one", way.callee));
    const refusing = linkOf((octets) => {
      const request = linesOf(Buffer.from(octets).toString("latin1"));
      expect(uriIn(request.contact)).toBe("sip:two@127.0.0.1:9");
      setTimeout(() => way.probes.receive(Buffer.from(responseText("403 Forbidden", request, "t")), way.caller), 1);
    });
    await expect(passed(way.probes.register("two", refusing))).rejects.toThrow("REGISTER of two: SIP/2.0 403 Forbidden");
  });

  it("answer a request of another's call as a phone does", () => {
    const way = new Way(1);
    const sent: string[] = [];
    const link = linkOf((octets) => void sent.push(Buffer.from(octets).toString("latin1")));
    const text = messageText("OPTIONS sip:a@b SIP/2.0", [
      "Via: v",
      "From: <sip:a@b>;tag=1",
      "To: <sip:a@b>",
      "Call-ID: x",
      "CSeq: 1 OPTIONS",
    ]);
    way.probes.receive(Buffer.from(text), link);
    expect(sent[0]).toMatch(/^SIP\/2.0 200 OK\r\n/);
  });
});
