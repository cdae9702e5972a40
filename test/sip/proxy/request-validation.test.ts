import { describe, expect, it } from "vitest";
import { spiralsMax } from "../../../sip/limits.ts";
import { identify } from "../../../sip/proxy/request-validation.ts";
import { isParseError } from "../../../sip/errors.ts";
import { octetsOf } from "../../../sip/message/octets.ts";
import { parsed } from "../transaction/recorder.ts";
import { caller, phone1, request, Rig, target, valuesOf } from "./rig.ts";
import type { RequestOptions } from "./rig.ts";

function answered(method: string, options: RequestOptions): Rig {
  const rig = new Rig();
  rig.targets = [target(phone1)];
  rig.receive(request(method, options), caller);
  return rig;
}

/** The request as the next element sends it back to us. */
function sentBack(rig: Rig, change: (text: string) => string = (text) => text): void {
  const { text } = rig.last(phone1, "INVITE");
  const via = "Via: SIP/2.0/UDP 192.0.2.11:5060;branch=z9hG4bKback\r\n";
  const back = text.replace("\r\n", `\r\n${via}`).replace(target(phone1).requestUri, "sip:bob@example.test");
  rig.take();
  rig.receive(change(back), phone1);
}

/** Another replica, to which the next element has sent the request for another user. */
function spiralled(rig: Rig, user: string): Rig {
  const { text } = rig.last(phone1, "INVITE");
  const other = new Rig();
  other.targets = [target(phone1)];
  const via = "Via: SIP/2.0/UDP 192.0.2.11:5060;branch=z9hG4bKback\r\n";
  const back = text.replace("\r\n", `\r\n${via}`);
  other.receive(back.replace(target(phone1).requestUri, `sip:${user}@example.test`), phone1);
  return other;
}

function hash(method: string, options: RequestOptions = {}): string {
  const received = new Rig().proxy.preprocess(parsed(octetsOf(request(method, options))), caller);
  if (isParseError(received)) throw new Error(received.reason);
  identify(received, { isOurs: (host) => host === "example.test" });
  return received.loop ?? "";
}

describe("[RFC3261 16.3] request validation", () => {
  it("[RFC3261 16.3 2] refuses a scheme it cannot route with 416", () => {
    expect(answered("INVITE", { requestUri: "nobodyKnowsThisScheme:totallyopaquecontent" }).take()).toEqual(["caller 416"]);
  });

  it("[RFC3261 16.3 3] refuses Max-Forwards 0 with 483, and lets 1 pass", () => {
    expect(answered("INVITE", { maxForwards: 0 }).take()).toEqual(["caller 483"]);
    expect(answered("OPTIONS", { maxForwards: 0 }).take()).toEqual(["caller 483"]);
    expect(answered("INVITE", { maxForwards: 1 }).take()).toEqual(["caller 100", "phone1 INVITE"]);
  });

  it("[RFC3261 16.3 3] leaves OPTIONS and REGISTER to whoever answers them: they are not forwarded, so nothing is checked", () => {
    const rig = new Rig();
    for (const method of ["OPTIONS", "REGISTER"]) {
      const message = parsed(octetsOf(request(method, { maxForwards: 0, headers: ["Proxy-Require: foo"] })));
      expect(rig.proxy.preprocess(message, caller)).not.toHaveProperty("error");
    }
  });

  it("[RFC3261 16.3 5] refuses what Proxy-Require asks with 420 and names it in Unsupported", () => {
    const rig = answered("INVITE", { headers: ["Proxy-Require: nothingSupportsThis, noneHasIt"] });
    expect(valuesOf(rig.last(caller, "420"), "Unsupported")).toEqual(["nothingsupportsthis", "nonehasit"]);
  });

  it("[RFC3261 16.3 1] does not look at headers it does not need", () => {
    expect(answered("INVITE", { headers: ["Date: never", "Expires: soon", "Require: foo"] }).take()).toEqual([
      "caller 100",
      "phone1 INVITE",
    ]);
  });

  it("[RFC3261 16.3] does not know every method, and forwards them all", () => {
    expect(answered("FOO!", {}).take()).toEqual(["phone1 FOO!"]);
  });
});

describe("[RFC5393 4.2] loops", () => {
  it("[RFC3261 16.3 4] answers a request that comes back unchanged with 482", () => {
    const rig = answered("INVITE", {});
    sentBack(rig);
    expect(rig.take()).toEqual(["phone1 482"]);
  });

  it("[RFC3261 16.3 4] lets a spiral pass: another Request-URI", () => {
    const rig = answered("INVITE", {});
    sentBack(rig, (text) => text.replace("INVITE sip:bob@example.test", "INVITE sip:carol@example.test"));
    expect(rig.take()).toEqual(["phone1 100", "phone1 INVITE"]);
  });

  it("[RFC5393 4.2.2] knows a loop by the Via of another replica, though nothing is in progress here", () => {
    expect(spiralled(answered("INVITE", {}), "bob").take()).toEqual(["phone1 482"]);
  });

  it(`lets a request spiral ${spiralsMax} times, through whichever replicas, and refuses it then`, () => {
    let rig = answered("INVITE", {});
    for (let count = 1; count <= spiralsMax; count += 1) {
      rig = spiralled(rig, `bob${count}`);
      expect(rig.log()).toEqual(["phone1 100", "phone1 INVITE"]);
    }
    expect(spiralled(rig, "last").take()).toEqual(["phone1 482"]);
  });

  it("[RFC5393 4.2.1] the hash does not depend on the method, but on what routes the request", () => {
    expect(hash("ACK")).toBe(hash("INVITE"));
    expect(hash("INVITE", { branch: "z9hG4bKother", maxForwards: 5 })).toBe(hash("INVITE"));
    expect(hash("INVITE", { requestUri: "sip:carol@example.test" })).not.toBe(hash("INVITE"));
    expect(hash("INVITE", { headers: ["Route: <sip:x.test;lr>"] })).not.toBe(hash("INVITE"));
    expect(hash("INVITE", { headers: ['Proxy-Authorization: Digest realm="other.test"'] })).not.toBe(hash("INVITE"));
    expect(hash("INVITE", { cSeq: 2 })).not.toBe(hash("INVITE"));
  });

  it("a forged or foreign Via does no harm", () => {
    const rig = new Rig();
    rig.targets = [target(phone1)];
    const foreign = ["z9hG4bKtd", "z9hG4bKtd....", "z9hG4bKtd3.a.b.c", "z9hG4bKtd3.a.b.c.d.e", "x"].map(
      (branch) => `Via: SIP/2.0/UDP h;branch=${branch}`,
    );
    rig.receive(request("INVITE", { headers: [...foreign, 'Via: SIP/2.0/UDP h;x="z9hG4bKtd"', "Via: SIP/2.0/SCTP h"] }), caller);
    expect(rig.take()).toEqual(["caller 100", "phone1 INVITE"]);
  });
});
