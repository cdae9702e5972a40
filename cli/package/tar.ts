import { open } from "node:fs/promises";

/** A file of an archive: its path there, with `/`, and what is in it or the file that has that. */
export type TarFile = { readonly path: string; readonly isProgram: boolean } & (
  | { readonly content: Uint8Array }
  | { readonly from: string }
);

/** POSIX.1-1988 ustar: everything comes in blocks. */
const blockOctets = 512;
const nameOctetsMax = 100;
/** Of a file that is copied, at once. */
const pieceOctets = 1 << 20;

/**
 * An archive of files and the folders that they are in, as ustar. The same files make the same octets: they are sorted, belong to nobody, and are all of one
 * time, seconds since the epoch.
 */
export async function* tarOf(files: readonly TarFile[], seconds: number): AsyncGenerator<Uint8Array> {
  const folders = new Set(files.flatMap(({ path }) => foldersOf(path)));
  for (const folder of [...folders].toSorted(byOctets)) yield headerOf({ name: `${folder}/`, kind: "5", mode: 0o755, octets: 0, seconds });
  for (const file of files.toSorted((one, other) => byOctets(one.path, other.path))) yield* blocksOf(file, seconds);
  yield new Uint8Array(2 * blockOctets);
}

async function* blocksOf(file: TarFile, seconds: number): AsyncGenerator<Uint8Array> {
  const header = (octets: number): Uint8Array =>
    headerOf({ name: file.path, kind: "0", mode: file.isProgram ? 0o755 : 0o644, octets, seconds });
  if ("content" in file) {
    yield header(file.content.length);
    yield file.content;
    yield paddingOf(file.content.length);
    return;
  }
  const from = await open(file.from);
  try {
    const { size } = await from.stat();
    yield header(size);
    let left = size;
    while (left > 0) {
      const { bytesRead, buffer } = await from.read({ buffer: new Uint8Array(Math.min(pieceOctets, left)) });
      if (bytesRead === 0) throw new Error(`${file.from} has become shorter`);
      left -= bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
    yield paddingOf(size);
  } finally {
    await from.close();
  }
}

function paddingOf(octets: number): Uint8Array {
  return new Uint8Array((blockOctets - (octets % blockOctets)) % blockOctets);
}

/** `a/b/c`: `a` and `a/b`. */
function foldersOf(path: string): string[] {
  const parts = path.split("/").slice(0, -1);
  return parts.map((_, index) => parts.slice(0, index + 1).join("/"));
}

function byOctets(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

type Header = { readonly name: string; readonly kind: "0" | "5"; readonly mode: number; readonly octets: number; readonly seconds: number };

function headerOf({ name, kind, mode, octets, seconds }: Header): Uint8Array {
  if (Buffer.byteLength(name) > nameOctetsMax) throw new RangeError(`${name}: is too long for an archive`);
  const header = Buffer.alloc(blockOctets);
  const octal = (value: number, at: number, digits: number): void =>
    void header.write(value.toString(8).padStart(digits, "0"), at, "latin1");
  header.write(name, 0, "utf8");
  octal(mode, 100, 7);
  octal(0, 108, 7);
  octal(0, 116, 7);
  octal(octets, 124, 11);
  octal(seconds, 136, 11);
  // The checksum counts itself as blanks.
  header.fill(" ", 148, 156);
  header.write(kind, 156, "latin1");
  header.write("ustar\u000000", 257, "latin1");
  octal(
    header.reduce((sum, octet) => sum + octet, 0),
    148,
    6,
  );
  header[154] = 0;
  return header;
}
