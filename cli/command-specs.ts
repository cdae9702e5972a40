import type { CommandSpec, Option } from "./arguments.ts";
import { drillSpec } from "./drill/plan.ts";
import { joinSpec } from "./join-settings.ts";
import { defaultState, upSpec } from "./settings.ts";

/** How the commands that talk to a running system find it. */
const targetOptions: readonly Option[] = [
  { name: "url", value: "U", help: "URL of a cell (or TANDEM_URL), with the secret in TANDEM_SECRET" },
  { name: "state", value: "DIR", help: `state directory of a system on this machine (${defaultState})` },
];
const aorExplained = { AOR: "a user: alice, alice@example.test or sip:alice@example.test" };
const cellExplained = { CELL: "its letter, as tandem status shows it" };
const nameExplained = { NAME: "the letter of a cell, the name of a gateway, or a host with all that runs there" };
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

export const callsSpec: CommandSpec = {
  name: "calls",
  summary: "Shows what became of calls, the latest last, or which stand now.",
  positionals: ["[AOR]"],
  explained: aorExplained,
  options: [
    { name: "live", help: "those that stand now; not with --since, --failed or --limit" },
    { name: "since", value: "T", help: "those that began then or later: 30m, 2h, 7d, or a time as 2026-11-30T08:00" },
    { name: "failed", help: "those that nobody answered" },
    { name: "limit", value: "N", help: "the latest N; a table without --since has 1000, all others have all" },
    jsonOption,
    { name: "csv", help: "the answer as CSV, with the fields of --json" },
    ...targetOptions,
  ],
};

export const callsShowSpec: CommandSpec = {
  name: "calls show",
  summary: "Shows all that is known of one call.",
  positionals: ["ID"],
  explained: { ID: "as tandem calls shows it" },
  options: [jsonOption, ...targetOptions],
};

