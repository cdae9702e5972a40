import { beforeEach, describe, expect, it } from "vitest";
import type { ClientTransaction } from "../../../kit/phone/client-transaction.ts";
import { ClientTransactions } from "../../../kit/phone/client-transactions.ts";
import { ManualEnvironment } from "./manual-environment.ts";
import { parsed, requestOctets, responseTo } from "./messages.ts";

let environment: ManualEnvironment;
let transactions: ClientTransactions;
/** What was said and heard, with its time. */
let seen: string[];

beforeEach(() => {
  environment = new ManualEnvironment();
  transactions = new ClientTransactions(environment);
  seen = [];
});

function start(method: string, isReliable = false): ClientTransaction {
  const note = (what: string): void => void seen.push(`${what} ${environment.now}`);
  const branch = `z9hG4bK${environment.newId()}`;
  const transaction = transactions.add(
    { method, branch, octets: requestOctets(method, branch), isReliable, endsAfterMs: 32_000, silentMs: 4_000 },
    {
      send: (octets) => note(parsed(octets).method),
      silent: () => note("silent"),
      provisional: ({ status }) => note(String(status)),
      final: ({ status }) => note(String(status)),
      again: ({ status }) => note(`${status} again`),
      timeout: () => note("timeout"),
    },
  );
  transaction.send();
  return transaction;
}

function answer(transaction: ClientTransaction, status: number): void {
  const response = responseTo(transaction.octets, status);
  transactions.of(response)?.receive(response);
}

const without = (what: string): string[] => seen.filter((line) => !line.startsWith(what));

describe("a phone's client transaction", () => {
  it("[RFC3261 17.1.1.2] says an INVITE over UDP in doubling intervals, for 32 s", () => {
    start("INVITE");
    environment.advance(100_000);
    expect(without("silent")).toEqual([0, 500, 1_500, 3_500, 7_500, 15_500, 31_500].map((at) => `INVITE ${at}`).concat("timeout 32000"));
  });

  it("[RFC3261 17.1.2.2] says another request up to every 4 s, and so after a 1xx", () => {
    const transaction = start("BYE");
    environment.advance(600);
    answer(transaction, 100);
    environment.advance(9_900);
    expect(without("silent")).toEqual(["BYE 0", "BYE 500", "100 600", "BYE 1500", "BYE 5500", "BYE 9500"]);
  });

  it("says it once on a connection, and that nothing comes", () => {
    start("BYE", true);
    environment.advance(9_000);
    expect(seen).toEqual(["BYE 0", "silent 4000", "silent 8000"]);
  });

  it("[RFC3261 17.1.1.2] lets an INVITE ring for ever, and ends with its answer", () => {
    const transaction = start("INVITE");
    answer(transaction, 180);
    environment.advance(100_000);
    answer(transaction, 200);
    expect(seen).toEqual(["INVITE 0", "180 0", "200 100000"]);
    expect([...transactions.waiting()]).toEqual([]);
  });

  it("[RFC3261 17.1.1.3] acknowledges a refusal each time that it comes", () => {
    const transaction = start("INVITE");
    answer(transaction, 486);
    environment.advance(500);
    answer(transaction, 486);
    expect(seen).toEqual(["INVITE 0", "ACK 0", "486 0", "ACK 500", "486 again 500"]);
  });

  it("[RFC3261 13.2.2.4] says when a 2xx comes again, until it is forgotten", () => {
    const transaction = start("INVITE");
    answer(transaction, 200);
    answer(transaction, 200);
    environment.advance(32_001);
    answer(transaction, 200);
    expect(seen).toEqual(["INVITE 0", "200 0", "200 again 0"]);
    expect(environment.planned).toBe(0);
  });

  it("[RFC3261 9.1, 17.1.3] is found by its method as well: a CANCEL has the branch of its INVITE", () => {
    const invite = start("INVITE");
    expect(transactions.of(responseTo(invite.octets, 200))).toBe(invite);
    expect(transactions.of(responseTo(requestOctets("CANCEL", invite.branch), 200))).toBeUndefined();
  });
});
