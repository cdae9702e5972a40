import { Resolver, lookup } from "node:dns";
import type { NaptrRecord } from "../../cluster/dns/packet.ts";
import { dnsCacheEntriesMax, dnsCacheMs, dnsNegativeCacheMs, dnsQueryTimeoutMs, dnsRecordsMax, dnsTries } from "../limits.ts";
import { steadyNow } from "../steady-now.ts";

export type SrvRecord = { readonly name: string; readonly port: number; readonly priority: number; readonly weight: number };

/** The questions that RFC 3263 asks. An empty answer stands for "no such record" and for "no answer": the next step is the same. */
export type Dns = {
  naptr(name: string): Promise<readonly NaptrRecord[]>;
  srv(name: string): Promise<readonly SrvRecord[]>;
  /** A and AAAA. */
  addresses(name: string): Promise<readonly string[]>;
};

type Cached = { readonly answer: Promise<readonly unknown[]>; readonly until: number };

/** DNS as the system does it, or by given servers; answers bounded and remembered for a while. */
export class SystemDns implements Dns {
  readonly #resolver: Resolver;
  /** With the system's servers, the system's own look-up is used for addresses: it knows /etc/hosts. */
  readonly #useSystem: boolean;
  readonly #cache = new Map<string, Cached>();

  constructor(servers: readonly string[]) {
    this.#resolver = new Resolver({ timeout: dnsQueryTimeoutMs, tries: dnsTries });
    this.#useSystem = servers.length === 0;
    if (servers.length > 0) this.#resolver.setServers(servers);
  }

  naptr(name: string): Promise<readonly NaptrRecord[]> {
    return this.#ask(`naptr ${name}`, (done) => this.#resolver.resolveNaptr(name, done));
  }

  srv(name: string): Promise<readonly SrvRecord[]> {
    return this.#ask(`srv ${name}`, (done) => this.#resolver.resolveSrv(name, done));
  }

  async addresses(name: string): Promise<readonly string[]> {
    if (this.#useSystem) {
      const found = await this.#ask<{ address: string }>(`host ${name}`, (done) => lookup(name, { all: true }, done));
      return found.map(({ address }) => address);
    }
    const answers = await Promise.all([
      this.#ask<string>(`a ${name}`, (done) => this.#resolver.resolve4(name, done)),
      this.#ask<string>(`aaaa ${name}`, (done) => this.#resolver.resolve6(name, done)),
    ]);
    return answers.flat();
  }

  /** Ends questions under way. */
  stop(): void {
    this.#resolver.cancel();
  }

  #ask<Item>(key: string, query: (done: (error: Error | null, answer?: readonly Item[]) => void) => void): Promise<readonly Item[]> {
    const now = steadyNow();
    const cached = this.#cache.get(key);
    // The key names the type of the answer, so what is remembered under it is of that type.
    if (cached !== undefined && now < cached.until) return cached.answer as Promise<readonly Item[]>;
    if (this.#cache.size >= dnsCacheEntriesMax) this.#cache.clear();
    const answer = new Promise<readonly Item[]>((resolve) => {
      query((error, records) => {
        const found = error === null ? (records ?? []).slice(0, dnsRecordsMax) : [];
        if (found.length === 0) this.#cache.set(key, { answer, until: steadyNow() + dnsNegativeCacheMs });
        resolve(found);
      });
    });
    this.#cache.set(key, { answer, until: now + dnsCacheMs });
    return answer;
  }
}
