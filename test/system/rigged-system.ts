import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isStatus } from "../../cli/status.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { freePorts } from "../../kit/world/free-ports.ts";
import { type CellId, RelayedSystem, type RelayedSystemOptions, relayedPorts } from "../../kit/world/relayed-system.ts";
import type { Change, Status } from "../../schemas/api-answers.ts";

const gateways = 1;

export type RiggedOptions = {
  /** Other times than the usual ones. */
  readonly flushMs?: number;
  readonly heartbeat?: ClusterMap["heartbeat"];
  /** Another script for a cell than the one of this checkout. */
  readonly scriptOf?: RelayedSystemOptions["scriptOf"];
};

/** A system of two cells and a gateway whose cell a can be cut off from all others, the gateway too. Tests and their softphones come directly. */
export class RiggedSystem extends RelayedSystem {
  /** What its processes have said. */
  readonly lines: readonly string[];
  readonly #directory: string;

  private constructor(directory: string, firstPort: number, { scriptOf, ...times }: RiggedOptions) {
    const lines: string[] = [];
    const reporter = {
      step: () => {},
      event: (process: string, event: string, cause: string) => void lines.push(`${process} ${event}: ${cause}`),
      line: (process: string, text: string) => void lines.push(`${process}: ${text}`),
      text: () => {},
      ready: () => {},
      failed: () => {},
    };
    super({ directory, firstPort, domain: "example.test", gateways, reporter, cutsGateways: true, times, scriptOf });
    this.lines = lines;
    this.#directory = directory;
  }

  static async open(options: RiggedOptions = {}): Promise<RiggedSystem> {
    const firstPort = await freePorts(relayedPorts(gateways));
    const rigged = new RiggedSystem(mkdtempSync(join(tmpdir(), "tandem-rigged-")), firstPort, options);
    try {
      await rigged.start(AbortSignal.timeout(60_000));
    } catch (error) {
      await rigged.stop();
      throw error;
    }
    return rigged;
  }

  url(cell: CellId): string {
    return this.cells.find(({ id }) => id === cell)?.url ?? "";
  }

  async status(cell: CellId): Promise<Status> {
    const status = await this.api(cell).get("/api/status");
    if (!isStatus(status)) throw new Error(`no status: ${JSON.stringify(status)}`);
    return status;
  }

  async history(cell: CellId): Promise<readonly Change[]> {
    return (await this.status(cell)).history;
  }

  /** Who is registered, and with which contacts, as this cell knows it. */
  async contacts(cell: CellId): Promise<ReadonlyMap<string, number>> {
    const counts = new Map<string, number>();
    for (const row of (await this.api(cell).get("/api/registrations")) as readonly { readonly aor: string }[]) {
      const user = row.aor.slice(0, row.aor.indexOf("@"));
      counts.set(user, (counts.get(user) ?? 0) + 1);
    }
    return counts;
  }

  /** Kills everything: nobody reads what it would write. */
  override async stop(): Promise<void> {
    const stopped = super.stop();
    this.kill();
    await stopped;
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 5 });
  }
}
