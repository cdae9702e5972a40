import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Transport } from "../../../sip/flow/flow.ts";
import { DialogCall, one } from "./dialog-call.ts";
import { answer, startedAt, TestExchange, TestPhone } from "./harness.ts";

/** Somebody that no token of the call may reach: at an address, in DNS, and registered here. */
const carrier = "198.51.100.99:5062";
const eve = new TestPhone("eve", "198.51.100.66", 5066);
const carol = new TestPhone("carol", "203.0.113.30", 5090);

type Place = readonly [Transport, access: string];
const places: readonly Place[] = [
  ["UDP", "g1"],
  ["TCP", "g1"],
  ["TLS", "g1"],
  ["WS", "a.0"],
];

/**
 * What its exchange knows of a call: an INVITE in progress; a record, here, at the other replica or after a start with what was on the disk; that it has
 * ended; nothing, because both replicas have started anew, or because this one is the other one and was never told.
 */
const states = ["early", "confirmed", "taken over", "started again", "ended", "anew", "untold"] as const;
type State = (typeof states)[number];

/** Who of the two is from outside. */
const kinds = ["nobody outside", "callee outside", "caller outside"] as const;
type Kind = (typeof kinds)[number];

type Scene = { readonly call: DialogCall; readonly world: TestExchange; readonly other: DialogCall; readonly kind: Kind };

const fromMallory = "From: <sip:mallory@evil.invalid>;tag=caller-tag";

/** A call of alice's to bob, of hers to a server outside, or of somebody outside to bob; another one of the caller's; and carol, who has nothing to do with it. */
function sceneOf(state: State, from: Place, to: Place, kind: Kind): Scene {
  const first = new TestExchange();
  const isCallerOutside = kind === "caller outside";
  const caller = isCallerOutside ? new TestPhone("mallory", "198.51.100.77", 5077) : new TestPhone("alice", "198.51.100.7", 5070, ...from);
  const isCalleeOutside = kind === "callee outside";
  const callee = isCalleeOutside ? new TestPhone("100", "203.0.113.20", 5060) : new TestPhone("bob", "203.0.113.9", 5080, ...to);
  const users = [...(isCallerOutside ? [] : [caller]), ...(isCalleeOutside ? [] : [callee]), carol];
  for (const each of users) one(first.receive(each.key, each.register(), each.access), "SIP/2.0 200");
  const as = isCallerOutside ? { from: fromMallory } : {};
  const call = new DialogCall(first, caller, callee, { ...as, ...(isCalleeOutside ? { uri: "sip:100@203.0.113.20" } : {}) });
  call.answer(first, 183);
  const other = new DialogCall(first, caller, carol, { ...as, callId: "the-other-call", uri: "sip:carol@example.test" });
  other.answer(first, 200);
  if (state === "early") return { call, world: first, other, kind };
  call.answer(first, 200);
  one(call.send(first, "ACK", "caller"), "ACK");
  if (state === "ended") {
    const bye = one(call.send(first, "BYE", "caller"), "BYE");
    one(first.receive(callee.key, answer(bye.message, 200, "x"), callee.access), "SIP/2.0 200");
  }
  if (state === "ended" || state === "confirmed") return { call, world: first, other, kind };
  const isElsewhere = state === "taken over" || state === "untold";
  const world = new TestExchange("open", { now: startedAt + 60_000, ...(isElsewhere ? { cell: "b" } : {}) });
  const { records } = first.exchange.store.changedSince(0, 1_000);
  if (state === "taken over") for (const record of records) world.exchange.applyFromPeer(record, world.now);
  if (state === "started again") for (const record of records) world.exchange.restore(record);
  for (const each of users) one(world.receive(each.key, each.register(), each.access), "SIP/2.0 200");
  expect(world.exchange.counts(world.now).dialogs).toBe(state === "taken over" || state === "started again" ? 2 : 0);
  return { call, world, other, kind };
}

/** What is another than the call's own, given what the caller would send; `nobody`: it must not even reach the call's phones. */
type Change = { readonly nobody: boolean; readonly of: (text: string, scene: Scene) => string };

const route = /^Route: <(sips?):([^@]*)@([^:;>]*)(:\d+)?([^>]*)>/m;

