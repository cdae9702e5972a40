import { isListOf, isTable, isText } from "./json.ts";

/** The answer of `GET /api/status`. */
export type Status = {
  readonly cells: readonly { readonly id: string; readonly state: string; readonly epoch: number }[];
  readonly gateways: readonly { readonly id: string; readonly state: string }[];
  readonly registrations: number;
  readonly dialogs: number;
  /** 1/sum((n_i/N)^2) over the cells' registrations: 1.00 = all on one, 2.00 = two even. */
  readonly loadBalance: number;
  /** The cell that computes the map. */
  readonly coordinator: string;
};

export function isStatus(value: unknown): value is Status {
  if (!isTable(value) || !isListOf(value["cells"], isMember) || !isListOf(value["gateways"], isMember)) return false;
  return isText(value["coordinator"]) && ["registrations", "dialogs", "loadBalance"].every((name) => typeof value[name] === "number");
}

function isMember(value: unknown): value is { readonly id: string; readonly state: string } {
  return isTable(value) && isText(value["id"]) && isText(value["state"]);
}
