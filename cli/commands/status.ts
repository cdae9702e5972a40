import type { Arguments } from "../arguments.ts";
import { Failure } from "../errors.ts";
import type { Io } from "../io.ts";
import { isListOf, isTable, isText } from "../json.ts";
import { tableText } from "../table.ts";
import { findTarget } from "../target.ts";

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

export async function run(args: Arguments, io: Io): Promise<void> {
  const { api, domain } = findTarget(args, io.environment);
  const answer = await api.get("/api/status");
  if (args.flags.has("json")) return io.out(`${JSON.stringify(answer)}\n`);
  if (!isStatus(answer)) throw new Failure("the cell's answer is no status: is it of another version?");
  if (domain !== undefined) io.out(`Domain ${domain}, coordinator ${answer.coordinator}\n\n`);
  else io.out(`Coordinator ${answer.coordinator}\n\n`);
  io.out(
    `${tableText(
      ["CELL", "STATE", "EPOCH"],
      answer.cells.map(({ id, state, epoch }) => [id, state, epoch]),
    )}\n`,
  );
  io.out(
    `${tableText(
      ["GATEWAY", "STATE"],
      answer.gateways.map(({ id, state }) => [id, state]),
    )}\n`,
  );
  io.out(`Registrations ${answer.registrations}, dialogs ${answer.dialogs}, load balance ${answer.loadBalance.toFixed(2)}\n`);
}

function isStatus(value: unknown): value is Status {
  if (!isTable(value) || !isListOf(value["cells"], isMember) || !isListOf(value["gateways"], isMember) || !isText(value["coordinator"]))
    return false;
  return ["registrations", "dialogs", "loadBalance"].every((name) => typeof value[name] === "number");
}

function isMember(value: unknown): value is { readonly id: string; readonly state: string } {
  return isTable(value) && isText(value["id"]) && isText(value["state"]);
}
