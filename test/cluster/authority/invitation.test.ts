import { createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  checkInvitation,
  type Checking,
  type Invitation,
  invitedFault,
  looksLikeInvitation,
  makeInvitation,
  noTokenText,
  readInvitation,
  roles,
} from "../../../cluster/authority/invitation.ts";
import { invitationLocationCharactersMax } from "../../../cluster/authority/limits.ts";

const now = 1_790_000_000_000;
const fingerprint = "ab".repeat(32);
const macOf =
  (secret: string) =>
  (text: string): string =>
    createHmac("sha256", secret).update(text).digest("hex");
const mac = macOf("a secret");
const checking: Checking = { macs: [mac], fingerprint, now };
const invitation: Invitation = { id: "0123456789abcdef", role: "both", location: "Basel, Haus 2.1", expires: now + 60_000, fingerprint };
const token = makeInvitation(invitation, mac);

describe("the token of an invitation", () => {
  it("says what it was made of, whatever the location is", () => {
    expect(checkInvitation(token, checking)).toEqual(invitation);
    const places = fc.string({ unit: "grapheme", maxLength: 20 }).filter((text) => text.length <= invitationLocationCharactersMax);
    fc.assert(
      fc.property(places, fc.constantFrom(...roles), (location, role) => {
        const made = { ...invitation, role, ...(location === "" ? { location: undefined } : { location }) };
        const { location: place, ...rest } = made;
        const wanted = { ...rest, ...(place === undefined ? {} : { location: place }) };
        expect(checkInvitation(makeInvitation(wanted, mac), checking)).toEqual(wanted);
      }),
    );
  });

  it("is one line of ASCII that a command line must not have", () => {
    expect(token).toMatch(/^[!-~]{1,400}$/);
    expect([token, "token.txt", "-"].map(looksLikeInvitation)).toEqual([true, false, false]);
  });

  it("counts until it expires, and not in that moment", () => {
    expect(checkInvitation(token, { ...checking, now: now + 59_999 })).toEqual(invitation);
    expect(checkInvitation(token, { ...checking, now: now + 60_000 })).toHaveProperty(
      "refused",
      expect.stringMatching(/^the token expired 0 s ago/),
    );
    expect(checkInvitation(token, { ...checking, now: now + 3_660_000 })).toHaveProperty(
      "refused",
      expect.stringMatching(/expired 3600 s ago/),
    );
  });

  it("counts in its own system, and under its own secret", () => {
    expect(checkInvitation(token, { ...checking, fingerprint: "cd".repeat(32) })).toEqual({ refused: "the token is of another system" });
    expect(checkInvitation(token, { ...checking, macs: [macOf("another")] })).toHaveProperty(
      "refused",
      expect.stringMatching(/was changed/),
    );
  });

  it("counts also at a cell that has not changed the secret yet, and not under one of before", () => {
    expect(checkInvitation(token, { ...checking, macs: [macOf("before"), mac] })).toEqual(invitation);
    expect(checkInvitation(token, { ...checking, macs: [macOf("after")] })).toHaveProperty("refused");
  });

  it("is refused with any character changed, left out or added", () => {
    for (let at = 0; at < token.length; at += 1) {
      for (const changed of [
        `${token.slice(0, at)}${token[at] === "a" ? "b" : "a"}${token.slice(at + 1)}`,
        `${token.slice(0, at)}${token.slice(at + 1)}`,
        `${token.slice(0, at)}0${token.slice(at)}`,
      ])
        expect(checkInvitation(changed, checking)).toHaveProperty("refused");
    }
  });

  it("is none in any other spelling, and whatever else somebody types", () => {
    const [front, end] = [token.slice(0, token.lastIndexOf(".")), token.slice(token.lastIndexOf("."))];
    for (const text of [
      "",
      "tandem1",
      `${token}\n${token}`,
      token.toUpperCase(),
      token.replace("tandem1", "tandem2"),
      token.replace(".both.", ".all."),
      token.replace(`.${invitation.expires}.`, `.0${invitation.expires}.`),
      token.replace("Basel", "%42asel"),
      `${front.replace("Basel", "%FF")}${end}`,
      `${front.replace("Basel", "x".repeat(invitationLocationCharactersMax + 1))}${end}`,
      "x".repeat(100_000),
    ]) {
      expect(readInvitation(text)).toBeUndefined();
      expect(checkInvitation(text, checking)).toEqual({ refused: noTokenText });
    }
  });
});

describe("who may come by an invitation", () => {
  const host = { id: "h2", kind: "host", host: "h2" } as const;
  const cell = { id: "c", kind: "cell", host: "h2" } as const;
  const gateway = { id: "g2", kind: "gateway", host: "h2" } as const;

  it.each([
    ["both", [host, cell, gateway], undefined],
    ["cell", [host, cell], undefined],
    ["gateway", [host, gateway], undefined],
    ["gateway", [host], undefined],
    ["gateway", [host, cell], "the invitation is for a gateway, and c is a cell"],
    ["cell", [host, gateway], "the invitation is for a cell, and g2 is a gateway"],
    ["both", [cell, host], "the first member must be the host"],
    ["both", [host, { ...host, id: "h3", host: "h3" }], "h3 does not run on h2"],
    ["both", [host, { ...cell, host: "h1" }], "c does not run on h2"],
  ] as const)("follows from its role: %s %#", (role, members, fault) => {
    expect(invitedFault({ role }, members)).toBe(fault);
  });
});
