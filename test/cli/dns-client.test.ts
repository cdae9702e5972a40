import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AnswerRecord } from "../../cluster/dns/packet.ts";
import { DnsClient, nameServerIn } from "../../cli/dns-client.ts";
import { freePorts } from "../../kit/world/free-ports.ts";
import { packetOf } from "../cluster/dns/zones.ts";

const record: AnswerRecord = { name: "g1.example.test", ttl: 60, type: "A", address: "192.0.2.1" };
const [truncated, authoritative] = [0x8780, 0x8580];

let udp: Socket;
let tcp: Server;
let client: DnsClient;
/** Datagrams that a question is answered with. */
let answer: (id: number) => readonly Uint8Array[];
let asked: number;

beforeEach(async () => {
  asked = 0;
  udp = createSocket("udp4");
  udp.on("message", (octets, from) => {
    asked += 1;
    for (const each of answer(octets.readUInt16BE(0))) udp.send(each, from.port, from.address);
  });
  const port = await freePorts(1);
  udp.bind({ port, address: "127.0.0.1", exclusive: true });
  await once(udp, "listening");
  tcp = createServer((socket) => {
    socket.once("data", (octets) => {
      const whole = packetOf(octets.readUInt16BE(2), authoritative, [record, { ...record, address: "192.0.2.2" }]);
      socket.write(Uint8Array.of(0, whole.length));
      socket.end(whole);
    });
  });
  tcp.listen(port, "127.0.0.1");
  await once(tcp, "listening");
  client = new DnsClient([{ address: "127.0.0.1", port }]);
});

afterEach(() => {
  udp.close();
  tcp.close();
});

describe("a question to a name server", () => {
  it("is answered by what has its number, and asked once", async () => {
    answer = (id) => [Uint8Array.of(1, 2, 3), packetOf((id + 1) % 65_536, authoritative, []), packetOf(id, authoritative, [record])];
    const found = { state: "found", isAuthoritative: true, records: [record] };
    expect(await client.look("g1.example.test", "A")).toEqual(found);
    expect(await client.look("g1.example.test", "A")).toEqual(found);
    expect(asked).toBe(1);
  });

  it("is asked over TCP when the answer is too long for a datagram [RFC7766]", async () => {
    answer = (id) => [packetOf(id, truncated, [record])];
    expect(await client.look("g1.example.test", "A")).toMatchObject({ records: [{ address: "192.0.2.1" }, { address: "192.0.2.2" }] });
  });

  it.each([
    [0x8403, { state: "none", isAuthoritative: true }],
    [0x8002, { state: "unknown", reason: expect.stringMatching(/^name server 127\.0\.0\.1:\d+ failed$/) as string }],
    [0x8004, { state: "unknown", reason: expect.stringMatching(/ answered with code 4$/) as string }],
  ])("with the flags %i in its answer is %j", async (flags, looked) => {
    answer = (id) => [packetOf(id, flags, [])];
    expect(await client.look("g1.example.test", "A")).toEqual(looked);
  });

  it("fails in one line when the server has no such zone, or nobody is there", async () => {
    answer = (id) => [packetOf(id, 0x8005, [])];
    await expect(client.look("g1.example.test", "A")).rejects.toThrow(
      /^name server 127\.0\.0\.1:\d+: refuses to answer: it does not have this zone$/,
    );
    const { port } = udp.address();
    udp.close();
    await once(udp, "close");
    udp = createSocket("udp4");
    const other = new DnsClient([{ address: "127.0.0.1", port }]);
    await expect(other.look("g1.example.test", "A")).rejects.toThrow(/: nobody listens there$/);
    await expect(new DnsClient([]).look("g1.example.test", "A")).rejects.toThrow("this machine has no name server: name one with --server");
  });
});

describe("a name server on a command line", () => {
  it.each([
    ["192.0.2.53", { address: "192.0.2.53", port: 53 }],
    ["192.0.2.53:5353", { address: "192.0.2.53", port: 5353 }],
    ["2001:db8::53", { address: "2001:db8::53", port: 53 }],
    ["[2001:db8::53]:5353", { address: "2001:db8::53", port: 5353 }],
    ["ns.example.test", undefined],
    ["192.0.2.53:0", undefined],
    ["[192.0.2.53]", undefined],
    ["192.0.2.53:65536", undefined],
  ])("%s is %j", (text, server) => {
    expect(nameServerIn(text)).toEqual(server);
  });
});
