import { LedgerActor, type LedgerPorts } from "../../actors/ledger/ledger-actor.ts";
import { collectorOf, isFormer } from "../../cluster/calls/collector.ts";
import type { Copied, Copying, Delivery, Read, Taking } from "../../cluster/calls/messages.ts";
import { cellAnswerMsMax } from "../../workers/limits.ts";
import type { Cell } from "./cell.ts";
import { timersOf } from "./host-timer.ts";
import { acts } from "./service.ts";

/** The ledger of a cell: the actor of one start of its process, with the database of all of them. */
export class Ledger {
  readonly #cell: Cell;
  readonly #actor: LedgerActor;

  constructor(cell: Cell) {
    this.#cell = cell;
    this.#actor = new LedgerActor(cell.id, this.#ports());
  }

  take(delivery: Delivery, answer: (taking: Taking) => void): void {
    this.#actor.take(delivery, answer);
  }

  /** See {@link LedgerActor.whenRead}. */
  whenRead(run: () => void): void {
    this.#actor.whenRead(run);
  }

  /** What it takes is of an owner than which it knows no later one. */
  #copied(message: Copying): Copied {
    const before = this.#cell.disk.ledger.owner;
    const answer = this.#actor.copied(message);
    const { cluster, id } = this.#cell;
    if (answer.owner.cell !== message.owner.cell || answer.behind === answer.before) return answer;
    acts(cluster, "call-records", message.owner.cell, message.owner.since);
    if (isFormer(message.owner, before)) cluster.world.violated("oneOwnerInAnEpoch", `${id} takes what a former owner writes`);
    return answer;
  }

  #ports(): LedgerPorts {
    const { host } = this.#cell;
    return {
      disk: this.#cell.disk.ledger,
      timer: timersOf(host),
      collector: (told) => host.soon(() => told(collectorOf(this.#cell.group.actor.map, this.#cell.group.actor.view))),
      pass: (to, delivery, told) => this.#ask<Taking>(to, (ledger, reply) => ledger.take(delivery, reply), told),
      copy: (to, message, told) => this.#ask<Copied>(to, (ledger, reply) => reply(ledger.#copied(message)), told),
      read: (to, message, told) => this.#ask<Read>(to, (ledger, reply) => reply(ledger.#actor.readBy(message)), told),
    };
  }

  #ask<Answer>(
    to: string,
    ask: (ledger: Ledger, reply: (answer: Answer) => void) => void,
    told: (answer: Answer | undefined) => void,
  ): void {
    const { cluster, host } = this.#cell;
    const other = cluster.cell(to);
    let isOver = false;
    const end = (answer: Answer | undefined): void => {
      if (isOver) return;
      isOver = true;
      timer.isOff = true;
      told(answer);
    };
    const timer = host.after(cellAnswerMsMax, () => end(undefined));
    cluster.network.request<Answer>(host, other.host, (reply) => ask(other.ledger, reply), end);
  }
}
