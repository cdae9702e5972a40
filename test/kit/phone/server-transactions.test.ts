import { describe, expect, it } from "vitest";
import { ServerTransactions } from "../../../kit/phone/server-transactions.ts";
import { parsed, requestOctets } from "./messages.ts";

describe("a phone's server transactions", () => {
  it("[RFC3261 17.2.3, 18.2.2] answer a repeated request as before, to where it came from last", () => {
    const said: string[] = [];
    const transactions = new ServerTransactions<string>((octets, way) => void said.push(`${octets[0]} to ${way}`));
    const bye = parsed(requestOctets("BYE", "z9hG4bK1"));
    const transaction = transactions.receive(bye, "one", 0);
    expect(transactions.receive(bye, "one", 10)).toBeUndefined();
    expect(said).toEqual([]);
    if (transaction === undefined) throw new Error("it was new");
    transactions.respond(transaction, new Uint8Array([7]));
    expect(transactions.receive(bye, "two", 20)).toBeUndefined();
    expect(said).toEqual(["7 to one", "7 to two"]);
  });

  it("take another branch, and another method on the same branch, for new ones", () => {
    const transactions = new ServerTransactions<string>(() => undefined);
    for (const [method, branch] of [
      ["INVITE", "z9hG4bK1"],
      ["CANCEL", "z9hG4bK1"],
      ["INVITE", "z9hG4bK2"],
    ] as const) {
      expect(transactions.receive(parsed(requestOctets(method, branch)), "one", 0)).toBeDefined();
    }
  });

  it("are forgotten when nothing can come again", () => {
    const transactions = new ServerTransactions<string>(() => undefined);
    const bye = parsed(requestOctets("BYE", "z9hG4bK1"));
    expect(transactions.receive(bye, "one", 0)).toBeDefined();
    transactions.forget(-1);
    expect(transactions.of(bye)).toBeDefined();
    transactions.forget(0);
    expect(transactions.of(bye)).toBeUndefined();
  });
});
