import type { ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { once } from "node:events";
import { inNamespace } from "../../kit/world/namespaces.ts";
import { until } from "../../kit/world/until.ts";

/** Whether there is a tcpdump, a package of Debian. */
export const hasTcpdump: boolean = ["/usr/bin/tcpdump", "/usr/sbin/tcpdump"].some((file) => existsSync(file));

/** What one side has said to the other over one connection, or from one UDP port to another one. `isWhole`: from its beginning on. */
export type Said = { readonly way: string; readonly transport: "TCP" | "UDP"; readonly isWhole: boolean; readonly octets: Buffer };

const fileHeaderOctets = 24;
const packetHeaderOctets = 16;
/** The least that a packet of IPv4 with UDP has. */
const ipUdpOctets = 28;
const [tcp, udp] = [6, 17];
const synFlag = 0x02;

/** What tcpdump sees on the wire of a machine, which is a TUN device: packets of IP without a link header. */
export class Capture {
  readonly #child: ChildProcess;
  readonly #chunks: Buffer[] = [];

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.on("data", (chunk: Buffer) => void this.#chunks.push(chunk));
  }

  static async on(machine: string): Promise<Capture> {
    const child = inNamespace(machine, "tcpdump", ["-i", "eth0", "-n", "-U", "--immediate-mode", "-s", "2000", "-B", "16384", "-w", "-"]);
    let complaint = "";
    child.stderr?.on("data", (octets) => void (complaint += String(octets)));
    const capture = new Capture(child);
    await until(() => complaint.includes("listening on") || child.exitCode !== null);
    if (child.exitCode !== null) throw new Error(complaint);
    return capture;
  }

  async end(): Promise<void> {
    const closed = once(this.#child, "close");
    this.#child.kill("SIGTERM");
    await closed;
  }

  /** All that has been said so far. What was sent again stands there once. */
  said(): readonly Said[] {
    const ways = new Map<string, { readonly transport: "TCP" | "UDP"; isWhole: boolean; readonly parts: Map<number, Buffer> }>();
    for (const packet of packetsOf(Buffer.concat(this.#chunks))) {
      const part = partOf(packet);
      if (part === undefined) continue;
      const way = ways.get(part.way) ?? { transport: part.transport, isWhole: false, parts: new Map<number, Buffer>() };
      ways.set(part.way, way);
      way.isWhole ||= part.isFirst;
      if (part.octets.length > 0) way.parts.set(part.sequence ?? way.parts.size, part.octets);
    }
    return [...ways].map(([way, { transport, isWhole, parts }]) => ({
      way,
      transport,
      isWhole,
      octets: Buffer.concat([...parts.values()]),
    }));
  }
}

/** Packets of a pcap file, as far as it has come. */
function packetsOf(file: Buffer): Buffer[] {
  const packets: Buffer[] = [];
  for (let at = fileHeaderOctets; at + packetHeaderOctets <= file.length;) {
    const end = at + packetHeaderOctets + file.readUInt32LE(at + 8);
    if (end <= file.length) packets.push(file.subarray(at + packetHeaderOctets, end));
    at = end;
  }
  return packets;
}

type Part = {
  readonly way: string;
  readonly transport: "TCP" | "UDP";
  readonly isFirst: boolean;
  readonly sequence: number | undefined;
  readonly octets: Buffer;
};

/** What a packet carries; undefined: nothing of TCP or UDP over IPv4. */
function partOf(packet: Buffer): Part | undefined {
  if (packet.length < ipUdpOctets) return undefined;
  if (packet.readUInt8(0) >> 4 !== 4) return undefined;
  const protocol = packet.readUInt8(9);
  const segment = packet.subarray((packet.readUInt8(0) & 15) * 4, packet.readUInt16BE(2));
  const addressAt = (at: number): string => [...packet.subarray(at, at + 4)].join(".");
  const way = `${addressAt(12)}:${segment.readUInt16BE(0)} to ${addressAt(16)}:${segment.readUInt16BE(2)}`;
  if (protocol === udp) return { way: `${way} UDP`, transport: "UDP", isFirst: true, sequence: undefined, octets: segment.subarray(8) };
  if (protocol !== tcp) return undefined;
  const [sequence, flags] = [segment.readUInt32BE(4), segment.readUInt8(13)];
  return {
    way,
    transport: "TCP",
    isFirst: (flags & synFlag) !== 0,
    sequence,
    octets: segment.subarray((segment.readUInt8(12) >> 4) * 4),
  };
}
