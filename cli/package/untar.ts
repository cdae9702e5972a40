import { createReadStream, createWriteStream, mkdirSync } from "node:fs";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { Failure, codeOf, reasonOf } from "../errors.ts";

const blockOctets = 512;
/** An archive has some 300 MB in some 200 files. One that has much more is none of ours. */
const octetsMax = 2 ** 31;
const filesMax = 10_000;

type Header = { readonly path: string; readonly isFolder: boolean; readonly mode: number; readonly octets: number };

/**
 * Unpacks a .tar.gz of `npm run package` into a folder that is there and empty, without a program of this machine. Nothing is written outside of it, whatever the archive says.
 * Throws a {@link Failure}; what was written by then is left.
 */
export async function unpack(archive: string, into: string): Promise<void> {
  try {
    await pipeline(createReadStream(archive), createGunzip(), async (source: AsyncIterable<Buffer>) => {
      await new Unpacking(into).read(source);
    });
  } catch (error) {
    const reason =
      codeOf(error) === "ENOENT"
        ? "does not exist"
        : codeOf(error)?.startsWith("Z_") === true
          ? "is no archive, or not whole"
          : reasonOf(error);
    throw new Failure(`${archive}: ${reason}`);
  }
}

class Unpacking {
  readonly #into: string;
  #left: Buffer = Buffer.alloc(0);
  #source: AsyncIterator<Buffer> | undefined;
  #octets = 0;
  #files = 0;

  constructor(into: string) {
    this.#into = into;
  }

  async read(source: AsyncIterable<Buffer>): Promise<void> {
    this.#source = source[Symbol.asyncIterator]();
    for (;;) {
      const header = headerIn(await this.#take(blockOctets));
      if (header === undefined) break;
      this.#files += 1;
      this.#octets += header.octets;
      if (this.#files > filesMax || this.#octets > octetsMax) throw new Failure("holds more than an archive of tandem does");
      if (header.isFolder) mkdirSync(join(this.#into, header.path), { recursive: true, mode: 0o755 });
      else await this.#write(header);
    }
    // The end of the stream is read, so that a file that was cut off is noticed.
    while ((await this.#source.next()).done !== true);
  }

  async #write({ path, mode, octets }: Header): Promise<void> {
    const file = join(this.#into, path);
    mkdirSync(dirname(file), { recursive: true, mode: 0o755 });
    const target = createWriteStream(file, { flags: "wx", mode: mode & 0o111 ? 0o755 : 0o644 });
    const closed = once(target, "close");
    try {
      for (let left = octets; left > 0;) {
        const piece = await this.#some(left);
        left -= piece.length;
        if (!target.write(piece)) await once(target, "drain");
      }
    } finally {
      target.end();
      await closed;
    }
    await this.#take((blockOctets - (octets % blockOctets)) % blockOctets);
  }

  async #take(octets: number): Promise<Buffer> {
    const pieces: Buffer[] = [];
    for (let left = octets; left > 0;) {
      const piece = await this.#some(left);
      pieces.push(piece);
      left -= piece.length;
    }
    return Buffer.concat(pieces);
  }

  /** Some octets, and as many at most. */
  async #some(octetsAtMost: number): Promise<Buffer> {
    while (this.#left.length === 0) {
      const next = await this.#source?.next();
      if (next?.done !== false) throw new Failure("ends too early");
      this.#left = next.value;
    }
    const piece = this.#left.subarray(0, octetsAtMost);
    this.#left = this.#left.subarray(piece.length);
    return piece;
  }
}

/** Undefined: it is the end. */
function headerIn(block: Buffer): Header | undefined {
  if (block.every((octet) => octet === 0)) return undefined;
  const text = (from: number, to: number): string => block.toString("utf8", from, to).replace(/\0.*$/s, "");
  const octal = (from: number, to: number): number => Number.parseInt(text(from, to).trim() || "0", 8);
  const [path, kind] = [text(0, 100), text(156, 157)];
  const sum = block.reduce((all, octet, index) => all + (index >= 148 && index < 156 ? 32 : octet), 0);
  if (text(257, 262) !== "ustar" || octal(148, 156) !== sum) throw new Failure("is no archive that tandem has made");
  const isSafe = path !== "" && text(345, 500) === "" && !path.startsWith("/") && !path.split("/").includes("..");
  if (!isSafe || (kind !== "0" && kind !== "5"))
    throw new Failure(`holds ${JSON.stringify(path)}, which is no file of an archive of tandem`);
  return { path, isFolder: kind === "5", mode: octal(100, 108), octets: octal(124, 136) };
}
