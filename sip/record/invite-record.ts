import { callTombstoneMs } from "../limits.ts";
import { isFields, isNumber, isOptionalText, isSequence, isText, isTexts, isTime, listOf, type Fields, type Writable } from "./fields.ts";
import { asItCame, mergeCall, needsRowOfItsVersion, type KindDefinition } from "./kind-definition.ts";
import type { Invite, InviteBranch, InviteTarget } from "./values.ts";

/** An INVITE in progress: its owner's last word counts, until it is over. Its key is that of its server transaction. */
export const inviteKind: KindDefinition<"invite"> = {
  tombstoneMs: callTombstoneMs,
  isOfCall: true,
  hasRowsWithPeer: false,
  read: inviteOf,
  merge: mergeCall,
  needsRow: needsRowOfItsVersion,
  forgottenAt: ({ value }) => value.expiresAt + callTombstoneMs,
  own: asItCame,
  sharing: asItCame,
};

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
  const at = json["at"];
  if (!(at === undefined || isTime(at))) return undefined;
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
  const breadth = json["breadth"];
  if (!(breadth === undefined || isSequence(breadth))) return undefined;
  const isLost = json["isLost"] === true;
  const known: Writable<InviteBranch> = { target, state, reference, branch, mark, flow, alternatives, cancelRequested, isLost };
  if (breadth !== undefined) known.breadth = breadth;
  if (json["hasFound"] === true) known.hasFound = true;
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
