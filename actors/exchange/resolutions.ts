import { resolutionsWaitingMax } from "../limits.ts";
import { octetsOf } from "../../sip/message/octets.ts";
import { RecordKind } from "../../cluster/backhaul/frame.ts";
import type { Accesses } from "./accesses.ts";
import type { Outgoing } from "./outgoing.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** Questions for the addresses of next hops (RFC 3263), which gateways answer. They wait for one that is away, or still to come. */
export class Resolutions {
  readonly #accesses: Accesses;
  readonly #outgoing: Outgoing;
  readonly #expectedUntil: SteadyMs;
  /** What nobody can answer: references. */
  #unresolvable: string[] = [];
  /** URIs by reference. Who asked gives up by himself; an answer that is late is ignored. */
  readonly #waiting = new Map<string, string>();

  /** `expectedUntil`: one may be still to come, to a replica that has just started. */
  constructor(accesses: Accesses, outgoing: Outgoing, expectedUntil: SteadyMs) {
    this.#accesses = accesses;
    this.#outgoing = outgoing;
    this.#expectedUntil = expectedUntil;
  }

  resolve(uri: string, reference: string, now: SteadyMs): void {
    const isAwaited = now < this.#expectedUntil || this.#accesses.hasLostGateway;
    const access = this.#accesses.anyGateway(undefined);
    if (access !== undefined) this.#ask(access, uri, reference);
    else if (isAwaited && this.#waiting.size < resolutionsWaitingMax) this.#waiting.set(reference, uri);
    else this.#unresolvable.push(reference);
  }

  /** A gateway may be there again. */
  wayCame(): void {
    const access = this.#waiting.size === 0 ? undefined : this.#accesses.anyGateway(undefined);
    if (access === undefined) return;
    for (const [reference, uri] of this.#waiting) this.#ask(access, uri, reference);
    this.#waiting.clear();
  }

  takeUnresolvable(): readonly string[] {
    const unresolvable = this.#unresolvable;
    if (unresolvable.length > 0) this.#unresolvable = [];
    return unresolvable;
  }

  #ask(access: string, uri: string, reference: string): void {
    this.#outgoing.push({
      type: "send",
      access,
      record: { kind: RecordKind.resolve, key: reference, octets: octetsOf(uri) },
      commit: undefined,
      isAnswer: false,
    });
  }
}
