import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import {
  coreGroupObject,
  type Environment,
  exchangeObject,
  faultOfEnvironment,
  ledgerObject,
  lineObject,
} from "../../workers/environment.ts";

type Asked = { readonly name: string; readonly options: unknown; readonly jurisdiction?: string };

/** An environment whose namespaces only note what they are asked for. */
function noting(place: Pick<Environment, "LOCATION_HINT" | "JURISDICTION">): { readonly placed: Environment; readonly asked: Asked[] } {
  const asked: Asked[] = [];
  const namespace = (jurisdiction?: string): unknown => ({
    getByName: (name: string, options: unknown) => {
      asked.push({ name, options, ...(jurisdiction === undefined ? {} : { jurisdiction }) });
      return {};
    },
    jurisdiction: (where: string) => namespace(where),
  });
  const [EXCHANGE, LINE, CORE_GROUP, LEDGER] = [namespace(), namespace(), namespace(), namespace()];
  const { LOCATION_HINT: _hint, JURISDICTION: _borders, ...plain } = env;
  return { placed: { ...plain, EXCHANGE, LINE, CORE_GROUP, LEDGER, ...place } as Environment, asked };
}

function askForAll(placed: Environment): void {
  exchangeObject(placed, 3);
  lineObject(placed, 1);
  coreGroupObject(placed);
  ledgerObject(placed);
}

const names = ["exchange-3", "line-1", "core-group", "ledger"];

describe("the objects of a cell", () => {
  it("are asked for with the place of the cell, so that they are made there by whoever asks first", () => {
    const { placed, asked } = noting({ LOCATION_HINT: "weur" });
    askForAll(placed);
    expect(asked).toEqual(names.map((name) => ({ name, options: { locationHint: "weur" } })));
  });

  it("are within the borders of its jurisdiction, where there is one", () => {
    const { placed, asked } = noting({ JURISDICTION: "eu" });
    askForAll(placed);
    expect(asked).toEqual(names.map((name) => ({ name, options: undefined, jurisdiction: "eu" })));
  });

  it("are asked for without a place where none is said, as on a machine", () => {
    const { placed, asked } = noting({});
    askForAll(placed);
    expect(asked).toEqual(names.map((name) => ({ name, options: undefined })));
  });

  it.each([
    [{ LOCATION_HINT: "frankfurt" }, /^LOCATION_HINT is frankfurt, and must be one of wnam, .*, me$/],
    [{ LOCATION_HINT: "" }, /^LOCATION_HINT is , and must be one of/],
    [{ JURISDICTION: "ch" }, /^JURISDICTION is ch, and must be one of eu, us, fedramp, fedramp-high$/],
  ])("are not made at a place that there is not: %j", (place, fault) => {
    expect(faultOfEnvironment({ ...env, ...place } as Environment)).toMatch(fault);
  });

  it("are placed by wrangler.toml", () => {
    expect(env.LOCATION_HINT).toBe("weur");
    expect(faultOfEnvironment(env)).toBeUndefined();
  });
});
