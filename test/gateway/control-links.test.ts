import { afterEach, describe, expect, it } from "vitest";
import { CellUrls } from "../../actors/gateway/cell-urls.ts";
import { ControlLinks } from "../../actors/gateway/control-links.ts";
import { Heart } from "../../actors/gateway/heart.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { isClusterMap } from "../../gateway/config/cluster-map.ts";
import { processPorts } from "../../gateway/process-ports.ts";
import { FakeCell, mapOf, secret } from "./fake-cell.ts";

const cells: FakeCell[] = [];
let links: ControlLinks | undefined;
let heart: Heart | undefined;

type Connected = {
  readonly a: FakeCell;
  readonly b: FakeCell;
  readonly told: string[];
  readonly versions: number[];
  /** Why maps were refused. */
  readonly refused: string[];
};

async function connected(): Promise<Connected> {
  const [a, b] = [await new FakeCell("a").start(), await new FakeCell("b").start()];
  cells.push(a, b);
  const map = mapOf(cells, { heartbeat: { periodMs: 1_000, missed: 3 } });
  a.map = map;
  b.map = map;
  const versions: number[] = [];
  const refused: string[] = [];
  const ports = processPorts({ gateway: "g1", secret }, (event, fields) => {
    if (event === "map-refused") refused.push(`${String(fields?.["cell"])}: ${String(fields?.["reason"])}`);
  });
  heart = new Heart(1_000, 1_000, ports.timer);
  links = new ControlLinks(
    { gateway: "g1", hello: { boot: "1", listeners: [] }, cells: map.cells, cellUrls: new CellUrls(map.cells), heart, ports, isClusterMap },
    { mapped: ({ version }) => void versions.push(version), unfit: () => {}, viewed: () => {} },
  );
  links.start();
  await a.until(() => a.controls.size === 1 && b.controls.size === 1, "both control links");
  const told: string[] = [];
  for (const control of a.controls) control.on("message", (data) => void told.push((data as Buffer).toString()));
  return { a, b, told, versions, refused };
}

function tell(cell: FakeCell, version: number, change: Partial<ClusterMap> = {}): void {
  for (const control of cell.controls) control.send(JSON.stringify({ type: "map", map: { ...cell.map, version, ...change } }));
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

  it.each<[Partial<ClusterMap>, string]>([
    [{ assignments: [{ primary: "zz", secondary: "yy" }] }, "exchange 0 is in cell zz, which is not in the map"],
    [{ exchangeCount: 300_000_000 }, "300000000 exchanges are more than 4096"],
    [{ cells: [{ id: "a", url: "ws://127.0.0.1" }] }, "the URL of cell a is not of the kind http://host:port"],
    [{ cells: [{ id: "a", url: "ftp://127.0.0.1" }] }, "it has not the form of a map"],
    [{ version: 2 ** 53 - 1 }, "no version is above 1125899906842624"],
    [{ cells: [] }, "it has not the form of a map"],
  ])("keep the map that they have when one is not sound, and say once why: %#", async (change, reason) => {
    const { a, b, versions, refused } = await connected();
    await a.until(() => versions.length === 1, "the first map");
    tell(b, 3, change);
    tell(b, 4, change);
    tell(b, 5);
    await b.until(() => versions.includes(5), "map 5");
    expect(versions).toEqual([1, 5]);
    expect(refused).toEqual([`b: ${reason}`]);
  });
});

function nothing(): void {}

describe("a connection to a cell", () => {
  it.each(["", "ftp://127.0.0.1:1", "http://127.0.0.1:99999"])("that cannot be made at all, to %j, is lost like another", async (url) => {
    const ports = processPorts({ gateway: "g1", secret }, () => {});
    const lost = await new Promise<string>((told) => {
      ports.connect(
        { cell: "zz", url, exchange: 0 },
        { opened: nothing, binary: nothing, text: nothing, lost: (_reason, loss) => told(loss) },
      );
    });
    expect(lost).toBe("connection refused");
  });
});
