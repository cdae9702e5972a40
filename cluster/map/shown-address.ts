import { addressesInNameMax, escapesDepthMax } from "../limits.ts";
import { unescapeUri } from "../../sip/message/uri.ts";
import { canonicalUser } from "./address-of-record.ts";
import { shownDomainOf, type ClusterMap, type Domain } from "./cluster-map.ts";

/**
 * Which address of ours a person reads in a text, such as a display name. It is read as leniently as any phone may show it. Quoted pairs and percent
 * escapes are undone. Wide and other forms of a character are the plain one (NFKC). What nobody sees is left out. See decision 0014. Letters of other
 * alphabets that look like ours are not looked at.
 */

/** What a text has that can show an `@`: itself, an escape, or octets of a wide, small or overlong form of either. Others need not be read. */
// oxlint-disable-next-line no-control-regex -- octets as they come
const mayShowAt = /[@%\\\xc0\xc1]|\xef[\xb9\xbc]|\xe0[\x80\x81]|\xf0\x80/;
/** What changes the order in which a text is seen. Together with an `@` it can make any address of any other. */
const reorders = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/;
/** What is not seen, or hardly: no control, no character without a width, no hair of a space. */
// oxlint-disable-next-line no-control-regex -- controls are what is looked for
const unseen = /[\p{Default_Ignorable_Code_Point}\p{Cf}\u2006\u2008\u2009\u200a\u202f\u205f]|[\0-\x08\x0e-\x1f\x7f-\x9f]/gu;
/** Marks that no letter has taken up. */
const marks = /\p{M}/gu;

/** What stands before an `@` when people read it as an address, spaces around it included. Looked for at that `@` only: no text costs more than its length. */
const userBefore = /[^\s"<>@,;:()]+ ?$/;
const hostBehind = /^ ?([[\]0-9a-z._:-]+)/i;
/** No user and no host of ours is longer. */
const readAroundAt = 320;

/** Whether the text shows an address of a user of ours who is not `own`. Only of domains whose users prove who they are. */
export function showsAddress(map: ClusterMap, octets: string, own: string | undefined): boolean {
  if (!mayShowAt.test(octets)) return false;
  const plain = decoded(withoutEscapes(octets));
  const text = asShown(plain);
  if (!text.includes("@")) return false;
  if (reorders.test(plain)) return true;
  let ats = 0;
  for (let at = text.indexOf("@"); at >= 0; at = text.indexOf("@", at + 1)) {
    ats += 1;
    // Nobody has so many addresses in his name: it is there to be looked at.
    if (ats > addressesInNameMax) return true;
    const domain = domainBehind(map, text.slice(at + 1, at + readAroundAt));
    if (domain === undefined) continue;
    const user = userBefore.exec(text.slice(Math.max(0, at - readAroundAt), at))?.[0].trimEnd() ?? "";
    // As the octets of a URI have it.
    if (`${canonicalUser(encodeURIComponent(user.toWellFormed()))}@${domain.name}` !== own) return true;
  }
  return false;
}

function withoutEscapes(octets: string): string {
  let text = octets.replaceAll("\\", "");
  for (let depth = 0; depth < escapesDepthMax && text.includes("%"); depth += 1) text = unescapeUri(text);
  return text;
}

/** The text as the most lenient display has it. */
function asShown(text: string): string {
  const plain = text.replace(unseen, "").normalize("NFKC").replace(marks, "");
  // A wide percent sign, or an escape that something unseen has parted.
  return unescapeUri(plain).replaceAll("\u3002", ".").replaceAll(/\s+/g, " ");
}

/** Octets as UTF-8, overlong forms included; what is none is Latin-1. */
function decoded(octets: string): string {
  let text = "";
  for (let i = 0; i < octets.length;) {
    const first = octets.charCodeAt(i);
    const length = first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf8 ? 4 : 1;
    let code = length === 1 ? first : first & (0x7f >> length);
    let read = 1;
    for (; read < length; read += 1) {
      const next = i + read < octets.length ? octets.charCodeAt(i + read) : 0;
      if ((next & 0xc0) !== 0x80) break;
      code = (code << 6) | (next & 0x3f);
    }
    const isWhole = read === length && code <= 0x10_ff_ff;
    text += isWhole ? String.fromCodePoint(code) : octets.charAt(i);
    i += isWhole ? length : 1;
  }
  return text;
}

/** The domain of ours that people read behind an `@`, also with a port, in brackets or without, and with spaces around its dots. */
function domainBehind(map: ClusterMap, text: string): Domain | undefined {
  for (const behind of [text, text.replaceAll(/ ?\. ?/g, ".")]) {
    const host = hostBehind.exec(behind)?.[1];
    if (host === undefined) continue;
    const [withoutPort = ""] = /^(?:\[[^\]]*\]?|[^:[\]]*)/.exec(host) ?? [];
    for (const each of [withoutPort, withoutPort.replaceAll(/[[\]]/g, ""), `[${host.replaceAll(/[[\]]|[.:]+$/g, "")}]`]) {
      const domain = shownDomainOf(map, each.replaceAll(/^[._-]+|[._-]+$/g, ""));
      if (domain?.auth === "digest") return domain;
    }
  }
  return undefined;
}
