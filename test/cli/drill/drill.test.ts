import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { parseArguments } from "../../../cli/arguments.ts";
import type { FaultResult } from "../../../cli/drill/fault.ts";
import { markdownTable } from "../../../cli/drill/markdown-table.ts";
import {
  concerns,
  drillSpec,
  faults,
  gateways,
  isOfHosts,
  type LocalFault,
  lostCells,
  lostGateways,
  planOf,
  shapeFor,
  portsNeeded,
  type Plan,
} from "../../../cli/drill/plan.ts";
import { phoneTransports } from "../../../kit/phone/link.ts";
import { tandem } from "../../../kit/world/tandem.ts";
import { relayedPorts } from "../../../kit/world/relayed-system.ts";
import { missesOf, resultTable } from "../../../cli/drill/result-table.ts";

function plan(...args: string[]): Plan {
  return planOf(parseArguments(drillSpec, args));
}

/** Those that befall processes of one machine. */
const localFaults = faults.filter((fault): fault is LocalFault => !isOfHosts(fault));

describe("planOf", () => {
  it("does everything with the numbers of the promise", () => {
    expect(plan()).toMatchObject({
      faults: [
        "kill-cell",
        "freeze-cell",
        "kill-gateway",
        "cut-cells",
        "kill-both",
        "lose-cell",
        "lose-two",
        "add-cell",
        "remove-cell",
        "drain-cell",
        "double",
        "lose-host",
        "drain-host",
        "upgrade",
        "renew",
      ],
      isAll: true,
      transports: ["udp", "tcp", "tls", "ws"],
      amounts: { rate: 100, established: 500, ringing: 50, registered: 2_000 },
      port: undefined,
      state: undefined,
      form: "text",
    });
  });

  it("knows how many ports its system needs", () => {
    expect(portsNeeded).toBeGreaterThanOrEqual(relayedPorts(gateways));
    for (const { cells, hasRelays } of localFaults.map(shapeFor)) {
      const added = hasRelays ? 0 : 1;
      expect(2 * gateways + (hasRelays ? 2 : 1) * cells + added).toBeLessThanOrEqual(portsNeeded);
    }
  });

  it("takes lists, in its own order, and numbers over those of --quick", () => {
    expect(
      plan("--fault", "kill-both,kill-cell", "--transport", "ws", "--quick", "--rate", "7", "--state", "x", "--port", "7000"),
    ).toMatchObject({
      faults: ["kill-cell", "kill-both"],
      isAll: false,
      transports: ["ws"],
      amounts: { rate: 7, established: 20, ringing: 6, registered: 40 },
      port: 7_000,
      state: resolve("x"),
    });
    expect(plan("--fault", "all")).toMatchObject({ faults, isAll: true });
    expect(plan("--transport", "all")).toMatchObject({ transports: phoneTransports });
  });

  it.each([
    [
      ["--fault", "fire"],
      "--fault fire: must be one of kill-cell, freeze-cell, kill-gateway, cut-cells, kill-both, lose-cell, lose-two, add-cell, remove-cell, drain-cell, double, lose-host, drain-host, upgrade, renew",
    ],
    [["--transport", "udp,sctp"], "--transport sctp: must be one of udp, tcp, tls, ws"],
    [["--rate", "many"], "--rate many: must be a whole number from 0 to 20000"],
    [["--json", "--markdown"], "--json and --markdown exclude each other"],
    [["--registered", "3"], "--registered 3: must be a whole number from 4 to 20000"],
  ])("refuses %j", (args, reason) => {
    expect(() => plan(...args)).toThrow(`${reason} (see tandem drill --help)`);
  });

  it("has two cells, and four where something is changed for good", () => {
    expect(localFaults.filter((fault) => shapeFor(fault).cells === 4)).toEqual([
      "lose-cell",
      "lose-two",
      "add-cell",
      "remove-cell",
      "drain-cell",
      "double",
    ]);
    expect(faults.filter((fault) => lostCells(fault).length > 0)).toEqual([
      "lose-cell",
      "lose-two",
      "remove-cell",
      "lose-host",
      "drain-host",
    ]);
    expect(faults.filter((fault) => lostGateways(fault).length > 0)).toEqual(["lose-host", "drain-host"]);
  });

  it("leaves out what cannot concern a softphone", () => {
    expect(faults.filter((fault) => !concerns(fault, "ws"))).toEqual(["kill-gateway"]);
    expect(faults.filter((fault) => !concerns(fault, "udp"))).toEqual([]);
  });
});

it("says in one line why a user may make no machines", async () => {
  expect(await tandem(["drill", "--fault", "lose-host", "--transport", "udp"], { PATH: "/nowhere" })).toEqual({
    code: 1,
    out: "",
    err: expect.stringMatching(
      /^tandem: faults of machines need network namespaces, and this user may not make any \([^\n]*ip: [^\n]*not found\): be root on Linux, with iproute2\n$/,
    ) as string,
  });
});

const good: FaultResult = {
  fault: "kill-cell",
  transport: "udp",
  detectionMs: 412,
  established: { ended: 500, lost: 0 },
  ringing: { completed: 50, lost: 0 },
  cancelled: { ended: 25, lost: 0 },
  registrations: { kept: 2_000, lost: 0 },
  newCalls: { made: 1_400, failed: 0, slow: 3, lastFailedMs: undefined, slowestMs: 1_512 },
  group: undefined,
  identicalAfterMs: 20,
  isWhole: true,
  failedBefore: 0,
  anomalies: {},
  losses: [],
};

