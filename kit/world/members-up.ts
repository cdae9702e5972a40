import type { ApiClient } from "../../cli/api-client.ts";
import { isStatus } from "../../cli/status.ts";
import { comesTrue } from "./until.ts";

const upMsMax = 15_000;
const upPollMs = 100;

/** Waits until every cell and gateway, but for those that are lost, is up in the eyes of each of these cells. False: not within 15 s. */
export async function untilMembersUp(cells: readonly ApiClient[], lost: readonly string[]): Promise<boolean> {
  const isUpEverywhere = async (): Promise<boolean> => {
    const up = await Promise.all(
      cells.map(
        async (api) =>
          await api.get("/api/status").then(
            (status) => isAllUp(status, lost),
            () => false,
          ),
      ),
    );
    return up.every(Boolean);
  };
  return await comesTrue(isUpEverywhere, upMsMax, upPollMs);
}

function isAllUp(status: unknown, lost: readonly string[]): boolean {
  if (!isStatus(status)) return false;
  return [...status.cells, ...status.gateways].filter(({ id }) => !lost.includes(id)).every(({ state }) => state === "up");
}
