import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, it } from "vitest";
import { type TarFile, tarOf } from "../../../cli/package/tar.ts";
import { unpack } from "../../../cli/package/untar.ts";

const directory = mkdtempSync(join(tmpdir(), "tandem-untar-"));

afterAll(() => rmSync(directory, { recursive: true, force: true }));

let count = 0;

/** Unpacks an archive of these octets. The folder that it went to. */
async function unpacked(octets: Buffer): Promise<string> {
  count += 1;
  const [archive, into] = [join(directory, `${count}.tar.gz`), join(directory, `into-${count}`, "here")];
  writeFileSync(archive, gzipSync(octets));
  mkdirSync(into, { recursive: true });
  await unpack(archive, into);
  return into;
}

async function octetsOf(files: readonly TarFile[]): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of tarOf(files, 0)) pieces.push(piece);
  return Buffer.concat(pieces);
}

const text = (path: string, content: string, isProgram = false): TarFile => ({ path, isProgram, content: Buffer.from(content) });

/** The same archive with another path, of the same length, in its last header. */
function renamed(octets: Buffer, path: string, change: (header: Buffer) => void = () => undefined): Buffer {
  const at = octets.lastIndexOf("ustar") - 257;
  const header = octets.subarray(at, at + 512);
  header.fill(0, 0, 100);
  header.write(path, 0);
  change(header);
  header.fill(" ", 148, 156);
  header.write(
    header
      .reduce((sum, octet) => sum + octet, 0)
      .toString(8)
      .padStart(6, "0"),
    148,
  );
  header[154] = 0;
  return octets;
}

describe("an archive that is unpacked", () => {
  it("has what was put into it: files of every size, programs, folders", async () => {
    const contents = [0, 1, 511, 512, 513, 1_000_000].map((length) => "z".repeat(length));
    const into = await unpacked(
      await octetsOf([...contents.map((content, index) => text(`top/f${index}`, content)), text("top/bin/run", "x", true)]),
    );
    expect(contents.map((content, index) => readFileSync(join(into, `top/f${index}`), "utf8") === content)).toEqual(
      contents.map(() => true),
    );
    expect(statSync(join(into, "top/bin/run")).mode & 0o111).toBe(0o111);
    expect(statSync(join(into, "top/f1")).mode & 0o111).toBe(0);
  });

  it.each([
    ["a path that leads outside", "../out", undefined],
    ["a path that leads outside by a folder", "top/../../out", undefined],
    ["an absolute path", "/tmp/out-of-tandem", undefined],
    ["a link", "top/link", (header: Buffer) => void header.write("2", 156)],
    ["a device", "top/device", (header: Buffer) => void header.write("3", 156)],
    ["a name in two parts", "top/name", (header: Buffer) => void header.write("..", 345)],
  ])("writes nothing for %s", async (_name, path, change) => {
    const octets = renamed(await octetsOf([text("top/x", "x")]), path, change);
    await expect(unpacked(octets)).rejects.toThrow(/holds ".*", which is no file of an archive of tandem$/);
    expect(existsSync(join(directory, `into-${count}`, "out"))).toBe(false);
    expect(existsSync("/tmp/out-of-tandem")).toBe(false);
  });

  it("is refused when it was changed, is cut off, or claims to be larger than any", async () => {
    const good = await octetsOf([text("top/x", "x")]);
    const changed = Buffer.from(good);
    changed[5] = 1;
    await expect(unpacked(changed)).rejects.toThrow("is no archive that tandem has made");
    await expect(unpacked(good.subarray(0, 1_100))).rejects.toThrow("ends too early");
    const large = renamed(Buffer.from(good), "top/x", (header) => void header.write("77777777777", 124));
    await expect(unpacked(large)).rejects.toThrow("holds more than an archive of tandem does");
  });
});
