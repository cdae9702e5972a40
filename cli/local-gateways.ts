import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { type TlsFiles, ensureCertificate, ownCertificate } from "./certificate.ts";
import { Failure } from "./errors.ts";
import { gatewayConfigText } from "./gateway-config.ts";
import { type Layout, advertisedHostsOf, placesOf } from "./layout.ts";
import type { MemberFiles } from "./membership.ts";
import { program } from "./program.ts";
import type { Settings } from "./settings.ts";
import { shownPath } from "./shown-path.ts";
import type { StateDirectory } from "./state-directory.ts";
import type { ProcessSpec, Supervisor } from "./supervisor.ts";

export type LocalGatewaysOptions = {
  readonly settings: Settings;
  readonly domain: string;
  readonly state: StateDirectory;
  readonly supervisor: Supervisor;
  /** Those that are known: where a gateway finds its first map. */
  readonly cells: () => Parameters<typeof gatewayConfigText>[1];
  /** What a gateway is to the cells: the file of the secret, or those of a member. */
  readonly credentials: (gateway: string) => string | MemberFiles;
};

/** A gateway reads some files and answers within milliseconds; on a busy machine it may take a while. */
const reloadMsMax = 10_000;

/** The gateways of this machine, and the certificate that they show. */
export class LocalGateways {
  readonly #options: LocalGatewaysOptions;
  readonly #gateways: Layout["gateways"];
  /** Resolves when the reload before is over. */
  #before: Promise<unknown> = Promise.resolve();

  constructor(gateways: Layout["gateways"], options: LocalGatewaysOptions) {
    this.#gateways = gateways;
    this.#options = options;
  }

  /** Where they listen, for people. */
  get text(): string {
    if (this.#gateways.length === 0) return "none";
    return this.#gateways
      .map(({ id, listeners }) => {
        const texts = Array.from(placesOf(listeners), ([place, here]) => `${place} ${here.map(({ transport }) => transport).join(" ")}`);
        return `${id} ${texts.join(", ")}`;
      })
      .join("; ");
  }

  /** The certificate that they are to show: the operator's own, checked, or one that is made or kept. `text`: which it is, for people. */
  async certificate(): Promise<{ readonly files: TlsFiles; readonly text: string }> {
    const { domain, state, settings } = this.#options;
    const hosts = advertisedHostsOf(settings);
    if (settings.tls === undefined) {
      const files = await ensureCertificate(state, domain, hosts, new Date());
      return { files, text: shownPath(files.certificate) };
    }
    const { files, unnamed } = ownCertificate(settings.tls.certificate, settings.tls.key, [domain, ...hosts], new Date());
    const lack = unnamed.length === 0 ? "" : `, does not name ${unnamed.join(" or ")}`;
    return { files, text: `${shownPath(files.certificate)}${lack}` };
  }

  async start(tls: TlsFiles): Promise<void> {
    const { state, supervisor, settings, cells, credentials } = this.#options;
    const specs = this.#gateways.map((gateway): ProcessSpec => {
      const name = `gateway-${gateway.id}.toml`;
      return {
        prepare: () => state.write(name, gatewayConfigText(gateway, cells(), credentials(gateway.id), tls, settings)),
        name: `gateway ${gateway.id}`,
        command: [process.execPath, program.gateway, "--config", state.file(name), "--supervised"],
        environment: {},
        readiness: { line: /^gateway \S+ ready$/ },
      };
    });
    await Promise.all(specs.map((spec) => supervisor.start(spec)));
  }

  /**
   * Has all of them read their files again, the certificate first of all, while calls stand. Resolves to a line that says what has changed. Throws a
   * {@link Failure} when the certificate cannot be used: then none of them is asked, and all is as it was.
   */
  reload(): Promise<string> {
    const reloaded = this.#before.then(() => this.#reload());
    this.#before = reloaded.catch(() => undefined);
    return reloaded;
  }

  async #reload(): Promise<string> {
    const { files, text } = await this.certificate();
    const until = new X509Certificate(readFileSync(files.certificate)).validToDate.toISOString().slice(0, 10);
    const outcomes = await Promise.all(this.#gateways.map(({ id }) => this.#reloadOne(id)));
    const failed = outcomes.filter(({ isReloaded }) => !isReloaded).map(({ said }) => said);
    if (failed.length > 0) throw new Failure(failed.join("; "));
    return [`certificate ${text} until ${until}`, ...outcomes.map(({ said }) => said)].join("; ");
  }

  async #reloadOne(id: string): Promise<{ readonly isReloaded: boolean; readonly said: string }> {
    const answer = /^gateway \S+ (?:reloaded|not reloaded): /;
    const line = await this.#options.supervisor.ask(`gateway ${id}`, "SIGHUP", answer, reloadMsMax);
    if (line === undefined) return { isReloaded: false, said: `gateway ${id} has not answered: it reads its files when it starts again` };
    return { isReloaded: line.startsWith(`gateway ${id} reloaded: `), said: line };
  }
}
