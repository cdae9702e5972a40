import { movedBetween } from "../../cluster/assignment/moves-left.ts";
import type { MapAnswer } from "../../schemas/api-answers.ts";
import { replicasIn } from "./cell-removal.ts";
import { Failure } from "../errors.ts";
import { SoftphoneProgress } from "../softphone-progress.ts";

/** A full exchange is copied in some seconds, and a dead cell is waited for as long as the group says. */
const stalledMsMax = 120_000;
/** A step of a move is seldom longer. Who waits longer wants to know what for. */
const quietMsMax = 3_000;

/** Says how many moves are done, what is waited for when none is done for a while, and notices that none is done any more. */
export class CellProgress {
  readonly #before: MapAnswer;
  readonly #say: (text: string) => void;
  readonly #softphones: SoftphoneProgress;
  #said = "";
  #saidReason = "";
  #seen = "";
  #changedAt = performance.now();

  constructor(before: MapAnswer, say: (text: string) => void) {
    this.#before = before;
    this.#say = say;
    this.#softphones = new SoftphoneProgress(say);
  }

  /**
   * `only`: the cell that leaves. Moves of others, which another command has asked for, are not counted then. `softphones`: those that it has left;
   * undefined: that is not known.
   */
  look(map: MapAnswer, left: number, only?: string, softphones?: number): void {
    const switched = map.assignments.map(({ primary, secondary }) => ({ primary, secondary }));
    // It may be given replicas at first, which an earlier command has asked for.
    const gone = only === undefined ? 0 : Math.max(0, replicasIn(this.#before, only) - left);
    const moved = only === undefined ? movedBetween(this.#before.assignments, switched) : gone;
    const text = `  ${moved} of ${moved + left} moves done\n`;
    if (text !== this.#said && moved + left > 0) this.#say(text);
    this.#said = text;
    // They go when its replicas have gone.
    if (left === 0) this.#softphones.look(softphones);
    const seen = `${JSON.stringify(map)} ${softphones ?? ""}`;
    if (seen !== this.#seen) [this.#changedAt, this.#saidReason] = [performance.now(), ""];
    this.#seen = seen;
  }

  /** `reason`: what it waits for, as far as that is known. */
  check(what: string, reason: string | undefined): void {
    const quietMs = performance.now() - this.#changedAt;
    if (quietMs >= stalledMsMax) throw new Failure(`${what}, and nothing has changed for ${stalledMsMax / 1_000} s: see tandem group`);
    if (quietMs < quietMsMax || reason === undefined || reason === this.#saidReason) return;
    this.#say(`  waiting: ${reason}\n`);
    this.#saidReason = reason;
  }
}
