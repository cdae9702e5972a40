import { isParseError, parseError, type ParseError } from "../errors.ts";
import {
  callIdOctetsMax,
  contactsPerAddressOfRecordMax,
  expiresSecondsMin,
  flowTimerSeconds,
  pathOctetsMax,
  pathValuesMax,
  userAgentOctetsMax,
} from "../limits.ts";
import type { HeaderField } from "../message/build.ts";
import { supportedExtensions } from "../message/capabilities.ts";
import { Header } from "../message/header-names.ts";
import type { NameAddr } from "../message/name-addr.ts";
import type { SipMessage } from "../message/sip-message.ts";
import { equalUris, isSipUri, parseUri } from "../message/uri.ts";
import { contactBindingKey, noPath, orderOf, outboundBindingKey } from "../record/binding-record.ts";
import type { BindingRecord } from "../record/state-record.ts";
import type { Binding } from "../record/values.ts";
import type { BindingChange } from "./binding-change.ts";
import { canonicalContact, grantedExpires, readContact, type RequestedContact } from "./contact.ts";
import { flowKeyOf, placeOfFlow } from "../flow/flow.ts";
import { formerFlowsOf, formerFlowsOfRecords } from "./former-flows.ts";
import { isReachedOnFlow } from "./reachability.ts";
import { ghostsOf } from "./room.ts";
import type { WallMs } from "../time.ts";

const supported: HeaderField = ["Supported", supportedExtensions.join(", ")];

export type RegisterInput = {
  /** A REGISTER that has passed checkMandatory, for one of our domains, from a user who may change this address-of-record. */
  readonly message: SipMessage;
  /** Canonical (RFC 3261 10.3 5). */
  readonly addressOfRecord: string;
  /** The flow it came on. */
  readonly flow: string;
  /** Milliseconds since the epoch. */
  readonly now: WallMs;
  /** The same as Date says it: see date-texts.ts. */
  readonly date: string;
  /** All that is held of the address-of-record's bindings, removed ones too: `RecordStore.bindingsOf`. */
  readonly records: readonly BindingRecord[];
  /** 0..0.5: the part by which granted expirations are shortened, to spread the refreshes of phones that came back together. Default 0. */
  readonly jitter?: number;
};

export type RegisterResult = {
  readonly status: number;
  /** Instead of the registry's phrase. */
  readonly reason?: string;
  readonly headers: readonly HeaderField[];
  /** All or nothing: empty unless the status is 200. */
  readonly changes: readonly BindingChange[];
};

/** RFC 3261 10.3 2, 8.2.2.3: option tags in Require that we do not understand; they go into Unsupported of a 420, before authentication. */
export function unsupportedExtensions(message: SipMessage): string[] {
  return message.optionTags(Header.Require).filter((tag) => !supportedExtensions.includes(tag));
}

/**
 * RFC 3261 10.3 steps 2 and 6 to 8, with Path (RFC 3327) and outbound (RFC 5626 6). It says what to answer, and what becomes of the bindings. Steps 1
 * and 3 to 5 (domain, authentication, authorization, address-of-record) are the caller's.
 *
 * Where the RFCs leave a choice:
 * - A contact whose Call-ID is known with a higher CSeq fails the request with 500 (10.3 7, last paragraph), removed bindings included. With the same
 *   CSeq it is a repeat, answered 200 without any change if the binding is as that CSeq left it. For an access replays what was not acknowledged to
 *   the peer, which has the binding already and no transaction.
 * - A path without `Supported: path` is refused with 420 (RFC 3327 5.3, the recommended policy).
 * - A sips address-of-record has the same bindings as its sip twin. Non-sips contacts are accepted (10.2.1 is a SHOULD for the phone). But requests
 *   for the sips URI only go to secure ones: see targetsOf.
 * - A contact with reg-id replaces a plain binding with the same URI. A removal without reg-id removes an outbound binding with the same URI.
 *   Otherwise a phone that changes its mind would ring twice.
 * - An instance without reg-id has one REGISTER's contacts on each transport: those of the latest. Phones exist that name another port each time they
 *   connect; one that is registered over UDP and TCP stays so (18.1.1).
 * - A full list first gives up what may be a ghost of a phone: see room.ts.
 */
