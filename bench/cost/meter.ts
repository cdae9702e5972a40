/*
 * Counts what Cloudflare would bill, inside the cells of a local run: their classes, wrapped. Production code knows nothing of it. It runs
 * in workerd, stripped of its types and beside the bundle (bench/cost/metered-system.ts), so it imports nothing; workerd keeps all objects of
 * a process in one isolate, so one table serves all. The Worker answers it under /meter, which touches no object.
 */

/** What the objects of one class did. */
export type ObjectCounts = {
  /** Constructors that ran: first starts, and objects that had slept or been evicted. */
  started: number;
  /** By name of the object: when its constructor last ran, ms since the epoch. */
  readonly startedAt: Record<string, number>;
  /** RPC calls by method, fetches as `fetch`: each is a billed request. */
  readonly calls: Record<string, number>;
  /** Incoming WebSocket messages: 20 are a billed request. */
  webSocketMessages: number;
  /** The same from the peer, the answers to them at the other end included. */
  peerMessages: number;
  /** Alarms that rang: each is a billed request. */
  alarms: number;
  /** Each is a billed row written. */
  alarmsSet: number;
  rowsRead: number;
  rowsWritten: number;
  /** Time in which an object could not have hibernated, ms: see {@link lingerMs}. */
  awakeMs: number;
};

export type MeterReport = {
  /** Requests to the Worker by method and kind: `GET upgrade`, `POST pair`. */
  readonly worker: Record<string, number>;
  readonly objects: Record<string, ObjectCounts>;
};

/**
 * A message to an exchange leaves timers behind that keep it from hibernating: at the longest Timers J, L and M of a transaction, 64*T1
 * (RFC 3261 17, RFC 6026). All of that is counted as awake. Everything else is over when its answer is there.
 */
const lingerMs: Readonly<Record<string, number>> = {
  "exchange webSocketMessage": 32_000,
  "exchange takeLineFrame": 32_000,
  // The peer's WebSocket, which stays open for so long (actors/limits.ts, peerSocketIdleMs).
  "exchange takePeerMessage": 2_000,
};

type Cursor = { readonly rowsRead: number; readonly rowsWritten: number };
type Sql = { exec(query: string, ...bindings: unknown[]): Cursor };
type Storage = { readonly sql: Sql; setAlarm(...args: unknown[]): Promise<void> };
type Context = { readonly storage: Storage; readonly id: { readonly name?: string } };
type Handler = (this: unknown, ...args: unknown[]) => unknown;
type ObjectClass = new (ctx: Context, env: unknown) => object;
type App = { fetch(request: Request, env: unknown, ctx: unknown): Promise<Response> | Response };

const worker: Record<string, number> = {};
const objects: Record<string, ObjectCounts> = {};
/** Cursors of queries, whose rows are read later. */
const open: { readonly counts: ObjectCounts; readonly cursor: Cursor }[] = [];
/** Until when the present span of an object that is awake lasts, and where it is counted, by class and name. */
const spans = new Map<string, { from: number; until: number; running: number }>();

function countsOf(kind: string): ObjectCounts {
  objects[kind] ??= {
    started: 0,
    startedAt: {},
    calls: {},
    webSocketMessages: 0,
    peerMessages: 0,
    alarms: 0,
    alarmsSet: 0,
    rowsRead: 0,
    rowsWritten: 0,
    awakeMs: 0,
  };
  return objects[kind];
}

/** The rows of queries whose cursors have been read by now, as far as they have. */
function settle(): void {
  for (const { counts, cursor } of open.splice(0)) counts.rowsRead += cursor.rowsRead;
  const now = Date.now();
  for (const [id, span] of spans) {
    const until = span.running > 0 ? now : Math.min(now, span.until);
    countsOf(id.slice(0, id.indexOf(" "))).awakeMs += Math.max(0, until - span.from);
    span.from = Math.max(span.from, until);
  }
}

