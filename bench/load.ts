import type { LoadResult } from "./bench.ts";
import { freePorts } from "../kit/world/free-ports.ts";
import type { Programs } from "./programs.ts";
import { SipClient, registerAll } from "./sip-client.ts";
import { Sipp, type SippRun } from "./sipp.ts";
import type { Endpoint, System } from "./system.ts";
import { DropWatch } from "./udp-drops.ts";

/** How long the callee of the scenario rings. */
const ringMs = 100;

/** As much of a system as a load needs. */
export type Loaded = Pick<System, "sip" | "domain">;

/** After the last request: Timer F of the last one, and its neighbours. */
const patienceMsDefault = 40_000;

/** The callees of a system: many addresses-of-record, so that every cell and every worker has its share, one SIPp that answers. */
export class Callees {
  readonly users: readonly string[];
  /** Where SIPp answers. */
  readonly endpoint: Endpoint;
  readonly #sipp: Sipp;

  private constructor(users: readonly string[], endpoint: Endpoint, sipp: Sipp) {
    this.users = users;
    this.endpoint = endpoint;
    this.#sipp = sipp;
  }

  static async start(programs: Programs, system: Loaded, options: { transport: "UDP" | "TCP"; count: number }): Promise<Callees> {
    const users = Array.from({ length: options.count }, (_, index) => `callee${index}`);
    const port = await freePorts(1);
    // Over UDP from the port on which SIPp will answer, which is what a phone does. Over TCP the contact says where to connect.
    const client = await SipClient.open(system.sip, options.transport === "UDP" ? port : 0);
    const transport = options.transport.toLowerCase();
    try {
      await registerAll(client, system.domain, users, (user) => `sip:${user}@127.0.0.1:${port};transport=${transport}`);
    } finally {
      await client.close();
    }
    const sipp = await Sipp.start(programs, { scenario: "callee", server: system.sip, transport: options.transport, port });
    return new Callees(users, { host: "127.0.0.1", port }, sipp);
  }

  get retransmissions(): number {
    return this.#sipp.counts().retransmissions;
  }

  get cpuSeconds(): number {
    return this.#sipp.cpuSeconds;
  }

  async stop(): Promise<void> {
    await this.#sipp.stop();
  }
}

export type CallPlan = {
  readonly transport: "UDP" | "TCP";
  readonly callsPerSecond: number;
  readonly seconds: number;
  /** How long a call stands. */
  readonly talkMs: number;
  /** What is not over this long after it should be has failed. By default so long that every transaction has ended by itself. */
  readonly patienceMs?: number;
};

/** Whole calls at a rate, to the callees in turn; resolves when the last one is over. */
export async function callLoad(
  programs: Programs,
  system: Loaded,
  callees: Callees,
  plan: CallPlan,
): Promise<LoadResult & { readonly seconds: number }> {
  const calls = plan.callsPerSecond * plan.seconds;
  const before = { retransmissions: callees.retransmissions, cpuSeconds: callees.cpuSeconds };
  const run: SippRun = {
    scenario: "caller",
    server: system.sip,
    transport: plan.transport,
    port: await freePorts(1),
    variables: { domain: system.domain },
    users: callees.users,
    calls,
    callsPerSecond: plan.callsPerSecond,
    pauseMs: plan.talkMs,
  };
  const drops = new DropWatch([run.port, callees.endpoint.port]);
  const sipp = await Sipp.start(programs, run);
  const caller = await sipp.finished(calls, plan.seconds * 1000 + plan.talkMs + (plan.patienceMs ?? patienceMsDefault));
  const busiest = Math.max(caller.cpuSeconds, callees.cpuSeconds - before.cpuSeconds);
  return {
    units: calls,
    failed: caller.failed,
    retransmissions: caller.retransmissions + callees.retransmissions - before.retransmissions,
    dropped: drops.end(),
    clocked: {
      "INVITE to 200": (caller.times.get(1) ?? []).map((ms) => ms - ringMs),
      "BYE to 200": caller.times.get(2) ?? [],
    },
    driverLoad: busiest / plan.seconds,
    seconds: caller.seconds,
  };
}

export type RegisterPlan = {
  readonly scenario: "register-new" | "register-refresh" | "register-digest";
  readonly callsPerSecond: number;
  readonly calls: number;
  readonly users?: readonly string[];
  /** First part of new users' names. */
  readonly prefix?: string;
};

/** REGISTERs over UDP at a rate; resolves when the last one is answered. */
export async function registerLoad(
  programs: Programs,
  system: Loaded,
  plan: RegisterPlan,
): Promise<LoadResult & { readonly seconds: number }> {
  const run: SippRun = {
    scenario: plan.scenario,
    server: system.sip,
    transport: "UDP",
    port: await freePorts(1),
    variables: { domain: system.domain, ...(plan.prefix === undefined ? {} : { prefix: plan.prefix }) },
    ...(plan.users === undefined ? {} : { users: plan.users }),
    calls: plan.calls,
    callsPerSecond: plan.callsPerSecond,
    digestUri: system.domain,
  };
  const drops = new DropWatch([run.port]);
  const sipp = await Sipp.start(programs, run);
  const { failed, retransmissions, cpuSeconds, seconds, times } = await sipp.finished(
    plan.calls,
    (plan.calls / plan.callsPerSecond) * 1000 + patienceMsDefault,
  );
  const driverLoad = (cpuSeconds * plan.callsPerSecond) / plan.calls;
  const clocked = { "REGISTER to 200": times.get(1) ?? [] };
  return { units: plan.calls, failed, retransmissions, dropped: drops.end(), clocked, driverLoad, seconds };
}
