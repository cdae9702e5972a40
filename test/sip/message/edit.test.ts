import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isParseError } from "../../../sip/errors.ts";
import { MessageEdit } from "../../../sip/message/edit.ts";
import { Header } from "../../../sip/message/header-names.ts";
import type { HeaderId } from "../../../sip/message/header-names.ts";
import { octetsOf, stringOf } from "../../../sip/message/octets.ts";
import { parseMessage } from "../../../sip/message/sip-message.ts";
import type { SipMessage } from "../../../sip/message/sip-message.ts";

function parsed(octets: Uint8Array): SipMessage {
  const result = parseMessage(octets);
  if (isParseError(result)) throw new Error(`${result.error}: ${result.reason}\n${stringOf(octets)}`);
  return result;
}

function message(headers: readonly string[], body = ""): SipMessage {
  return parsed(octetsOf(`INVITE sip:a@b SIP/2.0\r\n${headers.map((header) => `${header}\r\n`).join("")}\r\n${body}`));
}

/** The header lines after an edit. */
function lines(edit: MessageEdit): string[] {
  const text = stringOf(edit.serialize());
  return text.slice(0, text.indexOf("\r\n\r\n")).split("\r\n").slice(1);
}

const routes = ['Route: "x, \\", y" <sip:one,1;lr> , <sip:two;lr>,\r\n  <sip:three;lr>', "X: 1", "Route:<sip:four;lr>"];

describe("MessageEdit", () => {
  test("nothing edited: the same octets", () => {
    const octets = octetsOf("INVITE sip:a@b SIP/2.0\r\nvIA  :\tx \r\n\t y\r\nx\t:\r\n\r\n\0\xff");
    expect(new MessageEdit(parsed(octets)).serialize()).toEqual(octets);
  });

  test("setRequestUri changes the URI alone, and nothing in a response", () => {
    expect(stringOf(new MessageEdit(message(["x: 1"])).setRequestUri("sip:c@d;lr").serialize())).toBe(
      "INVITE sip:c@d;lr SIP/2.0\r\nx: 1\r\n\r\n",
    );
    const response = octetsOf("SIP/2.0 200 OK\r\n\r\n");
    expect(new MessageEdit(parsed(response)).setRequestUri("sip:x").serialize()).toEqual(response);
  });

  test("[RFC3261 16.6 8] prepend: before the first line of that header; the last one ends topmost", () => {
    const edit = new MessageEdit(message(["X: 1", "v: a", "Via: b"])).prepend(Header.Via, "c").prepend(Header.Via, "d");
    expect(lines(edit)).toEqual(["X: 1", "Via: d", "Via: c", "v: a", "Via: b"]);
  });

  test("[RFC3261 16.6 4] prepend of an absent header: at the top of the headers", () => {
    const edit = new MessageEdit(message(["X: 1"])).prepend(Header.Via, "a").prepend(Header.RecordRoute, "b").prepend(Header.Via, "c");
    expect(lines(edit)).toEqual(["Record-Route: b", "Via: c", "Via: a", "X: 1"]);
  });

  test("[RFC3261 16.6 6] append: behind the last line of that header, or at the end", () => {
    const edit = new MessageEdit(message([...routes, "Y: 2"]))
      .append(Header.Route, "<sip:five>")
      .append(Header.Route, "<sip:six>")
      .append(Header.Path, "p");
    expect(lines(edit)).toEqual([
      ...routes.flatMap((line) => line.split("\r\n")),
      "Route: <sip:five>",
      "Route: <sip:six>",
      "Y: 2",
      "Path: p",
    ]);
  });

  test("[RFC3261 16.7 3] removeFirst takes one value of a list; the line goes with its last value", () => {
    const original = message(routes);
    expect(lines(new MessageEdit(original).removeFirst(Header.Route))).toEqual([
      "Route: <sip:two;lr>,",
      "  <sip:three;lr>",
      "X: 1",
      "Route:<sip:four;lr>",
    ]);
    expect(lines(new MessageEdit(original).removeFirst(Header.Route, 2))).toEqual(["Route: <sip:three;lr>", "X: 1", "Route:<sip:four;lr>"]);
    expect(lines(new MessageEdit(original).removeFirst(Header.Route, 3))).toEqual(["X: 1", "Route:<sip:four;lr>"]);
    expect(lines(new MessageEdit(original).removeFirst(Header.Route, 4))).toEqual(["X: 1"]);
    expect(lines(new MessageEdit(original).removeFirst(Header.Route, 99))).toEqual(["X: 1"]);
    expect(lines(new MessageEdit(original).removeFirst(Header.Via))).toHaveLength(4);
  });

  test("replaceFirst changes one value of a list", () => {
    expect(lines(new MessageEdit(message(routes)).replaceFirst(Header.Route, "<sip:new>"))).toEqual([
      "Route: <sip:new> , <sip:two;lr>,",
      "  <sip:three;lr>",
      "X: 1",
      "Route:<sip:four;lr>",
    ]);
    expect(lines(new MessageEdit(message(routes)).removeFirst(Header.Route, 2).replaceFirst(Header.Route, "<sip:new>"))).toEqual([
      "Route: <sip:new>",
      "X: 1",
      "Route:<sip:four;lr>",
    ]);
    expect(lines(new MessageEdit(message(["X: 1"])).replaceFirst(Header.Route, "y"))).toEqual(["X: 1"]);
  });

  test("removeAll and set", () => {
    expect(lines(new MessageEdit(message(routes)).removeAll(Header.Route))).toEqual(["X: 1"]);
    expect(lines(new MessageEdit(message(routes)).set(Header.Route, "y"))).toEqual(["Route: y", "X: 1"]);
    expect(lines(new MessageEdit(message(["X: 1"])).set(Header.MaxForwards, "70"))).toEqual(["X: 1", "Max-Forwards: 70"]);
    expect(lines(new MessageEdit(message(["k:", "X: 1"])).removeAll(Header.Supported))).toEqual(["X: 1"]);
    expect(lines(new MessageEdit(message(["k:", "X: 1"])).set(Header.Supported, "path"))).toEqual(["Supported: path", "X: 1"]);
  });

  test("calls take effect in their order", () => {
    const edit = new MessageEdit(message(["Via: a"]))
      .prepend(Header.Via, "b")
      .removeFirst(Header.Via)
      .removeFirst(Header.Via)
      .append(Header.Via, "c");
    expect(lines(edit)).toEqual(["Via: c"]);
    expect(lines(new MessageEdit(message(["Via: a"])).prepend(Header.Via, "b").replaceFirst(Header.Via, "c"))).toEqual([
      "Via: c",
      "Via: a",
    ]);
    expect(lines(new MessageEdit(message([])).append(Header.Via, "b").replaceFirst(Header.Via, "c").removeFirst(Header.Via))).toEqual([]);
  });

  test("a value cannot smuggle in a header", () => {
    const edit = new MessageEdit(message(["X: 1"])).append(Header.Subject, "a\r\nRoute: <sip:evil>").setRequestUri("sip:a\r\nX: y");
    expect(stringOf(edit.serialize())).toBe("INVITE sip:a X: y SIP/2.0\r\nX: 1\r\nSubject: a Route: <sip:evil>\r\n\r\n");
  });

  test("what stands before and behind the message stays out", () => {
    const octets = octetsOf("\r\nBYE sip:a@b SIP/2.0\r\nl: 1\r\n\r\nxNOISE");
    expect(stringOf(new MessageEdit(parsed(octets)).serialize())).toBe("BYE sip:a@b SIP/2.0\r\nl: 1\r\n\r\nx");
  });
});

