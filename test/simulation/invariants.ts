import { timerCLateMs, timerCMs } from "../../sip/limits.ts";
import { exchangeOf } from "../../cluster/map/cluster-map.ts";
import { kinds, recordKinds } from "../../sip/record/record-kinds.ts";
import { serializeRecord } from "../../sip/record/record-text.ts";
import type { LiveRecord } from "../../sip/record/state-record.ts";
import type { RecordKind } from "../../sip/record/values.ts";
import type { OutgoingCall } from "./call.ts";
import type { IncomingCall } from "./incoming-call.ts";
import type { Cell } from "./cell.ts";
import type { Cluster } from "./cluster.ts";
import {
  afterMs,
  areAllCrashed,
  bothDied,
  cameBackUnheard,
  cameBackInVain,
  diedWithItsCell,
  diedWithItsRefusal,
  earlyMsMax,
  endedInACrash,
  flushedMs,
  isDouble,
  isEndless,
  isLineUnreachable,
  isRegistrationLost,
  isUnasked,
  lostAllCopies,
  wasAskedAgain,
  wasAway,
  wasCutOff,
  wasDisturbed,
  wasDoubledApart,
  wasGivenUpLate,
  wasOutlived,
  wasOutlivedInProgress,
  wasOutlivedOnTheMove,
  wasRainedOn,
  wereOutOfReach,
} from "./excuses.ts";
import type { Pleas } from "./pardons.ts";
import { isAnsweredLate } from "./second-answers.ts";
import type { Phone } from "./phone.ts";
import type { Replica } from "./replica.ts";
import type { Story } from "./simulate.ts";

/** RFC 3261: 64*T1. */
const transactionMs = 32_000;
/** From the first copy of a REGISTER to the one that is answered. */
const registeringMs = transactionMs;
/** Clocks are fast by up to 10 s a day, and by up to 2 s where one takes over from another. */
const clockErrorMs = 2_100;
/** What the end of a wait is: the answer is on its way for so long. */
const lastMomentMs = 500;

/** What must be true when all is quiet: the faults are over, and everybody has had the time to notice. */
export function checkAtTheEnd(story: Story): void {
  replicasAreEqual(story);
  futureIsKept(story);
  registrationsAreKept(story);
  registrationsEndInTime(story);
  unregisteredStayAway(story);
  callsAreAnswered(story);
  nobodyRingsForEver(story);
  callsAreEnded(story);
  requestsInCallsAreAnswered(story);
  nobodyRingsTwice(story);
  oneFinalAnswer(story);
  orderIsKept(story);
}

/** Something is wrong, unless one of these excuses it. */
function accuse({ cluster, pardons }: Story, invariant: string, detail: string, pleas: Pleas): void {
  if (!pardons.grant(pleas)) cluster.world.violated(invariant, detail);
}

/** Both replicas of every exchange hold the same live records, and serve together. */
function replicasAreEqual({ cluster }: Story): void {
  // A change of this very moment is on its way.
  for (let tries = 0; tries < 20 && differences(cluster).length > 0; tries += 1) cluster.world.runUntil(cluster.world.now + 20);
  for (const difference of differences(cluster)) cluster.world.violated("replicasAreEqual", difference);
}

function differences(cluster: Cluster): string[] {
  const found: string[] = [];
  for (let exchange = 0; exchange < cluster.map.exchangeCount; exchange += 1) {
    const [one, other] = cluster.pairOf(exchange);
    if (one === undefined || other === undefined) continue;
    if (one.isLost || other.isLost) {
      found.push(`exchange ${exchange} is in ${one.id} and ${other.id}, and one of them has died for good`);
      continue;
    }
    const [first, second] = [one.replica(exchange), other.replica(exchange)];
    if (first.state !== "together" || second.state !== "together") {
      found.push(`exchange ${exchange} is ${first.state} in ${one.id} and ${second.state} in ${other.id}`);
    }
    // Each forgets at its own time what has ended by the wall clock: compared is what neither may have forgotten.
    const wall = Math.max(one.host.wall, other.host.wall);
    for (const kind of recordKinds) {
      const [left, right] = [textsOf(first, kind, wall), textsOf(second, kind, wall)];
      for (const key of new Set([...left.keys(), ...right.keys()])) {
        if (left.get(key) === right.get(key)) continue;
        const held = [first, second].map((each) => JSON.stringify(each.exchange.store.get(kind, key)));
        found.push(`exchange ${exchange}: ${kind} ${key}: ${one.id} has ${held[0]}, ${other.id} has ${held[1]}`);
      }
    }
  }
  return found;
}

