import { getPriority, setPriority } from "node:os";
import { urgentSteps } from "./limits.ts";

/**
 * Whether this process goes before others of its machine. What waits in its sockets waits for longer than a phone does, and is said again: no cell can do
 * anything against that. Only who may (root, CAP_SYS_NICE) can go before others and back. For all others nothing changes.
 */
export function setUrgent(isUrgent: boolean): void {
  try {
    const wanted = isUrgent ? usual - urgentSteps : usual;
    if (getPriority() !== wanted) setPriority(wanted);
  } catch {
    // It may not.
  }
}

/** As it was started. */
const usual = getPriority();
