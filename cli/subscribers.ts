import { createHash, randomInt } from "node:crypto";
import { addressOfRecordOctetsMax, usernameOctetsMax } from "../sip/limits.ts";
import { canonicalUser, usernameOf } from "../cluster/map/address-of-record.ts";
import { Failure } from "./errors.ts";

/**
 * What a cell is told about a subscriber: the hashes of RFC 7616 3.4.2 over user:realm:password, and those for phones that put the
 * whole address into username. The password never leaves the command.
 */
export type SubscriberRecord = {
  readonly aor: string;
  readonly ha1Md5: string;
  readonly ha1Sha256: string;
  readonly ha1bMd5: string;
  readonly ha1bSha256: string;
};

/**
 * The canonical address-of-record, `user@domain`, of what people type: `alice`, `alice@example.test`, `sip:alice@example.test`.
 * `domain` completes a bare user, and `others` are domains of the system beside it. Throws a {@link Failure} that says what is wrong.
 */
export function parseAddressOfRecord(text: string, domain: string | undefined, others: readonly string[] = []): string {
  const bare = text.trim().replace(/^sips?:/i, "");
  const at = bare.lastIndexOf("@");
  const user = at < 0 ? bare : bare.slice(0, at);
  // What Node makes of octets on a command line that are not UTF-8.
  if (user.includes("\uFFFD")) throw new Failure(`${text}: the name is not UTF-8`);
  const host = at < 0 ? domain : bare.slice(at + 1).toLowerCase();
  if (host === undefined) throw new Failure(`${text}: the domain is missing (${user}@DOMAIN)`);
  if (!/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(host)) throw new Failure(`${text}: ${JSON.stringify(host)} is no domain`);
  if (domain !== undefined && host !== domain && !others.includes(host)) throw new Failure(`${text}: ${domainsText([domain, ...others])}`);
  // RFC 3261 25.1: unreserved, user-unreserved, escaped; and `#`, as the registrar reads it.
  if (user === "" || !/^(?:[\w.!~*'()&=+$,;?/#-]|%[0-9A-Fa-f]{2})+$/.test(user)) {
    const hint = user === "" ? "it is empty" : `it may hold letters a-z, digits and -_.!~*'()&=+$,;?/#, else write ${escapedUser(user)}`;
    throw new Failure(`${text}: ${JSON.stringify(user)} is no user of a SIP address: ${hint}`);
  }
  if (user.length > usernameOctetsMax) throw new Failure(`${text}: a user has at most ${usernameOctetsMax} characters`);
  const addressOfRecord = `${canonicalUser(user)}@${host}`;
  if (addressOfRecord.length > addressOfRecordOctetsMax) throw new Failure(`${text}: longer than ${addressOfRecordOctetsMax} characters`);
  return addressOfRecord;
}

function domainsText(all: readonly string[]): string {
  const names = new Set(all);
  return `the ${names.size === 1 ? "domain of this system is" : "domains of this system are"} ${[...names].join(", ")}`;
}

/** A user as it stands in a SIP address: octets of UTF-8 that may not stand there as `%XX` (RFC 3261 25.1). */
function escapedUser(user: string): string {
  const octets = [...new TextEncoder().encode(user)].map((octet) => String.fromCharCode(octet));
  return octets
    .map((octet) => (/[\w.!~*'()&=+$,;?/-]/.test(octet) ? octet : `%${octet.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`))
    .join("");
}

/** Hashes a password for an address-of-record; the realm is its domain, the username its user part (or, "b", all of it). */
export function subscriberRecordOf(addressOfRecord: string, password: string): SubscriberRecord {
  const at = addressOfRecord.lastIndexOf("@");
  // One char of it is one octet, as the core has all names: made UTF-8 a second time, no phone would have the same hash.
  const user = Buffer.from(usernameOf(addressOfRecord), "latin1");
  const realm = addressOfRecord.slice(at + 1);
  return {
    aor: addressOfRecord,
    ha1Md5: hashOf("md5", user, `:${realm}:${password}`),
    ha1Sha256: hashOf("sha256", user, `:${realm}:${password}`),
    ha1bMd5: hashOf("md5", user, `@${realm}:${realm}:${password}`),
    ha1bSha256: hashOf("sha256", user, `@${realm}:${realm}:${password}`),
  };
}

function hashOf(algorithm: "md5" | "sha256", user: Uint8Array, rest: string): string {
  return createHash(algorithm).update(user).update(rest, "utf8").digest("hex");
}

/**
 * The password in the first line of standard input, which must be UTF-8: phones hash it so, and whatever else it is would be another password.
 * Throws a {@link Failure}.
 */
export function passwordOfInput(octets: Uint8Array): string {
  const newline = octets.indexOf(0x0a);
  const line = newline < 0 ? octets : octets.subarray(0, newline);
  const notText =
    "the password on standard input is not UTF-8, as phones send it: type it in a terminal of UTF-8, or convert it (iconv -t UTF-8)";
  if (line.includes(0)) throw new Failure(notText);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(line).replace(/\r$/, "");
  } catch {
    throw new Failure(notText);
  }
}

/** Who can register at the first start of a system. */
export const firstUsers = ["alice", "bob", "carol"] as const;

/** Twelve characters that can be told apart and typed on a phone: 58 bits. */
export function randomPassword(): string {
  const alphabet = "abcdefghjkmnpqrstuvwxyz23456789";
  return Array.from({ length: 12 }, () => alphabet.charAt(randomInt(alphabet.length))).join("");
}

/**
 * Subscribers of a CSV text (RFC 4180) with the header `aor,password`, in any order of columns; other columns are ignored.
 * Throws a {@link Failure} that names the line of the first few mistakes.
 */
export function parseSubscribersCsv(
  text: string,
  domain: string | undefined,
  others: readonly string[] = [],
): { readonly aor: string; readonly password: string }[] {
  const [header, ...rows] = parseCsv(text);
  const names = header?.fields.map((name) => name.trim().toLowerCase()) ?? [];
  const aorAt = names.indexOf("aor");
  const passwordAt = names.indexOf("password");
  if (aorAt < 0 || passwordAt < 0) throw new Failure("line 1: the header must name the columns aor and password");
  const mistakes: string[] = [];
  const lines = new Map<string, number>();
  const subscribers: { aor: string; password: string }[] = [];
  for (const { line, fields } of rows) {
    try {
      if (fields.length !== names.length) throw new Failure(`has ${fields.length} columns, the header has ${names.length}`);
      const aor = parseAddressOfRecord(fields[aorAt] ?? "", domain, others);
      const password = fields[passwordAt] ?? "";
      if (password === "") throw new Failure(`${aor}: the password is empty`);
      const other = lines.get(aor);
      if (other !== undefined) throw new Failure(`${aor} stands in line ${other} already`);
      lines.set(aor, line);
      subscribers.push({ aor, password });
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      mistakes.push(`line ${line}: ${error.message}`);
    }
  }
  if (mistakes.length > 0) {
    const shown = mistakes.slice(0, 3).join("; ");
    throw new Failure(`${shown}${mistakes.length > 3 ? `; and ${mistakes.length - 3} more` : ""} (nothing was imported)`);
  }
  return subscribers;
}

/** The text of a CSV file, which must be UTF-8. Throws a {@link Failure} that names the line of the first octet that is not. */
export function decodeCsv(octets: Uint8Array): string {
  if (octets.includes(0)) throw new Failure("is no text in UTF-8 (save it as CSV UTF-8)");
  for (let line = 1, start = 0; start < octets.length; line += 1) {
    const newline = octets.indexOf(0x0a, start);
    const end = newline < 0 ? octets.length : newline + 1;
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(octets.subarray(start, end));
    } catch {
      const looks = new TextDecoder("windows-1252").decode(octets.subarray(start, end)).trim();
      throw new Failure(`line ${line}: is not UTF-8 (Latin-1? it would be ${JSON.stringify(looks)}): save the file as UTF-8`);
    }
    start = end;
  }
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(octets);
}

type Row = { readonly line: number; readonly fields: string[] };

function parseCsv(text: string): Row[] {
  const rows: Row[] = [];
  const body = text.startsWith("\uFEFF") ? text.slice(1) : text;
  let line = 1;
  let at = 0;
  while (at < body.length) {
    const row: Row = { line, fields: [] };
    for (;;) {
      let field = "";
      if (body[at] === '"') {
        const start = line;
        for (at += 1; ; at += 1) {
          const character = body[at];
          if (character === undefined) throw new Failure(`line ${start}: a quoted field does not end`);
          if (character === '"' && body[at + 1] !== '"') break;
          if (character === '"') at += 1;
          if (character === "\n") line += 1;
          field += character;
        }
        at += 1;
        if (at < body.length && !",\r\n".includes(body.charAt(at))) throw new Failure(`line ${line}: text after a quoted field`);
      } else {
        const start = at;
        while (at < body.length && !",\r\n".includes(body.charAt(at))) at += 1;
        field = body.slice(start, at);
      }
      row.fields.push(field);
      if (body[at] !== ",") break;
      at += 1;
    }
    if (body[at] === "\r") at += 1;
    if (body[at] === "\n") at += 1;
    line += 1;
    if (row.fields.length > 1 || row.fields[0]?.trim() !== "") rows.push(row);
  }
  return rows;
}
