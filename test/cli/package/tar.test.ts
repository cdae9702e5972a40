import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { type TarFile, tarOf } from "../../../cli/package/tar.ts";

const directory = mkdtempSync(join(tmpdir(), "tandem-tar-"));

afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function octetsOf(files: readonly TarFile[], seconds = 1_796_062_868): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of tarOf(files, seconds)) pieces.push(piece);
  return Buffer.concat(pieces);
}

const text = (path: string, content: string, isProgram = false): TarFile => ({ path, isProgram, content: Buffer.from(content) });

describe("an archive in ustar", () => {
  it("is unpacked by tar: folders, files of any size, programs, the time", async () => {
    const large = Buffer.alloc((1 << 20) + 513, "x");
    writeFileSync(join(directory, "large"), large);
    const files = [
      text("top/b/run", "#!/bin/sh\n", true),
      text("top/a.txt", "a"),
      text("top/empty", ""),
      text("top/block", "y".repeat(512)),
      { path: "top/b/large", isProgram: false, from: join(directory, "large") } as const,
    ];
    writeFileSync(join(directory, "made.tar"), await octetsOf(files));
    execFileSync("tar", ["-xf", join(directory, "made.tar"), "-C", directory]);
    expect(readFileSync(join(directory, "top/b/large")).equals(large)).toBe(true);
    expect(["top/a.txt", "top/empty", "top/block"].map((file) => readFileSync(join(directory, file), "utf8"))).toEqual([
      "a",
      "",
      "y".repeat(512),
    ]);
    expect(statSync(join(directory, "top/b/run")).mode & 0o777).toBe(0o755);
    expect(statSync(join(directory, "top/a.txt")).mode & 0o777).toBe(0o644);
    expect(statSync(join(directory, "top/a.txt")).mtimeMs).toBe(1_796_062_868_000);
  });

  it("has the same octets in whatever order files are given", async () => {
    const files = [text("z", "1"), text("b/c", "2"), text("a", "3")];
    expect((await octetsOf(files)).equals(await octetsOf(files.toReversed()))).toBe(true);
  });

  it("refuses a path that has no room", async () => {
    await expect(octetsOf([text("x".repeat(101), "")])).rejects.toThrow("is too long for an archive");
  });
});
