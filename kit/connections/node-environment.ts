import { randomUUID } from "node:crypto";
import type { PhoneEnvironment, Planned } from "../phone/environment.ts";

/** Time and chance of Node. What a phone has planned keeps no process from ending. */
export const nodeEnvironment: PhoneEnvironment = {
  get now(): number {
    return performance.now();
  },
  after: (ms: number, act: () => void): Planned => {
    const timer = setTimeout(act, ms).unref();
    return { cancel: () => clearTimeout(timer) };
  },
  random: () => Math.random(),
  newId: () => randomUUID(),
};
