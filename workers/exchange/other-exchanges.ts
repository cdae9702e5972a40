import type { PhoneFlow } from "../../sip/dialog/present-flow.ts";
import type { SubscriberCredentials } from "../../actors/exchange/credential-cache.ts";
import type { OtherExchangesPort } from "../../actors/exchange/ports.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { servingCells } from "../../cluster/map/serving-cells.ts";
import { askCell, within } from "../cells.ts";
import { exchangeName, type Environment } from "../environment.ts";
import { cellAnswerMsMax } from "../limits.ts";
import { warnOf } from "../way-lost.ts";

/** What an exchange asks of others. It asks the replica in its own cell when there is one, else the primary, then the other one. */
export class OtherExchanges implements OtherExchangesPort {
  readonly #env: Environment;
  readonly #map: ClusterMap;

  constructor(env: Environment, map: ClusterMap) {
    this.#env = env;
    this.#map = map;
  }

  credentials(
    addressOfRecord: string,
    exchange: number,
    answered: (answer: SubscriberCredentials | "unknown" | "unavailable") => void,
  ): void {
    void this.#ask<SubscriberCredentials | undefined | null>(
      exchange,
      (object) => object.credentialsOf(addressOfRecord),
      (cell) => askCell(this.#env, this.#map, cell, `/cell/credentials/${exchange}`, addressOfRecord),
    ).then((answer) => answered(answer ?? "unknown"));
  }

  flows(addressOfRecord: string, exchange: number, answered: (answer: readonly PhoneFlow[] | "unavailable") => void): void {
    void this.#ask<readonly PhoneFlow[] | "unavailable">(
      exchange,
      (object) => object.flowsOf(addressOfRecord),
      (cell) => askCell(this.#env, this.#map, cell, `/cell/flows/${exchange}`, addressOfRecord),
    ).then((answer) => answered(answer));
  }

  async #ask<Answer>(
    exchange: number,
    near: (object: ReturnType<Environment["EXCHANGE"]["getByName"]>) => Promise<unknown>,
    far: (cell: string) => Promise<Answer>,
  ): Promise<Answer | "unavailable"> {
    for (const cell of servingCells(this.#map, exchange, this.#env.CELL)) {
      try {
        if (cell !== this.#env.CELL) return await far(cell);
        return (await within(near(this.#env.EXCHANGE.getByName(exchangeName(exchange))), cellAnswerMsMax)) as Answer;
      } catch (error) {
        warnOf(`exchange ${exchange} in cell ${cell} cannot be asked`, error);
      }
    }
    return "unavailable";
  }
}