function inRoute(change: (parts: { scheme: string; user: string; host: string; port: string; rest: string }) => object): Change["of"] {
  return (text) =>
    text.replace(route, (_all: string, scheme: string, user: string, host: string, port = "", rest = "") => {
      const parts = { scheme, user, host, port, rest };
      const next = { ...parts, ...change(parts) };
      return `Route: <${next.scheme}:${next.user}@${next.host}${next.port}${next.rest}>`;
    });
}

/** The token in the second of two Routes, if there are two. */
function inSecond(change: (user: string) => string): Change["of"] {
  return (text) =>
    text.replace(/^(Route: .*\r\nRoute: <sips?:)([^@]*)@/m, (_all, before: string, user: string) => `${before}${change(user)}@`);
}

/** One of the parts of the token that `*` separates. */
function inToken(index: number, value: (part: string, parts: readonly string[]) => string): Change {
  const of = inRoute(({ user }) => {
    const parts = user.split("*");
    return { user: parts.map((part, at) => (at === index ? value(part, parts) : part)).join("*") };
  });
  return { nobody: true, of };
}

const withUri =
  (uri: string): Change["of"] =>
  (text) =>
    text.replace(/^(\S+) \S+/, `$1 ${uri}`);
const behindRoutes =
  (value: string): Change["of"] =>
  (text) =>
    text.replace("\r\n\r\n", `\r\nRoute: ${value}\r\n\r\n`);

