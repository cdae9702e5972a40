import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Status } from "../../schemas/api-answers.ts";
import { otherCodeIn } from "../../workers/api/cell-share.ts";
import { codeOf } from "../../workers/environment.ts";
import { type CountsOfExchange, ExchangeObject } from "../../workers/exchange/exchange-object.ts";
import { LineObject } from "../../workers/line/line-object.ts";
import { callApi } from "./cell.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

async function ownCell(): Promise<Status["cells"][number] | undefined> {
  const { cells } = await (await callApi("GET", "/status")).json<Status>();
  return cells.find(({ id }) => id === env.CELL);
}

describe("which code runs", () => {
  it("is what tandem up says of its script, else the tag of an upload, else its id", () => {
    const metadata = { id: "c3b2", tag: "", timestamp: "" };
    const { CODE: _code, VERSION_METADATA: _metadata, ...plain } = env;
    expect(codeOf({ ...plain, CODE: "a1", VERSION_METADATA: metadata })).toBe("a1");
    expect(codeOf({ ...plain, VERSION_METADATA: { ...metadata, tag: "0.2.0" } })).toBe("0.2.0");
    expect(codeOf({ ...plain, VERSION_METADATA: metadata })).toBe("c3b2");
    expect(codeOf(plain)).toBe("unknown");
  });

  it("is one for a cell and all its objects", async () => {
    const own = await ownCell();
    expect(own?.code).toBe(codeOf(env));
    expect(own?.code).not.toBe("unknown");
    expect(own).not.toHaveProperty("otherCode");
  });

  it("is said of each object that has not got it yet, and of one that does not answer", async () => {
    vi.spyOn(LineObject.prototype, "code").mockReturnValueOnce("before");
    const counts = Object.getOwnPropertyDescriptor(ExchangeObject.prototype, "counts")?.value as (this: ExchangeObject) => CountsOfExchange;
    vi.spyOn(ExchangeObject.prototype, "counts").mockImplementation(function (this: ExchangeObject) {
      const own = counts.call(this);
      if (own.exchange === 1) throw new Error("overloaded");
      return own.exchange === 2 ? { ...own, code: "before" } : own;
    });
    expect((await ownCell())?.otherCode).toEqual([
      { code: "before", objects: ["exchange-2", expect.stringMatching(/^line-\d$/)] },
      { code: "unknown", objects: ["exchange-1"] },
    ]);
  });

  it("has those of one code together", () => {
    const codes = new Map([
      ["line-1", "old"],
      ["core-group", "new"],
      ["exchange-0", "old"],
    ]);
    expect(otherCodeIn(codes, "new")).toEqual([{ code: "old", objects: ["exchange-0", "line-1"] }]);
    expect(otherCodeIn(codes, "newer").map(({ code }) => code)).toEqual(["old", "new"]);
  });
});
