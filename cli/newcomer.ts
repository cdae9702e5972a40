import { isIPv6 } from "node:net";
import type { Invitation } from "../cluster/authority/invitation.ts";
import { isLoopback } from "../cluster/dns/zone.ts";
import type { ClusterMap } from "../cluster/map/cluster-map.ts";
import { carriedMapSchema } from "../schemas/cluster-map.ts";
import type { JoinAnswer } from "../schemas/join.ts";
import { read } from "../schemas/reading.ts";
import { hostInUri } from "../sip/host-in-uri.ts";
import type { Arguments } from "./arguments.ts";
import { ownCertificate } from "./certificate.ts";
import { Failure } from "./errors.ts";
import { askDoor, type Door } from "./join-request.ts";
import { settingsAt } from "./join-settings.ts";
import { checkDomains, type KeptOptions, namesIn, optionsToKeep } from "./joined.ts";
import { checkAddresses, checkPorts, httpHostOf, type Layout, layoutOf } from "./layout.ts";
import { LocalMembers } from "./local-members.ts";
import { programVersion } from "./program.ts";
import type { Settings } from "./settings.ts";
import type { ClusterSettings, StateDirectory } from "./state-directory.ts";

/** A name may be taken by another newcomer between two requests: then others are chosen. */
const triesMax = 5;
const portPatienceMs = 3_000;

export type NewcomerOptions = {
  readonly args: Arguments;
  /** Locked by the caller. */
  readonly state: StateDirectory;
  /** What a try before has left there. */
  readonly known: ClusterSettings | undefined;
  readonly door: Door;
  readonly invitation: Invitation;
  readonly token: string;
  /** What this machine is to be called. */
  readonly host: string;
  /** Where it stands, if it says so itself. */
  readonly location: string | undefined;
  readonly wasKilled: boolean;
};

export type Joined = { readonly settings: Settings; readonly cluster: ClusterSettings; readonly layout: Layout };

/**
 * A machine that joins. It asks twice: first as a host alone, and hears of the map by that; then with all that is to run on it, by names that nobody has. Both with one
 * token, for the same host may say it again.
 */
export class Newcomer {
  readonly #options: NewcomerOptions;

  constructor(options: NewcomerOptions) {
    this.#options = options;
  }

  /** Throws a {@link Failure} with why it does not. What it has by then is kept: it may try again. */
  async join(): Promise<Joined> {
    const { invitation, host } = this.#options;
    const args = this.#args();
    const settings = settingsAt(args, invitation.role === "gateway" ? undefined : this.#address());
    // What is wrong here is said before anybody is asked.
    await checkAddresses(settings);
    if (settings.tls !== undefined) ownCertificate(settings.tls.certificate, settings.tls.key, [], new Date());
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#joinOnce(settings, optionsToKeep(args));
      } catch (error) {
        if (error instanceof Failure && error.message.startsWith(`the name ${host} is taken`))
          throw new Failure(otherNameText(error.message));
        if (tries === triesMax || !(error instanceof Failure && /^the name (?:[a-z]|g\d+) is taken by a/.test(error.message))) throw error;
      }
    }
  }

  /** Where the others are to reach the cell of this machine: what was said, or the address by which it reaches them. */
  #address(): string {
    const { args, door } = this.#options;
    const asked = args.values.get("address");
    if (asked !== undefined && isLoopback(hostIn(asked)) && !isLoopback(door.ownAddress))
      throw new Failure(
        `--address ${asked}: the others would look for this cell on their own machines: ${door.ownAddress} is where they reach it`,
      );
    return asked ?? door.ownAddress;
  }

  /** Phones reach its gateways where it reaches the others, unless something else was said. */
  #args(): Arguments {
    const { args, door } = this.#options;
    if (args.lists.has("sip") || isLoopback(door.ownAddress)) return args;
    return { ...args, lists: new Map([...args.lists, ["sip", [hostInUri(door.ownAddress)]]]) };
  }

  async #joinOnce(settings: Settings, options: KeptOptions): Promise<Joined> {
    const { state, door, host, invitation, location = invitation.location, known, wasKilled } = this.#options;
    const first = await this.#ask(new LocalMembers(state, host, { gateways: [] }), settings, []);
    this.#checkWay(first, settings);
    const map = mapIn(first);
    checkDomains(map, host, settings);
    const names = this.#names(map, settings);
    const layout = layoutOf(settings, names.letters, names.gateways);
    await checkPorts(layout, httpHostOf(settings), wasKilled ? portPatienceMs : 0);
    const cluster: ClusterSettings = {
      domain: map.domains[0]?.name ?? "",
      exchanges: map.exchangeCount,
      cells: names.letters.length,
      letters: names.letters,
      ...(settings.listen === undefined ? {} : { listen: settings.listen }),
      host,
      joined: { gateways: names.gateways, ...(location === undefined ? {} : { location }), isPlaced: false, options },
      ...(known?.changed === undefined ? {} : { changed: known.changed }),
    };
    state.writeCluster(cluster);
    const members = new LocalMembers(state, host, layout);
    const answer = await this.#ask(members, settings, layout.cells);
    members.keep(door.authority, answer);
    state.writeMap(mapIn(answer));
    return { settings, cluster, layout };
  }

  #names(map: ClusterMap, settings: Settings): ReturnType<typeof namesIn> {
    const { invitation, state, host, known } = this.#options;
    const members = new LocalMembers(state, host, { gateways: [] });
    return namesIn(map, {
      hasCell: invitation.role !== "gateway",
      gateways: invitation.role === "cell" ? 0 : settings.gateways,
      before: { letters: known?.letters ?? [], gateways: known?.joined?.gateways ?? [] },
      keyOf: (id) => members.knownKey(id),
    });
  }

  /** `cells`: none yet, and the host is reached where they will be. */
  async #ask(members: LocalMembers, { listen }: Settings, cells: Layout["cells"]): Promise<JoinAnswer> {
    const { door, token } = this.#options;
    const wanted = cells.length > 0 || listen === undefined ? members.requests(cells) : members.requestsAt(listen.host);
    return await askDoor(door, { token, release: programVersion().version, members: wanted, key: members.hostPrivateKey }, Date.now());
  }

  /** A cell behind a NAT is reached by nobody. A gateway needs no address: it dials out. */
  #checkWay({ from }: JoinAnswer, { listen }: Settings): void {
    const { args, door } = this.#options;
    if (listen === undefined || args.values.has("address") || from === door.ownAddress) return;
    throw new Failure(
      `the others see this machine at ${from}, which is no address of it: a cell needs one that they reach (--address), and a gateway needs none (--role gateway)`,
    );
  }
}

/** The system says which name is free. */
function otherNameText(message: string): string {
  const [taken = "", free] = message.split(/; (\S+) is free$/);
  return `${taken}: choose another one with --name${free === undefined ? "" : ` ${free}`}`;
}

/** Of `ADDRESS[:PORT]`. */
function hostIn(text: string): string {
  return /^\[(.*)\]/.exec(text)?.[1] ?? (isIPv6(text) ? text : text.replace(/:\d+$/, ""));
}

function mapIn({ map }: JoinAnswer): ClusterMap {
  const { value } = read(carriedMapSchema, JSON.parse(map));
  if (value === undefined) throw new Failure("the map of the system is none that this release understands");
  return value;
}