const changes: Readonly<Record<string, Change>> = {
  "Call-ID": { nobody: true, of: (text) => text.replace(/^Call-ID: .*/m, "Call-ID: another") },
  "another Call-ID of his": { nobody: true, of: (text) => text.replace(/^Call-ID: .*/m, "Call-ID: the-other-call") },
  "both tags": { nobody: true, of: (text) => text.replaceAll(/;tag=[^\r]*/g, (tag, at) => (tag === "" ? "" : `;tag=x${String(at)}`)) },
  "caller's tag": { nobody: true, of: (text) => text.replace("tag=caller-tag", "tag=caller-tag2") },
  "equal tags": { nobody: true, of: (text) => text.replace("tag=callee-tag", "tag=caller-tag") },
  "no caller's tag": { nobody: true, of: (text) => text.replace(";tag=caller-tag", "") },
  "callee's tag": { nobody: false, of: (text) => text.replace("tag=callee-tag", "tag=another") },
  direction: {
    nobody: false,
    of: (text) => text.replaceAll(/tag=calle([er])-tag/g, (_all, last: string) => `tag=calle${last === "r" ? "e" : "r"}-tag`),
  },
  exchange: inToken(1, (part) => (part === "0" ? "1" : "0")),
  cell: inToken(2, () => "b"),
  time: inToken(3, (part) => (Number.parseInt(part, 36) - 100).toString(36)),
  "caller's flow": inToken(4, () => "g1~u0..c633646313c6"),
  "callee's flow": inToken(5, () => "g1~u0..c633646313c6"),
  "no flow": inToken(5, () => ""),
  "flows in each other's place": inToken(4, (_part, parts) => parts[5] ?? ""),
  signature: inToken(6, (part) => `${part.startsWith("0") ? "1" : "0"}${part.slice(1)}`),
  "version of the token": inToken(0, () => "td1"),
  "transport of the Route": {
    nobody: false,
    of: inRoute(({ rest }) => ({ rest: rest.replace(/;transport=\w+/, "").replace(";lr", ";transport=tls;lr") })),
  },
  "scheme of the Route": { nobody: false, of: inRoute(() => ({ scheme: "sips" })) },
  "host of the Route": { nobody: false, of: inRoute(() => ({ host: "198.51.100.99" })) },
  "domain of the Route": { nobody: false, of: inRoute(() => ({ host: "carrier.invalid", port: "" })) },
  "port of the Route": { nobody: false, of: inRoute(() => ({ port: ":5062" })) },
  "maddr of the Route": { nobody: false, of: inRoute(({ rest }) => ({ rest: `${rest};maddr=198.51.100.99` })) },
  "Request-URI: an address": { nobody: false, of: withUri(`sip:0044900123456@${carrier}`) },
  "Request-URI: a name": { nobody: false, of: withUri("sip:0044900123456@carrier.invalid") },
  "Request-URI: another user of ours": { nobody: false, of: withUri("sip:carol@example.test") },
  "Request-URI: another phone of ours": { nobody: false, of: withUri(carol.contact.slice(1, -1)) },
  "Request-URI with maddr": { nobody: false, of: (text) => text.replace(/^(\S+) (\S+)/, "$1 $2;maddr=198.51.100.99") },
  "To: another user of ours": {
    nobody: false,
    of: (text) => withUri(carol.contact.slice(1, -1))(text, {} as Scene).replace(/^To: <[^>]*>/m, "To: <sip:carol@example.test>"),
  },
  "From: another user of ours": { nobody: false, of: (text) => text.replace(/^From: <[^>]*>/m, "From: <sip:carol@example.test>") },
  "a Route behind": { nobody: false, of: behindRoutes(`<sip:${carrier};lr>`) },
  "a strict Route behind": { nobody: false, of: behindRoutes(`<sip:${carrier}>`) },
  "a named Route behind": { nobody: false, of: behindRoutes("<sip:carrier.invalid;lr>") },
  "the other call's token behind": { nobody: false, of: (text, { other }) => behindRoutes(other.recorded[0] ?? "")(text, {} as Scene) },
  "the other call's token instead": {
    nobody: true,
    of: (text, { other }) => text.replaceAll(/^Route: .*\r\n/gm, "").replace("\r\n\r\n", `\r\nRoute: ${other.recorded[0] ?? ""}\r\n\r\n`),
  },
  "as a strict router would send it, to somebody else": {
    nobody: false,
    of: (text) => {
      const token = /^Route: <([^>]*)>/m.exec(text)?.[1] ?? "";
      return behindRoutes(`<sip:${carrier}>`)(withUri(token)(text.replaceAll(/^Route: .*\r\n/gm, ""), {} as Scene), {} as Scene);
    },
  },
  "the second of two Routes: signature": { nobody: false, of: inSecond((user) => `${user.slice(0, -1)}${user.endsWith("0") ? "1" : "0"}`) },
  "the second of two Routes: no token": { nobody: false, of: inSecond(() => "x") },
  "the second of two Routes: the other call's": {
    nobody: false,
    of: (text, scene) => inSecond(() => /<sips?:([^@]*)@/.exec(scene.other.recorded[0] ?? "")?.[1] ?? "")(text, scene),
  },
  "the first Route twice": { nobody: false, of: (text) => text.replace(/^Route: .*\r\n/m, (line) => line + line) },
  "the last Route only": {
    nobody: false,
    of: (text) => text.replace(/^(?:Route: .*\r\n)+/m, (lines) => lines.slice(lines.lastIndexOf("Route:"))),
  },
  "no Route, to somebody else": {
    nobody: false,
    of: (text) => withUri(`sip:x@${carrier}`)(text.replaceAll(/^Route: .*\r\n/gm, ""), {} as Scene),
  },
};

const methods = ["INVITE", "ACK", "BYE", "MESSAGE", "NOTIFY", "REFER", "SUBSCRIBE", "INFO", "PRACK", "UPDATE", "OPTIONS"];

/**
 * Sends a request with one thing changed, and says whom it reaches that it must not. `isOwn`: whoever is outside sends it himself, from where he is; else
 * somebody who has got hold of the token.
 */
function reaches(change: Change, scene: Scene, method: string, by: "caller" | "callee", isOwn: boolean): string[] {
  const { call, world, kind } = scene;
  const fromOutside = { fromUri: "sip:eve@evil.invalid", headers: [] };
  const text = change.of(call.request(method, by, by === "caller" ? {} : fromOutside), scene);
  const { length } = world.sent;
  if (isOwn && kind === `${by} outside`) world.receive(call[by].key, text, call[by].access);
  else world.receive(eve.key, text.replaceAll(/^Via: .*/gm, `Via: ${eve.via};branch=z9hG4bKeve`));
  world.advance(40_000);
  const sent = world.sent.slice(length).filter(({ message }) => message.isRequest && message.callId !== "another-register");
  const allowed = change.nobody ? [] : [call.caller.key, call.callee.key];
  const wrong = sent.filter(({ key }) => !allowed.includes(key)).map(({ key, message }) => `${key} ${message.method}`);
  return [...wrong, ...world.resolving.map(({ uri }) => `asked for ${uri}`)];
}

