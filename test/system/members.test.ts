import { createHmac, X509Certificate } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { request as requestHttp } from "node:http";
import { request as requestHttps, type RequestOptions } from "node:https";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ApiClient, type HostIdentity, type Purpose } from "../../cli/api-client.ts";
import { Membership } from "../../cli/membership.ts";
import type { MemberKind } from "../../cluster/map/members.ts";
import { StateDirectory } from "../../cli/state-directory.ts";
import { accountOf, addSubscribers } from "../../kit/world/subscribers.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";
import { until } from "../../kit/world/until.ts";
import { makeDialogToken, parseDialogToken } from "../../sip/flow/token.ts";
import { sipHash, sipHashKeyOf } from "../../sip/sip-hash.ts";
import { establish, exchange, OutgoingCall, sdpOf } from "./clients/call.ts";
import { Phone } from "./clients/phone.ts";
import { wayOf } from "./clients/way.ts";

/** A system with an authority, as `tandem up --listen` makes it: two cells and a gateway, with keys and sockets of their own. */
let system: Tandem;
let membership: Membership;

beforeAll(async () => {
  system = await startTandem({ listen: true, gateways: 2 });
  const state = new StateDirectory(system.state);
  membership = new Membership(state, state.readCluster()?.host ?? "");
});

afterAll(() => system?.stop());

function membersUrl(cell = 0): string {
  return system.run.cells[cell]?.membersUrl ?? "";
}

/** Somebody with the files of a member. */
function identityOf(id: string): HostIdentity {
  return new Membership(new StateDirectory(system.state), id).identity();
}

function apiOf(identity: HostIdentity, purpose: Purpose): ApiClient {
  return new ApiClient([membersUrl()], identity, purpose);
}

/** The status of a request, or the code of an error. */
function statusOf(url: string, options: RequestOptions): Promise<string> {
  return new Promise((answered) => {
    const request = url.startsWith("https:") ? requestHttps : requestHttp;
    const outgoing = request(url, { ...options, agent: false }, (response) => {
      response.resume();
      answered(String(response.statusCode));
    });
    outgoing.once("upgrade", (_response, socket) => {
      socket.destroy();
      answered("101");
    });
    outgoing.once("error", (error) => answered("code" in error ? String(error.code) : error.message)).end();
  });
}

async function isUp(gateway: string): Promise<boolean> {
  const { out } = await system.cli("status", "--json");
  const { gateways } = JSON.parse(out) as { readonly gateways: readonly { readonly id: string; readonly state: string }[] };
  return gateways.some(({ id, state }) => id === gateway && state === "up");
}

it("takes calls from UDP and over the cells' door, through a gateway that has no secret", async () => {
  await addSubscribers(system, ["caller", "callee"].map(accountOf));
  const phones = await Promise.all([
    Phone.open(wayOf(system, "UDP"), accountOf("caller")),
    Phone.open(wayOf(system, "WS"), accountOf("callee")),
  ]);
  const [caller, callee] = phones;
  for (const phone of phones) expect((await phone.register()).status).toBe(200);
  const call = await establish(caller, callee);
  expect(await exchange("BYE", call.caller, callee)).toMatchObject({ status: 200 });
  for (const phone of phones) phone.close();
  expect(readFileSync(`${system.state}/gateway-g1.toml`, "utf8")).not.toContain("secret");
  expect((await system.cli("status", "--json")).code).toBe(0);
});

it("signs with another secret while a call stands, which can be ended, also after a cell has started anew", async () => {
  await addSubscribers(system, ["early", "late"].map(accountOf));
  const phones = await Promise.all([
    Phone.open(wayOf(system, "UDP"), accountOf("early")),
    Phone.open(wayOf(system, "WS"), accountOf("late")),
  ]);
  const [caller, callee] = phones;
  for (const phone of phones) expect((await phone.register()).status).toBe(200);
  const [before, other] = [await establish(caller, callee), await establish(caller, callee)];
  const outcome = await system.cli("rotate-secret");
  expect(outcome).toMatchObject({ code: 0 });
  expect(outcome.out).toMatch(/^Tokens and nonces are signed with another secret now\nWhat the one before has signed counts until 20/);
  expect(outcome.out).not.toContain(new StateDirectory(system.state).readSecret() ?? "");
  expect(await exchange("BYE", before.caller, callee)).toMatchObject({ status: 200 });
  const after = await establish(caller, callee);
  expect(await exchange("BYE", after.caller, callee)).toMatchObject({ status: 200 });
  for (const phone of phones) expect((await phone.register()).status).toBe(200);
  // It has the secrets from its disk, and from the other one. The softphone stays where it is.
  const pidOf = (): number => system.run.cells.find(({ id }) => id === "b")?.pid ?? 0;
  const pid = pidOf();
  process.kill(pid, "SIGKILL");
  await until(() => pidOf() !== pid);
  await until(
    async () => JSON.parse((await system.cli("status", "--json")).out).cells.every(({ state }: { state: string }) => state === "up"),
    30_000,
  );
  expect(JSON.parse((await system.cli("rotate-secret", "--show", "--json")).out)).toMatchObject({ signing: { version: 2 }, waitsFor: [] });
  expect(await exchange("BYE", other.caller, callee)).toMatchObject({ status: 200 });
  for (const phone of phones) phone.close();
});

