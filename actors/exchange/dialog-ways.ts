import { contactOf, dialogKeyOf, otherSide } from "../../sip/dialog/dialog.ts";
import { mayBeUnknown, type Memory } from "../../sip/record/memory.ts";
import type { Phone } from "../../sip/dialog/present-flow.ts";
import { callerRoutesOf, routeSetsOf } from "../../sip/dialog/route-set.ts";
import { isParseError } from "../../sip/errors.ts";
import { dialogLifetimeMs, recentEndMs } from "../../sip/limits.ts";
import { Header } from "../../sip/message/header-names.ts";
import { parseMessage, type SipMessage } from "../../sip/message/sip-message.ts";
import type { ClusterMap, Domain } from "../../cluster/map/cluster-map.ts";
import type { ResponseContext } from "../../sip/proxy/response-context.ts";
import type { Preprocessed } from "../../sip/proxy/route-preprocessing.ts";
import type { DialogSide } from "../../sip/record/values.ts";
import { msOfVersion } from "../../sip/record/version.ts";
import type { DialogToken } from "../../sip/flow/token.ts";
import { callingOf, claimOfParty, isPlainly, showsAnother } from "./caller.ts";
import type { DialogKeeper, KnownDialog } from "./dialog-keeper.ts";
import { isNotToBeSaid } from "./strangers.ts";
import { isNeverWithin, mayStrangerSend, type Stage } from "./strangers-within.ts";
import type { Clocks, SteadyMs, WallMs } from "../../sip/time.ts";

/** The side that an in-dialog request is for. */
export type Receiver = Phone & {
  /** In our domains; empty: it is from outside, or nobody knows, and not to be looked for among our registrations. */
  readonly addressOfRecord: string;
  /** The proxies towards it (RFC 3261 12.1); undefined: nobody knows. */
  readonly routes: readonly string[] | undefined;
  /** Only its flow is known, of the token. */
  readonly isKnownByFlow?: true;
  /** The sender is none of our users: what is not his to say is taken off. */
  readonly isOfStranger?: boolean;
  /** What the sender says that he is, and what nothing here speaks for: he is to prove it first. */
  readonly unproved?: Claimant;
};

/** A name of ours in a From, in a domain that asks for passwords; `caller` undefined: one that nobody can have. */
export type Claimant = { readonly caller: string | undefined; readonly domain: Domain };

/** Why an in-dialog request is not forwarded. */
export type NoWay = { readonly status: number; readonly reason: string };

export type DialogWaysOptions = {
  readonly exchange: number;
  readonly cell: string;
  readonly map: () => ClusterMap;
  readonly dialogs: DialogKeeper;
  readonly memory: () => Memory;
  /** Until when everything is known that the other replica has made: `Infinity` while the two are together. */
  readonly peerKnownUntil: () => WallMs;
  readonly wallAt: Clocks["wallAt"];
  /** The INVITE in progress that made an early dialog. */
  readonly inviteOf: (callId: string, callerTag: string) => ResponseContext | undefined;
  /** Whether the other replica may have such an INVITE in progress. */
  readonly mayBeElsewhere: (callId: string) => boolean;
};

const ended: NoWay = { status: 481, reason: "Call/Transaction Does Not Exist" };
const forbidden: NoWay = { status: 403, reason: "Forbidden" };
const noRoutes: readonly string[] = [];

/**
 * Says for whom a request within a dialog is, and whether it may go there (docs/decisions/0012-a-token-is-for-its-dialog.md). The dialog's record
 * says it, or the INVITE in progress, and no URI of the sender's choosing. Where neither can be known the flows in the token do; where the dialog
 * is known to be over, nothing does.
 */
export class DialogWays {
  readonly #options: DialogWaysOptions;

  constructor(options: DialogWaysOptions) {
    this.#options = options;
  }

  /** Undefined: there is neither a token nor a record, so the request is not known to be in any dialog. */
  receiverOf(request: Preprocessed, now: SteadyMs): Receiver | NoWay | undefined {
    const { message, token } = request;
    if (isNeverWithin(message.method)) return token === undefined ? undefined : forbidden;
    const known = this.#options.dialogs.known(message, now);
    if (known !== undefined) return this.#ofRecord(request, known, now);
    if (token === undefined) return undefined;
    // A token from before it was bound to its dialog: only the record could speak for it.
    if (token.madeAt === undefined) return forbidden;
    if (token.exchange !== this.#options.exchange) return ended;
    const callerTag = (request.direction === "toCallee" ? message.fromTag : message.toTag) ?? "";
    const invite = this.#options.inviteOf(message.callId, callerTag);
    if (invite?.request !== undefined) return this.#ofInvite(request, token, invite, invite.request, now);
    return this.#mayPass(request, token.madeAt, token.cell, now) ? this.#ofToken(request, now) : ended;
  }

  /** By the flows of the token alone. What it is asked to reach on them is nobody else, and who asks is whoever proves it. */
  #ofToken(request: Preprocessed, now: SteadyMs): Receiver | NoWay {
    const { message, direction } = request;
    const nobody = { contact: "", instanceId: "", addressOfRecord: "", routes: undefined, heardAt: 0 };
    const receiver = { ...nobody, flow: flowOfToken(request), isKnownByFlow: true } as const;
    const map = this.#options.map();
    const { domain, addressOfRecord: caller } = claimOfParty(map, message.from) ?? {};
    const isOfStranger = domain === undefined;
    // It begins nothing, and nobody could ask it for a password (RFC 3261 22.1).
    if (message.method === "ACK") return { ...receiver, isOfStranger };
    if (showsAnother(map, message, caller)) return forbidden;
    if (isOfStranger) {
      // The other replica may have the INVITE in progress.
      const stage = this.#options.mayBeElsewhere(message.callId) ? "early" : "byToken";
      return this.#mayStrangerSend(request, stage, now) ? { ...receiver, isOfStranger } : forbidden;
    }
    if (domain.auth !== "digest") return receiver;
    const { subscriptions } = this.#options.dialogs;
    const isAsked = message.method === "NOTIFY" && direction === "toCaller" && caller !== undefined;
    if (isAsked && subscriptions.isAwaitedOf(caller, message.callId, message.toTag ?? "", now)) return receiver;
    return { ...receiver, unproved: { caller, domain } };
  }

