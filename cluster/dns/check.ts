import { dnsTtlSecondsLong } from "../limits.ts";
import type { AnswerRecord, AskedType } from "./packet.ts";
import {
  addressTypeOf,
  isSameAddress,
  naptrText,
  rowText,
  serviceNames,
  srvText,
  type Host,
  type Plan,
  type Service,
  type Target,
} from "./zone.ts";

/** What a name server says of the zone of a domain, row by row, beside what it is to say. */

/** What was asked for a name. `unknown`: nobody has answered it. */
export type Looked =
  | { readonly state: "found"; readonly records: readonly AnswerRecord[]; readonly isAuthoritative: boolean }
  | { readonly state: "none"; readonly isAuthoritative: boolean }
  | { readonly state: "unknown"; readonly reason: string };

export type Look = (name: string, type: AskedType) => Promise<Looked>;

export type Finding = {
  readonly state: "right" | "missing" | "wrong";
  /** The record, as people read it: `_sip._udp.example.test SRV g1.example.test:5060`. */
  readonly record: string;
  /** What is wrong, or what it does. */
  readonly text: string;
  /** What is to be typed in the zone, and what is to be taken out. */
  readonly add?: string;
  readonly remove?: string;
};

export type Checked = {
  readonly findings: readonly Finding[];
  /** What follows for phones, though nothing is wrong. */
  readonly notes: readonly string[];
};

type Srv = Extract<AnswerRecord, { type: "SRV" }>;
type Naptr = Extract<AnswerRecord, { type: "NAPTR" }>;
/** An SRV record that was found, with the addresses of its target. */
type FoundTarget = { readonly srv: Srv; readonly addresses: readonly string[]; readonly isAlias: boolean };
type Pairing = { readonly target: Target; readonly found: FoundTarget };

/** Asks for all of a zone, and says what is right, missing and wrong. `isOwn`: it is the zone's own server that is asked. */
export async function check(plan: Plan, ask: Look, isOwn: boolean): Promise<Checked> {
  let isRemembered = false;
  const look: Look = async (name, type) => {
    const looked = await ask(name, type);
    if (looked.state === "found" && !looked.isAuthoritative) isRemembered = true;
    return looked;
  };
  const findings: Finding[] = [];
  const all: AnswerRecord[] = [];
  const naptr = await look(plan.domain, "NAPTR");
  all.push(...recordsIn(naptr));
  findings.push(...naptrFindings(plan, naptr));
  const pairings: Pairing[] = [];
  for (const transport of ["TLS", "TCP", "UDP", "WSS", "WS"] as const) {
    const owner = `${serviceNames[transport].labels}.${plan.domain}`;
    const looked = await look(owner, "SRV");
    all.push(...recordsIn(looked));
    const found = await targetsIn(looked, look);
    const service = plan.services.find((each) => each.owner === owner);
    const outcome = serviceFindings(plan, owner, service, looked, found);
    findings.push(...outcome.findings);
    pairings.push(...outcome.pairings);
  }
  const used = new Set(pairings.map(({ found }) => found.srv.target));
  const hosts = plan.hosts.filter(({ name }) => used.has(name) || ![...used].some((other) => isNameOf(pairings, name, other)));
  for (const host of hosts) findings.push(...(await hostFindings(plan, host, look, all)));
  const notes = [...(await apexNotes(plan, look)), ...ttlNotes(all), ...shareNotes(plan, pairings)];
  const own = "The server that was asked is not the zone's own: it says what it remembers, and a change shows later";
  return { findings, notes: isOwn && isRemembered ? [own, ...notes] : notes };
}

/** Whether a gateway is found under another name than it was to have. */
function isNameOf(pairings: readonly Pairing[], wanted: string, other: string): boolean {
  return pairings.some(({ target, found }) => target.name === wanted && found.srv.target === other);
}

function recordsIn(looked: Looked): readonly AnswerRecord[] {
  return looked.state === "found" ? looked.records : [];
}

