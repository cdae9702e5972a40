import { DurableObject } from "cloudflare:workers";
import type { Environment } from "../environment.ts";

/** Holds softphones' WebSockets (RFC 7118). */
export class LineObject extends DurableObject<Environment> {}
