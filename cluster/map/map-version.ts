/**
 * How new a cluster map is. Versions are in one order that everybody agrees on, by epoch, then by writer. Each writer makes a higher epoch than it has
 * seen, and says who it is. So two sides of a cut never make equal ones.
 */
export type MapVersion = {
  readonly epoch: number;
  /** The cell that wrote it; empty: it was deployed. */
  readonly writer: string;
};

/** What a map says of its version: the epoch as it has always been written, and its writer, which is absent from a map that was deployed. */
export type Versioned = { readonly version: number; readonly writer?: string };

export function mapVersionOf({ version, writer = "" }: Versioned): MapVersion {
  return { epoch: version, writer };
}

export function isNewer(one: MapVersion, other: MapVersion): boolean {
  return one.epoch === other.epoch ? one.writer > other.writer : one.epoch > other.epoch;
}

/**
 * The writer of a map that was made when settings of an earlier release were laid upon another map: `+<epoch>+<writer>+<cell>`. The first two are those of
 * that map, the last is the cell that made the settings. Such texts are in the order of the maps: the same settings make the higher map upon the higher one.
 * Both sides see that alike, and no change is lost which only one side knew.
 */
export function writerUpon({ epoch, writer }: MapVersion, cell: string): string {
  return `+${String(epoch).padStart(epochDigits, "0")}+${writer}+${cell}`;
}

/** The map that settings were laid upon; undefined: this one was not made so. */
export function uponOf({ writer = "" }: Versioned): MapVersion | undefined {
  const [, epoch, base = ""] = layered.exec(writer) ?? [];
  return epoch === undefined ? undefined : { epoch: Number(epoch), writer: base };
}

/** As many as {@link mapEpochMax} has. */
const epochDigits = 16;
const layered = /^\+(\d{16})\+([^+]*)\+([^+]*)$/;

/**
 * The writer of a map that exchanges were added to, because more were known than it has: `<writer>*<exchanges>`. It is just above that map, and such texts are in
 * the order of their numbers.
 */
export function writerAdding(writer: string = "", exchanges: number): string {
  return `${writerWithout(writer)}*${String(exchanges).padStart(countDigits, "0")}`;
}

/** The writer of the map that exchanges were added to. */
function writerWithout(writer: string): string {
  return writer.replace(added, "");
}

/** More than {@link exchangesMax} has. */
const countDigits = 5;
const added = /\*\d{5}$/;

/** For people: `5`, or `5 of cell b`. */
export function mapVersionText({ epoch, writer }: MapVersion): string {
  const plain = writerWithout(writer);
  if (plain !== writer) return `${mapVersionText({ epoch, writer: plain })}, with more exchanges`;
  const upon = uponOf({ version: epoch, writer });
  if (upon !== undefined) return `${epoch} of cell ${layered.exec(writer)?.[3] ?? ""}, laid upon ${mapVersionText(upon)}`;
  return writer === "" ? String(epoch) : `${epoch} of cell ${writer}`;
}
