import {
  array,
  boolean,
  checkItems,
  exactOptional,
  type GenericSchema,
  minLength,
  nonEmpty,
  picklist,
  pipe,
  readonly,
  string,
  url,
} from "valibot";
import type { ClusterMap } from "../cluster/map/cluster-map.ts";
import { list, record, strictRecord, whole } from "./reading.ts";

const text = pipe(string("must be a text"), nonEmpty("must not be empty"));

const cell = { id: text, url: pipe(text, url("must be a URL")) };
const domain = {
  name: text,
  auth: picklist(["digest", "open"], "must be digest or open"),
  digest: exactOptional(list(picklist(["MD5", "SHA-256"], "must be MD5 or SHA-256"))),
};
const aliases = list(text);
/** A cell's bounds are narrower: a gateway beats as it is told. */
const heartbeat = { periodMs: whole(10), missed: whole(1) };
const replication = { ackTimeoutMs: whole(0), enabled: exactOptional(boolean("must be true or false")) };
const failedLogins = exactOptional(whole(0));

const noCell = "must name a cell";

/** The cluster map as it comes over a control link. The cell may be of a later release: fields that this one does not know are left out. */
export const clusterMapSchema = record({
  version: whole(0),
  cells: pipe(array(record(cell)), minLength(1, noCell), readonly()),
  exchangeCount: whole(1),
  lineCount: whole(1),
  domains: list(record(domain)),
  aliases,
  heartbeat: record(heartbeat),
  replication: record(replication),
  flushMs: whole(0),
  failedLogins,
}) satisfies GenericSchema<unknown, ClusterMap>;

/** The cluster map as it is written for a cell: what is not known here is a slip. */
export const writtenMapSchema = strictRecord({
  version: whole(0),
  cells: pipe(
    array(strictRecord(cell), "must be a list"),
    minLength(1, noCell),
    checkItems(
      ({ id }, index, cells) => cells.findIndex((other) => other.id === id) === index,
      ({ input }) => `has the id ${input.id}, which an earlier cell has`,
    ),
    readonly(),
  ),
  exchangeCount: whole(1),
  lineCount: whole(1),
  domains: pipe(array(strictRecord(domain), "must be a list"), minLength(1, "must name a domain"), readonly()),
  aliases,
  heartbeat: strictRecord(heartbeat),
  replication: strictRecord(replication),
  flushMs: whole(0),
  failedLogins,
}) satisfies GenericSchema<unknown, ClusterMap>;
