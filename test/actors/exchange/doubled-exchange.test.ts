import { describe, expect, it } from "vitest";
import { elderAskedMs, elderTriesMax, handedOverMs, handOverRetryMs } from "../../../actors/limits.ts";
import type { ClusterMap } from "../../../cluster/map/cluster-map.ts";
import { doubled } from "../../../cluster/map/doubling.ts";
import { parseBatch } from "../../../cluster/replication/peer-batch.ts";
import type { StateRecord } from "../../../sip/record/state-record.ts";
import { ActorWorld, messageOf } from "./actor-world.ts";
import { elder, goes, one, over, stays, two, younger } from "./doubled-world.ts";

function recordsIn(batch: string | undefined): readonly StateRecord[] {
  const parsed = parseBatch(batch ?? "");
  return "records" in parsed ? parsed.records : [];
}

function usersIn({ actor }: ActorWorld): string[] {
  return [...actor.exchange.store.records("binding")].map(({ value }) => value.addressOfRecord.split("@")[0] ?? "");
}

describe("an exchange of which there are twice as many", () => {
  it("brings what belongs to the younger one, goes on with what it has, and forgets that later without a tombstone", () => {
    const { world, gateway } = elder();
    world.take(() => world.actor.setMap(two));
    expect(world.given.map(({ exchange, batch }) => [exchange, recordsIn(batch).length])).toEqual([[1, 1]]);
    expect(world.happened).not.toContain("handed over: 2");
    world.take(() => world.given[0]?.answered(true));
    expect(world.happened).toContain("handed over: 2");
    expect(gateway.closed).toEqual([]);
    // Whoever has an older map is served as before.
    gateway.message(goes.key, goes.register());
    expect(gateway.texts.filter((text) => text.startsWith("SIP/2.0 200 "))).toHaveLength(2);
    world.answerBatches();
    expect(world.given.map(({ exchange }) => exchange)).toEqual([1, 1]);
    world.take(() => world.given[1]?.answered(true));
    expect(usersIn(world)).toHaveLength(2);
    world.advance(handedOverMs + 3_000);
    expect(usersIn(world)).toEqual([stays.user]);
    expect([...world.actor.exchange.store.changesAfter(0)].map(({ record }) => record.value === undefined)).toEqual([false]);
    expect(world.actor.exchange.registrations(undefined, world.now).map(({ aor }) => aor)).toEqual([`${stays.user}@example.test`]);
  });

  it("lists each registration in one exchange only, at every moment", () => {
    const { world } = elder();
    world.take(() => world.actor.setMap(two));
    expect(world.actor.exchange.registrations(undefined, world.now).map(({ aor }) => aor)).toEqual([`${stays.user}@example.test`]);
  });

  it("counts each registration in one exchange only, at every moment", () => {
    const { world } = elder();
    const counted = (): number => world.actor.exchange.counts(world.now).registrations;
    expect(counted()).toBe(2);
    world.take(() => world.actor.setMap(two));
    expect([counted(), usersIn(world).length]).toEqual([1, 2]);
    world.take(() => world.given[0]?.answered(true));
    expect([counted(), usersIn(world).length]).toEqual([1, 2]);
    world.advance(handedOverMs + 3_000);
    expect([counted(), usersIn(world).length]).toEqual([1, 1]);
  });

  it("brings it again when it was not taken, and says nothing before", () => {
    const { world } = elder();
    world.take(() => world.actor.setMap(two));
    world.take(() => world.given[0]?.answered(false));
    world.advance(handOverRetryMs);
    expect(world.given).toHaveLength(2);
    expect(world.happened).not.toContain("handed over: 2");
  });

  it("passes on what comes for the younger one when nothing of it is here any more", () => {
    const { world, gateway } = elder();
    world.take(() => world.actor.setMap(two));
    world.take(() => world.given[0]?.answered(true));
    world.advance(handedOverMs);
    expect(world.actor.exchange.isElsewhere(`${goes.user}@example.test`)).toBe(true);
    expect(world.actor.exchange.isElsewhere(`${stays.user}@example.test`)).toBe(false);
    gateway.message(goes.key, goes.register());
    gateway.message(stays.key, stays.register());
    world.answerBatches();
    expect(world.offered.map(({ exchange, access, isSure }) => [exchange, access, isSure])).toEqual([[1, "g1", true]]);
    expect(usersIn(world)).toEqual([stays.user]);
  });

  it("tells a younger one that starts when it has all, at once where there is nothing", () => {
    const { world } = elder();
    const told: string[] = [];
    world.take(() => world.actor.setMap(two));
    world.take(() => world.actor.handOver(() => told.push("all")));
    expect(told).toEqual([]);
    world.take(() => world.given[0]?.answered(true));
    expect(told).toEqual(["all"]);
    world.take(() => world.actor.handOver(() => told.push("again")));
    expect(told).toEqual(["all", "again"]);
  });

  it("takes what belongs to an INVITE in hand, and nothing else", () => {
    const { world, gateway } = elder();
    const invite = stays.request("INVITE", `sip:${goes.user}@example.test`);
    gateway.message(stays.key, invite);
    world.answerBatches();
    world.take(() => world.actor.setMap(two));
    const taken: boolean[] = [];
    const offer = (text: string): void =>
      world.take(() => world.actor.takeOffered("g1", messageOf(stays.key, text), false, (isTaken) => taken.push(isTaken)));
    offer(invite);
    offer(invite.replaceAll("INVITE", "CANCEL"));
    offer(stays.request("INVITE", `sip:${goes.user}@example.test`));
    expect(taken).toEqual([true, true, false]);
    world.answerBatches();
    expect(gateway.texts.some((text) => text.startsWith("SIP/2.0 200 ") && text.includes(" CANCEL\r\n"))).toBe(true);
  });
});

