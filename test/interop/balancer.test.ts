import { connect } from "node:net";
import { once } from "node:events";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Subscribers, callOnce, withPhones } from "./call.ts";
import { startBaresip } from "./clients/baresip.ts";
import { type Balancer, startBalancer } from "./clients/haproxy.ts";
import type { Account } from "./clients/phone.ts";
import { type System, accountOf, startSystem } from "./system.ts";

/*
 * HAProxy in front of a gateway, which believes its PROXY headers: version 1 in front of TCP, version 2 in front of TLS, and with what it says of certificates
 * (TLVs) in front of TCP again.
 */

/** Where HAProxy connects from: no phone of this file is there. */
const source = "127.0.0.9";

let system: System;
let balancer: Balancer;
let subscribers: Subscribers;

beforeAll(async () => {
  system = await startSystem({ auth: "digest", options: ["--proxy-from", source] });
  subscribers = await Subscribers.provision(system, 2);
  balancer = await startBalancer(source, [
    { to: system.tcp, header: "send-proxy" },
    { to: system.tls, header: "send-proxy-v2" },
    { to: system.tcp, header: "send-proxy-v2-ssl-cn" },
  ]);
});

afterAll(async () => {
  await balancer?.stop();
  await system?.stop();
});

function behind(transport: "TCP" | "TLS", port: number): Account {
  return { ...accountOf(system, subscribers.next(), transport), server: { host: "127.0.0.1", port } };
}

test("baresip over TCP (version 1) calls baresip over TLS (version 2)", async () => {
  const [tcp = 0, tls = 0] = balancer.ports;
  const accounts = [behind("TCP", tcp), behind("TLS", tls)];
  await withPhones(
    accounts.map((account) => async () => await startBaresip(account)),
    async (from, to) => {
      if (from === undefined || to === undefined) throw new Error("two phones are needed");
      await Promise.all([from.register(), to.register()]);
      await expect(callOnce(from, to, { hangsUp: "callee", media: true })).resolves.toBeUndefined();
      expect((await system.registrations()).map(({ transport }) => transport).toSorted()).toEqual(["tcp", "tls"]);
    },
  );
});

test.each([0, 2])("a phone at another address has that address in the answer to it, by route %i", async (route) => {
  const socket = connect({ host: "127.0.0.1", port: balancer.ports[route] ?? 0, localAddress: "127.0.0.3" });
  await once(socket, "connect");
  socket.write(
    `OPTIONS sip:${system.domain} SIP/2.0\r\nVia: SIP/2.0/TCP 10.0.0.1:5060;rport;branch=z9hG4bK${route}\r\nFrom: <sip:x@y.test>;tag=1\r\n` +
      `To: <sip:${system.domain}>\r\nCall-ID: ${route}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n`,
  );
  const [answer] = (await once(socket, "data")) as [Buffer];
  const { localPort } = socket;
  socket.destroy();
  expect(answer.toString()).toContain(`;received=127.0.0.3;rport=${localPort}`);
});

test("its health checks, which name nobody (LOCAL, or its own address), find the gateway well", () => {
  expect(balancer.lost).toEqual([]);
});
