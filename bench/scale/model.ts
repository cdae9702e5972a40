import type { Bill } from "../cost/bill.ts";
import { dollarsOf, times } from "../cost/bill.ts";
import { gigabyteMonth, objectSecond } from "../cost/prices.ts";
import { framesPerCall } from "./backhaul-simulation.ts";

/** What is to be carried, and what is known of a part of it. */
export type Plan = {
  readonly phones: number;
  readonly callsPerSecond: number;
  readonly exchanges: number;
  readonly gateways: number;
  readonly callSeconds: number;
  /** Each phone's REGISTERs an hour. */
  readonly registersPerHour: number;
};

/** Figures that come from measurements, each named where it is used in docs/scale.md. */
export type Measured = {
  /** KiB of a cell's memory for a registration, a standing dialog, and an exchange with nothing in it. */
  readonly registrationKib: number;
  readonly dialogKib: number;
  readonly objectMib: number;
  /** CPU us of a call: in the cells together, in the gateway. */
  readonly cellsUs: number;
  readonly gatewayUs: number;
  /** Batches to the peer for a call. */
  readonly batchesPerCall: number;
  readonly call: Bill;
  readonly phoneHour: Bill;
};

/** What one object, one gateway and the bill come to. */
export type Load = {
  readonly objects: number;
  readonly backhauls: number;
  readonly socketsOfExchange: number;
  readonly framesPerSecond: number;
  readonly batchesPerSecond: number;
  readonly eventsPerSecond: number;
  readonly memoryMib: number;
  readonly threadShare: number;
  readonly gatewayCores: number;
  readonly dollarsOfCalls: number;
  readonly dollarsOfPhones: number;
  readonly dollarsAwake: number;
  readonly dollarsStored: number;
};

const secondsOfMonth = 730 * 3600;
/** A registration as text; a log holds at most twice what counts, and there are two of them. */
const registrationOctets = 600 * 2 * 2;

/** `answerMs`: from a gateway to an exchange, to its peer and back. */
export function loadOf(plan: Plan, measured: Measured, answerMs: number): Load {
  const { exchanges, gateways } = plan;
  const calls = plan.callsPerSecond / exchanges;
  const registers = (plan.phones * plan.registersPerHour) / 3600 / exchanges;
  // Each gateway has its own backhaul, and gathers only what came to it. A REGISTER is a frame at the worst.
  const frames = gateways * (calls / gateways) * framesPerCall(calls / gateways, answerMs) + registers;
  const batches = Math.min(1000 / answerMs, calls * measured.batchesPerCall + registers);
  const dialogs = plan.callsPerSecond * plan.callSeconds;
  const memory = measured.objectMib + (plan.phones * measured.registrationKib + dialogs * measured.dialogKib) / exchanges / 1024;
  return {
    objects: 2 * exchanges,
    backhauls: 2 * exchanges * gateways,
    socketsOfExchange: gateways,
    framesPerSecond: frames,
    batchesPerSecond: batches,
    eventsPerSecond: frames + batches,
    memoryMib: memory,
    threadShare: (calls * measured.cellsUs) / 1e6,
    gatewayCores: (plan.callsPerSecond * measured.gatewayUs) / 1e6,
    dollarsOfCalls: dollarsOf({ ...times(measured.call, plan.callsPerSecond * secondsOfMonth), objectSeconds: 0 }),
    dollarsOfPhones: dollarsOf({ ...times(measured.phoneHour, plan.phones * 730), objectSeconds: 0 }),
    // An exchange with traffic never sleeps.
    dollarsAwake: 2 * exchanges * secondsOfMonth * objectSecond,
    dollarsStored: ((plan.phones * registrationOctets) / 1e9) * gigabyteMonth,
  };
}
