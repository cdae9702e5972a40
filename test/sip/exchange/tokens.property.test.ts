import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Transport } from "../../../sip/transport/flow.ts";
import { DialogCall, one } from "./dialog-call.ts";
import { answer, startedAt, TestExchange, TestPhone } from "./harness.ts";

/** Somebody that no token of the call may reach: at an address, in DNS, and registered here. */
const carrier = "198.51.100.99:5062";
const eve = new TestPhone("eve", "198.51.100.66", 5066);
const carol = new TestPhone("carol", "203.0.113.30", 5090);

const places: readonly (readonly [Transport, access: string])[] = [
  ["UDP", "g1"],
  ["TCP", "g1"],
  ["WS", "a.0"],
];

type State = "early" | "confirmed" | "ended" | "anew";

type Scene = { readonly call: DialogCall; readonly world: TestExchange; readonly other: DialogCall; readonly isOutside: boolean };

/** A call of alice's to bob, or to a server outside, and another one of hers; and carol, who has nothing to do with either. */
function sceneOf(state: State, from: (typeof places)[number], to: (typeof places)[number], isOutside: boolean): Scene {
  const first = new TestExchange();
  const alice = new TestPhone("alice", "198.51.100.7", 5070, ...from);
  const bob = isOutside ? new TestPhone("100", "203.0.113.20", 5060) : new TestPhone("bob", "203.0.113.9", 5080, ...to);
  const users = isOutside ? [alice, carol] : [alice, bob, carol];
  for (const each of users) one(first.receive(each.key, each.register(), each.access), "SIP/2.0 200");
  const uri = isOutside ? { uri: "sip:100@203.0.113.20" } : {};
  const call = new DialogCall(first, alice, bob, uri);
  call.answer(first, 183);
  const other = new DialogCall(first, alice, carol, { callId: "the-other-call", uri: "sip:carol@example.test" });
  other.answer(first, 200);
  if (state === "early") return { call, world: first, other, isOutside };
  call.answer(first, 200);
  one(call.send(first, "ACK", "caller"), "ACK");
  if (state === "ended") {
    const bye = one(call.send(first, "BYE", "caller"), "BYE");
    one(first.receive(bob.key, answer(bye.message, 200, "x"), bob.access), "SIP/2.0 200");
  }
  if (state !== "anew") return { call, world: first, other, isOutside };
  const world = new TestExchange("open", { now: startedAt + 60_000 });
  for (const each of users) one(world.receive(each.key, each.register(), each.access), "SIP/2.0 200");
  return { call, world, other, isOutside };
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
  "no Route, to somebody else": {
    nobody: false,
    of: (text) => withUri(`sip:x@${carrier}`)(text.replaceAll(/^Route: .*\r\n/gm, ""), {} as Scene),
  },
};

const methods = ["INVITE", "ACK", "BYE", "MESSAGE", "NOTIFY", "REFER", "SUBSCRIBE", "INFO", "PRACK", "UPDATE", "OPTIONS"];

describe("a genuine token with any one thing changed", () => {
  it.each(Object.entries(changes))("%s: reaches nobody that the dialog's own would not have reached", (_name, change) => {
    const states = fc.constantFrom<State>("early", "confirmed", "ended", "anew");
    const scenes = fc.tuple(states, fc.constantFrom(...places), fc.constantFrom(...places), fc.boolean());
    fc.assert(
      fc.property(scenes, fc.constantFrom(...methods), fc.constantFrom("caller" as const, "callee" as const), (which, method, by) => {
        const scene = sceneOf(...which);
        const { call, world } = scene;
        const fromOutside = { fromUri: "sip:eve@evil.invalid", headers: [] };
        const text = change.of(call.request(method, by, by === "caller" ? {} : fromOutside), scene);
        const { length } = world.sent;
        world.receive(eve.key, text.replaceAll(/^Via: .*/gm, `Via: ${eve.via};branch=z9hG4bKeve`));
        world.advance(40_000);
        const sent = world.sent.slice(length).filter(({ message }) => message.isRequest && message.callId !== "another-register");
        const allowed = change.nobody ? [] : [call.caller.key, call.callee.key];
        expect(
          sent.map(({ key, message }) => `${key} ${message.method}`).filter((line) => !allowed.includes(line.split(" ")[0] ?? "")),
        ).toEqual([]);
        expect(world.resolving).toEqual([]);
      }),
      { numRuns: 25 },
    );
  });

  it("unchanged, reaches the other side of a call that stands", () => {
    for (const from of places) {
      for (const to of places) {
        for (const state of ["early", "confirmed", "anew"] as const) {
          const { call, world } = sceneOf(state, from, to, false);
          expect(one(call.send(world, "INFO", "caller"), "INFO").key).toBe(call.callee.key);
          expect(one(call.send(world, "INFO", "callee"), "INFO").key).toBe(call.caller.key);
        }
      }
    }
  });
});
