import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { Failure } from "../errors.ts";
import { isTable, isText } from "../json.ts";
import type { TarFile } from "./tar.ts";

type Package = {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly source: string;
  readonly folder: string;
  readonly dependencies: readonly string[];
};

/** What runs a checkout, and is not in an archive: there Node is that of `node-linux-ARCH`, which `node` has installed below itself. */
const left: readonly string[] = ["esbuild", "node"];

/**
 * What the packages of others that are in an archive are given by: a list of all, and the files with their licenses. They are those that run, with all
 * that they depend on. Throws a {@link Failure} when one says nothing of its license.
 */
export function licenseFiles(checkout: string): TarFile[] {
  // The same one may stand in two places.
  const distinct = new Map([...closureOf(checkout).values()].map((each) => [`${each.name} ${each.version}`, each]));
  const packages = [...distinct.values()].toSorted((one, other) => (one.name < other.name ? -1 : 1));
  const rows = packages.map(
    ({ name, version, license, source }) => `${name} ${version}: ${license}${source === "" ? "" : `, ${source}`}\n`,
  );
  const list = `Packages of others that are in this archive, with what they are given by. Where one has no file here, its text is that of ../LICENSE.\n\n${rows.join("")}`;
  return [{ path: "licenses/packages.txt", isProgram: false, content: Buffer.from(list) }, ...packages.flatMap((each) => textsOf(each))];
}

function closureOf(checkout: string): ReadonlyMap<string, Package> {
  const found = new Map<string, Package>();
  const add = (name: string, from: string): void => {
    const folder = folderOf(name, from, checkout);
    if (folder === undefined || found.has(folder)) return;
    const each = packageIn(folder);
    found.set(folder, each);
    for (const further of each.dependencies) add(further, folder);
  };
  for (const name of packageIn(checkout).dependencies) if (!left.includes(name)) add(name, checkout);
  const nodes = `node-linux-${process.arch}`;
  add(nodes, join(checkout, "node_modules", "node"));
  if (![...found.values()].some(({ name }) => name === nodes)) throw new Failure(`${nodes} is not installed: run npm ci`);
  return found;
}

/** Where a package is that is named in another one's folder, as Node looks for it. Undefined: it is one for other machines. */
function folderOf(name: string, from: string, checkout: string): string | undefined {
  for (let folder = from; ; folder = dirname(folder)) {
    const found = join(folder, "node_modules", name);
    if (existsSync(join(found, "package.json"))) return found;
    if (folder === checkout || folder === dirname(folder)) return undefined;
  }
}

function packageIn(folder: string): Package {
  const read: unknown = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const table = isTable(read) ? read : {};
  const { name, version, license, repository } = table;
  if (!isText(name) || !isText(version) || !isText(license)) throw new Failure(`${folder}: says nothing of its name, version or license`);
  const url = isTable(repository) ? repository["url"] : repository;
  const needs = [table["dependencies"], table["optionalDependencies"]].flatMap((each) => (isTable(each) ? Object.keys(each) : []));
  return { name, version, license, source: isText(url) ? url : "", folder, dependencies: needs };
}

function textsOf({ name, version, license, folder }: Package): TarFile[] {
  const files = readdirSync(folder).filter((file) => /^(?:licen[cs]e|copying|notice)/i.test(file));
  if (files.length === 0 && license !== "Apache-2.0") throw new Failure(`${folder}: has no file with its license, ${license}`);
  return files.map((file) => ({ path: `licenses/${name}/${version}/${file}`, isProgram: false, from: join(folder, file) }));
}
