import { decodeFrame, isFrameError, RecordKind } from "../../cluster/backhaul/frame.ts";
import { stringOf } from "../../sip/message/octets.ts";
import type { Cell } from "./cell.ts";
import type { Cluster } from "./cluster.ts";
import type { ExchangePlace } from "./exchange-place.ts";
import type { Fault } from "./faults.ts";
import type { Random } from "./random.ts";

/**
 * Faults that are aimed at the moment in which something is to be in two memories: a cell falls silent up to {@link aimMsMax} after it was given a
 * message that it must not forget. What is to leave for that message has left by then, or has not. Faults that come at any time hardly ever hit this.
 */
export const aimedFaultKinds = [
  "crash a cell after a commit",
  "freeze a cell after a commit",
  "freeze and crash a cell after a commit",
] as const;

export type AimedFaultKind = (typeof aimedFaultKinds)[number];

/** A commit is over by then: a batch every 50 ms, and its answer. */
const aimMsMax = 60;
/** Where nothing comes for so long that it could be aimed at, it does not come. */
const waitMs = 3_000;
/** Between two of one run: each is over before the next one. */
const distanceMs = 12_000;
/** So many runs of all have any. */
export const aimedShare = 0.3;
/** Nonces that phones have by now are more than ten seconds old. */
const firstAtMin = 14_000;

/** What a replica must not forget: a 2xx to an INVITE, a REGISTER. */
type Message = "INVITE" | "REGISTER";

/** One that waits for its moment. */
type Aim = {
  readonly kind: AimedFaultKind;
  readonly until: number;
  readonly at: Message;
  /** So many such messages pass before. */
  skip: number;
  readonly afterMs: number;
  readonly lastMs: number;
  /** One that is frozen dies so much later. */
  readonly deathMs: number;
  /** Not the cell that was given the message, but the other one. */
  readonly isAtPeer: boolean;
};

/** The aimed faults of one run. */
export class Aims {
  readonly #cluster: Cluster;
  readonly #struck: (fault: Fault) => void;
  #waiting: Aim | undefined;
  /** Those that have come. */
  readonly faults: Fault[] = [];

  /** `struck`: one comes. */
  constructor(cluster: Cluster, struck: (fault: Fault) => void) {
    this.#cluster = cluster;
    this.#struck = struck;
  }

  /** Waits for a message from now on. */
  wait(aim: Aim): void {
    this.#waiting = aim;
  }

  /** A replica is given a frame. */
  taken(place: ExchangePlace, octets: Uint8Array): void {
    if (this.#waiting === undefined && this.faults.length === 0) return;
    const frame = decodeFrame(octets);
    if (isFrameError(frame)) return;
    let isSaidAgain = false;
    for (const record of frame.records) {
      if (record.kind === RecordKind.takeover) isSaidAgain = true;
      const message = record.kind === RecordKind.message ? messageIn(record.octets) : undefined;
      if (message === undefined) continue;
      if (isSaidAgain && message === "REGISTER") this.#saidAgain(record.octets);
      this.#aim(place, message);
    }
  }

  #aim(place: ExchangePlace, message: Message): void {
    const { world } = this.#cluster;
    const aim = this.#waiting;
    if (aim === undefined || (aim.until >= world.now && aim.at !== message)) return;
    if (aim.until >= world.now && aim.skip > 0) {
      aim.skip -= 1;
      return;
    }
    this.#waiting = undefined;
    if (aim.until >= world.now) world.after(aim.afterMs, () => this.#strike(aim, place));
  }

  #strike(aim: Aim, place: ExchangePlace): void {
    const { world, leftOut } = this.#cluster;
    const { kind, lastMs, deathMs } = aim;
    const peer = this.#cluster.pairOf(place.number).find((each) => each !== place.cell);
    const cell = aim.isAtPeer && peer !== undefined ? peer : place.cell;
    if (leftOut.has(kind) || cell.host.state !== "up") return;
    const from = world.now;
    const until = from + lastMs;
    world.trace("fault", () => `${kind}: ${cell.id}, for ${lastMs} ms`);
    this.#look(cell, peer === cell ? place.cell : peer, place.number);
    const isDoubled = kind === "freeze and crash a cell after a commit";
    const fault = { kind, target: cell.id, from, until, ...(isDoubled && { diesAt: from + deathMs }) };
    this.faults.push(fault);
    this.#struck(fault);
    if (kind === "crash a cell after a commit") cell.host.crash();
    else cell.host.freeze();
    if (isDoubled) world.after(deathMs, () => cell.host.crash());
    world.at(until, () => cell.goOn());
  }

