import { DurableObject } from "cloudflare:workers";
import type { Environment } from "../environment.ts";

/** One replica of one exchange. */
export class ExchangeObject extends DurableObject<Environment> {}
