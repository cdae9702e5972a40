import { exchangesIn } from "../../cluster/map/serving-cells.ts";
import { pairOf, type ClusterMap } from "../../cluster/map/cluster-map.ts";
import { type Metric, type Sample, single } from "../../cluster/metrics/exposition.ts";
import { within } from "../cells.ts";
import { clusterMapOf, codeOf, coreGroupObject, type Environment, exchangeObject, lineObject } from "../environment.ts";
import type { CoreGroupStatus } from "../core-group/core-group-object.ts";
import type { ExchangeMetrics } from "../exchange/exchange-object.ts";
import { cellAnswerMsMax, exchangeCountsMsMax } from "../limits.ts";

/** What a cell knows of itself, at the moment of being asked. */
export type CellSelf = {
  readonly cell: string;
  readonly code: string;
  readonly map: ClusterMap;
  readonly group: CoreGroupStatus;
  readonly isDiskFull: boolean;
  readonly signaturesRefused: number;
  /** Of every replica of this cell that has answered in time. */
  readonly exchanges: readonly ExchangeMetrics[];
  /** Absent: a line has not answered in time. */
  readonly softphones: number | undefined;
};

/** Asks the objects of this cell, and no other cell: Prometheus asks each by itself. */
export async function cellSelf(env: Environment): Promise<CellSelf> {
  const map = clusterMapOf(env);
  const group = coreGroupObject(env);
  const lines = Array.from({ length: map.lineCount }, async (_, line) => await lineObject(env, line).softphones());
  const [[status, own], exchanges, softphones] = await Promise.all([
    within(Promise.all([group.status(), group.ownShare()]), cellAnswerMsMax),
    Promise.allSettled(
      exchangesIn(map, env.CELL).map(async (exchange) => await within(exchangeObject(env, exchange).metrics(), exchangeCountsMsMax)),
    ),
    within(Promise.all(lines), exchangeCountsMsMax).catch(() => undefined),
  ]);
  return {
    cell: env.CELL,
    code: codeOf(env),
    map,
    group: status,
    isDiskFull: own.isDiskFull === true,
    signaturesRefused: own.signaturesRefused,
    exchanges: exchanges.flatMap((each) => (each.status === "fulfilled" ? [each.value] : [])),
    softphones: softphones?.reduce((sum, each) => sum + each, 0),
  };
}

/** The metrics of a cell. Labels are names of members, numbers of exchanges, methods and status codes of SIP: none is a stranger's word. */
export function cellMetrics(self: CellSelf): Metric[] {
  const { cell, code, group, exchanges, softphones } = self;
  const { view } = group;
  return [
    single("tandem_cell_info", "gauge", "1; which code the Worker of this cell runs.", 1, { cell, code }),
    {
      name: "tandem_member_up",
      help: "1: this cell can reach the member, or is it; 0: it is down.",
      type: "gauge",
      samples: [
        ...view.cells.map(({ id, state }) => ({ labels: { member: id, kind: "cell" }, value: isReached(state) })),
        ...group.gateways.map(({ id, state }) => ({ labels: { member: id, kind: "gateway" }, value: isReached(state) })),
      ],
    },
    {
      name: "tandem_member_draining",
      help: "1: an operator has taken the member out of service.",
      type: "gauge",
      samples: [
        ...view.cells.map(({ id, state }) => ({ labels: { member: id, kind: "cell" }, value: state === "draining" ? 1 : 0 })),
        ...group.gateways.map(({ id, state }) => ({ labels: { member: id, kind: "gateway" }, value: state === "draining" ? 1 : 0 })),
      ],
    },
    {
      name: "tandem_cell_delay_seconds",
      help: "There and back to another cell, as its heartbeats take.",
      type: "gauge",
      samples: group.cells.flatMap(({ id, delayMs }) => (delayMs === undefined ? [] : [{ labels: { to: id }, value: delayMs / 1_000 }])),
    },
    single("tandem_view_changes_total", "counter", "Changes of the view of this cell: members that came, went or were lost.", view.epoch),
    single("tandem_map_version", "gauge", "Version of the newest cluster map that this cell knows.", group.map.version),
    single("tandem_fenced", "gauge", "1: this cell reaches nobody, and takes no registrations.", view.isFenced ? 1 : 0),
    single("tandem_disk_full", "gauge", "1: the disk of this cell has no room.", self.isDiskFull ? 1 : 0),
    single("tandem_signatures_refused_total", "counter", "Requests refused for a wrong, old or used signature.", self.signaturesRefused),
    {
      name: "tandem_softphones",
      help: "WebSockets of softphones that are open at this cell.",
      type: "gauge",
      samples: softphones === undefined ? [] : [{ value: softphones }],
    },
    ...exchangeMetrics(self),
    ...sipMetrics(exchanges),
  ];
}

