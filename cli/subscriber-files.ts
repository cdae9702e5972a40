import { parseCsv, type Row } from "./csv.ts";
import { Failure } from "./errors.ts";
import { parseAddressOfRecord, subscriberRecordOf, type SubscriberRecord } from "./subscribers.ts";

/** What a file of subscribers says. */
export type SubscriberFile = {
  readonly subscribers: readonly SubscriberRecord[];
  /** Of how many the file has hashes of MD5 alone: they cannot answer a challenge by SHA-256. */
  readonly md5Only: number;
  /** How many rows are of no SIP phone, and what they are, as FreePBX names it. */
  readonly others: ReadonlyMap<string, number>;
};

/** What one row says of a subscriber. */
type Entry = { readonly record: SubscriberRecord; readonly isMd5Only: boolean };

/** A row that is of no SIP phone. */
type Other = { readonly other: string };

type Fields = (name: string) => string;

type Form = {
  /** The columns by which the form is known. Of each list one must be there. */
  readonly columns: readonly (readonly string[])[];
  readonly read: (fields: Fields, domain: string | undefined, others: readonly string[]) => Entry | Other;
};

/** In this order, for a table of Kamailio has a column `password` too. */
const forms: readonly Form[] = [
  { columns: [["aor"], ["password", "ha1"]], read: ownRow },
  { columns: [["username"], ["domain"], ["password", "ha1"]], read: kamailioRow },
  { columns: [["extension"], ["secret", "devinfo_secret"]], read: freePbxRow },
];

const headerText =
  "line 1: the header must name the columns aor and password, or those of Kamailio (username, domain, ha1) or of FreePBX (extension, secret)";

/**
 * Subscribers of a CSV text with a header, columns in any order; other columns are ignored. It may be our own (`aor`, `password`), the subscriber table of
 * Kamailio or OpenSIPS (`username`, `domain`, `password` or `ha1`) or the extensions of FreePBX (`extension`, `secret`). Throws a {@link Failure} that names the
 * line of the first few mistakes.
 */
export function parseSubscribersCsv(text: string, domain: string | undefined, others: readonly string[] = []): SubscriberFile {
  const [header, ...rows] = parseCsv(text);
  const names = header?.fields.map((name) => name.trim().toLowerCase()) ?? [];
  const form = forms.find(({ columns }) => columns.every((each) => each.some((name) => names.includes(name))));
  if (form === undefined) throw new Failure(headerText);
  const mistakes: string[] = [];
  const lines = new Map<string, number>();
  const subscribers: SubscriberRecord[] = [];
  const otherKinds = new Map<string, number>();
  let md5Only = 0;
  const take = ({ line, fields }: Row): void => {
    if (fields.length !== names.length) throw new Failure(`has ${fields.length} columns, the header has ${names.length}`);
    const entry = form.read((name) => fields[names.indexOf(name)] ?? "", domain, others);
    if ("other" in entry) return void otherKinds.set(entry.other, (otherKinds.get(entry.other) ?? 0) + 1);
    const { aor } = entry.record;
    const earlier = lines.get(aor);
    if (earlier !== undefined) throw new Failure(`${aor} stands in line ${earlier} already`);
    lines.set(aor, line);
    subscribers.push(entry.record);
    if (entry.isMd5Only) md5Only += 1;
  };
  for (const row of rows) {
    try {
      take(row);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      mistakes.push(`line ${row.line}: ${error.message}`);
    }
  }
  if (mistakes.length > 0) {
    const shown = mistakes.slice(0, 3).join("; ");
    throw new Failure(`${shown}${mistakes.length > 3 ? `; and ${mistakes.length - 3} more` : ""} (nothing was imported)`);
  }
  return { subscribers, md5Only, others: otherKinds };
}

function ownRow(fields: Fields, domain: string | undefined, others: readonly string[]): Entry {
  return entryOf(parseAddressOfRecord(fields("aor"), domain, others), fields);
}

/** A table without domains is that of a system with one. Whoever made a hash knew which: here nobody does. */
function kamailioRow(fields: Fields, domain: string | undefined, others: readonly string[]): Entry {
  const [user, host] = [fields("username").trim(), given(fields("domain").trim())];
  const aor = parseAddressOfRecord(host === "" ? user : `${user}@${host}`, domain, others);
  if (given(fields("password")) === "") {
    if (host === "") throw new Failure(`${aor}: its domain is empty, so nobody knows what its ha1 is good for`);
    // A realm is compared as it is written (RFC 7616 3.3): ours is in small letters.
    if (host !== host.toLowerCase()) throw new Failure(`${aor}: its ha1 is good for ${host} in these letters only: the password is needed`);
  }
  return entryOf(aor, fields);
}

/** `tech`: what kind of phone an extension is. A virtual one has none. */
function freePbxRow(fields: Fields, domain: string | undefined, others: readonly string[]): Entry | Other {
  const tech = fields("tech").trim().toLowerCase();
  if (tech !== "" && tech !== "sip" && tech !== "pjsip") return { other: tech };
  const aor = parseAddressOfRecord(fields("extension"), domain, others);
  const secret = [fields("secret"), fields("devinfo_secret")].map(given).find((each) => each !== "") ?? "";
  if (secret === "") throw new Failure(`${aor}: the secret is empty`);
  return { record: subscriberRecordOf(aor, secret), isMd5Only: false };
}

/** From the password where there is one, else from its hashes (RFC 7616 3.4.2). Where both are there they belong together. */
function entryOf(aor: string, fields: Fields): Entry {
  const password = given(fields("password"));
  const [ha1Md5, ha1bMd5] = [hashIn(fields, "ha1", 32, aor), hashIn(fields, "ha1b", 32, aor)];
  const ha1Sha256 = hashIn(fields, "ha1_sha256", 64, aor);
  if (password === "") {
    if (ha1Md5 === "") throw new Failure(`${aor}: the password is empty`);
    return { record: { aor, ha1Md5, ha1Sha256, ha1bMd5, ha1bSha256: "" }, isMd5Only: ha1Sha256 === "" };
  }
  const record = subscriberRecordOf(aor, password);
  const isOfAnother = ha1Md5 !== "" && ha1Md5 !== record.ha1Md5;
  if (isOfAnother) throw new Failure(`${aor}: the password and its ha1 do not belong together: leave out the column that is not right`);
  return { record, isMd5Only: false };
}

function hashIn(fields: Fields, name: string, digits: number, aor: string): string {
  const text = given(fields(name).trim()).toLowerCase();
  if (text !== "" && !new RegExp(`^[0-9a-f]{${digits}}$`).test(text)) throw new Failure(`${aor}: ${name} is not ${digits} hex digits`);
  return text;
}

/** What is there: databases write these where there is nothing, and blanks alone are nobody's password. */
function given(field: string): string {
  return /^(?:null|\\N|\s*)$/i.test(field) ? "" : field;
}
