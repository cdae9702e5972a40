import {
  type KeyObject,
  X509Certificate,
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  generateKeyPairSync,
  sign,
} from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { promisify } from "node:util";
import { isRenewalDue } from "../../cluster/authority/certificate.ts";
import { certificateRequest } from "../../cluster/authority/certificate-request.ts";
import { type TlsFiles, isOfOwnAuthority } from "../certificate.ts";
import { Failure, reasonOf } from "../errors.ts";
import { programVersion } from "../program.ts";
import type { AcmeSettings } from "../settings.ts";
import type { StateDirectory } from "../state-directory.ts";
import { AcmeClient } from "./acme-client.ts";
import { type ServedCertificate, servedFault } from "../../cluster/authority/served.ts";
import { type AcmeGroup, GroupDoor } from "../acme-group.ts";
import { type Challenge, ChallengeDoor } from "./challenge-door.ts";
import {
  certificatesMax,
  doorLookMs,
  firstSharedLookMs,
  heardMs,
  lookMs,
  orderLookMs,
  orderMsMax,
  sharedLookMs,
  sharedWaitMs,
} from "./limits.ts";

export type AcmeKeeperOptions = {
  readonly settings: AcmeSettings;
  readonly state: StateDirectory;
  /** Addresses without brackets at which challenges are answered: those of the gateways. */
  readonly hosts: readonly string[];
  /** The other hosts of a system with an authority; undefined: there are none. */
  readonly group?: AcmeGroup | undefined;
  /** There is another certificate: gateways are to read it. */
  readonly changed: () => Promise<unknown>;
  /** What people are to know: an event, and its cause. */
  readonly say: (event: string, cause: string) => void;
};

/** Key and chain of the gateways are one file: so there is no moment at which they do not belong to each other. */
const certificateName = "acme/gateway.pem";
const accountName = "acme/account-key.pem";
/** Who has issued it: another authority is asked at once. */
const directoryName = "acme/directory";

const beginCertificate = "-----BEGIN CERTIFICATE-----";

/** Gets a certificate for the gateways by ACME, keeps it in the state directory, and renews it when two thirds of its life are over. */
export class AcmeKeeper {
  readonly #options: AcmeKeeperOptions;
  readonly #stop = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #doorTimer: NodeJS.Timeout | undefined;
  #sharedTimer: NodeJS.Timeout | undefined;
  /** Open while another host orders. */
  #door: { readonly door: ChallengeDoor; readonly challenges: string } | undefined;
  /** Resolves when the door that is being opened or closed is so. */
  #doorChange: Promise<void> | undefined;
  #startedAt = performance.now();
  /** The look that is going on. */
  #looking: Promise<string> | undefined;
  /** When another host was ordering, so that nothing could be ordered here; undefined: nothing waits for that. */
  #heldUpAt: number | undefined;
  /** The chain that cells keep and that is none for gateways: it was said. */
  #refusedChain: string | undefined;

  constructor(options: AcmeKeeperOptions) {
    this.#options = options;
  }

  /** What gateways show; `first` until there is one. `text`: which it is, for people. */
  filesWith(first: TlsFiles): { readonly files: TlsFiles; readonly text: string } {
    const { state } = this.#options;
    const file = state.file(certificateName);
    state.makeDirectory("acme");
    const isThere = existsSync(file) && certificateIn(readFileSync(file, "utf8")) !== undefined;
    if (!isThere || this.#isFirst()) {
      state.write(certificateName, `${readFileSync(first.key, "utf8").trim()}\n${readFileSync(first.certificate, "utf8")}`, 0o600);
    }
    const files = { ca: undefined, certificate: file, key: file };
    return {
      files,
      text: this.#isFirst()
        ? "one of tandem's making, until there is one by ACME"
        : `by ACME for ${this.#options.settings.names.join(", ")}`,
    };
  }

