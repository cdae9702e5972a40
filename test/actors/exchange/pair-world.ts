import { isParseError } from "../../../sip/errors.ts";
import { Header } from "../../../sip/message/header-names.ts";
import { octetsOf } from "../../../sip/message/octets.ts";
import { parseMessage, type SipMessage } from "../../../sip/message/sip-message.ts";
import { cellOfLine, isLine } from "../../../sip/flow/flow.ts";
import { RecordKind } from "../../../cluster/backhaul/frame.ts";
import { parseDialogToken, parseViaMark, viaMarkName } from "../../../sip/flow/token.ts";
import { listeners, TestExchange, type Sent } from "./harness.ts";
import { told } from "../../sip/record/told.ts";

export type Cell = "a" | "b";
export const otherCell = (cell: Cell): Cell => (cell === "a" ? "b" : "a");

/** Something that a phone receives. */
export type Receiver = {
  readonly access: string;
  readonly key: string;
  receive(message: SipMessage, now: number): void;
  tick(now: number): void;
};

type Held = { readonly sent: Sent; readonly commit: number };

/**
 * Two replicas of one exchange, cells a and b, and two gateways and a line of each cell that choose between them as the real ones do: by the
 * token's cell, the primary otherwise, the other one after a loss. What one replica changes goes to the other at the end of each event, what
 * must wait for that waits. Phones hang on it through their `receive`.
 */
export class PairWorld {
  readonly replicas: Record<Cell, TestExchange>;
  readonly phones: Receiver[] = [];
  readonly dead = new Set<Cell>();
  /** The replicas cannot reach each other. */
  isCut = false;
  /** Messages that phones have sent and no replica has had yet. */
  readonly #arriving: { readonly phone: Receiver; readonly text: string }[] = [];
  readonly #held: Record<Cell, Held[]> = { a: [], b: [] };
  readonly #given: Record<Cell, number> = { a: 0, b: 0 };
  /** Whether each has been told at once what the other one changes. */
  readonly #isKnown = { a: false, b: false };
  /** Counts messages from phones. */
  events = 0;
  /** What happens around a message from a phone; returns false when the message is lost with the replica that it was for. */
  around: (event: number, deliver: (how?: "unlinked") => void) => void = (_event, deliver) => deliver();

  constructor() {
    this.replicas = { a: newReplica("a"), b: newReplica("b") };
  }

  get now(): number {
    return this.replicas.a.now;
  }

  /** A phone sends: it is delivered by {@link run}. */
  send(phone: Receiver, text: string): void {
    this.#arriving.push({ phone, text });
  }

  /** Delivers until nothing is under way. */
  settle(): void {
    for (let next = this.#arriving.shift(); next !== undefined; next = this.#arriving.shift()) {
      const { phone, text } = next;
      this.events += 1;
      this.around(this.events, (how) => this.deliver(phone, text, how));
    }
  }

  /** One message reaches the replica that its access chooses. `unlinked`: the replica dies before it can tell the other what changed. */
  deliver(phone: Receiver, text: string, how?: "unlinked"): void {
    const cell = this.choose(phone.access, text);
    this.give(cell, phone.access, RecordKind.message, phone.key, text, how);
  }

  give(cell: Cell, access: string, kind: number, key: string, text: string, how?: "unlinked"): void {
    const replica = this.replicas[cell];
    replica.exchange.receive(access, { kind, key, octets: octetsOf(text) }, replica.now);
    this.drain(cell, how);
  }

  drain(cell: Cell, how?: "unlinked"): void {
    this.#take(cell);
    if (how !== "unlinked") this.link();
  }

