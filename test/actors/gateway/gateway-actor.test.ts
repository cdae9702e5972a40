import { describe, expect, it } from "vitest";
import type { BackhaulLink } from "../../../actors/gateway/backhaul-link.ts";
import type { CellConnectionEvents } from "../../../actors/gateway/cell-link.ts";
import type { PhoneConnection } from "../../../actors/gateway/dispatcher.ts";
import { GatewayActor } from "../../../actors/gateway/gateway-actor.ts";
import { backhaulHoldMs, replicaLeavesMs, standstillWaitMs, tallyMsMin } from "../../../actors/gateway/limits.ts";
import { standstillMsMin } from "../../../actors/limits.ts";
import { decodeFrame, encodeFrame, isFrameError, RecordKind, type FrameRecord } from "../../../cluster/backhaul/frame.ts";
import type { ClusterMap } from "../../../cluster/map/cluster-map.ts";
import { newCounters } from "../../../gateway/counters.ts";
import { octetsOf, stringOf } from "../../../sip/message/octets.ts";
import { serializeFlowKey } from "../../../sip/flow/flow.ts";
import { VirtualTime } from "../virtual-time.ts";

const map: ClusterMap = {
  version: 1,
  cells: [{ id: "a", url: "http://127.0.0.1:8801" }],
  exchangeCount: 1,
  lineCount: 1,
  domains: [{ name: "example.test", auth: "digest" }],
  aliases: [],
  heartbeat: { periodMs: 1_000, missed: 3 },
  replication: { ackTimeoutMs: 200 },
  flushMs: 1_000,
};
const configured = [{ id: "a", url: "http://192.0.2.77:8801" }] as const;
const udp = "u0..c6336407138e";

function request(method: string, uri = "sip:bob@example.test"): Uint8Array {
  return octetsOf(
    `${method} ${uri} SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7:5006;branch=z9hG4bK${method}\r\nMax-Forwards: 70\r\n` +
      `From: <sip:alice@example.test>;tag=1\r\nTo: <sip:bob@example.test>\r\nCall-ID: c\r\nCSeq: 1 ${method}\r\n\r\n`,
  );
}

/** A gateway with one cell, its clock, and phones that keep what they are sent. */
class Rig {
  readonly time = new VirtualTime();
  readonly counters = newCounters();
  /** What phones were sent, as `flow: start line`. */
  readonly sent: string[] = [];
  /** What the exchange was brought, as `kind key`. */
  readonly brought: string[] = [];
  /** Flows that are there: everything that is sent to another one cannot be delivered. */
  readonly flows = new Set([udp]);
  /** What the cell was told on the control link. */
  readonly told: string[] = [];
  /** New requests that it says it has refused. */
  shed = 0;
  #control: CellConnectionEvents | undefined;
  #backhaul: CellConnectionEvents | undefined;
  /** How backhauls that were closed have ended, by their cells. */
  readonly ended: string[] = [];
  /** Where cells were looked for, as `exchange URL`. */
  readonly dialled: string[] = [];
  /** The acknowledgements that a cell's replica was sent, as `cell number`. */
  readonly acknowledged: string[] = [];
  #seq = 0;
  #turn: (() => void)[] = [];
  readonly actor: GatewayActor;

