import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { inNamespace, removeNamespaces, runScript } from "../../kit/world/namespaces.ts";

const node = join(import.meta.dirname, "../../node_modules/.bin/node");
const program = join(import.meta.dirname, "clients/wire-process.ts");

/** How a wire is: what a packet takes to the other end, and how many of a hundred get lost. Cut: all of them, and nobody is told. */
export type WireState = { readonly delayMs: number; readonly lostPercent: number; readonly isCut: boolean };

/** Perl opens the devices, for Node has no ioctl, and becomes the program, whose last arguments are their descriptors. Every Debian has Perl. */
const openDevices = String.raw`
  $^F = 99;
  for my $name (shift, shift) {
    open my $device, "+<", "/dev/net/tun" or die "/dev/net/tun: $!\n";
    my $request = pack "a16 S x22", $name, 0x1001;
    ioctl $device, 0x400454ca, $request or die "/dev/net/tun: $!\n";
    push @devices, $device;
  }
  exec @ARGV, (map { fileno $_ } @devices);`;

/**
 * A wire between two machines, which are network namespaces: what netem does, in user space, for kernels that have none. Real packets are late and lost, so
 * TCP says again what it has to (docs/decisions/0055-distance-is-a-wire-in-user-space.md).
 */
export class Wire {
  readonly #child: ChildProcess;
  readonly #namespaces: readonly string[];

  private constructor(child: ChildProcess, namespaces: readonly string[]) {
    this.#child = child;
    this.#namespaces = namespaces;
  }

  /** Makes both machines, and the wire in a namespace of its own. An error, where this user may not make any. */
  static async between(name: string, machines: readonly (readonly [name: string, address: string])[]): Promise<Wire | Error> {
    const namespaces = [name, ...machines.map(([machine]) => machine)];
    try {
      for (const each of namespaces) runScript(`ip netns add ${each}; ip -n ${each} link set lo up`);
      const devices = machines.map((_, index) => `wire${index}`);
      const child = inNamespace(name, "perl", ["-e", openDevices, ...devices, node, program], "ignore", true);
      let complaint = "";
      child.stderr?.on("data", (octets) => void (complaint += String(octets)));
      const isOpen = await Promise.race([once(child, "message").then(() => true), once(child, "close").then(() => false)]);
      if (!isOpen) throw new Error(complaint);
      for (const [index, [machine, address]] of machines.entries())
        runScript(`
          ip -n ${name} link set ${devices[index]} netns ${machine}
          ip -n ${machine} link set ${devices[index]} name eth0
          ip -n ${machine} address add ${address}/24 dev eth0
          ip -n ${machine} link set eth0 mtu 1500 up`);
      return new Wire(child, namespaces);
    } catch (error) {
      removeNamespaces(namespaces);
      return error instanceof Error ? error : new Error(String(error));
    }
  }

  /** Resolves when the wire is like that. */
  async become(state: WireState): Promise<void> {
    this.#child.send(state);
    await once(this.#child, "message");
  }

  /** Takes the wire away, and the machines. */
  async remove(): Promise<void> {
    const closed = once(this.#child, "close");
    this.#child.kill("SIGKILL");
    await closed;
    removeNamespaces(this.#namespaces);
  }
}
