import { DurableObject } from "cloudflare:workers";
import type { Environment } from "../environment.ts";

/** The cells and gateways as this cell sees them. */
export class CoreGroupObject extends DurableObject<Environment> {}
