import type { PhoneFlow } from "../../sip/dialog/present-flow.ts";
import type { SubscriberCredentials } from "../../actors/exchange/credential-cache.ts";
import type { Offered, OtherExchangesPort } from "../../actors/exchange/ports.ts";
import { servingCells } from "../../cluster/map/serving-cells.ts";
import { encodeFrame } from "../../cluster/backhaul/frame.ts";
import { askCell, callCell, within } from "../cells.ts";
import { clusterMapOf, type Environment, exchangeObject } from "../environment.ts";
import { cellAnswerMsMax } from "../limits.ts";
import { warnOf } from "../way-lost.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What an exchange asks of others. It asks the replica in its own cell when there is one, else the primary, then the other one. */
export class OtherExchanges implements OtherExchangesPort {
  readonly #env: Environment;

  constructor(env: Environment) {
    this.#env = env;
  }

  give(exchange: number, batch: string, answered: (isTaken: boolean) => void): void {
    const octets = encoder.encode(batch);
    void this.#ask<boolean>(
      exchange,
      (object) => object.takeHandedOver(octets),
      async (cell) => {
        await callCell(this.#env, clusterMapOf(this.#env), cell, `/cell/handed-over/${exchange}`, octets);
        return true;
      },
    ).then((answer) => answered(answer === true));
  }

  askElder(exchange: number, answered: (hasTold: boolean) => void): void {
    void within(exchangeObject(this.#env, exchange).handOver(), cellAnswerMsMax).then(
      () => answered(true),
      (error: unknown) => {
        warnOf(`exchange ${exchange} does not hand over what it has`, error);
        answered(false);
      },
    );
  }

  offer({ exchange, cells, access, record, isSure }: Offered, answered: (isTaken: boolean) => void): void {
    const frame = encodeFrame(0, 0, [record]);
    const query = `access=${encodeURIComponent(access)}${isSure ? "&sure=" : ""}`;
    void this.#ask<boolean>(
      exchange,
      (object) => object.takeOffered(access, frame, isSure),
      (cell) => this.#offerTo(cell, `/cell/offered/${exchange}?${query}`, frame),
      cells,
    ).then((answer) => answered(answer === true));
  }

  async #offerTo(cell: string, path: string, frame: Uint8Array): Promise<boolean> {
    return JSON.parse(decoder.decode(await callCell(this.#env, clusterMapOf(this.#env), cell, path, frame))) === true;
  }

  credentials(
    addressOfRecord: string,
    exchange: number,
    answered: (answer: SubscriberCredentials | "unknown" | "unavailable") => void,
  ): void {
    void this.#ask<SubscriberCredentials | undefined | null>(
      exchange,
      (object) => object.credentialsOf(addressOfRecord),
      (cell) => askCell(this.#env, clusterMapOf(this.#env), cell, `/cell/credentials/${exchange}`, addressOfRecord),
    ).then((answer) => answered(answer ?? "unknown"));
  }

  flows(addressOfRecord: string, exchange: number, answered: (answer: readonly PhoneFlow[] | "unavailable") => void): void {
    void this.#ask<readonly PhoneFlow[] | "unavailable">(
      exchange,
      (object) => object.flowsOf(addressOfRecord),
      (cell) => askCell(this.#env, clusterMapOf(this.#env), cell, `/cell/flows/${exchange}`, addressOfRecord),
    ).then((answer) => answered(answer));
  }

  async #ask<Answer>(
    exchange: number,
    near: (object: ReturnType<Environment["EXCHANGE"]["getByName"]>) => Promise<unknown>,
    far: (cell: string) => Promise<Answer>,
    cells: readonly string[] = servingCells(clusterMapOf(this.#env), exchange, this.#env.CELL),
  ): Promise<Answer | "unavailable"> {
    for (const cell of cells) {
      try {
        if (cell !== this.#env.CELL) return await far(cell);
        return (await within(near(exchangeObject(this.#env, exchange)), cellAnswerMsMax)) as Answer;
      } catch (error) {
        warnOf(`exchange ${exchange} in cell ${cell} cannot be asked`, error);
      }
    }
    return "unavailable";
  }
}
