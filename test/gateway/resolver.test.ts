import { createSocket } from "node:dgram";
import { afterEach, describe, expect, test } from "vitest";
import type { NaptrRecord } from "../../cluster/dns/packet.ts";
import { SystemDns, type Dns, type SrvRecord } from "../../gateway/dns/dns.ts";
import { NextHopResolver, orderByPriority, type ListenerPlace } from "../../gateway/dns/resolver.ts";
import { octetsOf } from "../../sip/message/octets.ts";
import { parseFlowKey } from "../../sip/flow/flow.ts";
import { RecordKind, parseJsonOctets } from "../../cluster/backhaul/frame.ts";
import { Started, listenerOf, startRig } from "./harness.ts";

const started = new Started();
afterEach(() => started.end());

type Zone = {
  readonly naptr?: Readonly<Record<string, readonly NaptrRecord[]>>;
  readonly srv?: Readonly<Record<string, readonly SrvRecord[]>>;
  readonly addresses?: Readonly<Record<string, readonly string[]>>;
};

/** DNS by a table, which remembers what was asked. */
function dnsOf(zone: Zone): Dns & { asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    naptr: (name) => (asked.push(`NAPTR ${name}`), Promise.resolve(zone.naptr?.[name] ?? [])),
    srv: (name) => (asked.push(`SRV ${name}`), Promise.resolve(zone.srv?.[name] ?? [])),
    addresses: (name) => (asked.push(`A ${name}`), Promise.resolve(zone.addresses?.[name] ?? [])),
  };
}

const listeners: readonly ListenerPlace[] = [
  { transport: "UDP", host: "192.0.2.1" },
  { transport: "TCP", host: "192.0.2.1" },
  { transport: "TLS", host: "192.0.2.1" },
  { transport: "UDP", host: "2001:db8::1" },
];

/** Flows as `UDP0 192.0.2.2:5060 [name]`, with 0 as the random number. */
async function flowsOf(uri: string, zone: Zone, places = listeners): Promise<{ flows: string[]; asked: string[] }> {
  const dns = dnsOf(zone);
  const keys = await new NextHopResolver(dns, places, () => 0).resolve(uri);
  const flows = keys.map((text) => {
    const key = parseFlowKey(text);
    return key === undefined
      ? "none"
      : `${key.transport}${key.listener} ${key.address}:${key.port}${key.serverName === undefined ? "" : ` ${key.serverName}`}`;
  });
  return { flows, asked: dns.asked };
}

function naptr(order: number, service: string, replacement: string, preference = 0): NaptrRecord {
  return { order, preference, flags: "s", service, regexp: "", replacement };
}

function srv(priority: number, weight: number, port: number, name: string): SrvRecord {
  return { priority, weight, port, name };
}

describe("[RFC3263 4.1] [RFC3263 4.2] a numeric address needs no DNS", () => {
  test.each([
    ["sip:192.0.2.7", "UDP0 192.0.2.7:5060"],
    ["sip:bob@192.0.2.7:5080", "UDP0 192.0.2.7:5080"],
    ["sip:192.0.2.7;transport=tcp", "TCP1 192.0.2.7:5060"],
    ["sip:192.0.2.7;transport=TLS", "TLS2 192.0.2.7:5061"],
    ["sips:192.0.2.7", "TLS2 192.0.2.7:5061"],
    ["sips:192.0.2.7;transport=tcp", "TLS2 192.0.2.7:5061"],
    ["sip:[2001:db8::7]:5062", "UDP3 2001:db8::7:5062"],
    ["sip:example.test;maddr=192.0.2.8", "UDP0 192.0.2.8:5060"],
  ])("%s", async (uri, flow) => {
    expect(await flowsOf(uri, {})).toEqual({ flows: [flow], asked: [] });
  });

  test.each([
    "sips:192.0.2.7;transport=udp",
    "sip:192.0.2.7;transport=ws",
    "sip:192.0.2.7;transport=sctp",
    "tel:+358",
    "junk",
    "sip:[2001:db8::7];transport=tcp",
    "sip:192.0.2.7:0",
  ])("%s: no way", async (uri) => {
    expect((await flowsOf(uri, {})).flows).toEqual([]);
  });
});

