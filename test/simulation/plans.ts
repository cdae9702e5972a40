import type { CallPlan } from "./call.ts";
import type { Cluster } from "./cluster.ts";
import type { Fault } from "./faults.ts";
import type { Phone } from "./phone.ts";
import type { Random } from "./random.ts";

/** What people do in a run, and when: each kind of doing is planned before the run begins. */

/** `collisions`: now and then both people do at once what one of them would have done. */
export function planCalls(cluster: Cluster, count: number, from: number, until: number, collisions: Random | undefined): void {
  const { random, phones, world } = cluster;
  for (let each = 0; each < count; each += 1) {
    const caller = random.pick(phones);
    const callee = random.pick(phones.filter((phone) => phone !== caller));
    const plan = planOf(random, callee, random.pick(["answers", "answers", "answers", "is busy", "lets ring"] as const), false);
    const byeBy = collisions?.chance(0.1) === true ? "both" : plan.byeBy;
    const reinviteBy = collisions?.chance(0.1) === true ? "both" : plan.reinviteBy;
    const cancelMs = collisions?.chance(0.05) === true ? plan.ringMs + collisions.whole(0, 50) : plan.cancelMs;
    world.at(random.whole(from, until), () => {
      if (caller.registration.acknowledged?.isRegistered === true) caller.call({ ...plan, cancelMs, byeBy, reinviteBy });
    });
  }
}

/** Three calls of the usual kind, when all is quiet. */
export function planProbes(cluster: Cluster): void {
  const { random, phones, world } = cluster;
  const from = world.now;
  for (let each = 0; each < 3; each += 1) {
    const caller = random.pick(phones);
    const plan = planOf(random, random.pick(phones.filter((phone) => phone !== caller)), "answers", true);
    world.at(random.whole(from, from + 2_000), () => caller.call(plan));
  }
}

function planOf(random: Random, { user }: Phone, manner: CallPlan["manner"], isProbe: boolean): CallPlan {
  return {
    callee: user,
    manner,
    ringMs: random.whole(50, isProbe ? 500 : 6_000),
    talkMs: random.whole(200, isProbe ? 1_000 : 15_000),
    cancelMs: manner === "lets ring" || (!isProbe && random.chance(0.15)) ? random.whole(0, 9_000) : undefined,
    byeBy: random.pick(["caller", "callee"] as const),
    reinviteBy: random.pick(["caller", "callee", "nobody", "nobody"] as const),
    referBy: random.pick(["caller", "callee", "nobody", "nobody"] as const),
  };
}

/** Now and then nobody answers and nobody hangs up: Timer C (RFC 3261 16.8) ends the call, wherever it is by then. */
export function planEndlessCall(cluster: Cluster, random: Random, lastMs: number): boolean {
  if (!random.chance(0.15)) return false;
  const { phones, world } = cluster;
  const caller = random.pick(phones);
  const { user } = random.pick(phones.filter((phone) => phone !== caller));
  const rest = { ringMs: 0, talkMs: 0, cancelMs: undefined, byeBy: "caller", reinviteBy: "nobody", referBy: "nobody" } as const;
  world.at(random.whole(5_000, 5_000 + lastMs), () => {
    if (caller.registration.acknowledged?.isRegistered === true) caller.call({ callee: user, manner: "lets ring", ...rest });
  });
  return true;
}

/** Phones change their network, in calls too: their old connections are half open. */
export function planMoves({ phones, world }: Cluster, random: Random, lastMs: number): void {
  for (const phone of phones) {
    if (random.chance(0.3)) world.at(random.whole(5_000, 5_000 + lastMs), () => phone.move());
  }
}

/** Phones that are in a call change their network while a fault is there, or has hardly gone. */
export function planMovesInFaults({ phones, world }: Cluster, random: Random, faults: readonly Fault[]): void {
  for (const { from, until } of faults) {
    if (!random.chance(0.8)) continue;
    const part = random.pick(["caller", "callee"] as const);
    world.at(random.whole(from, until + 2_000), () => {
      const movers = phones.filter((phone) => phone.isReliable && phone.isTalkingAs(part));
      if (movers.length > 0) random.pick(movers).move();
    });
  }
}

/** Some phones go, some of them come back. */
export function planRegistrations(cluster: Cluster, lastMs: number): void {
  const { random, phones, world } = cluster;
  for (const phone of phones) {
    if (!random.chance(0.3)) continue;
    const at = random.whole(5_000, 5_000 + lastMs);
    world.at(at, () => phone.registration.wish(false));
    if (random.chance(0.5)) world.at(at + random.whole(100, 10_000), () => phone.registration.wish(true));
  }
}

/** Some take themselves off while their refresh is under way, and come back: datagrams overtake each other. */
export function planHastyLeaves({ phones, world }: Cluster, random: Random, lastMs: number): void {
  for (const { isReliable, registration } of phones) {
    if (isReliable || !random.chance(0.15)) continue;
    const at = random.whole(5_000, 5_000 + lastMs);
    const leaveMs = random.whole(0, 15);
    const awayMs = random.whole(1_000, 8_000);
    world.at(at, () => {
      registration.refresh();
      world.after(leaveMs, () => registration.wish(false));
      world.after(leaveMs + awayMs, () => registration.wish(true));
    });
  }
}

/** What a phone says just before a cell falls silent must be heard all the same: there is a call that rings then, and one that stands. */
export function planHurry({ phones, world }: Cluster, random: Random, faults: readonly Fault[]): void {
  const rest = { manner: "answers", cancelMs: undefined, byeBy: "caller", reinviteBy: "nobody", referBy: "nobody" } as const;
  for (const { kind, from } of faults) {
    if ((kind !== "crash a cell" && kind !== "freeze a cell") || random.chance(0.3)) continue;
    for (const [aheadMs, ringMs, talkMs] of [
      [1_000, 5_000, 2_000],
      [1_500, 100, 8_000],
    ] as const) {
      const caller = random.pick(phones);
      const callee = random.pick(phones.filter((phone) => phone !== caller)).user;
      world.at(from - aheadMs, () => {
        if (caller.registration.acknowledged?.isRegistered === true) caller.call({ ...rest, callee, ringMs, talkMs });
      });
    }
    for (const phone of phones) world.at(from - random.whole(5, 45), () => phone.hurry());
  }
}