export function processRegister(input: RegisterInput): RegisterResult {
  const { message, records, now } = input;
  const unsupported = unsupportedExtensions(message);
  if (unsupported.length > 0) return badExtension(unsupported);
  const cSeq = message.cSeq;
  if (isParseError(cSeq)) return failed(cSeq);
  if (message.callId.length > callIdOctetsMax) return failed(parseError("call-id-max", 400, "Call-ID Too Long", callIdOctetsMax));
  const contacts = message.contacts;
  if (isParseError(contacts)) return failed(contacts);
  const path = readPath(message);
  if (isParseError(path)) return failed(path);
  if (path.length > 0 && !understands(message, "path")) return badExtension(["path"]);
  if (contacts === "*") return removeAll(input, cSeq.number);
  if (contacts.length === 0) return accepted(input, currentBindings(records, now), [], false);
  if (contacts.length > contactsPerAddressOfRecordMax) return refused(403, "Too Many Contacts");
  const requested = readContacts(message, contacts, path);
  if (!Array.isArray(requested)) return requested;
  return new Registration(input, cSeq.number, path).process(requested);
}

/** RFC 3261 10.3 6: `*` with `Expires: 0` alone. */
function removeAll(input: RegisterInput, cSeq: number): RegisterResult {
  const { message, records } = input;
  if (message.expires !== 0) return refused(400, "Contact * Without Expires: 0");
  const { callId } = message;
  const changes: BindingChange[] = [];
  for (const { key, value } of records) {
    if (value === undefined) continue;
    if (value.callId === callId && cSeq <= value.cSeq) return outOfOrder();
    changes.push({ type: "remove", key, callId, cSeq });
  }
  return accepted(input, [], changes, false);
}

/** Reads the contacts and applies what RFC 3261 and RFC 5626 6 ask of them before anything is looked up. */
function readContacts(message: SipMessage, contacts: readonly NameAddr[], path: readonly string[]): RequestedContact[] | RegisterResult {
  const headerExpires = message.expires;
  const isOutboundPossible = message.valueRanges(Header.Via).length === 2 || isOutboundPath(path);
  const requested: RequestedContact[] = [];
  for (const nameAddr of contacts) {
    const contact = readContact(nameAddr, headerExpires);
    if (isParseError(contact)) return failed(contact);
    if (contact.expires > 0 && contact.expires < expiresSecondsMin) {
      return { status: 423, headers: [["Min-Expires", String(expiresSecondsMin)]], changes: [] };
    }
    if (contact.regId !== 0 && !isOutboundPossible) {
      if (understands(message, "outbound")) return refused(439);
      requested.push({ ...contact, regId: 0 });
    } else {
      requested.push(contact);
    }
  }
  const added = requested.filter((contact) => contact.expires > 0);
  if (added.length > 1 && added.some((contact) => contact.regId !== 0)) return refused(400, "Several Contacts With reg-id");
  return requested;
}

/** RFC 5626 6: the first hop, which stands last in the Path, has said `ob`. */
function isOutboundPath(path: readonly string[]): boolean {
  const firstHop = path.at(-1);
  if (firstHop === undefined) return false;
  const open = firstHop.indexOf("<");
  const uri = parseUri(open < 0 ? firstHop : firstHop.slice(open + 1, firstHop.indexOf(">", open)));
  return !isParseError(uri) && isSipUri(uri) && uri.params.has("ob");
}

/** RFC 3327 5.3: the values as they stand, topmost first. */
function readPath(message: SipMessage): readonly string[] | ParseError {
  if (!message.has(Header.Path)) return noPath;
  const path = message.nameAddrs(Header.Path);
  if (isParseError(path)) return path;
  if (path.length > pathValuesMax) return parseError("path-max", 400, "Too Many Path Values", pathValuesMax);
  const values = path.map((value) => value.text);
  const octets = values.reduce((sum, value) => sum + value.length, 0);
  return octets > pathOctetsMax ? parseError("path-octets-max", 400, "Path Too Long", pathOctetsMax) : values;
}

/** The option tag stands in Supported, or in Require, which says even more. */
function understands(message: SipMessage, tag: string): boolean {
  return message.optionTags(Header.Supported).includes(tag) || message.optionTags(Header.Require).includes(tag);
}

/** One REGISTER with contacts: tentative changes over the bindings that were there, all of them or none. */
class Registration {
  readonly #input: RegisterInput;
  readonly #callId: string;
  readonly #cSeq: number;
  readonly #path: readonly string[];
  /** What holds now: the bindings before, with the tentative changes. A dozen at most, mostly one: lists, and no Maps. */
  readonly #bindings: { readonly key: string; readonly value: Binding }[] = [];
  readonly #changes: BindingChange[] = [];
  #isOutbound = false;

  constructor(input: RegisterInput, cSeq: number, path: readonly string[]) {
    this.#input = input;
    this.#callId = input.message.callId;
    this.#cSeq = cSeq;
    this.#path = path;
    for (const { key, value } of input.records) if (value !== undefined) this.#bindings.push({ key, value });
  }

