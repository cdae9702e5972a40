import { describe, expect, it } from "vitest";
import {
  cellsTable,
  codesText,
  countsText,
  exchangesText,
  gatewaysText,
  goneText,
  hindrancesText,
  hostVersionsText,
  versionsText,
} from "../../../cli/commands/status.ts";
import type { Status } from "../../../schemas/api-answers.ts";

type Gateway = Status["gateways"][number];

const g1: Gateway = { id: "g1", state: "up", heardMs: 100 };
const none = { datagramsLost: 0, datagramsDropped: 0, datagramsPaced: 0, shed: 0 };

it.each([
  ["one that has counted nothing", { ...g1, ...none, isNative: true }],
  ["one of an earlier release", g1],
])("says nothing of datagrams where there is nothing to say: %s", (_name, gateway) => {
  expect(gatewaysText([gateway])).toBe("GATEWAY  STATE  HEARD      MISSED\ng1       up     0.1 s ago       0\n");
});

it("says of all gateways what they have counted when one has something", () => {
  const g2 = { ...g1, id: "g2", isNative: true, datagramsLost: 120, datagramsDropped: 7, datagramsPaced: 12_345, shed: 1_551, noise: 12 };
  expect(gatewaysText([g1, g2])).toBe(
    [
      "GATEWAY  STATE  HEARD      MISSED  LOST  DROPPED  PACED  SHED  NOISE  NATIVE",
      "g1       up     0.1 s ago       0     0        0      0     0      0  ?",
      "g2       up     0.1 s ago       0   120        7  12345  1551     12  yes",
      "",
    ].join("\n"),
  );
});

it("says which version tandem itself is of, where there are several machines", () => {
  expect(hostVersionsText([{ host: "h1", version: "0.1.0" }])).toBe("");
  const two = ["h1", "h2"].map((host) => ({ host, version: "0.1.0" }));
  expect(hostVersionsText(two)).toBe("tandem itself is of the same version on all 2 hosts, 0.1.0.\n");
  expect(hostVersionsText([...two, { host: "h3", version: "0.2.0\u001b[2J" }])).toBe(
    "tandem itself is of several versions: 0.1.0 on h1, h2; 0.2.0?[2J on h3.\n",
  );
});

it("says of which machine the versions are, where there are several machines", () => {
  const [cell, gateway] = [
    { id: "a", pid: 1, url: "http://127.0.0.1:1", version: "0.1.0" },
    { id: "g1", pid: 2, version: "0.1.0", listeners: [] },
  ];
  expect(versionsText({ cells: [cell], gateways: [gateway] })).toBe("Version 0.1.0.\n");
  expect(versionsText({ cells: [cell], gateways: [gateway] }, "alpha")).toBe("Version of what runs on host alpha: 0.1.0.\n");
  const cells = [cell, { ...cell, id: "b", version: "0.2.0" }];
  const several = "0.1.0 in cell a, gateway g1; 0.2.0 in cell b. npx tandem upgrade goes on, or back.\n";
  expect(versionsText({ cells, gateways: [gateway] })).toBe(`Versions of this machine: ${several}`);
  expect(versionsText({ cells, gateways: [gateway] }, "alpha")).toBe(`Versions of what runs on host alpha: ${several}`);
});

it("says how many noisy sources are refused now", () => {
  expect(gatewaysText([{ ...g1, noise: 0, noisySources: 1 }])).toContain("up, refuses 1 noisy source ");
  expect(gatewaysText([{ ...g1, noise: 0, noisySources: 3 }])).toContain("up, refuses 3 noisy sources ");
});

it("says which gateway reads and sends datagrams one by one", () => {
  expect(gatewaysText([{ ...g1, ...none, isNative: false }])).toBe(
    "GATEWAY  STATE  HEARD      MISSED  LOST  DROPPED  PACED  SHED  NOISE  NATIVE\ng1       up     0.1 s ago       0     0        0      0     0      0  no\n",
  );
});

it("says what came in place of a cell's answer, and nothing where all answer", () => {
  const a = { id: "a", state: "up", epoch: 1 } as const;
  expect(hindrancesText([a])).toBe("");
  expect(hindrancesText([a, { ...a, id: "b", hindrance: "it answers 503: why" }])).toBe("Cell b: it answers 503: why\n\n");
});

