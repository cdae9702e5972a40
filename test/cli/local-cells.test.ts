import { expect, it } from "vitest";
import { LocalCells, type LocalCellsOptions } from "../../cli/local-cells.ts";

it("who asks for a second cell meanwhile has its turn after the first one", async () => {
  const said: string[] = [];
  const settings = {
    get replication(): boolean {
      said.push("asked");
      return false;
    },
  };
  const cells = new LocalCells([], { settings } as unknown as LocalCellsOptions);
  const first = cells.add({}).catch((error: unknown) => said.push(String(error)));
  const second = cells.add({}).catch((error: unknown) => said.push(String(error)));
  await Promise.all([first, second]);
  const refused = "Failure: without replication a further cell would have nothing to do";
  expect(said).toEqual(["asked", refused, "asked", refused]);
});
