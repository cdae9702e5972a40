import { AsyncLocalStorage } from "node:async_hooks";

/*
 * Counts what Cloudflare would bill, inside the cells of a local run: their classes, wrapped. Production code knows nothing of it. It runs
 * in workerd, stripped of its types and beside the bundle (bench/cost/metered-system.ts), so it imports nothing of ours; workerd keeps all objects of
 * a process in one isolate, so one table serves all. The Worker answers it under /meter, which touches no object.
 *
 * It also counts what Cloudflare limits: requests of an object that wait for an answer at the same time, and what one event asks of others.
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
  /**
   * Time in which an object could not have hibernated, ms: something ran, a timer of its own was set, or a request was not answered. Since compatibility date
   * 2026-10-01 each of these keeps it awake.
   */
  awakeMs: number;
  /** Requests and handshakes to other cells that one object had no answer to, the most at once. The seventh is refused: Cloudflare lets it wait. */
  outgoingMost: number;
  /** Requests to other cells and calls to objects that one event made, the most. Cloudflare has 50 on the free plan, 10 000 on others. */
  subrequestsMost: number;
};

export type MeterReport = {
  /** Requests to the Worker by method and kind: `GET upgrade`, `POST pair`. */
  readonly worker: Record<string, number>;
  readonly objects: Record<string, ObjectCounts>;
};

/** Open WebSockets that do not hibernate keep both ends awake: the peer's, for so long after a message (actors/limits.ts, peerSocketIdleMs). */
const lingerMs: Readonly<Record<string, number>> = { "exchange takePeerMessage": 2_000 };

/** What runs now: an event of an object, and what follows from it. */
type Running = { readonly id: string; subrequests: number };

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
const running = new AsyncLocalStorage<Running>();
/** Timers that are set, by the object that has set them. */
const timers = new Map<unknown, string>();
/** What Cloudflare lets an object have of these at once. */
const outgoingMax = 6;
/** Requests to other cells that are not answered, by object. */
const outgoing = new Map<string, number>();

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
    outgoingMost: 0,
    subrequestsMost: 0,
  };
  return objects[kind];
}

function idOf(kind: string, { id }: Context): string {
  return `${kind}|${id.name ?? ""}`;
}

function kindOf(id: string): string {
  return id.slice(0, id.indexOf("|"));
}

type Global = {
  setTimeout: (run: (...args: unknown[]) => void, delayMs?: number, ...args: unknown[]) => unknown;
  clearTimeout: (handle: unknown) => void;
  fetch: (...args: unknown[]) => Promise<unknown>;
};

/** Timers and requests of objects from now on: whoever has set one is awake until it has rung, was cleared, or is answered. */
export function meterGlobals(scope: Global): void {
  const { setTimeout: set, clearTimeout: clear, fetch: ask } = scope;
  scope.setTimeout = (run, delayMs, ...args) => {
    const event = running.getStore();
    if (event === undefined) return set.call(globalThis, run, delayMs, ...args);
    begin(event.id);
    const handle = set.call(
      globalThis,
      () => {
        if (timers.delete(handle)) end(event.id);
        // What a timer does is an event of its own.
        running.run({ id: event.id, subrequests: 0 }, () => run(...args));
      },
      delayMs,
    );
    timers.set(handle, event.id);
    return handle;
  };
  scope.clearTimeout = (handle) => {
    const id = timers.get(handle);
    if (timers.delete(handle) && id !== undefined) end(id);
    clear.call(globalThis, handle);
  };
  scope.fetch = async (...args) => {
    const event = running.getStore();
    if (event === undefined) return await ask.apply(globalThis, args);
    const { id } = event;
    const counts = countsOf(kindOf(id));
    countSubrequest(event);
    const now = (outgoing.get(id) ?? 0) + 1;
    counts.outgoingMost = Math.max(counts.outgoingMost, now);
    if (now > outgoingMax) throw new Error(`${id} has ${outgoingMax} requests under way: a further one would wait`);
    outgoing.set(id, now);
    begin(id);
    try {
      return await ask.apply(globalThis, args);
    } finally {
      outgoing.set(id, (outgoing.get(id) ?? 1) - 1);
      end(id);
    }
  };
}

