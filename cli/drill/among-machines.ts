import { createInterface } from "node:readline";
import { MachineNetwork } from "../../kit/world/machine-network.ts";
import { inNamespace } from "../../kit/world/namespaces.ts";
import type { Arguments } from "../arguments.ts";
import { Failure } from "../errors.ts";
import { isListOf, isTable } from "../json.ts";
import { program } from "../program.ts";
import type { FaultResult } from "./fault.ts";
import { type HostFault, hostCount } from "./plan.ts";
import type { PhoneTransport } from "../../kit/phone/link.ts";

/** A drill of machines runs itself once more where their phones are, and finds them by the process that has made them: its id is here. */
export const ownerVariable = "TANDEM_DRILL_OWNER";
/** What this command line says of all its drills, and the one among the machines not. */
const ownOptions: readonly string[] = ["fault", "transport", "json", "markdown", "state"];

/** Why this user may not make machines, one line; undefined: he may. */
export function whyNoMachines(): string | undefined {
  const network = new MachineNetwork(process.pid, 1);
  const error = network.make();
  if (error === undefined) network.remove();
  return error === undefined ? undefined : faultOf(error);
}

function faultOf({ message }: Error): string {
  const reason = message.trim().split("\n").at(-1) ?? "";
  return `faults of machines need network namespaces, and this user may not make any (${reason}): be root on Linux, with iproute2`;
}

export type AmongMachines = {
  readonly args: Arguments;
  readonly fault: HostFault;
  readonly transport: PhoneTransport;
  /** Where states are kept. */
  readonly directory: string;
  /** What the drill among the machines says, as it stands on stderr. */
  readonly pass: (line: string) => void;
  readonly signal: AbortSignal;
};

/** Makes machines, has one fault befall them, and removes them. Throws a {@link Failure} when it does not come to a result. */
export async function drillAmongMachines({ args, fault, transport, directory, pass, signal }: AmongMachines): Promise<FaultResult> {
  const network = new MachineNetwork(process.pid, hostCount);
  const error = network.make();
  if (error !== undefined) throw new Failure(faultOf(error));
  try {
    const given = [
      ...[...args.values].flatMap(([name, value]) => (ownOptions.includes(name) ? [] : [`--${name}`, value])),
      ...[...args.flags].filter((name) => !ownOptions.includes(name)).map((name) => `--${name}`),
    ];
    const words = ["drill", "--fault", fault, "--transport", transport, "--json", "--state", directory, ...given];
    const environment = `${ownerVariable}=${process.pid}`;
    // It ends when this process does.
    const child = inNamespace(network.phones.namespace, "env", [environment, ...program.command, ...words], "ignore", true);
    const end = (): void => void child.kill("SIGINT");
    signal.addEventListener("abort", end);
    let [out, failure] = ["", ""];
    child.stdout?.on("data", (chunk) => void (out += String(chunk)));
    if (child.stderr !== null) {
      createInterface({ input: child.stderr }).on("line", (line) => {
        if (line.startsWith("tandem: ")) failure = line.slice("tandem: ".length);
        else pass(line);
      });
    }
    await new Promise<void>((closed) => void child.once("close", () => closed()));
    signal.removeEventListener("abort", end);
    signal.throwIfAborted();
    const result = resultIn(out);
    if (result === undefined) throw new Failure(failure === "" ? "the drill among the machines has ended without a result" : failure);
    return result;
  } finally {
    network.remove();
  }
}

function resultIn(text: string): FaultResult | undefined {
  if (text === "") return undefined;
  const answer: unknown = JSON.parse(text);
  const results = isTable(answer) && isListOf(answer["results"], isTable) ? answer["results"] : [];
  // It is of the same program.
  return results[0] as FaultResult | undefined;
}
