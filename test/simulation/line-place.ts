import { serializeFlowKey } from "../../sip/flow/flow.ts";
import type { Cell } from "./cell.ts";
import { Line } from "./line.ts";
import type { End, EndHandlers } from "./network.ts";

/** A softphone's WebSocket, with its attachment. */
export type Softphone = { readonly end: End; readonly exchanges: Set<number> };

/** Where one line lives in the process of its cell: what outlives the memory of a Durable Object, and the line itself while it is awake. */
export class LinePlace {
  readonly cell: Cell;
  readonly access: string;
  /** By flow key. */
  readonly softphones = new Map<string, Softphone>();
  #line: Line | undefined;

  constructor(cell: Cell, access: string) {
    this.cell = cell;
    this.access = access;
  }

  /** Undefined: it sleeps, or has not started. */
  get awake(): Line | undefined {
    return this.#line;
  }

  /** Whatever comes wakes it. */
  wake(): Line {
    return (this.#line ??= new Line(this));
  }

  /** The runtime puts it to sleep, if nothing is under way. */
  sleep(): boolean {
    if (this.#line?.maySleep !== true) return false;
    this.cell.host.trace(() => `line ${this.access} sleeps`);
    this.#forget();
    return true;
  }

  /** Its memory is gone, whatever it did, and its WebSockets are closed. */
  reset(): void {
    this.cell.host.trace(() => `line ${this.access} is reset`);
    for (const { end } of this.softphones.values()) end.close();
    this.softphones.clear();
    this.#forget();
  }

  /** Its softphones are to go elsewhere. */
  drain(): void {
    for (const [key, softphone] of this.softphones) {
      softphone.end.close();
      this.softphones.delete(key);
      this.wake().ended(key, softphone);
    }
  }

  accept(address: string, port: number, end: End): EndHandlers {
    const connection = this.cell.cluster.random.id();
    const key = serializeFlowKey({ transport: "WS", listener: 0, connection, address, port });
    const softphone = { end, exchanges: new Set<number>() };
    this.softphones.set(key, softphone);
    return {
      message: (data) => (data === "ping" ? end.send("pong") : this.wake().said(key, data as Uint8Array, softphone)),
      closed: () => {
        if (this.softphones.delete(key)) this.wake().ended(key, softphone);
      },
    };
  }

  #forget(): void {
    const line = this.#line;
    this.#line = undefined;
    line?.end();
  }
}
