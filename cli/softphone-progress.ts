/** How often it is said how many softphones are left. */
const saidEveryMs = 5_000;

/** Says now and then how many softphones of a cell have gone elsewhere, while that changes. */
export class SoftphoneProgress {
  readonly #say: (text: string) => void;
  readonly #now: () => number;
  #most = 0;
  #said = 0;
  #saidAt: number;

  constructor(say: (text: string) => void, now: () => number = () => performance.now()) {
    this.#say = say;
    this.#now = now;
    this.#saidAt = now();
  }

  /** `left`: softphones that have not gone elsewhere; undefined: nobody knows yet. */
  look(left: number | undefined): void {
    if (left === undefined) return;
    this.#most = Math.max(this.#most, left);
    const gone = this.#most - left;
    const isOver = left === 0;
    if (gone === this.#said || (this.#now() - this.#saidAt < saidEveryMs && !isOver)) return;
    [this.#said, this.#saidAt] = [gone, this.#now()];
    this.#say(`  ${gone} of ${this.#most} softphones have gone elsewhere\n`);
  }
}
