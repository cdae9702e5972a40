import { createHash, createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { protocolVersion } from "../../cluster/protocol-version.ts";
import { apiReference } from "../../schemas/api-reference.ts";

describe("docs/api.md", () => {
  it("is what `npm run reference` makes of the schemas", () => {
    expect(readFileSync(new URL("../../docs/api.md", import.meta.url), "utf8")).toBe(apiReference());
  });

  it("names the fields of answers and bodies, inner ones by their path, with bounds and meaning", () => {
    const lines = apiReference().split("\n");
    expect(lines).toContain('| `cells[].state` | `"joining"`, `"up"`, `"draining"`, `"down"` | as the asked cell sees it |');
    expect(lines).toContain("| `heartbeat.periodMs` | whole number from 100 to 60000 | from one heartbeat to the next |");
    expect(lines).toContain("| `ha1Md5` | 32 hex digits | MD5 of user:domain:password (RFC 7616 3.4.2) |");
    expect(lines).toContain("| `ha1bSha256` | 64 hex digits, may be absent | SHA-256 of that |");
    expect(lines).toContain("| each | text | address-of-record |");
  });

  it("signs its example as it says, and sends what is signed", () => {
    const [, secret = "", body = ""] = /The secret is `(.+)`, and the body `(.+)`\./.exec(apiReference()) ?? [];
    const [, signedText = ""] = /```text\n([^`]+)\n```/.exec(apiReference()) ?? [];
    const [, sent = ""] = /```http\n([^`]+)\n```/.exec(apiReference()) ?? [];
    const [scheme, purpose, who, cell, time, nonce, method, path, bodyHash, ...more] = signedText.split("\n");
    expect([scheme, purpose, who, more]).toEqual(["Tandem2", "api", "cli", []]);
    expect(bodyHash).toBe(createHash("sha256").update(body).digest("hex"));
    const signature = createHmac("sha256", secret).update(signedText).digest("hex");
    const [requestLine, ...lines] = sent.split("\n");
    expect(requestLine).toBe(`${method} ${path} HTTP/1.1`);
    expect(lines).toContain(`authorization: Tandem2 cli ${cell} ${time} ${nonce} ${bodyHash} ${signature}`);
    expect(lines).toContain(`tandem-version: ${protocolVersion}`);
    expect(lines.slice(-2)).toEqual(["", body]);
  });
});