  /** Looks now, and then every hour. What fails is said. */
  start(): void {
    const look = (): void => {
      // What has failed was said.
      void this.look().catch(() => undefined);
    };
    this.#startedAt = performance.now();
    this.#timer = setInterval(look, lookMs).unref();
    look();
    if (this.#options.group === undefined) return;
    this.#doorTimer = setInterval(() => this.#lookAtOthers(), doorLookMs).unref();
    this.#lookAtShared();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    clearInterval(this.#doorTimer);
    clearTimeout(this.#sharedTimer);
    this.#stop.abort();
    await this.#looking?.catch(() => undefined);
    await this.#closeDoor();
  }

  /** Answers what another host has the authority ask for, since that may ask here. */
  #lookAtOthers(): void {
    const open = this.#options.group?.open();
    const { challenges = [] } = open ?? {};
    // Names may differ: what the other one has ordered may be no certificate for this host.
    if (this.#heldUpAt !== undefined && open === undefined && performance.now() - this.#heldUpAt >= orderLookMs) {
      this.#heldUpAt = undefined;
      void this.look().catch(() => undefined);
    }
    const wanted = challenges.map(({ token, answer }) => `${token} ${answer}`).join(" ");
    if (this.#doorChange !== undefined || wanted === (this.#door?.challenges ?? "") || this.#looking !== undefined) return;
    this.#doorChange = this.#answer(challenges, wanted).finally(() => {
      this.#doorChange = undefined;
    });
  }

