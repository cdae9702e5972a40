import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { root } from "./sources.ts";

/** A copy of the checkout to break rules in: the checkout itself is never touched. */
export class Scratch {
  readonly path: string;

  constructor() {
    this.path = mkdtempSync(join(tmpdir(), "tandem-mutation-"));
    cpSync(root, this.path, { recursive: true, filter: (source) => source === root || isCopied(basename(source)) });
    symlinkSync(join(root, "node_modules"), join(this.path, "node_modules"));
  }

  write(file: string, text: string): void {
    writeFileSync(join(this.path, file), text);
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

function isCopied(name: string): boolean {
  return !name.startsWith(".") && name !== "node_modules";
}
