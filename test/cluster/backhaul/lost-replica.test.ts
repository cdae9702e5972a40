import { beforeEach, describe, expect, it } from "vitest";
import { decodeFrame, encodeFrame, isFrameError, RecordKind, type FrameRecord } from "../../../cluster/backhaul/frame.ts";
import { ReplicaWays } from "../../../cluster/backhaul/replica-ways.ts";

const nothing = new Uint8Array(0);
const hello: FrameRecord = { kind: RecordKind.hello, key: "g1", octets: nothing };
const phone = "t0..c6336407138e";

const bye = message("BYE");

function message(method: string, callId = "1"): FrameRecord {
  const text = `${method} sip:bob@example.test SIP/2.0\r\nCall-ID: ${callId}\r\nCSeq: 2 ${method}\r\n\r\n`;
  return { kind: RecordKind.message, key: phone, octets: Buffer.from(text) };
}

function answer(status: number): FrameRecord {
  return { kind: RecordKind.send, key: phone, octets: Buffer.from(`SIP/2.0 ${status} OK\r\nCall-ID: 1\r\nCSeq: 2 BYE\r\n\r\n`) };
}

/** A gateway with a backhaul to each of two replicas, which acknowledge what they are told to. */
class Gateway {
  now = 0;
  readonly ways = new ReplicaWays(
    ["a", "b"],
    {
      hello,
      heartbeat: { periodMs: 1_000, missed: 3 },
      limits: {
        octetsMax: 100_000,
        holdMs: 4_000,
        servingAssumedMs: 1_000,
        helloAnswerMs: 10_000,
        flapMs: 1_000,
        returnWaitMs: 200,
        returnSettleMs: 100,
        movesMax: 4,
      },
    },
    0,
  );
  readonly #taken = new Map<string, number>();
  readonly #said = new Map<string, number>();
  /** What each replica has got, in order. */
  readonly got: string[] = [];

  constructor() {
    for (const cell of ["a", "b"]) {
      this.ways.opened(cell, 0);
      this.acknowledge(cell, [{ kind: RecordKind.serving, key: "1", octets: nothing }]);
    }
  }

  /** A replica acknowledges all that it has got, and says something. */
  acknowledge(cell: string, records: readonly FrameRecord[] = []): this {
    this.#carry();
    const seq = (this.#said.get(cell) ?? 0) + 1;
    this.#said.set(cell, seq);
    expect(this.ways.receive(cell, encodeFrame(seq, this.#taken.get(cell) ?? 0, records), this.now)).not.toHaveProperty("frameError");
    return this.pass(20);
  }

  offer(record: FrameRecord, cell?: string): this {
    this.ways.offer(record, cell, this.now);
    return this.pass(20);
  }

  pass(ms: number): this {
    this.now += ms;
    this.ways.tick(this.now);
    this.#carry();
    return this;
  }

  lose(cell: string): this {
    this.ways.lost(cell, this.now);
    return this.pass(20);
  }

  #carry(): void {
    for (const effect of this.ways.takeEffects()) {
      if (effect.type !== "frame") continue;
      const frame = decodeFrame(effect.octets);
      if (isFrameError(frame)) throw new Error(frame.frameError);
      if (frame.seq !== 0) this.#taken.set(effect.cell, frame.seq);
      for (const { kind, octets } of frame.records) {
        if (kind === RecordKind.takeover) this.got.push(`${effect.cell}: takeover`);
        if (kind === RecordKind.message) this.got.push(`${effect.cell}: ${Buffer.from(octets).toString().split(" ")[0] ?? ""}`);
      }
    }
  }
}

describe("a BYE that a replica has taken and not answered when it is lost", () => {
  let gateway: Gateway;

  beforeEach(() => {
    gateway = new Gateway().offer(bye, "a").acknowledge("a");
    gateway.got.length = 0;
  });

  it("is said to the other one, behind the takeover, though it was acknowledged", () => {
    expect(gateway.lose("a").got).toEqual(["b: takeover", "b: BYE"]);
  });

  it("is said to the next one, when the other is lost as well", () => {
    gateway.lose("a").acknowledge("b").got.length = 0;
    gateway.ways.setCells(["b", "c"], gateway.now);
    gateway.ways.opened("c", gateway.now);
    gateway.acknowledge("c", [{ kind: RecordKind.serving, key: "1", octets: nothing }]);
    expect(gateway.lose("b").got).toEqual(["c: takeover", "c: BYE"]);
  });

  it("is said to the other one when the map takes the replica away", () => {
    gateway.ways.setCells(["b", "c"], gateway.now);
    expect(gateway.pass(20).got).toContain("b: BYE");
  });

  it.each(["a", "b"])("is not when it was answered by %s, be it with a refusal", (cell) => {
    gateway.acknowledge(cell, [answer(481)]);
    expect(gateway.lose("a").got).toEqual(["b: takeover"]);
  });

  it("is said once where it was not acknowledged either, and in its order", () => {
    gateway.offer(message("INVITE", "2"), "a");
    expect(gateway.lose("a").got.slice(1)).toEqual(["b: takeover", "b: BYE", "b: INVITE"]);
  });

  it("is not said for a phone that has gone meanwhile", () => {
    gateway.offer({ kind: RecordKind.closed, key: phone, octets: nothing }, "a").acknowledge("a");
    expect(gateway.lose("a").got).toEqual(["b: takeover"]);
  });
});

it("what has no token is not said again: it might be a new request, that rings or beeps once more", () => {
  const gateway = new Gateway().offer(message("MESSAGE")).acknowledge("a");
  gateway.got.length = 0;
  expect(gateway.lose("a").got).toEqual(["b: takeover"]);
});
