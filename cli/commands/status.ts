import type { Change, Member, Status } from "../../schemas/api-answers.ts";
import type { Arguments } from "../arguments.ts";
import { Failure } from "../errors.ts";
import type { Io } from "../io.ts";
import { isStatus } from "../status.ts";
import { durationText, tableText } from "../table.ts";
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
      ["CELL", "STATE", "EPOCH", "HEARD", "MISSED"],
      answer.cells.map((cell) => [cell.id, stateText(cell), cell.epoch ?? 0, heardText(cell), cell.missed ?? 0]),
    )}\n`,
  );
  io.out(`${gatewaysText(answer.gateways)}\n`);
  io.out(`Registrations ${answer.registrations}, dialogs ${answer.dialogs}, load balance ${answer.loadBalance.toFixed(2)}\n`);
  if (answer.signaturesRefused > 0) io.out(`Requests refused for a wrong or old signature: ${answer.signaturesRefused}\n`);
  const latest = answer.history.slice(-changesShown);
  if (latest.length > 0) io.out(`\n${tableText(["CHANGED", "EPOCH", "MEMBER", "FROM", "TO", "CAUSE"], latest.map(changeRow))}`);
}

/** What gateways have counted is shown when there is something: datagrams, and whether they go many at once. */
export function gatewaysText(gateways: readonly Gateway[]): string {
  const isWorthIt = gateways.some(({ isNative = true, ...gateway }) => !isNative || counts.some(([name]) => (gateway[name] ?? 0) > 0));
  const more = (gateway: Gateway): (string | number)[] => [
    ...counts.map(([name]) => gateway[name] ?? 0),
    gateway.isNative === undefined ? "?" : gateway.isNative ? "yes" : "no",
  ];
  return tableText(
    ["GATEWAY", "STATE", "HEARD", "MISSED", ...(isWorthIt ? [...counts.map(([, heading]) => heading), "NATIVE"] : [])],
    gateways.map((gateway) => [
      gateway.id,
      stateText(gateway),
      heardText(gateway),
      gateway.missed ?? 0,
      ...(isWorthIt ? more(gateway) : []),
    ]),
  );
}

type Gateway = Status["gateways"][number];

const counts = [
  ["datagramsLost", "LOST"],
  ["datagramsDropped", "DROPPED"],
  ["datagramsPaced", "PACED"],
  ["shed", "SHED"],
] as const;

/** Enough for what happened last; `--json` has more. */
const changesShown = 5;

function stateText({ state, suspicion, isFenced, isDiskFull, softphonesLeft, refused }: Member): string {
  return [
    state,
    ...(softphonesLeft === undefined ? [] : [softphonesLeft === 0 ? "no softphones left" : `${softphonesLeft} softphones left`]),
    ...(isFenced === true ? ["fenced"] : []),
    ...(isDiskFull === true ? ["disk full"] : []),
    ...(refused === undefined ? [] : [`refuses ${Math.ceil(refused * 100)} % of new requests`]),
    ...(suspicion === undefined ? [] : [`suspect: ${suspicion}`]),
  ].join(", ");
}

function heardText({ heardMs }: Member): string {
  return heardMs === undefined
    ? "never"
    : heardMs < 10_000
      ? `${(heardMs / 1_000).toFixed(1)} s ago`
      : `${durationText(heardMs / 1_000)} ago`;
}

function changeRow({ at, epoch, kind, id, from, to, cause, detail }: Change): (string | number)[] {
  return [new Date(at).toISOString(), epoch, `${kind} ${id}`, from, to, detail === "" ? cause : `${cause} (${detail})`];
}