describe("[RFC3263 4.1] NAPTR", () => {
  const zone: Zone = {
    naptr: {
      "example.test": [
        naptr(90, "SIP+D2T", "_sip._tcp.example.test"),
        naptr(100, "SIP+D2U", "_sip._udp.example.test"),
        naptr(50, "SIPS+D2T", "_sips._tcp.example.test"),
        naptr(10, "SIP+D2S", "_sip._sctp.example.test"),
        { ...naptr(1, "SIP+D2U", ""), regexp: "!.*!sip:x@y!" },
      ],
    },
    srv: {
      "_sips._tcp.example.test": [srv(0, 0, 5061, "one.example.test")],
      "_sip._tcp.example.test": [srv(0, 0, 5070, "two.example.test")],
      "_sip._udp.example.test": [srv(0, 0, 5080, "three.example.test")],
    },
    addresses: {
      "one.example.test": ["192.0.2.11"],
      "two.example.test": ["192.0.2.12"],
      "three.example.test": ["192.0.2.13", "2001:db8::13"],
    },
  };

  test("order and preference decide; the name to verify is the domain that was asked for (RFC 5922)", async () => {
    const { flows } = await flowsOf("sip:bob@example.test", zone);
    expect(flows).toEqual(["TLS2 192.0.2.11:5061 example.test", "TCP1 192.0.2.12:5070", "UDP0 192.0.2.13:5080", "UDP3 2001:db8::13:5080"]);
  });

  test("sips takes SIPS services only", async () => {
    expect((await flowsOf("sips:bob@example.test", zone)).flows).toEqual(["TLS2 192.0.2.11:5061 example.test"]);
  });

  test("a transport that we have no listener for is left out", async () => {
    const { flows, asked } = await flowsOf("sip:bob@example.test", zone, listeners.slice(0, 1));
    expect(flows).toEqual(["UDP0 192.0.2.13:5080"]);
    expect(asked).not.toContain("SRV _sip._tcp.example.test");
  });

  test("without NAPTR, SRV for each transport; without SRV, addresses at the default port", async () => {
    const { srv: services, addresses } = zone;
    const found = await flowsOf("sip:example.test", { srv: services ?? {}, addresses: addresses ?? {} });
    expect(found.flows.slice(0, 1)).toEqual(["UDP0 192.0.2.13:5080"]);
    expect(found.asked.slice(0, 3)).toEqual(["NAPTR example.test", "SRV _sip._udp.example.test", "SRV _sip._tcp.example.test"]);
    const bare = await flowsOf("sip:example.test", { addresses: { "example.test": ["192.0.2.3"] } });
    expect(bare.flows).toEqual(["UDP0 192.0.2.3:5060"]);
  });
});

describe("[RFC3263 4.2] SRV and addresses", () => {
  test("an explicit port: addresses only", async () => {
    const found = await flowsOf("sip:example.test:5060", { addresses: { "example.test": ["192.0.2.3", "192.0.2.4"] } });
    expect(found).toEqual({ flows: ["UDP0 192.0.2.3:5060", "UDP0 192.0.2.4:5060"], asked: ["A example.test"] });
  });

  test("an explicit transport: its SRV, no NAPTR", async () => {
    const { asked } = await flowsOf("sip:example.test;transport=tcp", {});
    expect(asked).toEqual(["SRV _sip._tcp.example.test", "A example.test"]);
    expect((await flowsOf("sips:example.test;transport=tcp", {})).asked[0]).toBe("SRV _sips._tcp.example.test");
  });

  test("[RFC2782] a target of . means that there is no such service", async () => {
    const zone: Zone = { srv: { "_sip._tcp.example.test": [srv(0, 0, 0, ".")] }, addresses: { "example.test": ["192.0.2.3"] } };
    expect((await flowsOf("sip:example.test;transport=tcp", zone)).flows).toEqual(["TCP1 192.0.2.3:5060"]);
  });

  test("flows are bounded", async () => {
    const many = Array.from({ length: 200 }, (_, i) => `192.0.2.${i}`);
    expect((await flowsOf("sip:example.test:5060", { addresses: { "example.test": many } })).flows).toHaveLength(12);
  });

  test("[RFC2782] priorities ascend; within one, records are drawn by weight", () => {
    const records = [srv(20, 0, 1, "last"), srv(10, 0, 1, "zero"), srv(10, 30, 1, "small"), srv(10, 70, 1, "big")];
    let seed = 1;
    const random = (): number => {
      seed = (seed * 16_807) % 2_147_483_647;
      return seed / 2_147_483_647;
    };
    const firsts = new Map<string, number>();
    for (let i = 0; i < 4_000; i += 1) {
      const ordered = orderByPriority(records, random).map(({ name }) => name);
      expect(ordered).toHaveLength(4);
      expect(ordered[3]).toBe("last");
      firsts.set(ordered[0] ?? "", (firsts.get(ordered[0] ?? "") ?? 0) + 1);
    }
    expect((firsts.get("big") ?? 0) / 4_000).toBeCloseTo(0.7, 1);
    expect((firsts.get("small") ?? 0) / 4_000).toBeCloseTo(0.3, 1);
    expect(firsts.get("zero")).toBeGreaterThan(0);
  });
});

