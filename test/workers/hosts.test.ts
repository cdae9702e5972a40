import { exports } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import type { Hosts, Order, OrdersForHost } from "../../schemas/hosts.ts";
import { hostProcessesMax, lastWordsMax } from "../../schemas/limits.ts";
import { HostReports } from "../../workers/host-reports.ts";
import { hostRememberedMs, hostReportOctetsMax, hostsRememberedMax } from "../../workers/limits.ts";
import { callApi, ourVersion, signature } from "./cell.ts";

const processes = [
  { id: "a", kind: "cell", state: "up", pid: 77, since: 1, starts: 1, cpuSeconds: 4, lastWords: "a word", saidAt: 2 },
  { id: "g1", kind: "gateway", state: "up", since: 1, starts: 3 },
] as const;
const report = { host: "local", version: "0.1.0", since: 1, processes, outcomes: [] };

async function ask(method: string, path: string, json?: unknown, who = "cli"): Promise<Response> {
  const body = json === undefined ? undefined : new TextEncoder().encode(JSON.stringify(json));
  const authorization = signature("host", who, `${method} ${path}`, body);
  const init = { method, headers: { ...ourVersion, authorization } };
  return await exports.default.fetch(new Request(`http://a.invalid${path}`, body === undefined ? init : { ...init, body }));
}

async function reported(more: object = {}): Promise<OrdersForHost["orders"]> {
  const response = await ask("PUT", "/host/report", { ...report, ...more });
  expect(response.status).toBe(200);
  return (await response.json<OrdersForHost>()).orders;
}

async function give(body: object, host = "local"): Promise<[status: number, answer: Order & { readonly error?: string }]> {
  const response = await callApi("PUT", `/hosts/${host}/orders`, body);
  return [response.status, await response.json()];
}

const id = (number: number): string => number.toString(16).padStart(16, "0");

describe("a report of a host", () => {
  it("is shown by the cells, and says no more than was asked", async () => {
    await reported();
    const hosts = await (await callApi("GET", "/hosts")).json<Hosts>();
    const { outcomes: _none, host: _name, ...rest } = report;
    expect(hosts).toEqual([{ host: "local", state: "up", agoMs: expect.any(Number), report: rest }]);
  });

  it.each([
    ["no object", 7],
    ["a field that is not known", { ...report, more: 1 }],
    ["a name that is none", { ...report, host: "h 1" }],
    ["too many processes", { ...report, processes: Array.from({ length: hostProcessesMax + 1 }, () => processes[1]) }],
    ["too long last words", { ...report, processes: [{ ...processes[0], lastWords: "x".repeat(lastWordsMax + 1) }] }],
    ["a line end in last words", { ...report, processes: [{ ...processes[0], lastWords: "x\nHost h2: all is well" }] }],
    ["an escape sequence in last words", { ...report, processes: [{ ...processes[0], lastWords: "\u001b[2J" }] }],
    ["an escape sequence in its version", { ...report, version: "1\u009b31m" }],
    ["an escape sequence in an outcome", { ...report, outcomes: [{ id: id(1), isDone: true, text: "ok\u001b]0;x\u0007", at: 1 }] }],
    ["an order without its form", { ...report, outcomes: [{ id: "../x", isDone: true, text: "", at: 1 }] }],
  ])("is refused with %s", async (_what, body) => {
    expect((await ask("PUT", "/host/report", body)).status).toBe(400);
  });

  it("is not read when it is too long, or not signed for that", async () => {
    expect((await ask("PUT", "/host/report", { ...report, version: "x".repeat(hostReportOctetsMax) })).status).toBe(413);
    const authorization = signature("cell", "b", "PUT /host/report");
    const foreign = await exports.default.fetch(
      new Request("http://a.invalid/host/report", { method: "PUT", headers: { ...ourVersion, authorization } }),
    );
    expect(foreign.status).toBe(401);
  });

  it("is one of so many that a cell remembers, for a day", () => {
    const reports = new HostReports();
    for (let number = 0; number < 10 * hostsRememberedMax; number += 1) reports.said({ ...report, host: `h${number}` }, number);
    expect(reports.all(10_000)).toHaveLength(hostsRememberedMax);
    expect(reports.all(10_000)[0]?.host).toBe(`h${9 * hostsRememberedMax}`);
    expect(reports.all(10_000 + hostRememberedMs)).toEqual([]);
  });
});

