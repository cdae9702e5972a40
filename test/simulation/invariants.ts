import { exchangeOf } from "../../sip/placement/cluster-map.ts";
import { serializeRecord } from "../../sip/record/record-text.ts";
import { recordKinds } from "../../sip/record/values.ts";
import type { LiveRecord } from "../../sip/record/state-record.ts";
import type { Cell } from "./cell.ts";
import type { OutgoingCall } from "./call.ts";
import type { Cluster } from "./cluster.ts";
import type { Phone } from "./phone.ts";
import type { Story } from "./simulate.ts";

/** What must be true when all is quiet: the faults are over, and everybody has had the time to notice. */
export function checkAtTheEnd(story: Story): void {
  replicasAreEqual(story);
  registrationsAreKept(story);
  unregisteredStayAway(story);
  callsAreAnswered(story);
  callsAreEnded(story);
  nobodyRingsTwice(story);
  oneFinalAnswer(story);
}

/** What one replica holds of an address-of-record. */
function bindingsOf(cell: Cell, phone: Phone): LiveRecord<"binding">[] {
  const { map } = cell.cluster;
  const replica = cell.replica(exchangeOf(map, phone.addressOfRecord));
  return replica.exchange.store
    .bindingsOf(phone.addressOfRecord)
    .filter((record): record is LiveRecord<"binding"> => record.value !== undefined && record.value.contact === phone.contact);
}

/** Both replicas of every exchange hold the same live records, and serve together. */
function replicasAreEqual({ cluster }: Story): void {
  const [one, other] = cluster.cells;
  if (one === undefined || other === undefined) return;
  for (let exchange = 0; exchange < cluster.map.exchangeCount; exchange += 1) {
    const [first, second] = [one.replica(exchange), other.replica(exchange)];
    if (first.state !== "together" || second.state !== "together") {
      cluster.world.violated("replicasAreEqual", `exchange ${exchange} is ${first.state} in ${one.id} and ${second.state} in ${other.id}`);
    }
    for (const kind of recordKinds) {
      const left = new Map(Array.from(first.exchange.store.records(kind), (record) => [record.key, serializeRecord(record)]));
      const right = new Map(Array.from(second.exchange.store.records(kind), (record) => [record.key, serializeRecord(record)]));
      for (const key of new Set([...left.keys(), ...right.keys()])) {
        if (left.get(key) === right.get(key)) continue;
        const held = [first, second].map((each) => JSON.stringify(each.exchange.store.get(kind, key)));
        cluster.world.violated("replicasAreEqual", `exchange ${exchange}: ${kind} ${key}: a has ${held[0]}, b has ${held[1]}`);
      }
    }
  }
}

/** A phone that got a 200 for its last REGISTER is registered in both replicas. */
function registrationsAreKept({ cluster, faults }: Story): void {
  for (const phone of cluster.phones) {
    const { acknowledged, isSettled, isFlowLost } = phone.registration;
    if (acknowledged?.isRegistered !== true || !isSettled || isFlowLost || acknowledged.expiresAt - 3_000 <= cluster.world.now) continue;
    // Two deaths before either disk knows are more than two places can bear.
    if (
      faults.filter(({ kind, from }) => kind.startsWith("crash") && !kind.includes("gateway") && from >= acknowledged.at - 500).length > 0
    )
      continue;
    for (const cell of cluster.cells) {
      const live = bindingsOf(cell, phone).some(({ value }) => value.expiresAt > cell.host.now && value.cSeq >= acknowledged.cSeq);
      if (!live) cluster.world.violated("registrationsAreKept", `${phone.host.name} (CSeq ${acknowledged.cSeq}) is unknown in ${cell.id}`);
    }
  }
}

/** A phone that got a 200 for taking itself off is in neither. */
function unregisteredStayAway({ cluster }: Story): void {
  for (const phone of cluster.phones) {
    const { acknowledged, isSettled } = phone.registration;
    if (acknowledged?.isRegistered !== false || !isSettled) continue;
    for (const cell of cluster.cells) {
      if (bindingsOf(cell, phone).length > 0) cluster.world.violated("unregisteredStayAway", `${phone.host.name} is back in ${cell.id}`);
    }
  }
}

/** Every caller has an answer, and it is one that the people, or an absent phone, explain. */
function callsAreAnswered(story: Story): void {
  for (const [phone, call] of callsOf(story.cluster)) {
    const { world } = story.cluster;
    const who = `${phone.host.name} to ${call.plan.callee} (${call.callId})`;
    if (call.outcome === undefined) world.violated("callsAreAnswered", `${who} has had no answer for ${world.now - call.startedAt} ms`);
    else if (!isExplained(story, call))
      world.violated("callsAreAnswered", `${who} ended with ${call.outcome}, planned: ${call.plan.manner}`);
  }
}

