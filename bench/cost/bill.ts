import type { MeterReport } from "./meter.ts";
import {
  objectRequest,
  objectSecond,
  rowRead,
  rowWritten,
  webSocketMessagesPerRequest,
  workerCpuMs,
  workerCpuMsPerRequest,
  workerRequest,
} from "./prices.ts";

/** Billed operations, of whatever span or unit. */
export type Bill = {
  readonly workerRequests: number;
  /** RPC calls, fetches and alarms. */
  readonly objectRequests: number;
  /** Incoming ones, of gateways and softphones; 20 are a request. */
  readonly webSocketMessages: number;
  /** The same, between the two replicas of an exchange. */
  readonly peerMessages: number;
  /** Alarms that were set included. */
  readonly rowsWritten: number;
  readonly rowsRead: number;
  readonly objectSeconds: number;
};

export const nothing: Bill = {
  workerRequests: 0,
  objectRequests: 0,
  webSocketMessages: 0,
  peerMessages: 0,
  rowsWritten: 0,
  rowsRead: 0,
  objectSeconds: 0,
};

const names = [
  "workerRequests",
  "objectRequests",
  "webSocketMessages",
  "peerMessages",
  "rowsWritten",
  "rowsRead",
  "objectSeconds",
] as const;

/** What cells have counted together. */
export function billOf(reports: readonly MeterReport[]): Bill {
  const objects = reports.flatMap((report) => Object.values(report.objects));
  return {
    workerRequests: sum(reports.flatMap(({ worker }) => Object.values(worker))),
    objectRequests: sum(objects.map(({ calls, alarms }) => sum(Object.values(calls)) + alarms)),
    webSocketMessages: sum(objects.map(({ webSocketMessages }) => webSocketMessages)),
    peerMessages: sum(objects.map(({ peerMessages }) => peerMessages)),
    rowsWritten: sum(objects.map((counts) => counts.rowsWritten + counts.alarmsSet)),
    rowsRead: sum(objects.map(({ rowsRead: rows }) => rows)),
    objectSeconds: sum(objects.map(({ awakeMs }) => awakeMs / 1000)),
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Name by name. */
export function combine(one: Bill, other: Bill, of: (one: number, other: number) => number): Bill {
  return Object.fromEntries(names.map((name) => [name, of(one[name], other[name])])) as Bill;
}

export function minus(one: Bill, other: Bill): Bill {
  return combine(one, other, (left, right) => left - right);
}

/** Every number times `factor`. */
export function times(bill: Bill, factor: number): Bill {
  return combine(bill, bill, (value) => value * factor);
}

/** In dollars. `hasBindings`: cells call each other over service bindings, whose requests are not billed. */
export function dollarsOf(bill: Bill, hasBindings = false): number {
  const worker = hasBindings ? 0 : bill.workerRequests * workerRequest;
  return (
    worker +
    bill.workerRequests * workerCpuMsPerRequest * workerCpuMs +
    (bill.objectRequests + (bill.webSocketMessages + bill.peerMessages) / webSocketMessagesPerRequest) * objectRequest +
    bill.rowsWritten * rowWritten +
    bill.rowsRead * rowRead +
    bill.objectSeconds * objectSecond
  );
}