describe("an order to a host", () => {
  it("comes with the answer to its reports until its outcome is known, and that is there for whoever asks", async () => {
    await reported();
    expect(await give({ id: id(1), what: "reload" })).toMatchObject([200, { id: id(1), host: "local", what: "reload" }]);
    expect(await give({ id: id(1), what: "reload" })).toMatchObject([200, {}]);
    expect(await reported()).toEqual([{ id: id(1), what: "reload" }]);
    expect(await reported()).toEqual([{ id: id(1), what: "reload" }]);
    const outcome = { isDone: true, text: "read again", at: 5 };
    expect(await reported({ outcomes: [{ id: id(1), ...outcome }] })).toEqual([]);
    expect(await reported({ outcomes: [{ id: id(1), ...outcome, text: "once more" }] })).toEqual([]);
    expect(await (await ask("PUT", "/host/report", report)).json()).toEqual({ orders: [], asked: [] });
    const order = await callApi("GET", `/hosts/local/orders/${id(1)}`);
    expect(await order.json()).toMatchObject({ outcome });
    expect((await callApi("GET", `/hosts/other/orders/${id(1)}`)).status).toBe(404);
  });

  it("is refused with the id of one to another host, which would never hear of it", async () => {
    await reported();
    await reported({ host: "h2" });
    expect(await give({ id: id(7), what: "reload" })).toMatchObject([200, {}]);
    expect(await give({ id: id(7), what: "reload" }, "h2")).toMatchObject([409, { error: expect.stringContaining("is of another order") }]);
    await reported({ outcomes: [{ id: id(7), isDone: true, text: "done", at: 5 }] });
  });

  it("says how long phones may take to go elsewhere", async () => {
    await reported();
    expect(await give({ id: id(2), what: "stop", member: "g1" })).toMatchObject([200, {}]);
    expect(await reported()).toEqual([{ id: id(2), what: "stop", member: "g1" }]);
    await reported({ outcomes: [{ id: id(2), isDone: false, text: "no", at: 5 }] });
    expect(await give({ id: id(3), what: "start", member: "g1", drainMs: 60_000 })).toMatchObject([200, {}]);
    const [order] = await reported();
    expect(order?.drainMs).toBeGreaterThan(30_000);
    await reported({ outcomes: [{ id: id(3), isDone: true, text: "yes", at: 5 }] });
  });

  it.each([
    ["a host that nobody knows", "h9", { id: id(9), what: "reload" }, 404, "there is no host h9"],
    ["a process that is not there", "local", { id: id(9), what: "stop", member: "zz" }, 409, "zz does not run on host local"],
    ["no process", "local", { id: id(9), what: "stop" }, 409, "start, stop and restart are for a cell or a gateway"],
    ["a process to be reloaded", "local", { id: id(9), what: "reload", member: "a" }, 409, "a host reloads"],
    ["the only cell that is up", "local", { id: id(9), what: "stop", member: "a" }, 409, "nobody could take the order to start it"],
    ["the only gateway", "local", { id: id(9), what: "stop", member: "g1", drainMs: 1 }, 409, "no other gateway is up"],
    ["an id that is none", "local", { id: "x", what: "reload" }, 400, "id must be 16 to 32 hex digits"],
    ["something that no host can do", "local", { id: id(9), what: "explode" }, 400, "must be start, stop, restart or reload"],
    ["a wait of a month", "local", { id: id(9), what: "stop", member: "g1", drainMs: 30 * 86_400_000 }, 400, "drainMs"],
  ])("is refused for %s", async (_what, host, body, status, error) => {
    await reported();
    const [answered, answer] = await give(body, host);
    expect([answered, answer.error]).toEqual([status, expect.stringContaining(error)]);
  });
});
