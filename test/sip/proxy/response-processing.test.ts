import { describe, expect, it } from "vitest";
import { stringOf } from "../../../sip/message/octets.ts";
import { buildResponse } from "../../../sip/message/build.ts";
import { caller, phone1, phone2, phone3, request, Rig, target, valuesOf } from "./rig.ts";

/** An INVITE that rings at these phones, what has left so far forgotten. */
function ringing(...flows: string[]): Rig {
  const rig = new Rig();
  rig.targets = flows.map((flow) => target(flow));
  rig.receive(request("INVITE"), caller);
  for (const flow of flows) rig.answer(flow, 180);
  return rig;
}

/** What reached the caller, final responses only. */
function finals(rig: Rig): string[] {
  return rig.log().filter((line) => /^caller [2-6]/.test(line));
}

/** The final response when the phones answer in this order. */
function bestOf(...statuses: number[]): string | undefined {
  const flows = [phone1, phone2, phone3].slice(0, statuses.length);
  const rig = ringing(...flows);
  statuses.forEach((status, index) => rig.answer(flows[index] ?? "", status));
  expect(finals(rig)).toHaveLength(1);
  return finals(rig)[0]?.slice("caller ".length);
}

describe("[RFC3261 16.7] response processing", () => {
  it("[RFC3261 16.7 3] takes our Via away, and leaves every other octet", () => {
    const rig = new Rig();
    rig.targets = [target(phone1)];
    rig.receive(request("INVITE"), caller);
    const response = stringOf(buildResponse(rig.last(phone1).message, 180, { toTag: "b", headers: [["x-Odd", "a ,b"]] }));
    rig.receive(response, phone1);
    const lines = response.split("\r\n");
    expect(rig.last(caller, "180").text).toBe([lines[0], ...lines.slice(2)].join("\r\n"));
  });

  it("[RFC3261 16.7 5] forwards every provisional response but 100", () => {
    const rig = new Rig();
    rig.targets = [target(phone1), target(phone2)];
    rig.receive(request("INVITE"), caller);
    rig.take();
    for (const status of [100, 180, 183, 199]) rig.answer(phone1, status);
    rig.answer(phone2, 180);
    expect(rig.take()).toEqual(["caller 180", "caller 183", "caller 199", "caller 180"]);
  });

  it("[RFC4320 4.1] forwards no provisional response to a non-INVITE", () => {
    const rig = new Rig();
    rig.targets = [target(phone1)];
    rig.receive(request("MESSAGE"), caller);
    rig.answer(phone1, 180, { method: "MESSAGE" });
    expect(rig.take()).toEqual(["phone1 MESSAGE"]);
  });

  it("[RFC3261 16.7 5, 10] forwards a 2xx at once and cancels the others, which do not show a missed call (RFC 3326)", () => {
    const rig = ringing(phone1, phone2);
    rig.take();
    rig.answer(phone1, 200);
    expect(rig.log()).toEqual(["caller 200", "phone2 CANCEL"]);
    expect(valuesOf(rig.last(phone2, "CANCEL"), "Reason")).toEqual(['SIP;cause=200;text="Call completed elsewhere"']);
    rig.answer(phone2, 200, { method: "CANCEL" });
    rig.answer(phone2, 487);
    expect(rig.take().slice(2)).toEqual(["phone2 ACK"]);
  });

  it("[RFC3261 16.7 5] forwards every 2xx to an INVITE: retransmissions, other branches, forks further down", () => {
    const rig = ringing(phone1, phone2);
    rig.take();
    rig.answer(phone1, 200);
    rig.answer(phone1, 200);
    rig.answer(phone1, 200, { toTag: "fork" });
    rig.answer(phone2, 200);
    expect(rig.take().filter((line) => line.startsWith("caller"))).toEqual(["caller 200", "caller 200", "caller 200", "caller 200"]);
  });

  it("[RFC3261 16.7 5] forwards one final response to a non-INVITE", () => {
    const rig = new Rig();
    rig.targets = [target(phone1), target(phone2)];
    rig.receive(request("MESSAGE"), caller);
    rig.answer(phone1, 200, { method: "MESSAGE" });
    rig.answer(phone2, 200, { method: "MESSAGE" });
    expect(finals(rig)).toEqual(["caller 200"]);
  });

  it("[RFC3261 16.7 6] waits for all branches before it forwards a failure", () => {
    const rig = ringing(phone1, phone2);
    rig.answer(phone1, 486);
    expect(finals(rig)).toEqual([]);
    rig.answer(phone2, 404);
    expect(finals(rig)).toEqual(["caller 486"]);
  });

  it("[RFC3261 16.7 6] chooses 6xx, else the lowest class, within 4xx what lets the client try again", () => {
    expect(bestOf(486, 603)).toBe("603");
    expect(bestOf(503, 407, 501)).toBe("407");
    expect(bestOf(500, 302)).toBe("302");
    expect(bestOf(486, 415)).toBe("415");
    expect(bestOf(404, 484, 486)).toBe("484");
    expect(bestOf(501, 486)).toBe("486");
  });

  it("[RFC3261 16.7 6] a phone's word comes before 480 and 408, which say that nobody was there", () => {
    expect(bestOf(408, 480)).toBe("480");
    expect(bestOf(480, 486)).toBe("486");
    expect(bestOf(408, 486)).toBe("486");
    expect(bestOf(480, 404)).toBe("404");
  });

  it("[RFC3261 16.7 6] a 503 is not forwarded: 500, and any other 5xx before it", () => {
    expect(bestOf(503)).toBe("500");
    expect(bestOf(503, 501)).toBe("501");
    expect(bestOf(503, 486)).toBe("486");
  });

  it("[RFC3261 16.7 6] preserves the To tag of a forwarded failure, and makes one of its own for a 500", () => {
    const rig = ringing(phone1);
    rig.answer(phone1, 486, { toTag: "busy" });
    expect(rig.last(caller, "486").message.toTag).toBe("busy");
    const failed = ringing(phone1);
    failed.answer(phone1, 503, { toTag: "overload" });
    expect(failed.last(caller, "500").message.toTag).toMatch(/^tag-/);
  });

  it("[RFC3261 16.7 7] adds the challenges of all other 401 and 407", () => {
    const rig = ringing(phone1, phone2, phone3);
    rig.answer(phone1, 407, { headers: [["Proxy-Authenticate", 'Digest realm="one", nonce="1,1"']] });
    rig.answer(phone2, 401, {
      headers: [
        ["WWW-Authenticate", 'Digest realm="two"'],
        ["WWW-Authenticate", 'Digest realm="three"'],
      ],
    });
    rig.answer(phone3, 404);
    const best = rig.last(caller, "407");
    expect(valuesOf(best, "ProxyAuthenticate")).toEqual(['Digest realm="one", nonce="1,1"']);
    expect(valuesOf(best, "WwwAuthenticate")).toEqual(['Digest realm="two"', 'Digest realm="three"']);
  });

  it("[RFC3261 16.7 5] 6xx: nothing new starts, the others are cancelled, then it is forwarded", () => {
    const rig = new Rig();
    rig.targets = [target(phone1), target(phone2), target(phone3, { q: 0.1 })];
    rig.receive(request("INVITE"), caller);
    rig.answer(phone1, 180);
    rig.answer(phone2, 180);
    rig.take();
    rig.answer(phone1, 603);
    expect(rig.take()).toEqual(["phone1 ACK", "phone2 CANCEL"]);
    expect(rig.proxy.addTargets(rig.context.tx, [target(phone3)], rig.now)).toBe(false);
  });

  it("[RFC3261 16.7 5] a 2xx that overtakes the 6xx wins", () => {
    const rig = ringing(phone1, phone2);
    rig.answer(phone1, 603);
    rig.answer(phone2, 200);
    expect(finals(rig)).toEqual(["caller 200"]);
  });

  it("[RFC3261 16.7 3] a response without the caller's Via is not forwarded", () => {
    const rig = ringing(phone1);
    rig.take();
    const branchVia = rig.context.branches[0]?.client?.branch ?? "";
    const broken = (status: number): string =>
      `SIP/2.0 ${status} X\r\nVia: SIP/2.0/UDP 198.51.100.1:5060;branch=${branchVia}\r\nFrom: <sip:alice@example.test>;tag=from-alice\r\n` +
      `To: <sip:bob@example.test>;tag=b\r\nCall-ID: call-1\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n`;
    rig.receive(broken(183), phone1);
    expect(rig.take()).toEqual([]);
    rig.receive(broken(200), phone1);
    expect(rig.take()).toEqual(["caller 502"]);
  });

  it("commit: a final response carries the version it must wait for", () => {
    const rig = ringing(phone1);
    rig.commit = 42;
    rig.answer(phone1, 200);
    expect(rig.last(caller, "200").commit).toBe(42);
    expect(rig.last(caller, "180").commit).toBeUndefined();
    expect(rig.finals).toEqual([200]);
  });

  it("[RFC3261 16.5] a target that becomes known while the others ring is tried at once", () => {
    const rig = ringing(phone1);
    rig.take();
    expect(rig.proxy.addTargets(rig.context.tx, [target(phone2), target(phone1)], rig.now)).toBe(true);
    expect(rig.take()).toEqual(["phone2 INVITE"]);
    rig.answer(phone1, 200);
    expect(rig.proxy.addTargets(rig.context.tx, [target(phone3)], rig.now)).toBe(false);
  });
});

