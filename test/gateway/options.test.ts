import { afterEach, describe, expect, test } from "vitest";
import { Gateway } from "../../gateway/gateway.ts";
import { FakeCell } from "./fake-cell.ts";
import { Started, configOf, listenerOf, nativeDatagrams, startRig } from "./harness.ts";
import { StreamPhone, UdpPhone } from "./phones.ts";
import { requestText } from "./sip-text.ts";

const started = new Started();
afterEach(() => started.end());

async function udpPhone(): Promise<UdpPhone> {
  const phone = await UdpPhone.open();
  started.add(() => phone.close());
  return phone;
}

describe("[RFC3261 11.2] OPTIONS to the gateway itself", () => {
  test("200 while a cell can be reached, for the domain and for the listener's address; the exchange does not see it", async () => {
    const { cell, ports } = await startRig(started, [listenerOf("UDP"), listenerOf("TCP")]);
    const phone = await udpPhone();
    phone.send(requestText("OPTIONS", "sip:example.test"), ports[0] ?? 0);
    const answer = await phone.inbox.untilText("\r\n\r\n");
    expect(answer).toMatch(/^SIP\/2\.0 200 OK\r\n/);
    expect(answer).toMatch(/^Allow: INVITE, /m);
    // No gruu: there is none.
    expect(answer).toMatch(/^Supported: path, outbound\r$/m);
    expect(answer).toMatch(/^Accept: \*\/\*\r$/m);
    expect(answer).toContain(`;received=127.0.0.1;rport=${phone.port}`);
    const tcp = await StreamPhone.tcp(ports[1] ?? 0);
    started.add(() => tcp.close());
    tcp.send(requestText("OPTIONS", `sip:127.0.0.1:${ports[1]}`, { via: "SIP/2.0/TCP 192.0.2.9;branch=z9hG4bK2" }));
    expect(await tcp.inbox.untilText("\r\n\r\n")).toMatch(/^SIP\/2\.0 200 OK\r\n/);
    expect(cell.messages()).toEqual([]);
  });

  test("a short one, whose source may be forged, gets twice its octets at most", async () => {
    const { ports } = await startRig(started, [listenerOf("UDP")]);
    const phone = await udpPhone();
    const options = `OPTIONS sip:example.test SIP/2.0\r\nv:SIP/2.0/UDP v;rport;branch=z9hG4bK1\r\nf:<sip:a@x>;tag=1\r\nt:<sip:x>\r\ni:1\r\nCSeq:1 OPTIONS\r\n\r\n`;
    phone.send(options, ports[0] ?? 0);
    const answer = await phone.inbox.untilText("\r\n\r\n");
    expect(answer).toMatch(/^SIP\/2\.0 200 /);
    expect(answer.length).toBeLessThanOrEqual(2 * options.length);
  });

  test("503 with Retry-After when no cell can be reached", async () => {
    const cell = await new FakeCell("a").start();
    await cell.stop();
    const gateway = new Gateway(configOf([cell], [listenerOf("UDP")]), () => {}, nativeDatagrams());
    await gateway.start();
    started.add(() => gateway.stop());
    const phone = await udpPhone();
    const port = gateway.listeners[0]?.port ?? 0;
    phone.send(requestText("OPTIONS", `sip:127.0.0.1:${port}`), port);
    const answer = await phone.inbox.untilText("\r\n\r\n");
    expect(answer).toMatch(/^SIP\/2\.0 503 Service Unavailable\r\n/);
    expect(answer).toMatch(/^Retry-After: 5\r$/m);
  });

  test("[RFC3261 18.2.2] without rport the answer goes to the sent-by port", async () => {
    const { ports } = await startRig(started, [listenerOf("UDP")]);
    const phone = await udpPhone();
    const listening = await udpPhone();
    phone.send(
      requestText("OPTIONS", "sip:example.test", { via: `SIP/2.0/UDP 127.0.0.1:${listening.port};branch=z9hG4bK3` }),
      ports[0] ?? 0,
    );
    expect(await listening.inbox.untilText("\r\n\r\n")).toMatch(/^SIP\/2\.0 200 /);
    expect(phone.inbox.texts).toEqual([]);
  });

  test("[RFC3261 8.2.7] a repeated request gets the same tag", async () => {
    const { ports } = await startRig(started, [listenerOf("UDP")]);
    const phone = await udpPhone();
    const options = requestText("OPTIONS", "sip:example.test");
    phone.send(options, ports[0] ?? 0);
    phone.send(options, ports[0] ?? 0);
    await phone.inbox.until(() => phone.inbox.texts.length === 2, "two answers");
    expect(new Set(phone.inbox.texts).size).toBe(1);
  });

  test.each([
    ["to a user", requestText("OPTIONS", "sip:bob@example.test")],
    ["to another host", requestText("OPTIONS", "sip:elsewhere.test")],
    ["by a Route", requestText("OPTIONS", "sip:example.test", { headers: "Route: <sip:next.test;lr>\r\n" })],
    ["malformed", requestText("OPTIONS", "sip:example.test").replace("CSeq: 1 OPTIONS", "CSeq: 1 BYE")],
  ])("others are for the exchange: %s", async (_name, text) => {
    const { cell, ports } = await startRig(started, [listenerOf("UDP")]);
    const phone = await udpPhone();
    phone.send(text, ports[0] ?? 0);
    await cell.until(() => cell.messages().length === 1, "the message");
    expect(cell.messages()).toEqual([text]);
  });
});
