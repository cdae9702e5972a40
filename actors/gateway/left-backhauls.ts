import { decodeFrame, encodeFrame, isFrameError, RecordKind, type FrameRecord } from "../../cluster/backhaul/frame.ts";
import type { MakeTimer, Timer } from "../timer.ts";
import type { BackhaulLink } from "./backhaul-link.ts";
import { replicaLeavesMs } from "./limits.ts";

/**
 * Backhauls to replicas that the map has no more. A replica hears of a map at another moment than each of its gateways. Until then it answers, and passes on
 * what another gateway or a line has brought: an ACK, for example, that nobody says again. So they are listened to until their replicas close them.
 */
export class LeftBackhauls {
  readonly #timer: MakeTimer;
  readonly #links = new Map<BackhaulLink, Timer>();

  constructor(timer: MakeTimer) {
    this.#timer = timer;
  }

  has(link: BackhaulLink): boolean {
    return this.#links.has(link);
  }

  /** Nothing more is sent on it, and what was not acknowledged goes elsewhere. */
  add(link: BackhaulLink): void {
    if (!link.leave()) return;
    const timer = this.#timer(() => {
      this.ended(link);
      link.stop();
    });
    this.#links.set(link, timer);
    timer.set(replicaLeavesMs);
  }

  /** What a frame has brought. It is acknowledged at once: its replica has nobody to keep it for. */
  receive(link: BackhaulLink, octets: Uint8Array): readonly FrameRecord[] {
    const frame = decodeFrame(octets);
    if (isFrameError(frame)) return [];
    if (frame.seq !== 0) link.send(encodeFrame(0, frame.seq, []));
    return frame.records.filter(({ kind }) => kind !== RecordKind.serving);
  }

  /** Its replica has closed it, or it was lost. */
  ended(link: BackhaulLink): void {
    this.#links.get(link)?.clear();
    this.#links.delete(link);
  }

  stop(): void {
    for (const link of this.#links.keys()) {
      this.ended(link);
      link.stop();
    }
  }
}
