import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Subscribers } from "./call.ts";
import { runSipp, startSipp } from "./clients/sipp.ts";
import { freePorts } from "../../kit/world/free-ports.ts";
import { type Subscriber, type System, startSystem } from "./system.ts";

const transports = ["UDP", "TCP"] as const;

/** Nothing failed, nothing came twice, nothing was sent twice, and SIPp had nothing to complain about. */
function clean(calls: number): object {
  const statistics = { successful: calls, failed: 0, retransmissions: 0, unexpectedMessages: 0, deadCallMessages: 0 };
  return { exit: { code: 0 }, statistics, errors: "" };
}

function credentials({ user, password }: Subscriber): { service: string; user: string; password: string } {
  return { service: user, user, password };
}

describe.each(transports)("SIPp over %s with digest", (transport) => {
  let system: System;
  let subscribers: Subscribers;

  beforeAll(async () => {
    system = await startSystem({ auth: "digest" });
    subscribers = await Subscribers.provision(system, 10);
  });

  afterAll(async () => await system?.stop());

  function server(): { transport: "UDP" | "TCP"; server: System["udp"]; variables: Record<string, string> } {
    return { transport, server: transport === "UDP" ? system.udp : system.tcp, variables: { domain: system.domain } };
  }

  test("[RFC3261 10.2, 22.2] REGISTER is challenged and accepted with the credentials", async () => {
    const run = { ...server(), ...credentials(subscribers.next()), scenario: "register-digest", calls: 1 };
    expect(await runSipp(run)).toMatchObject(clean(1));
  });

  test("[RFC3261 22.1] REGISTER with a wrong password is not accepted", async () => {
    const run = { ...server(), ...credentials(subscribers.next()), password: "wrong", scenario: "register-refused", calls: 1 };
    expect(await runSipp(run)).toMatchObject(clean(1));
  });

  test("[RFC3261 16.3, 22.3] calls to a phone that rings, each challenged with 407, along the recorded route", async () => {
    const [caller, callee] = [subscribers.next(), subscribers.next()];
    const localPort = await freePorts(1);
    expect(await runSipp({ ...server(), ...credentials(callee), scenario: "register-digest", calls: 1, localPort })).toMatchObject(
      clean(1),
    );
    const ringing = await startSipp({ ...server(), variables: {}, scenario: "uas-ringing", localPort, pauseMs: 200, calls: 20 });
    try {
      const variables = { domain: system.domain, caller: caller.user };
      const digestUri = `${callee.user}@${system.domain}`;
      const call = { ...server(), ...credentials(caller), service: callee.user, digestUri, variables, scenario: "uac-digest" };
      expect(await runSipp({ ...call, calls: 20, callsPerSecond: 20, pauseMs: 100 })).toMatchObject(clean(20));
      expect(await ringing.finished(15_000)).toMatchObject(clean(20));
    } finally {
      await ringing.stop();
    }
  });
});

describe.each(transports)("SIPp over %s with open authentication", (transport) => {
  let system: System;

  beforeAll(async () => {
    system = await startSystem({ auth: "open" });
  });

  afterAll(async () => await system?.stop());

  test("REGISTER and 100 calls without a challenge", async () => {
    const server = { transport, server: transport === "UDP" ? system.udp : system.tcp };
    const domain = { domain: system.domain };
    const localPort = await freePorts(1);
    expect(await runSipp({ ...server, scenario: "register", service: "callee", variables: domain, calls: 1, localPort })).toMatchObject(
      clean(1),
    );
    const callee = await startSipp({ ...server, scenario: "uas", localPort, calls: 100 });
    try {
      const call = { ...server, scenario: "uac", service: "callee", variables: { ...domain, caller: "caller" } };
      expect(await runSipp({ ...call, calls: 100, callsPerSecond: 50, pauseMs: 100 })).toMatchObject(clean(100));
      expect(await callee.finished(15_000)).toMatchObject(clean(100));
    } finally {
      await callee.stop();
    }
  });
});