describe("an exchange that has come from another one", () => {
  it("serves nobody before that has told what it has", () => {
    const { world: old } = elder();
    old.take(() => old.actor.setMap(two));
    const { world, gateway } = younger();
    gateway.message(goes.key, goes.register());
    expect([world.actor.isServing, gateway.texts]).toEqual([false, []]);
    expect(world.askedElders.map(({ exchange }) => exchange)).toEqual([0]);
    world.take(() => expect(world.actor.takeHandedOver(old.given[0]?.batch ?? "")).toBe(true));
    expect(usersIn(world)).toEqual([goes.user]);
    world.take(() => world.askedElders[0]?.answered(true));
    world.answerBatches();
    expect([world.actor.isServing, gateway.texts.length]).toEqual([true, 1]);
  });

  it("asks again, and goes on in the end without one that never answers", () => {
    const { world } = younger();
    world.take(() => world.askedElders[0]?.answered(false));
    world.advance(handOverRetryMs);
    expect(world.askedElders).toHaveLength(2);
    for (let tries = 1; tries < 60; tries += 1) {
      world.take(() => world.askedElders[tries]?.answered(false));
      world.advance(handOverRetryMs);
    }
    expect([world.actor.isServing, world.warned]).toEqual([
      true,
      ["exchange 1: exchange 0, which it comes from, does not tell what it has"],
    ]);
  });

  it("asks whether an INVITE is in hand there, goes on with those that are not, and with all after a while", () => {
    const { world, gateway } = younger(over);
    world.take(() => world.askedElders[0]?.answered(true));
    gateway.message(goes.key, goes.register());
    world.answerBatches();
    const invite = goes.request("INVITE", `sip:${goes.user}@example.test`);
    gateway.message(goes.key, invite);
    expect(world.offered.map(({ exchange, isSure }) => [exchange, isSure])).toEqual([[0, false]]);
    expect(world.actor.exchange.store.count("invite")).toBe(0);
    world.take(() => world.offered[0]?.answered(false));
    expect(world.actor.exchange.store.count("invite")).toBe(1);
    // A copy belongs to that one.
    gateway.message(goes.key, invite);
    expect(world.offered).toHaveLength(1);
    gateway.message(goes.key, stays.request("CANCEL", `sip:${goes.user}@example.test`));
    expect(world.offered).toHaveLength(2);
    world.advance(elderAskedMs + 1);
    gateway.message(goes.key, goes.request("INVITE", `sip:${goes.user}@example.test`));
    world.answerBatches();
    expect(world.offered).toHaveLength(2);
  });

  it("serves when its elder has told all, with no peer, in a cell that the elder was moved to before", () => {
    // A system whose first cells were removed since.
    const moved: ClusterMap = { ...one, founders: ["", ""], assignments: [{ primary: "a", secondary: "b" }] };
    const world = new ActorWorld({ exchange: 1, map: { ...moved, ...doubled(moved), version: 2 } });
    world.advance(10_000);
    expect(world.actor.isServing).toBe(false);
    world.take(() => world.askedElders[0]?.answered(true));
    world.advance(10_000);
    expect([world.actor.isServing, world.actor.pairState]).toEqual([true, "lagging"]);
    // A later start asks nobody without end.
    expect(world.writtenMemory).toBeDefined();
  });

  it("waits for its peer there when its elder has not told all", () => {
    const moved: ClusterMap = { ...one, founders: ["", ""], assignments: [{ primary: "a", secondary: "b" }] };
    const world = new ActorWorld({ exchange: 1, map: { ...moved, ...doubled(moved), version: 2 } });
    for (let tries = 0; tries < elderTriesMax; tries += 1) {
      world.take(() => world.askedElders[tries]?.answered(false));
      world.advance(handOverRetryMs);
    }
    world.advance(10_000);
    expect(world.actor.isServing).toBe(false);
    world.join();
    expect(world.actor.isServing).toBe(true);
  });

  it("is told nothing by an elder that has nothing yet, and waits to be told itself", () => {
    const moved: ClusterMap = { ...one, founders: ["", ""], assignments: [{ primary: "a", secondary: "b" }] };
    const world = new ActorWorld({ map: { ...moved, ...doubled(moved), version: 2 } });
    const told: string[] = [];
    world.take(() => world.actor.handOver(() => told.push("all")));
    world.advance(10_000);
    expect(told).toEqual([]);
    world.join();
    expect(told).toEqual(["all"]);
  });

  it("is no replica that takes records where the map has none", () => {
    const world = new ActorWorld({ exchange: 1, cell: "c", map: { ...two, cells: [...two.cells, { id: "c", url: "http://c.invalid" }] } });
    expect(world.actor.takeHandedOver("{}")).toBe(false);
    expect(world.askedElders).toEqual([]);
  });
});
