import { describe, expect, it } from "vitest";
import { breadthMax, copyDelayMs } from "../../../sip/limits.ts";
import { restoreInvite, snapshotInvite } from "../../../sip/proxy/snapshot.ts";
import { caller, phone1, phone2, phone3, request, Rig, target, valuesOf } from "./rig.ts";

function flowOf(number: number): string {
  return `g1~u0..0a0000${number.toString(16).padStart(2, "0")}13c4`;
}

/** A request for this many phones; `qs`: their preferences. */
function forked(count: number, headers: string[], method = "INVITE", qs: readonly number[] = []): Rig {
  const rig = new Rig();
  rig.targets = Array.from({ length: count }, (_, number) => target(flowOf(number), { q: qs[number] ?? 1 }));
  rig.receive(request(method, { headers }), caller);
  return rig;
}

/** Max-Breadth of the requests that have left, in their order. */
function breadths(rig: Rig): string[] {
  return rig.sent.filter(({ message }) => message.isRequest).flatMap((sent) => valuesOf(sent, "MaxBreadth"));
}

describe("[RFC5393 5.3.3] Max-Breadth", () => {
  it("is added where there is none, and split among the branches that are under way at once", () => {
    expect(breadths(forked(1, []))).toEqual(["60"]);
    expect(breadths(forked(2, []))).toEqual(["30", "30"]);
    expect(breadths(forked(12, []))).toEqual(Array.from({ length: 12 }, () => "5"));
    expect(breadths(forked(3, ["Max-Breadth: 8"], "MESSAGE"))).toEqual(["3", "3", "2"]);
  });

  it("is one value, of the least that was asked for, and never more than is allowed", () => {
    for (const [headers, breadth] of [
      [["Max-Breadth: 7"], "7"],
      [["max-breadth:007 "], "7"],
      [["Max-Breadth: 9", "Max-Breadth: 4"], "4"],
      [["Max-Breadth: 61"], "60"],
      [["Max-Breadth: 99999999999999999999"], "60"],
      [["Max-Breadth: 5;x=1"], "5"],
      [["Max-Breadth: many"], "60"],
      [["Max-Breadth: -1"], "60"],
      [["Max-Breadth:"], "60"],
    ] as const) {
      expect(breadths(forked(1, [...headers]))).toEqual([breadth]);
    }
    expect(breadthMax).toBe(60);
  });

  it("440 when there is none left, before anything is sent", () => {
    expect(forked(1, ["Max-Breadth: 0"]).take()).toEqual(["caller 440"]);
    expect(forked(1, ["Max-Breadth: 000"], "MESSAGE").take()).toEqual(["caller 440"]);
  });

  it("[RFC5393 5.5] phones for which none is left are called when another one has answered", () => {
    const rig = forked(4, ["Max-Breadth: 2"]);
    expect(breadths(rig)).toEqual(["1", "1"]);
    rig.answer(flowOf(1), 486);
    expect(rig.last(flowOf(2)).message.method).toBe("INVITE");
    rig.answer(flowOf(0), 486);
    rig.answer(flowOf(2), 486);
    rig.answer(flowOf(3), 486);
    expect(breadths(rig)).toEqual(["1", "1", "1", "1"]);
    expect(rig.log().at(-1)).toBe("caller 486");
    // With one alone they are called one after the other.
    const serial = forked(3, ["Max-Breadth: 1"], "MESSAGE");
    for (const number of [0, 1, 2]) {
      expect(breadths(serial)).toHaveLength(number + 1);
      serial.answer(flowOf(number), 486, { method: "MESSAGE" });
    }
    expect(serial.log().at(-1)).toBe("caller 486");
  });

  it("[RFC5393 5.3.3.1] what was used is used again, for the next ones in turn; those of lower q wait for all", () => {
    const rig = forked(3, [], "INVITE", [1, 1, 0.5]);
    expect(breadths(rig)).toEqual(["30", "30"]);
    rig.answer(flowOf(0), 486);
    expect(breadths(rig)).toHaveLength(2);
    rig.answer(flowOf(1), 486);
    expect(breadths(rig)).toEqual(["30", "30", "60"]);
  });

  it("a phone that becomes known late is called at once, unless the request has said how many may be", () => {
    for (const [headers, expected] of [
      [[], ["60", "1"]],
      [["Max-Breadth: 60"], ["60"]],
    ] as const) {
      const rig = new Rig();
      rig.targets = [target(phone1)];
      rig.receive(request("INVITE", { headers: [...headers] }), caller);
      rig.proxy.addTargets(rig.context.tx, [target(phone2)], rig.now);
      expect(breadths(rig)).toEqual(expected);
      rig.answer(phone1, 486);
      expect(rig.last(phone2).message.method).toBe("INVITE");
    }
  });

  it("another replica that goes on with an INVITE says the same", () => {
    const rig = new Rig();
    rig.targets = [target(phone1), target(phone2), target(phone3)];
    rig.receive(request("INVITE", { headers: ["Max-Breadth: 5"] }), caller);
    const snapshot = snapshotInvite(rig.context, rig.now, rig.now);
    const other = new Rig({ cell: "b" });
    if (snapshot !== undefined) restoreInvite(snapshot, other.proxy, other.layer, other.now);
    other.advance(copyDelayMs);
    expect(breadths(other)).toEqual(["2", "2", "1"]);
    // One from a replica that did not know of it.
    const branches = snapshot?.branches.map(({ breadth: _breadth, ...rest }) => rest) ?? [];
    const old = new Rig({ cell: "b" });
    if (snapshot !== undefined) restoreInvite({ ...snapshot, branches }, old.proxy, old.layer, old.now);
    old.advance(copyDelayMs);
    expect(breadths(old)).toEqual(["1", "1", "1"]);
  });

  it("is in what is forwarded without a transaction, too", () => {
    const rig = new Rig();
    rig.recordRoute = true;
    rig.targets = [target(phone1)];
    rig.receive(request("INVITE"), caller);
    rig.answer(phone1, 200, { toTag: "b" });
    const [route = ""] = valuesOf(rig.last(phone1), "RecordRoute");
    rig.receive(
      request("ACK", { toTag: "b", branch: "z9hG4bKack", headers: [`Route: ${route}`], requestUri: "sip:bob@h.invalid" }),
      caller,
    );
    expect(valuesOf(rig.last(phone1, "ACK"), "MaxBreadth")).toEqual(["60"]);
  });
});
