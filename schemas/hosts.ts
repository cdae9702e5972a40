import { boolean, description, exactOptional, type InferOutput, maxLength, picklist, pipe, regex, string } from "valibot";
import { drainDeadlineMsMax, memberNamePattern, orderTextMax } from "../cluster/limits.ts";
import { servedEntries } from "./keyring.ts";
import { hostProcessesMax, lastWordsMax } from "./limits.ts";
import { list, record, strictRecord, whole } from "./reading.ts";

/** What a host reports of itself and takes as orders (docs/decisions/0051-a-host-reports-and-takes-orders.md). */

const name = pipe(string("must be a text"), regex(memberNamePattern, "must be 1 to 32 letters, digits or hyphens"));
const orderId = pipe(string("must be a text"), regex(/^[0-9a-f]{16,32}$/, "must be 16 to 32 hex digits"));
/** Hosts are believed in what they say, not in how: a control character or a line end would reach the terminal of whoever looks. */
const isLine = regex(/^[^\p{Cc}\p{Zl}\p{Zp}]*$/u, "must be a line without control characters");
const line = pipe(string("must be a text"), maxLength(orderTextMax, `at most ${orderTextMax} characters`), isLine);
const kind = picklist(["start", "stop", "restart", "reload"], "must be start, stop, restart or reload");

/** An order as it is given. */
export const orderEntries = {
  id: orderId,
  host: name,
  what: kind,
  member: exactOptional(name),
  until: whole(0),
  drainUntil: exactOptional(whole(0)),
};

/** What became of one. */
export const outcomeEntries = { id: orderId, isDone: boolean("must be true or false"), text: line, at: whole(0) };

const usage = {
  cpuSeconds: exactOptional(whole(0)),
  cpuPercent: exactOptional(pipe(whole(0), description("of one processor, lately"))),
  memoryOctets: exactOptional(whole(0)),
  descriptors: exactOptional(whole(0)),
};

const processEntries = {
  id: pipe(name, description("of the cell or gateway")),
  kind: picklist(["cell", "gateway"], "must be cell or gateway"),
  state: pipe(
    picklist(["up", "starting", "down", "stopped"], "must be a state"),
    description("`down`: it has died, and is started again; `stopped`: it was told to"),
  ),
  pid: exactOptional(whole(1)),
  since: pipe(whole(0), description("in this state, ms since 1970")),
  starts: pipe(whole(0), description("how often it was started by this host")),
  ...usage,
  lastWords: exactOptional(
    pipe(string("must be a text"), maxLength(lastWordsMax), isLine, description("what it last said on its standard error")),
  ),
  saidAt: exactOptional(pipe(whole(0), description("when, ms since 1970"))),
};

const reportEntries = {
  version: pipe(string("must be a text"), maxLength(64), isLine, description("of its program")),
  since: pipe(whole(0), description("when it started, ms since 1970")),
  ...usage,
  processes: pipe(list(strictRecord(processEntries)), maxLength(hostProcessesMax, `at most ${hostProcessesMax} processes`)),
};

/** `PUT /host/report`. `host` counts where there is no authority: else it is whoever signs. */
export const reportSchema = strictRecord({
  host: name,
  ...reportEntries,
  outcomes: pipe(list(strictRecord(outcomeEntries)), maxLength(hostProcessesMax, `at most ${hostProcessesMax} outcomes`)),
});
export type HostReport = InferOutput<typeof reportSchema>;
export type ReportedProcess = HostReport["processes"][number];

/** Its answer: what the host is to do. `drainMs`: how long it may wait for phones to be elsewhere. */
export const ordersSchema = record({
  orders: list(record({ id: string(), what: kind, member: exactOptional(string()), drainMs: exactOptional(whole(0)) })),
  /** Orders that are not to be begun any more, and of which no outcome is known. */
  asked: list(string()),
});
export type OrdersForHost = InferOutput<typeof ordersSchema>;

/** `PUT /host/service`: a member is to be in service again. */
export const serviceBodySchema = strictRecord({ member: name });

/** `GET /host/left`: of who is being drained. Absent: that is not known. */
export const leftSchema = record({ left: exactOptional(whole(0)) });

/** What cells know of a host: its report, and how old that is. */
export const knownHostSchema = record({
  host: string(),
  agoMs: whole(0),
  report: record({ ...reportEntries, processes: list(record(processEntries)) }),
});
export const knownHostsSchema = list(knownHostSchema);
export type KnownHost = InferOutput<typeof knownHostSchema>;

export const orderBodySchema = strictRecord({
  id: pipe(orderId, description("drawn by whoever gives it: an order of the same id is the same order")),
  what: kind,
  member: exactOptional(pipe(name, description("the cell or gateway that it is about; absent: the host itself, which can `reload`"))),
  drainMs: exactOptional(
    pipe(whole(0, drainDeadlineMsMax), description("`stop` and `restart` wait so long for phones to be elsewhere; absent: not at all")),
  ),
});

export const orderSchema = record({
  id: string(),
  host: string(),
  what: kind,
  member: exactOptional(string()),
  until: pipe(whole(0), description("the host begins it by then, or never; ms since 1970")),
  drainUntil: exactOptional(pipe(whole(0), description("until when it waits for phones to be elsewhere; absent: it does not"))),
  outcome: exactOptional(
    pipe(record({ isDone: boolean(), text: string(), at: whole(0) }), description("what became of it; absent: nobody knows yet")),
  ),
});
export type Order = InferOutput<typeof orderSchema>;

const hostEntries = {
  host: pipe(string(), description("its name; `local` in a system without an authority")),
  state: pipe(
    picklist(["up", "silent", "gone"]),
    description("`silent`: it has not reported for 10 s; `gone`: neither is any cell or gateway of it up, as the asked cell sees it"),
  ),
  agoMs: exactOptional(pipe(whole(0), description("how long ago it reported; absent: it has not since the cells started"))),
  report: exactOptional(
    pipe(record({ ...reportEntries, processes: list(record(processEntries)) }), description("the last one, also of a host that is gone")),
  ),
  runs: exactOptional(
    pipe(
      list(record({ id: string(), kind: picklist(["cell", "gateway"]) })),
      description("what runs on it by the map; absent: this system has no authority"),
    ),
  ),
};
export const hostsSchema = list(record(hostEntries));
export type Hosts = InferOutput<typeof hostsSchema>;

const seenEntries = {
  id: string(),
  state: pipe(string(), description("as the asked cell sees it")),
  heardMs: exactOptional(whole(0)),
};
/** `GET /host/own`: what a host may know of itself, whatever runs there: its row, and how the asked cell sees its cells and gateways. */
export const ownHostSchema = record({
  host: record(hostEntries),
  cell: string(),
  cells: list(record(seenEntries)),
  gateways: list(record(seenEntries)),
});
export type OwnHost = InferOutput<typeof ownHostSchema>;

/** `GET /host/served`: a certificate that gateways show. Absent: cells keep none for these names. */
export const servedSchema = record({ served: exactOptional(record({ ...servedEntries, from: exactOptional(whole(0)) })) });
export type Served = InferOutput<typeof servedSchema>;