  #ofRecord(request: Preprocessed, { dialog, sender }: KnownDialog, now: SteadyMs): Receiver | NoWay {
    if (this.#isAnotherName(request.message, dialog[sender])) return forbidden;
    const side = dialog[otherSide(sender)];
    const isOfStranger = dialog[sender].addressOfRecord === "";
    if (isOfStranger && !this.#mayStrangerSend(request, "answered", now)) return forbidden;
    if (side.addressOfRecord === "") this.#options.dialogs.subscriptions.asksOutside(request.message, now);
    const { contact, instanceId, addressOfRecord, routes = noRoutes, version } = side;
    const flow = side.flow === "" && !hasAddress(side) ? flowOfToken(request) : side.flow;
    return { contact, instanceId, flow, addressOfRecord, routes, heardAt: msOfVersion(version), isOfStranger };
  }

  /** An early dialog (RFC 3261 12.1): PRACK, UPDATE, BYE before the 2xx. */
  #ofInvite(
    request: Preprocessed,
    token: DialogToken,
    context: ResponseContext,
    { message, at }: Preprocessed,
    now: SteadyMs,
  ): Receiver | NoWay {
    const { caller = "", callee = "" } = callingOf(this.#options.map(), message);
    const isOfStranger = (request.direction === "toCaller" ? callee : caller) === "";
    if (isOfStranger && !this.#mayStrangerSend(request, "early", now)) return forbidden;
    if (request.direction === "toCaller") {
      const name = claimOfParty(this.#options.map(), message.to)?.addressOfRecord ?? "";
      if (this.#isAnotherName(request.message, { addressOfRecord: callee, name })) return forbidden;
      const { uri = "", instanceId = "" } = contactOf(message) ?? {};
      const routes = callerRoutesOf(message);
      return { contact: uri, instanceId, flow: token.caller, addressOfRecord: caller, routes, heardAt: at, isOfStranger };
    }
    if (this.#isAnotherName(request.message, { addressOfRecord: caller })) return forbidden;
    const target = context.branches.find(({ flow }) => flow === token.callee)?.target;
    const phone = { contact: target?.requestUri ?? "", instanceId: target?.group ?? "" };
    const routes = earlyRoutesOf(context, request.message);
    return { ...phone, flow: token.callee, addressOfRecord: callee, routes, heardAt: at, isOfStranger };
  }

  #mayStrangerSend({ message, direction }: Preprocessed, stage: Stage, now: SteadyMs): boolean {
    // The subscriber is the caller of what a SUBSCRIBE has made. Where only the token is known, he counts as that.
    const isAsked = (): boolean => {
      return (stage === "byToken" && direction === "toCaller") || this.#options.dialogs.subscriptions.isAsked(message, now);
    };
    return mayStrangerSend(message, stage, isAsked) && !isNotToBeSaid(this.#options.map(), message);
  }

  /** RFC 3261 12.2.1.1: a side says the name that the INVITE had for it, which the caller has proved; ours are nobody else's to say. */
  #isAnotherName(request: SipMessage, { addressOfRecord, name }: Pick<DialogSide, "addressOfRecord" | "name">): boolean {
    const map = this.#options.map();
    if (isPlainly(request.from, addressOfRecord)) return showsAnother(map, request, addressOfRecord);
    const claim = claimOfParty(map, request.from);
    const claimed = claim?.addressOfRecord ?? "";
    if (claim?.domain !== undefined && (claimed === "" || (claimed !== addressOfRecord && claimed !== name))) return true;
    return showsAnother(map, request, claimed === "" ? undefined : claimed);
  }

  /** Without a record. */
  #mayPass({ message, direction }: Preprocessed, madeAt: WallMs, cell: string, now: SteadyMs): boolean {
    const { dialogs, memory, peerKnownUntil, mayBeElsewhere } = this.#options;
    const { method, callId } = message;
    const key = dialogKeyOf(message);
    // What is repeated, and the BYEs of two who hang up at once.
    if (key !== undefined && dialogs.hasEnded(key)) return method === "ACK" || method === "BYE";
    if (method === "NOTIFY" && direction === "toCaller" && dialogs.subscriptions.isAwaited(callId, message.toTag ?? "", now)) return true;
    if (mayBeElsewhere(callId)) return true;
    if (this.#options.wallAt(now) - madeAt > dialogLifetimeMs) return false;
    return mayBeUnknown(memory(), madeAt) || (cell !== this.#options.cell && madeAt > peerKnownUntil() - recentEndMs);
  }
}

function flowOfToken({ token, direction }: Preprocessed): string {
  return (direction === "toCaller" ? token?.caller : token?.callee) ?? "";
}

function hasAddress({ contact }: DialogSide): boolean {
  return /^sips?:/i.test(contact);
}

/** The callee's route set, by the latest provisional response; undefined when that is of another phone. */
function earlyRoutesOf({ tx, request }: ResponseContext, message: SipMessage): readonly string[] | undefined {
  const response = tx.lastResponse === undefined ? undefined : parseMessage(tx.lastResponse);
  if (response === undefined || isParseError(response) || response.toTag !== message.toTag) return undefined;
  return routeSetsOf(response, request?.message.values(Header.RecordRoute).length).callee;
}
