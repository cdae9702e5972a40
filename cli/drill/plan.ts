import { resolve } from "node:path";
import { type PhoneTransport, phoneTransports } from "../../kit/phone/link.ts";
import { type Arguments, type CommandSpec, usage, wholeNumber } from "../arguments.ts";

/** After these everything is again what it was. */
const passing = ["kill-cell", "freeze-cell", "kill-gateway", "cut-cells", "kill-both"] as const;
/** After these the group is another one. */
const lasting = ["lose-cell", "lose-two", "add-cell", "remove-cell", "drain-cell", "double"] as const;
/** They befall machines, of which there are four: network namespaces. */
const ofHosts = ["lose-host", "drain-host", "upgrade", "renew"] as const;
export const faults = [...passing, ...lasting, ...ofHosts] as const;
export type Fault = (typeof faults)[number];
export type GroupFault = (typeof lasting)[number];
export type HostFault = (typeof ofHosts)[number];
/** What befalls processes of one machine. */
export type LocalFault = Exclude<Fault, HostFault>;

export function isOfGroup(fault: Fault): fault is GroupFault {
  return lasting.some((each) => each === fault);
}

export function isOfHosts(fault: Fault): fault is HostFault {
  return ofHosts.some((each) => each === fault);
}

/** What a drill's system is made of. */
export type Shape = {
  readonly cells: number;
  /** Undefined: as many as `tandem up` takes. */
  readonly exchanges: number | undefined;
  /** The cells reach each other through relays that can be cut. */
  readonly hasRelays: boolean;
};

const pairOfCells: Shape = { cells: 2, exchanges: undefined, hasRelays: true };
/** Twenty replicas can be shared out evenly among four cells, and among five. */
const groupOfCells: Shape = { cells: 4, exchanges: 10, hasRelays: false };

/** With more when it is doubled. */
const smallGroup: Shape = { ...groupOfCells, exchanges: 4 };

/** Machines of a system whose machines something befalls. Each has one cell, and the first two a gateway. */
export const hostCount = 4;
/** As with four cells on one machine. */
export const hostExchanges = 10;

/** Two cells where everything comes back, four where something is changed for good. */
export function shapeFor(fault: LocalFault): Shape {
  if (fault === "double") return smallGroup;
  return isOfGroup(fault) ? groupOfCells : pairOfCells;
}

export const drainedCell = "c";

/** Cells that are not there any more in the end. */
export function lostCells(fault: Fault): readonly string[] {
  const lost: Partial<Record<Fault, readonly string[]>> = {
    "lose-cell": ["a"],
    "lose-two": ["a", "b"],
    "remove-cell": ["c"],
    "lose-host": ["a"],
    "drain-host": ["b"],
  };
  return lost[fault] ?? [];
}

/** Gateways that are not there any more in the end. */
export function lostGateways(fault: Fault): readonly string[] {
  const lost: Partial<Record<Fault, readonly string[]>> = { "lose-host": ["g1"], "drain-host": ["g2"] };
  return lost[fault] ?? [];
}

/** About how long a command takes that changes the group. Calls of before end all the while. */
export function changeMs(fault: Fault, transport: PhoneTransport, { change, leave }: Times): number {
  return transport === "ws" && (fault === "remove-cell" || fault === "drain-cell") ? leave : change;
}

/** Whether a fault can concern a phone of this transport: softphones do not come through gateways. */
export function concerns(fault: Fault, transport: PhoneTransport): boolean {
  return fault !== "kill-gateway" || transport !== "ws";
}

/** How much goes on while something fails. */
export type Amounts = {
  /** New calls a second. */
  readonly rate: number;
  /** Calls that stand when the fault happens. */
  readonly established: number;
  /** Calls that ring when the fault happens and are answered; half as many more are cancelled. */
  readonly ringing: number;
  /** Phones, each registered under an address-of-record of its own. */
  readonly registered: number;
};

/** Times of a drill, ms. */
export type Times = {
  /** New calls before the fault. */
  readonly warmUp: number;
  /** SIGSTOP to SIGCONT. */
  readonly freeze: number;
  /** How long the way between the cells is cut. */
  readonly cut: number;
  /** A killed process is started again after this. */
  readonly restart: number;
  /** A cell that is down for so long is replaced. */
  readonly heal: number;
  /** About how long cells are added and removed, and exchanges doubled: calls of before end all the while. */
  readonly change: number;
  /** About how long the softphones of a cell take to leave it, and how long phones remember a gateway that a name server names no more. */
  readonly leave: number;
  /** Calls go on so long after the fault is over. */
  readonly after: number;
};

export type Plan = {
  readonly faults: readonly Fault[];
  readonly transports: readonly PhoneTransport[];
  readonly amounts: Amounts;
  readonly times: Times;
  /** First of the consecutive ports to use; undefined: any free ones. */
  readonly port: number | undefined;
  /** Where the systems' state is kept, absolute; undefined: a directory of its own that is removed. */
  readonly state: string | undefined;
  /** What is printed in the end. */
  readonly form: "text" | "json" | "markdown";
  /** Exchanges of the systems; undefined: as many as `tandem up` takes. */
  readonly exchanges: number | undefined;
  /** Archives that `npm run package` has made, absolute: what all machines run at first, and what they are upgraded to. Undefined: this program. */
  readonly from: string | undefined;
  readonly to: string | undefined;
  /** Nothing was chosen: what this user may not do is left out. */
  readonly isAll: boolean;
};

