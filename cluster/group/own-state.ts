import type { CellMember } from "./cell-member.ts";
import type { Heartbeat } from "./heartbeat.ts";
import { Joining } from "./joining.ts";
import type { Turning } from "./view.ts";
import type { SteadyMs } from "../../sip/time.ts";

type Others = ReadonlyMap<string, CellMember>;

/** What a cell is in its own eyes: it joins, is up, or drains. */
export class OwnState {
  readonly #cell: string;
  #state: Heartbeat["state"] = "joining";
  #isDraining: boolean;
  readonly #joining = new Joining();

  constructor(cell: string, isDraining: boolean) {
    this.#cell = cell;
    this.#isDraining = isDraining;
  }

  get state(): Heartbeat["state"] {
    return this.#state;
  }

  /** When it has joined, as it looks now, ms; Infinity: it has, or nobody can say yet. */
  get joinedAt(): number {
    return this.#state === "joining" ? this.#joining.endsAt : Number.POSITIVE_INFINITY;
  }

  /**
   * The operator takes this cell out of service, or back. False: no other cell is up, so it stays in service, for nobody could take over what it has. If
   * the others die later, a cell that drains serves on.
   */
  setDraining(isDraining: boolean, others: Others): boolean {
    const isLast = [...others.values()].every(({ state }) => state !== "up");
    if (isDraining && !this.#isDraining && isLast) return false;
    this.#isDraining = isDraining;
    return true;
  }

  /** The map has this cell no more. Back in it, it is in service. */
  wasRemoved(): void {
    this.#isDraining = false;
  }

  /** An exchange of this cell asks its peer what it has missed, or may do so. While this cell joins it waits for {@link caughtUp}. */
  catchingUp(exchange: number): void {
    if (this.#state === "joining") this.#joining.catchingUp(exchange);
  }

  /** An exchange of this cell has what its peer knows, or has given up waiting for that. True: it was waited for. */
  caughtUp(exchange: number): boolean {
    return this.#joining.caughtUp(exchange);
  }

  /** It learns of the others whether they live. */
  look(others: Others, now: SteadyMs): void {
    if (this.#state === "joining" && [...others.values()].every(({ isKnown }) => isKnown)) this.#joining.othersAreKnown(now);
  }

  /**
   * What has become of it. A cell joins until it knows of every other one whether it lives. Those of its exchanges that run must have caught up with their peers,
   * too. One that nobody has woken catches up when somebody does: nothing is woken for this.
   */
  judge(others: Others, now: SteadyMs): Omit<Turning, "epoch"> | undefined {
    const isJoining = this.#state === "joining" && others.size > 0 && now < this.joinedAt;
    const to = isJoining ? "joining" : this.#isDraining ? "draining" : "up";
    const from = this.#state;
    if (to === from) return undefined;
    this.#state = to;
    const cause = to === "draining" ? "drained" : from === "draining" ? "returned" : "ready";
    return { kind: "cell", id: this.#cell, from, to, cause, detail: "" };
  }
}
