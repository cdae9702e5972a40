import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readInvocation } from "../../gateway/config/config.ts";
import { certificateFor } from "./harness.ts";

let folder = "";

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "tandem-gateway-"));
  const { cert, key } = await certificateFor("example.test");
  writeFileSync(join(folder, "cert.pem"), cert);
  writeFileSync(join(folder, "key.pem"), key);
  writeFileSync(join(folder, "secret"), "a secret from a file\n");
  writeFileSync(join(folder, "short"), "short\n");
});

afterAll(() => rmSync(folder, { recursive: true }));

const good = `
name = "g1"
secret = "0123456789abcdef"

[[cells]]
id = "a"
url = "http://127.0.0.1:8801"

[[listeners]]
transport = "udp"
host = "127.0.0.1"
port = 5060
`;

function fileWith(text: string): string {
  const file = join(folder, "gateway.toml");
  writeFileSync(file, text);
  return file;
}

/** Name, line on stderr without the file's name. */
function errorOf(text: string, flags: readonly string[] = []): [string, string] {
  const file = fileWith(text);
  try {
    readInvocation(["--config", file, ...flags]);
  } catch (error) {
    if (error instanceof Error) return [error.name, error.message.replaceAll(file, "F").replaceAll(folder, "D")];
  }
  return ["none", ""];
}

const tls = `${good}\n[[listeners]]\ntransport = "tls"\nhost = "127.0.0.1"\nport = 5061\n[tls]\ncert = "cert.pem"\nkey = "key.pem"\n`;

describe("a good configuration", () => {
  test("the least", () => {
    expect(readInvocation(["--config", fileWith(good)])).toEqual({
      config: {
        name: "g1",
        secret: "0123456789abcdef",
        cells: [{ id: "a", url: "http://127.0.0.1:8801" }],
        listeners: [{ transport: "UDP", host: "127.0.0.1", port: 5060, advertisedHost: "127.0.0.1" }],
        proxyFrom: [],
        metricsFrom: [],
        dnsServers: [],
        limits: { connectionsMax: 20_000, messagesPerSource: 0, trusted: [] },
      },
      json: false,
      supervised: false,
    });
  });

  test("everything; paths are relative to the file", () => {
    const text = `${tls.replace('secret = "0123456789abcdef"', 'secretFile = "secret"')}ca = "cert.pem"\nverify = false\n
[dns]\nservers = ["192.0.2.53", "[2001:db8::53]:5353", "192.0.2.54:53"]\n[limits]\nconnections = 10\nmessagesPerSource = 30\ntrusted = ["192.0.2.9", "[2001:db8::9]", "198.51.100.0/24"]\n
[[listeners]]\ntransport = "TCP"\nhost = "::"\nport = 5060\nadvertise = "sip.example.test:5070"\n`;
    const { config } = readInvocation(["--config", fileWith(text)]);
    expect(config.secret).toBe("a secret from a file");
    expect(config.tls).toMatchObject({ verify: false, ca: config.tls?.cert });
    expect(config.dnsServers).toHaveLength(3);
    expect(config.limits).toEqual({ connectionsMax: 10, messagesPerSource: 30, trusted: ["192.0.2.9", "2001:db8::9", "198.51.100.0/24"] });
    expect(config.listeners[2]).toEqual({
      transport: "TCP",
      host: "::",
      port: 5060,
      advertisedHost: "sip.example.test",
      advertisedPort: 5070,
    });
  });

  test("load balancers by the file, or by flags, which win", () => {
    const file = fileWith(good.replace("[[cells]]", 'proxyFrom = ["192.0.2.5", "198.51.100.0/24"]\n[[cells]]'));
    expect(readInvocation(["--config", file]).config.proxyFrom).toEqual(["192.0.2.5", "198.51.100.0/24"]);
    expect(readInvocation(["--config", file, "--health", "[::1]:8080"]).config.health).toEqual({ host: "::1", port: 8_080 });
    const flags = ["--proxy-from", "192.0.2.6,2001:db8::/64", "--proxy-from=192.0.2.7"];
    expect(readInvocation(["--config", file, ...flags]).config.proxyFrom).toEqual(["192.0.2.6", "2001:db8::/64", "192.0.2.7"]);
  });

  test("flags win over the file, and do without one", () => {
    const flags = [
      "--name",
      "g2",
      "--cell=b=https://cell.example.test",
      "--listen",
      "tls:[::1]:5061",
      "--listen",
      "udp:192.0.2.1:5060",
      "--listen",
      "ws:192.0.2.1:5066",
      "--listen",
      "WSS:192.0.2.1:443",
    ];
    const files = ["--secret-file", join(folder, "secret"), "--tls-cert", join(folder, "cert.pem"), "--tls-key", join(folder, "key.pem")];
    for (const from of [["--config", fileWith(good.replace(/secret = .*/, ""))], []]) {
      const { config, json, supervised, parentPid } = readInvocation([
        ...from,
        ...flags,
        ...files,
        "--json",
        "--supervised",
        "--parent-pid",
        "77",
      ]);
      expect(config).toMatchObject({ name: "g2", secret: "a secret from a file", cells: [{ id: "b", url: "https://cell.example.test" }] });
      expect(config.listeners.map(({ transport, advertisedHost }) => [transport, advertisedHost])).toEqual([
        ["TLS", "[::1]"],
        ["UDP", "192.0.2.1"],
        ["WS", "192.0.2.1"],
        ["WSS", "192.0.2.1"],
      ]);
      expect({ json, supervised, parentPid }).toEqual({ json: true, supervised: true, parentPid: 77 });
    }
  });
});

