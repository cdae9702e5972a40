import type { Arguments } from "../arguments.ts";
import { Failure } from "../errors.ts";
import type { Io } from "../io.ts";
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
  if (!isStatus(answer)) throw new Failure("the cell's answer is no status: are the command and the cell of the same version?");
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

function isStatus(answer: unknown): answer is Status {
  if (typeof answer !== "object" || answer === null) return false;
  return (
    "cells" in answer && Array.isArray(answer.cells) && "gateways" in answer && Array.isArray(answer.gateways) && "loadBalance" in answer
  );
}
