/*
 * What a cell of `wrangler dev` is wrapped in: its objects can be made to end, as Cloudflare does when it replaces its own runtime. workerd evicts an object by
 * itself only when that has had nothing to do for ten seconds. Production code knows nothing of it.
 */

type Context = { abort(reason: string): void };
type ObjectClass = new (ctx: Context, env: unknown) => object;
type App = { fetch(request: Request, env: unknown, ctx: unknown): Promise<Response> | Response };
type Namespaces = Record<string, { getByName(name: string): { evict(): Promise<void> } } | undefined>;

/** By the first word of an object's name. */
const bindings: Readonly<Record<string, string>> = { exchange: "EXCHANGE", line: "LINE", core: "CORE_GROUP", ledger: "LEDGER" };

/** A class of objects that end when they are told to: memory and sockets are gone, what is on the disk stays. */
export function evictable(Base: ObjectClass): ObjectClass {
  return class Evictable extends Base {
    readonly #context: Context;

    constructor(ctx: Context, env: unknown) {
      super(ctx, env);
      this.#context = ctx;
    }

    evict(): void {
      this.#context.abort("evicted by a test");
    }
  };
}

/** The Worker itself. `/test/code` says which code it is, `/test/evict/exchange-0` ends an object. */
export function withDoor(app: App, code: string): App {
  return {
    fetch: async (request, env, ctx) => {
      const [, area, order, name = ""] = new URL(request.url).pathname.split("/");
      if (area !== "test") return await app.fetch(request, env, ctx);
      if (order === "code") return new Response(code);
      const object = (env as Namespaces)[bindings[name.split("-")[0] ?? ""] ?? ""]?.getByName(name);
      if (object === undefined) return new Response(`there is no ${name}`, { status: 404 });
      // The call fails, since who was to answer has ended.
      const said = await object.evict().then(
        () => "it lives",
        (error: unknown) => String(error),
      );
      return new Response(said, { status: said.includes("evicted by a test") ? 200 : 500 });
    },
  };
}
