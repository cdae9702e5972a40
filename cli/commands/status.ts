import type { Arguments } from "../arguments.ts";
import { Failure } from "../errors.ts";
import type { Io } from "../io.ts";
import { isStatus } from "../status.ts";
import { tableText } from "../table.ts";
import { findTarget } from "../target.ts";

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
