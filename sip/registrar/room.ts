import { isParseError } from "../errors.ts";
import { isSipUri, parseUri, type SipUri } from "../message/uri.ts";
import type { Binding } from "../record/values.ts";
import type { WallMs } from "../time.ts";

type KeyedBinding = { readonly key: string; readonly value: Binding };

/**
 * Whom a full list of bindings gives up first, so that nobody's phone is locked out by what it has left behind. These are the keys of at most `count`
 * bindings, never one of `added`, the longest unrefreshed first.
 *
 * - Those that have lost their connection, and are there only because their Contacts may be dialled.
 * - Those with the Contact of an added one but for the port: a phone without an instance that names another port at each start.
 *
 * Other phones, and so those of other places, stay; there is no room then. Who asks has proved to be the user himself.
 */
export function ghostsOf(bindings: readonly KeyedBinding[], added: readonly KeyedBinding[], count: number, now: WallMs): string[] {
  const addedKeys = added.map(({ key }) => key);
  const others = bindings.filter(({ key, value }) => value.expiresAt > now && !addedKeys.includes(key));
  others.sort((first, second) => first.value.registeredAt - second.value.registeredAt);
  const lost = others.filter(({ value }) => hasLostFlow(value));
  const moved = others.filter(({ value }) => !hasLostFlow(value) && added.some((one) => isSamePhone(one.value, value)));
  return [...lost, ...moved].slice(0, count).map(({ key }) => key);
}

function hasLostFlow({ flow, path, transport }: Binding): boolean {
  return flow === "" && path.length === 0 && (transport === "TCP" || transport === "TLS");
}

/**
 * Whether two bindings are of one phone: its instance tells, or, where neither has one, its Contact without port and its source without port. Phones of
 * two homes may have the same private address.
 */
export function isSamePhone(one: Binding, other: Binding): boolean {
  if (one.instanceId !== "" || other.instanceId !== "") return one.instanceId === other.instanceId;
  if (addressOf(one.received) !== addressOf(other.received)) return false;
  const [first, second] = [sipUriOf(one.contact), sipUriOf(other.contact)];
  return first !== undefined && second !== undefined && first.user === second.user && first.host === second.host;
}

function addressOf(received: string): string {
  return received.slice(0, received.lastIndexOf(":"));
}

function sipUriOf(text: string): SipUri | undefined {
  const uri = parseUri(text);
  return !isParseError(uri) && isSipUri(uri) ? uri : undefined;
}