const upgrade = {
  upgrade: "websocket",
  connection: "upgrade",
  "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
  "sec-websocket-version": "13",
};

describe("the door of a cell, where softphones connect", () => {
  it.each(["/api/status", "/api/members", "/cell/summary", "/host/summary", "/control", "/backhaul/0", "/pair/0", "/line/0"])(
    "serves nothing of members: %s",
    async (path) => {
      const url = system.run.cells[0]?.url ?? "";
      for (const headers of [{}, upgrade]) expect(await statusOf(`${url}${path}`, { headers })).toBe("404");
      expect(await statusOf(url, {})).toBe("200");
    },
  );
});

describe("the members' socket", () => {
  it("lets nobody in without a certificate of the authority", async () => {
    const { tls } = identityOf("g1");
    expect(await statusOf(membersUrl(), { ca: tls.ca })).toMatch(/^ERR_SSL|^ECONNRESET|^EPIPE/);
    const foreign = { key: readFileSync(`${system.state}/tls/key.pem`), cert: readFileSync(`${system.state}/tls/cert.pem`) };
    expect(await statusOf(membersUrl(), { ca: tls.ca, ...foreign })).toMatch(/^ERR_SSL|^ECONNRESET|^EPIPE/);
    expect(await statusOf(membersUrl(), tls)).toBe("200");
    expect(await statusOf(membersUrl(), { ...tls, maxVersion: "TLSv1.2" })).toMatch(/^ERR_SSL|^ECONNRESET|^EPROTO/);
  });

  it("is not taken for one by whoever trusts another authority", async () => {
    const { cert, key } = identityOf("g1").tls;
    expect(await statusOf(membersUrl(), { cert, key })).toMatch(/SELF_SIGNED|UNABLE_TO_VERIFY/);
  });

  it("answers a member what its kind may ask, and no more", async () => {
    const gateway = identityOf("g1");
    for (const purpose of ["api", "host", "cell"] as const) {
      const path = { api: "/api/status", host: "/host/summary", cell: "/cell/summary" }[purpose];
      await expect(apiOf(gateway, purpose).get(path)).rejects.toThrow("this member may not ask for this");
    }
    const host = identityOf(membership.host);
    await expect(apiOf(host, "api").get("/api/status")).resolves.toHaveProperty("cells");
    await expect(apiOf(host, "host").get("/host/summary")).resolves.toHaveProperty("exchanges");
    await expect(apiOf(host, "cell").get("/cell/summary")).rejects.toThrow("this member may not ask for this");
  });

  it("takes no member's key for another member's name, and not the secret", async () => {
    const { key, tls } = identityOf("g1");
    await expect(apiOf({ id: membership.host, key, tls }, "api").get("/api/status")).rejects.toThrow(/does not accept the key of host/);
    const secret = new StateDirectory(system.state).readSecret() ?? "";
    await expect(new ApiClient([system.run.cells[0]?.url ?? ""], secret).get("/api/status")).rejects.toThrow("there is nothing here");
  });
});

describe("a gateway", () => {
  it("signs no route, whatever of all that it has it takes for the secret", async () => {
    await addSubscribers(system, ["signing", "signed"].map(accountOf));
    const caller = await Phone.open(wayOf(system, "UDP"), accountOf("signing"));
    const callee = await Phone.open(wayOf(system, "WS"), accountOf("signed"));
    for (const phone of [caller, callee]) expect((await phone.register()).status).toBe(200);
    const outgoing = new OutgoingCall(caller, callee.addressOfRecord);
    callee.answer(await callee.next("INVITE", outgoing.callId), 200, "OK", sdpOf(callee));
    await outgoing.untilAnswered();
    const { headers } = await outgoing.final;
    const routes = (headers["record-route"] ?? []).toReversed();
    const token = parseDialogToken(routes[0]?.uri.user ?? "");
    if (token?.madeAt === undefined || !Array.isArray(headers.contact)) throw new Error("there is a token, and a Contact");
    const uri = headers.contact[0]?.uri ?? "";
    // As a cell would have made it a second before, if this were the secret.
    const made = { ...token, madeAt: token.madeAt - 1_000 };
    let seq = 1_000;
    const statusWith = async (secret: string): Promise<number> => {
      const key = sipHashKeyOf(createHmac("sha256", secret).update("tokens").digest());
      const user = makeDialogToken(made, { callId: outgoing.callId, callerTag: caller.tag }, (text) => sipHash(key, text));
      const { from, to } = headers;
      const route = routes.map((each) => ({ ...each, uri: { ...each.uri, user } }));
      const cseq = { seq: (seq += 1), method: "BYE" };
      const bye = { from, to, "call-id": outgoing.callId, cseq, route, "max-forwards": "70" };
      return (await caller.transact({ method: "BYE", uri, version: "2.0", headers: bye, content: "" })).status;
    };
    const folder = `${system.state}/members/g1`;
    const files = [...readdirSync(folder).map((name) => `${folder}/${name}`), `${system.state}/gateway-g1.toml`];
    const { key } = identityOf("g1");
    const { d = "" } = key.export({ format: "jwk" });
    const all = [
      ...files.map((file) => readFileSync(file, "utf8").trim()),
      d,
      key.export({ type: "pkcs8", format: "der" }).toString("base64"),
    ];
    expect(all.length).toBeGreaterThan(5);
    for (const each of all) expect(await statusWith(each)).toBe(403);
    // With what cells alone have it would be followed.
    const answered = statusWith(new StateDirectory(system.state).readSecret() ?? "");
    callee.answer(await callee.next("BYE", outgoing.callId), 200, "OK");
    expect(await answered).toBe(200);
    for (const phone of [caller, callee]) phone.close();
  });
});

