import type { CommandSpec, Option } from "./arguments.ts";
import { drillSpec } from "./drill/plan.ts";
import { defaultState, upSpec } from "./settings.ts";

/** How the commands that talk to a running system find it. */
const targetOptions: readonly Option[] = [
  { name: "url", value: "U", help: "URL of a cell (or TANDEM_URL), with the secret in TANDEM_SECRET" },
  { name: "state", value: "DIR", help: `state directory of a system on this machine (${defaultState})` },
];
const aorExplained = { AOR: "a user: alice, alice@example.test or sip:alice@example.test" };
const cellExplained = { CELL: "its letter, as tandem status shows it" };
const jsonOption: Option = { name: "json", help: "the answer as JSON" };

export const statusSpec: CommandSpec = {
  name: "status",
  summary: "Shows the cells, the gateways, and what they hold.",
  positionals: [],
  options: [jsonOption, ...targetOptions],
};

export const registrationsSpec: CommandSpec = {
  name: "registrations",
  summary: "Shows who is registered, and where.",
  positionals: ["[AOR]"],
  explained: aorExplained,
  options: [jsonOption, ...targetOptions],
};

export const heartbeatSpec: CommandSpec = {
  name: "heartbeat",
  summary: "Shows how failures are detected, or changes it while the system runs.",
  positionals: [],
  options: [
    { name: "period-ms", value: "N", help: "ms between two heartbeats" },
    { name: "missed", value: "N", help: "heartbeats missed in a row by which a member is down" },
    jsonOption,
    ...targetOptions,
  ],
};

export const drainSpec: CommandSpec = {
  name: "drain",
  summary: "Takes a cell out of service without losing a call.",
  positionals: ["CELL"],
  explained: cellExplained,
  options: targetOptions,
};

export const undrainSpec: CommandSpec = {
  name: "undrain",
  summary: "Takes a cell back into service.",
  positionals: ["CELL"],
  explained: cellExplained,
  options: targetOptions,
};

export const subscriberAddSpec: CommandSpec = {
  name: "subscriber add",
  summary: "Adds a subscriber, or gives one another password.",
  positionals: ["AOR"],
  explained: aorExplained,
  options: [{ name: "password", value: "P", help: "the password; - asks for it, or reads it from standard input" }, ...targetOptions],
};

export const subscriberRemoveSpec: CommandSpec = {
  name: "subscriber remove",
  summary: "Removes a subscriber.",
  positionals: ["AOR"],
  explained: aorExplained,
  options: targetOptions,
};

export const subscriberListSpec: CommandSpec = {
  name: "subscriber list",
  summary: "Lists the subscribers.",
  positionals: [],
  options: [jsonOption, ...targetOptions],
};

export const subscriberImportSpec: CommandSpec = {
  name: "subscriber import",
  summary: "Adds the subscribers of a CSV file with the header aor,password.",
  positionals: ["FILE.csv"],
  explained: { "FILE.csv": "in UTF-8; all of them or none when the file has a mistake" },
  options: targetOptions,
};

/** In the order in which the help shows them. */
export const commandSpecs: readonly CommandSpec[] = [
  upSpec,
  statusSpec,
  registrationsSpec,
  heartbeatSpec,
  drainSpec,
  undrainSpec,
  subscriberAddSpec,
  subscriberRemoveSpec,
  subscriberListSpec,
  subscriberImportSpec,
  drillSpec,
];
