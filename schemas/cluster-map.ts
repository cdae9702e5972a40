import {
  array,
  boolean,
  checkItems,
  exactOptional,
  type GenericSchema,
  literal,
  looseObject,
  maxLength,
  minLength,
  nonEmpty,
  picklist,
  pipe,
  readonly,
  regex,
  string,
  url,
} from "valibot";
import { callRecordDaysMax, callRecordsMostMax, gatewayWeightMax, healAfterMsMin } from "../cluster/limits.ts";
import type { ClusterMap } from "../cluster/map/cluster-map.ts";
import { list, record, strictRecord, whole } from "./reading.ts";

const text = pipe(string("must be a text"), nonEmpty("must not be empty"));

/** Where a cell is reached, and its door. People read it on screens: it has no octet that a terminal obeys, and no scheme that a browser would run. */
export const placeUrlSchema = pipe(
  text,
  url("must be a URL"),
  regex(/^(?:https?|wss?):\/\/[!-~]+$/i, "must be a URL as https://192.0.2.10:8841"),
  maxLength(300, "must have 300 characters at most"),
);

const cell = {
  id: text,
  url: placeUrlSchema,
  host: exactOptional(text),
  location: exactOptional(text),
  weight: exactOptional(whole(0)),
  door: exactOptional(placeUrlSchema),
};
const assignment = { primary: text, secondary: text, joining: exactOptional(text) };
const policy = {
  kind: picklist(["one of N", "M of N", "all active", "static", "no operation"], "must be a policy"),
  count: exactOptional(whole(1)),
  members: exactOptional(list(text)),
  preferred: exactOptional(list(text)),
  preferredOnly: exactOptional(boolean()),
  failback: exactOptional(boolean()),
  quorum: exactOptional(boolean()),
  isAliveMs: exactOptional(whole(1)),
};
const singleton = {
  name: text,
  policy: exactOptional(record(policy)),
  owners: list(text),
  since: record({ epoch: whole(0), writer: string() }),
};
const member = { id: text, kind: picklist(["cell", "gateway", "host"], "must be cell, gateway or host"), host: text, key: text };
/** Who signs what: given when the system is made, and changed while it runs. */
const keys = { authority: exactOptional(text), revoked: exactOptional(list(text)) };
const order = {
  id: text,
  host: text,
  what: picklist(["start", "stop", "restart", "reload"], "must be start, stop, restart or reload"),
  member: exactOptional(text),
  until: whole(0),
  drainUntil: exactOptional(whole(0)),
  outcome: exactOptional(record({ isDone: boolean(), text: string(), at: whole(0) })),
};
/** What the cells write into a map while the cluster runs. */
const doubled = exactOptional(record({ first: whole(1), isUnderWay: exactOptional(literal(true)) }));
const written = {
  writer: exactOptional(text),
  statedAt: exactOptional(whole(0)),
  singletons: exactOptional(list(record(singleton))),
  founders: exactOptional(list(string())),
  former: exactOptional(list(text)),
  formerUrls: exactOptional(list(record({ id: text, url: text }))),
  doubled,
  revokedBeside: exactOptional(list(text)),
  invitations: exactOptional(list(record({ id: text, host: text, key: exactOptional(text), until: whole(0) }))),
  orders: exactOptional(list(record(order))),
  certificateOrder: exactOptional(record({ host: text, until: whole(0), challenges: list(record({ token: text, answer: text })) })),
  drainingGateways: exactOptional(list(record({ id: text, closeAt: exactOptional(whole(0)) }))),
};
/** Of the group, what may be deployed and be changed while the cluster runs. */
const group = { preferred: exactOptional(list(text)), healAfterMs: exactOptional(whole(healAfterMsMin)) };
const domain = {
  name: text,
  auth: picklist(["digest", "open"], "must be digest or open"),
  digest: exactOptional(list(picklist(["MD5", "SHA-256"], "must be MD5 or SHA-256"))),
};
/** What the operator adds while the cluster runs. */
const added = {
  addedDomains: exactOptional(list(record(domain))),
  gateways: exactOptional(list(record({ id: text, weight: whole(0, gatewayWeightMax) }))),
};
const aliases = list(text);
/** A cell's bounds are narrower: a gateway beats as it is told. */
const heartbeat = { periodMs: whole(10), missed: whole(1) };
const replication = { ackTimeoutMs: whole(0), enabled: exactOptional(boolean("must be true or false")) };
const failedLogins = exactOptional(whole(0));
const callRecords = { days: whole(0, callRecordDaysMax), most: whole(0, callRecordsMostMax) };
const unknownTokenStatus = exactOptional(whole(400, 699));
const hashKey = exactOptional(pipe(string("must be 32 hex digits"), regex(/^[0-9a-f]{32}$/, "must be 32 hex digits")));

const noCell = "must name a cell";

const spread = {
  version: whole(0),
  ...written,
  ...added,
  ...group,
  ...keys,
  members: exactOptional(list(record(member))),
  cells: pipe(array(record(cell)), minLength(1, noCell), readonly()),
  exchangeCount: whole(1),
  hashKey,
  assignments: exactOptional(list(record(assignment))),
  lineCount: whole(1),
  domains: list(record(domain)),
  aliases,
  heartbeat: record(heartbeat),
  replication: record(replication),
  flushMs: whole(0),
  failedLogins,
  callRecords: exactOptional(record(callRecords)),
  unknownTokenStatus,
};

/** The cluster map as it comes over a control link. The cell may be of a later release: fields that this one does not know are left out. */
export const clusterMapSchema = record(spread) satisfies GenericSchema<unknown, ClusterMap>;

/** The same between cells, and on their disks: what a later release has added is carried on, for it would be lost with the next that is told. */
export const carriedMapSchema = pipe(looseObject(spread, "must be an object"), readonly()) satisfies GenericSchema<unknown, ClusterMap>;

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
  hashKey,
  assignments: exactOptional(pipe(array(strictRecord(assignment), "must be a list"), readonly())),
  ...group,
  ...keys,
  members: exactOptional(pipe(array(strictRecord(member), "must be a list"), readonly())),
  lineCount: whole(1),
  domains: pipe(array(strictRecord(domain), "must be a list"), minLength(1, "must name a domain"), readonly()),
  aliases,
  heartbeat: strictRecord(heartbeat),
  replication: strictRecord(replication),
  flushMs: whole(0),
  failedLogins,
  callRecords: exactOptional(strictRecord(callRecords)),
  unknownTokenStatus,
}) satisfies GenericSchema<unknown, ClusterMap>;
