import type { Context } from "hono";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import type { View } from "../../cluster/group/view.ts";
import type { Wish } from "../../cluster/map/wish.ts";
import { askCell, CellAnswerError } from "../cells.ts";
import type { CoreGroupObject } from "../core-group/core-group-object.ts";
import type { Refusal } from "../core-group/map-changes.ts";
import { coreGroupObject, type Environment } from "../environment.ts";
import type { Signed } from "../signed.ts";
import { warnOf } from "../way-lost.ts";

/** What is asked of the coordinator: why it is not done, and by which status. `isEarlier`: the coordinator does not know what is asked. */
export type Unfulfilled = { readonly status: 409 | 503; readonly error: string; readonly isEarlier?: true };

/** What a coordinator answers, with `refused` where it is not done. */
type Answer = object | string | true;

/** Has the coordinator change the map. Any cell takes what an operator wants. `here`: where this cell is the coordinator. */
export async function byCoordinator<Done extends Answer>(
  env: Environment,
  path: string,
  question: unknown,
  here: (group: DurableObjectStub<CoreGroupObject>) => Promise<Done | Refusal>,
): Promise<{ readonly done: Exclude<Done, Refusal> } | Unfulfilled> {
  const group = coreGroupObject(env);
  const { view, map }: { readonly view: View; readonly map: ClusterMap } = await group.status();
  const { coordinator } = view;
  try {
    const answer = coordinator === env.CELL ? await here(group) : await askCell<Done | Refusal>(env, map, coordinator, path, question);
    return isRefusal(answer) ? unfulfilledOf(answer) : { done: answer as Exclude<Done, Refusal> };
  } catch (error) {
    warnOf(`cell ${coordinator} is not told what is to be another`, error);
    const isEarlier = error instanceof CellAnswerError;
    const why = isEarlier ? "does not take it: is it of an earlier release?" : "cannot be reached";
    return { status: 503, error: `cell ${coordinator}, the coordinator, ${why}`, ...(isEarlier ? { isEarlier } : {}) };
  }
}

/** Has the coordinator write what the operator wants another. Undefined: it is done, and known in another cell. */
export async function fulfil(env: Environment, wish: Wish): Promise<Unfulfilled | undefined> {
  const outcome = await byCoordinator(env, "/cell/wish", wish, async (group) => await group.fulfil(wish));
  return "done" in outcome ? undefined : outcome;
}

/** {@link fulfil}, with the answer to who wants it where it is not done. */
export async function refusalTo(context: Context<Signed>, wish: Wish): Promise<Response | undefined> {
  const unfulfilled = await fulfil(context.env, wish);
  return unfulfilled === undefined ? undefined : context.json({ error: unfulfilled.error }, unfulfilled.status);
}

function isRefusal(answer: Answer): answer is Refusal {
  return typeof answer === "object" && "refused" in answer && typeof answer.refused === "string";
}

function unfulfilledOf({ refused, isUnknown }: Refusal): Unfulfilled {
  return { status: isUnknown === true ? 503 : 409, error: refused };
}