  async #answer(challenges: readonly Challenge[], wanted: string): Promise<void> {
    const { hosts, settings, say } = this.#options;
    await this.#door?.door.stop();
    this.#door = undefined;
    if (wanted === "") return;
    const door = new ChallengeDoor(hosts, settings.port);
    this.#door = { door, challenges: wanted };
    for (const { token, answer } of challenges) door.open(token, answer);
    await door.start().catch((error: unknown) => {
      say("warns", `what another machine has the authority ask for is not answered here: ${reasonOf(error)}`);
    });
  }

  async #closeDoor(): Promise<void> {
    await this.#doorChange;
    await this.#door?.door.stop();
    this.#door = undefined;
  }

  /** What another host has ordered is shown here soon after. */
  #lookAtShared(): void {
    const wait = this.#isFirst() ? firstSharedLookMs : sharedLookMs;
    this.#sharedTimer = setTimeout(() => void this.#lookOnceAtShared(), wait).unref();
  }

  async #lookOnceAtShared(): Promise<void> {
    // Cells that do not answer are said by who watches them.
    if (this.#looking === undefined)
      await this.#takeShared()
        .then((shared) => this.#share(shared))
        .catch(() => undefined);
    if (!this.#stop.signal.aborted) this.#lookAtShared();
  }

  /** The certificate that cells keep for these names; undefined: none that is good. It is shown here, unless the one that is here is newer. */
  async #takeShared(): Promise<X509Certificate | undefined> {
    const { group, settings, state, say } = this.#options;
    const { directory, names } = settings;
    const served = await group?.served({ directory, names: names.toSorted() });
    if (served === undefined) return undefined;
    const read = readShared(served, names);
    if ("fault" in read) {
      if (this.#refusedChain !== served.chain) {
        const replace = "tandem reload --renew-certificate on a machine with a cell replaces it";
        say("warns", `what cells keep as the certificate of ${names.join(", ")} is not shown here: ${read.fault}; ${replace}`);
      }
      this.#refusedChain = served.chain;
      return undefined;
    }
    const { certificate, text } = read;
    const present = this.#present();
    if (present !== undefined && !isNewer(certificate, present)) return certificate;
    state.write(certificateName, text, 0o600);
    state.write(directoryName, `${directory}\n`);
    say("renewed", `certificate of ${names.join(", ")} by ACME until ${dayOf(certificate)}, from another machine${await this.#shown()}`);
    return certificate;
  }

  /** Cells keep what is shown here, where they have none, or an older one. */
  async #share(shared: X509Certificate | undefined): Promise<void> {
    const { group, settings, state } = this.#options;
    const present = this.#present();
    if (group === undefined || !group.mayOrder() || present === undefined) return;
    if (shared !== undefined && !isNewer(present, shared)) return;
    const until = present.validToDate.getTime();
    const text = readOr(state.file(certificateName));
    const begin = text.indexOf(beginCertificate);
    const [key, chain] = [text.slice(0, begin), text.slice(begin)];
    await group.keep({ directory: settings.directory, names: settings.names.toSorted(), chain, key, until });
  }

  /** A host without a cell waits for one that has, for a while. */
  get #waitsForOthers(): boolean {
    const { group } = this.#options;
    return group !== undefined && !group.mayOrder() && performance.now() - this.#startedAt < sharedWaitMs;
  }

  /** Gets a certificate when it is time, and resolves to what was found or done. Throws a {@link Failure} when there is none to be had; it was said then. */
  look(): Promise<string> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  /**
   * Orders another certificate now, though the one that is shown is good for long: it was revoked, or somebody else has its key. Resolves to what was done. Throws a
   * {@link Failure}: then all is as it was.
   */
  async renew(): Promise<string> {
    while (this.#looking !== undefined) await this.#looking.catch(() => undefined);
    this.#looking = this.#renew().finally(() => {
      this.#looking = undefined;
    });
    return await this.#looking;
  }

  async #renew(): Promise<string> {
    const { say, settings, group } = this.#options;
    const shared = await this.#takeShared().catch(() => undefined);
    if (shared !== undefined && group?.mayOrder() === false)
      throw new Failure("the certificate is that of several machines: renew it on one that has a cell and was started with --acme");
    const certificate = await this.#order();
    if (certificate === undefined) throw new Failure("another machine orders a certificate now: try again in a minute");
    const told = await this.#share(shared).then(
      () => (group?.mayOrder() === true && group.hasOthers() ? ", and other machines show it within a minute" : ""),
      (error: unknown) => `, and cells are told in a minute: ${reasonOf(error)}`,
    );
    say(
      "renewed",
      `certificate of ${settings.names.join(", ")} by ACME until ${dayOf(certificate)}, as was asked for${await this.#shown()}`,
    );
    return `new, until ${dayOf(certificate)}${told}`;
  }

  async #look(): Promise<string> {
    const { say, settings } = this.#options;
    this.#heldUpAt = undefined;
    const shared = await this.#takeShared().catch(() => undefined);
    const present = this.#present();
    if (present !== undefined && !isDue(present)) {
      // What fails is tried at the next look.
      await this.#share(shared).catch(() => undefined);
      return `good until ${dayOf(present)}`;
    }
    if (this.#waitsForOthers) return "none yet: a machine with a cell that was started with --acme is to order it";
    try {
      const certificate = await this.#order();
      if (certificate === undefined) {
        this.#heldUpAt = performance.now();
        return "another machine orders it";
      }
      await this.#share(shared).catch(() => undefined);
      say("renewed", `certificate of ${settings.names.join(", ")} by ACME until ${dayOf(certificate)}${await this.#shown()}`);
      return `new, until ${dayOf(certificate)}`;
    } catch (error) {
      if (!this.#stop.signal.aborted)
        say("warns", `no certificate by ACME: ${reasonOf(error)}; tried again in an hour, or at once by tandem reload`);
      throw error;
    }
  }

  /** Has gateways show it; where one does not, why. It reads its files when it starts again. */
  async #shown(): Promise<string> {
    try {
      await this.#options.changed();
      return "";
    } catch (error) {
      return `, and is not shown everywhere yet: ${reasonOf(error)}`;
    }
  }

  /** The certificate of before, when this authority has issued it, and for these names. */
  #present(): X509Certificate | undefined {
    const { settings, state } = this.#options;
    if (this.#isFirst() || readOr(state.file(directoryName)).trim() !== settings.directory) return undefined;
    const certificate = certificateIn(readOr(state.file(certificateName)));
    return settings.names.every((name) => certificate?.checkHost(name) !== undefined) ? certificate : undefined;
  }

  #isFirst(): boolean {
    const certificate = certificateIn(readOr(this.#options.state.file(certificateName)));
    return certificate === undefined || isOfOwnAuthority(certificate);
  }

  /** Undefined: another host does so. */
  async #order(): Promise<X509Certificate | undefined> {
    const { group } = this.#options;
    if (group === undefined || !group.mayOrder()) return await this.#orderHere(undefined);
    if (!(await group.order(orderMsMax, []))) return undefined;
    try {
      return await this.#orderHere(group);
    } finally {
      await group.order(0, []).catch(() => undefined);
    }
  }

  async #orderHere(group: AcmeGroup | undefined): Promise<X509Certificate> {
    const { settings, state, hosts } = this.#options;
    const { directory, mail, names, port } = settings;
    const ca = settings.ca === undefined ? undefined : readFileSync(settings.ca, "utf8");
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(orderMsMax)]);
    const userAgent = `tandem/${programVersion().version}`;
    const client = new AcmeClient({ directory, mail, key: this.#accountKey() }, { ca, userAgent, signal });
    // RSA, because desk phones exist that take nothing else.
    const { privateKey, publicKey } = await promisify(generateKeyPair)("rsa", { modulusLength: 2048 });
    const request = certificateRequest(names, publicKey.export({ type: "spki", format: "der" }), (octets) =>
      sign("sha256", octets, privateKey),
    );
    await this.#closeDoor();
    const door = new ChallengeDoor(hosts, port);
    await door.start();
    try {
      const answering = group === undefined ? door : new GroupDoor(door, group, heardMs, signal);
      const chain = chainIn(await client.order(names, request, answering));
      const certificate = checked(chain, names, privateKey);
      state.write(certificateName, `${privateKey.export({ type: "pkcs8", format: "pem" }).toString()}${chain}`, 0o600);
      state.write(directoryName, `${directory}\n`);
      return certificate;
    } finally {
      await door.stop();
    }
  }

  /** Who has it has the account: it is kept as long as the state directory. */
  #accountKey(): KeyObject {
    const { state } = this.#options;
    const known = readOr(state.file(accountName));
    if (known !== "") return createPrivateKey(known);
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    state.write(accountName, privateKey.export({ type: "pkcs8", format: "pem" }).toString(), 0o600);
    return privateKey;
  }
}

