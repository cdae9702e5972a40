import { beforeEach, describe, expect, it } from "vitest";
import { Requests, type RequestParts } from "../../../kit/phone/requests.ts";
import type { Link } from "../../../kit/phone/link.ts";
import { buildResponse } from "../../../sip/message/build.ts";
import type { SipMessage } from "../../../sip/message/sip-message.ts";
import { FakeLink } from "./fake-link.ts";
import { ManualEnvironment } from "./manual-environment.ts";
import { parsed } from "./messages.ts";

let environment: ManualEnvironment;
let requests: Requests;
/** The flows of the phone, the one in use first. */
let flows: FakeLink[];
let waiting: (() => void)[];
let outcomes: string[];

beforeEach(() => {
  environment = new ManualEnvironment();
  flows = [new FakeLink("one", false), new FakeLink("two", false)];
  waiting = [];
  outcomes = [];
  requests = new Requests(environment, {
    contactOn: (link) => `<sip:alice@${link.contactHost}>`,
    present: () => flows[0],
    whenOpen: (act) => void (flows.length > 0 ? act() : waiting.push(act)),
    probe: (link) => link.ping(),
    giveUp: (link) => void (flows = [...flows.filter((flow) => flow !== link), ...flows.filter((flow) => flow === link)]),
  });
});

function partsOf(method: string): RequestParts {
  const headers = [
    ["From", "<sip:alice@example.test>;tag=a"],
    ["To", "<sip:bob@example.test>"],
    ["Call-ID", "c1"],
    ["CSeq", `1 ${method}`],
  ] as const;
  return { method, requestUri: "sip:bob@example.test", headers, hasContact: method === "INVITE" };
}

function start(method: string, only?: Link): ReturnType<Requests["start"]> {
  return requests.start(partsOf(method), {
    done: ({ status, wasMoved }) => void outcomes.push(`${status}${wasMoved ? " moved" : ""} at ${environment.now}`),
    ...(only === undefined ? {} : { only }),
  });
}

function answer(request: SipMessage | undefined, status: number): void {
  if (request === undefined) throw new Error("no request");
  requests.receive(parsed(buildResponse(request, status, { toTag: "b" })));
}

const onConnections = (): [FakeLink, FakeLink] => {
  const links: [FakeLink, FakeLink] = [new FakeLink("one", true), new FakeLink("two", true)];
  flows = [...links];
  return links;
};

describe("a phone's request over UDP", () => {
  it("[RFC3263 4.3] goes to the next target in a new transaction when the first says nothing for 4 s", () => {
    const [one, two] = flows;
    start("INVITE");
    environment.advance(4_000);
    expect(one?.branches).toEqual(Array.from({ length: 4 }, () => "INVITE id1"));
    expect(two?.branches).toEqual(["INVITE id2"]);
    answer(two?.said[0], 200);
    expect(outcomes).toEqual(["200 moved at 4000"]);
  });

  it("takes a late success of the first target, and no refusal", () => {
    const [one] = flows;
    start("INVITE");
    environment.advance(5_000);
    answer(one?.said[0], 486);
    expect(outcomes).toEqual([]);
    answer(one?.said[0], 200);
    expect(outcomes).toEqual(["200 moved at 5000"]);
  });

  it("ends when nobody has answered for 32 s", () => {
    start("BYE");
    environment.advance(70_000);
    expect(outcomes).toEqual(["0 moved at 32000"]);
    expect(environment.planned).toBe(0);
  });
});

describe("a phone's request on a connection", () => {
  it("is followed by probes while it has no answer", () => {
    const [one] = onConnections();
    start("BYE");
    environment.advance(3_100);
    expect([one.branches, one.pings]).toEqual([["BYE id1"], 2]);
  });

  it("is said in a new transaction elsewhere when its connection is gone and nothing was heard", () => {
    const [one, two] = onConnections();
    start("INVITE");
    flows.shift();
    requests.closed(one, "reset");
    expect(two.branches).toEqual(["INVITE id2"]);
  });

  it("is the same one elsewhere when it rings already", () => {
    const [one, two] = onConnections();
    const { history } = start("INVITE");
    answer(one.said[0], 180);
    flows.shift();
    requests.closed(one, "reset");
    expect(two.branches).toEqual(["INVITE id1"]);
    answer(two.said[0], 200);
    expect(outcomes).toEqual(["200 moved at 0"]);
    expect(history).toEqual(["INVITE to one at 0 ms", "180 at 0 ms", "flow to one lost: reset", "INVITE to two at 0 ms", "200 at 0 ms"]);
  });

  it("ends with its connection when it is about that one", () => {
    const [one] = onConnections();
    start("REGISTER", one);
    requests.closed(one, "reset");
    expect(outcomes).toEqual(["0 at 0"]);
  });
});

describe("a phone without a flow", () => {
  it("says its requests on the next one", () => {
    const [one] = onConnections();
    flows = [];
    start("MESSAGE");
    expect(one.said).toEqual([]);
    flows = [one];
    for (const act of waiting.splice(0)) act();
    expect(one.branches).toEqual(["MESSAGE id1"]);
  });

  it.each([0, 1_000])("gives a request up in the end, also one that had a flow for %i ms", (ms) => {
    const [one] = onConnections();
    if (ms === 0) flows = [];
    start("MESSAGE");
    environment.advance(ms);
    flows = [];
    requests.closed(one, "reset");
    environment.advance(40_000);
    expect(outcomes.map((outcome) => outcome.replace(" moved", ""))).toEqual(["0 at 32000"]);
  });
});

describe("a phone that hangs up", () => {
  it("[RFC3261 9.1] says CANCEL when something was heard, with the branch of the INVITE", () => {
    const [one] = onConnections();
    const cancelled: number[] = [];
    start("INVITE").cancel(({ status }) => void cancelled.push(status));
    expect(one.branches).toEqual(["INVITE id1"]);
    answer(one.said[0], 100);
    expect(one.branches).toEqual(["INVITE id1", "CANCEL id1"]);
    answer(one.said[1], 200);
    answer(one.said[0], 487);
    expect([cancelled, outcomes]).toEqual([[200], ["487 at 0"]]);
    expect(one.branches.at(-1)).toBe("ACK id1");
  });

  it("says no CANCEL on a flow that comes too late for it", () => {
    const [one, two] = onConnections();
    const started = start("INVITE");
    answer(one.said[0], 180);
    flows = [];
    const cancelled: number[] = [];
    started.cancel(({ status }) => void cancelled.push(status));
    environment.advance(32_000);
    flows = [two];
    for (const act of waiting.splice(0)) act();
    expect([cancelled, two.said]).toEqual([[0], []]);
  });

  it("says CANCEL again where the INVITE goes, when its connection is gone", () => {
    const [one, two] = onConnections();
    start("INVITE").cancel(() => undefined);
    answer(one.said[0], 180);
    flows.shift();
    requests.closed(one, "reset");
    expect(two.branches).toEqual(["INVITE id1", "CANCEL id1"]);
  });
});
