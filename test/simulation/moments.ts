import { cellOfVersion } from "../../sip/record/version.ts";
import type { Cluster } from "./cluster.ts";
import type { Fault } from "./faults.ts";
import type { Replica } from "./replica.ts";

/** States that a proof must have been in: runs that never reach one say nothing of it. */
export const moments = [
  "glare: re-INVITEs of both sides at once",
  "BYEs of both sides at once",
  "a CANCEL crosses a 200",
  "a takeover while it rings",
  "a takeover while it is answered",
  "a takeover of a cancelled call",
  "a takeover of a re-INVITE",
  "a merge after a cut",
  "a clock is set while a call is set up",
  "a REGISTER behind the one that took its phone off",
  "a phone in a call returns to another access",
  "a phone that rings returns to another access",
  "a nonce of more than 10 s ago is answered again",
  "a nonce has become stale",
  "a REGISTER with a nonce of more than 10 s ago is said to the other replica",
  "a cell falls silent that alone knows of a dialog",
  "a cell falls silent that alone knows of a binding",
  "a caller has a 200 that only a silent cell knows of",
  "a record of a later version is carried",
  "an exchange asks one that is in other cells only",
  "an exchange sleeps while a call stands",
  "an exchange is reset while a call is set up",
  "a write is refused",
  "an exchange finds its disk full",
  "a cell starts without its last writes",
  "the cells of a pair are of two versions",
  "a replica is moved while a call stands",
  "a replica is moved while a call is set up",
  "a replica is empty that has handed over what it had",
  "a replica takes another's place that was told everything before",
  "a cell comes back after others were given what it had",
  "the coordinator falls silent while a replica moves",
  "a group has healed itself",
  "the exchanges are doubled while a call stands",
  "the exchanges are doubled while a call is set up",
  "an elder exchange is asked",
  "a frame goes over a WebSocket between line and exchange",
  "a WebSocket between line and exchange ends with a frame",
] as const;

export type Moment = (typeof moments)[number];

/** How often each was reached. */
export class Moments {
  readonly #counts = new Map<Moment, number>();

  reached(moment: Moment): void {
    this.#counts.set(moment, this.count(moment) + 1);
  }

  count(moment: Moment): number {
    return this.#counts.get(moment) ?? 0;
  }

  add(other: Moments): void {
    for (const [moment, count] of other.#counts) this.#counts.set(moment, this.count(moment) + count);
  }

  get missing(): Moment[] {
    return moments.filter((moment) => this.count(moment) === 0);
  }

  /** A line for each. */
  get table(): string {
    return moments.map((moment) => `${String(this.count(moment)).padStart(7)} ${moment}`).join("\n");
  }
}

/** How often the cells are looked at, and for how long after a fault. */
const lookMs = 10;
const afterMs = 10_000;

/**
 * Looks at what the replicas hold, for the moments that no phone can see: an INVITE that the other replica goes on with, and two tables that have grown
 * apart and become one again.
 */
export class Onlooker {
  readonly #cluster: Cluster;
  /** Which cell has had an INVITE in hand first, by exchange and key. */
  readonly #owners = new Map<string, string>();
  readonly #told = new Set<string>();
  /** What each of two replicas that were apart had then, by exchange. */
  readonly #apart = new Map<number, readonly number[]>();
  #until = 0;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** While one of these is there, and until everybody has noticed its end. */
  watch(faults: readonly Fault[]): void {
    const { world } = this.#cluster;
    for (const { from, until } of faults) world.at(from - lookMs, () => this.#watchUntil(until + afterMs));
  }

  #watchUntil(until: number): void {
    const isWatching = this.#until > this.#cluster.world.now;
    this.#until = Math.max(this.#until, until);
    if (!isWatching) this.#look();
  }

  #look(): void {
    const { map, world } = this.#cluster;
    for (let exchange = 0; exchange < map.exchangeCount; exchange += 1) {
      this.#lookForTakeovers(exchange);
      this.#lookForMerge(exchange);
    }
    if (world.now + lookMs < this.#until) world.after(lookMs, () => this.#look());
  }

  /** Who has an INVITE in hand is another cell than before, or is silent. */
  #lookForTakeovers(exchange: number): void {
    for (const cell of this.#cluster.cells) {
      const replica = cell.host.state === "up" ? cell.awake(exchange) : undefined;
      for (const { key, value, version } of replica?.exchange.store.records("invite") ?? []) {
        const owner = cellOfVersion(version);
        const name = `${exchange} ${key}`;
        const first = this.#owners.get(name) ?? owner;
        this.#owners.set(name, first);
        if (first !== owner || this.#cluster.cell(owner).host.state !== "up") this.#takenOver(name, value.request);
      }
    }
  }

  #takenOver(name: string, request: string): void {
    const { phones } = this.#cluster;
    if (/\r\nTo:[^\r]*;tag=/i.test(request)) return this.#reached(name, "a takeover of a re-INVITE");
    const callId = /\r\nCall-ID: *([^\r]*)/i.exec(request)?.[1] ?? "";
    const call = phones.flatMap(({ outgoing }) => outgoing).find((each) => each.callId === callId);
    if (call === undefined || call.outcome !== undefined) return;
    if (call.wasCancelled) this.#reached(name, "a takeover of a cancelled call");
    for (const { incoming } of phones) {
      const state = incoming.get(callId)?.state;
      if (state === "rings") this.#reached(name, "a takeover while it rings");
      if (state === "answered") this.#reached(name, "a takeover while it is answered");
    }
  }

  /** Once for each INVITE. */
  #reached(name: string, moment: Moment): void {
    if (this.#told.has(`${name} ${moment}`)) return;
    this.#told.add(`${name} ${moment}`);
    this.#cluster.moments.reached(moment);
  }

  #lookForMerge(exchange: number): void {
    const pair = this.#cluster.pairOf(exchange);
    const replicas = pair.flatMap((cell) => (cell.host.state === "up" ? (cell.awake(exchange) ?? []) : []));
    const isPair = replicas.length === pair.length;
    if (!isPair) this.#apart.delete(exchange);
    else if (replicas.every(({ state }) => state === "away" || state === "lagging")) {
      if (!this.#apart.has(exchange)) this.#apart.set(exchange, sequencesOf(replicas));
    } else if (replicas.every(({ state }) => state === "together")) {
      const before = this.#apart.get(exchange);
      if (before === undefined) return;
      this.#apart.delete(exchange);
      const sequences = sequencesOf(replicas);
      if (before.every((sequence, index) => (sequences[index] ?? 0) > sequence)) this.#cluster.moments.reached("a merge after a cut");
    }
  }
}

function sequencesOf(replicas: readonly Replica[]): number[] {
  return replicas.map((replica) => replica.exchange.store.sequence);
}