  #take(cell: Cell): void {
    for (const sent of this.replicas[cell].drain()) {
      if (sent.commit === undefined) this.#arrive(sent, cell);
      else this.#held[cell].push({ sent, commit: sent.commit });
    }
  }

  choose(access: string, text: string): Cell {
    const message = parseMessage(octetsOf(text));
    if (isParseError(message)) throw new Error(message.reason);
    const named = namedCell(message);
    const preferred = named ?? (isLine(access) ? (cellOfLine(access) as Cell) : "a");
    return this.dead.has(preferred) ? otherCell(preferred) : preferred;
  }

  /** Both tell each other what has changed, unless they cannot; what waited for that leaves. */
  link(): void {
    for (const from of ["a", "b"] as const) {
      const to = otherCell(from);
      const isAlone = this.isCut || this.dead.has(to);
      const { store } = this.replicas[from].exchange;
      if (this.dead.has(from)) continue;
      if (this.#isKnown[from] === isAlone)
        this.replicas[from].exchange.setPeerKnown(isAlone ? this.now : Number.POSITIVE_INFINITY, this.now);
      this.#isKnown[from] = !isAlone;
      if (!isAlone) {
        const { records, sequence } = store.changedSince(this.#given[from], 10_000);
        this.#given[from] = sequence;
        for (const record of told(records)) this.replicas[to].exchange.applyFromPeer(record, this.now);
        store.acknowledge(sequence);
        this.#take(to);
      }
      const held = this.#held[from].filter(({ commit }) => isAlone || store.acknowledged >= commit);
      this.#held[from] = this.#held[from].filter((each) => !held.includes(each));
      for (const { sent } of held) this.#arrive(sent, from);
    }
  }

  /** The cell dies with what it had not sent; every access tells the other one. */
  kill(cell: Cell): void {
    this.dead.add(cell);
    this.#held[cell] = [];
    for (const access of ["g1", "g2", "a.0", "b.0"]) {
      if (isLine(access) && cellOfLine(access) === cell) continue;
      this.give(otherCell(cell), access, RecordKind.takeover, "", "");
    }
  }

  /** A new process in the place of a dead one: it serves when it has all that the other one holds. */
  restart(cell: Cell): void {
    const replica = newReplica(cell);
    replica.now = this.now;
    this.replicas[cell] = replica;
    this.dead.delete(cell);
    this.#given[cell] = 0;
    const other = otherCell(cell);
    const { records, sequence } = this.replicas[other].exchange.store.changedSince(0, 100_000, true);
    for (const record of records) replica.exchange.applyFromPeer(record, this.now);
    this.#given[other] = sequence;
    this.link();
  }

  /** Time goes on for everybody, a tenth of a second at a time. */
  advance(ms: number): void {
    const until = this.now + ms;
    this.settle();
    while (this.now < until) {
      const next = Math.min(this.now + 100, until);
      for (const cell of ["a", "b"] as const) {
        const replica = this.replicas[cell];
        replica.now = next;
        if (this.dead.has(cell)) continue;
        replica.exchange.tick(next);
        this.drain(cell);
      }
      for (const phone of this.phones) phone.tick(next);
      this.settle();
    }
  }

  #arrive(sent: Sent, cell: Cell): void {
    // A UDP phone is where it is, whichever gateway the datagram comes from.
    const isThere = (each: Receiver): boolean => each.key === sent.key && (sent.key.startsWith("u") || each.access === sent.access);
    const phone = this.phones.find(isThere);
    if (phone !== undefined) phone.receive(sent.message, this.now);
    else if (!sent.key.startsWith("u")) this.give(cell, sent.access, RecordKind.undeliverable, sent.key, sent.text);
  }
}

function newReplica(cell: Cell): TestExchange {
  const replica = new TestExchange("open", { cell });
  replica.exchange.connectAccess("g2", listeners);
  replica.exchange.connectAccess("b.0", [{ transport: "WS", host: "example.test", port: 80 }]);
  return replica;
}

/** The cell that a message's token names: of the top Via in a response, of the top Route in a request. */
function namedCell(message: SipMessage): Cell | undefined {
  if (!message.isRequest) {
    const via = message.topVia;
    return isParseError(via) ? undefined : (parseViaMark(via.params.get(viaMarkName) ?? "")?.cell as Cell | undefined);
  }
  const [route = ""] = message.values(Header.Route);
  const user = /^<sips?:([^@]*)@/.exec(route)?.[1] ?? "";
  return parseDialogToken(user)?.cell as Cell | undefined;
}