  constructor(cells: ClusterMap["cells"] = map.cells) {
    this.actor = new GatewayActor(
      {
        name: "g1",
        boot: "1",
        listeners: [{ transport: "UDP", host: "192.0.2.1", port: 5060 }],
        cells,
        counters: this.counters,
      },
      {
        now: () => this.time.now,
        wallAt: (moment: number) => moment,
        timer: (run) => this.time.timer(run),
        afterThisTurn: (run) => void this.#turn.push(run),
        random: () => 0,
        connect: ({ exchange, cell, url }, events) => {
          this.dialled.push(`${exchange} ${url}`);
          if (exchange === "control") this.#control = events;
          else this.#backhaul = events;
          const end = (how: string) => (): void => void (exchange !== "control" && this.ended.push(`${cell} ${how}`));
          return { send: (data) => this.#took(data, cell), close: end("closed"), cut: end("cut") };
        },
        log: () => undefined,
        send: (flowKey, octets, link) => this.#send(flowKey, octets, link),
        close: (flowKey) => void this.flows.delete(flowKey),
        resolve: (uri, found) => found([`to ${uri}`]),
        isClusterMap: (value): value is ClusterMap => value !== undefined,
        tally: () => ({ isNative: true, datagramsLost: 0, datagramsDropped: 0, datagramsPaced: 0, shed: this.shed }),
        looked: () => undefined,
        inputDelayMs: () => 0,
        setUrgent: () => undefined,
      },
    );
    this.#control?.opened();
  }

  /** The cell sends its map, and its exchange serves. */
  up(): this {
    this.#control?.text(JSON.stringify({ type: "map", map }));
    return this.serves();
  }

  /** The backhaul that was begun last opens, and its exchange serves. */
  serves(): this {
    this.#seq = 0;
    this.#backhaul?.opened();
    this.turn();
    this.answers(1, { kind: RecordKind.serving, key: "1", octets: new Uint8Array(0) });
    return this;
  }

  /** The cell sends another map. The events of the backhaul that there was. */
  maps(other: ClusterMap): CellConnectionEvents | undefined {
    const before = this.#backhaul;
    this.#control?.text(JSON.stringify({ type: "map", map: other }));
    this.turn();
    return before;
  }

  /** So long, in which the cell answers the pings of the control link. */
  pass(seconds: number): this {
    for (let second = 0; second < seconds; second += 1) {
      this.time.pass(1_000);
      this.#control?.text("pong");
    }
    return this;
  }

  /** Nothing of it is looked at any more. */
  settled(): this {
    this.brought.length = 0;
    return this;
  }

  /** What comes next is read in another turn. */
  turn(): void {
    for (const run of this.#turn.splice(0)) run();
  }

  /** The exchange has processed frames up to `ack`, and has this for the gateway. */
  answers(ack: number, ...records: FrameRecord[]): void {
    this.#seq += 1;
    this.#backhaul?.binary(encodeFrame(this.#seq, ack, records));
    this.turn();
  }

  says(method: string, connection?: PhoneConnection): void {
    this.actor.receive(connection?.key ?? udp, request(method), connection);
    this.turn();
  }

  connection(key: string): PhoneConnection {
    const links = new Set<BackhaulLink>();
    return { key, links, usedBy: (link) => void links.add(link) };
  }

  #send(flowKey: string, octets: Uint8Array, link: BackhaulLink | undefined): void {
    if (this.flows.has(flowKey)) this.sent.push(`${flowKey}: ${stringOf(octets).split("\r\n", 1)[0] ?? ""}`);
    else link?.undeliverable(flowKey, octets);
  }

  #took(data: Uint8Array | string, cell: string): void {
    if (typeof data === "string") return void this.told.push(data);
    const frame = decodeFrame(data);
    if (isFrameError(frame)) throw new Error(frame.frameError);
    if (frame.seq === 0) this.acknowledged.push(`${cell} ${frame.ack}`);
    for (const { kind, key } of frame.records) this.brought.push(`${nameOf(kind)} ${key}`);
  }
}

function nameOf(kind: number): string {
  return Object.entries(RecordKind).find(([, value]) => value === kind)?.[0] ?? String(kind);
}

describe("a cell", () => {
  it("is looked for where the map says, once that names another place than it did at first", () => {
    const rig = new Rig(configured);
    const at = (version: number, ...cells: ClusterMap["cells"]): string[] => {
      rig.dialled.length = 0;
      rig.maps({ ...map, version, cells });
      return rig.dialled;
    };
    const [own, elsewhere] = ["http://127.0.0.1:8801", "http://10.99.0.12:8843"];
    // This machine sees it elsewhere than others do.
    expect(at(1, { id: "a", url: own })).toEqual([`0 ${configured[0].url}`]);
    expect(at(2, { id: "a", url: own })).toEqual([]);
    // It was removed, and has come back by the same name on another machine.
    at(3, { id: "b", url: own });
    expect(at(4, { id: "a", url: elsewhere })).toEqual([`control ${elsewhere}`, `0 ${elsewhere}`]);
    expect(at(5, { id: "a", url: own })).toEqual([`control ${own}`, `0 ${own}`]);
  });
});

