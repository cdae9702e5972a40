import { gatewaysMax } from "../limits.ts";
import { type GatewayMember, newGatewayMember } from "./gateway-member.ts";
import type { HeartbeatSettings } from "./view.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** The gateways that a cell knows, by their ids, in the order in which they were known first. */
export class GatewayMembers extends Map<string, GatewayMember> {
  /** One that was not known is from now on. Another one is forgotten for it, when there are too many: of those that are gone the one that was known first. */
  known(id: string, now: SteadyMs, settings: HeartbeatSettings): GatewayMember {
    const known = this.get(id);
    if (known !== undefined) return known;
    const [gone] = this.size < gatewaysMax ? [] : [...this.values()].filter(({ state }) => state === "down");
    if (gone !== undefined) this.delete(gone.id);
    const fresh = newGatewayMember(id, "joining", now, settings);
    this.set(id, fresh);
    return fresh;
  }
}
