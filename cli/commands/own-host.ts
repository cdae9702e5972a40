import { type OwnHost, ownHostSchema } from "../../schemas/hosts.ts";
import { read } from "../../schemas/reading.ts";
import type { ApiClient } from "../api-client.ts";
import { Failure, reasonOf } from "../errors.ts";
import { startOf } from "../process-table.ts";
import type { Run } from "../state-directory.ts";
import { durationText, tableText } from "../table.ts";
import type { GatewayHost } from "../target.ts";

/** What a cell knows of the host that asks. Throws a {@link Failure}. */
export async function ownHostOf(api: ApiClient): Promise<OwnHost> {
  const { value } = read(ownHostSchema, await api.get("/host/own"));
  if (value === undefined) throw new Failure("the cell's answer is none to a host that asks of itself: is it of another version?");
  return value;
}

/** What a machine knows by itself: its processes. */
export function processesText({ gateways }: Pick<Run, "gateways">): string {
  const texts = gateways.map(({ id, pid }) => `gateway ${id} ${isRunning(pid) ? `runs here (process ${pid})` : "does not run here"}`);
  return texts.length === 0 ? "no gateway runs here" : texts.join(", ");
}

type SeenBy = { readonly cell: string; readonly gateways: OwnHost["gateways"] } | { readonly cell: string; readonly problem: string };

/** The status of a machine that runs gateways only: each cell is asked how it sees them. */
export async function gatewayHostStatus({ host, run, cells }: GatewayHost): Promise<GatewayHostStatus> {
  const seen = await Promise.all(
    cells.map(async ({ id, api }): Promise<SeenBy> => {
      try {
        return { cell: id, gateways: (await ownHostOf(api)).gateways };
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        return { cell: id, problem: reasonOf(error) };
      }
    }),
  );
  return { host, gateways: run.gateways.map(({ id, pid }) => ({ id, pid, isRunning: isRunning(pid) })), cells: seen };
}

export type GatewayHostStatus = {
  readonly host: string;
  readonly gateways: readonly { readonly id: string; readonly pid: number; readonly isRunning: boolean }[];
  readonly cells: readonly SeenBy[];
};

export function gatewayHostText({ host, gateways, cells }: GatewayHostStatus): string {
  const own = tableText(
    ["GATEWAY", "PROCESS", ...cells.map(({ cell }) => `CELL ${cell}`)],
    gateways.map(({ id, pid, isRunning: runs }) => [
      id,
      runs ? `runs, ${pid}` : "does not run",
      ...cells.map((each) => seenText(each, id)),
    ]),
  );
  const silent = cells.flatMap((each) => ("problem" in each ? [`Cell ${each.cell} did not answer this status: ${each.problem}.\n`] : []));
  const sees = (id: string): boolean =>
    cells.some((each) => "gateways" in each && each.gateways.some((gateway) => gateway.id === id && gateway.state !== "down"));
  const lost = gateways.filter(({ id }) => !sees(id)).map(({ id }) => `Gateway ${id} serves nobody: no cell that answers sees it.\n`);
  return [`Host ${host} runs gateways only: its key may ask for nothing else.\n\n`, own, ...silent, ...lost].join("");
}

function seenText(seen: SeenBy, gateway: string): string {
  if ("problem" in seen) return "no answer";
  const { state = "not seen", heardMs } = seen.gateways.find(({ id }) => id === gateway) ?? {};
  return heardMs === undefined ? state : `${state}, heard ${durationText(heardMs / 1_000)} ago`;
}

function isRunning(pid: number): boolean {
  return startOf(pid) !== undefined;
}