function begin(id: string): void {
  const now = Date.now();
  const span = spans.get(id);
  if (span === undefined) spans.set(id, { from: now, until: now, running: 1 });
  else {
    if (span.running === 0 && now > span.until) {
      countsOf(id.slice(0, id.indexOf(" "))).awakeMs += Math.max(0, span.until - span.from);
      span.from = now;
    }
    span.running += 1;
  }
}

function end(id: string, kind: string, method: string): void {
  const span = spans.get(id);
  if (span === undefined) return;
  span.running -= 1;
  span.until = Math.max(span.until, Date.now() + (lingerMs[`${kind} ${method}`] ?? 0));
}

function meterStorage(storage: Storage, counts: ObjectCounts): void {
  const { sql } = storage;
  const exec = sql.exec.bind(sql);
  const setAlarm = storage.setAlarm.bind(storage);
  Object.defineProperty(sql, "exec", {
    value: (query: string, ...bindings: unknown[]) => {
      const cursor = exec(query, ...bindings);
      counts.rowsWritten += cursor.rowsWritten;
      open.push({ counts, cursor });
      if (open.length > 1_000) for (const done of open.splice(0, 500)) done.counts.rowsRead += done.cursor.rowsRead;
      return cursor;
    },
  });
  Object.defineProperty(storage, "setAlarm", {
    value: (...args: unknown[]) => {
      counts.alarmsSet += 1;
      return setAlarm(...args);
    },
  });
}

function count(counts: ObjectCounts, method: string): void {
  if (method === "webSocketMessage") counts.webSocketMessages += 1;
  else if (method === "takePeerMessage") counts.peerMessages += 2;
  else if (method === "alarm") counts.alarms += 1;
  else if (method !== "webSocketClose" && method !== "webSocketError") counts.calls[method] = (counts.calls[method] ?? 0) + 1;
}

/** The class of a Durable Object that counts for `kind` what it is asked and what it writes. */
export function metered(kind: string, Base: ObjectClass): ObjectClass {
  const counts = countsOf(kind);
  const ids = new WeakMap<object, string>();
  const Metered = class extends Base {
    constructor(ctx: Context, env: unknown) {
      meterStorage(ctx.storage, counts);
      // As on Cloudflare, which has no such directory: there the core group beats by alarms (workers/core-group/beat-waker.ts).
      super(ctx, { ...(env as object), DISK: undefined });
      const name = ctx.id.name ?? "";
      ids.set(this, `${kind} ${name}`);
      counts.started += 1;
      counts.startedAt[name] = Date.now();
    }
  };
  for (const method of Object.getOwnPropertyNames(Base.prototype)) {
    const handler: unknown = (Base.prototype as Record<string, unknown>)[method];
    if (method === "constructor" || typeof handler !== "function") continue;
    const wrapped: Handler = function (this: unknown, ...args: unknown[]) {
      const id = ids.get(this as object) ?? kind;
      count(counts, method);
      begin(id);
      let result: unknown;
      try {
        result = (handler as Handler).apply(this, args);
      } catch (error) {
        end(id, kind, method);
        throw error;
      }
      if (!(result instanceof Promise)) {
        end(id, kind, method);
        return result;
      }
      return result.finally(() => end(id, kind, method));
    };
    Object.defineProperty(Metered.prototype, method, { value: wrapped, configurable: true, writable: true });
  }
  return Metered;
}

/** The Worker itself, which counts its requests and answers /meter. */
export function meteredWorker(app: App): App {
  return {
    fetch: (request, env, ctx) => {
      const { pathname } = new URL(request.url);
      if (pathname === "/meter") {
        settle();
        return Response.json({ worker, objects } satisfies MeterReport);
      }
      const [, area = "", kind = ""] = pathname.split("/");
      const what = request.headers.get("upgrade") === "websocket" ? "upgrade" : area === "cell" ? kind : area;
      worker[`${request.method} ${what}`] = (worker[`${request.method} ${what}`] ?? 0) + 1;
      return app.fetch(request, env, ctx);
    },
  };
}
