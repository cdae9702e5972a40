import { afterAll, beforeAll, expect, test } from "vitest";
import { runLoad } from "./load.ts";
import { type System, startSystem } from "./system.ts";

let system: System;

beforeAll(async () => {
  system = await startSystem({ auth: "open" });
});

afterAll(async () => await system?.stop());

test("100 calls/s for 5 s over UDP: no call fails, nothing is sent twice", async () => {
  const result = await runLoad(system.udp, system.domain, { callsPerSecond: 100, seconds: 5, talkMs: 200 });
  const clean = { successful: 500, failed: 0, retransmissions: 0 };
  expect(result.caller.statistics).toMatchObject(clean);
  expect(result.callee.statistics).toMatchObject(clean);
});