function naptrFindings({ domain, services }: Plan, looked: Looked): Finding[] {
  if (looked.state === "unknown") return [{ state: "wrong", record: `${domain} NAPTR`, text: looked.reason }];
  const found = recordsIn(looked).filter((record): record is Naptr => record.type === "NAPTR" && /^SIPS?\+D2/i.test(record.service));
  const ranked = found.toSorted((one, other) => one.order - other.order || one.preference - other.preference);
  const ranks = ranked.map(({ service }) => service.toUpperCase()).filter((service) => services.some((each) => each.service === service));
  const isInOrder = services.filter(({ service }) => ranks.includes(service)).every(({ service }, index) => ranks[index] === service);
  const findings = services.map((service): Finding => {
    const record = `${domain} NAPTR ${service.service}`;
    const add = rowText(domain, { name: domain, type: "NAPTR", data: naptrText(service) });
    const own = found.find((each) => each.service.toUpperCase() === service.service);
    if (own === undefined) return { state: "missing", record, text: "phones look for SRV records by guess, or not at all", add };
    const remove = rowText(domain, { name: domain, type: "NAPTR", data: foundNaptrText(own) });
    if (own.flags.toLowerCase() !== "s" || own.regexp !== "")
      return { state: "wrong", record, text: `has the flags "${own.flags}": must have "s"`, add, remove };
    if (own.replacement !== service.owner)
      return { state: "wrong", record, text: `leads to ${own.replacement}: must lead to ${service.owner}`, add, remove };
    const order = `is in another order: must be ${services.map((each) => each.service).join(", ")}`;
    if (!isInOrder) return { state: "wrong", record, text: order, ...(add === remove ? {} : { add, remove }) };
    return { state: "right", record, text: `leads to ${own.replacement}` };
  });
  const foreign = found.filter(({ service }) => services.every((each) => each.service !== service.toUpperCase()));
  return [
    ...findings,
    ...foreign.map((each): Finding => ({
      state: "wrong",
      record: `${domain} NAPTR ${each.service}`,
      text: "no gateway speaks it",
      remove: rowText(domain, { name: domain, type: "NAPTR", data: foundNaptrText(each) }),
    })),
  ];
}

function foundNaptrText({ order, preference, flags, service, regexp, replacement }: Naptr): string {
  return `${order} ${preference} "${flags}" "${service}" "${regexp}" ${replacement}.`;
}

/** What SRV records name, with the addresses of that. RFC 2782: a target of "." says that there is no such service. */
async function targetsIn(looked: Looked, look: Look): Promise<FoundTarget[]> {
  const found: FoundTarget[] = [];
  for (const srv of recordsIn(looked)) {
    if (srv.type !== "SRV" || srv.target === "") continue;
    const answers = [...recordsIn(await look(srv.target, "A")), ...recordsIn(await look(srv.target, "AAAA"))];
    const addresses = answers.flatMap((record) => (record.type === "A" || record.type === "AAAA" ? [record.address] : []));
    found.push({ srv, addresses, isAlias: answers.some(({ type }) => type === "CNAME") });
  }
  return found;
}

function serviceFindings(
  plan: Plan,
  owner: string,
  service: Service | undefined,
  looked: Looked,
  found: readonly FoundTarget[],
): { readonly findings: readonly Finding[]; readonly pairings: readonly Pairing[] } {
  if (looked.state === "unknown") return { findings: [{ state: "wrong", record: `${owner} SRV`, text: looked.reason }], pairings: [] };
  const targets = service?.targets ?? [];
  const pairings = pairingsOf(plan, targets, found);
  const findings = targets.map((target): Finding => {
    const add = rowText(plan.domain, { name: owner, type: "SRV", data: srvText(target) });
    const pairing = pairings.find((each) => each.target === target);
    if (pairing === undefined) {
      return {
        state: "missing",
        record: `${owner} SRV ${target.name}:${target.port}`,
        text: `no phone comes to gateway ${target.gateway} by it`,
        add,
      };
    }
    const { srv } = pairing.found;
    const record = `${owner} SRV ${srv.target}:${srv.port}`;
    const fault = faultOf(pairing, pairings, targets);
    if (fault === undefined) return { state: "right", record, text: shareText(pairing, pairings) };
    // The name that it has may be as good as ours.
    const right = rowText(plan.domain, {
      name: owner,
      type: "SRV",
      data: srvText({ ...target, name: pairing.found.addresses.length === 0 ? target.name : srv.target }),
    });
    return {
      state: "wrong",
      record,
      text: fault,
      add: right,
      remove: rowText(plan.domain, { name: owner, type: "SRV", data: srvText({ ...srv, name: srv.target }) }),
    };
  });
  const strange = found.filter((each) => pairings.every((pairing) => pairing.found !== each));
  return {
    findings: [
      ...findings,
      ...strange.map(({ srv }): Finding => ({
        state: "wrong",
        record: `${owner} SRV ${srv.target}:${srv.port}`,
        text: "no gateway is there",
        remove: rowText(plan.domain, { name: owner, type: "SRV", data: srvText({ ...srv, name: srv.target }) }),
      })),
    ],
    pairings,
  };
}

