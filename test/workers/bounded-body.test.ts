import { describe, expect, it } from "vitest";
import { readBounded, TakenOctets } from "../../workers/bounded-body.ts";

const octetsMax = 100;

/** A request whose body comes when it is told to. */
function slow(headers: Record<string, string> = {}): {
  request: Request;
  write: (octets: number) => Promise<void>;
  end: () => Promise<void>;
} {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  const request = new Request("http://a.invalid/", { method: "POST", body: readable, headers });
  return { request, write: (octets) => writer.write(new Uint8Array(octets)), end: () => writer.close() };
}

describe("a body", () => {
  it("comes whole, whatever its parts", async () => {
    const { request, write, end } = slow();
    const reading = readBounded(request, octetsMax, new TakenOctets(octetsMax));
    for (const octets of [30, 70]) await write(octets);
    await end();
    expect(await reading).toEqual(new Uint8Array(100));
  });

  it("without end is given up when it is too long, announced or not", async () => {
    const { request, write } = slow();
    const reading = readBounded(request, octetsMax, new TakenOctets(1_000));
    await write(90);
    void write(90).catch(() => {});
    expect(await reading).toBe("too long");
    const announced = new Request("http://a.invalid/", { method: "POST", body: "x".repeat(101), headers: { "content-length": "101" } });
    expect(await readBounded(announced, octetsMax, new TakenOctets(1_000))).toBe("too long");
  });

  it("holds what it announces: those that are begun and not ended have a bound together, and give it back", async () => {
    const taken = new TakenOctets(150);
    const first = slow({ "content-length": "100" });
    const reading = readBounded(first.request, octetsMax, taken);
    const second = new Request("http://a.invalid/", { method: "POST", body: "x".repeat(60), headers: { "content-length": "60" } });
    expect(await readBounded(second.clone(), octetsMax, taken)).toBe("too many");
    await first.write(100);
    await first.end();
    expect(await reading).toHaveLength(100);
    expect(await readBounded(second, octetsMax, taken)).toHaveLength(60);
  });
});