/** What this version cannot read is carried, from disk to disk, for the one that can. */
function futureIsKept({ cluster }: Story): void {
  for (const { kind, key, value } of cluster.fromTheFuture) {
    for (const cell of cluster.pairOf(0)) {
      const held = cell.replica(0).exchange.store.get(kind, key);
      if (JSON.stringify(held?.value) !== JSON.stringify(value)) cluster.world.violated("futureIsKept", `${key} is not in ${cell.id}`);
    }
    cluster.moments.reached("a record of a later version is carried");
  }
}

/** What it holds of a kind that is not over at this time. */
function textsOf({ exchange }: Replica, kind: RecordKind, wall: number): ReadonlyMap<string, string> {
  const texts = new Map<string, string>();
  for (const record of exchange.store.records(kind))
    if (kinds[kind].forgottenAt(record) > wall) texts.set(record.key, serializeRecord(record));
  return texts;
}

/** A phone that got a 200 for its last REGISTER is registered in both replicas. */
function registrationsAreKept(story: Story): void {
  const { cluster } = story;
  for (const phone of cluster.phones) {
    const { acknowledged, isSettled, isFlowLost } = phone.registration;
    if (acknowledged?.isRegistered !== true || !isSettled || isFlowLost || acknowledged.expiresAt - 3_000 <= cluster.world.now) continue;
    for (const cell of cluster.pairOf(phone.addressOfRecord)) {
      const isKnown = bindingsOf(cell, phone).some(({ value }) => value.expiresAt > cell.host.wall && value.cSeq >= acknowledged.cSeq);
      if (isKnown) continue;
      accuse(story, "registrationsAreKept", `${phone.host.name} (CSeq ${acknowledged.cSeq}) is unknown in ${cell.id}`, {
        "both cells died before a disk had it": () => bothDied(story, phone, acknowledged.at - 500, acknowledged.at + flushedMs),
      });
    }
  }
}

/**
 * The same some seconds after a cell fell silent, before a refresh mends what is missing: whoever serves then knows each phone that was told so. Not
 * softphones at cells, which have lost their connections.
 */
export function checkAfterSilence(story: Story): void {
  const { cluster } = story;
  for (const phone of cluster.phones) {
    const { acknowledged, isSettled, isFlowLost } = phone.registration;
    if (phone.transport === "WS" || acknowledged?.isRegistered !== true || !isSettled || isFlowLost) continue;
    const exchange = exchangeOf(cluster.map, phone.addressOfRecord);
    for (const cell of cluster.pairOf(exchange)) {
      if (cell.host.state !== "up" || cell.awake(exchange)?.isServing !== true) continue;
      if (bindingsOf(cell, phone).some(({ value }) => value.cSeq >= acknowledged.cSeq)) continue;
      accuse(story, "registrationsAreKept", `${phone.host.name} (CSeq ${acknowledged.cSeq}) is not known in ${cell.id} any more`, {
        "both cells died before a disk had it": () => bothDied(story, phone, acknowledged.at - 500, acknowledged.at + flushedMs),
      });
    }
  }
}

/** Others have what a lost cell had: each exchange has two replicas that know the same. */
export function checkHealed(story: Story): void {
  const { cluster } = story;
  cluster.moments.reached("a group has healed itself");
  for (let exchange = 0; exchange < cluster.map.exchangeCount; exchange += 1) {
    for (const cell of cluster.pairOf(exchange)) {
      const state = cell.host.state === "up" ? cell.awake(exchange)?.state : cell.host.state;
      // One that sleeps has been told, or nothing was to be told.
      if (state !== undefined && state !== "together")
        cluster.world.violated("groupsHeal", `exchange ${exchange} is ${state} in ${cell.id}`);
    }
  }
  checkAfterSilence(story);
}

/** No phone is registered for longer than its last 200 said, whatever has died or slept meanwhile. */
function registrationsEndInTime({ cluster }: Story): void {
  for (const phone of cluster.phones) {
    const { acknowledged, isSettled } = phone.registration;
    if (acknowledged?.isRegistered !== true || !isSettled) continue;
    for (const cell of cluster.pairOf(phone.addressOfRecord)) {
      for (const { value } of bindingsOf(cell, phone)) {
        const lateMs = value.expiresAt - cell.host.wall - (acknowledged.expiresAt - cluster.world.now);
        if (lateMs > registeringMs + clockErrorMs)
          cluster.world.violated("registrationsEndInTime", `${phone.host.name} is kept ${lateMs} ms too long in ${cell.id}`);
      }
    }
  }
}