/** Which record is meant for which gateway: by name and port, by address and port, then by one of them. */
function pairingsOf({ hosts }: Plan, targets: readonly Target[], found: readonly FoundTarget[]): Pairing[] {
  const addressesOf = (name: string): readonly string[] => hosts.find((host) => host.name === name)?.addresses ?? [];
  const isThere = ({ name }: Target, { addresses }: FoundTarget): boolean =>
    addresses.some((address) => addressesOf(name).some((own) => isSameAddress(own, address)));
  const rules: readonly ((target: Target, found: FoundTarget) => boolean)[] = [
    (target, { srv }) => srv.target === target.name && srv.port === target.port,
    (target, each) => isThere(target, each) && each.srv.port === target.port,
    (target, { srv }) => srv.target === target.name,
    isThere,
  ];
  const pairings: Pairing[] = [];
  for (const rule of rules) {
    for (const target of targets) {
      if (pairings.some((pairing) => pairing.target === target)) continue;
      const match = found.find((each) => rule(target, each) && pairings.every((pairing) => pairing.found !== each));
      if (match !== undefined) pairings.push({ target, found: match });
    }
  }
  return pairings;
}

function faultOf(pairing: Pairing, pairings: readonly Pairing[], targets: readonly Target[]): string | undefined {
  const { target, found } = pairing;
  const { srv, addresses, isAlias } = found;
  if (srv.port !== target.port) return `port ${srv.port}: gateway ${target.gateway} listens at ${target.port}`;
  if (isAlias) return `${srv.target} is an alias (CNAME), which some phones do not follow here (RFC 2782)`;
  if (addresses.length === 0) return `${srv.target} has no address`;
  const isLast = target.priority > Math.min(...targets.map((each) => each.priority));
  const isFoundLast = srv.priority > Math.min(...pairings.map((each) => each.found.srv.priority));
  if (isLast !== isFoundLast)
    return isLast ? "is asked with the others: it is to be asked when none of them answers" : "is asked only when others do not answer";
  // Others have another weight than they are to have, and are told of.
  if (srv.weight === target.weight && srv.priority === target.priority) return undefined;
  const wanted = shareOf(
    target.weight,
    targets.filter((each) => each.priority === target.priority).map(({ weight }) => weight),
  );
  const has = shareOf(
    srv.weight,
    pairings.filter((each) => each.found.srv.priority === srv.priority).map((each) => each.found.srv.weight),
  );
  // Others are missing: what is left of them shares what they had.
  if (pairings.length < targets.length || Math.abs(wanted - has) < shareTolerance) return undefined;
  return `gets ${percent(has)} of the phones by its weight ${srv.weight}: gateway ${target.gateway} is to get ${percent(wanted)}`;
}

/** Half of what one in a thousand is. */
const shareTolerance = 0.0005;

