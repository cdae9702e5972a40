import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import type { View } from "../../cluster/group/view.ts";
import type { Wish } from "../../cluster/map/wish.ts";
import { askCell, CellAnswerError } from "../cells.ts";
import { coreGroupObject, type Environment } from "../environment.ts";
import { warnOf } from "../way-lost.ts";

/** What is asked of the coordinator: why it is not done, and by which status; undefined: it is. */
export type Unfulfilled = { readonly status: 409 | 503; readonly error: string };

/** Has the coordinator write what the operator wants another. Any cell takes it. */
export async function fulfil(env: Environment, wish: Wish): Promise<Unfulfilled | undefined> {
  const group = coreGroupObject(env);
  const { view, map }: { readonly view: View; readonly map: ClusterMap } = await group.status();
  const { coordinator } = view;
  try {
    const { refused } =
      coordinator === env.CELL
        ? await group.fulfil(wish)
        : await askCell<{ readonly refused?: string }>(env, map, coordinator, "/cell/wish", wish);
    return refused === undefined ? undefined : { status: 409, error: refused };
  } catch (error) {
    warnOf(`cell ${coordinator} is not told what is to be another`, error);
    const why = error instanceof CellAnswerError ? "does not take it: is it of an earlier release?" : "cannot be reached";
    return { status: 503, error: `cell ${coordinator}, the coordinator, ${why}` };
  }
}
