import { registrationsSchema } from "../../schemas/api-answers.ts";
import { read } from "../../schemas/reading.ts";
import type { Arguments } from "../arguments.ts";
import { addressOfRecordAt } from "../domains.ts";
import { Failure } from "../errors.ts";
import type { Io } from "../io.ts";
import { durationText, tableText } from "../table.ts";
import { findTarget } from "../target.ts";

export async function run(args: Arguments, io: Io): Promise<void> {
  const target = findTarget(args, io.environment);
  const { api } = target;
  const [typed] = args.positionals;
  const query = typed === undefined ? "" : `?aor=${encodeURIComponent(await addressOfRecordAt(target, typed))}`;
  const { value: answer, fault } = read(registrationsSchema, await api.get(`/api/registrations${query}`));
  if (fault !== undefined) throw new Failure("the cell's answer is no list of registrations: is it of another version?");
  if (args.flags.has("json")) return io.out(`${JSON.stringify(answer)}\n`);
  if (answer.length === 0) return io.out(typed === undefined ? "Nobody is registered.\n" : `${typed} is not registered.\n`);
  const rows = answer
    .toSorted((one, other) => one.aor.localeCompare(other.aor))
    .map((one) => [one.aor, one.contact, one.transport, durationText(one.expiresSeconds), one.primary, wayText(one), one.userAgent]);
  io.out(tableText(["AOR", "CONTACT", "TRANSPORT", "EXPIRES", "PRIMARY", "CAME BY", "USER AGENT"], rows));
}

/** Softphones come by a line of a cell: `a.2` is line 2 of cell a. */
function wayText({ gateway, cell }: { readonly gateway: string; readonly cell?: string }): string {
  if (gateway === "") return "none";
  return cell === undefined ? gateway : `line ${gateway.slice(cell.length + 1)} of cell ${cell}`;
}
