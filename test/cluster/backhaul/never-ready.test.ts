import { expect, it } from "vitest";
import { encodeFrame, RecordKind, type FrameRecord } from "../../../cluster/backhaul/frame.ts";
import { ReplicaWays } from "../../../cluster/backhaul/replica-ways.ts";

const nothing = new Uint8Array(0);
const hello: FrameRecord = { kind: RecordKind.hello, key: "g1", octets: nothing };
const limits = {
  octetsMax: 100_000,
  holdMs: 4_000,
  servingAssumedMs: 1_000,
  helloAnswerMs: 10_000,
  flapMs: 1_000,
  returnWaitMs: 200,
  returnSettleMs: 100,
  movesMax: 4,
};

function ways(): ReplicaWays {
  return new ReplicaWays(["a", "b"], { hello, heartbeat: { periodMs: 1_000, missed: 3 }, limits }, 0);
}

/** A replica says that it serves. */
function serves(at: ReplicaWays, cell: string, now: number): void {
  at.opened(cell, now);
  at.receive(cell, encodeFrame(1, 0, [{ kind: RecordKind.serving, key: "1", octets: nothing }]), now);
  at.tick(now);
}

/** What is said of replicas that take over. */
function saidOf(at: ReplicaWays): string[] {
  return at.takeEffects().flatMap((each) => (each.type === "takenOver" ? [`${each.to} from ${each.from}: ${each.records}`] : []));
}

it("nothing is said of a replica that was never there, when the other one comes", () => {
  const at = ways();
  at.lost("a", 5);
  serves(at, "b", 10);
  expect(saidOf(at)).toEqual([]);
});

it("of one that was ready and is lost it is said", () => {
  const at = ways();
  serves(at, "a", 5);
  serves(at, "b", 10);
  at.lost("a", 20);
  at.tick(20);
  expect(saidOf(at)).toEqual(["b from a: 0"]);
});