describe("the table", () => {
  it("has one aligned line for each fault and transport", () => {
    const bad: FaultResult = {
      ...good,
      fault: "freeze-cell",
      transport: "ws",
      detectionMs: undefined,
      established: { ended: 499, lost: 1 },
      newCalls: { ...good.newCalls, failed: 12, lastFailedMs: 4_100 },
      identicalAfterMs: undefined,
    };
    expect(resultTable([good, bad, { ...good, fault: "kill-both", detectionMs: undefined }]).split("\n")).toEqual([
      "FAULT        TRANSPORT  DETECTED ms  ENDED WELL  LOST  RINGING: COMPLETED  LOST  CANCELLED  LOST  REGISTERED  LOST  NEW CALLS  FAILED  SLOW  LAST FAILED ms  IDENTICAL ms",
      "kill-cell    UDP        412                 500     0                  50     0         25     0        2000     0       1400       0     3  -               20",
      "freeze-cell  WS         never               499     1                  50     0         25     0        2000     0       1400      12     3  4100            never",
      "kill-both    UDP        -                   500     0                  50     0         25     0        2000     0       1400       0     3  -               20",
      "",
    ]);
  });

  it("tells of the group in a table of its own, where that is another one now", () => {
    const group = { wholeAfterMs: [31_204, undefined], moves: 19, replicas: { c: 16, d: 16 } };
    expect(
      resultTable([good, { ...good, fault: "lose-two", group }])
        .split("\n")
        .slice(3),
    ).toEqual(["", "FAULT     TRANSPORT  WHOLE AFTER ms  MOVES  REPLICAS", "lose-two  UDP        31204, never       19  c 16, d 16", ""]);
  });

  it("tells of machines how long each took to serve", () => {
    const arrivals = [
      { host: "blade7", servingMs: 2_140 },
      { host: "h2", servingMs: 30_050 },
    ];
    const hosts: FaultResult = { ...good, fault: "lose-host", group: { wholeAfterMs: [31_204], moves: 5, replicas: { b: 7 }, arrivals } };
    expect(resultTable([good, hosts]).split("\n").slice(7)).toEqual([
      "FAULT      TRANSPORT  SERVING AFTER s",
      "lose-host  UDP        h1 2.1, h2 30.1",
      "",
    ]);
    expect(markdownTable([hosts], plan().amounts).split("\n").slice(-4)).toEqual([
      "| fault | transport | serving after s |",
      "| --- | --- | ---: |",
      "| `lose-host` | UDP | h1 2.1, h2 30.1 |",
      "",
    ]);
  });

  it("is in Markdown what docs/failover.md has", () => {
    const group = { wholeAfterMs: [31_204, 32_100], moves: 12, replicas: { c: 10, d: 10 } };
    const { amounts } = plan();
    expect(markdownTable([good, { ...good, fault: "double", detectionMs: undefined, group }], amounts).split("\n")).toEqual([
      "| fault | transport | detected ms | established lost of 500 | ringing lost of 50 | registrations lost of 2000 | new calls failed of | slow | slowest ms | identical ms |",
      "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
      "| `kill-cell` | UDP | 412 | 0 | 0 | 0 | 0 of 1400 | 3 | 1512 | 20 |",
      "| `double` | UDP | - | 0 | 0 | 0 | 0 of 1400 | 3 | 1512 | 20 |",
      "",
      "| fault | transport | whole after ms | moves | replicas |",
      "| --- | --- | ---: | ---: | ---: |",
      "| `double` | UDP | 31204, 32100 | 12 | c 10, d 10 |",
      "",
    ]);
  });

  it("says which promises were not kept, and only those", () => {
    const failing = { ...good.newCalls, failed: 2, lastFailedMs: 4_900 };
    expect(missesOf([good])).toEqual([]);
    expect(missesOf([{ ...good, newCalls: failing }])).toEqual(["kill-cell over UDP: 2 new calls"]);
    expect(missesOf([{ ...good, fault: "freeze-cell", newCalls: failing }])).toEqual([]);
    expect(missesOf([{ ...good, fault: "freeze-cell", newCalls: { ...failing, lastFailedMs: 5_100 } }])).toEqual([
      "freeze-cell over UDP: 2 new calls",
    ]);
    const both: FaultResult = { ...good, fault: "kill-both", newCalls: failing, ringing: { completed: 0, lost: 50 } };
    expect(missesOf([both])).toEqual([]);
    expect(missesOf([{ ...both, established: { ended: 498, lost: 2 }, registrations: { kept: 1_999, lost: 1 } }])).toEqual([
      "kill-both over UDP: 2 established calls, 1 registrations",
    ]);
    expect(missesOf([{ ...good, fault: "cut-cells", identicalAfterMs: undefined }])).toEqual([
      "cut-cells over UDP: the replicas differ 5 s after healing",
    ]);
    const group = { wholeAfterMs: [31_204, undefined], moves: 19, replicas: {} };
    expect(missesOf([{ ...good, fault: "lose-two", group }])).toEqual(["lose-two over UDP: the exchanges are not where they are to be"]);
  });
});
