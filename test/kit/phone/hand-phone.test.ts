import { createHash } from "node:crypto";
import { beforeEach, describe, expect, it } from "vitest";
import { HandPhone } from "../../../kit/phone/hand-phone.ts";
import { linesOf, responseText, valueOf } from "../../../kit/phone/message-text.ts";
import { digestResponse } from "../../../sip/auth/digest.ts";
import { ManualEnvironment } from "./manual-environment.ts";

const md5 = (text: string): string => createHash("md5").update(text, "latin1").digest("hex");

let environment: ManualEnvironment;
let said: string[];
let phone: HandPhone;

beforeEach(() => {
  environment = new ManualEnvironment();
  said = [];
  const options = { user: "alice", domain: "example.test", credentials: { password: "secret", md5 }, patienceMs: 1_000 };
  phone = new HandPhone(options, environment, (text) => void said.push(text));
});

/** Answers the last request that was said. */
function answer(status: string, headers: readonly string[] = []): void {
  phone.receive(responseText(status, linesOf(said.at(-1) ?? ""), "r", headers));
}

/** Lets promises that are settled be told. */
const turn = (): Promise<void> => new Promise((next) => setImmediate(next));

describe("a phone by hand", () => {
  it("[RFC7616 3.4.1] answers a challenge for MD5 with what its password proves, and a number more", async () => {
    const final = phone.register();
    answer("401 Unauthorized", ['WWW-Authenticate: Digest realm="example.test", nonce="n1", algorithm=MD5, qop="auth"']);
    await turn();
    const field = (name: string): string => new RegExp(`\\b${name}="?([^",]+)`).exec(valueOf(said[1] ?? "", "Authorization"))?.[1] ?? "";
    const answered = { nonce: "n1", nc: field("nc"), cnonce: field("cnonce"), qop: "auth", uri: "sip:example.test" };
    const ha1 = md5("alice:example.test:secret");
    expect(field("response")).toBe(digestResponse((_, text) => md5(text), "MD5", ha1, "REGISTER", answered));
    expect(said.map((text) => linesOf(text).cSeq)).toEqual(["CSeq: 1 REGISTER", "CSeq: 2 REGISTER"]);
    answer("200 OK");
    expect(await final).toMatch(/^SIP\/2\.0 200 OK/);
  });

  it("[RFC3261 17.1.1.3] acknowledges the challenge of an INVITE", async () => {
    const uri = "sip:bob@example.test";
    const final = phone.transact("INVITE", uri, phone.partiesOf(uri), "v=0\r\n");
    answer("407 Proxy Authentication Required", ['Proxy-Authenticate: Digest realm="x", nonce="n", algorithm=MD5, qop="auth"']);
    await turn();
    const [invite = "", ack = "", again = ""] = said;
    expect([linesOf(ack).vias, linesOf(ack).cSeq, valueOf(ack, "To")]).toEqual([linesOf(invite).vias, "CSeq: 1 ACK", `<${uri}>;tag=r`]);
    expect(valueOf(again, "Proxy-Authorization")).toContain('Digest username="alice"');
    answer("486 Busy Here");
    expect(await final).toMatch(/^SIP\/2\.0 486/);
  });

  it("takes what comes in order, skips what is not final, and finds what has been taken", async () => {
    phone.receive("MESSAGE sip:alice@example.test SIP/2.0\r\n\r\n");
    const first = phone.take();
    const final = phone.takeFinal();
    phone.receive("SIP/2.0 180 Ringing\r\n\r\n");
    phone.receive("SIP/2.0 200 OK\r\n\r\n");
    expect([await first, await final]).toEqual(phone.messages.filter((_, index) => index !== 1));
    expect(await phone.received("MESSAGE")).toBe(phone.messages[0]);
  });

  it("waits no longer than it has patience", async () => {
    const late = phone.take().catch(String);
    environment.advance(1_000);
    expect(await late).toBe("Error: alice is still waiting for a message");
  });
});