/*
 * A model: an edit is a list of values for each header; the octets of all other lines stay.
 */
const ids: readonly HeaderId[] = [Header.Via, Header.Route, Header.MaxForwards];
const names = ["Via", "v", "ROUTE", "Max-Forwards", "X-Other", "Subject"];
const value = fc.constantFrom("<sip:a,b;lr>", '"q,\\"x" <sip:c>', "plain;p=1", "z");
const valueList = fc.array(value, { minLength: 1, maxLength: 3 }).map((values) => values.join(" ,\r\n "));
const headerLine = fc.tuple(fc.constantFrom(...names), fc.constantFrom(":", " :\t", ": "), valueList).map((parts) => parts.join(""));
const operation = fc.record({
  kind: fc.constantFrom("prepend", "append", "replaceFirst", "removeFirst", "removeAll", "set"),
  id: fc.constantFrom(...ids),
  value,
  count: fc.nat(3),
});
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

function apply(edit: MessageEdit, step: Operation, model: Map<HeaderId, string[]>): void {
  const values = model.get(step.id) ?? [];
  switch (step.kind) {
    case "prepend":
      edit.prepend(step.id, step.value);
      values.unshift(step.value);
      break;
    case "append":
      edit.append(step.id, step.value);
      values.push(step.value);
      break;
    case "replaceFirst":
      edit.replaceFirst(step.id, step.value);
      if (values.length > 0) values[0] = step.value;
      break;
    case "removeFirst":
      edit.removeFirst(step.id, step.count);
      values.splice(0, step.count);
      break;
    case "removeAll":
      edit.removeAll(step.id);
      values.length = 0;
      break;
    default:
      edit.set(step.id, step.value);
      values.splice(0, values.length, step.value);
  }
  model.set(step.id, values);
}

describe("properties", () => {
  test("values are as the operations say, all other octets as they came", () => {
    fc.assert(
      fc.property(fc.array(headerLine, { maxLength: 8 }), fc.array(operation, { maxLength: 8 }), fc.string(), (headers, steps, body) => {
        const original = message(headers, body);
        const edit = new MessageEdit(original);
        const model = new Map(ids.map((id) => [id, original.values(id)]));
        for (const step of steps) apply(edit, step, model);
        const edited = parsed(edit.serialize());
        for (const id of ids) expect(edited.values(id)).toEqual(model.get(id));
        const touched = new Set(steps.map((step) => step.id));
        const untouched = (from: SipMessage): string[] => {
          const kept: string[] = [];
          for (let i = 0; i < from.lines.length / 3 - 1; i++) {
            const start = from.lines[i * 3 + 1] ?? 0;
            if (!touched.has((from.lines[i * 3] ?? 0) & 0xff)) kept.push(stringOf(from.octets, start, from.lines[i * 3 + 4]));
          }
          return kept;
        };
        expect(untouched(edited)).toEqual(untouched(original));
        expect(edited.body()).toEqual(original.body());
        expect(new MessageEdit(original).serialize()).toEqual(original.octets);
      }),
    );
  });
});