it("says which code runs: in a word, or of each cell, and of objects that have not got it", () => {
  const a = { id: "a", state: "up", epoch: 1 } as const;
  const b = { ...a, id: "b" };
  expect(codesText([a, b])).toBe("");
  expect(codesText([{ ...a, code: "1f" }, b])).toBe("Code 1f in cell a.\n");
  expect(codesText([a, b].map((each) => ({ ...each, code: "1f" })))).toBe("All run the same code, 1f.\n");
  expect(
    codesText([
      { ...a, code: "1f" },
      { ...b, code: "2e", otherCode: [{ code: "1f", objects: ["ledger", "line-0"] }] },
    ]),
  ).toBe("Code 1f in cell a, 2e in cell b.\nCell b: ledger, line-0 run other code (1f).\n");
});

describe("what the cells hold", () => {
  const cells = [
    { id: "a", state: "up" },
    { id: "b", state: "up" },
    { id: "c", state: "down" },
  ] as const;
  const counts = { registrations: 12, dialogs: 3, loadBalance: 1.97, cells };

  it("is one line, which says how even it is where that means something", () => {
    expect(countsText({ ...counts, registrations: 120 })).toBe(
      "Registrations 120, dialogs 3. They are spread as if 2.0 of the 2 live cells had the same.\n",
    );
    expect(countsText({ ...counts, registrations: 1, loadBalance: 1 })).toBe("Registrations 1, dialogs 3.\n");
  });

  it("says what is not in it", () => {
    const late = cells.map((cell) => (cell.id === "b" ? { ...cell, isLate: true } : cell));
    expect(
      countsText({ ...counts, cells: late, uncounted: [1, 3] })
        .split("\n")
        .slice(1),
    ).toEqual([
      "They are without those of exchanges 1, 3, for which no cell has answered.",
      "Cell b has not answered this status in time: what only it knows is not shown.",
      "",
    ]);
    expect(countsText({ ...counts, cells: cells.map((cell) => ({ ...cell, isLate: true })) })).toContain(
      "\nCells a, b and c have not answered this status in time: what only they know is not shown.\n",
    );
  });
});

it("shows exchanges that are not in two cells, and says what that means", () => {
  const risk = "If cell a failed now, nobody would serve exchange 1 until it is back.";
  const exchanges = [
    { exchange: 0, primary: "a", secondary: "b", state: "paired" },
    { exchange: 1, primary: "b", secondary: "a", state: "single", cause: "connection refused" },
    { exchange: 2, primary: "a", secondary: "b", joining: "c", state: "moving" },
  ] as const;
  expect(exchangesText({ exchanges, risk })).toBe(
    [
      "",
      "EXCHANGE  PRIMARY  SECONDARY  STATE",
      "       1  b        a          single, connection refused",
      "       2  a        b          moving, to c",
      "",
      risk,
      "",
    ].join("\n"),
  );
  expect(exchangesText({ exchanges: exchanges.slice(0, 1), risk: "Well." })).toBe("Well.\n");
  expect(exchangesText({})).toBe("");
});

it("names machines where they are known, and says in one sentence which are gone", () => {
  const cells = [
    { id: "a", host: "h1", state: "up", epoch: 3, heardMs: 0 },
    { id: "c", host: "h2", state: "down", epoch: 2 },
  ] as const;
  expect(cellsTable(cells)).toBe(
    [
      "CELL  HOST  STATE  EPOCH  HEARD      MISSED  DELAY",
      "a     h1    up         3  0.0 s ago       0",
      "c     h2    down       2  never           0",
      "",
    ].join("\n"),
  );
  expect(gatewaysText([g1, { ...g1, id: "g2", host: "h2" }])).toContain("GATEWAY  HOST  STATE");
  expect(goneText({})).toBe("");
  expect(
    goneText({
      gone: [
        { host: "h2", cells: ["c"], gateways: ["g2"] },
        { host: "h3", cells: [], gateways: ["g3"] },
        { host: "h4", cells: ["d", "e"], gateways: ["g4"] },
      ],
    }),
  ).toBe("Host h2 is gone: cell c and gateway g2.\nHost h3 is gone: gateway g3.\nHost h4 is gone: cell d, cell e and gateway g4.\n");
});