describe("a message", () => {
  it("goes to its exchange, and what that sends goes to the flow", () => {
    const rig = new Rig().up().settled();
    rig.says("INVITE");
    expect(rig.brought).toEqual([`message ${udp}`]);
    rig.answers(2, { kind: RecordKind.send, key: udp, octets: octetsOf("SIP/2.0 100 Trying\r\n\r\n") });
    expect(rig.sent).toEqual([`${udp}: SIP/2.0 100 Trying`]);
  });

  it.each(["UDP", "TCP", "TLS", "WS", "WSS"] as const)(
    "whose token names what does not exist goes to an exchange, which refuses it: %s",
    (transport) => {
      const rig = new Rig().up();
      const key = serializeFlowKey({
        transport,
        listener: 0,
        connection: transport === "UDP" ? "" : "1",
        address: "198.51.100.7",
        port: 5006,
      });
      for (const token of ["zz*a", "0*x"]) {
        rig.settled();
        rig.actor.receive(key, request("INFO", `sip:td2*${token}*1*2*3*4@example.test`), undefined);
        rig.turn();
        rig.time.pass(10);
        expect(rig.brought).toEqual([`message ${key}`]);
      }
    },
  );

  it("that comes before the first map is placed when that is there", () => {
    const rig = new Rig();
    rig.says("MESSAGE");
    rig.time.pass(backhaulHoldMs - 1);
    rig.up();
    expect(rig.brought).toEqual(["hello g1", `message ${udp}`]);
    rig.time.pass(1);
    expect(rig.counters.refused).toBe(0);
  });

  it("[RFC3261 21.5.4] and is held in vain is answered 503, an ACK by nothing", () => {
    const rig = new Rig();
    rig.says("MESSAGE");
    rig.says("ACK");
    rig.time.pass(backhaulHoldMs);
    expect(rig.sent).toEqual([`${udp}: SIP/2.0 503 Service Unavailable`]);
    expect([rig.counters.refused, rig.counters.dropped]).toEqual([1, 1]);
  });

  it("[RFC3261 11.2] that asks the gateway itself is answered by it", () => {
    const rig = new Rig();
    const probe = request("OPTIONS", "sip:192.0.2.1:5060");
    rig.actor.receive(udp, probe, undefined);
    rig.up();
    rig.actor.receive(udp, probe, undefined);
    expect(rig.sent).toEqual([`${udp}: SIP/2.0 503 Service Unavailable`, `${udp}: SIP/2.0 200 OK`]);
  });
});

describe("what a gateway has counted", () => {
  it("is told on open, and when it has changed, though not with every change", () => {
    const rig = new Rig().up();
    const said = (): unknown[] =>
      rig.told.filter((text) => text.includes('"tally"')).map((text) => (JSON.parse(text) as { shed: number }).shed);
    expect(said()).toEqual([0]);
    rig.pass(2);
    const before = said().length;
    rig.shed = 7;
    rig.pass(tallyMsMin / 1_000);
    expect(said().slice(before)).toEqual([7]);
    rig.shed = 8;
    rig.pass(1);
    rig.shed = 9;
    rig.pass(2 * (tallyMsMin / 1_000));
    expect(said().slice(before)).toEqual([7, 9]);
  });
});

describe("what an exchange wants", () => {
  it("is given back where it cannot be delivered", () => {
    const rig = new Rig().up().settled();
    rig.answers(1, { kind: RecordKind.send, key: "gone", octets: request("INVITE") });
    expect(rig.brought).toEqual(["undeliverable gone"]);
  });

  it("may be a question where a next hop is, or the end of a flow", () => {
    const rig = new Rig().up().settled();
    rig.answers(
      1,
      { kind: RecordKind.resolve, key: "7", octets: octetsOf("sip:elsewhere.test") },
      { kind: RecordKind.closeFlow, key: udp, octets: new Uint8Array(0) },
    );
    expect([rig.brought, rig.flows.size, rig.counters.resolutions]).toEqual([["resolved 7"], 0, 1]);
  });
});