/** A phone that got a 200 for taking itself off is in neither. */
function unregisteredStayAway(story: Story): void {
  const { cluster } = story;
  for (const phone of cluster.phones) {
    const { acknowledged, isSettled } = phone.registration;
    if (acknowledged?.isRegistered !== false || !isSettled) continue;
    for (const cell of cluster.pairOf(phone.addressOfRecord)) {
      if (bindingsOf(cell, phone).length === 0) continue;
      accuse(story, "unregisteredStayAway", `${phone.host.name} is back in ${cell.id}`, {
        "both cells died before a disk had it": () => bothDied(story, phone, acknowledged.at - 500, acknowledged.at + flushedMs),
      });
    }
  }
}

/** Every caller has an answer, and it is one that the people, or an absent phone, explain. */
function callsAreAnswered(story: Story): void {
  const { world } = story.cluster;
  for (const [phone, call] of callsOf(story.cluster)) {
    const { callId, outcome, plan, startedAt } = call;
    const who = `${phone.host.name} to ${plan.callee} (${callId})`;
    const [callee] = calleeOf(story.cluster, call);
    if (outcome === undefined) {
      accuse(story, "callsAreAnswered", `${who} has had no answer for ${world.now - startedAt} ms`, {
        "two faults of cells at a time": () => isDouble(story, startedAt, world.now, [phone, callee]),
        "its line died with the replica that had it": () => diedWithItsCell(story, phone, call),
        "it came back in vain to a connection": () => cameBackInVain(story, [phone], startedAt, world.now),
        "all copies were lost": () => lostAllCopies(story, phone, call),
        "its phone was cut off": () => phone.isReliable && wasCutOff(story, [phone], startedAt, world.now),
        // A softphone says its refusal once.
        "its line heard its own cell only": () => plan.manner === "is busy" && isLineUnreachable(story, callee, startedAt, world.now),
        "a clock went past the record of its INVITE": () => wasOutlivedInProgress(story, startedAt),
      });
    } else if (!isPlanned(story, call)) {
      accuse(story, "callsAreAnswered", `${who} ended with ${outcome}, planned: ${plan.manner}`, pleasFor(story, phone, call));
    }
  }
}

/** Needs no excuse. RFC 3261 16.8: Timer C is never early, but by what a step of a clock counts for. */
function isPlanned(story: Story, call: OutgoingCall): boolean {
  const { outcome, outcomeAt, plan, startedAt, wasCancelled } = call;
  const earliestMs = timerCMs - clockErrorMs - earlyMsMax(story, startedAt, outcomeAt);
  if (outcome === 487 && isEndless(call) && outcomeAt - startedAt >= earliestMs) return true;
  return outcome === 200 || (outcome === 486 && plan.manner === "is busy") || (outcome === 487 && wasCancelled);
}

/** RFC 3261 16.8: Timer C is late by so much at most, and its CANCEL is said for so long, however many cells have had the call in hand. */
function nobodyRingsForEver(story: Story): void {
  const { cluster } = story;
  for (const [, call] of callsOf(cluster)) {
    const [callee, incoming] = calleeOf(cluster, call);
    if (!isEndless(call) || incoming?.cancelledAt === undefined) continue;
    const { at, cancelledAt } = incoming;
    const lateMs = cancelledAt - at - timerCMs;
    if (lateMs <= timerCLateMs + transactionMs + clockErrorMs) continue;
    accuse(story, "nobodyRingsForEver", `${call.callId} was ended by Timer C ${lateMs} ms late`, {
      "the callee could not be called": () => wasAway(story, callee, at, cancelledAt),
      "two faults of cells at a time": () => isDouble(story, at, cancelledAt, [callee]),
    });
  }
}

