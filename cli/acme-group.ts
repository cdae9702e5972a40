import { setTimeout as delay } from "node:timers/promises";
import type { ServedCertificate } from "../cluster/authority/served.ts";
import { type CertificateOrder, type Challenge, openOrderOf } from "../cluster/map/certificate-order.ts";
import { servedSchema } from "../schemas/hosts.ts";
import { read } from "../schemas/reading.ts";
import { Failure, Refusal } from "./errors.ts";
import type { HostPlace } from "./host-place.ts";
import type { OpenChallenges } from "./acme/acme-client.ts";
import type { ChallengeDoor } from "./acme/challenge-door.ts";
import { orderMsMax } from "./acme/limits.ts";

/** What a host does with the others of its system to have one certificate (docs/decisions/0057). */
export type AcmeGroup = {
  /** Whether this host runs a cell: others take what has been ordered. */
  readonly mayOrder: () => boolean;
  /** Whether there are other hosts: they have to hear of challenges. */
  readonly hasOthers: () => boolean;
  readonly served: (which: Pick<ServedCertificate, "directory" | "names">) => Promise<ServedCertificate | undefined>;
  readonly keep: (served: ServedCertificate) => Promise<void>;
  /** Says that this host orders, for so long at most, and what is to be answered meanwhile; 0: it is done. False: another one orders. */
  readonly order: (forMs: number, challenges: readonly Challenge[]) => Promise<boolean>;
  /** What another host has the authority ask for now; undefined: nothing. */
  readonly open: () => CertificateOrder | undefined;
};

export function acmeGroupOf(place: HostPlace, host: string, hasCell: () => boolean): AcmeGroup {
  return {
    mayOrder: hasCell,
    hasOthers: () => place.map?.members?.some(({ kind, id }) => kind === "host" && id !== host) === true,
    served: async ({ directory, names }) => {
      const query = new URLSearchParams({ directory, names: names.join(",") }).toString();
      const { value } = read(servedSchema, await place.api("host").get(`/host/served?${query}`));
      if (value === undefined) throw new Failure("the cell's answer is no certificate: is it of another version?");
      return value.served;
    },
    keep: async (served) => void (await place.api("host").put("/host/served", served)),
    order: async (forMs, challenges) => {
      try {
        await place.api("host").put("/host/certificate-order", { forMs, challenges });
        return true;
      } catch (error) {
        if (error instanceof Refusal) return false;
        throw error;
      }
    },
    open: () => {
      const order = openOrderOf(place.map ?? {}, Date.now());
      return order === undefined || order.host === host ? undefined : order;
    },
  };
}

/** The door of the host that orders, and those of all others: what is opened here they answer as well. */
export class GroupDoor implements OpenChallenges {
  readonly #own: ChallengeDoor;
  readonly #group: AcmeGroup;
  readonly #heardMs: number;
  readonly #signal: AbortSignal;
  readonly #challenges: Challenge[] = [];

  /** `heardMs`: within this the others have heard of it. */
  constructor(own: ChallengeDoor, group: AcmeGroup, heardMs: number, signal: AbortSignal) {
    this.#own = own;
    this.#group = group;
    this.#heardMs = heardMs;
    this.#signal = signal;
  }

  open(token: string, answer: string): void {
    this.#own.open(token, answer);
    this.#challenges.push({ token, answer });
  }

  async ready(): Promise<void> {
    if (!(await this.#group.order(orderMsMax, this.#challenges))) throw new Failure("another host orders a certificate");
    if (this.#group.hasOthers()) await delay(this.#heardMs, undefined, { signal: this.#signal });
  }

  close(token: string): void {
    this.#own.close(token);
  }
}
