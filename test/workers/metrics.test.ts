import { describe, expect, it, onTestFinished } from "vitest";
import { env } from "cloudflare:workers";
import { KnownReadiness } from "../../workers/api/metrics.ts";
import { readyKnownMs, readyMsMax } from "../../workers/limits.ts";
import { addSubscriber, get, map, peerIsUp, signature, userOf } from "./cell.ts";
import { Softphone } from "./softphone.ts";

async function metrics(): Promise<string> {
  const response = await get("/metrics", { authorization: signature("api", "cli", "GET /metrics") });
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  return await response.text();
}

/** Of a line `name{labels} value`; 0: there is none. */
function valueOf(text: string, series: string): number {
  const line = text.split("\n").find((each) => each.startsWith(`${series} `));
  return Number(line?.slice(series.length + 1) ?? 0);
}

describe("/metrics", () => {
  it("is for who has signed", async () => {
    expect((await get("/metrics", {})).status).toBe(401);
  });

  it("counts what a softphone asks, and what it has", async () => {
    peerIsUp();
    const alice = userOf("alice");
    await addSubscriber(alice, "secret");
    const before = await metrics();
    const phone = await Softphone.connect(alice, "secret");
    onTestFinished(() => phone.socket.close());
    expect(await phone.register()).toMatch(/^SIP\/2\.0 200 /);
    const after = await metrics();
    const grown = (series: string): number => valueOf(after, series) - valueOf(before, series);
    expect(grown('tandem_sip_requests_total{method="REGISTER"}')).toBe(2);
    expect(grown('tandem_sip_responses_total{method="REGISTER",code="401"}')).toBe(1);
    expect(grown('tandem_sip_responses_total{method="REGISTER",code="200"}')).toBe(1);
    expect(grown("tandem_softphones")).toBe(1);
    expect(grown('tandem_registrations{exchange="0",role="primary"}')).toBe(1);
    expect(after).toMatch(/^tandem_cell_info\{cell="a",code="[^"]+"\} 1$/m);
    expect(valueOf(after, 'tandem_member_up{member="a",kind="cell"}')).toBe(1);
    const exchanges = after.split("\n").filter((line) => line.startsWith("tandem_exchange_paired{"));
    expect(exchanges).toHaveLength(map.exchangeCount);
  });
});

describe("who watches a cell without credentials", () => {
  it("hears that it runs, whether it serves, and nothing else", async () => {
    peerIsUp();
    const live = await get("/health", {});
    expect([live.status, await live.text()]).toEqual([200, "live\n"]);
    await expect
      .poll(
        async () => {
          const ready = await get("/ready", {});
          return [ready.status, await ready.text()];
        },
        { timeout: 20_000, interval: 100 },
      )
      .toEqual([200, "ready\n"]);
  });
});

describe("what is known of readiness", () => {
  it("is asked once for all who ask within a second, and again when a look has come to nothing", async () => {
    const looks: ((reason: string | undefined) => void)[] = [];
    const known = new KnownReadiness(() => new Promise((resolve) => looks.push(resolve)));
    const first = known.reasonOf(env, 0);
    looks[0]?.(undefined);
    expect(await first).toBeUndefined();
    expect(await known.reasonOf(env, readyKnownMs - 1)).toBeUndefined();
    expect(looks).toHaveLength(1);
    // The client of this one goes away, and nobody hears of it any more.
    void known.reasonOf(env, readyKnownMs);
    expect(await known.reasonOf(env, readyKnownMs + readyMsMax - 1)).toBeUndefined();
    expect(looks).toHaveLength(2);
    const third = known.reasonOf(env, readyKnownMs + readyMsMax);
    looks[2]?.("draining");
    expect(await third).toBe("draining");
  });
});
