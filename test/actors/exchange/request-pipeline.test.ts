import { describe, expect, it } from "vitest";
import { ExchangeParts } from "../../../actors/exchange/exchange-parts.ts";
import { RequestPipeline } from "../../../actors/exchange/request-pipeline.ts";
import { nobodyYet, type Step, type Verdict } from "../../../actors/exchange/request-step.ts";
import { requestSteps } from "../../../actors/exchange/request-steps.ts";
import { isParseError } from "../../../sip/errors.ts";
import { octetsOf, stringOf } from "../../../sip/message/octets.ts";
import { caller, request } from "../../sip/proxy/rig.ts";
import { parsed } from "../../sip/transaction/recorder.ts";
import { hash, testMap } from "./harness.ts";

const now = 1_000_000;

/** An INVITE on its way through these steps: what was walked, and what left. */
function walk(steps: (walked: string[]) => readonly Step[]): { readonly walked: string[]; readonly sent: string[] } {
  let ids = 0;
  const tools = {
    sign: (text: string) => `s${text.length}`,
    hash,
    wallAt: (moment: number) => moment,
    nextId: () => `id${(ids += 1).toString().padStart(14, "0")}`,
  };
  const parts = new ExchangeParts({ exchange: 0, cell: "a", map: testMap("open", 1) }, tools, now);
  parts.accesses.connect("g1", [{ transport: "UDP", host: "198.51.100.1", port: 5060 }]);
  const message = parsed(octetsOf(request("INVITE")));
  const tx = parts.transactions.restoreServer(message, caller, 0, undefined);
  const received = parts.proxy.preprocess(message, caller);
  if (isParseError(received)) throw new Error(received.reason);
  const walked: string[] = [];
  new RequestPipeline(parts, steps(walked)).take({ tx, request: received, calling: nobodyYet }, now);
  const sent = parts.outgoing.takeEffects().map((effect) => (effect.type === "send" ? stringOf(effect.record.octets) : effect.type));
  return { walked, sent };
}

function says(walked: string[], name: string, verdict: Verdict): Step {
  return () => {
    walked.push(name);
    return verdict;
  };
}

describe("the request pipeline", () => {
  it("gives each step its turn, in order, as long as they say go on", () => {
    const { walked, sent } = walk((log) => [says(log, "first", "goOn"), says(log, "second", "goOn"), says(log, "third", "done")]);
    expect(walked).toEqual(["first", "second", "third"]);
    expect(sent).toEqual([]);
  });

  it.each(["done", "waits"] as const)("ends with the step that says %s, and says nothing itself", (verdict) => {
    const { walked, sent } = walk((log) => [says(log, "first", verdict), says(log, "second", "done")]);
    expect(walked).toEqual(["first"]);
    expect(sent).toEqual([]);
  });

  it("answers with what a step refuses with", () => {
    const refusal = { status: 488, reason: "Not Today", headers: [["Warning", '399 example.test "no"']] } as const;
    const { walked, sent } = walk((log) => [says(log, "first", refusal), says(log, "second", "done")]);
    expect(walked).toEqual(["first"]);
    expect(sent).toHaveLength(1);
    expect(sent[0]).toMatch(/^SIP\/2\.0 488 Not Today\r\n/);
    expect(sent[0]).toContain('\r\nWarning: 399 example.test "no"\r\n');
  });

  it("says when to come again with a 503 [RFC3261 21.5.4]", () => {
    const { sent } = walk((log) => [says(log, "first", { status: 503 })]);
    expect(sent[0]).toMatch(/\r\nRetry-After: \d+\r\n/);
  });

  it("does not take silence for an answer", () => {
    expect(() => walk((log) => [says(log, "first", "goOn")])).toThrow("no step");
  });

  it("takes one more step before all others", () => {
    const { walked, sent } = walk((log) => [says(log, "overload", { status: 503 }), ...requestSteps]);
    expect(walked).toEqual(["overload"]);
    expect(sent[0]).toMatch(/^SIP\/2\.0 503 /);
  });

  it("ends with the steps of an exchange, for whoever it is", () => {
    const { sent } = walk(() => requestSteps);
    expect(sent[0]).toMatch(/^SIP\/2\.0 404 /);
  });
});
