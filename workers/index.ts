import { Hono } from "hono";
import type { Environment } from "./environment.ts";

export { CoreGroupObject } from "./core-group/core-group-object.ts";
export { ExchangeObject } from "./exchange/exchange-object.ts";
export { LineObject } from "./line/line-object.ts";

const app = new Hono<{ Bindings: Environment }>();

app.get("/", (context) =>
  context.text(`Tandem, a SIP registrar and proxy: cell ${context.env.CELL}. Softphones connect here over WebSocket with subprotocol sip.\n`),
);

export default app;
