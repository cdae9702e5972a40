import { phoneReturnMs, unprovenCopies } from "../../sip/limits.ts";
import { frameAnswerMsMax } from "../../actors/limits.ts";
import { countedMsMax } from "../../cluster/limits.ts";
import type { OutgoingCall } from "./call.ts";
import type { Cluster } from "./cluster.ts";
import { unwrittenMsMax } from "./cell-disk.ts";
import type { IncomingCall } from "./incoming-call.ts";
import type { Phone } from "./phone.ts";
import type { Fault } from "./faults.ts";
import type { Story } from "./simulate.ts";

/** What is no fault of the cluster: more died than two places can bear, or a phone could not be reached. True times. */

/** So many cells heal themselves when one of them is lost, and most faults do not befall who serves a phone. */
const manyCells = 4;
/** A phone on a connection takes so long to find out that nobody is at its other end. */
const noticeMs = 11_000;
/** From a change until it is on both disks, ms: flushMs and the way there. */
export const flushedMs = 1_500;
/** A change is on its way to the other replica, or an answer to its phone. */
const untoldMs = 50;
/** The end of a gateway is no news any more. */
const deathNoticedMs = 500;
/** An exchange that has an INVITE in hand has had an event. */
const rewrittenMs = 2_000;
/** What the end of a wait is: the answer is on its way for so long. */
const lastMomentMs = 500;
/** Everybody has noticed a fault, or its end. */
export const afterMs = 5_000;
/** A cell is gone for good, and others have all that it had: it is waited for, replaced, and copies are made. */
export const healedMs = 12_000;

/** All cells have died at once. */
export function areAllCrashed({ kind }: Fault): boolean {
  return kind.startsWith("crash both cells");
}

/** One cell has died, at {@link deathOf}. */
export function isDeathOfCell({ kind }: Fault): boolean {
  return /^(?:crash a cell|freeze and crash a cell|crash the coordinator|lose a cell)/.test(kind);
}

/** Something has died, be it after it stood still. */
function isDeath(fault: Fault): boolean {
  return fault.kind.startsWith("crash") || isDeathOfCell(fault);
}

function deathOf({ from, diesAt = from }: Fault): number {
  return diesAt;
}

/** A cell could not be heard by the other one, or by anybody, and did not die of it at once. */
export function isSilenceOfCell({ kind }: Fault): boolean {
  return /^freeze (?:and crash )?a cell|^freeze the coordinator|^cut (?:between|the|two) cells|^isolate a cell/.test(kind);
}

/**
 * The memories of both cells that know a phone were lost within this time, or later and with what their disks had of it. Or a disk has lost what only that
 * cell knew, because it could not tell the other one.
 */
export function bothDied({ cluster, faults }: Story, { addressOfRecord }: Phone, from: number, until: number): boolean {
  const hasLost = (id: string, isDiskOnly: boolean): boolean =>
    faults.some((fault) => {
      const isMine = areAllCrashed(fault) || (isDeathOfCell(fault) && fault.target === id);
      const unwrittenMs = unwrittenMsOf(fault);
      return isMine && (!isDiskOnly || unwrittenMs > 0) && deathOf(fault) >= from && fault.from <= until + unwrittenMs;
    });
  const pairs = cluster.pairsOf(addressOfRecord, from, until);
  if (pairs.some((pair) => pair.every((id) => hasLost(id, false)))) return true;
  if (pairs.some((pair) => bothAreLost(faults, pair, until))) return true;
  const hadNoPeer = faults.some(
    (fault) => isOfCells(fault) && unwrittenMsOf(fault) === 0 && fault.from <= until && fault.until + afterMs >= from,
  );
  return hadNoPeer && pairs.some((pair) => pair.some((id) => hasLost(id, true)));
}

/** What it had written may be as old as this, and is lost with it all the same. */
function unwrittenMsOf({ kind }: Fault): number {
  if (kind === "lose a cell for good") return healedMs;
  return kind.includes("last writes") ? unwrittenMsMax : 0;
}