  process(requested: readonly RequestedContact[]): RegisterResult {
    for (const contact of requested) if (!this.#processContact(contact)) return outOfOrder();
    if (!this.#supersedeInstances()) return outOfOrder();
    const { now } = this.#input;
    let current = currentBindings(this.#bindings, now);
    const hasAdded = this.#changes.some((change) => change.type === "put");
    if (hasAdded && current.length > contactsPerAddressOfRecordMax) {
      const added = this.#changes.flatMap((change) => (change.type === "put" ? [change] : []));
      for (const key of ghostsOf(this.#bindings, added, current.length - contactsPerAddressOfRecordMax, now)) this.#remove(key);
      current = currentBindings(this.#bindings, now);
      if (current.length > contactsPerAddressOfRecordMax) return refused(403, "Too Many Contacts");
    }
    const saysOutbound = this.#isOutbound && understands(this.#input.message, "outbound");
    return accepted(this.#input, current, this.#changes, saysOutbound, this.#path);
  }

  /** RFC 3261 10.3 7 for one contact. False: it fails, and with it the request. */
  #processContact(contact: RequestedContact): boolean {
    const { addressOfRecord } = this.#input;
    const ownKey =
      contact.regId === 0
        ? contactBindingKey(addressOfRecord, canonicalContact(contact.uri))
        : outboundBindingKey(addressOfRecord, contact.instanceId, contact.regId);
    const matches = this.#matching(contact, ownKey);
    let isRepeat = false;
    for (const record of matches) {
      const order = orderOf(record);
      if (order.callId !== this.#callId || this.#cSeq > order.cSeq) continue;
      const isAsLeft = (record.value !== undefined) === contact.expires > 0;
      if (this.#cSeq < order.cSeq || !isAsLeft) return false;
      isRepeat = true;
    }
    if (contact.regId !== 0) this.#isOutbound = true;
    if (isRepeat) return true;
    const [first, ...rest] = matches.filter((record) => this.#indexOf(record.key) >= 0);
    const tentative = first === undefined && this.#indexOf(ownKey) >= 0 ? ownKey : undefined;
    const key = first?.key ?? tentative ?? ownKey;
    for (const record of rest) this.#remove(record.key);
    if (contact.expires === 0) this.#remove(key);
    else if (contact.regId !== 0 && first !== undefined && first.key !== ownKey) {
      // A plain binding becomes an outbound one: another key.
      this.#remove(first.key);
      this.#put(ownKey, contact, first.value, matches);
    } else this.#put(key, contact, first?.value, matches);
    return true;
  }

  /**
   * On this transport an instance without reg-id has its contacts of this REGISTER alone. False: a later one of the same Call-ID has come before (RFC
   * 3261 10.3 7).
   */
  #supersedeInstances(): boolean {
    // What is removed meanwhile comes behind.
    for (let index = 0, count = this.#changes.length; index < count; index += 1) {
      const change = this.#changes[index];
      if (change?.type !== "put" || change.value.instanceId === "" || change.value.regId !== 0) continue;
      for (const { key, value } of this.#bindings.toReversed()) {
        const isOther = value.instanceId !== change.value.instanceId || value.transport !== change.value.transport;
        if (isOther || value.regId !== 0) continue;
        if (value.callId !== this.#callId || value.cSeq < this.#cSeq) this.#succeed(index, key, value);
        else if (value.cSeq > this.#cSeq) return false;
      }
    }
    return true;
  }

  /** A binding of the same phone goes, and leaves its flows to that of this change. */
  #succeed(index: number, key: string, old: Binding): void {
    const change = this.#changes[index];
    this.#remove(key);
    if (change?.type !== "put") return;
    const formerFlows = formerFlowsOf(change.value.flow, [change.value, old]);
    if (formerFlows === undefined) return;
    const value = { ...change.value, formerFlows };
    putByKey(this.#bindings, { key: change.key, value });
    putByKey(this.#changes, { type: "put", key: change.key, value });
  }

  /** The records, live or removed, that this contact is about. The one with its own key comes first. */
  #matching(contact: RequestedContact, ownKey: string): BindingRecord[] {
    const matches: BindingRecord[] = [];
    for (const record of this.#input.records) {
      if (record.key === ownKey) matches.unshift(record);
      else if (record.value !== undefined && this.#isSameContact(contact, record.value)) matches.push(record);
    }
    return matches;
  }

  #isSameContact(contact: RequestedContact, binding: Binding): boolean {
    // RFC 5626 6: two outbound bindings are told apart by instance and reg-id alone.
    if (binding.regId !== 0 && (contact.regId !== 0 || contact.expires > 0)) return false;
    if (binding.contact === contact.contact) return true;
    const uri = parseUri(binding.contact);
    return !isParseError(uri) && equalUris(contact.uri, uri);
  }

  #indexOf(key: string): number {
    return this.#bindings.findIndex((binding) => binding.key === key);
  }

  #remove(key: string): void {
    const index = this.#indexOf(key);
    if (index >= 0) this.#bindings.splice(index, 1);
    putByKey(this.#changes, { type: "remove", key, callId: this.#callId, cSeq: this.#cSeq });
  }

  /** `known`: what is, or was, bound to this contact. */
  #put(key: string, contact: RequestedContact, before: Binding | undefined, known: readonly BindingRecord[]): void {
    const { message, addressOfRecord, flow, now, jitter } = this.#input;
    const topVia = message.topVia;
    const flowKey = flowKeyOf(flow);
    const isDirect = message.valueRanges(Header.Via).length === 2 && this.#path.length === 0;
    const isOnFlow =
      isDirect && flowKey !== undefined && !isParseError(topVia) && isReachedOnFlow(contact.uri, topVia, flowKey, contact.regId !== 0);
    const former = formerFlowsOfRecords(isOnFlow ? flow : "", known);
    const binding: Binding = {
      addressOfRecord: before?.addressOfRecord ?? addressOfRecord,
      contact: contact.contact,
      parameters: contact.parameters,
      q: contact.q,
      callId: this.#callId,
      cSeq: this.#cSeq,
      registeredAt: now,
      expiresAt: now + grantedExpires(contact.expires, jitter ?? 0) * 1000,
      instanceId: contact.instanceId,
      regId: contact.regId,
      flow: isOnFlow ? flow : "",
      transport: flowKey?.transport ?? "",
      received: placeOfFlow(flow),
      userAgent: (message.text(Header.UserAgent) ?? "").slice(0, userAgentOctetsMax),
      path: this.#path,
      ...(isOnFlow ? {} : { cameOn: flow }),
    };
    const moved = former === undefined ? binding : { ...binding, formerFlows: former };
    const value = isOnFlow || before?.provenAt === undefined ? moved : { ...moved, provenAt: before.provenAt };
    putByKey(this.#bindings, { key, value });
    putByKey(this.#changes, { type: "put", key, value });
  }
}

/** Puts an item in the place of the one with its key, or behind all others. */
function putByKey<Item extends { readonly key: string }>(items: Item[], item: Item): void {
  const index = items.findIndex(({ key }) => key === item.key);
  if (index < 0) items.push(item);
  else items[index] = item;
}

function currentBindings(records: readonly { readonly value: Binding | undefined }[], now: WallMs): Binding[] {
  const bindings: Binding[] = [];
  for (const { value } of records) if (value !== undefined && value.expiresAt > now) bindings.push(value);
  return bindings;
}

/** RFC 3261 10.3 8, RFC 3327 5.3, RFC 5626 6. */
function accepted(
  input: RegisterInput,
  bindings: readonly Binding[],
  changes: readonly BindingChange[],
  saysOutbound: boolean,
  path: readonly string[] = noPath,
): RegisterResult {
  const { now, date } = input;
  const headers: HeaderField[] = bindings.map((binding) => ["Contact", contactOf(binding, now)]);
  if (path.length > 0) headers.push(["Path", path.join(", ")]);
  if (saysOutbound) headers.push(["Require", "outbound"], ["Flow-Timer", String(flowTimerSeconds)]);
  headers.push(supported, ["Date", date]);
  return { status: 200, headers, changes };
}

/** A binding as a Contact value with the seconds it has left. */
export function contactOf(binding: Binding, now: WallMs): string {
  const q = binding.q === undefined ? "" : `;q=${binding.q}`;
  return `<${binding.contact}>${binding.parameters}${q};expires=${Math.ceil((binding.expiresAt - now) / 1000)}`;
}

function badExtension(tags: readonly string[]): RegisterResult {
  return { status: 420, headers: [["Unsupported", tags.join(", ")]], changes: [] };
}

function outOfOrder(): RegisterResult {
  return refused(500, "CSeq Out Of Order");
}

function failed(error: ParseError): RegisterResult {
  return refused(error.status, error.reason);
}

function refused(status: number, reason?: string): RegisterResult {
  return { status, ...(reason === undefined ? {} : { reason }), headers: [], changes: [] };
}
