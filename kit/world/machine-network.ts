import { startOf } from "../../cli/process-table.ts";
import { makeMachines, removeNamespaces, runScript } from "./namespaces.ts";

/** A machine of a {@link MachineNetwork}: its network namespace, and its address there. */
export type Machine = { readonly namespace: string; readonly address: string };

/** Networks of other processes stand in other namespaces: all may have these addresses. */
const subnet = "10.79.16";
const prefix = "tandem-drill-";

/** Machines that reach each other, and one more for phones. They belong to a process: when that is gone the next one removes them. */
export class MachineNetwork {
  readonly hosts: readonly Machine[];
  readonly phones: Machine;
  readonly #bridge: string;

  /** `owner`: the id of a process, this one or the one that has made them. */
  constructor(owner: number, hosts: number) {
    const named = (what: string): string => `${prefix}${owner}-${what}`;
    this.hosts = Array.from({ length: hosts }, (_, index) => ({ namespace: named(`h${index + 1}`), address: `${subnet}.${index + 1}` }));
    this.phones = { namespace: named("phones"), address: `${subnet}.200` };
    this.#bridge = named("bridge");
  }

  /** All addresses of its machines. */
  get subnet(): string {
    return `${subnet}.0/24`;
  }

  /** An error, where this user may not make any: nothing is left of them then. */
  make(): Error | undefined {
    removeNamespaces(leftBehind());
    const error = makeMachines(
      this.#bridge,
      this.#machines.map(({ namespace, address }) => [namespace, address]),
    );
    if (error !== undefined) this.remove();
    return error;
  }

  remove(): void {
    removeNamespaces([...this.#machines.map(({ namespace }) => namespace), this.#bridge]);
  }

  get #machines(): readonly Machine[] {
    return [...this.hosts, this.phones];
  }
}

/** Those of processes that were killed. */
function leftBehind(): readonly string[] {
  try {
    return runScript("ip netns list")
      .split("\n")
      .map((line) => line.split(" ")[0] ?? "")
      .filter((name) => name.startsWith(prefix) && startOf(Number(/\d+/.exec(name)?.[0])) === undefined);
  } catch {
    return [];
  }
}