describe("a wrong file is a UsageError with one line: file, key, reason", () => {
  test.each([
    ["no TOML", "name = ", "F: line 1: invalid value"],
    ["nothing in it", "", "F: name: is missing"],
    ["a name that is no access name", good.replace('"g1"', '"a.1"'), 'F: name: must be 1 to 32 letters, digits or hyphens, is "a.1"'],
    [
      "a key that does not exist",
      `nmae = "g1"\n${good}`,
      "F: nmae: is not known; known here: name, secret, secretFile, member, cells, listeners, tls, proxyFrom, health, metricsFrom, dns, limits",
    ],
    [
      "a key of a listener that does not exist",
      `${good}\nhots = "x"`,
      "F: listeners[0].hots: is not known; known here: transport, host, port, advertise",
    ],
    ["no secret", good.replace(/secret = .*/, ""), "F: secret: is missing: secret or secretFile is needed"],
    [
      "a secret and a key of its own",
      `${good}[member]\nkey = "k"\ncert = "c"\ntlsKey = "t"\nauthority = "a"`,
      "F: member: stands beside a secret: only one of them may be given",
    ],
    [
      "two secrets",
      good.replace("[[cells]]", 'secretFile = "secret"\n[[cells]]'),
      "F: secretFile: stands beside secret: only one of them may be given",
    ],
    ["a short secret", good.replace("0123456789abcdef", "x"), "F: secret: must hold at least 16 characters"],
    ["a secret of another type", good.replace('"0123456789abcdef"', "7"), "F: secret: must be a text in quotes"],
    ["no cells", good.replace(/\[\[cells\]\]\nid.*\nurl.*\n/, ""), "F: cells: is missing: at least one is needed"],
    ["cells that are no tables", good.replace(/\[\[cells\]\]\nid.*\nurl.*\n/, 'cells = ["a"]\n'), "F: cells: must be tables: [[cells]]"],
    ["a cell's id", good.replace('id = "a"', 'id = "A!"'), 'F: cells[0].id: must be 1 to 16 lower-case letters or digits, is "A!"'],
    ["the same cell twice", `${good}\n[[cells]]\nid = "a"\nurl = "http://h"`, 'F: cells[1].id: "a" stands twice'],
    [
      "a cell's URL",
      good.replace("http://127.0.0.1:8801", "127.0.0.1:8801"),
      'F: cells[0].url: must be an http or https URL, is "127.0.0.1:8801"',
    ],
    ["no listeners", good.slice(0, good.indexOf("[[listeners]]")), "F: listeners: is missing: at least one is needed"],
    ["a transport", good.replace('"udp"', '"sctp"'), 'F: listeners[0].transport: must be udp, tcp, tls, ws or wss, is "sctp"'],
    [
      "a host name to bind",
      good.replace('host = "127.0.0.1"', 'host = "localhost"'),
      'F: listeners[0].host: must be an IPv4 or IPv6 address, is "localhost"',
    ],
    ["a port that is too large", good.replace("5060", "70000"), "F: listeners[0].port: must be a whole number from 1 to 65535, is 70000"],
    ["port 0", good.replace("5060", "0"), "F: listeners[0].port: must be a whole number from 1 to 65535, is 0"],
    ["a port in quotes", good.replace("5060", '"5060"'), 'F: listeners[0].port: must be a whole number from 1 to 65535, is "5060"'],
    ["no port", good.replace("port = 5060", ""), "F: listeners[0].port: is missing"],
    [
      "all addresses, and none that phones see",
      good.replace('host = "127.0.0.1"', 'host = "0.0.0.0"'),
      "F: listeners[0].advertise: is missing: 0.0.0.0 is no address that a phone could send to",
    ],
    ["a port to advertise", `${good}advertise = "a:99999"`, 'F: listeners[0].advertise: must be HOST or HOST:PORT, is "a:99999"'],
    ["port 0 to advertise", `${good}advertise = "a:0"`, 'F: listeners[0].advertise: must be HOST or HOST:PORT, is "a:0"'],
    ["an IPv6 address to advertise", `${good}advertise = "[::::]"`, 'F: listeners[0].advertise: must be HOST or HOST:PORT, is "[::::]"'],
    [
      "a port of a DNS server",
      `${good}[dns]\nservers = ["192.0.2.53:53", "[::1]:70000"]`,
      'F: dns.servers: must be addresses, with a port or without, has "[::1]:70000"',
    ],
    ["an address to advertise", `${good}advertise = "a b"`, 'F: listeners[0].advertise: must be HOST or HOST:PORT, is "a b"'],
    [
      "the same address twice",
      `${good}[[listeners]]\ntransport = "udp"\nhost = "127.0.0.1"\nport = 5060`,
      "F: listeners[1]: has the address and port of listeners[0]",
    ],
    ["WSS without certificate", good.replace('"udp"', '"wss"'), "F: tls: is missing: a WSS listener needs tls.cert and tls.key"],
    ["TLS without certificate", good.replace('"udp"', '"tls"'), "F: tls: is missing: a TLS listener needs tls.cert and tls.key"],
    ["tls without key", tls.replace('key = "key.pem"', ""), "F: tls.key: is missing"],
    ["tls that is no table", `tls = 1\n${good}`, "F: tls: must be a table"],
    ["a certificate that is none", tls.replace("cert.pem", "secret"), "F: tls.cert: D/secret is no PEM certificate"],
    ["a key that is none", tls.replace("key.pem", "cert.pem"), "F: tls.key: D/cert.pem is no PEM private key"],
    ["verify", `${tls}verify = 1`, "F: tls.verify: must be true or false"],
    [
      "DNS servers",
      `${good}[dns]\nservers = ["ns.example.test"]`,
      'F: dns.servers: must be addresses, with a port or without, has "ns.example.test"',
    ],
    ["DNS servers that are no list", `${good}[dns]\nservers = "192.0.2.53"`, "F: dns.servers: must be a list of texts"],
    [
      "a load balancer by its name",
      good.replace("[[cells]]", 'proxyFrom = ["lb.test"]\n[[cells]]'),
      'F: proxyFrom: must be IPv4 or IPv6 addresses, has "lb.test"',
    ],
    [
      "a health page without a port",
      good.replace("[[cells]]", 'health = "127.0.0.1"\n[[cells]]'),
      'F: health: must be ADDRESS:PORT, for example 127.0.0.1:8080, is "127.0.0.1"',
    ],
    [
      "a trusted name",
      `${good}[limits]\ntrusted = ["carrier.test"]`,
      'F: limits.trusted: must be IPv4 or IPv6 addresses, has "carrier.test"',
    ],
    [
      "a trusted network that is too wide",
      `${good}[limits]\ntrusted = ["10.0.0.0/8"]`,
      'F: limits.trusted: must be networks of /16 to /32, of IPv6 /48 to /128, has "10.0.0.0/8"',
    ],
    ["a limit", `${good}[limits]\nconnections = 0`, "F: limits.connections: must be a whole number from 1 to 1000000, is 0"],
  ])("%s", (_name, text, line) => {
    expect(errorOf(text)).toEqual(["UsageError", line]);
  });
});

