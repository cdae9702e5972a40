import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { apiReference } from "../../schemas/api-reference.ts";

describe("docs/api.md", () => {
  it("is what `npm run reference` makes of the schemas", () => {
    expect(readFileSync(new URL("../../docs/api.md", import.meta.url), "utf8")).toBe(apiReference());
  });

  it("names the fields of answers and bodies, inner ones by their path, with bounds and meaning", () => {
    const lines = apiReference().split("\n");
    expect(lines).toContain('| `cells[].state` | `"joining"`, `"up"`, `"draining"`, `"down"` | as the asked cell sees it |');
    expect(lines).toContain("| `heartbeat.periodMs` | whole number from 100 to 60000 | from one heartbeat to the next |");
    expect(lines).toContain("| `ha1Md5` | text | MD5 of user:domain:password (RFC 7616 3.4.2) |");
    expect(lines).toContain("| each | text | address-of-record |");
  });
});
