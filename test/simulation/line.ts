import type { CallOutcome } from "../../actors/line/exchange-link.ts";
import { Line as LineActor } from "../../actors/line/line.ts";
import { serializeFlowKey } from "../../sip/flow/flow.ts";
import type { Cell } from "./cell.ts";
import { timersOf } from "./host-timer.ts";
import type { End, EndHandlers } from "./network.ts";
import { TimelyCalls } from "./timely.ts";

type Softphone = { readonly end: End; readonly exchanges: Set<number> };

const notTaken = new Error("the replica did not take it");

/** A line in its simulated cell: softphones' connections on one side, calls to replicas on the other. */
export class Line {
  readonly access: string;
  readonly #cell: Cell;
  readonly #softphones = new Map<string, Softphone>();
  readonly #calls: TimelyCalls;
  readonly #actor: LineActor<Softphone>;

  constructor(cell: Cell, access: string) {
    this.#cell = cell;
    this.access = access;
    this.#calls = new TimelyCalls(cell);
    const { host } = cell;
    this.#actor = new LineActor(
      { access, cell: cell.id, map: cell.cluster.map },
      {
        now: () => host.now,
        timer: timersOf(host),
        send: (key, octets) => this.#send(key, octets),
        close: (key) => this.#softphones.get(key)?.end.close(),
        remember: ({ exchanges }, exchange) => void exchanges.add(exchange),
        exchangesOf: ({ exchanges }) => exchanges,
        call: (exchange, target, frame, over) => this.#call(exchange, target, frame, over),
        wentOnAt: (told) => host.soon(() => told(cell.wentOnAt)),
        unreachable: (exchange, target, reason) => {
          host.trace(() => `line ${access}: exchange ${exchange} in cell ${target} is unreachable`);
          if (reason !== notTaken) host.threw(reason);
        },
      },
    );
  }

  get octetsHeld(): number {
    return this.#actor.octetsHeld;
  }

  accept(address: string, port: number, end: End): EndHandlers {
    const connection = this.#cell.cluster.random.id();
    const key = serializeFlowKey({ transport: "WS", listener: 0, connection, address, port });
    const softphone = { end, exchanges: new Set<number>() };
    this.#softphones.set(key, softphone);
    return {
      message: (data) =>
        data === "ping" ? end.send("pong") : this.#actor.said({ key, octets: data as Uint8Array, softphone }, this.#cell.host.now),
      closed: () => {
        this.#softphones.delete(key);
        this.#actor.ended(key, softphone);
      },
    };
  }

  /** A frame of an exchange; the answer has what could not be delivered. Undefined: it is too late for it. */
  deliver(octets: Uint8Array, until: number): Uint8Array | undefined {
    return this.#actor.deliver(octets, until);
  }

  #send(key: string, octets: Uint8Array): boolean {
    const softphone = this.#softphones.get(key);
    if (softphone?.end.isOpen !== true) return false;
    softphone.end.send(octets);
    return true;
  }

  #call(exchange: number, target: string, frame: Uint8Array, over: (outcome: CallOutcome) => void): void {
    const { cluster, host, id } = this.#cell;
    const answered = (answer: Uint8Array | undefined): void => over(answer ?? notTaken);
    if (target === id) {
      host.soon(() => this.#cell.replica(exchange).takeLineFrame(this.access, frame, undefined, answered));
      return;
    }
    const there = cluster.cell(target);
    this.#calls.bring(there, (until, answer) => there.replica(exchange).takeLineFrame(this.access, frame, until, answer), answered);
  }
}
