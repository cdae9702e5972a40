import { isParseError } from "../../sip/errors.ts";
import { tagOfRefusal } from "../../sip/flow/brief-response.ts";
import type { SipMessage } from "../../sip/message/sip-message.ts";
import type { Preprocessed } from "../../sip/proxy/route-preprocessing.ts";
import type { ServerTransaction } from "../../sip/transaction/transaction.ts";
import type { CallKeeper } from "./call-keeper.ts";
import type { ContactWaiter } from "./contact-finder.ts";
import { CrowdedLines } from "./crowded-lines.ts";
import type { SubscriberCredentials } from "./credential-cache.ts";
import { toFoundContact } from "./destinations.ts";
import type { OrphanedInvites } from "./orphaned-invites.ts";
import { crowded, refuse, unavailable, type Refusal } from "./refusal.ts";
import { callerIsWhoHeSays } from "./proving.ts";
import { nobodyYet, type Asked, type Step, type StepTools } from "./request-step.ts";
import { requestSteps } from "./request-steps.ts";
import { ofStranger } from "./strangers.ts";
import type { Takeovers } from "./takeovers.ts";
import { targetWithinDialog } from "./within-dialog.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** Besides the steps' tools: what knows of requests that another replica has had, or that were cancelled before they came here; and what notes calls. */
export type PipelineTools = StepTools & {
  readonly takeovers: Takeovers;
  readonly orphans: OrphanedInvites;
  readonly calls: CallKeeper;
};

const cancelledBefore: Refusal = { status: 487 };

/** RFC 3261 16.2: a request on its way through the steps of request-steps.ts. The list is walked, never copied. */
export class RequestPipeline {
  readonly #tools: PipelineTools;
  readonly #steps: readonly Step[];
  /** The place of the step behind which it is known who asks. */
  readonly #provedAt: number;
  readonly #crowdedLines = new CrowdedLines();

  constructor(tools: PipelineTools, steps: readonly Step[] = requestSteps) {
    this.#tools = tools;
    this.#steps = steps;
    this.#provedAt = steps.indexOf(callerIsWhoHeSays);
  }

  /** A new request. What has been here, or is known to be over, has no way through the steps. */
  begin(tx: ServerTransaction, message: SipMessage, now: SteadyMs): void {
    const { takeovers, orphans, proxy } = this.#tools;
    if (tx.kind === "inviteServer" && takeovers.repeatedInvite(tx, message, now)) return;
    if (tx.kind === "inviteServer" && orphans.earlyCancelOf(tx.key, message, tx.flow, now) !== undefined)
      return this.#refuse(tx, message, cancelledBefore, now);
    const request = proxy.preprocess(message, tx.flow);
    if (isParseError(request)) return this.#refuse(tx, message, { status: request.status, reason: request.reason }, now);
    this.take({ tx, request, calling: nobodyYet }, now);
  }

  /** From the first step on: at first, and when what was asked about its sender is known. */
  take(asked: Asked, now: SteadyMs): void {
    for (let index = 0; index < this.#steps.length; index += 1) {
      const verdict = this.#steps[index]?.(this.#tools, asked, now);
      if (verdict === "goOn") continue;
      if (typeof verdict === "object") {
        if (index > this.#provedAt) this.#noteRefused(asked, verdict, now);
        this.#refuse(asked.tx, asked.request.message, verdict, now);
      }
      if (verdict === crowded) this.#sayCrowded(asked, now);
      return;
    }
    throw new RangeError("no step has said what becomes of a request");
  }

  /** An ACK is never answered (RFC 3261 17), so it has no way through the steps: it goes where its dialog says, or nowhere. */
  ack(message: SipMessage, flow: string, now: SteadyMs): void {
    const { proxy, whereabouts, dialogs, map } = this.#tools;
    const request = proxy.preprocess(message, flow);
    if (isParseError(request)) return;
    const target = targetWithinDialog(whereabouts, request, now);
    // For a refusal of ours, which has no transaction: nobody else has to do with it.
    if (target === undefined && message.toTag === tagOfRefusal(message)) return;
    if (target === undefined) return this.#tools.orphans.ack(request, now);
    if ("status" in target) return;
    dialogs.requested(request.message, flow, now);
    proxy.ack(target.isOfStranger === true ? ofStranger(map, request) : request, target, now);
  }

  /** A request that waited for the flow of a Contact goes there; undefined: nobody has registered that one. */
  foundContact(waiter: ContactWaiter, flow: string | undefined, now: SteadyMs): void {
    const verdict = toFoundContact(this.#tools, waiter, flow, now);
    if (typeof verdict !== "object") return;
    if (waiter.caller !== "") this.#noteDenied(waiter.tx, waiter.request, verdict, now);
    this.#refuse(waiter.tx, waiter.request.message, verdict, now);
  }

  /** What was asked about a caller is known, or will not be: who waits for it goes on, or is refused. */
  credentials(addressOfRecord: string, answer: SubscriberCredentials | "unknown" | "unavailable", now: SteadyMs): void {
    const { authority, waiting } = this.#tools;
    if (answer !== "unavailable") authority.learn(addressOfRecord, answer, now);
    for (const asked of waiting.leave(addressOfRecord)) {
      if (answer === "unavailable") this.#refuse(asked.tx, asked.request.message, unavailable, now);
      else this.take(asked, now);
    }
  }

  #sayCrowded({ calling: { callee = "" } }: Asked, now: SteadyMs): void {
    const text = this.#crowdedLines.lineOf(callee, now);
    if (text !== undefined) this.#tools.outgoing.push({ type: "log", text });
  }

  /** Strangers' are no calls: nothing has been forwarded. */
  #noteRefused({ tx, request, calling }: Asked, refusal: Refusal, now: SteadyMs): void {
    if (calling.callerDomain !== undefined) this.#noteDenied(tx, request, refusal, now);
  }

  #noteDenied(tx: ServerTransaction, { message }: Preprocessed, { status }: Refusal, now: SteadyMs): void {
    if (tx.kind === "inviteServer") this.#tools.calls.denied(message, tx.flow, status, now);
  }

  #refuse(tx: ServerTransaction, message: SipMessage, refusal: Refusal, now: SteadyMs): void {
    refuse(this.#tools.transactions, tx, message, refusal, now);
  }
}