describe("members that come and go", () => {
  it("get certificates of the authority from any cell, and only for what runs on them", async () => {
    const gateway = membership.request({ id: "g1", kind: "gateway", addresses: [] });
    const host = apiOf(identityOf(membership.host), "host");
    const answer = (await host.put("/host/certificates", [gateway])) as {
      readonly certificates: readonly { readonly certificate: string }[];
    };
    const certificate = answer.certificates[0]?.certificate ?? "";
    const issuer = new X509Certificate(identityOf("g1").tls.ca);
    expect(new X509Certificate(certificate).verify(issuer.publicKey)).toBe(true);
    const stranger = { ...gateway, id: "g9" };
    await expect(host.put("/host/certificates", [stranger])).rejects.toThrow(`gateway g9 does not run on ${membership.host}`);
  });

  it("get no certificate for what they are not, nor for an address where they are not", async () => {
    const host = apiOf(identityOf(membership.host), "host");
    const ask = (id: string, kind: MemberKind, address: string): Promise<unknown> =>
      host.put("/host/certificates", [membership.request({ id, kind, addresses: [address] })]);
    await expect(ask("g1", "cell", "127.0.0.1")).rejects.toThrow(`cell g1 does not run on ${membership.host}`);
    await expect(ask("g1", "gateway", "127.0.0.1")).rejects.toThrow("g1 is a gateway that nobody connects to");
    await expect(ask("a", "cell", "192.0.2.1")).rejects.toThrow("a asks for 192.0.2.1, and the cells of host");
    await expect(ask(membership.host, "host", "example.test")).rejects.toThrow("asks for example.test, which is no IP address");
    await expect(ask("a", "cell", "127.0.0.1")).resolves.toHaveProperty("certificates");
    const api = apiOf(identityOf(membership.host), "api");
    const newcomer = new Membership(new StateDirectory(`${system.state}/h9`), "h9");
    const members = [newcomer.request({ id: "h9", kind: "host", addresses: ["127.0.0.1"] })];
    await expect(api.put("/api/members", { members })).rejects.toThrow("h9 asks for 127.0.0.1, where cell a is");
    const join = async (role: "cell" | "gateway", address: string): Promise<unknown> => {
      const { token: invitation } = (await api.put("/api/invitations", { role, forMs: 60_000 })) as { readonly token: string };
      const asked = [newcomer.request({ id: "h9", kind: "host", addresses: [address] })];
      return await api.put("/api/members", { members: asked, invitation });
    };
    await expect(join("cell", "127.0.0.1")).rejects.toThrow("h9 asks for 127.0.0.1, where cell a is");
    await expect(join("gateway", "192.0.2.9")).rejects.toThrow("h9 is a host that nobody connects to, and has an address");
  });

  it("are cells too: one more is added, with a key of its own, and has its share", async () => {
    expect(await system.cli("cell", "add", "--json")).toMatchObject({ code: 0 });
    const members = await apiOf(identityOf(membership.host), "api").get("/api/members");
    expect(members).toContainEqual(expect.objectContaining({ id: "c", kind: "cell", host: membership.host }));
    expect((await system.cli("group", "--json")).out).toContain('"c"');
  });

  it("count no more within a second once they are removed, and their connections end", async () => {
    const gateway = identityOf("g2");
    expect(await isUp("g2")).toBe(true);
    await apiOf(identityOf(membership.host), "api").delete("/api/members/g2");
    const refused = async (): Promise<boolean> => {
      const urls = system.run.cells.map(({ membersUrl: url = "" }) => url);
      const outcomes = await Promise.all(urls.map((url) => new ApiClient([url], gateway).get("/api/status").catch(String)));
      return outcomes.every((outcome) => String(outcome).includes("does not accept the key of host g2"));
    };
    await until(refused);
    await until(async () => !(await isUp("g2")), 30_000);
  });
});
