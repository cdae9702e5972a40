import { describe, expect, it } from "vitest";
import { stringOf } from "../../../sip/message/octets.ts";
import { buildResponse } from "../../../sip/message/build.ts";
import { callerTcp, caller, phone1, phone2, request, Rig, target, valuesOf } from "./rig.ts";
import { cpuMs } from "../cpu-time.ts";

/** Ways to write our realm, or what a careless phone takes for it. */
const ours: readonly string[] = [
  'Digest realm="example.test", nonce="n"',
  'Digest realm="EXAMPLE.Test", nonce="n"',
  'Digest nonce="n",realm = "example.test"',
  'Digest nonce="n",\trealm= example.test',
  String.raw`Digest realm="ex\ample.te\st", nonce="n"`,
  'Digest realm=" example.test ", nonce="n"',
  'Digest realm="example.test.", nonce="n"',
  'Digest realm="elsewhere.test", nonce="n", Digest realm="example.test", nonce="m"',
  'Digest nonce="realm=", realm="example.test"',
  'Digest nonce="n"',
  `Digest realm=${" ".repeat(12)}"example.test", nonce="n"`,
  `Digest realm${" ".repeat(400)}=${" ".repeat(400)}"example.test", nonce="n"`,
  `Digest realm="elsewhere.test", realm${" \t".repeat(6)}="example.test", nonce="n"`,
  'Digest realm="", nonce="n"',
  'Digest realm=, nonce="n"',
  'nonce="n"',
  'digest realm="198.51.100.1", nonce="n"',
  'Basic realm="elsewhere.test"',
];
const theirs: readonly string[] = [
  'Digest realm="elsewhere.test", nonce="n"',
  'Digest realm="example.test.elsewhere", nonce="example.test"',
  'Digest realm="sub.example.test", nonce="n"',
  'Bearer authz_server="https://elsewhere.test"',
];

/** What the caller gets when its callees challenge. */
function challenged(status: number, challenges: readonly [name: string, value: string][], method = "INVITE"): Rig {
  const rig = new Rig();
  rig.targets = [target(phone1)];
  rig.receive(request(method), caller);
  rig.answer(phone1, status, { headers: [...challenges], method });
  return rig;
}

function forwarded(method: string, headers: string[]): string[] {
  const rig = new Rig();
  rig.targets = [target(phone1)];
  rig.receive(request(method, { headers }), caller);
  const sent = rig.last(phone1, method);
  return [...valuesOf(sent, "Authorization"), ...valuesOf(sent, "ProxyAuthorization")];
}

/** A challenge as the credentials that answer it. */
function credentials(value: string): string {
  return value.replace("Digest", 'Digest username="alice", response="0"');
}

