import { describe, expect, it } from "vitest";
import { isParseError } from "../../../sip/errors.ts";
import { octetsOf } from "../../../sip/message/octets.ts";
import type { Preprocessed } from "../../../sip/proxy/route-preprocessing.ts";
import { parsed } from "../transaction/recorder.ts";
import { caller, callerTcp, dialogTarget, phone1, phone2, phoneTcp, request, Rig, target, valuesOf } from "./rig.ts";
import type { RequestOptions } from "./rig.ts";

function preprocessed(rig: Rig, method: string, options: RequestOptions): Preprocessed {
  const result = rig.proxy.preprocess(parsed(octetsOf(request(method, options))), caller);
  if (isParseError(result)) throw new Error(`${result.status} ${result.reason}`);
  return result;
}

function refused(rig: Rig, options: RequestOptions): number {
  const result = rig.proxy.preprocess(parsed(octetsOf(request("BYE", options))), caller);
  return isParseError(result) ? result.status : 0;
}

/** The Record-Route values of a call from one flow to another, as the callee sees them. */
function recorded(rig: Rig, from: string, to: string): string[] {
  rig.targets = [target(to)];
  rig.recordRoute = true;
  const via = from === callerTcp ? "SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bKt" : "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKu";
  rig.receive(request("INVITE", { via }), from);
  const values = valuesOf(rig.last(to), "RecordRoute");
  rig.take();
  return values;
}

describe("[RFC3261 16.4] route preprocessing", () => {
  it("removes a first Route value that names this proxy", () => {
    const rig = new Rig();
    const result = preprocessed(rig, "INVITE", { headers: ["Route: <sip:example.test;lr>, <sip:192.0.2.12;lr>"] });
    expect(result.ownRoutes).toBe(1);
    expect(result.routes.map((route) => route.uri)).toEqual(["sip:192.0.2.12;lr"]);
    rig.targets = [{ requestUri: "sip:bob@203.0.113.7", routes: [] }];
    rig.receive(request("INVITE", { headers: ["Route: <sip:example.test;lr>, <sip:192.0.2.12;lr>"] }), caller);
    expect(valuesOf(rig.last(phone2), "Route")).toEqual(["<sip:192.0.2.12;lr>"]);
  });

  it("leaves a first Route value that names somebody else, and one that cannot be read as SIP", () => {
    const rig = new Rig();
    expect(preprocessed(rig, "INVITE", { headers: ["Route: <sip:other.test;lr>, <sip:example.test;lr>"] }).ownRoutes).toBe(0);
    expect(preprocessed(rig, "INVITE", { headers: ["Route: <http://example.test>"] }).ownRoutes).toBe(0);
  });

  it("strips a maddr that is ours, with port and transport, and leaves another", () => {
    const rig = new Rig();
    const own = preprocessed(rig, "INVITE", { requestUri: "sip:bob@h.test:5070;maddr=198.51.100.1;transport=tcp;x=y" });
    expect(own.message.requestUri).toBe("sip:bob@h.test;x=y");
    const other = "sip:bob@h.test;maddr=203.0.113.7";
    expect(preprocessed(rig, "INVITE", { requestUri: other }).message.requestUri).toBe(other);
  });

  it("undoes strict routing: our Record-Route value in the Request-URI, the real one last in Route", () => {
    const rig = new Rig();
    const [own = ""] = recorded(rig, caller, phone1);
    const uri = own.slice(1, -1);
    const result = preprocessed(rig, "BYE", {
      requestUri: uri,
      toTag: "bob",
      headers: ["Route: <sip:192.0.2.12;lr>, <sip:bob@192.0.2.13:5062>"],
    });
    expect(result.message.requestUri).toBe("sip:bob@192.0.2.13:5062");
    expect(result.routes.map((route) => route.text)).toEqual(["<sip:192.0.2.12;lr>"]);
    expect(result.direction).toBe("toCallee");
    expect(dialogTarget(result).flow).toBe(phone1);
    expect(refused(rig, { requestUri: uri, toTag: "bob" })).toBe(404);
  });
});

