import { describe, expect, it } from "vitest";
import { isParseError } from "../../../sip/errors.ts";
import { parseUri } from "../../../sip/message/uri.ts";
import { addressOfRecordOf, usernameOf } from "../../../cluster/map/address-of-record.ts";
import { testMap } from "../../actors/exchange/harness.ts";

function ofUri(text: string): string | undefined {
  const uri = parseUri(text);
  if (isParseError(uri)) throw new Error(uri.reason);
  return addressOfRecordOf(testMap(), uri);
}

describe("the canonical address-of-record [RFC3261 10.3 5]", () => {
  it.each([
    ["#9", "%239"],
    ["12#3", "12%233"],
    ["*21#", "*21%23"],
    ["*21#", "%2A21%23"],
    ["*21#", "%2a%32%31#"],
    ["a%c3%b6", "a%C3%B6"],
    ["a%5b%5D", "a%5B%5d"],
    ["a%5e%7C%60", "%61%5E%7c%60"],
    ["50%25", "5%30%25"],
    ["a|b", "a%7Cb"],
    ["a^`b", "a%5e%60b"],
    ["{a}[b]\\", "%7Ba%7D%5Bb%5D%5C"],
    ["j\u00c3\u00b6rg", "j%C3%B6rg"],
  ])("%s and %s are one user", (one, other) => {
    expect(ofUri(`sip:${one}@example.test`)).toBe(ofUri(`sip:${other}@Example.Test;user=phone`));
  });

  it.each([
    ["#9", "9"],
    ["#9", "%25239"],
    ["a", "A"],
    ["a%40b", "a"],
  ])("%s and %s are two", (one, other) => {
    expect(ofUri(`sip:${one}@example.test`)).not.toBe(ofUri(`sip:${other}@example.test`));
  });

  it("has the username of a digest without escapes", () => {
    expect([usernameOf("*21%23@example.test"), usernameOf("alice@example.test")]).toEqual(["*21#", "alice"]);
  });
});
