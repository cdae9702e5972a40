import { describe, expect, it } from "vitest";
import {
  elderAnswerMs,
  elderOffersMax,
  handedOverMs,
  strayCancelsBurst,
  strayCancelsOfSourceBurst,
  strayCancelsOfSourcePerSecond,
  strayCancelsPerSecond,
} from "../../../actors/limits.ts";
import type { View } from "../../../cluster/group/view.ts";
import { peerDelayMs } from "../../../cluster/limits.ts";
import type { ClusterMap } from "../../../cluster/map/cluster-map.ts";
import { type ActorWorld, messageOf, type TestBackhaul } from "./actor-world.ts";
import { elder, goes, over, two, younger } from "./doubled-world.ts";
import { TestPhone } from "./harness.ts";

const callee = `sip:${goes.user}@example.test`;
/** Sends datagrams, whose source may be forged. */
const stranger = new TestPhone("mallory", "203.0.113.66", 5060);

type Asking = { readonly world: ActorWorld; readonly gateway: TestBackhaul };

/** A younger exchange that serves, with a registered phone. */
function serving(map: ClusterMap = over): Asking {
  const asking = younger(map);
  const { world, gateway } = asking;
  world.take(() => world.askedElders[0]?.answered(true));
  gateway.message(goes.key, goes.register());
  commit(world);
  return asking;
}

/** The elder has been moved, so that no replica of it is in this cell. */
const apart: ClusterMap = {
  ...over,
  cells: [...over.cells, { id: "c", url: "http://c.invalid" }, { id: "d", url: "http://d.invalid" }],
  assignments: [
    { primary: "c", secondary: "d" },
    { primary: "a", secondary: "b" },
  ],
};

function viewWithout(...down: readonly string[]): View {
  const cells = apart.cells.map(({ id }) => ({ id, state: down.includes(id) ? ("down" as const) : ("up" as const) }));
  return { cell: "a", epoch: 2, coordinator: "a", cells, gateways: [], heartbeat: apart.heartbeat, isFenced: false };
}

function commit(world: ActorWorld): void {
  world.advance(2 * peerDelayMs);
  world.answerBatches();
}

function invite(): string {
  return goes.request("INVITE", callee);
}

function invites({ actor }: ActorWorld): number {
  return actor.exchange.store.count("invite");
}

/** What the gateway has been told to have arrived. */
function acknowledged({ frames }: TestBackhaul): number {
  return frames.at(-1)?.ack ?? 0;
}

describe("a request that elders are asked about", () => {
  it("is acknowledged when they have answered, and the peer knows what has come of it", () => {
    const { world, gateway } = serving();
    const before = acknowledged(gateway);
    gateway.message(goes.key, invite());
    commit(world);
    expect([acknowledged(gateway), invites(world)]).toEqual([before, 0]);
    world.take(() => world.offered[0]?.answered(false));
    expect([acknowledged(gateway), invites(world)]).toEqual([before, 1]);
    commit(world);
    expect(acknowledged(gateway)).toBe(before + 1);
  });

  it("is acknowledged when one of them has taken it", () => {
    const { world, gateway } = serving();
    const before = acknowledged(gateway);
    gateway.message(goes.key, invite());
    world.take(() => world.offered[0]?.answered(true));
    expect([acknowledged(gateway), invites(world)]).toEqual([before + 1, 0]);
  });

  it("is not kept for a line of this cell before they have answered, nor answered to one of another cell", () => {
    const { world } = serving();
    const own = world.lineFrame("a.0", [messageOf(goes.key, invite())]);
    const others = world.lineFrame("b.0", [messageOf(goes.key, invite())]);
    commit(world);
    expect(own.answers.map((frame) => frame?.records[0]?.key.split(" ")[0])).toEqual(["0"]);
    expect(others.answers).toEqual([]);
    for (const { answered } of world.offered) world.take(() => answered(false));
    commit(world);
    expect(others.answers).toHaveLength(1);
    const later = world.lineFrame("a.0", [messageOf(goes.key, goes.register())]);
    commit(world);
    // Both records of that line.
    expect(later.answers.map((frame) => frame?.records[0]?.key.split(" ")[0])).toEqual(["2"]);
  });

  it("holds nothing up that comes behind its answer", () => {
    const { world, gateway } = serving();
    const before = acknowledged(gateway);
    gateway.message(goes.key, invite());
    gateway.message(goes.key, invite());
    world.take(() => world.offered[0]?.answered(true));
    expect(acknowledged(gateway)).toBe(before + 1);
    world.take(() => world.offered[1]?.answered(true));
    expect(acknowledged(gateway)).toBe(before + 2);
  });

  it("is for this exchange when one of them is silent for T1, however many they are, and a late answer changes nothing", () => {
    const { world, gateway } = serving(apart);
    gateway.message(goes.key, invite());
    world.advance(elderAnswerMs - 1);
    expect([world.offered.length, invites(world)]).toEqual([2, 0]);
    world.advance(1);
    expect(invites(world)).toBe(1);
    for (const { answered } of world.offered) world.take(() => answered(false));
    commit(world);
    expect([invites(world), world.offered.length, world.thrown]).toEqual([1, 2, []]);
  });

  it("asks both replicas of one in other cells at once, and is theirs when either says so", () => {
    const { world, gateway } = serving(apart);
    gateway.message(goes.key, invite());
    expect(world.offered.map(({ exchange, cells }) => [exchange, cells])).toEqual([
      [0, ["c"]],
      [0, ["d"]],
    ]);
    world.take(() => world.offered[0]?.answered(false));
    expect(invites(world)).toBe(0);
    world.take(() => world.offered[1]?.answered(true));
    world.advance(elderAnswerMs);
    expect(invites(world)).toBe(0);
  });

  it("waits for none that is down", () => {
    const { world, gateway } = serving(apart);
    world.take(() => world.actor.setView(viewWithout("c")));
    gateway.message(goes.key, invite());
    expect(world.offered.map(({ cells }) => cells)).toEqual([["d"]]);
    world.take(() => world.offered[0]?.answered(false));
    world.take(() => world.actor.setView(viewWithout("c", "d")));
    gateway.message(goes.key, invite());
    expect([world.offered.length, invites(world)]).toEqual([1, 2]);
  });

  it("is one of so many, while an elder is silent; over that it is for this exchange at once", () => {
    const { world, gateway } = serving();
    const flood = Array.from({ length: elderOffersMax + 1 }, () => messageOf(goes.key, invite()));
    gateway.give(flood);
    expect([world.offered.length, invites(world)]).toEqual([elderOffersMax, 1]);
  });

  it("is nobody's when this cell has no replica any more", () => {
    const { world, gateway } = serving(apart);
    gateway.message(goes.key, invite());
    const moved: ClusterMap = {
      ...apart,
      version: 4,
      assignments: [
        { primary: "c", secondary: "d" },
        { primary: "b", secondary: "d" },
      ],
    };
    world.take(() => world.actor.setMap(moved));
    for (const { answered } of world.offered) world.take(() => answered(false));
    world.advance(elderAnswerMs);
    expect([invites(world), world.thrown]).toEqual([0, []]);
  });
});

