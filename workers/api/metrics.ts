import { Hono } from "hono";
import { expositionOf, expositionType } from "../../cluster/metrics/exposition.ts";
import { coreGroupObject, type Environment } from "../environment.ts";
import { within } from "../cells.ts";
import { readyKnownMs, readyMsMax } from "../limits.ts";
import { signed, type Signed } from "../signed.ts";
import { cellMetrics, cellSelf } from "./cell-metrics.ts";

/** `/metrics`: what this cell counts, as Prometheus reads it. */
export const metricsApi = new Hono<Signed>();

metricsApi.use(signed(() => "api", 0));

metricsApi.get("/", async (context) => {
  const text = expositionOf(cellMetrics(await cellSelf(context.env)));
  return context.body(text, 200, { "content-type": expositionType, "cache-control": "no-store" });
});

/**
 * `/health` and `/ready`, for whoever watches the cell and has no credentials. `/health`: the Worker runs. `/ready`: phones are served; else 503 with the reason in
 * a line. They say nothing else.
 */
export const readyApi = new Hono<{ Bindings: Environment }>();

readyApi.get("/health", (context) => context.text("live\n", 200, uncached));

readyApi.get("/ready", async (context) => {
  const reason = await known.reasonOf(context.env, Date.now());
  return context.text(`${reason ?? "ready"}\n`, reason === undefined ? 200 : 503, uncached);
});

const uncached = { "cache-control": "no-store" };

/**
 * What a cell is not ready for. Strangers may ask often, and must not keep the core group busy. One answer serves all who ask within a second, and the one before
 * while a new one is under way.
 */
export class KnownReadiness {
  readonly #look: (env: Environment) => Promise<string | undefined>;
  #known: { readonly at: number; readonly reason: string | undefined } | undefined;
  /** When the latest look began. Its client may go away, and the rest of it with him: after a while it counts no more. */
  #lookedAt = Number.NEGATIVE_INFINITY;

  constructor(look: (env: Environment) => Promise<string | undefined>) {
    this.#look = look;
  }

  async reasonOf(env: Environment, now: number): Promise<string | undefined> {
    const known = this.#known;
    const isFresh = known !== undefined && Math.abs(now - known.at) < readyKnownMs;
    const isUnderWay = Math.abs(now - this.#lookedAt) < readyMsMax;
    if (known !== undefined && (isFresh || isUnderWay)) return known.reason;
    this.#lookedAt = now;
    const reason = await this.#look(env);
    this.#known = { at: now, reason };
    return reason;
  }
}

async function reasonNow(env: Environment): Promise<string | undefined> {
  try {
    const { view } = await within(Promise.resolve(coreGroupObject(env).status()), readyMsMax);
    const state = view.cells.find(({ id }) => id === env.CELL)?.state ?? "no member";
    if (view.isFenced) return "fenced: no other member can be reached";
    return state === "up" ? undefined : state;
  } catch {
    return "the core group does not answer";
  }
}

const known = new KnownReadiness(reasonNow);