function shareOf(weight: number, all: readonly number[]): number {
  const sum = all.reduce((total, each) => total + each, 0);
  return sum === 0 ? 1 / all.length : weight / sum;
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(1))} %`;
}

function shareText({ target, found: { srv } }: Pairing, pairings: readonly Pairing[]): string {
  const peers = pairings.filter((each) => each.found.srv.priority === srv.priority).map((each) => each.found.srv.weight);
  const isLast = pairings.some((each) => each.found.srv.priority < srv.priority);
  return isLast
    ? `gateway ${target.gateway}, when no other answers`
    : `gateway ${target.gateway}, ${percent(shareOf(srv.weight, peers))} of the phones`;
}

async function hostFindings({ domain }: Plan, { name, gateway, addresses }: Host, look: Look, all: AnswerRecord[]): Promise<Finding[]> {
  const findings: Finding[] = [];
  const found: string[] = [];
  for (const type of ["A", "AAAA"] as const) {
    const looked = await look(name, type);
    if (looked.state === "unknown") return [{ state: "wrong", record: `${name} ${type}`, text: looked.reason }];
    all.push(...(looked.state === "found" ? looked.records : []));
    found.push(...recordsIn(looked).flatMap((record) => (record.type === type ? [record.address] : [])));
  }
  for (const address of addresses) {
    const type = addressTypeOf(address);
    const record = `${name} ${type} ${address}`;
    if (found.some((each) => isSameAddress(each, address))) findings.push({ state: "right", record, text: `gateway ${gateway}` });
    else
      findings.push({ state: "missing", record, text: `gateway ${gateway} is there`, add: rowText(domain, { name, type, data: address }) });
  }
  const strange = addresses.length === 0 ? [] : found.filter((each) => !addresses.some((address) => isSameAddress(each, address)));
  for (const address of strange) {
    const type = addressTypeOf(address);
    findings.push({
      state: "wrong",
      record: `${name} ${type} ${address}`,
      text: `gateway ${gateway} is not there`,
      remove: rowText(domain, { name, type, data: address }),
    });
  }
  if (addresses.length > 0) return findings;
  const known = found.map((address): Finding => ({
    state: "right",
    record: `${name} ${addressTypeOf(address)} ${address}`,
    text: `gateway ${gateway}, which says this name`,
  }));
  return known.length > 0
    ? known
    : [{ state: "missing", record: `${name} A`, text: `gateway ${gateway} says this name, and it has no address` }];
}

/** A domain may have a web server at its own name. Phones that look for no SRV come there. */
async function apexNotes({ domain, hosts }: Plan, look: Look): Promise<string[]> {
  const answers = [...recordsIn(await look(domain, "A")), ...recordsIn(await look(domain, "AAAA"))];
  const addresses = answers.flatMap((record) => (record.type === "A" || record.type === "AAAA" ? [record.address] : []));
  if (addresses.length === 0) return [];
  const own = hosts.find((host) => host.addresses.some((each) => addresses.some((address) => isSameAddress(each, address))));
  const where = `${domain} has an address of its own, ${addresses.join(", ")}`;
  return own === undefined
    ? [`${where}: phones that ask for no SRV come there, where no gateway is`]
    : [`${where}, that of gateway ${own.gateway}: phones that ask for no SRV know no other gateway, and stay with it when it is down`];
}

function ttlNotes(records: readonly AnswerRecord[]): string[] {
  const longest = records.reduce((most, { ttl }) => Math.max(most, ttl), 0);
  return longest > dnsTtlSecondsLong
    ? [`Some records are remembered for ${longest} s: a change of the zone reaches phones no sooner; 60 is usual here`]
    : [];
}

/** What phones do that draw by no weight, or keep the first target that they have found. */
function shareNotes({ services }: Plan, pairings: readonly Pairing[]): string[] {
  const gateways = new Set(pairings.map(({ target }) => target.gateway));
  if (gateways.size === 0) return [];
  const sticky =
    "Phones that keep the first target they have found (pjsip, and linphone over UDP) stay with a gateway that is down until they start anew. " +
    "Give such phones TCP or TLS, or an address that moves from gateway to gateway";
  if (gateways.size === 1) {
    return [`Gateway ${[...gateways].join("")} is the only target: when it is down no phone has another way`, sticky];
  }
  const isUnequal = services.some(({ targets }) => new Set(targets.map(({ weight }) => weight)).size > 1);
  if (!isUnequal) return [sticky];
  return [
    "Weights are unequal, and phones draw by them only where they know RFC 2782. Those that take the first record of an answer share evenly, or as the name server orders them",
    `${sticky}. Those that have moved do not come back by themselves, so shares drift`,
  ];
}
