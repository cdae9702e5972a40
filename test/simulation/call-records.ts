import { collectorOf } from "../../cluster/calls/collector.ts";
import { callsGatheredMs } from "../../actors/limits.ts";
import { isParseError } from "../../sip/errors.ts";
import { recordOf } from "../../sip/record/record-text.ts";
import type { Call } from "../../sip/record/values.ts";
import { bothDied, diedWithItsRefusal, flushedMs, isDouble, isLineUnreachable, wasAskedAgain, wasCutApart } from "./excuses.ts";
import type { OutgoingCall } from "./call.ts";
import type { Phone } from "./phone.ts";
import type { Cell } from "./cell.ts";
import type { Cluster } from "./cluster.ts";
import type { Story } from "./simulate.ts";

/** From the end of a call until it is on the disk of a ledger, or of an exchange whose ledger does not answer. */
const collectedMs = callsGatheredMs + flushedMs;

/** What the ledgers say in the end: each call of the plan has one record, and that is true. */
export function checkCallRecords(story: Story): void {
  const { cluster } = story;
  const actor = cluster.living[0]?.group.actor;
  const owner = actor === undefined ? undefined : collectorOf(actor.map, actor.view)?.cell;
  if (owner === undefined) return cluster.world.violated("callsAreCollected", "nobody collects");
  const collector = cluster.cell(owner);
  collector.ledger.whenRead(() => undefined);
  cluster.world.runUntil(cluster.world.now + 10_000);
  nothingWaits(cluster);
  hasAll(cluster, collector);
  callsAreNoted(story, collector);
}

function nothingWaits({ living, world }: Cluster): void {
  for (const cell of living) {
    for (const replica of cell.replicas) {
      for (const { key } of replica.exchange.store.records("call")) {
        world.violated("callsAreCollected", `${key} waits in exchange ${replica.number} of ${cell.id}`);
      }
    }
  }
}

/** The collector has all that any other one has. */
function hasAll({ living, world }: Cluster, collector: Cell): void {
  const { ledger } = collector.disk;
  for (const { disk } of living) {
    for (const [key, { record }] of disk.ledger.rows) {
      const known = ledger.rows.get(key)?.record;
      if (known === undefined || Number(known[5]) < Number(record[5])) {
        world.violated("callsAreCollected", `${key} is in ${disk.ledger.name}, and not in ${ledger.name}`);
      }
    }
  }
}

function callsAreNoted(story: Story, collector: Cell): void {
  const { cluster } = story;
  const records = new Map<string, Call[]>();
  for (const [key, { record }] of collector.disk.ledger.rows) {
    const read = recordOf(record);
    const callId = key.slice(0, key.indexOf(" "));
    if (isParseError(read) || read.kind !== "call" || read.value === undefined) {
      cluster.world.violated("callsAreNoted", `no record: ${JSON.stringify(record)}`);
    } else records.set(callId, [...(records.get(callId) ?? []), read.value]);
  }
  for (const phone of cluster.phones) {
    for (const call of phone.outgoing) {
      const [record, ...more] = records.get(call.callId) ?? [];
      const wrong = more.length > 0 ? `has ${more.length + 1} records` : whatIsWrong(call, record);
      if (wrong === undefined || (record === undefined && isStanding(cluster, call)) || isExcused(story, phone, call, record)) continue;
      cluster.world.violated(
        "callsAreNoted",
        `${call.callId} (${call.outcome} at ${call.outcomeAt} ms): ${wrong}: ${JSON.stringify(record)}`,
      );
    }
  }
}

/** Nobody has said that it is over: it is until its dialog's lifetime ends. */
function isStanding({ living }: Cluster, { callId }: OutgoingCall): boolean {
  const replicas = living.flatMap((cell) => cell.replicas);
  return replicas.some(({ exchange }) => [...exchange.store.records("dialog")].some(({ value }) => value.callId === callId));
}

function whatIsWrong({ finalStatuses, plan }: OutgoingCall, record: Call | undefined): string | undefined {
  // Its caller has given up before he was known, or a gateway has refused it, because no exchange could be reached.
  if (record === undefined) return finalStatuses.every((status) => status === 503) ? undefined : "has no record";
  const { start, ring = start, answer = ring, end, status, callee } = record;
  if (!(start <= ring && ring <= answer && answer <= end)) return "has times out of order";
  if (callee !== `${plan.callee}@example.test`) return `is said to be of ${callee}`;
  // Its caller has ended it by himself, or what was said last has not come to him.
  const isTold = finalStatuses.length === 0 || finalStatuses.includes(status);
  return isTold ? undefined : `is said to have ended with ${status}`;
}

function isExcused(story: Story, phone: Phone, call: OutgoingCall, record: Call | undefined): boolean {
  const { startedAt, endedAt, outcomeAt } = call;
  const { cluster } = story;
  const until = Math.max(endedAt ?? 0, outcomeAt);
  const callee = cluster.phones.find(({ user }) => user === call.plan.callee);
  return story.pardons.grant({
    // The exchange of its callee has had it in hand, and notes it.
    "both cells died before a disk had it": () =>
      [phone, callee].some((each) => each !== undefined && bothDied(story, each, startedAt - 500, until + collectedMs)),
    // A refusal waits for nobody, and what its cell has not told the other one ends with it.
    "who refused it died before anybody knew": () => record === undefined && diedWithItsRefusal(story, call),
    // The exchange has refused it, and its line could not hear that: it has said 503 by itself.
    "its line heard its own cell only": () =>
      (record?.status ?? 0) >= 300 && call.outcome === 503 && isLineUnreachable(story, phone, startedAt, outcomeAt),
    // Its callee has answered the INVITE that was said first, and its caller has hung up. That counts, and not how the second one ended.
    "the other replica asked for its password again": () => record?.status === 200 && wasAskedAgain(story, call),
    // The caller has hung up, and was refused by a cell that did not know his INVITE. The one that knew it has heard of his CANCEL only.
    "the replica that passes it has not heard of the other answer": () =>
      record?.status === 487 && call.wasCancelled && call.outcome === 486 && wasCutApart(story, outcomeAt),
    "two faults of cells at a time": () => record === undefined && isDouble(story, startedAt - 500, until, [phone, callee]),
  });
}
