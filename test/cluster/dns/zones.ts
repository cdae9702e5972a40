import type { Look, Looked } from "../../../cluster/dns/check.ts";
import { type AnswerRecord, recordTypes } from "../../../cluster/dns/packet.ts";
import { planOf, recordsOf, type Plan, type ZoneGateway, type ZoneRecord, type ZoneWish } from "../../../cluster/dns/zone.ts";

/** A gateway with the usual doors. */
export function gatewayAt(id: string, host: string, weight = 1): ZoneGateway {
  return {
    id,
    weight,
    listeners: [
      { transport: "UDP", host, port: 5060 },
      { transport: "TCP", host, port: 5060 },
      { transport: "TLS", host, port: 5061 },
    ],
  };
}

export function planWith(wish: Partial<ZoneWish> = {}): Plan {
  const gateways = [gatewayAt("g1", "192.0.2.1", 70), gatewayAt("g2", "192.0.2.2", 30)];
  return planOf({ domain: "example.test", gateways, ...wish });
}

/** A record as an answer has it. */
function answerOf({ name, ttl, type, data }: ZoneRecord): AnswerRecord {
  const fields = data.split(" ").map((field) => field.replaceAll('"', "").replace(/\.$/, ""));
  const [first = "", second = "", third = "", fourth = "", regexp = "", sixth = ""] = fields;
  const [one, other] = [Number(first), Number(second)];
  if (type === "SRV") return { name, ttl, type, priority: one, weight: other, port: Number(third), target: fourth };
  if (type === "NAPTR")
    return { name, ttl, type, order: one, preference: other, flags: third, service: fourth, regexp, replacement: sixth };
  return { name, ttl, type, address: data };
}

/** A name server that has the records of a plan, after `change` of their texts (`<name> <type> <data>`). */
export function serverOf(
  plan: Plan,
  change: (lines: string[]) => readonly string[] = (lines) => lines,
  ttl = 60,
  isAuthoritative = true,
): Look {
  const lines = recordsOf(plan).map(({ name, type, data }) => `${name} ${type} ${data}`);
  const records = change(lines).map((line): AnswerRecord => {
    const [, name = "", type = "", data = ""] = /^(\S+) (\S+) (.*)$/.exec(line) ?? [];
    if (type === "CNAME") return { name, ttl, type, target: data };
    return answerOf({ name, ttl, type: type as ZoneRecord["type"], data });
  });
  return (name, type): Promise<Looked> => {
    const found = records.filter((record) => record.name === name && (record.type === type || record.type === "CNAME"));
    const followed = found.flatMap((record) =>
      record.type === "CNAME" ? [record, ...records.filter((each) => each.name === record.target && each.type === type)] : [record],
    );
    return Promise.resolve(
      followed.length === 0 ? { state: "none", isAuthoritative } : { state: "found", records: followed, isAuthoritative },
    );
  };
}

function two(value: number): number[] {
  return [value >> 8, value & 0xff];
}

function octets(text: string): number[] {
  return [text.length, ...Array.from(text, (letter) => letter.charCodeAt(0))];
}

function labels(name: string): number[] {
  return [
    ...name
      .split(".")
      .filter((label) => label !== "")
      .flatMap(octets),
    0,
  ];
}

/** An answer as a name server sends it, without compression. */
export function packetOf(id: number, flags: number, records: readonly AnswerRecord[]): Uint8Array {
  const data = (record: AnswerRecord): number[] => {
    switch (record.type) {
      case "A":
        return record.address.split(".").map(Number);
      case "AAAA":
        return record.address.split(":").flatMap((group) => two(Number.parseInt(group, 16)));
      case "CNAME":
        return labels(record.target);
      case "SRV":
        return [...two(record.priority), ...two(record.weight), ...two(record.port), ...labels(record.target)];
      case "NAPTR":
        return [
          ...two(record.order),
          ...two(record.preference),
          ...octets(record.flags),
          ...octets(record.service),
          ...octets(record.regexp),
          ...labels(record.replacement),
        ];
    }
  };
  const answers = records.flatMap((record) => {
    const value = data(record);
    return [...labels(record.name), ...two(recordTypes[record.type]), 0, 1, 0, 0, ...two(record.ttl), ...two(value.length), ...value];
  });
  return Uint8Array.from([...two(id), ...two(flags), 0, 0, ...two(records.length), 0, 0, 0, 0, ...answers]);
}
