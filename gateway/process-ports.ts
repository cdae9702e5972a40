import type { CellConnection, CellConnectionEvents } from "../actors/gateway/cell-link.ts";
import type { Log, ProcessPorts } from "../actors/gateway/ports.ts";
import { CellSocket, type CellSocketSigner } from "./links/cell-socket.ts";
import { MaskKeys } from "./links/masked-frame.ts";
import { steadyNow } from "./steady-now.ts";
import { TimeoutTimer } from "./timeout-timer.ts";

/** Clocks, timers, chance and WebSockets of this process, for what a gateway decides. */
export function processPorts(signer: CellSocketSigner, log: Log): ProcessPorts {
  const keys = new MaskKeys();
  return {
    now: steadyNow,
    wallAt: (moment) => moment + (Date.now() - steadyNow()),
    timer: (run) => new TimeoutTimer(run),
    afterThisTurn: (run) => void setImmediate(run),
    random: () => Math.random(),
    connect: (target, events) => {
      try {
        return new CellSocket(target, signer, keys, events);
      } catch (error) {
        return noConnection(error, events);
      }
    },
    log,
  };
}

/** A URL that no connection can be made to. It is tried again, as one that refuses is: a wrong map must not end the gateway. */
function noConnection(error: unknown, events: CellConnectionEvents): CellConnection {
  const reason = error instanceof Error ? error.message : String(error);
  const told = setImmediate(() => events.lost(reason, "connection refused"));
  const forget = (): void => clearImmediate(told);
  return { send: () => {}, close: forget, cut: forget };
}