/** What explains an outcome that nobody has planned. */
function pleasFor(story: Story, phone: Phone, call: OutgoingCall): Pleas {
  const { outcome, outcomeAt, startedAt, wasCancelled } = call;
  const [callee] = calleeOf(story.cluster, call);
  if (outcome === 480 || outcome === 404) {
    // It is waited for: that it was away for a moment explains nothing.
    const from = Math.max(startedAt, outcomeAt - lastMomentMs);
    return {
      "both cells died before a disk had it": () => isRegistrationLost(story, callee, outcomeAt),
      "a clock went past its registration": () => wasOutlived(story, callee, startedAt, outcomeAt),
      "the callee could not be called": () => wasAway(story, callee, from, outcomeAt),
      "its line heard its own cell only": () => isLineUnreachable(story, callee, from, outcomeAt),
      "the callee came back in the cell that does not have the call": () => cameBackUnheard(story, callee, startedAt, outcomeAt),
      "the way was back before it was given up": () => wasGivenUpLate(story, callee, startedAt, outcomeAt),
      "two faults of cells at a time": () => isDouble(story, startedAt - afterMs, outcomeAt, [phone, callee]),
    };
  }
  // RFC 3261 9.1: nobody answers the CANCEL that a phone which has gone never got, be it Timer C's or its caller's.
  const isUnheard = outcome === 408 && (wasCancelled || isEndless(call));
  // With a third cell a line's own cell may have no replica of the exchange.
  const isUnreached = outcome === 408 || (outcome === 503 && story.cluster.cells.length > 2);
  const isHard = story.faults.some(
    ({ kind, target }) =>
      ["bad weather", "cut a phone off", "isolate a cell"].includes(kind) || kind.includes("gateway") || /\|g|g\d\|/.test(target),
  );
  return {
    "the callee could not be called": () => isUnheard && wasAway(story, callee, startedAt, outcomeAt),
    // The faults that a phone sees as silence, and those that leave nobody to answer.
    "the caller could not be reached": () => outcome === 408 && wasAway(story, phone, startedAt, outcomeAt),
    "its line heard its own cell only": () =>
      isUnreached && [phone, isUnheard ? callee : phone].some((each) => isLineUnreachable(story, each, startedAt, outcomeAt)),
    "nobody could be asked who the caller is": () => outcome === 503 && isUnasked(story, startedAt, outcomeAt),
    "the callee came back in the cell that does not have the call": () =>
      outcome === 408 && cameBackUnheard(story, callee, startedAt, outcomeAt),
    "two faults of cells at a time": () =>
      isDouble(story, startedAt - transactionMs, outcomeAt, [phone, callee]) ||
      (outcome === 408 && wasCancelled && wasDoubledApart(story, startedAt, outcomeAt)),
    "the silence of a fault": () => isHard && wasDisturbed(story, startedAt - transactionMs, outcomeAt),
  };
}

/** An established call is acknowledged, and ends with a BYE that is answered. */
function callsAreEnded(story: Story): void {
  const { cluster } = story;
  for (const [phone, call] of callsOf(cluster)) {
    const [, incoming] = calleeOf(cluster, call);
    const pleas = pleasWithin(story, phone, call);
    if (incoming?.state === "unacknowledged") {
      accuse(story, "callsAreEnded", `the 200 of ${call.callId} was never acknowledged (the caller has ${call.outcome})`, {
        ...pleas,
        // RFC 3261 9.2, 17.2.3: a later CANCEL has the same branch, and is answered by the same 481.
        "its CANCEL came before it, and counts once": () => call.wasCancelled && cluster.cancelsRefused.has(call.callId),
        "its line died with the replica that had it": () => diedWithItsCell(story, phone, call),
      });
    }
    for (const status of [call.byeStatus, incoming?.byeStatus]) {
      if (status === undefined || status === 200) continue;
      if (saysItIsOver(status) && (call.isEnded || incoming?.state === "ended" || incoming?.state === "unacknowledged")) continue;
      accuse(story, "callsAreEnded", `BYE of ${call.callId} got ${status}`, { ...pleas, ...pleasOfLoss(story, phone, call) });
    }
    if (call.outcome === 200 && !call.isOver) {
      accuse(story, "callsAreEnded", `${call.callId} of ${phone.host.name} is still going on`, {
        ...pleas,
        // Its callee has two calls, and takes what is said within one for the other.
        "the other replica asked for its password again": () => wasAskedAgain(story, call),
      });
    }
  }
}

/** RFC 3261 12.2.2, 22.3: who says something in a dialog that nobody has is asked for his password before he hears of it. */
function saysItIsOver(status: number): boolean {
  return status === 481 || status === 407;
}

