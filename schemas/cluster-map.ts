import { boolean, exactOptional, type GenericSchema, minLength, nonEmpty, picklist, pipe, readonly, string, url, array } from "valibot";
import type { ClusterMap } from "../cluster/map/cluster-map.ts";
import { list, record, whole } from "./reading.ts";

const text = pipe(string("must be a text"), nonEmpty("must not be empty"));

/** The cluster map as it comes over a control link. A cell's bounds for the heartbeat are narrower: a gateway beats as it is told. */
export const clusterMapSchema = record({
  version: whole(0),
  cells: pipe(array(record({ id: text, url: pipe(text, url("must be a URL")) })), minLength(1, "must name a cell"), readonly()),
  exchangeCount: whole(1),
  lineCount: whole(1),
  domains: list(
    record({
      name: text,
      auth: picklist(["digest", "open"], "must be digest or open"),
      digest: exactOptional(list(picklist(["MD5", "SHA-256"], "must be MD5 or SHA-256"))),
    }),
  ),
  aliases: list(text),
  heartbeat: record({ periodMs: whole(10), missed: whole(1) }),
  replication: record({ ackTimeoutMs: whole(0), enabled: exactOptional(boolean("must be true or false")) }),
  flushMs: whole(0),
  failedLogins: exactOptional(whole(0)),
}) satisfies GenericSchema<unknown, ClusterMap>;