function cancels(phone: TestPhone, { gateway }: Asking, count: number): void {
  for (let sent = 0; sent < count; sent += 1) gateway.message(phone.key, phone.request("CANCEL", callee));
}

const strangers = Array.from({ length: 10 }, (_, index) => new TestPhone("mallory", `203.0.113.${index + 1}`, 5060));

/** As many of each. */
function cancelsOfMany(asking: Asking, count: number): void {
  for (const each of strangers) cancels(each, asking, count / strangers.length);
}

describe("CANCELs that belong to nothing", () => {
  it("make the exchange ask so many times at once, and then a second; all are answered", () => {
    const asking = serving();
    const { world } = asking;
    cancelsOfMany(asking, strayCancelsBurst + 20);
    expect(world.offered).toHaveLength(strayCancelsBurst);
    for (const { answered } of world.offered) world.take(() => answered(false));
    expect(asking.gateway.texts.filter((text) => /^SIP\/2\.0 (?:200|481) [^]*CSeq: \d+ CANCEL/.test(text))).toHaveLength(
      strayCancelsBurst + 20,
    );
    world.advance(1_000);
    cancelsOfMany(asking, strayCancelsPerSecond + 20);
    expect(world.offered).toHaveLength(strayCancelsBurst + strayCancelsPerSecond);
  });

  it("do not take the place of those that come over connections", () => {
    const asking = serving();
    cancelsOfMany(asking, strayCancelsBurst + 10);
    cancels(goes, asking, 1);
    expect(asking.world.offered).toHaveLength(strayCancelsBurst + 1);
  });

  it("of one source are a share of them, and the others have theirs", () => {
    const asking = serving();
    const { world } = asking;
    cancels(stranger, asking, strayCancelsBurst);
    expect(world.offered).toHaveLength(strayCancelsOfSourceBurst);
    world.advance(1_000);
    cancels(stranger, asking, strayCancelsBurst);
    expect(world.offered).toHaveLength(strayCancelsOfSourceBurst + strayCancelsOfSourcePerSecond);
    cancelsOfMany(asking, 100);
    expect(world.offered).toHaveLength(strayCancelsOfSourceBurst + strayCancelsOfSourcePerSecond + 100);
  });

  it("are not those that belong to an INVITE of an elder's", () => {
    const asking = serving();
    const { world } = asking;
    for (let sent = 1; sent <= 2 * strayCancelsBurst; sent += 1) {
      cancels(stranger, asking, 1);
      expect(world.offered).toHaveLength(sent);
      world.take(() => world.offered.at(-1)?.answered(true));
    }
  });
});

/** An elder of which nothing is left that is the younger one's. */
function emptied(): Asking {
  const asking = elder();
  const { world } = asking;
  world.take(() => world.actor.setMap(two));
  world.take(() => world.given[0]?.answered(true));
  world.advance(handedOverMs);
  return asking;
}

describe("a request that an elder passes on", () => {
  it("is acknowledged when the younger one has it, or was waited for", () => {
    const { world, gateway } = emptied();
    const before = acknowledged(gateway);
    gateway.message(goes.key, invite());
    commit(world);
    expect([world.offered.map(({ isSure, cells }) => [isSure, cells]), acknowledged(gateway)]).toEqual([[[true, ["a", "b"]]], before]);
    world.take(() => world.offered[0]?.answered(true));
    expect(acknowledged(gateway)).toBe(before + 1);
    gateway.message(goes.key, invite());
    commit(world);
    expect(acknowledged(gateway)).toBe(before + 1);
    world.advance(elderAnswerMs);
    expect(acknowledged(gateway)).toBe(before + 2);
  });
});
