import { createSocket } from "node:dgram";
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { DropWatch, parseDrops } from "../../bench/udp-drops.ts";
import { cpuSecondsOf, familyOf, memoryOf, parseKilobytes, parseStat } from "../../bench/process-usage.ts";

function line(port: string, drops: number): string {
  return `  123: 0100007F:${port} 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 ${drops}  `;
}

describe("datagrams that the kernel dropped", () => {
  it("are told by port, of all its sockets together", () => {
    const text = ["   sl  local_address rem_address   st ... drops", line("13C4", 7), line("13C4", 3), line("0035", 0), ""].join("\n");
    expect(parseDrops(text)).toEqual(
      new Map([
        [5060, 10],
        [53, 0],
      ]),
    );
  });

  it.runIf(process.platform === "linux")("are counted when nobody reads a socket, and not those of others", async () => {
    const [idle, sender] = [createSocket({ type: "udp4", recvBufferSize: 4_096 }), createSocket("udp4")];
    idle.bind(0, "127.0.0.1");
    await once(idle, "listening");
    const { port } = idle.address();
    const [watch, other] = [new DropWatch([port]), new DropWatch([port + 1])];
    // Sent in one turn of the loop: the socket is read in the next one.
    const count = 200;
    const octets = Buffer.alloc(1_000);
    await Promise.all(Array.from({ length: count }, async () => await new Promise((sent) => sender.send(octets, port, "127.0.0.1", sent))));
    const dropped = watch.end();
    expect(dropped).toBeGreaterThan(0);
    expect(dropped).toBeLessThanOrEqual(count);
    expect(other.end()).toBe(0);
    for (const socket of [idle, sender]) socket.close();
  });
});

describe("what /proc says", () => {
  it("has the parent and the CPU time of all threads, whatever the program is called", () => {
    const rest = "S 17 4 4 0 -1 4194304 100 0 0 0 250 50 9 9 20 0 1 0 12345 1000 200";
    expect(parseStat(`42 (workerd) ${rest}`)).toEqual({ parent: 17, cpuSeconds: 3 });
    expect(parseStat(`42 (a ) b (c) ${rest}`)).toEqual({ parent: 17, cpuSeconds: 3 });
  });

  it("has sizes in kilobytes", () => {
    const text = "00400000-7ffe [rollup]\nRss:     2048 kB\nPss:     1024 kB\nPss_Anon:  12 kB\n";
    expect(parseKilobytes(text, "Pss")).toBe(1024 * 1024);
    expect(parseKilobytes(text, "Swap")).toBeUndefined();
  });

  it("finds all generations below a process", () => {
    const parents = new Map([
      [5, 3],
      [3, 2],
      [2, 1],
      [4, 1],
      [9, 7],
    ]);
    expect(familyOf(2, parents)).toEqual([2, 3, 5]);
    expect(new Set(familyOf(1, parents))).toEqual(new Set([1, 2, 3, 4, 5]));
  });

  it.runIf(process.platform === "linux")("is read for a living process, and says so when one is gone", () => {
    expect(cpuSecondsOf([process.pid])).toBeGreaterThan(0);
    expect(memoryOf([process.pid])).toBeGreaterThan(1024 * 1024);
    // No process can have this id: the kernel's highest is 2^22.
    expect(() => cpuSecondsOf([2 ** 22 + 1])).toThrow("gone");
  });
});
