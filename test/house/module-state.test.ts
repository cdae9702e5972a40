import { describe, expect, it } from "vitest";
import { codeOf, sourcesOf } from "./sources.ts";

/** `let` and `var` at the top of a module. */
const variable = /^(?:export )?(?:let|var) (\w+)/gm;
/** A collection that is not declared readonly. Typed arrays and codecs of the platform are constants here. */
const collection =
  /^(?:export )?const (\w+)(?:: (?!readonly |Readonly)[^=\n]*(?:\[\]|(?:Map|Set|Record)<[^\n]*>))? = (?:new (?:Map|Set|WeakMap|WeakSet|Array)\b|\[(?![^;]*\] as const;)|Array\.from)/gm;
/** A constant that is declared to be changed: the type says so, whatever it begins with. */
const declared = /^(?:export )?const (\w+): (?!readonly |Readonly)(?:[^=\n]*\[\]|(?:Map|Set|WeakMap|Record)<[^\n]*>) =/gm;

/** What a module keeps from one call to the next, by file and name. */
const exceptions: Readonly<Record<string, string>> = {
  "sip/flow/flow.ts latest": "the flow that was read last: a message asks for it again and again",
  "sip/flow/flow.ts earlier": "the one before",
  "sip/message/plain-params.ts found": "one array for all readings: nothing is allocated for a message",
  "sip/message/plain-params.ts foundEnd": "where that reading ended",
  "sip/message/scan.ts scratch": "one array for all scans, which has grown already",
  "sip/message/octets.ts codes": "one block for all texts that are made of octets",
  "sip/proxy/snapshot.ts texts": "texts of INVITEs by message, which do not change",
  "cluster/map/cluster-map.ts spelled": "aliases of a map in one spelling, which do not change",
  "workers/environment.ts latest": "the cluster map that was read last, which does not change",
  "workers/exchange/rest.ts resting": "outlives the sleep of an object on purpose: see there",
  "bench/cost/meter.ts worker": "the count of a process: one workerd process has one",
  "bench/cost/meter.ts objects": "the same, by class of object",
  "bench/cost/meter.ts open": "cursors of queries, whose rows are read later",
  "bench/cost/meter.ts timers": "timers that are set, by the object that has set them",
  "bench/cost/meter.ts outgoing": "requests that are not answered, by object",
  "bench/cost/meter.ts spans": "until when objects that are awake are counted so",
  "bench/null-proxy/gateway.ts waiting": "a program: what waits for the next frame",
  "bench/null-proxy/gateway.ts waitingOctets": "its octets",
  "bench/null-proxy/gateway.ts unanswered": "frames of that program that are under way",
  "bench/null-proxy/gateway.ts timer": "when its next frame leaves",
  "bench/parse.ts sink": "keeps the engine from leaving out what is measured",
  "bench/softphones.ts phones": "a program: the phones that it has connected",
};

describe("a module", () => {
  it("keeps no state, but for what is named here", () => {
    const found = ["sip", "cluster", "actors", "schemas", "workers", "gateway", "kit", "cli", "bench"]
      .flatMap(sourcesOf)
      .flatMap((file) => {
        const code = codeOf(file);
        const names = [variable, collection, declared].flatMap((pattern) => [...code.matchAll(pattern)].map((match) => match[1] ?? ""));
        return Array.from(new Set(names), (name) => `${file} ${name}`);
      });
    expect(found.filter((state) => exceptions[state] === undefined)).toEqual([]);
    expect(Object.keys(exceptions).filter((state) => !found.includes(state))).toEqual([]);
  });
});