/** Both have died, one of them at least for good, before anybody else was told what they had. */
function bothAreLost(faults: readonly Fault[], pair: readonly string[], from: number): boolean {
  const lost = faults.filter((fault) => isLoss(fault) && pair.includes(fault.target) && fault.from >= from - healedMs);
  return lost.some((one) => lost.some((other) => other.target !== one.target && Math.abs(other.from - one.from) <= healedMs));
}

/** A cell has died that others are to replace. */
function isLoss({ kind }: Fault): boolean {
  return kind.startsWith("lose a cell");
}

/** What was registered last was in no memory any more, and on no disk. */
export function isRegistrationLost(story: Story, phone: Phone | undefined, at: number): boolean {
  const last = phone?.registration.registeredAt.findLast((each) => each <= at);
  return phone !== undefined && last !== undefined && bothDied(story, phone, last - lastMomentMs, Math.min(last + flushedMs, at));
}

/** What only one replica has died with: all of it, where the other one could not be told. */
function diedAlone({ kind }: Fault): boolean {
  return kind === "start a cell as another version";
}

/** What befell the memory of a replica, or its ways to the other one. */
function isOfCells({ kind }: Fault): boolean {
  return kind.includes("cell") || kind.includes("coordinator in a move") || kind === "reset an exchange" || kind === "refuse a write";
}

/**
 * Two faults of cells at a time, or one after the other before all was well again: state may have been in no living memory. `phones`: only cells count
 * that served one of these, where there are many.
 */
export function isDouble({ cluster, faults }: Story, from: number, until: number, phones?: readonly (Phone | undefined)[]): boolean {
  const isConcerned = concernedBy(cluster, from, until, phones);
  const ofCells = faults.filter((fault) => isOfCells(fault) && isConcerned(fault)).flatMap((fault) => troubles(cluster, fault));
  const isNear = (fault: Fault): boolean => fault.from <= until && fault.until + afterMs >= from;
  return ofCells.some((one, index) =>
    ofCells.some((other, at) => {
      if (areAllCrashed(one) || diedAlone(one)) return isNear(one);
      return at > index && one.from < other.until + afterMs && other.from < one.until + afterMs && (isNear(one) || isNear(other));
    }),
  );
}

/** A cell was lost, and nothing else befell any cell until others had what it had. */
export function isAloneUntilHealed({ faults }: Story, loss: Fault): boolean {
  const until = loss.from + healedMs;
  if (loss.target === "nobody" || loss.until < until) return false;
  return faults.every((fault) => fault === loss || !isOfCells(fault) || fault.from > until || fault.until + afterMs < loss.from);
}

/** When a fault is one: a cell that is replaced is missed until then, and once more for a moment when it is back. */
function troubles(cluster: Cluster, fault: Fault): Fault[] {
  if (!isLoss(fault) || cluster.cells.length < manyCells) return [fault];
  const missed = { ...fault, until: fault.from + healedMs };
  return fault.until <= missed.until ? [missed] : [missed, { ...fault, from: fault.until }];
}

/** Which faults befell a cell that served one of these phones. A softphone at a cell may have been at any of them. */
function concernedBy(
  cluster: Cluster,
  from: number,
  until: number,
  phones: readonly (Phone | undefined)[] | undefined,
): (fault: Fault) => boolean {
  const isAny = phones === undefined || phones.some((phone) => phone === undefined || phone.transport === "WS");
  if (isAny || cluster.cells.length < manyCells) return () => true;
  const pairs = phones.flatMap((phone) => (phone === undefined ? [] : cluster.pairsOf(phone.addressOfRecord, from - healedMs, until)));
  const cells = new Set(pairs.flat());
  return ({ target }) => target.startsWith("all cells") || target.split(/[^a-z0-9]+/).some((id) => cells.has(id));
}

/** The phone could not be called at some moment of this time. */
export function wasAway(story: Story, phone: Phone | undefined, from: number, until: number): boolean {
  if (phone === undefined) return true;
  const isSilent = story.faults.some(({ kind }) => !kind.startsWith("crash"));
  const { absences } = phone.registration;
  if (absences.some((absence) => absence.from - noticeMs <= until && absence.until + lastMomentMs >= from)) return true;
  return phone.registration.outages.some((outage) => outage.from - (isSilent ? noticeMs : 0) <= until && outage.until >= from);
}

