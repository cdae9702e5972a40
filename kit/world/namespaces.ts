import { type ChildProcess, execFileSync, spawn } from "node:child_process";

/** Runs a script of the shell. Throws when it fails. */
export function runScript(script: string): string {
  return execFileSync("/bin/sh", ["-ec", script], { encoding: "utf8", stdio: "pipe" });
}

/** Starts a program in a network namespace. The shell becomes the program, its process id the program's own. */
export function inNamespace(
  name: string,
  command: string,
  args: readonly string[],
  stdin: "ignore" | "pipe" = "ignore",
  withIpc = false,
): ChildProcess {
  return spawn("/bin/sh", ["-c", 'exec ip netns exec "$0" "$@"', name, command, ...args], {
    stdio: [stdin, "pipe", "pipe", ...(withIpc ? ["ipc" as const] : [])],
  });
}

/**
 * Machines that reach each other: a network namespace for each address, and one for the bridge between them. Nothing leaves them. An error, where this user may
 * not make any.
 */
export function makeMachines(bridge: string, machines: readonly (readonly [name: string, address: string])[]): Error | undefined {
  try {
    for (const name of [bridge, ...machines.map(([machine]) => machine)]) runScript(`ip netns add ${name}; ip -n ${name} link set lo up`);
    runScript(`ip -n ${bridge} link add br0 type bridge; ip -n ${bridge} link set br0 up`);
    for (const [index, [name, address]] of machines.entries())
      runScript(`
        ip -n ${bridge} link add v${index} type veth peer name eth0 netns ${name}
        ip -n ${bridge} link set v${index} master br0 up
        ip -n ${name} address add ${address}/24 dev eth0
        ip -n ${name} link set eth0 up`);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** Removes those that are there, with the networks in them. */
export function removeNamespaces(names: readonly string[]): void {
  for (const name of names) {
    try {
      runScript(`ip netns del ${name}`);
    } catch {
      // It was never made.
    }
  }
}
