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
    connect: (target, events) => new CellSocket(target, signer, keys, events),
    log,
  };
}
