import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { isSipLike } from "../../gateway/listen/datagram.ts";
import { LocalAnswers } from "../../actors/gateway/local-answers.ts";
import { isStun, stunAnswer } from "../../gateway/listen/stun.ts";
import { routingKeyOf } from "../../cluster/map/routing-key.ts";
import { tortureMessage, tortureNames } from "../fixtures/torture.ts";
import { FakeCell, mapOf } from "./fake-cell.ts";
import { Started, certificateFor, listenerOf, startRig } from "./harness.ts";
import { StreamPhone, UdpPhone } from "./phones.ts";
import { requestText } from "./sip-text.ts";

const started = new Started();
afterEach(() => started.end());

const torture = (["rfc4475", "rfc5118"] as const).flatMap((suite) =>
  tortureNames(suite).map((name) => ({ name, octets: tortureMessage(suite, name) })),
);
const map = mapOf([new FakeCell("a")]);
const flowKey = "u0..7f00000113c4";

function answersTo(sent: Uint8Array[], reachable: boolean): LocalAnswers {
  return new LocalAnswers({
    gateway: "g1",
    boot: "boot",
    listeners: () => [{ transport: "UDP", host: "127.0.0.1", port: 5060 }],
    map: () => map,
    isReady: () => reachable,
    send: (_flowKey, octets) => sent.push(octets),
  });
}

/** All that the gateway itself does with a message's octets. */
function handle(octets: Uint8Array): Uint8Array[] {
  const sent: Uint8Array[] = [];
  isSipLike(octets);
  if (isStun(octets)) stunAnswer(octets, "127.0.0.1", 5060);
  routingKeyOf(octets, 0, octets.length, map);
  answersTo(sent, true).answerOptions(flowKey, octets);
  answersTo(sent, false).refuse(flowKey, octets);
  return sent;
}

test.each(torture)("[RFC4475] [RFC5118] $name is passed on to the exchange, and refused without harm when there is none", ({ octets }) => {
  expect(isSipLike(octets)).toBe(true);
  for (const answer of handle(octets)) expect(Buffer.from(answer).toString("latin1")).toMatch(/^SIP\/2\.0 [45]\d\d /);
});

test("whatever becomes of the octets of real messages, nothing throws", () => {
  const flip = fc.record({ at: fc.nat(2_000), octet: fc.integer({ min: 0, max: 255 }) });
  fc.assert(
    fc.property(fc.constantFrom(...torture), fc.array(flip, { maxLength: 12 }), fc.nat(2_000), ({ octets }, flips, cut) => {
      const changed = octets.slice(0, Math.max(1, octets.length - (cut % octets.length)));
      for (const { at, octet } of flips) changed[at % changed.length] = octet;
      expect(() => handle(changed)).not.toThrow();
    }),
    { numRuns: 3_000 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (octets) => {
      expect(() => handle(octets)).not.toThrow();
    }),
  );
});

describe("random octets at every transport", () => {
  test("good messages are served among them and after them, and no connection is left over", async () => {
    const tls = await certificateFor("example.test");
    const { cell, gateway, ports } = await startRig(started, [listenerOf("UDP"), listenerOf("TCP"), listenerOf("TLS")], {
      config: { tls },
    });
    const [udpPort = 0, tcpPort = 0, tlsPort = 0] = ports;
    const udp = await UdpPhone.open();
    const good = await StreamPhone.tcp(tcpPort);
    started.add(() => {
      udp.close();
      good.close();
    });
    let seed = 7;
    const octet = (): number => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed & 0xff;
    };
    for (let round = 0; round < 40; round += 1) {
      // What begins like a message or a handshake is waited for, up to its time limit: here the first octet tells.
      const junk = `\xff${Buffer.from(Array.from({ length: 100 }, octet)).toString("latin1")}`;
      udp.send(junk, udpPort);
      const bad = [await StreamPhone.tcp(tcpPort), await StreamPhone.tls(tlsPort, tls.cert)];
      for (const phone of bad) phone.send(junk);
      const raw = await StreamPhone.tcp(tlsPort);
      raw.send(junk);
      for (const phone of [...bad, raw]) await phone.untilClosed();
      udp.send(requestText("MESSAGE", "sip:bob@example.test", { callId: `udp-${round}` }), udpPort);
      good.send(requestText("MESSAGE", "sip:bob@example.test", { callId: `tcp-${round}` }));
    }
    await cell.until(() => cell.messages().length === 80, "all good messages");
    await cell.until(() => gateway.connections.size === 1, "the end of the others");
    expect(gateway.counters.junk).toBe(160);
  });
});
