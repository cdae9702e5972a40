import type { SteadyMs } from "../sip/time.ts";
import type { HostReport, KnownHost } from "../schemas/hosts.ts";
import { hostsRememberedMax, hostRememberedMs } from "./limits.ts";

export type { HostReport, KnownHost };

/** What hosts have reported to this cell lately. A host reports to one cell at a time, and again within seconds: so nothing of it is kept on a disk. */
export class HostReports {
  readonly #reports = new Map<string, { readonly report: Omit<HostReport, "host" | "outcomes">; readonly at: SteadyMs }>();

  said({ host, outcomes: _done, ...report }: HostReport, now: SteadyMs): void {
    this.#reports.delete(host);
    this.#reports.set(host, { report, at: now });
    // The first is the one that has been silent for longest.
    const [first] = this.#reports.keys();
    if (first !== undefined && this.#reports.size > hostsRememberedMax) this.#reports.delete(first);
  }

  all(now: SteadyMs): KnownHost[] {
    for (const [host, { at }] of this.#reports) if (now - at > hostRememberedMs) this.#reports.delete(host);
    return Array.from(this.#reports, ([host, { report, at }]) => ({ host, agoMs: Math.max(0, Math.round(now - at)), report }));
  }
}