describe("a genuine token with any one thing changed", () => {
  it.each(Object.entries(changes))("%s: reaches nobody that the dialog's own would not have reached", (_name, change) => {
    const scenes = fc.tuple(fc.constantFrom(...states), fc.constantFrom(...places), fc.constantFrom(...places), fc.constantFrom(...kinds));
    fc.assert(
      fc.property(
        scenes,
        fc.constantFrom(...methods),
        fc.constantFrom("caller" as const, "callee" as const),
        fc.boolean(),
        (which, method, by, isOwn) => {
          expect(reaches(change, sceneOf(...which), method, by, isOwn)).toEqual([]);
        },
      ),
      { numRuns: 25 },
    );
  });

  const named = [
    "Call-ID",
    "caller's tag",
    "callee's tag",
    "direction",
    "caller's flow",
    "callee's flow",
    "transport of the Route",
    "domain of the Route",
  ];
  const all = named.flatMap((name) => states.map((state) => [name, state] as const));

  it.each(all)("%s, %s: whoever sends whatever, and whoever of the two is outside", (name, state) => {
    const change = changes[name];
    if (change === undefined) throw new Error(name);
    for (const kind of kinds) {
      for (const by of ["caller", "callee"] as const) {
        for (const isOwn of kind === `${by} outside` ? [true, false] : [false]) {
          for (const method of ["INVITE", "BYE", "MESSAGE"]) {
            const scene = sceneOf(state, ["UDP", "g1"], ["WS", "a.0"], kind);
            expect([kind, by, method, reaches(change, scene, method, by, isOwn)]).toEqual([kind, by, method, []]);
          }
        }
      }
    }
  });

  it("unchanged, reaches the other side of a call that stands", () => {
    for (const from of places) {
      for (const to of places) {
        for (const state of states.filter((each) => each !== "ended")) {
          for (const kind of kinds) {
            const { call, world } = sceneOf(state, from, to, kind);
            // A stranger has no more than the call's own to say before it is answered.
            const method = state === "early" ? "UPDATE" : "INFO";
            expect([state, kind, one(call.send(world, method, "caller"), method).key]).toEqual([state, kind, call.callee.key]);
            expect([state, kind, one(call.send(world, method, "callee"), method).key]).toEqual([state, kind, call.caller.key]);
          }
        }
      }
    }
  });
});

/** What a genuine token carries of a stranger, by what is known of its call. */
const ofCall = ["ACK", "BYE", "PRACK", "UPDATE"];
const answered = [...ofCall, "INFO", "INVITE", "MESSAGE", "OPTIONS", "REFER"];
const byToken = [...ofCall, "INFO", "INVITE"];
const carried: Readonly<Record<State, readonly string[]>> = {
  early: ofCall,
  confirmed: answered,
  "taken over": answered,
  "started again": answered,
  ended: ["ACK", "BYE"],
  anew: byToken,
  untold: byToken,
};

describe("a genuine token in the hands of the stranger whose call it is", () => {
  const all = [...methods, "PUBLISH", "REGISTER", "FOO"];
  const said = ["Alert-Info: Auto Answer", "Referred-By: <sip:carol@example.test>", "Event: dialog"];

  it.each(states)("%s: carries what such a call needs, without what makes phones act", (state) => {
    for (const kind of ["caller outside", "callee outside"] as const) {
      const by = kind === "caller outside" ? "caller" : "callee";
      for (const method of all) {
        const { call, world } = sceneOf(state, ["UDP", "g1"], ["UDP", "g1"], kind);
        const sent = call.send(world, method, by, { headers: said }).filter(({ message }) => message.isRequest);
        // A NOTIFY may be of what a user of ours has subscribed to before nobody knew of it any more.
        const isNotified = method === "NOTIFY" && by === "callee" && (state === "anew" || state === "untold");
        const isCarried = isNotified || carried[state].includes(method);
        expect([kind, method, sent.map(({ message }) => message.method)]).toEqual([kind, method, isCarried ? [method] : []]);
        for (const { text } of sent) expect(text).not.toMatch(/Alert-Info|Referred-By/);
      }
    }
  });
});
