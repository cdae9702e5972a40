import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ApiClient } from "../../cli/api-client.ts";
import { Membership } from "../../cli/membership.ts";
import { StateDirectory } from "../../cli/state-directory.ts";
import { type MembersAdded, membersAddedSchema } from "../../schemas/api-answers.ts";
import { keyringSchema } from "../../schemas/keyring.ts";
import { read } from "../../schemas/reading.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";

/** The machine that made the authority is gone: its cell is dead, and its files are deleted. The other cell has what counts. */
let system: Tandem;
let membership: Membership;
const elsewhere = mkdtempSync(join(tmpdir(), "tandem-elsewhere-"));

beforeAll(async () => {
  system = await startTandem({ listen: true, restart: false });
  const state = new StateDirectory(system.state);
  membership = new Membership(state, state.readCluster()?.host ?? "");
  const identity = membership.identity();
  const { pid = 0 } = system.run.cells.find(({ id }) => id === "a") ?? {};
  process.kill(pid, "SIGKILL");
  rmSync(join(system.state, "authority", "key.pem"));
  rmSync(join(system.state, "secret"));
  rmSync(join(system.state, "cells", "a"), { recursive: true, force: true });
  const status = new ApiClient([membersUrl()], identity);
  await until(async () => JSON.stringify(await status.get("/api/group")).includes('"coordinator":"b"'), 30_000);
});

afterAll(async () => {
  await system?.stop();
  rmSync(elsewhere, { recursive: true, force: true });
});

/** Of the cell that is left. */
function membersUrl(): string {
  return system.run.cells.find(({ id }) => id === "b")?.membersUrl ?? "";
}

it("leaves who can make members, and signs their certificates", async () => {
  const api = new ApiClient([membersUrl()], membership.identity());
  const newcomer = new Membership(new StateDirectory(elsewhere), "h9");
  const asked = [
    newcomer.request({ id: "h9", kind: "host", addresses: ["192.0.2.9"] }),
    newcomer.request({ id: "c", kind: "cell", addresses: ["192.0.2.9"] }),
  ];
  const { value } = read(membersAddedSchema, await api.put("/api/members", { members: asked }));
  const { certificates, authority, keyring }: MembersAdded = value ?? { certificates: [], authority: "", cells: [] };
  const issuer = new X509Certificate(membership.identity().tls.ca);
  expect(new X509Certificate(authority).fingerprint256).toBe(issuer.fingerprint256);
  expect(certificates.map(({ id, certificate }) => [id, new X509Certificate(certificate).verify(issuer.publicKey)])).toEqual([
    ["h9", true],
    ["c", true],
  ]);
  expect(read(keyringSchema, JSON.parse(keyring ?? "{}")).value?.authority?.privateKey).toMatch(/^[0-9A-Za-z+/=]{100,}$/);
});

it("leaves who renews certificates, and changes the secret", async () => {
  const host = new ApiClient([membersUrl()], membership.identity(), "host");
  const gateway = membership.request({ id: "g1", kind: "gateway", addresses: [] });
  const { certificates } = (await host.put("/host/certificates", [gateway])) as MembersAdded;
  const issuer = new X509Certificate(membership.identity().tls.ca);
  expect(new X509Certificate(certificates[0]?.certificate ?? "").verify(issuer.publicKey)).toBe(true);
  const api = new ApiClient([membersUrl()], membership.identity());
  expect(await api.put("/api/secret", {})).toMatchObject({ next: { version: 2, writer: "b" }, waitsFor: ["a"] });
});