/**
 * Softphones on a cell that is frozen, or cut off from the other one, hear from exchanges of their own cell only: there is no way round by a
 * gateway.
 */
export function isLineUnreachable({ faults }: Story, phone: Phone | undefined, from: number, until: number): boolean {
  if (phone?.transport !== "WS") return false;
  return faults.some((fault) => {
    return isSilenceOfCell(fault) && fault.from <= until && fault.until + afterMs >= from;
  });
}

/** With a third cell the exchange that knows the caller's password may be in cells only that the call's cell cannot reach. */
export function isUnasked({ cluster, faults }: Story, startedAt: number, outcomeAt: number): boolean {
  if (cluster.cells.length < 3 || cluster.map.domains.every(({ auth }) => auth === "open")) return false;
  return faults.some((fault) => isSilenceOfCell(fault) && fault.from <= outcomeAt && fault.until + afterMs >= startedAt);
}

/** The callee has come back in one cell, and the call is in the other one, which could not hear of it while it was looked for. */
export function cameBackUnheard({ faults }: Story, callee: Phone | undefined, startedAt: number, outcomeAt: number): boolean {
  if (callee === undefined) return false;
  const { movedAt, registration } = callee;
  const { absences, outages } = registration;
  const backAt = [...absences, ...outages].map(({ until }) => until);
  if (movedAt !== undefined) backAt.push(movedAt);
  return faults.some((fault) => {
    const { from, until } = fault;
    return isSilenceOfCell(fault) && startedAt <= until && backAt.some((at) => at >= from && at <= Math.min(until, outcomeAt));
  });
}

/**
 * A call was on its way to a line when the other cell could not be reached, or to a gateway that died just then. It was given up when the way was there
 * again: its flow counts as one that has failed, and is not tried once more while its phone is waited for.
 */
export function wasGivenUpLate({ faults }: Story, phone: Phone | undefined, startedAt: number, outcomeAt: number): boolean {
  return faults.some((fault) => {
    const { kind, from, until } = fault;
    const isToLine = phone?.transport === "WS" && isSilenceOfCell(fault);
    const isToGateway = phone?.transport === "UDP" && kind === "crash a gateway" && Math.abs(startedAt - from) <= deathNoticedMs;
    const isUnderWay = isToLine ? startedAt >= from - afterMs && startedAt <= until : isToGateway;
    return isUnderWay && outcomeAt <= until + phoneReturnMs + frameAnswerMsMax;
  });
}

/**
 * The clocks of all cells were set forward while it rang. The replica that had it in hand wrote its record again, and the other one could not hear
 * that: for that one the INVITE was over by then. Or that stood still, or has hardly gone on, and the call has been taken over meanwhile.
 */
export function wasOutlivedInProgress({ faults }: Story, startedAt: number): boolean {
  const isNextTo = (stepAt: number): boolean =>
    faults.some((fault) => isOfCells(fault) && fault.until + afterMs >= stepAt && fault.from <= stepAt + rewrittenMs);
  return stepsForward({ faults }).some((at) => at >= startedAt && isNextTo(at));
}

/**
 * A nonce is good at the replica that made it (decision 0014). An INVITE that has reached its callee when its cell falls silent, and that the other one has
 * not heard of, is asked for a password there. Its phone says it anew, with another number.
 */
export function wasAskedAgain({ cluster, faults }: Story, { callId, startedAt, outcomeAt }: OutgoingCall): boolean {
  if (!cluster.invitedAnew.has(callId) || cluster.map.domains.every(({ auth }) => auth === "open")) return false;
  return faults.some((fault) => isOfCells(fault) && fault.from <= outcomeAt && fault.until + afterMs >= startedAt);
}

/**
 * Whoever refused it died before the other replica had been told, or its disk where it was alone. An INVITE that nobody knows to be over goes on, and
 * nobody waits for the pair to know of a refusal.
 */
export function diedWithItsRefusal({ faults }: Story, { finalStatuses, outcomeAt }: OutgoingCall): boolean {
  const isThen = (at: number, ms: number): boolean => at >= outcomeAt - untoldMs && at <= outcomeAt + ms;
  const isSuch = (fault: Fault): boolean => {
    if (diedAlone(fault)) return isThen(fault.from, flushedMs) || isThen(fault.until, flushedMs);
    return (isDeathOfCell(fault) || fault.kind === "reset an exchange") && isThen(fault.from, untoldMs);
  };
  return (finalStatuses[0] ?? 0) >= 300 && faults.some(isSuch);
}

