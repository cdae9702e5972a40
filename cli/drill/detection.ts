import type { ApiClient } from "../api-client.ts";
import type { Status } from "../../schemas/api-answers.ts";
import { isStatus } from "../status.ts";

const pollMs = 50;
/** Questions under way at once: a cell that hangs on one may answer the next. */
const askedMax = 8;

/** Watches a cell's status until a member is not up any more. */
export class Detection {
  readonly #api: ApiClient;
  readonly #shows: (status: Status) => boolean;
  readonly #startedAt = performance.now();
  #asked = 0;
  #timer: NodeJS.Timeout;
  #ms: number | undefined;

  constructor(api: ApiClient, shows: (status: Status) => boolean) {
    this.#api = api;
    this.#shows = shows;
    this.#timer = setInterval(() => void this.#ask(), pollMs);
  }

  /** From the start of the watch to the first status that shows it; undefined: none has. */
  get ms(): number | undefined {
    return this.#ms;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #ask(): Promise<void> {
    if (this.#asked >= askedMax) return;
    this.#asked += 1;
    try {
      const status = await this.#api.get("/api/status");
      if (this.#ms !== undefined || !isStatus(status) || !this.#shows(status)) return;
      this.#ms = Math.round(performance.now() - this.#startedAt);
      this.stop();
    } catch {
      // It is asked again.
    } finally {
      this.#asked -= 1;
    }
  }
}

/** A member is not in the view any more, or down in it. */
export function isDown(members: readonly { readonly id: string; readonly state: string }[], id: string): boolean {
  const member = members.find((each) => each.id === id);
  return member === undefined || member.state === "down";
}