/** What each replica of the cell has. */
function exchangeMetrics({ cell, map, exchanges }: CellSelf): Metric[] {
  const ofExchange = (valueOf: (each: ExchangeMetrics) => number): Sample[] =>
    exchanges.map((each) => ({
      labels: { exchange: String(each.exchange), role: roleOf(map, each.exchange, cell) },
      value: valueOf(each),
    }));
  return [
    {
      name: "tandem_exchange_paired",
      help: "1: the other replica has all that this one has; 0: a failure now would cost something.",
      type: "gauge",
      samples: ofExchange(({ pair }) => (pair === "together" ? 1 : 0)),
    },
    {
      name: "tandem_exchange_late_seconds",
      help: "How old what this replica reads is: its machine is too busy.",
      type: "gauge",
      samples: ofExchange(({ lateMs }) => lateMs / 1_000),
    },
    {
      name: "tandem_registrations",
      help: "Bindings that have not expired; both replicas count them, so add up one role.",
      type: "gauge",
      samples: ofExchange(({ registrations }) => registrations),
    },
    {
      name: "tandem_dialogs",
      help: "Calls that stand and are answered; both replicas count them, so add up one role.",
      type: "gauge",
      samples: ofExchange(({ dialogs }) => dialogs),
    },
    {
      name: "tandem_transactions",
      help: "SIP transactions in memory, finished ones that absorb repeats included.",
      type: "gauge",
      samples: ofExchange(({ transactions }) => transactions),
    },
    {
      name: "tandem_subscribers",
      help: "Users who have a password; both replicas count them, so add up one role.",
      type: "gauge",
      samples: ofExchange(({ subscribers }) => subscribers),
    },
  ];
}

/** Over all exchanges of the cell: by exchange there would be too many. */
function sipMetrics(exchanges: readonly ExchangeMetrics[]): Metric[] {
  const sums = new Map<string, { readonly method: string; readonly status: number; value: number }>();
  for (const { method, status, count } of exchanges.flatMap(({ sip }) => sip)) {
    const key = `${method} ${status}`;
    const sum = sums.get(key);
    if (sum === undefined) sums.set(key, { method, status, value: count });
    else sum.value += count;
  }
  const all = [...sums.values()].toSorted((a, b) => (a.method < b.method ? -1 : a.method > b.method ? 1 : a.status - b.status));
  return [
    {
      name: "tandem_sip_requests_total",
      help: "SIP requests that came, repeats included, by method.",
      type: "counter",
      samples: all.filter(({ status }) => status === 0).map(({ method, value }) => ({ labels: { method }, value })),
    },
    {
      name: "tandem_sip_responses_total",
      help: "SIP responses to them, each once, by method and status code; 999 stands for codes that no RFC names.",
      type: "counter",
      samples: all
        .filter(({ status }) => status !== 0)
        .map(({ method, status, value }) => ({ labels: { method, code: String(status) }, value })),
    },
  ];
}

function roleOf(map: ClusterMap, exchange: number, cell: string): string {
  const { primary, secondary } = pairOf(map, exchange);
  return cell === primary ? "primary" : cell === secondary ? "secondary" : "joining";
}

function isReached(state: string): number {
  return state === "up" || state === "draining" || state === "joining" ? 1 : 0;
}