function readOr(file: string): string {
  return existsSync(file) ? readFileSync(file, "utf8") : "";
}

/** The first certificate of a text. */
function certificateIn(text: string): X509Certificate | undefined {
  try {
    return new X509Certificate(text.slice(text.indexOf(beginCertificate)));
  } catch {
    return undefined;
  }
}

/** Nothing but the certificates of what an authority has answered. */
function chainIn(text: string): string {
  const found = text.match(/-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g) ?? [];
  if (found.length === 0 || found.length > certificatesMax)
    throw new Failure(`the authority has issued ${found.length} certificates in one chain`);
  return `${found.join("\n")}\n`;
}

function checked(chain: string, names: readonly string[], key: KeyObject): X509Certificate {
  const certificate = certificateIn(chain);
  if (certificate === undefined) throw new Failure("the authority's certificate cannot be read");
  const isForKey = certificate.publicKey.equals(createPublicKey(key));
  const unnamed = names.filter((name) => certificate.checkHost(name) === undefined);
  if (!isForKey || unnamed.length > 0) throw new Failure("the authority's certificate is for another key, or for other names");
  return certificate;
}

/** What cells keep, and the text of its file; or why it is none for these names. Any host with a cell has told it: it is believed nothing. */
function readShared(
  served: ServedCertificate,
  names: readonly string[],
): { readonly certificate: X509Certificate; readonly text: string } | { readonly fault: string } {
  try {
    const [chain, key] = [chainIn(served.chain), createPrivateKey(served.key)];
    const [certificate] = (chain.match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g) ?? []).map((each) => new X509Certificate(each));
    if (certificate === undefined) return { fault: "it cannot be read" };
    const read = {
      from: certificate.validFromDate.getTime(),
      until: certificate.validToDate.getTime(),
      isForKey: certificate.checkPrivateKey(key),
      isFor: (name: string) => certificate.checkHost(name) !== undefined,
    };
    const fault = servedFault({ names, until: served.until }, read, Date.now());
    return fault === undefined ? { certificate, text: `${key.export({ type: "pkcs8", format: "pem" }).toString()}${chain}` } : { fault };
  } catch {
    return { fault: "it cannot be read" };
  }
}

/** Issued later: that one replaces the other, also when it ends sooner. */
function isNewer(one: X509Certificate, other: X509Certificate): boolean {
  const since = one.validFromDate.getTime() - other.validFromDate.getTime();
  return since === 0 ? one.validToDate > other.validToDate : since > 0;
}

function isDue({ validFromDate, validToDate }: X509Certificate): boolean {
  return isRenewalDue(validFromDate.getTime(), validToDate.getTime(), Date.now());
}

function dayOf({ validToDate }: X509Certificate): string {
  return validToDate.toISOString().slice(0, 10);
}