describe("dialog tokens in Route", () => {
  it("lead an in-dialog request of either side to the other one's flow", () => {
    const rig = new Rig();
    const values = recorded(rig, callerTcp, phoneTcp);
    const toCallee = preprocessed(rig, "BYE", { toTag: "bob", headers: [`Route: ${values.toReversed().join(", ")}`] });
    expect([toCallee.direction, toCallee.ownRoutes, dialogTarget(toCallee).flow]).toEqual(["toCallee", 1, phoneTcp]);
    const toCaller = preprocessed(rig, "BYE", { fromTag: "bob", toTag: "from-alice", headers: [`Route: ${values.join(", ")}`] });
    expect([toCaller.direction, toCaller.ownRoutes, dialogTarget(toCaller).flow]).toEqual(["toCaller", 1, callerTcp]);
  });

  it("[RFC5658] both values of one pass go together; the token of another pass stays for its turn", () => {
    const rig = new Rig();
    const values = recorded(rig, callerTcp, phone1);
    expect(values).toHaveLength(2);
    const headers = [`Route: ${values.join(", ")}`];
    expect(preprocessed(rig, "BYE", { toTag: "bob", headers }).ownRoutes).toBe(2);
    const other = new Rig({ cell: "b" });
    const otherValues = recorded(other, caller, phone2);
    const spiral = preprocessed(rig, "BYE", { toTag: "bob", headers: [...headers, `Route: ${otherValues.join(", ")}`] });
    expect(spiral.ownRoutes).toBe(2);
    expect(spiral.routes).toHaveLength(1);
  });

  it("[RFC5626 5.3] tampered with are answered 403", () => {
    const rig = new Rig();
    const [value = ""] = recorded(rig, caller, phone1);
    const tampered = value.replace("c000020b", "cb007107");
    expect(refused(rig, { toTag: "bob", headers: [`Route: ${tampered}`] })).toBe(403);
    expect(refused(rig, { toTag: "bob", requestUri: tampered.slice(1, -1) })).toBe(403);
    const foreign = new Rig({ secret: "another" });
    expect(refused(foreign, { toTag: "bob", headers: [`Route: ${value}`] })).toBe(403);
  });

  it("on somebody else's host are somebody else's", () => {
    const rig = new Rig();
    expect(preprocessed(rig, "BYE", { toTag: "bob", headers: ["Route: <sip:td1*3*a*x**u*z@other.test;lr>"] }).ownRoutes).toBe(0);
  });

  it("[RFC3261 16.6 4] count for nothing outside their dialog", () => {
    const rig = new Rig();
    const [value = ""] = recorded(rig, caller, phone1);
    const result = preprocessed(rig, "INVITE", { headers: [`Route: ${value}`] });
    expect([result.ownRoutes, result.token]).toEqual([1, undefined]);
  });

  it("[RFC3261 16.6 4] an in-dialog request is recorded with the token of its dialog", () => {
    const rig = new Rig();
    const [value = ""] = recorded(rig, caller, phone1);
    rig.receive(
      request("INVITE", { fromTag: "bob", toTag: "from-alice", requestUri: "sip:alice@192.0.2.1", headers: [`Route: ${value}`] }),
      phone1,
    );
    expect(valuesOf(rig.last(caller, "INVITE"), "RecordRoute")).toEqual([value]);
  });
});

describe("[RFC3261 16.12] in-dialog requests end to end", () => {
  it("BYE of the callee reaches a caller over UDP on the flow that responses went on", () => {
    const rig = new Rig();
    const [value = ""] = recorded(rig, caller, phone1);
    rig.receive(
      request("BYE", {
        branch: "z9hG4bKbye",
        fromTag: "bob",
        toTag: "from-alice",
        requestUri: "sip:alice@192.0.2.1",
        headers: [`Route: ${value}`],
      }),
      phone1,
    );
    expect(rig.take()).toEqual(["caller BYE"]);
  });

  it("[RFC3261 17.1.1.3, 13.2.2.4] the ACK for a 2xx passes without a transaction, the same octets each time", () => {
    const rig = new Rig();
    const [value = ""] = recorded(rig, caller, phone1);
    const ack = request("ACK", { branch: "z9hG4bKack", toTag: "bob", requestUri: "sip:bob@203.0.113.7", headers: [`Route: ${value}`] });
    const size = rig.layer.size;
    rig.receive(ack, caller);
    const first = rig.last(phone1, "ACK").text;
    rig.receive(ack, caller);
    expect(rig.last(phone1, "ACK").text).toBe(first);
    expect(rig.log()).toEqual(["phone1 ACK", "phone1 ACK"]);
    expect(valuesOf(rig.last(phone1, "ACK"), "Route")).toEqual([]);
    expect(rig.last(phone1, "ACK").message.maxForwards).toBe(69);
    expect(rig.layer.size).toBe(size);
  });

  it("[RFC3261 16.11] an ACK waits for its next hop to be resolved, and is dropped with Max-Forwards 0", () => {
    const rig = new Rig();
    const [value = ""] = recorded(rig, caller, phone1);
    const headers = [`Route: ${value}`];
    const ack = preprocessed(rig, "ACK", { toTag: "bob", headers });
    rig.proxy.ack(ack, { requestUri: "sip:bob@example.test", routes: [], nextHop: "sip:bob@far.test" }, rig.now);
    expect([rig.take(), rig.resolves[0]?.uri]).toEqual([[], "sip:bob@far.test"]);
    rig.proxy.resolved(rig.resolves[0]?.reference ?? "", [phone2], rig.now);
    expect([rig.take(), rig.last(phone2).message.requestUri]).toEqual([["phone2 ACK"], "sip:bob@example.test"]);
    rig.receive(request("ACK", { toTag: "bob", maxForwards: 0, headers }), caller);
    expect(rig.take()).toEqual([]);
  });
});
