import { env, exports } from "cloudflare:workers";
import { isParseError } from "../../sip/errors.ts";
import { parseAnswer, parseBatch, serializeAnswer } from "../../cluster/replication/peer-batch.ts";
import { PeerLink } from "../../cluster/replication/peer-link.ts";
import { protocolVersion, versionHeader } from "../../cluster/protocol-version.ts";
import { HybridClock } from "../../cluster/time/hybrid-clock.ts";
import { memoryFrom } from "../../sip/record/memory.ts";
import { RecordStore } from "../../sip/record/record-store.ts";
import type { StateRecord } from "../../sip/record/state-record.ts";
import { clusterMapOf } from "../../workers/environment.ts";
import { authorizationFor } from "../../workers/signature.ts";

/** The other replica of an exchange, in cell b: its records and its side of the link. It speaks to cell a over signed requests. */
export class PeerReplica {
  readonly exchange: number;
  readonly clock = new HybridClock("b");
  store = new RecordStore({ isPaired: true });
  /** Batches that were taken. */
  batches = 0;
  /** Requests that came, answered or not. */
  asked = 0;
  /** Keys of the records that came, in their order. */
  readonly keys: string[] = [];
  /** Held back until the test says so: the peer is frozen. */
  frozen: Promise<void> | undefined;
  #link: PeerLink;
  #boots = 0;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(exchange: number) {
    this.exchange = exchange;
    this.#link = this.#newLink();
  }

  get state(): string {
    return this.#link.state;
  }

  /** Its memory is lost, and so is its disk. */
  restart(): void {
    this.store = new RecordStore({ isPaired: true });
    this.#link = this.#newLink();
    this.#settle();
  }

  /** A change that it makes, or one of another cell's. */
  apply(record: StateRecord): void {
    this.store.apply(record);
    this.#link.changed(Date.now());
    this.#settle();
  }

  /** A request of cell a's to this replica. */
  async answer(request: Request): Promise<Response> {
    const batch = parseBatch(await request.text());
    this.asked += 1;
    if (this.frozen !== undefined) await this.frozen;
    if (isParseError(batch)) return new Response(batch.reason, { status: 400 });
    this.batches += 1;
    const now = Date.now();
    const { answer, records } = this.#link.receive(batch, now);
    for (const record of records) {
      this.keys.push(record.key);
      this.clock.observe(record.version);
      this.store.apply(record, "peer");
    }
    this.#link.applied(now);
    this.#settle();
    return new Response(serializeAnswer(answer));
  }

  #newLink(): PeerLink {
    this.#boots += 1;
    const { heartbeat, replication } = clusterMapOf(env);
    const options = {
      cell: "b",
      boot: `b${this.exchange}-${this.#boots}`,
      ackTimeoutMs: replication.ackTimeoutMs,
      leaseMs: heartbeat.periodMs * heartbeat.missed,
      memory: () => memoryFrom(1),
    };
    return new PeerLink(options, this.store, Date.now());
  }

  #settle(): void {
    const link = this.#link;
    for (const effect of link.takeEffects()) if (effect.type === "send") void this.#send(link, effect.id, effect.text);
    clearTimeout(this.#timer);
    const deadline = link.nextDeadline();
    if (deadline === undefined) return;
    const tick = (): void => {
      this.#link.tick(Date.now());
      this.#settle();
    };
    this.#timer = setTimeout(tick, Math.max(1, deadline - Date.now()));
  }

  async #send(link: PeerLink, id: number, text: string): Promise<void> {
    if (this.frozen !== undefined) await this.frozen;
    const body = new TextEncoder().encode(text);
    const toSign = { purpose: "cell", who: "b", to: env.CELL, method: "POST", path: `/cell/pair/${this.exchange}`, body };
    const authorization = authorizationFor(env.TANDEM_SECRET, toSign, Date.now());
    const headers = { authorization, [versionHeader]: String(protocolVersion) };
    const response = await exports.default.fetch(
      new Request(`http://a.invalid/cell/pair/${this.exchange}`, { method: "POST", headers, body }),
    );
    const answer = parseAnswer(await response.text());
    if (isParseError(answer)) link.failed(id, true, Date.now());
    else link.answered(id, answer, Date.now());
    this.#settle();
  }
}