/**
 * The call was set up by a softphone whose line, and the replica that had the call in hand, died before that could tell the other one: the
 * end of the line is the end of the call's only way back.
 */
export function diedWithItsCell({ faults }: Story, phone: Phone, call: OutgoingCall): boolean {
  return (
    phone.transport === "WS" &&
    faults.some((fault) => isDeath(fault) && call.startedAt >= fault.from - 100 && call.startedAt <= deathOf(fault) + 10)
  );
}

/** Nobody answers, and nobody hangs up: Timer C (RFC 3261 16.8) is to end it. */
export function isEndless({ plan }: OutgoingCall): boolean {
  return plan.manner === "lets ring" && plan.cancelMs === undefined;
}

/**
 * What an exchange sent to a gateway that was cut off from that cell comes back to it with the end of the backhaul, and there may be no other way to
 * the phone's connection by then but through the other replica. What a frozen gateway reads is written to connections whose phones have gone.
 * A datagram is said again.
 */
export function cameBackInVain({ faults }: Story, phones: readonly (Phone | undefined)[], from: number, until: number): boolean {
  return (
    phones.some((phone) => phone?.transport === "TCP" || phone?.transport === "WSS") &&
    faults.some((fault) => {
      const isSuch = ["freeze a gateway", "cut a gateway from a cell", "isolate a cell"].includes(fault.kind);
      return isSuch && fault.from <= until && fault.until + afterMs >= from;
    })
  );
}

/**
 * RFC 3261 26.3.2.4: who has shown no password, and has heard it ring, gets so many copies of a refusal, and repeats nothing. In bad weather one in some
 * hundred of those loses them all. So does who is cut off meanwhile, or whose gateway is cut off from the cell that refuses.
 */
export function lostAllCopies({ cluster, faults }: Story, phone: Phone, call: OutgoingCall): boolean {
  const isStormy = faults.some(({ kind, target, until }) => {
    return (kind === "bad weather" || (kind === "cut a phone off" && target === phone.host.name)) && until >= call.startedAt;
  });
  if (phone.isReliable || call.finalStatuses.length > 0) return false;
  const sent = cluster.refusalsSent.get(call.callId) ?? 0;
  const isOnItsWay = sent === 0 && call.plan.manner === "is busy" && faults.some((fault) => isGatewayCutOff(fault, call));
  return isOnItsWay || (isStormy && sent >= unprovenCopies);
}

/** When it was called; or when its callee refused it, for who cuts the cells in two cuts gateways off as well. */
function isGatewayCutOff(fault: Fault, { plan, startedAt }: OutgoingCall): boolean {
  const { kind, target, from, until } = fault;
  const isThen = (at: number): boolean => from <= at && until >= at;
  if (kind === "cut a gateway from a cell") return isThen(startedAt);
  return areCut(fault) && /\|g|g\d\|/.test(target) && isThen(startedAt + plan.ringMs);
}

/** A refusal, or the answer to its BYE, passed just before the replica died that let it pass: nobody waits for the pair to know of an end. */
export function endedInACrash({ faults }: Story, call: OutgoingCall, incoming: IncomingCall | undefined): boolean {
  const refusedAt = (call.outcome ?? 0) >= 300 ? call.outcomeAt : undefined;
  return faults.some(
    (fault) =>
      isDeath(fault) &&
      [call.endedAt, incoming?.endedAt, refusedAt].some((at) => at !== undefined && at > fault.from - 100 && at < deathOf(fault) + 50),
  );
}

/** Some fault was there, or had hardly gone, at some moment of this time. */
export function wasDisturbed({ faults }: Story, from: number, until: number): boolean {
  return faults.some((fault) => fault.from <= until && fault.until + afterMs >= from);
}

