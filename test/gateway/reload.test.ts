import { X509Certificate } from "node:crypto";
import { connect as connectTls } from "node:tls";
import { afterEach, describe, expect, test } from "vitest";
import { RecordKind } from "../../cluster/backhaul/frame.ts";
import { octetsOf } from "../../sip/message/octets.ts";
import type { GatewayConfig, TlsConfig } from "../../gateway/config/config.ts";
import { changeOf, changeText } from "../../gateway/config/config-change.ts";
import { certificateFor, configOf, listenerOf, Started, startRig, type Rig } from "./harness.ts";
import { StreamPhone, WebSocketPhone } from "./phones.ts";
import { requestText } from "./sip-text.ts";

const started = new Started();
afterEach(() => started.end());

const answer = "SIP/2.0 200 OK\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n";

type System = Rig & { readonly config: GatewayConfig; readonly tls: TlsConfig };

async function rig(): Promise<System> {
  const tls = await certificateFor("example.test");
  const listeners = (["TCP", "TLS", "WSS"] as const).map((transport) => listenerOf(transport));
  const system = await startRig(started, listeners, { config: { tls } });
  system.cell.answer = ({ record }) =>
    record.kind === RecordKind.message ? [{ kind: RecordKind.send, key: record.key, octets: octetsOf(answer) }] : [];
  return { ...system, tls, config: configOf([system.cell], listeners, { tls }) };
}

/** The serial number of the certificate that a listener shows to whom connects now. */
function shownAt(port: number): Promise<string> {
  return new Promise((shown, failed) => {
    const socket = connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false }, () => {
      shown(socket.getPeerX509Certificate()?.serialNumber ?? "none");
      socket.destroy();
    });
    socket.once("error", failed);
  });
}

const serialOf = ({ cert }: TlsConfig): string => new X509Certificate(cert).serialNumber;

async function isAnswered(phone: StreamPhone | WebSocketPhone, callId: string): Promise<boolean> {
  const before = phone.inbox.all.length;
  phone.send(requestText("MESSAGE", "sip:bob@example.test", { callId }));
  await phone.inbox.until((all) => all.slice(before).includes("200 OK"), "an answer");
  return !phone.inbox.isClosed;
}

describe("a gateway that reloads", () => {
  test("shows new connections another certificate, over TLS and WSS, and keeps those that stand", async () => {
    const { gateway, ports, tls, config } = await rig();
    const [, tlsPort = 0, wssPort = 0] = ports;
    const phones = [await StreamPhone.tls(tlsPort, tls.cert), await WebSocketPhone.open(wssPort, { ca: tls.cert })];
    for (const phone of phones) started.add(() => phone.close());
    const renewed = await certificateFor("example.test");
    expect(gateway.reload({ ...config, tls: renewed })).toEqual({ taken: ["tls.cert", "tls.key", "tls.ca"], later: [] });
    expect(await Promise.all([shownAt(tlsPort), shownAt(wssPort)])).toEqual([serialOf(renewed), serialOf(renewed)]);
    for (const [index, phone] of phones.entries()) expect(await isAnswered(phone, `stands-${index}`)).toBe(true);
    const later = await StreamPhone.tls(tlsPort, renewed.cert);
    started.add(() => later.close());
    expect(await isAnswered(later, "later")).toBe(true);
  });

  test("is as it was when certificate and key do not belong together, and says why", async () => {
    const { gateway, ports, tls, config } = await rig();
    const [, tlsPort = 0] = ports;
    const other = await certificateFor("example.test");
    const broken = { ...config, tls: { ...other, key: tls.key }, limits: { ...config.limits, connectionsMax: 1 } };
    expect(() => gateway.reload(broken)).toThrow(/^tls: certificate and key cannot be used \(.*key values mismatch.*\)$/);
    expect(await shownAt(tlsPort)).toBe(serialOf(tls));
    const phones = [await StreamPhone.tls(tlsPort, tls.cert), await StreamPhone.tls(tlsPort, tls.cert)];
    for (const phone of phones) started.add(() => phone.close());
    for (const [index, phone] of phones.entries()) expect(await isAnswered(phone, `stays-${index}`)).toBe(true);
    // What was reloaded later is compared with what counts, and not with what was refused.
    expect(gateway.reload(config)).toEqual({ taken: [], later: [] });
  });

  test("takes limits, trusted sources and load balancers", async () => {
    const { gateway, ports, config, cell } = await rig();
    const [tcpPort = 0] = ports;
    const phone = await StreamPhone.tcp(tcpPort);
    started.add(() => phone.close());
    expect(await isAnswered(phone, "before")).toBe(true);
    const limits = { ...config.limits, messagesPerSource: 1 };
    expect(gateway.reload({ ...config, limits })).toEqual({ taken: ["limits.messagesPerSource"], later: [] });
    phone.send(requestText("MESSAGE", "sip:bob@example.test", { callId: "first" }));
    phone.send(requestText("MESSAGE", "sip:bob@example.test", { callId: "second" }));
    await cell.until(() => gateway.counters.limited === 1, "one that is ignored");
    expect(gateway.reload({ ...config, limits: { ...limits, trusted: ["127.0.0.1"] } }).taken).toEqual(["limits.trusted"]);
    expect(await isAnswered(phone, "trusted")).toBe(true);
    expect(gateway.reload({ ...config, proxyFrom: ["127.0.0.1"] }).taken).toEqual([
      "proxyFrom",
      "limits.messagesPerSource",
      "limits.trusted",
    ]);
    const balancer = await StreamPhone.tcp(tcpPort);
    balancer.send(requestText("MESSAGE", "sip:bob@example.test", { callId: "without-header" }));
    await balancer.untilClosed();
    expect(gateway.counters.proxyHeadersRefused).toBe(1);
    expect(gateway.reload(config).taken).toEqual(["proxyFrom"]);
    const plain = await StreamPhone.tcp(tcpPort);
    started.add(() => plain.close());
    expect(await isAnswered(plain, "plain")).toBe(true);
  });
});

describe("what has changed in a configuration", () => {
  const config = configOf([], [listenerOf("UDP")]);

  test("is named by the keys of the file, with what counts later", () => {
    const other = { ...config, name: "g2", listeners: [listenerOf("TCP")], dnsServers: ["127.0.0.1"], secret: "0123456789abcdef!" };
    const limits = { ...config.limits, connectionsMax: 7 };
    const change = changeOf(config, { ...other, health: { host: "127.0.0.1", port: 8080 }, limits });
    expect(change).toEqual({ taken: ["limits.connections"], later: ["name", "secret", "listeners", "health", "dns.servers"] });
    expect(changeText(change)).toBe("limits.connections; from the next start on: name, secret, listeners, health, dns.servers");
    expect(changeText(changeOf(config, config))).toBe("nothing");
  });

  test("are not the cells of its first map: the present map names them", () => {
    expect(changeOf(config, { ...config, cells: [{ id: "z", url: "http://127.0.0.1:1" }] })).toEqual({ taken: [], later: [] });
  });
});