const whole: { readonly amounts: Amounts; readonly times: Times } = {
  amounts: { rate: 100, established: 500, ringing: 50, registered: 2_000 },
  times: { warmUp: 3_000, freeze: 10_000, cut: 20_000, restart: 8_000, heal: 30_000, change: 20_000, leave: 60_000, after: 6_000 },
};

/** What a busy machine of two cores does in a few seconds. */
const quick: { readonly amounts: Amounts; readonly times: Times } = {
  amounts: { rate: 10, established: 20, ringing: 6, registered: 40 },
  times: { warmUp: 1_000, freeze: 6_000, cut: 8_000, restart: 3_000, heal: 4_000, change: 8_000, leave: 12_000, after: 3_000 },
};

export const drillSpec: CommandSpec = {
  name: "drill",
  summary: "Kills, cuts and changes a system of its own; shows what it cost.",
  positionals: [],
  explained: { F: `${passing.join(", ")},`, "": `${lasting.join(", ")};`, " ": `of machines, as root on Linux: ${ofHosts.join(", ")}` },
  options: [
    { name: "fault", value: "F", help: "what happens, one of these (all)" },
    { name: "transport", value: "T", help: `${phoneTransports.join(", ")} (all)` },
    { name: "rate", value: "N", help: `new calls a second (${whole.amounts.rate})` },
    { name: "established", value: "N", help: `calls that stand when it happens (${whole.amounts.established})` },
    { name: "ringing", value: "N", help: `calls that ring when it happens (${whole.amounts.ringing}), and half as many to be cancelled` },
    { name: "registered", value: "N", help: `phones (${whole.amounts.registered})` },
    { name: "quick", help: "small numbers and short times" },
    { name: "exchanges", value: "N", help: "exchanges of the system (as tandem up; 10 with four cells, 4 to be doubled)" },
    { name: "port", value: "N", help: "first of nine consecutive ports for the system (any free ones)" },
    { name: "state", value: "DIR", help: "keep the systems' state and logs there (nothing is kept)" },
    { name: "from", value: "ARCHIVE", help: "what machines run that are upgraded (this program)" },
    { name: "to", value: "ARCHIVE", help: "what they are upgraded to (an archive that this checkout makes)" },
    { name: "json", help: "the figures as JSON, with what became of each lost call" },
    { name: "markdown", help: "the tables of docs/failover.md" },
  ],
};

/** Of a drill's system. */
export const gateways = 2;
/** Ports that it needs: two for each gateway, two for cells, two for relays between them; or four for cells, and one for a fifth. */
export const portsNeeded = 9;

const amountMax = 20_000;
const phonesMin = 4;
const exchangesMax = 64;

/** Checks every option of `tandem drill`. Throws a UsageError with one line. */
export function planOf(args: Arguments): Plan {
  const { values, flags } = args;
  if (flags.has("json") && flags.has("markdown")) throw usage(drillSpec, "--json and --markdown exclude each other");
  const base = flags.has("quick") ? quick : whole;
  const amount = (option: keyof Amounts, min: number): number => {
    const text = values.get(option);
    return text === undefined ? base.amounts[option] : wholeNumber(drillSpec, option, text, min, amountMax);
  };
  const port = values.get("port");
  const exchanges = values.get("exchanges");
  const state = values.get("state");
  return {
    faults: chosen("fault", faults, values.get("fault")),
    from: pathOf(values.get("from")),
    to: pathOf(values.get("to")),
    isAll: [undefined, "all"].includes(values.get("fault")),
    transports: chosen("transport", phoneTransports, values.get("transport")),
    amounts: {
      rate: amount("rate", 0),
      established: amount("established", 0),
      ringing: amount("ringing", 0),
      registered: amount("registered", phonesMin),
    },
    times: base.times,
    port: port === undefined ? undefined : wholeNumber(drillSpec, "port", port, 1, 65_535 - portsNeeded),
    state: state === undefined ? undefined : resolve(state),
    form: flags.has("json") ? "json" : flags.has("markdown") ? "markdown" : "text",
    exchanges: exchanges === undefined ? undefined : wholeNumber(drillSpec, "exchanges", exchanges, 1, exchangesMax),
  };
}

function pathOf(text: string | undefined): string | undefined {
  return text === undefined ? undefined : resolve(text);
}

function chosen<Name extends string>(option: string, all: readonly Name[], text: string | undefined): readonly Name[] {
  if (text === undefined || text === "all") return all;
  const names = text.split(",").map((name) => name.trim());
  const unknown = names.find((name) => !all.some((each) => each === name));
  if (unknown !== undefined) throw usage(drillSpec, `--${option} ${unknown}: must be one of ${all.join(", ")}`);
  return all.filter((name) => names.includes(name));
}