function ackFor(key: string): FrameRecord {
  return { kind: RecordKind.send, key, octets: request("ACK") };
}

describe("a replica that the map has no more", () => {
  const moved: ClusterMap = { ...map, version: 2, cells: [{ id: "b", url: "http://127.0.0.1:8802" }] };

  it("is listened to until it closes: an ACK that it has passed on is said by nobody again", () => {
    const rig = new Rig().up();
    const left = rig.maps(moved);
    left?.binary(encodeFrame(2, 1, [ackFor(udp)]));
    left?.binary(encodeFrame(3, 1, [{ kind: RecordKind.serving, key: "0", octets: new Uint8Array(0) }, ackFor("gone")]));
    expect(rig.sent).toEqual([`${udp}: ACK sip:bob@example.test SIP/2.0`]);
    expect([rig.acknowledged, rig.ended]).toEqual([["a 2", "a 3"], []]);
    left?.lost("closed with 4003", "closed socket");
    rig.pass(60);
    expect(rig.ended).toEqual(["a cut"]);
  });

  it("gets nothing more, and what it has not acknowledged goes to another one, as does what it could not deliver here", () => {
    const rig = new Rig().up().settled();
    rig.says("INVITE");
    const left = rig.maps(moved);
    left?.binary(encodeFrame(2, 1, [ackFor("gone")]));
    expect(rig.settled().brought).toEqual([]);
    rig.serves();
    expect(rig.brought.filter((text) => !text.startsWith("takeover"))).toEqual(["hello g1", `message ${udp}`, "undeliverable gone"]);
  });

  it("and does not close in time is closed", () => {
    const rig = new Rig().up();
    const left = rig.maps(moved);
    rig.time.pass(replicaLeavesMs - 1);
    expect(rig.ended).toEqual([]);
    rig.time.pass(1);
    left?.binary(encodeFrame(2, 1, [ackFor(udp)]));
    expect([rig.ended, rig.sent]).toEqual([["a closed"], []]);
  });

  it("is not waited for where there is no connection to it, or where its cell has another URL", () => {
    const rig = new Rig();
    rig.maps(map);
    rig.maps(moved);
    expect(rig.ended).toEqual(["a cut"]);
    const withB = (version: number, url: string): ClusterMap => ({ ...map, version, cells: [...map.cells, { id: "b", url }] });
    const other = new Rig().up();
    other.maps(withB(2, "http://127.0.0.1:8802"));
    other.serves().maps(withB(3, "http://127.0.0.1:8809"));
    expect(other.ended).toEqual(["b cut"]);
  });
});

describe("the end of a connection", () => {
  it("is told to the exchange that its messages went to, and to no other", () => {
    const rig = new Rig().up().settled();
    const [spoke, silent] = [rig.connection("t1.1.c6336407138e"), rig.connection("t1.2.c6336407138f")];
    rig.says("REGISTER", spoke);
    rig.actor.closed(spoke);
    rig.actor.closed(silent);
    rig.turn();
    rig.answers(2);
    rig.time.pass(100);
    expect(rig.brought).toEqual([`message ${spoke.key}`, `closed ${spoke.key}`]);
  });
});

describe("a process that stood still", () => {
  it("makes no new call of a phone that has gone, and those of the others", () => {
    const rig = new Rig().up().settled();
    const [gone, there] = [rig.connection("t1.1.c6336407138e"), rig.connection("t1.2.c6336407138f")];
    rig.time.standStill(standstillMsMin + 1_000);
    for (const connection of [gone, there]) rig.says("INVITE", connection);
    rig.says("MESSAGE");
    rig.actor.closed(gone);
    expect([rig.brought, rig.counters.dropped]).toEqual([[], 1]);
    rig.time.pass(standstillWaitMs + 1);
    rig.turn();
    expect(rig.brought).toEqual([`message ${there.key}`]);
  });
});
