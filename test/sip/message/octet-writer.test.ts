import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { octetsOf } from "../../../sip/message/octets.ts";
import { OctetWriter } from "../../../sip/message/octet-writer.ts";

describe("OctetWriter", () => {
  it("puts texts and pieces of octets together, of whatever length and alphabet", () => {
    const writer = new OctetWriter();
    const piece = fc.oneof(fc.string({ unit: "binary" }), fc.uint8Array({ maxLength: 100 }));
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        writer.begin();
        for (const each of pieces) {
          if (typeof each === "string") writer.text(each);
          else writer.octets(each, 0, each.length);
        }
        const wanted = pieces.flatMap((each) => Array.from(typeof each === "string" ? octetsOf(each) : each));
        expect(Array.from(writer.take())).toEqual(wanted);
      }),
    );
  });

  it("takes a part of octets, and nothing where it ends before it begins", () => {
    const octets = Uint8Array.from({ length: 200 }, (_, index) => index);
    const written = new OctetWriter()
      .begin()
      .octets(octets, 10, 13)
      .octets(octets, 20, 20)
      .octets(octets, 30, 20)
      .octets(octets, 100, 200)
      .take();
    expect(Array.from(written)).toEqual([10, 11, 12, ...octets.slice(100)]);
  });

  it("grows, and keeps what it had", () => {
    const long = "x".repeat(70_000);
    expect(new OctetWriter().begin().text("before ").text(long).take()).toEqual(octetsOf(`before ${long}`));
  });

  it("what was taken stays as it was when the next one is written", () => {
    const writer = new OctetWriter();
    const first = writer.begin().text("first").take();
    writer.begin().text("second").take();
    expect(first).toEqual(octetsOf("first"));
  });

  it("forgets what was begun and not taken", () => {
    const writer = new OctetWriter();
    writer.begin().text("half of a message");
    expect(writer.begin().text("whole").take()).toEqual(octetsOf("whole"));
  });
});