/** What was said to a phone on a connection while it was cut off is lost with that; what it said meanwhile as well. */
export function wasCutOff({ faults }: Story, phones: readonly (Phone | undefined)[], from: number, until: number): boolean {
  return faults.some((fault) => {
    const isIts = fault.kind === "cut a phone off" && phones.some((phone) => phone?.host.name === fault.target);
    return isIts && fault.from <= until && fault.until + afterMs >= from;
  });
}

/** Datagrams of one of these phones met bad weather, all copies of one of them perhaps. */
export function wasRainedOn({ faults }: Story, phones: readonly (Phone | undefined)[], from: number, until: number): boolean {
  return (
    phones.some((phone) => phone?.isReliable === false) &&
    faults.some((fault) => fault.kind === "bad weather" && fault.from <= until && fault.until + afterMs >= from)
  );
}

/**
 * The clocks of the cells were set forward past the end of the phone's registration, and both had not heard of it again when it was called. */
export function wasOutlived(story: Story, phone: Phone | undefined, startedAt: number, outcomeAt: number): boolean {
  const isHeard = (at: number): boolean => at <= startedAt && !wereApart(story, at, startedAt);
  return stepsForward(story).some(
    (from) => from <= outcomeAt && phone?.registration.registeredAt.some((at) => at > from && isHeard(at)) === false,
  );
}

/** The same of a phone that took another network within a call: only its registration says where it is now. */
export function wasOutlivedOnTheMove(story: Story, phones: readonly (Phone | undefined)[], startedAt: number): boolean {
  return stepsForward(story).some((from) => from >= startedAt) && phones.some((phone) => (phone?.movedAt ?? 0) > startedAt);
}

/** Cells were cut off from each other then. */
export function wasCutApart({ faults }: Story, at: number): boolean {
  return faults.some((fault) => areCut(fault) && fault.from <= at && fault.until + afterMs >= at);
}

/**
 * The exchanges were doubled while two cells were cut from each other. A CANCEL may come to the younger exchange in one of them, and its INVITE may be known in the
 * other one only: an elder is asked in the same cell.
 */
export function wasDoubledApart({ faults }: Story, from: number, until: number): boolean {
  const doublings = faults.filter(({ kind, from: at }) => kind === "double the exchanges" && at >= from && at <= until);
  return doublings.some(({ from: at }) => faults.some((fault) => areCut(fault) && fault.from <= at && fault.until + afterMs >= at));
}

/** Some gateway was cut off from both cells that serve one of these phones, and the other cells send nobody on. */
export function wereOutOfReach({ cluster, faults }: Story, phones: readonly (Phone | undefined)[], from: number, until: number): boolean {
  const pairs = phones.flatMap((phone) => (phone === undefined ? [] : cluster.pairsOf(phone.addressOfRecord, from, until)));
  return faults.some((fault) => {
    if (!areCut(fault) || fault.from > until || fault.until + afterMs < from) return false;
    const cuts = new Set(fault.target.split(" "));
    const isCut = (one: string, other: string): boolean => cuts.has(`${one}|${other}`) || cuts.has(`${other}|${one}`);
    return cluster.gateways.some(({ host }) => pairs.some((pair) => pair.every((cell) => isCut(host.name, cell))));
  });
}

/** Cells could not hear each other, and others may have heard both. */
export function areCut({ kind }: Fault): boolean {
  return (kind.startsWith("cut") && kind.includes("cells")) || kind === "isolate a cell";
}

/** One replica could not tell the other at some moment of this time. */
function wereApart({ faults }: Story, from: number, until: number): boolean {
  return faults.some((fault) => isOfCells(fault) && fault.from <= until && fault.until + afterMs >= from);
}

/** When the clocks of all cells were set forward. */
function stepsForward({ faults }: Pick<Story, "faults">): number[] {
  return faults.filter(({ stepMs = 0, target }) => stepMs > 0 && target.startsWith("all cells")).map(({ from }) => from);
}

/** By so much the clock of a cell was set forward within this time: a timer may ring early by {@link clockJumpMsMin}, or by as much as a standstill counts for. */
export function earlyMsMax({ cluster, faults }: Story, from: number, until: number): number {
  const wasSet = faults.some((fault) => (fault.stepMs ?? 0) > 0 && fault.from >= from && fault.from <= until);
  return wasSet ? countedMsMax(cluster.map.heartbeat) : 0;
}
