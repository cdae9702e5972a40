import { readFile } from "node:fs/promises";
import { afterEach, describe, expect, test } from "vitest";
import { newCounters } from "../../gateway/counters.ts";
import { DroppingPlaces } from "../../gateway/connections/dropping-places.ts";
import { droppingPlacesMax, lossesSaidMs } from "../../gateway/limits.ts";
import { udpListener } from "../../gateway/listen/udp-listener.ts";
import { UdpLosses, dropsIn } from "../../gateway/listen/udp-losses.ts";
import { udpPlace } from "../../gateway/listen/udp-place.ts";
import { until } from "../../kit/world/until.ts";
import { Started, listenerOf, nativeDatagrams } from "./harness.ts";
import { UdpPhone } from "./phones.ts";

const started = new Started();
afterEach(() => started.end());

const head =
  "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops            \n";

function rowOf(local: string, drops: number): string {
  return ` 3711: ${local} 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 3181574 2 000000003cb1de80 ${drops}         \n`;
}

describe("drops in /proc/net/udp", () => {
  test.each([
    ["127.0.0.1", "0100007F:13C4"],
    ["0.0.0.0", "00000000:13C4"],
    ["192.0.2.10", "0A0200C0:13C4"],
    ["::1", "00000000000000000000000001000000:13C4"],
    ["2001:db8::1", "B80D0120000000000000000001000000:13C4"],
  ])("are those of the socket with this address and port (%s)", (host, local) => {
    const table = head + rowOf("0100007F:13C5", 9) + rowOf("AB00007F:13C4", 9) + rowOf(local, 4711) + rowOf("0200007F:13C4", 9);
    expect(dropsIn(table, { host, port: 5060 })).toBe(4_711);
    expect(dropsIn(table, { host, port: 5062 })).toBe(0);
    expect(dropsIn("", { host, port: 5060 })).toBe(0);
  });
});

describe("losses", () => {
  test("are counted, and said once when they begin and once a minute while they go on", async () => {
    let drops = 0;
    const counters = newCounters();
    const said: unknown[] = [];
    const bound = { listener: 2, host: "127.0.0.1", port: 5060, receiveBufferOctets: 425_984 };
    const losses = new UdpLosses(
      [bound],
      counters,
      (event, details) => void said.push({ event, ...details }),
      () => Promise.resolve(head + rowOf("0100007F:13C4", drops)),
      new DroppingPlaces(),
    );
    await losses.look(0);
    expect(said).toEqual([]);
    drops = 10;
    await losses.look(1_000);
    drops = 25;
    await losses.look(2_000);
    expect(counters.datagramsLost).toBe(25);
    const line = { event: "datagrams-lost", listener: 2, receiveBufferOctets: 425_984 };
    expect(said).toEqual([{ ...line, lost: 10 }]);
    drops = 30;
    await losses.look(1_000 + lossesSaidMs);
    await losses.look(1_000 + 3 * lossesSaidMs);
    expect(said).toEqual([
      { ...line, lost: 10 },
      { ...line, lost: 20 },
    ]);
    expect(counters.datagramsLost).toBe(30);
  });

  test("of what could not be sent are said likewise, with the place that most was for", async () => {
    const counters = newCounters();
    const places = new DroppingPlaces();
    const said: unknown[] = [];
    const losses = new UdpLosses(
      [],
      counters,
      (event, details) => void said.push({ event, ...details }),
      () => Promise.reject(new Error("no such file")),
      places,
    );
    await losses.look(0);
    counters.datagramsDropped = 7;
    for (const address of ["192.0.2.1", "2001:db8::1", "2001:db8::1", "192.0.2.2"]) places.dropped(udpPlace(address, 5060));
    await losses.look(1_000);
    counters.datagramsDropped = 8;
    await losses.look(2_000);
    expect(said).toEqual([{ event: "datagrams-dropped", dropped: 7, mostTo: "[2001:db8::1]:5060" }]);
    places.dropped(udpPlace("192.0.2.2", 5070));
    await losses.look(1_000 + lossesSaidMs);
    expect(said[1]).toEqual({ event: "datagrams-dropped", dropped: 1, mostTo: "192.0.2.2:5070" });
  });

  test("of very many places are counted for the first only", () => {
    const places = new DroppingPlaces();
    for (let port = 1; port <= droppingPlacesMax + 1; port += 1) places.dropped(udpPlace("192.0.2.1", port));
    for (let i = 0; i < 3; i += 1) places.dropped(udpPlace("192.0.2.1", droppingPlacesMax + 1));
    places.dropped(udpPlace("192.0.2.1", 2));
    expect(places.takeWorst()).toBe("192.0.2.1:2");
    expect(places.takeWorst()).toBeUndefined();
  });

  test.runIf(process.platform === "linux").each([
    ["many at once", nativeDatagrams()],
    ["one by one", undefined],
  ])("of a socket that is really full are seen, whatever reads it (%s)", async (_name, native) => {
    let read = 0;
    const handlers = {
      receive: () => {
        read += 1;
      },
      failed: () => {},
      dropped: () => {},
    };
    const listener = udpListener(listenerOf("UDP"), 0, handlers, native);
    const port = await listener.start();
    started.add(() => listener.stop());
    const phone = await UdpPhone.open();
    started.add(() => phone.close());
    const counters = newCounters();
    const losses = new UdpLosses(
      [listener.bound].filter((each) => each !== undefined),
      counters,
      () => {},
      (file) => readFile(file, "latin1"),
      new DroppingPlaces(),
    );
    // Nothing is read in the turn that sends: 16 MiB are more than any socket here holds.
    for (let i = 0; i < 280; i += 1) phone.send(new Uint8Array(60_000), port);
    await until(async () => {
      await losses.look(0);
      return read + counters.datagramsLost === 280;
    });
    expect(counters.datagramsLost).toBeGreaterThan(0);
  });
});