export const callsEndSpec: CommandSpec = {
  name: "calls end",
  summary: "Ends a call at both phones, whether it is answered or still rings.",
  positionals: ["ID"],
  explained: { ID: "as tandem calls --live shows it" },
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

export const groupSpec: CommandSpec = {
  name: "group",
  summary: "Shows the members, who does what, and which cells have which exchange.",
  positionals: [],
  options: [jsonOption, ...targetOptions],
};

export const groupPreferSpec: CommandSpec = {
  name: "group prefer",
  summary: "Says which cells are to coordinate the group before others.",
  positionals: ["[CELL...]"],
  explained: { "CELL...": "their letters, the most preferred first; none: the first cell that lives" },
  options: [jsonOption, ...targetOptions],
};

export const groupHealAfterSpec: CommandSpec = {
  name: "group heal-after",
  summary: "Says how long a dead cell is waited for before others get what it had.",
  positionals: ["SECONDS"],
  explained: { SECONDS: "from 1 to 86400; longer for a machine that is taken away for a while" },
  options: [jsonOption, ...targetOptions],
};

export const cellAddSpec: CommandSpec = {
  name: "cell add",
  summary: "Adds a cell while the system runs, and gives it its share.",
  positionals: [],
  options: [
    { name: "url", value: "URL", help: "of a cell that runs elsewhere; without it tandem up starts one here" },
    { name: "id", value: "ID", help: "its name; with --url, where it does not say it" },
    { name: "host", value: "H", help: "the machine that it runs on" },
    { name: "location", value: "L", help: "where that machine stands; replicas are kept apart by it" },
    { name: "weight", value: "W", help: "which share it is to have, beside the others (1)" },
    jsonOption,
    { name: "state", value: "DIR", help: `state directory of the system on this machine (${defaultState})` },
  ],
};

export const cellRemoveSpec: CommandSpec = {
  name: "cell remove",
  summary: "Removes a cell; what it has goes to the others first.",
  positionals: ["CELL"],
  explained: cellExplained,
  options: [{ name: "yes", help: "also one that is down" }, jsonOption, ...targetOptions],
};

export const cellWeightSpec: CommandSpec = {
  name: "cell weight",
  summary: "Gives a cell another share of the exchanges.",
  positionals: ["CELL", "N"],
  explained: { ...cellExplained, N: "beside the weights of the others, from 0 to 1000; 1 is usual, and 0 none" },
  options: [jsonOption, ...targetOptions],
};

export const exchangesDoubleSpec: CommandSpec = {
  name: "exchanges double",
  summary: "Doubles the number of exchanges while the system runs.",
  positionals: [],
  options: [jsonOption, ...targetOptions],
};

export const hostSpec: CommandSpec = {
  name: "host",
  summary: "Shows the hosts and what runs on each, or tells one what to do.",
  positionals: ["[HOST]", "[ORDER...]"],
  explained: {
    HOST: "its name; without it all are shown",
    "ORDER...": "start, stop or restart, and the letter of a cell or the name of a gateway; or reload",
  },
  options: [
    { name: "deadline", value: "T", help: "of stop and restart: how long phones may take to go elsewhere: 30s, 10m, 2h (5m)" },
    { name: "now", help: "of stop and restart: waits for nobody" },
    jsonOption,
    ...targetOptions,
  ],
};

export const rotateSecretSpec: CommandSpec = {
  name: "rotate-secret",
  summary: "Signs tokens and nonces with another secret from now on.",
  positionals: [],
  options: [{ name: "show", help: "only shows which count, and who is waited for" }, jsonOption, ...targetOptions],
};

export const domainAddSpec: CommandSpec = {
  name: "domain add",
  summary: "Has the system serve one SIP domain more, while it runs.",
  positionals: ["D"],
  explained: { D: "the domain; not the name of a machine" },
  options: [
    { name: "auth", value: "digest|open", help: "who may register and call in it (digest: subscribers with a password)" },
    jsonOption,
    ...targetOptions,
  ],
};

export const domainRemoveSpec: CommandSpec = {
  name: "domain remove",
  summary: "Has the system serve a SIP domain no more; calls that stand go on.",
  positionals: ["D"],
  explained: { D: "as tandem domain list shows it; that of the start stays" },
  options: [
    { name: "yes", help: "also one that has subscribers or registered phones: they are removed with it" },
    jsonOption,
    ...targetOptions,
  ],
};

export const domainListSpec: CommandSpec = {
  name: "domain list",
  summary: "Lists the SIP domains, and how many subscribers each has.",
  positionals: [],
  options: [jsonOption, ...targetOptions],
};

export const gatewayWeightSpec: CommandSpec = {
  name: "gateway weight",
  summary: "Says which share of the phones a gateway is to get, by DNS.",
  positionals: ["GATEWAY", "N"],
  explained: { GATEWAY: "its name, as tandem status shows it", N: "beside the others (1); 0: when no other answers" },
  options: [jsonOption, ...targetOptions],
};

const zoneOptions: readonly Option[] = [
  { name: "names", value: "G=NAME[,..]", help: "names of gateways (what they advertise, or their ids in the domain)" },
  { name: "addresses", value: "G=IP[,..]", help: "addresses of gateways that advertise a name" },
  { name: "transports", value: "LIST", help: "which, the most preferred first (tls,tcp,udp,wss,ws)" },
];
const zoneExplained = { DOMAIN: "of tandem domain list; the first one of the system" };

export const dnsSpec: CommandSpec = {
  name: "dns",
  summary: "Prints the zone by which phones find the gateways.",
  positionals: ["[DOMAIN]"],
  explained: zoneExplained,
  options: [...zoneOptions, jsonOption, ...targetOptions],
};

export const dnsCheckSpec: CommandSpec = {
  name: "dns check",
  summary: "Asks a name server for that zone, and says what to correct.",
  positionals: ["[DOMAIN]"],
  explained: zoneExplained,
  options: [
    { name: "server", value: "IP[:PORT]", help: "the server of the zone itself (those that this machine asks)" },
    ...zoneOptions,
    jsonOption,
    ...targetOptions,
  ],
};

export const inviteSpec: CommandSpec = {
  name: "invite",
  summary: "Invites one machine more, and prints what to type there.",
  positionals: [],
  options: [
    { name: "role", value: "gateway|cell|both", help: "what it is to run (both)" },
    { name: "location", value: "L", help: "where it stands; replicas are kept apart by it" },
    { name: "for", value: "T", help: "how long the token is good: 10m, 1h, 7d (1h)" },
    jsonOption,
    { name: "state", value: "DIR", help: `state directory of this machine (${defaultState})` },
  ],
};

export const removeSpec: CommandSpec = {
  name: "remove",
  summary: "Removes a machine: what runs there is drained; its keys count no more.",
  positionals: ["HOST"],
  explained: { HOST: "as tandem join has named it; another machine than this one" },
  options: [
    { name: "yes", help: "also one whose cell is down" },
    { name: "deadline", value: "T", help: "when its gateways close the connections that they still have: 30s, 10m, 2h (5m)" },
    jsonOption,
    { name: "state", value: "DIR", help: `state directory of this machine (${defaultState})` },
  ],
};

export const drainSpec: CommandSpec = {
  name: "drain",
  summary: "Takes a cell, gateway or host out of service without losing a call.",
  positionals: ["NAME"],
  explained: nameExplained,
  options: [
    { name: "deadline", value: "T", help: "of gateways: when they close the connections that they still have: 30s, 10m, 2h (5m)" },
    ...targetOptions,
  ],
};

export const undrainSpec: CommandSpec = {
  name: "undrain",
  summary: "Takes a cell, a gateway or a host back into service.",
  positionals: ["NAME"],
  explained: nameExplained,
  options: [
    { name: "code", value: "V", help: "of a cell: waits until all its objects run this code, as wrangler deploy names it" },
    ...targetOptions,
  ],
};

export const deploySpec: CommandSpec = {
  name: "deploy",
  summary: "Puts the cells of tandem.toml on Cloudflare, or says the steps.",
  positionals: [],
  options: [
    { name: "config", value: "FILE", help: "the system (tandem.toml); wrangler.toml is made beside it" },
    { name: "dry-run", help: "writes nothing and asks nobody: wrangler checks what it would upload" },
    { name: "yes", help: "does the steps, one after the other; typed again it goes on where it stopped" },
    { name: "force", help: "gives up what somebody has changed in wrangler.toml by hand" },
    jsonOption,
  ],
};

export const reloadSpec: CommandSpec = {
  name: "reload",
  summary: "Reads this machine's certificates again, while calls stand.",
  positionals: [],
  options: [
    { name: "renew-certificate", help: "orders another one by ACME now, for all machines: the last was revoked" },
    jsonOption,
    { name: "state", value: "DIR", help: `state directory of the system on this machine (${defaultState})` },
  ],
};

export const upgradeSpec: CommandSpec = {
  name: "upgrade",
  summary: "Has this machine run another version, while calls stand.",
  positionals: [],
  options: [
    { name: "to", value: "ARCHIVE", help: "made by npm run package; it is unpacked in the state directory" },
    { name: "back", help: "what they ran before the last upgrade" },
    jsonOption,
    { name: "state", value: "DIR", help: `state directory of the system on this machine (${defaultState})` },
  ],
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
  summary: "Adds the subscribers of a CSV file, own or of Kamailio or FreePBX.",
  positionals: ["FILE.csv"],
  explained: { "FILE.csv": "with a header, in UTF-8; all of them or none when the file has a mistake" },
  options: targetOptions,
};

/** What a service has of its own. */
const notOfService: readonly string[] = ["state", "json", "no-restart"];

export const installServiceSpec: CommandSpec = {
  name: "install-service",
  summary: "Has systemd run this system, now and whenever this machine starts.",
  positionals: [],
  options: [
    { name: "print", help: "shows the unit, and changes nothing" },
    ...upSpec.options.filter(({ name }) => !notOfService.includes(name)),
  ],
};

/** In the order in which the help shows them. */
export const commandSpecs: readonly CommandSpec[] = [
  upSpec,
  statusSpec,
  registrationsSpec,
  callsSpec,
  callsShowSpec,
  callsEndSpec,
  heartbeatSpec,
  groupSpec,
  groupPreferSpec,
  groupHealAfterSpec,
  cellAddSpec,
  cellRemoveSpec,
  cellWeightSpec,
  exchangesDoubleSpec,
  gatewayWeightSpec,
  hostSpec,
  rotateSecretSpec,
  domainAddSpec,
  domainRemoveSpec,
  domainListSpec,
  dnsSpec,
  dnsCheckSpec,
  inviteSpec,
  joinSpec,
  removeSpec,
  drainSpec,
  undrainSpec,
  deploySpec,
  reloadSpec,
  upgradeSpec,
  subscriberAddSpec,
  subscriberRemoveSpec,
  subscriberListSpec,
  subscriberImportSpec,
  installServiceSpec,
  drillSpec,
];
