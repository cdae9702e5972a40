import { describe, expect, it } from "vitest";
import {
  commandOf,
  type Facts,
  hasAccounts,
  type KnownCell,
  nothingThere,
  type PlanFiles,
  planOf,
  tagsOf,
} from "../../../cli/deploy/plan.ts";
import type { System } from "../../../cli/deploy/system.ts";
import { wranglerTextOf } from "../../../cli/deploy/wrangler-text.ts";
import { oneAccount, systemIn, twoAccounts, withBlade } from "./systems.ts";

const files: PlanFiles = { secret: "tandem.secret", secrets: "S", wrangler: "wrangler.toml", first: "F" };
const main = "workers/index.ts";

function tags(system: System, code = "code"): ReturnType<typeof tagsOf> {
  return tagsOf(code, wranglerTextOf(system, main), wranglerTextOf(system, main, { isBound: false }));
}

/** The commands from these facts, with the names of codes as `new` (that of the sources), `unbound` and `old`. */
function commands(system: System, facts: Facts): readonly string[] {
  const { last, first } = tags(system);
  return planOf(system, { last, first }, facts).map((step) => {
    const text = commandOf(step, files, hasAccounts(system)) ?? (step.kind === "await" ? `(${step.cell.id} answers)` : "");
    const named = [...last.values()].reduce((each, tag) => each.replace(tag, "new"), text);
    return [...first.values()].reduce((each, tag) => each.replace(tag, "unbound"), named);
  });
}

/** Cells that are there, with this code. */
function running(system: System, codes: Readonly<Record<string, Partial<KnownCell>>>): Facts {
  const { last } = tags(system);
  const cells = Object.entries(codes).map(([id, known]): [string, KnownCell] => [
    id,
    { code: last.get(id), isMixed: false, isDraining: false, ...known },
  ]);
  return { cells: new Map(cells), hasSubscribers: true, hasSecret: true };
}

const [a, b] = ["https://tandem-a.me.workers.dev", "https://b.sip.example.org"];

describe("the plan of a deployment", () => {
  it("makes two cells of one account: the first one without its binding, which it gets when the other is there", () => {
    expect(commands(systemIn(`firstSubscriber = "alice"\n${oneAccount}`), nothingThere)).toEqual([
      "(umask 077; openssl rand -hex 32 > tandem.secret)",
      `(umask 077; printf '{"TANDEM_SECRET":"%s"}' "$(cat tandem.secret)" > S)`,
      "npx wrangler deploy --env a --tag unbound --config F --secrets-file S",
      "(a answers)",
      "npx wrangler deploy --env b --tag new --secrets-file S",
      "(b answers)",
      "rm S",
      `npx tandem drain a --url ${b}`,
      "npx wrangler deploy --env a --tag new",
      `npx tandem undrain a --code new --url ${b}`,
      `npx tandem subscriber add alice@example.org --password - --url ${a}`,
    ]);
  });

  it("makes two cells of two accounts at once, each with the token of its own", () => {
    expect(commands(systemIn(twoAccounts), { ...nothingThere, hasSecret: true }).slice(1)).toEqual([
      'CLOUDFLARE_API_TOKEN="$CLOUDFLARE_API_TOKEN_ONE" npx wrangler deploy --env a --tag new --secrets-file S',
      "(a answers)",
      'CLOUDFLARE_API_TOKEN="$CLOUDFLARE_API_TOKEN_TWO" npx wrangler deploy --env b --tag new --secrets-file S',
      "(b answers)",
      "rm S",
    ]);
  });

  it("waits for a blade, which nobody can start from here", () => {
    const steps = commands(systemIn(withBlade), { ...nothingThere, hasSecret: true });
    expect(steps.indexOf("(c answers)")).toBe(steps.indexOf("rm S") + 1);
    expect(steps).toHaveLength(10);
  });

  it("upgrades a running system one cell after the other, each out of service", () => {
    const system = systemIn(oneAccount);
    expect(commands(system, running(system, { a: { code: "old" }, b: { code: "old" } }))).toEqual([
      `npx tandem drain a --url ${b}`,
      "npx wrangler deploy --env a --tag new",
      `npx tandem undrain a --code new --url ${b}`,
      `npx tandem drain b --url ${a}`,
      "npx wrangler deploy --env b --tag new",
      `npx tandem undrain b --code new --url ${a}`,
    ]);
  });

  it.each<[string, Readonly<Record<string, Partial<KnownCell>>>, readonly string[]]>([
    ["all is done", { a: {}, b: {} }, []],
    ["cell a was deployed, and is out of service", { a: { isDraining: true }, b: {} }, [`npx tandem undrain a --code new --url ${b}`]],
    ["objects of cell b have the code of before", { a: {}, b: { isMixed: true } }, [`npx tandem undrain b --code new --url ${a}`]],
    [
      "cell a is out of service, and was not deployed",
      { a: { code: "old", isDraining: true }, b: {} },
      [`npx tandem drain a --url ${b}`, "npx wrangler deploy --env a --tag new", `npx tandem undrain a --code new --url ${b}`],
    ],
    [
      "cell b was never deployed",
      { a: {} },
      [
        `(umask 077; printf '{"TANDEM_SECRET":"%s"}' "$(cat tandem.secret)" > S)`,
        "npx wrangler deploy --env b --tag new --secrets-file S",
        "(b answers)",
        "rm S",
      ],
    ],
  ])("goes on where it stopped: %s", (_what, known, steps) => {
    const system = systemIn(oneAccount);
    expect(commands(system, running(system, known))).toEqual(steps);
  });

  it("takes a system of one cell not out of service: nobody could take over", () => {
    const system = systemIn(oneAccount.slice(0, oneAccount.lastIndexOf("[[cells]]")));
    expect(commands(system, running(system, { a: { code: "old" } }))).toEqual([
      "npx wrangler deploy --env a --tag new",
      `npx tandem undrain a --code new --url ${a}`,
    ]);
  });

  it("names code for the script, and for all that the file says of a cell", () => {
    const system = systemIn(oneAccount);
    const before = tags(system).last;
    expect(tags(system, "other code").last.get("a")).not.toBe(before.get("a"));
    const after = tags(systemIn(oneAccount.replace('"weur"', '"enam"'))).last;
    expect(after.get("a")).not.toBe(before.get("a"));
    expect(after.get("b")).toBe(before.get("b"));
    const withAlias = tags(systemIn(`aliases = ["192.0.2.1"]\n${oneAccount}`)).last;
    expect(withAlias.get("b")).not.toBe(before.get("b"));
    // Where there are no bindings, both files say the same.
    expect(tags(systemIn(twoAccounts)).first).toEqual(tags(systemIn(twoAccounts)).last);
  });
});
