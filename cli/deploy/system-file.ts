import { parse } from "smol-toml";
import { array, boolean, exactOptional, type InferOutput, nonEmpty, picklist, pipe, regex, string } from "valibot";
import {
  callRecordDaysMax,
  callRecordsMostMax,
  exchangesMax,
  lineCountMax,
  missedMax,
  periodMsMax,
  periodMsMin,
} from "../../cluster/limits.ts";
import { jurisdictions, locationHints } from "../../cluster/places.ts";
import { type Fault, readAll, strictRecord, whole } from "../../schemas/reading.ts";
import { reasonOf } from "../errors.ts";

/** `tandem.toml`: which keys there are, and what kind of value each has. What they mean together is for system.ts to say. */

const notText = "must be a text in quotes";
const text = pipe(string(notText), nonEmpty("must not be empty"));

/** A list of tables, `[[cells]]`. */
// oxlint-disable-next-line typescript/explicit-module-boundary-types -- the type is what it makes
function tables<Item extends Parameters<typeof array>[0]>(item: Item, key: string) {
  return array(item, `must be tables: [[${key}]]`);
}

const notTable = "must be a table";

const domain = {
  name: text,
  auth: exactOptional(picklist(["digest", "open"], "must be digest or open")),
  digest: exactOptional(array(picklist(["MD5", "SHA-256"], "must be MD5 or SHA-256"), "must be a list")),
};

const account = {
  name: pipe(string(notText), regex(/^[a-z][a-z0-9_]{0,31}$/, "must be 1 to 32 lower-case letters, digits or underscores")),
  id: pipe(string(notText), regex(/^[0-9a-f]{32}$/, "must be 32 hex digits, as Cloudflare's dashboard shows it")),
};

const cell = {
  id: pipe(
    string(notText),
    regex(/^(?!g\d+$)[a-z][a-z0-9]{0,15}$/, "must be 1 to 16 lower-case letters or digits, and no name of a gateway"),
  ),
  kind: picklist(["cloudflare", "blade"], "must be cloudflare or blade"),
  url: exactOptional(text),
  customDomain: exactOptional(text),
  route: exactOptional(text),
  worker: exactOptional(
    pipe(string(notText), regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, "must be 1 to 63 lower-case letters, digits or hyphens")),
  ),
  account: exactOptional(text),
  location: exactOptional(picklist(locationHints, `must be one of ${locationHints.join(", ")}`)),
  jurisdiction: exactOptional(picklist(jurisdictions, `must be one of ${jurisdictions.join(", ")}`)),
};

const listener = {
  transport: picklist(["udp", "tcp", "tls", "ws", "wss"], "must be udp, tcp, tls, ws or wss"),
  host: text,
  port: whole(1, 65_535),
  advertise: exactOptional(text),
};

const gateway = {
  name: pipe(string(notText), regex(/^[0-9A-Za-z-]{1,32}$/, "must be 1 to 32 letters, digits or hyphens")),
  listeners: tables(strictRecord(listener, notTable), "gateways.listeners"),
  tls: exactOptional(strictRecord({ cert: text, key: text }, notTable)),
};

export const systemFileSchema = strictRecord({
  domains: tables(strictRecord(domain, notTable), "domains"),
  aliases: exactOptional(array(text, "must be a list of texts")),
  secretFile: exactOptional(text),
  firstSubscriber: exactOptional(text),
  exchanges: exactOptional(whole(1, exchangesMax)),
  lines: exactOptional(whole(1, lineCountMax)),
  bindings: exactOptional(boolean("must be true or false")),
  hashKey: exactOptional(pipe(string(notText), regex(/^[0-9a-f]{32}$/, "must be 32 hex digits"))),
  heartbeat: exactOptional(strictRecord({ periodMs: whole(periodMsMin, periodMsMax), missed: whole(1, missedMax) }, notTable)),
  failedLogins: exactOptional(whole(0)),
  callRecords: exactOptional(strictRecord({ days: whole(0, callRecordDaysMax), most: whole(0, callRecordsMostMax) }, notTable)),
  accounts: exactOptional(tables(strictRecord(account, notTable), "accounts")),
  cells: tables(strictRecord(cell, notTable), "cells"),
  gateways: exactOptional(tables(strictRecord(gateway, notTable), "gateways")),
});
export type SystemFile = InferOutput<typeof systemFileSchema>;
/** An account of Cloudflare's, as the file names it. */
export type Account = NonNullable<SystemFile["accounts"]>[number];
export type CellOfFile = SystemFile["cells"][number];

/** Where the file says nothing. */
export const exchangesDefault = 4;

/** The file's content, or all that is wrong with it. */
export function systemFileOf(toml: string): { readonly file: SystemFile } | { readonly faults: readonly Fault[] } {
  let content: unknown;
  try {
    content = parse(toml);
  } catch (error) {
    return { faults: [{ path: "", reason: reasonOf(error) }] };
  }
  const { value, faults } = readAll(systemFileSchema, content);
  return faults === undefined ? { file: value } : { faults };
}
