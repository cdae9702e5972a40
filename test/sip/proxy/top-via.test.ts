import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MessageEdit } from "../../../sip/message/edit.ts";
import { Header } from "../../../sip/message/header-names.ts";
import { octetsOf, stringOf } from "../../../sip/message/octets.ts";
import { withoutTopVia } from "../../../sip/proxy/top-via.ts";
import { parsed } from "../transaction/recorder.ts";

function without(headers: string, isStream = false): string | undefined {
  const octets = withoutTopVia(parsed(octetsOf(`SIP/2.0 200 OK\r\n${headers}\r\nbody`)), isStream);
  return octets === undefined ? undefined : stringOf(octets).slice("SIP/2.0 200 OK\r\n".length);
}

describe("[RFC3261 16.7 3] withoutTopVia", () => {
  it("takes the line, or the value of a comma list", () => {
    expect(without("X: 1\r\nVia: a\r\nv: b\r\n")).toBe("X: 1\r\nv: b\r\n\r\nbody");
    expect(without('Via: a;x="1,2" , b,c\r\n')).toBe("Via: b,c\r\n\r\nbody");
    expect(without("v:\r\n a\r\n ,\r\n b\r\n")).toBe("v:\r\n b\r\n\r\nbody");
  });

  it("gives nothing when no other Via is left", () => {
    expect(without("Via: a\r\n")).toBeUndefined();
    expect(without("Via: a,\r\n")).toBeUndefined();
    expect(without("X: a\r\n")).toBeUndefined();
  });

  it("[RFC3261 18.3] has a Content-Length towards a stream, whatever it came with", () => {
    expect(without("Via: a\r\nVia: b\r\n", true)).toBe("Via: b\r\nContent-Length: 4\r\n\r\nbody");
    expect(without("Via: a,b\r\nl: 4\r\n", true)).toBe("Via: b\r\nl: 4\r\n\r\nbody");
  });

  it("does what MessageEdit does", () => {
    const value = fc.constantFrom("SIP/2.0/UDP a;branch=z9hG4bK1", 'a;b="x,y"', "b");
    const line = fc.oneof(
      fc
        .tuple(fc.constantFrom("Via", "v", "VIA"), fc.array(value, { minLength: 1, maxLength: 3 }))
        .map(([name, values]) => `${name}: ${values.join(" , ")}`),
      fc.constantFrom("X: 1", "Contact: <sip:a@b>"),
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 6 }), (lines) => {
        const message = parsed(octetsOf(`SIP/2.0 200 OK\r\n${lines.map((each) => `${each}\r\n`).join("")}\r\nbody`));
        const expected = parsed(new MessageEdit(message).removeFirst(Header.Via).serialize());
        const octets = withoutTopVia(message, false);
        const values = octets === undefined ? [] : parsed(octets).values(Header.Via);
        expect(values).toEqual(expected.values(Header.Via));
        expect(octets === undefined ? "body" : stringOf(parsed(octets).body())).toBe("body");
      }),
    );
  });
});