describe("[RFC3261 22.3] passwords for our realms are asked for by us alone", () => {
  it("a challenge for a realm of ours from downstream does not pass: the callee has refused, 403", () => {
    for (const header of ["WWW-Authenticate", "Proxy-Authenticate"]) {
      for (const value of ours) {
        for (const status of [401, 407]) {
          const rig = challenged(status, [[header, value]]);
          const sent = rig.last(caller, "403");
          expect([value, ...valuesOf(sent, "WwwAuthenticate"), ...valuesOf(sent, "ProxyAuthenticate")]).toEqual([value]);
          expect(sent.message.toTag).toBe(`of-${phone1.slice(-6)}`);
        }
      }
    }
    expect(challenged(401, [["WWW-Authenticate", ours[0] ?? ""]], "MESSAGE").last(caller).message.status).toBe(403);
  });

  it("challenges for other realms pass, whichever stand together with one of ours", () => {
    for (const value of theirs) {
      expect(valuesOf(challenged(401, [["WWW-Authenticate", value]]).last(caller, "401"), "WwwAuthenticate")).toEqual([value]);
    }
    const mixed = challenged(407, [
      ["Proxy-Authenticate", theirs[0] ?? ""],
      ["Proxy-Authenticate", ours[0] ?? ""],
      ["WWW-Authenticate", ours[1] ?? ""],
    ]).last(caller, "407");
    expect([valuesOf(mixed, "ProxyAuthenticate"), valuesOf(mixed, "WwwAuthenticate")]).toEqual([[theirs[0]], []]);
  });

  it("[RFC3261 16.7 7] a 401 with the challenges of several phones has none of ours among them", () => {
    const rig = new Rig();
    rig.targets = [target(phone1), target(phone2)];
    rig.receive(request("INVITE"), caller);
    rig.answer(phone1, 407, { headers: [["Proxy-Authenticate", ours[0] ?? ""]] });
    rig.answer(phone2, 401, { headers: [["WWW-Authenticate", theirs[0] ?? ""]] });
    const sent = rig.last(caller, "401");
    expect([valuesOf(sent, "WwwAuthenticate"), valuesOf(sent, "ProxyAuthenticate")]).toEqual([[theirs[0]], []]);
  });

  it("no other response brings one either", () => {
    for (const status of [180, 200, 486]) {
      const sent = challenged(status, [["WWW-Authenticate", ours[0] ?? ""]]).last(caller, String(status));
      expect(valuesOf(sent, "WwwAuthenticate")).toEqual([]);
    }
  });

  it("nor does one that another replica's transaction waits for", () => {
    const a = new Rig();
    a.targets = [target(phone1)];
    a.receive(request("INVITE", { via: "SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bKt" }), callerTcp);
    const headers: [string, string][] = [["WWW-Authenticate", ours[0] ?? ""]];
    const response = stringOf(buildResponse(a.last(phone1).message, 401, { toTag: "b", headers }));
    const b = new Rig({ cell: "b" });
    b.receive(response, phone1);
    expect(b.take()).toEqual(["caller 403"]);
    expect(b.last(callerTcp).text).not.toContain("Authenticate");
  });

  it("credentials for our realms are not forwarded, in whichever header and however many lines; those for others are", () => {
    for (const method of ["INVITE", "MESSAGE"]) {
      for (const header of ["Authorization", "Proxy-Authorization"]) {
        for (const value of ours) expect([value, ...forwarded(method, [`${header}: ${credentials(value)}`])]).toEqual([value]);
        const all = [theirs[0], ours[0], theirs[1], ours[1]].map((value = "") => credentials(value));
        expect(
          forwarded(
            method,
            all.map((value) => `${header}: ${value}`),
          ),
        ).toEqual([all[0], all[2]]);
      }
    }
  });

  it("nor inside a dialog, in BYE, ACK and re-INVITE", () => {
    const rig = new Rig();
    rig.targets = [target(phone1)];
    rig.recordRoute = true;
    rig.receive(request("INVITE"), caller);
    rig.answer(phone1, 200, { toTag: "b" });
    const [route = ""] = valuesOf(rig.last(phone1), "RecordRoute");
    const headers = [`Route: ${route}`, `Authorization: ${ours[0]}`, `Proxy-Authorization: ${ours[0]}`, `Authorization: ${theirs[0]}`];
    for (const [index, method] of ["ACK", "INVITE", "BYE"].entries()) {
      const cSeq = method === "ACK" ? 1 : index + 1;
      rig.receive(request(method, { toTag: "b", branch: `z9hG4bK${method}`, cSeq, headers, requestUri: "sip:bob@h.invalid" }), caller);
      const sent = rig.last(phone1, method);
      expect([method, ...valuesOf(sent, "Authorization")]).toEqual([method, theirs[0]]);
      expect(valuesOf(sent, "ProxyAuthorization")).toEqual([]);
    }
  });

  it("a header full of realms costs no more than its length", () => {
    const started = cpuMs();
    forwarded("INVITE", [`Authorization: ${'realm="'.repeat(2_300)}`]);
    expect(cpuMs() - started).toBeLessThan(100);
  });
});