describe("[RFC3261 16.7 6] nobody answers", () => {
  it("408 to an INVITE", () => {
    const rig = new Rig();
    rig.targets = [target(phone1)];
    rig.receive(request("INVITE"), caller);
    rig.advance(32_000);
    expect(finals(rig)[0]).toBe("caller 408");
  });

  it("[RFC4320 4.2] nothing to a non-INVITE, but a 100 on the way", () => {
    const rig = new Rig();
    rig.targets = [target(phone1)];
    rig.receive(request("MESSAGE"), caller);
    rig.advance(40_000);
    expect(rig.log().filter((line) => line.startsWith("caller"))).toEqual(["caller 100"]);
    expect(rig.isIdle).toBe(true);
  });

  it("[RFC4320 4.2] a 408 of the next element is not passed on to a non-INVITE", () => {
    const rig = new Rig();
    rig.targets = [target(phone1)];
    rig.receive(request("MESSAGE"), caller);
    rig.answer(phone1, 408, { method: "MESSAGE" });
    rig.advance(40_000);
    expect(finals(rig)).toEqual([]);
    expect(rig.isIdle).toBe(true);
  });
});

describe("[RFC3261 16.8] Timer C", () => {
  it("cancels a branch that rings for more than three minutes; 408 when that helps nothing either", () => {
    const rig = ringing(phone1);
    rig.take();
    rig.advance(180_000);
    expect(rig.take()).toEqual([]);
    rig.advance(1_000);
    expect(rig.take()).toEqual(["phone1 CANCEL"]);
    rig.advance(32_000);
    expect(finals(rig)[0]).toBe("caller 408");
  });

  it("[RFC3261 16.7 2] starts again with each provisional response but 100", () => {
    const rig = ringing(phone1);
    rig.advance(100_000);
    rig.answer(phone1, 183);
    rig.advance(100_000);
    rig.answer(phone1, 100);
    rig.take();
    rig.advance(80_999);
    expect(rig.take()).toEqual([]);
    rig.advance(1);
    expect(rig.take()).toEqual(["phone1 CANCEL"]);
  });

  it("is gone when the branch has ended", () => {
    const rig = ringing(phone1);
    rig.answer(phone1, 200);
    rig.advance(32_000);
    expect(rig.isIdle).toBe(true);
  });
});

describe("[RFC3261 16.9] transport errors", () => {
  it("say that nobody is there: the caller gets 480, and not that we have failed (docs/statuses.md)", () => {
    const rig = new Rig();
    rig.targets = [{ requestUri: "sip:bob@192.0.2.11", routes: [] }];
    rig.receive(request("INVITE"), caller);
    rig.undeliverable(phone1);
    expect(finals(rig)).toEqual(["caller 480"]);
  });

  it("of responses change nothing", () => {
    const rig = ringing(phone1);
    rig.layer.undeliverable(rig.last(caller, "180").message, caller, rig.now);
    rig.answer(phone1, 200);
    expect(finals(rig)).toEqual(["caller 200"]);
  });
});
