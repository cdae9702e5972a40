import { callTombstoneMs } from "../limits.ts";
import {
  alive,
  heldAt,
  isFields,
  isList,
  isNumber,
  isOptionalText,
  isSequence,
  isText,
  isTexts,
  isTime,
  listOf,
  trimmed,
} from "./fields.ts";
import type { Fields, List, Writable } from "./fields.ts";
import { asItCame, mergeCall, needsRowOfItsVersion, type KindDefinition } from "./kind-definition.ts";
import type { LiveRecord } from "./state-record.ts";
import type { Invite, InviteBranch, InviteTarget } from "./values.ts";

/** An INVITE in progress: its owner's last word counts, until it is over. Its key is that of its server transaction. */
export const inviteKind: KindDefinition<"invite"> = {
  tombstoneMs: callTombstoneMs,
  isOfCall: true,
  hasRowsWithPeer: false,
  textOf: textOfInvite,
  fieldsOf: fieldsOfInvite,
  read: inviteOf,
  merge: mergeCall,
  needsRow: needsRowOfItsVersion,
  forgottenAt: ({ value }) => value.expiresAt + callTombstoneMs,
  own: asItCame,
  sharing: asItCame,
};

function textOfInvite({ kind, key, version, value }: LiveRecord<"invite">): string {
  const { expiresAt, request, flow, responseFlow, lastStatus, lastResponse, recordRoute, attempts, best } = value;
  const list: unknown[] = [
    kind,
    key,
    version,
    expiresAt,
    alive,
    request,
    flow,
    responseFlow,
    lastStatus,
    lastResponse,
    recordRoute,
    value.waiting.map(listOfTarget),
    value.branches.map(listOfBranch),
    attempts,
    best && [best.status, best.octets],
    value.challenges.map((challenge) => [challenge.isProxy, challenge.value]),
    value.cancelled,
    value.cancelReasons,
    value.declined,
    value.at,
    value.rangAt,
    value.earlierCells,
  ];
  return JSON.stringify(trimmed(list));
}

function listOfTarget({ requestUri, routes, flow, nextHop, group, q, seek, bindingKey }: InviteTarget): List {
  return trimmed([requestUri, routes, flow, nextHop, group, q, seek, bindingKey]);
}

function listOfBranch(sent: InviteBranch): List {
  const { target, state, reference, branch, mark, flow, alternatives, cancelRequested, isLost, breadth, hasFound, timerCRanMs } = sent;
  const usual = [listOfTarget(target), state, reference, branch, mark, flow, alternatives, cancelRequested, isLost];
  return trimmed([...usual, breadth, hasFound, timerCRanMs]);
}

function fieldsOfInvite(list: List): Fields {
  const best = heldAt(list, 14);
  return {
    expiresAt: list[3],
    request: list[5],
    flow: list[6],
    responseFlow: list[7],
    lastStatus: list[8],
    lastResponse: heldAt(list, 9),
    recordRoute: list[10],
    waiting: eachOf(list[11], fieldsOfTarget),
    branches: eachOf(list[12], fieldsOfBranch),
    attempts: list[13],
    best: isList(best) ? { status: best[0], octets: heldAt(best, 1) } : best,
    challenges: eachOf(list[15], (challenge) => ({ isProxy: challenge[0], value: challenge[1] })),
    cancelled: list[16],
    cancelReasons: list[17],
    declined: list[18],
    at: heldAt(list, 19),
    rangAt: heldAt(list, 20),
    earlierCells: heldAt(list, 21),
  };
}

/** What is no list, or no list of lists, stays as it is: its reader refuses it. */
function eachOf(json: unknown, fieldsOf: (list: List) => Fields): unknown {
  return isList(json) ? json.map((each) => (isList(each) ? fieldsOf(each) : each)) : json;
}

function fieldsOfTarget(list: List): Fields {
  return {
    requestUri: list[0],
    routes: list[1],
    flow: heldAt(list, 2),
    nextHop: heldAt(list, 3),
    group: heldAt(list, 4),
    q: heldAt(list, 5),
    seek: heldAt(list, 6),
    bindingKey: heldAt(list, 7),
  };
}

function fieldsOfBranch(list: List): Fields {
  const target = list[0];
  return {
    target: isList(target) ? fieldsOfTarget(target) : target,
    state: list[1],
    reference: list[2],
    branch: list[3],
    mark: list[4],
    flow: list[5],
    alternatives: list[6],
    cancelRequested: list[7],
    isLost: list[8],
    breadth: heldAt(list, 9),
    hasFound: heldAt(list, 10),
    timerCRanMs: heldAt(list, 11),
  };
}

