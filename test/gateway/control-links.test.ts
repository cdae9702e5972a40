import { afterEach, describe, expect, it } from "vitest";
import { ControlLinks } from "../../actors/gateway/control-links.ts";
import { Heart } from "../../actors/gateway/heart.ts";
import { isClusterMap } from "../../gateway/config/cluster-map.ts";
import { processPorts } from "../../gateway/process-ports.ts";
import { FakeCell, mapOf, secret } from "./fake-cell.ts";

const cells: FakeCell[] = [];
let links: ControlLinks | undefined;
let heart: Heart | undefined;

async function connected(): Promise<{ readonly a: FakeCell; readonly b: FakeCell; readonly told: string[]; readonly versions: number[] }> {
  const [a, b] = [await new FakeCell("a").start(), await new FakeCell("b").start()];
  cells.push(a, b);
  const map = mapOf(cells, { heartbeat: { periodMs: 1_000, missed: 3 } });
  a.map = map;
  b.map = map;
  const versions: number[] = [];
  const ports = processPorts({ gateway: "g1", secret }, () => {});
  heart = new Heart(1_000, 1_000, ports.timer);
  links = new ControlLinks(
    { gateway: "g1", hello: { boot: "1", listeners: [] }, cells: map.cells, heart, ports, isClusterMap },
    { mapped: ({ version }) => void versions.push(version), viewed: () => {} },
  );
  links.start();
  await a.until(() => a.controls.size === 1 && b.controls.size === 1, "both control links");
  const told: string[] = [];
  for (const control of a.controls) control.on("message", (data) => void told.push((data as Buffer).toString()));
  return { a, b, told, versions };
}

function tell(cell: FakeCell, version: number): void {
  for (const control of cell.controls) control.send(JSON.stringify({ type: "map", map: { ...cell.map, version } }));
}

afterEach(async () => {
  links?.stop();
  heart?.stop();
  for (const cell of cells.splice(0)) await cell.stop();
});

describe("control links", () => {
  it("tell the other cells of one that is lost: they have no connection to it that would close", async () => {
    const { a, b, told } = await connected();
    await b.stop();
    await a.until(() => told.includes('{"type":"lost","cell":"b","seen":"closed socket"}'), "the news of b");
    expect(told.filter((text) => text.includes("lost"))).toHaveLength(1);
  });

  it("take a newer map at once, whichever cell it comes from, and no older one", async () => {
    const { a, b, versions } = await connected();
    await a.until(() => versions.length === 1, "the first map");
    tell(b, 3);
    await b.until(() => versions.includes(3), "map 3");
    tell(a, 2);
    tell(a, 4);
    await a.until(() => versions.includes(4), "map 4");
    expect(versions).toEqual([1, 3, 4]);
  });
});