function countSubrequest(event: Running): void {
  event.subrequests += 1;
  const counts = countsOf(kindOf(event.id));
  counts.subrequestsMost = Math.max(counts.subrequestsMost, event.subrequests);
}

type Stub = Record<string | symbol, ((...args: unknown[]) => unknown) | undefined>;
type Namespace = { getByName(...args: unknown[]): Stub };

/** A namespace whose objects are asked by one that is metered: each call is a subrequest, and keeps who asks awake until it is answered. */
function meteredNamespace(namespace: Namespace): Namespace {
  return {
    getByName: (...args) =>
      new Proxy(namespace.getByName(...args), {
        get: (stub, name) => {
          if (typeof stub[name] !== "function" || name === "then") return stub[name];
          return (...given: unknown[]): unknown => {
            const event = running.getStore();
            // Whatever is read of such a method is a question to the object as well, `apply` too.
            const answer = stub[name]?.(...given);
            if (event === undefined) return answer;
            countSubrequest(event);
            begin(event.id);
            Promise.resolve(answer).then(
              () => end(event.id),
              () => end(event.id),
            );
            return answer;
          };
        },
      }),
  };
}

const namespaces = ["EXCHANGE", "LINE", "CORE_GROUP", "LEDGER"] as const;

/** As on Cloudflare, which has no directory DISK: there the core group beats by alarms (workers/core-group/beat-waker.ts). */
function meteredEnvironment(env: object): object {
  const given = env as Record<string, Namespace | undefined>;
  const own = namespaces.flatMap((name) => {
    const namespace = given[name];
    return namespace === undefined ? [] : [[name, meteredNamespace(namespace)] as const];
  });
  return { ...env, DISK: undefined, ...Object.fromEntries(own) };
}

/** The rows of queries whose cursors have been read by now, as far as they have. */
function settle(): void {
  for (const { counts, cursor } of open.splice(0)) counts.rowsRead += cursor.rowsRead;
  const now = Date.now();
  for (const [id, span] of spans) {
    const until = span.running > 0 ? now : Math.min(now, span.until);
    countsOf(kindOf(id)).awakeMs += Math.max(0, until - span.from);
    span.from = Math.max(span.from, until);
  }
}

function begin(id: string): void {
  const now = Date.now();
  const span = spans.get(id);
  if (span === undefined) spans.set(id, { from: now, until: now, running: 1 });
  else {
    if (span.running === 0 && now > span.until) {
      countsOf(kindOf(id)).awakeMs += Math.max(0, span.until - span.from);
      span.from = now;
    }
    span.running += 1;
  }
}

function end(id: string, method = ""): void {
  const span = spans.get(id);
  if (span === undefined) return;
  span.running -= 1;
  span.until = Math.max(span.until, Date.now() + (lingerMs[`${kindOf(id)} ${method}`] ?? 0));
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
  // What its constructor does is done by the object as well.
  const Running = new Proxy(Base, {
    construct: (base, args: [Context, unknown], target) =>
      running.run({ id: idOf(kind, args[0]), subrequests: 0 }, () => Reflect.construct(base, args, target) as object),
  });
  const Metered = class extends Running {
    constructor(ctx: Context, env: unknown) {
      meterStorage(ctx.storage, counts);
      super(ctx, meteredEnvironment(env as object));
      const name = ctx.id.name ?? "";
      ids.set(this, idOf(kind, ctx));
      counts.started += 1;
      counts.startedAt[name] = Date.now();
    }
  };
  for (const method of Object.getOwnPropertyNames(Base.prototype)) {
    const handler: unknown = (Base.prototype as Record<string, unknown>)[method];
    if (method === "constructor" || typeof handler !== "function") continue;
    const wrapped: Handler = function (this: unknown, ...args: unknown[]) {
      const id = ids.get(this as object) ?? `${kind}|`;
      count(counts, method);
      begin(id);
      let result: unknown;
      try {
        result = running.run({ id, subrequests: 0 }, () => (handler as Handler).apply(this, args));
      } catch (error) {
        end(id, method);
        throw error;
      }
      if (!(result instanceof Promise)) {
        end(id, method);
        return result;
      }
      return result.finally(() => end(id, method));
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
