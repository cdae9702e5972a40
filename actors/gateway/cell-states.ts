/** States of cells by their ids, as one cell sees them: joining, up, draining, down. */
export type CellStates = ReadonlyMap<string, string>;

/** A cell's view of the core group: `{"epoch":7,"cells":[{"id":"a","state":"up"},...]}`; more may be in it. Undefined: it is none. */
export function readView(value: unknown): { readonly epoch: number; readonly cells: CellStates } | undefined {
  if (typeof value !== "object" || value === null || !("epoch" in value) || !("cells" in value)) return undefined;
  const { epoch, cells } = value;
  if (typeof epoch !== "number" || !Array.isArray(cells)) return undefined;
  const states = new Map<string, string>();
  for (const cell of cells as unknown[]) {
    if (typeof cell !== "object" || cell === null || !("id" in cell) || !("state" in cell)) return undefined;
    if (typeof cell.id !== "string" || typeof cell.state !== "string") return undefined;
    states.set(cell.id, cell.state);
  }
  return { epoch, cells: states };
}
