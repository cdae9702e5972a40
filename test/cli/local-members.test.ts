import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Authority } from "../../cli/authority.ts";
import { LocalMembers } from "../../cli/local-members.ts";
import type { MemberRequest } from "../../cli/membership.ts";
import { StateDirectory } from "../../cli/state-directory.ts";

const now = new Date("2026-11-30T16:00:00Z");
const later = (days: number): Date => new Date(now.getTime() + days * 86_400_000);
const cells = [
  { id: "a", port: 8801, url: "http://127.0.0.1:8801", members: { host: "127.0.0.1", port: 8841, url: "https://127.0.0.1:8841" } },
];

let state: StateDirectory;
beforeEach(() => {
  state = new StateDirectory(mkdtempSync(join(tmpdir(), "tandem-local-members-")));
});
afterEach(() => rmSync(state.path, { recursive: true, force: true }));

it("asks a cell for other certificates when two thirds of their life are over, and not before", async () => {
  const members = new LocalMembers(state, "h1", { gateways: [{ id: "g1", listeners: [] }] });
  const authority = Authority.ensure(state, now);
  members.certify(authority, cells, "a secret", now);
  const asked: string[] = [];
  const api = {
    put: (path: string, body: unknown): Promise<unknown> => {
      const wanted = body as readonly MemberRequest[];
      asked.push(path, ...wanted.map(({ id }) => id));
      const certificates = wanted.map(({ id, addresses, tlsKey }) => ({
        id,
        certificate: authority.issue({ id, addresses, publicKey: Buffer.from(tlsKey, "base64") }, later(20)),
        until: later(50).getTime(),
      }));
      return Promise.resolve({ certificates });
    },
  };
  expect(await members.renew(cells, api, later(19))).toEqual([]);
  const before = readFileSync(members.files("g1").cert, "utf8");
  expect(await members.renew(cells, api, later(20))).toEqual(["h1", "a", "g1"]);
  expect(asked).toEqual(["/host/certificates", "h1", "a", "g1"]);
  expect(readFileSync(members.files("g1").cert, "utf8")).not.toBe(before);
  expect(await members.renew(cells, api, later(20))).toEqual([]);
});