/** What is said within this call may come to nothing. */
function pleasWithin(story: Story, phone: Phone, call: OutgoingCall): Pleas {
  const { now } = story.cluster.world;
  const { startedAt } = call;
  const [callee] = calleeOf(story.cluster, call);
  return {
    "a clock went past its registration": () => wasOutlivedOnTheMove(story, [phone, callee], startedAt),
    "two faults of cells at a time": () => isDouble(story, startedAt, now, [phone, callee]),
    "it came back in vain to a connection": () => cameBackInVain(story, [phone, callee], startedAt, now),
    "the callee could not be called": () => wasAway(story, callee, startedAt, now),
    "the caller could not be reached": () => wasAway(story, phone, startedAt, now),
    "its line heard its own cell only": () => [phone, callee].some((each) => isLineUnreachable(story, each, startedAt, now)),
    "the silence of a fault": () => wereOutOfReach(story, [phone, callee], startedAt, now),
  };
}

/** Requests within this call, or their answers, may have been lost on the last way to a phone. */
function pleasOfLoss(story: Story, phone: Phone, call: OutgoingCall): Pleas {
  const { now } = story.cluster.world;
  const [callee] = calleeOf(story.cluster, call);
  return {
    "its phone was cut off": () => wasCutOff(story, [phone, callee], call.startedAt, now),
    "its datagrams were lost": () => wasRainedOn(story, [phone, callee], call.startedAt, now),
  };
}

/** A re-INVITE or REFER within a call is done at the other side, as a BYE is; 500: it was overtaken; 481: that side has hung up meanwhile. */
function requestsInCallsAreAnswered(story: Story): void {
  const { cluster } = story;
  for (const [phone, call] of callsOf(cluster)) {
    const [callee, incoming] = calleeOf(cluster, call);
    const hasEnded = call.isEnded || incoming?.state === "ended";
    const wasOvertaken = cluster.overtaking.overtaken.some(({ what }) => what.startsWith(`${call.callId} `));
    const statuses = [call.reinviteStatus, call.referStatus, incoming?.reinviteStatus, incoming?.referStatus];
    for (const status of statuses) {
      if (status === undefined || status === 200 || (saysItIsOver(status) && hasEnded) || (status === 500 && wasOvertaken)) continue;
      // RFC 3261 14.1: glare.
      if (status === 491 && call.reinviteStatus !== undefined && incoming?.reinviteStatus !== undefined) continue;
      accuse(story, "requestsInCallsAreAnswered", `a request within ${call.callId} got ${status}`, {
        ...pleasWithin(story, phone, call),
        ...pleasOfLoss(story, phone, call),
        // It, or its answer, was written to a connection that is half open: the phone has taken another network meanwhile, and ended the call.
        "a phone has moved, and hung up": () =>
          (status === 0 || status === 408) &&
          hasEnded &&
          [phone, callee].some((each) => each?.isReliable === true && (each.movedAt ?? 0) > call.startedAt),
      });
    }
  }
}

/** For a person a call rings once. */
function nobodyRingsTwice(story: Story): void {
  const { cluster } = story;
  // Nobody is left who knows that it has rung.
  if (story.faults.some(areAllCrashed)) return;
  for (const phone of cluster.phones) {
    for (const [callId, call] of phone.incoming) {
      if (call.rings > 1) cluster.world.violated("nobodyRingsTwice", `${phone.host.name} rings ${call.rings} times for ${callId}`);
    }
  }
  for (const [, call] of callsOf(cluster)) {
    if (!cluster.invitedAnew.has(call.callId)) continue;
    accuse(story, "nobodyRingsTwice", `${call.plan.callee} rings for two INVITEs of ${call.callId}`, {
      "the other replica asked for its password again": () => wasAskedAgain(story, call),
    });
  }
}

/** No INVITE gets two final answers. */
function oneFinalAnswer(story: Story): void {
  const { cluster } = story;
  // Datagrams that come when nobody is left who has answered them make the call anew.
  if (story.faults.some(areAllCrashed)) return;
  const isOneAddress = new Set(cluster.gateways.map(({ address }) => address)).size === 1;
  for (const [phone, call] of callsOf(cluster)) {
    // While no cell is there a gateway refuses by itself, without state: not what the other gateway holds, or comes when a cell is back.
    const [callee] = calleeOf(cluster, call);
    const wasDouble = isDouble(story, call.startedAt, cluster.world.now, [phone, callee]);
    const statuses =
      isOneAddress && !wasDouble ? call.finalStatuses : call.finalStatuses.filter((status) => status !== 503 && status !== 482);
    if (statuses.length < 2) continue;
    accuse(story, "oneFinalAnswer", `${phone.host.name} got ${call.finalStatuses.join(" and ")} for ${call.callId}`, {
      // A replica that stood still does not know what the other one, which had lost its memory, let pass: its caller has had the answer long ago.
      "two faults of cells at a time": () => wasDouble && statuses.slice(1).every((status) => status >= 300),
      "the replica that passes it has not heard of the other answer": () => isAnsweredLate(story, call),
      "who refused it died before anybody knew": () => diedWithItsRefusal(story, call),
    });
  }
}

