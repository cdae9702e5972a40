import { afterEach, describe, expect, test } from "vitest";
import { otherVersionStatus, protocolVersion } from "../../cluster/protocol-version.ts";
import { Gateway } from "../../gateway/gateway.ts";
import { FakeCell, mapOf } from "./fake-cell.ts";
import { configOf, listenerOf, nativeDatagrams, Started } from "./harness.ts";

const started = new Started();
afterEach(() => started.end());

type Said = { readonly event: string; readonly fields: unknown };

/** A gateway with cell a of its own version, and cell b of another one, which opens what it is asked for or refuses it. */
async function start(
  theirs: number | undefined,
  refusesWith: number,
): Promise<{ a: FakeCell; b: FakeCell; gateway: Gateway; said: Said[] }> {
  const [a, b] = [await new FakeCell("a").start(), await new FakeCell("b").start()];
  started.add(() => Promise.all([a.stop(), b.stop()]));
  for (const cell of [a, b]) cell.map = mapOf([a, b], { exchangeCount: 4 });
  b.version = theirs;
  b.refusesWith = refusesWith;
  const said: Said[] = [];
  const gateway = new Gateway(
    configOf([a, b], [listenerOf("UDP")]),
    (event, fields) => void said.push({ event, fields }),
    nativeDatagrams(),
  );
  await gateway.start();
  started.add(() => gateway.stop());
  await a.until(() => a.backhauls.size === 4, "backhauls to cell a");
  return { a, b, gateway, said };
}

describe("a cell of another version than the gateway's", () => {
  test.each([
    ["before, refusing", protocolVersion - 1, otherVersionStatus],
    ["before, refusing the signature", undefined, 401],
    ["before, opening", undefined, 0],
    ["to come, refusing", protocolVersion + 1, otherVersionStatus],
    ["to come, opening", protocolVersion + 1, 0],
  ] as const)("is not used, and that is said in one line: the version %s", async (_, theirs, refusesWith) => {
    const { b, gateway, said } = await start(theirs, refusesWith);
    // A control link and four backhauls, each tried several times.
    await b.until(() => b.attempts.length >= 20, "further tries");
    const version = theirs ?? 1;
    const older = version < protocolVersion ? "cell b" : "gateway g1";
    const reason = `cell b speaks version ${version} of the protocol, gateway g1 version ${protocolVersion}: upgrade ${older}; until then neither uses the other`;
    const ofB = said.filter(({ fields }) => JSON.stringify(fields ?? {}).includes('"cell":"b"'));
    expect(ofB).toEqual([{ event: "another-version", fields: { cell: "b", reason } }]);
    for (let exchange = 0; exchange < 4; exchange += 1) expect(gateway.routeOf(exchange, "b")).toBe("a");
  });

  test("is used as soon as it is upgraded", async () => {
    const { b, gateway, said } = await start(protocolVersion - 1, otherVersionStatus);
    b.version = protocolVersion;
    b.refusesWith = 0;
    await b.until(() => b.backhauls.size === 4 && gateway.routeOf(0, "b") === "b", "backhauls to cell b");
    expect(said.map(({ event }) => event)).toContain("another-version");
    expect(said.filter(({ event, fields }) => event === "control-up" && JSON.stringify(fields).includes('"b"'))).toHaveLength(1);
  });

  test("is said anew when it changes to a third one", async () => {
    const { b, said } = await start(protocolVersion - 1, otherVersionStatus);
    b.version = protocolVersion + 1;
    const ofVersions = (): Said[] => said.filter(({ event }) => event === "another-version");
    await b.until(() => ofVersions().length === 2, "the second line");
    const attempts = b.attempts.length;
    await b.until(() => b.attempts.length > attempts + 5, "further tries");
    expect(ofVersions()).toHaveLength(2);
  });

  test("that lost its version with a restart is said when it comes back with another one", async () => {
    const { b, said } = await start(protocolVersion, 0);
    await b.until(() => b.backhauls.size === 4, "backhauls to cell b");
    await b.stop();
    b.version = protocolVersion + 1;
    await b.start();
    await b.until(() => said.some(({ event }) => event === "another-version"), "the line");
    expect(said.filter(({ event }) => event === "another-version")).toHaveLength(1);
  });
});