test("a server that never answers: an empty answer in bounded time, others are not held up", async () => {
  const never: Dns = { naptr: () => new Promise(() => {}), srv: () => new Promise(() => {}), addresses: () => new Promise(() => {}) };
  const resolver = new NextHopResolver(never, listeners);
  const begin = performance.now();
  const [slow, fast] = await Promise.all([resolver.resolve("sip:example.test"), resolver.resolve("sip:192.0.2.1")]);
  expect(slow).toEqual([]);
  expect(fast).toHaveLength(1);
  expect(performance.now() - begin).toBeLessThan(5_000);
});

test("the exchange asks with a resolve record and gets flows to try in order", async () => {
  const { cell } = await startRig(started, [listenerOf("UDP")], { dns: dnsOf({ addresses: { "next.test": ["127.0.0.7", "127.0.0.8"] } }) });
  const backhaul = cell.backhauls.get(0);
  backhaul?.send([{ kind: RecordKind.resolve, key: "q1", octets: octetsOf("sip:next.test:5099") }]);
  backhaul?.send([{ kind: RecordKind.resolve, key: "q2", octets: octetsOf("sip:nowhere.test:5099") }]);
  await cell.until(() => cell.ofKind(RecordKind.resolved).length === 2, "answers");
  const answers = Object.fromEntries(cell.ofKind(RecordKind.resolved).map(({ record }) => [record.key, parseJsonOctets(record.octets)]));
  expect(answers).toEqual({ q1: ["u0..7f00000713eb", "u0..7f00000813eb"], q2: [] });
});

/** A DNS server with hand-made answers: by question type, the rdata of each record. */
async function dnsServer(answers: Readonly<Record<number, readonly Buffer[]>>): Promise<{ address: string; questions: string[] }> {
  const socket = createSocket("udp4");
  const questions: string[] = [];
  socket.on("message", (query, remote) => {
    let at = 12;
    const labels: string[] = [];
    for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
      labels.push(query.toString("latin1", at + 1, at + 1 + length));
      at += 1 + length;
    }
    const type = query.readUInt16BE(at + 1);
    questions.push(`${type} ${labels.join(".")}`);
    const records = answers[type] ?? [];
    const header = Buffer.from(query.subarray(0, 12));
    header.writeUInt16BE(0x8180, 2);
    header.writeUInt16BE(records.length, 6);
    header.writeUInt32BE(0, 8);
    const parts = records.map((rdata) => {
      const head = Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 60, 0, 0]);
      head.writeUInt16BE(rdata.length, 10);
      return Buffer.concat([head, rdata]);
    });
    socket.send(Buffer.concat([header, query.subarray(12, at + 5), ...parts]), remote.port, remote.address);
  });
  await new Promise<void>((resolve) => {
    socket.bind(0, "127.0.0.1", resolve);
  });
  started.add(() => socket.close());
  return { address: `127.0.0.1:${socket.address().port}`, questions };
}

function nameOctets(name: string): Buffer {
  return Buffer.concat([...name.split(".").map((label) => Buffer.from([label.length, ...Buffer.from(label)])), Buffer.from([0])]);
}

/** A character-string of RFC 1035. */
function textOctets(value: string): Buffer {
  return Buffer.from([value.length, ...Buffer.from(value)]);
}

describe("over a real DNS server", () => {
  test("NAPTR, SRV and A are read, and remembered", async () => {
    const { address, questions } = await dnsServer({
      35: [
        Buffer.concat([
          Buffer.from([0, 10, 0, 1]),
          textOctets("s"),
          textOctets("SIP+D2U"),
          textOctets(""),
          nameOctets("_sip._udp.example.test"),
        ]),
      ],
      33: [Buffer.concat([Buffer.from([0, 1, 0, 2, 0x13, 0xc6]), nameOctets("host.example.test")])],
      1: [Buffer.from([192, 0, 2, 33])],
    });
    const dns = new SystemDns([address]);
    started.add(() => dns.stop());
    const resolver = new NextHopResolver(dns, listeners);
    expect(await resolver.resolve("sip:example.test")).toEqual(["u0..c000022113c6"]);
    const asked = questions.length;
    expect(asked).toBe(4);
    expect(await resolver.resolve("sip:example.test")).toEqual(["u0..c000022113c6"]);
    expect(questions).toHaveLength(asked);
  });
});
