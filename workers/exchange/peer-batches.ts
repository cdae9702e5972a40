import { otherVersionCause, refusedCause } from "../../cluster/replication/peer-link.ts";
import { CellAnswerError, OtherVersionError } from "../cells.ts";
import type { PeerQuestion } from "./peer-socket.ts";

export type PeerBatchesOptions = {
  /** Brings a batch to the peer. Its answer rejects when there is none. */
  readonly call: (batch: Uint8Array) => PeerQuestion;
  readonly answered: (id: number, answer: string) => void;
  readonly failed: (id: number, isRefused: boolean, cause: string) => void;
};

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Batches under way to one cell. */
export class PeerBatches {
  readonly #options: PeerBatchesOptions;
  readonly #questions = new Map<number, PeerQuestion>();
  #lastError = "";

  constructor(options: PeerBatchesOptions) {
    this.#options = options;
  }

  /** What the last batch that was not answered met; empty: none has failed since that was forgotten. */
  get lastError(): string {
    return this.#lastError;
  }

  forgetError(): void {
    this.#lastError = "";
  }

  send(id: number, batch: string): void {
    void this.#ask(id, encoder.encode(batch));
  }

  abandon(id: number): void {
    this.#questions.get(id)?.abandon();
    this.#questions.delete(id);
  }

  async #ask(id: number, batch: Uint8Array): Promise<void> {
    const question = this.#options.call(batch);
    this.#questions.set(id, question);
    let answer: string;
    try {
      answer = decoder.decode(await question.answer);
    } catch (error) {
      if (!this.#questions.delete(id)) return;
      // Who answers with an error is there, and may be well again with the next batch.
      const cause = error instanceof OtherVersionError ? otherVersionCause : refusedCause;
      this.#options.failed(id, !(error instanceof CellAnswerError), cause);
      // What this makes of the pair may have had the errors of before forgotten.
      this.#lastError = error instanceof Error ? error.message : String(error);
      return;
    }
    if (this.#questions.delete(id)) this.#options.answered(id, answer);
  }
}
