import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import type { AcmeGroup } from "./acme-group.ts";
import { AcmeKeeper } from "./acme/acme-keeper.ts";
import { type TlsFiles, ensureCertificate, ownCertificate } from "./certificate.ts";
import { Failure, reasonOf } from "./errors.ts";
import { gatewayConfigText } from "./gateway-config.ts";
import { type Layout, advertisedHostsOf, placesOf } from "./layout.ts";
import type { MemberFiles } from "./membership.ts";
import type { Program } from "./program.ts";
import type { Reporter } from "./reporter.ts";
import type { Settings } from "./settings.ts";
import { shownPath } from "./shown-path.ts";
import type { StateDirectory } from "./state-directory.ts";
import type { ProcessSpec, Supervisor } from "./supervisor.ts";

export type LocalGatewaysOptions = {
  readonly settings: Settings;
  readonly domain: string;
  readonly state: StateDirectory;
  readonly supervisor: Supervisor;
  readonly reporter: Reporter;
  /** What a process runs: `gateway g1`. */
  readonly programOf: (name: string) => Program;
  /** Those that are known: where a gateway finds its first map. */
  readonly cells: () => Parameters<typeof gatewayConfigText>[1];
  /** The other hosts, with which a certificate by ACME is shared; undefined: there are none. */
  readonly acmeGroup: AcmeGroup | undefined;
  /** What a gateway is to the cells: the file of the secret, or those of a member. */
  readonly credentials: (gateway: string) => string | MemberFiles;
};

/** A gateway reads some files and answers within milliseconds; on a busy machine it may take a while. */
const reloadMsMax = 10_000;

/** The gateways of this machine, and the certificate that they show. */
export class LocalGateways {
  readonly #options: LocalGatewaysOptions;
  readonly #gateways: Layout["gateways"];
  /** Undefined: no certificate is had by ACME. */
  readonly #acme: AcmeKeeper | undefined;
  /** What they show. */
  #tls: TlsFiles | undefined;
  /** Resolves when the reload before is over. */
  #before: Promise<unknown> = Promise.resolve();
  /** Resolves when gateways have answered the one who asked them before. */
  #answered: Promise<unknown> = Promise.resolve();

  constructor(gateways: Layout["gateways"], options: LocalGatewaysOptions) {
    this.#gateways = gateways;
    this.#options = options;
    const { settings, state, reporter } = options;
    this.#acme =
      settings.acme === undefined
        ? undefined
        : new AcmeKeeper({
            settings: settings.acme,
            state,
            hosts: [settings.host, ...(settings.furtherSip ?? []).map(({ host }) => host)],
            group: options.acmeGroup,
            changed: () => this.#reloadAll(),
            say: (event, cause) => reporter.event("tandem", event, cause),
          });
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
      return this.#acme?.filesWith(files) ?? { files, text: shownPath(files.certificate) };
    }
    const { files, unnamed } = ownCertificate(settings.tls.certificate, settings.tls.key, [domain, ...hosts], new Date());
    const lack = unnamed.length === 0 ? "" : ` (does not name ${unnamed.join(" or ")})`;
    return { files, text: `${shownPath(files.certificate)}${lack}` };
  }

  async start(tls: TlsFiles): Promise<void> {
    this.#tls = tls;
    await Promise.all(this.#gateways.map((gateway) => this.#options.supervisor.start(this.#specOf(gateway, tls))));
  }

  /** How a gateway is started by the program that it is to run now. */
  specOf(id: string): ProcessSpec {
    const gateway = this.#gateways.find((each) => each.id === id);
    if (gateway === undefined || this.#tls === undefined) throw new Failure(`gateway ${id} does not run on this machine`);
    return this.#specOf(gateway, this.#tls);
  }

  #specOf(gateway: Layout["gateways"][number], tls: TlsFiles): ProcessSpec {
    const { state, settings, cells, credentials, programOf } = this.#options;
    const [name, file] = [`gateway ${gateway.id}`, `gateway-${gateway.id}.toml`];
    const { node, gateway: code } = programOf(name);
    return {
      prepare: () => state.write(file, gatewayConfigText(gateway, cells(), credentials(gateway.id), tls, settings)),
      name,
      command: [node, code, "--config", state.file(file), "--supervised"],
      environment: {},
      readiness: { line: /^gateway \S+ ready$/ },
    };
  }

  /** From now on a certificate is had by ACME, where one is asked for: the gateways serve meanwhile. */
  keepCertificate(): void {
    this.#acme?.start();
  }

  async stop(): Promise<void> {
    await this.#acme?.stop();
  }

  /**
   * Has all of them read their files again, the certificate first of all, while calls stand. Resolves to a line that says what has changed. Throws a
   * {@link Failure} when the certificate cannot be used: then none of them is asked, and all is as it was. `renewsCertificate`: by ACME, though it is good.
   */
  reload(renewsCertificate: boolean): Promise<string> {
    const reloaded = this.#before.then(() => this.#reload(renewsCertificate));
    this.#before = reloaded.catch(() => undefined);
    return reloaded;
  }

  async #reload(renewsCertificate: boolean): Promise<string> {
    const renewed = renewsCertificate ? await this.#renewCertificate() : undefined;
    const { files, text } = await this.certificate();
    const gateways = await this.#reloadAll();
    const until = new X509Certificate(certificatesIn(readFileSync(files.certificate, "utf8"))).validToDate.toISOString().slice(0, 10);
    // It is asked for last: that takes a minute where it is far away.
    const byAcme = renewed ?? (await this.#acme?.look().catch((error: unknown) => `none: ${reasonOf(error)}`));
    return [`certificate ${text} until ${until}`, ...gateways, ...(byAcme === undefined ? [] : [`by ACME: ${byAcme}`])].join("; ");
  }

  async #renewCertificate(): Promise<string> {
    if (this.#acme === undefined) throw new Failure("no certificate is had by ACME here: it was started without --acme");
    return await this.#acme.renew().catch((error: unknown) => {
      throw new Failure(`no other certificate by ACME, and all is as it was: ${reasonOf(error)}`);
    });
  }

  /** What each of them says. Throws a {@link Failure} when one of them does not do it. */
  async #reloadAll(): Promise<readonly string[]> {
    // One that is stopped reads its files when it is told to start.
    const running = this.#gateways.filter(({ id }) => !this.#options.supervisor.isStopped(`gateway ${id}`));
    const asked = this.#answered.then(() => Promise.all(running.map(({ id }) => this.#reloadOne(id))));
    this.#answered = asked.catch(() => undefined);
    const outcomes = await asked;
    const failed = outcomes.filter(({ isReloaded }) => !isReloaded).map(({ said }) => said);
    if (failed.length > 0) throw new Failure(failed.join("; "));
    return outcomes.map(({ said }) => said);
  }

  async #reloadOne(id: string): Promise<{ readonly isReloaded: boolean; readonly said: string }> {
    const answer = /^gateway \S+ (?:reloaded|not reloaded): /;
    const line = await this.#options.supervisor.ask(`gateway ${id}`, "SIGHUP", answer, reloadMsMax);
    if (line === undefined) return { isReloaded: false, said: `gateway ${id} has not answered: it reads its files when it starts again` };
    return { isReloaded: line.startsWith(`gateway ${id} reloaded: `), said: line };
  }
}

/** A file may have a key before them. */
function certificatesIn(text: string): string {
  return text.slice(text.indexOf("-----BEGIN CERTIFICATE-----"));
}