/** Requests of one dialog overtake each other as datagrams, and where a way has failed that one of them was on. */
function orderIsKept(story: Story): void {
  for (const { what, isByDatagram, from, until } of story.cluster.overtaking.overtaken) {
    if (isByDatagram) continue;
    accuse(story, "orderIsKept", `${what} was overtaken`, { "a way has failed on which one was": () => wasDisturbed(story, from, until) });
  }
}

/** Nothing is left but registrations. */
export function checkEmpty(story: Story): void {
  const { cluster } = story;
  const isAny = (may: (phone: Phone, call: OutgoingCall) => boolean): boolean =>
    [...callsOf(cluster)].some(([phone, call]) => may(phone, call));
  const pleas: Pleas = {
    "two faults of cells at a time": () => isDouble(story, 0, cluster.world.now),
    "its line died with the replica that had it": () => isAny((phone, call) => diedWithItsCell(story, phone, call)),
    "its end was never heard": () => isAny((phone, call) => isCutShort(story, phone, call)),
  };
  for (const { host, octetsHeld } of cluster.gateways) {
    if (octetsHeld > 0) cluster.world.violated("nothingIsLeft", `${host.name} holds ${octetsHeld} octets`);
  }
  for (const cell of cluster.living) {
    for (const replica of cell.replicas) {
      if (replica.state === "none" || replica.state === "joining") continue;
      const { transactions, dialogs } = replica.counts;
      const invites = replica.exchange.store.count("invite");
      const isBusy = transactions > 0 || !replica.isIdle;
      if (!isBusy && dialogs + invites === 0) continue;
      const keys = Array.from(replica.exchange.store.records("dialog"), ({ key }) => key).join(", ");
      const all = `${transactions} transactions, ${dialogs} dialogs (${keys}), ${invites} invites, ${replica.isIdle ? "idle" : "busy"}`;
      accuse(story, "nothingIsLeft", `exchange ${replica.number} in ${cell.id} holds ${all}`, isBusy ? {} : pleas);
    }
    for (const line of cell.lines)
      if ((line.awake?.octetsHeld ?? 0) > 0) cluster.world.violated("nothingIsLeft", `line ${line.access} holds records`);
  }
}

/** Its end was never heard: a phone could not say BYE to anybody. */
function isCutShort(story: Story, phone: Phone, call: OutgoingCall): boolean {
  const { cluster } = story;
  const [callee, incoming] = calleeOf(cluster, call);
  const isRefused = call.byeStatus === 503 || incoming?.byeStatus === 503;
  if (isRefused && wereOutOfReach(story, [phone, callee], call.startedAt, cluster.world.now)) return true;
  // Its line could reach no cell that has the call.
  if (call.byeStatus === 503 && isLineUnreachable(story, phone, call.startedAt, cluster.world.now)) return true;
  if (incoming?.state === "unacknowledged" || endedInACrash(story, call, incoming)) return true;
  return [call.byeStatus, incoming?.byeStatus].some((status) => status === 408) || (call.outcome === 200 && !call.isOver);
}

/** What one replica holds of a phone. */
function bindingsOf(cell: Cell, phone: Phone): LiveRecord<"binding">[] {
  const { map } = cell.cluster;
  const replica = cell.replica(exchangeOf(map, phone.addressOfRecord));
  return replica.exchange.store
    .bindingsOf(phone.addressOfRecord)
    .filter((record): record is LiveRecord<"binding"> => record.value !== undefined && record.value.contact === phone.contact);
}

function calleeOf({ phones }: Cluster, call: OutgoingCall): [Phone | undefined, IncomingCall | undefined] {
  const callee = phones.find(({ user }) => user === call.plan.callee);
  return [callee, callee?.incoming.get(call.callId)];
}

function* callsOf({ phones }: Cluster): IterableIterator<[Phone, OutgoingCall]> {
  for (const phone of phones) for (const call of phone.outgoing) yield [phone, call];
}