function inviteOf(json: Fields): Invite | undefined {
  const { expiresAt, request, flow, responseFlow, lastStatus, lastResponse, recordRoute, attempts } = json;
  const { cancelled, cancelReasons, declined } = json;
  if (!isTime(expiresAt) || !isText(request) || !isText(flow) || !isText(responseFlow)) return undefined;
  if (!isSequence(lastStatus) || !isSequence(attempts) || !(lastResponse === undefined || isText(lastResponse))) return undefined;
  if (typeof recordRoute !== "boolean" || typeof cancelled !== "boolean" || typeof declined !== "boolean") return undefined;
  const waiting = listOf(json["waiting"], targetOf);
  const branches = listOf(json["branches"], branchOf);
  const challenges = listOf(json["challenges"], challengeOf);
  const best = json["best"] === undefined ? undefined : bestOf(json["best"]);
  if (waiting === undefined || branches === undefined || challenges === undefined || !isTexts(cancelReasons)) return undefined;
  if (best === undefined && json["best"] !== undefined) return undefined;
  const { at, rangAt, earlierCells } = json;
  if (!(at === undefined || isTime(at)) || !(rangAt === undefined || isTime(rangAt))) return undefined;
  if (!(earlierCells === undefined || isTexts(earlierCells))) return undefined;
  const invite: Writable<Invite> = {
    expiresAt,
    request,
    flow,
    responseFlow,
    lastStatus,
    lastResponse,
    recordRoute,
    waiting,
    branches,
    attempts,
    best,
    challenges,
    cancelled,
    cancelReasons,
    declined,
  };
  if (at !== undefined) invite.at = at;
  if (rangAt !== undefined) invite.rangAt = rangAt;
  if (earlierCells !== undefined) invite.earlierCells = earlierCells;
  return invite;
}

function targetOf(json: Fields): InviteTarget | undefined {
  const { requestUri, routes, flow, nextHop, group, q, seek, bindingKey } = json;
  if (!isText(requestUri) || !isTexts(routes)) return undefined;
  if (!isOptionalText(flow) || !isOptionalText(nextHop) || !isOptionalText(group) || !isOptionalText(bindingKey)) return undefined;
  if (!(q === undefined || isNumber(q))) return undefined;
  if (!(seek === undefined || seek === "first" || seek === "onFailure" || seek === "registration")) return undefined;
  const target: Writable<InviteTarget> = { requestUri, routes };
  if (flow !== undefined) target.flow = flow;
  if (nextHop !== undefined) target.nextHop = nextHop;
  if (group !== undefined) target.group = group;
  if (q !== undefined) target.q = q;
  if (seek !== undefined) target.seek = seek;
  if (bindingKey !== undefined) target.bindingKey = bindingKey;
  return target;
}

function branchOf(json: Fields): InviteBranch | undefined {
  const { reference, branch, mark, flow, alternatives, cancelRequested } = json;
  const target = isFields(json["target"]) ? targetOf(json["target"]) : undefined;
  const state = branchStates.find((each) => each === json["state"]);
  if (target === undefined || state === undefined || !isText(reference) || !isText(branch) || !isText(flow)) return undefined;
  if (!isText(mark) || !isTexts(alternatives) || typeof cancelRequested !== "boolean") return undefined;
  const { breadth, timerCRanMs } = json;
  if (!(breadth === undefined || isSequence(breadth))) return undefined;
  if (!(timerCRanMs === undefined || isSequence(timerCRanMs))) return undefined;
  const isLost = json["isLost"] === true;
  const known: Writable<InviteBranch> = { target, state, reference, branch, mark, flow, alternatives, cancelRequested, isLost };
  if (breadth !== undefined) known.breadth = breadth;
  if (json["hasFound"] === true) known.hasFound = true;
  if (timerCRanMs !== undefined) known.timerCRanMs = timerCRanMs;
  return known;
}

const branchStates = ["Resolving", "Calling", "Proceeding", "Cancelling", "Finished"] as const;

function challengeOf({ isProxy, value }: Fields): Invite["challenges"][number] | undefined {
  return typeof isProxy === "boolean" && isText(value) ? { isProxy, value } : undefined;
}

function bestOf(json: unknown): Invite["best"] {
  if (!isFields(json) || !isSequence(json["status"])) return undefined;
  const { status, octets } = json;
  return octets === undefined || isText(octets) ? { status, octets } : undefined;
}
