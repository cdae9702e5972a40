import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import type { Proxy } from "../../sip/proxy/proxy.ts";
import type { Preprocessed } from "../../sip/proxy/route-preprocessing.ts";
import type { RecordStore } from "../../sip/record/record-store.ts";
import type { TransactionLayer } from "../../sip/transaction/transaction-layer.ts";
import type { ServerTransaction } from "../../sip/transaction/transaction.ts";
import type { Authority } from "./authority.ts";
import type { Calling } from "./caller.ts";
import type { ContactFinder } from "./contact-finder.ts";
import type { DialogKeeper } from "./dialog-keeper.ts";
import type { Outgoing } from "./outgoing.ts";
import type { Refusal } from "./refusal.ts";
import type { RegisterRequests } from "./register-requests.ts";
import type { RegistrarDesk } from "./registrar-desk.ts";
import type { WaitingRoom } from "./waiting-room.ts";
import type { Whereabouts } from "./whereabouts.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** A request on its way through the steps of the pipeline. */
export type Asked = {
  readonly tx: ServerTransaction;
  /** As it came; behind the step that knows its sender, without what is not his to say. */
  request: Preprocessed;
  /** Who calls whom, once a step has read it: {@link nobodyYet} before. */
  calling: Calling;
};

/**
 * What a step says of a request.
 * - `goOn`: the next step has its turn.
 * - `done`: it has been answered, or is being forwarded.
 * - `waits`: somebody has taken it who brings it back: to the first step, or to where it goes.
 * - a {@link Refusal}: it is answered with that.
 */
export type Verdict = "goOn" | "done" | "waits" | Refusal;

/** One step of the pipeline. It keeps nothing of its own, so it is a function, and the list of them is a constant. */
export type Step = (tools: StepTools, asked: Asked, now: SteadyMs) => Verdict;

/** What the steps work with: parts of their exchange, and the cluster map of the moment. */
export type StepTools = {
  readonly map: ClusterMap;
  readonly store: RecordStore;
  readonly transactions: TransactionLayer;
  readonly proxy: Proxy;
  readonly dialogs: DialogKeeper;
  readonly whereabouts: Whereabouts;
  readonly registrar: RegistrarDesk;
  readonly registers: RegisterRequests;
  readonly authority: Authority;
  readonly contacts: ContactFinder;
  readonly waiting: WaitingRoom;
  readonly outgoing: Outgoing;
};

/** What is known of a request of which nothing has been read. */
export const nobodyYet: Calling = { callerDomain: undefined, caller: undefined, callee: undefined };