function isExplained({ cluster, faults }: Story, call: OutgoingCall): boolean {
  const { outcome, plan } = call;
  if (outcome === 200) return true;
  if (outcome === 486 && plan.manner === "is busy") return true;
  if (outcome === 487 && call.wasCancelled) return true;
  const callee = cluster.phones.find(({ user }) => user === plan.callee);
  if (outcome === 480 || outcome === 404) return callee?.registration.acknowledged?.isRegistered !== true || callee.hasBeenAway;
  return faults.some(({ from, until }) => from < call.outcomeAt && until + 35_000 > call.startedAt);
}

/** An established call ends with a BYE that is answered. */
function callsAreEnded({ cluster, faults }: Story): void {
  for (const [phone, call] of callsOf(cluster)) {
    const incoming = cluster.phones.map((each) => each.incoming.get(call.callId)).find((each) => each !== undefined);
    if (incoming?.state === "unacknowledged") {
      cluster.world.violated("callsAreEnded", `the 200 of ${call.callId} was never acknowledged (the caller has ${call.outcome})`);
    }
    for (const status of [call.byeStatus, incoming?.byeStatus]) {
      if (status === undefined || status === 200 || (status === 481 && (call.isEnded || incoming?.state === "ended"))) continue;
      if (faults.length > 0 && status === 481 && incoming?.state === "unacknowledged") continue;
      cluster.world.violated("callsAreEnded", `BYE of ${call.callId} got ${status}`);
    }
    if (call.outcome !== 200 || call.isOver) continue;
    cluster.world.violated("callsAreEnded", `${call.callId} of ${phone.host.name} is still going on`);
  }
}

/** For a person a call rings once. */
function nobodyRingsTwice({ cluster }: Story): void {
  for (const phone of cluster.phones) {
    for (const [callId, call] of phone.incoming) {
      if (call.rings > 1) cluster.world.violated("nobodyRingsTwice", `${phone.host.name} rings ${call.rings} times for ${callId}`);
    }
  }
}

/** No INVITE gets two final answers. */
function oneFinalAnswer({ cluster }: Story): void {
  for (const [phone, call] of callsOf(cluster)) {
    if (call.finalStatuses.length > 1) {
      cluster.world.violated("oneFinalAnswer", `${phone.host.name} got ${call.finalStatuses.join(" and ")} for ${call.callId}`);
    }
  }
}

/** When all is quiet every call succeeds. */
export function checkProbes({ cluster }: Story, before: readonly number[]): void {
  for (const [index, phone] of cluster.phones.entries()) {
    for (const call of phone.outgoing.slice(before[index])) {
      const callee = cluster.phones.find(({ user }) => user === call.plan.callee);
      const isThere = callee?.registration.acknowledged?.isRegistered === true && callee.registration.isWanted;
      const wanted = isThere ? 200 : 404;
      if (call.outcome === wanted && call.isOver) continue;
      if (!isThere && callee?.registration.isSettled !== true) continue;
      cluster.world.violated(
        "callsSucceedWhenQuiet",
        `${call.callId} to ${call.plan.callee} ended with ${call.outcome}, BYE ${call.byeStatus}`,
      );
    }
  }
}

/** Nothing is left but registrations. */
export function checkEmpty({ cluster }: Story): void {
  for (const { host, octetsHeld } of cluster.gateways) {
    if (octetsHeld > 0) cluster.world.violated("nothingIsLeft", `${host.name} holds ${octetsHeld} octets`);
  }
  for (const cell of cluster.cells) {
    for (const replica of cell.replicas) {
      const { transactions, dialogs } = replica.exchange.counts(cell.host.now);
      const invites = replica.exchange.store.count("invite");
      if (transactions + dialogs + invites === 0 && replica.isIdle) continue;
      const held = `${transactions} transactions, ${dialogs} dialogs, ${invites} invites, ${replica.isIdle ? "idle" : "busy"}`;
      cluster.world.violated("nothingIsLeft", `exchange ${replica.number} in ${cell.id} holds ${held}`);
    }
    for (const line of cell.lines) if (!line.isIdle) cluster.world.violated("nothingIsLeft", `line ${line.access} holds records`);
  }
}

function* callsOf({ phones }: Cluster): IterableIterator<[Phone, OutgoingCall]> {
  for (const phone of phones) for (const call of phone.outgoing) yield [phone, call];
}