describe("a wrong flag is a UsageError with one line", () => {
  test.each([
    [["--nonsense"], "--nonsense: is not known"],
    [["gateway.toml"], "gateway.toml: is not known"],
    [["--"], "--: is not known"],
    [["-n", "g1"], "-n: is not known"],
    [["--constructor=x"], "--constructor=x: is not known"],
    [["--supervised", "--supervised"], "--supervised: is given twice"],
    [["--name"], "--name: needs a value"],
    [["--name="], "--name: needs a value"],
    [["--json=1"], "--json: takes no value"],
    [["--name", "a", "--name", "b"], "--name: is given twice"],
    [["--cell", "a"], '--cell: must be ID=URL, is "a"'],
    [["--parent-pid", "x"], '--parent-pid: must be a process id, is "x"'],
    [["--tls-verify", "maybe"], '--tls-verify: must be true or false, is "maybe"'],
    [
      ["--listen", "udp:localhost:5060"],
      '--listen: must be TRANSPORT:ADDRESS:PORT, for example udp:192.0.2.1:5060 or tls:[2001:db8::1]:5061, is "udp:localhost:5060"',
    ],
    [["--listen", "udp:0.0.0.0:5060"], "--listen: 0.0.0.0 is no address that a phone could send to; use a file with listeners.advertise"],
  ])("%j", (flags, line) => {
    expect(errorOf(good, flags)).toEqual(["UsageError", line]);
  });
});

describe("what cannot be read is a GatewayError with one line", () => {
  test("the file itself", () => {
    expect(() => readInvocation(["--config", "/nowhere/gateway.toml"])).toThrow(
      expect.objectContaining({ name: "GatewayError", message: "/nowhere/gateway.toml does not exist" }),
    );
  });

  test.each([
    ["secretFile", good.replace(/secret = .*/, 'secretFile = "absent"'), "F: secretFile: D/absent does not exist"],
    ["tls.cert", tls.replace("cert.pem", "absent.pem"), "F: tls.cert: D/absent.pem does not exist"],
  ])("%s", (_name, text, line) => {
    expect(errorOf(text)).toEqual(["GatewayError", line]);
  });

  test("a secret file that holds too little is wrong, not unreadable", () => {
    expect(errorOf(good.replace(/secret = .*/, 'secretFile = "short"'))).toEqual([
      "UsageError",
      "F: secretFile: must hold at least 16 characters",
    ]);
  });
});