  /** What only the cell knows that falls silent. */
  #look(cell: Cell, other: Cell | undefined, exchange: number): void {
    const mine = cell.awake(exchange)?.exchange.store;
    const theirs = other?.awake(exchange)?.exchange.store;
    if (mine === undefined || theirs === undefined) return;
    for (const kind of ["dialog", "binding"] as const) {
      for (const { key, version } of mine.records(kind)) {
        const known = theirs.get(kind, key);
        if (kind === "dialog" ? known?.value !== undefined : known?.version === version) continue;
        this.#cluster.moments.reached(`a cell falls silent that alone knows of a ${kind}`);
        if (kind === "dialog" && this.#hasItsAnswer(key))
          this.#cluster.moments.reached("a caller has a 200 that only a silent cell knows of");
      }
    }
  }

  #hasItsAnswer(key: string): boolean {
    return this.#cluster.phones.some(({ outgoing }) =>
      outgoing.some(({ callId, outcome }) => outcome === 200 && key.startsWith(`${callId} `)),
    );
  }

  /** The gateway has had no acknowledgement of the other replica. */
  #saidAgain(octets: Uint8Array): void {
    const { moments, oldNonces } = this.#cluster;
    const nonce = /\r\nAuthorization:[^\r]* nonce="([^"]*)"/.exec(stringOf(octets))?.[1];
    if (nonce !== undefined && oldNonces.has(nonce))
      moments.reached("a REGISTER with a nonce of more than 10 s ago is said to the other replica");
  }
}

/** Plans so many of them, and what phones do meanwhile. Returns until when the last one is over. */
export function planAimedFaults(
  cluster: Cluster,
  aims: Aims,
  random: Random,
  kinds: readonly AimedFaultKind[],
  count: number,
  lastMs: number,
): number {
  let from = random.whole(firstAtMin, Math.max(firstAtMin, 5_000 + lastMs));
  let over = 0;
  for (let left = count; left > 0; left -= 1) {
    const aim: Aim = {
      kind: random.pick(kinds),
      until: from + waitMs,
      at: random.pick(["INVITE", "REGISTER"] as const),
      skip: random.pick([0, 0, 1, 2]),
      afterMs: random.whole(0, aimMsMax),
      lastMs: random.pick([300, 1_500, 4_000, 12_000]) + random.whole(0, 500),
      deathMs: random.whole(0, 300),
      isAtPeer: random.chance(0.2),
    };
    cluster.world.at(from, () => aims.wait(aim));
    planTraffic(cluster, random, from);
    over = aim.until + aimMsMax + aim.lastMs;
    from = over + distanceMs;
  }
  return over;
}

/** There is something to aim at: calls that are answered, and phones that register again. */
function planTraffic({ phones, world }: Cluster, random: Random, from: number): void {
  for (let calls = 2; calls > 0; calls -= 1) {
    const caller = random.pick(phones);
    const callee = random.pick(phones.filter((phone) => phone !== caller)).user;
    const ringMs = random.whole(50, 600);
    const plan = {
      callee,
      manner: "answers",
      ringMs,
      talkMs: random.whole(200, 9_000),
      cancelMs: random.chance(0.15) ? ringMs + random.whole(-40, 80) : undefined,
      byeBy: random.pick(["caller", "callee"] as const),
      reinviteBy: random.pick(["caller", "callee", "nobody", "nobody"] as const),
      referBy: "nobody",
    } as const;
    world.at(from + random.whole(0, 500), () => {
      if (caller.registration.acknowledged?.isRegistered === true) caller.call(plan);
    });
  }
  for (const { registration } of phones) {
    const at = from + random.whole(0, 1_500);
    if (random.chance(0.5)) world.at(at, () => registration.refresh());
  }
}

function messageIn(octets: Uint8Array): Message | undefined {
  const start = stringOf(octets, 0, 9);
  if (start === "REGISTER ") return "REGISTER";
  return start === "SIP/2.0 2" && /\r\nCSeq: *\d+ +INVITE\r\n/i.test(stringOf(octets)) ? "INVITE" : undefined;
}
