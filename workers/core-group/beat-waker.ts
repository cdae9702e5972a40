import type { MakeTimer, Timer } from "../../actors/timer.ts";
import { later, type Clocks, type SteadyMs } from "../../sip/time.ts";
import type { DiskRoom } from "../disk-room.ts";
import { beatBackstopMs } from "../limits.ts";

/** An idle object is put to sleep after about 10 s, and would forget whom it has missed. Between slower beats a timer keeps it awake. */
const sleepMs = 8_000;

export type BeatWakerOptions = {
  readonly storage: Pick<DurableObjectStorage, "setAlarm">;
  readonly room: Pick<DiskRoom, "ask" | "isFull">;
  readonly clock: Clocks;
  readonly timer: MakeTimer;
  /** The disk is one's own: an alarm makes all objects of the cell wait, and being awake costs nothing. */
  readonly isOwnDisk: boolean;
  /** A timer has rung. */
  readonly rang: () => void;
  /** It is known whether there is room for an alarm. False: {@link BeatWaker.arm} is to be called again. */
  readonly roomTold: (isRoom: boolean) => void;
};

/**
 * What wakes a core group for its beats: an alarm, which survives the process, or a timer.
 *
 * On Cloudflare it is the alarm, and nothing beside it. An object that has a timer is awake all the time, which costs more than the rows of the alarms. When an
 * alarm is late, the heartbeats of other cells find that a beat is overdue.
 *
 * On a disk of one's own each alarm is two commits, for which the thread of all objects of the cell waits. There a timer beats. An alarm stands a minute behind it,
 * for a group that was reset and that nobody calls.
 */
export class BeatWaker {
  readonly #options: BeatWakerOptions;
  readonly #timer: Timer;
  /** 0: there is none. */
  #alarmAt: SteadyMs = 0;
  /** The beat for which room was asked for last. */
  #askedFor: SteadyMs = 0;
  #timerAt: SteadyMs = 0;
  #arming: Promise<void> | undefined;

  constructor(options: BeatWakerOptions) {
    this.#options = options;
    this.#timer = options.timer(() => {
      this.#timerAt = 0;
      options.rang();
    });
  }

  /** Resolves when an alarm that waits for an answer about room is set, or is not. */
  get arming(): Promise<void> | undefined {
    return this.#arming;
  }

  /** The alarm has rung: there is none now. */
  alarmRang(): void {
    this.#alarmAt = 0;
    this.#askedFor = 0;
  }

  /** The group is to have its tick at `nextTick`, though this process ends before, and at `deadline`, which is not later. */
  arm(nextTick: SteadyMs, deadline: SteadyMs, now: SteadyMs): void {
    const { room, isOwnDisk } = this.#options;
    // All are timers while the disk takes no alarm.
    const isTimed = isOwnDisk || deadline < nextTick || nextTick - now > sleepMs || room.isFull;
    if (isTimed) this.#setTimer(deadline, now);
    // One that is left from a deadline of before would keep the object awake for nothing.
    else this.#clearTimer();
    if (nextTick === this.#askedFor || room.isFull) return;
    this.#askedFor = nextTick;
    // Each beat asks, though it has no alarm to set: who watches a disk that becomes full hears of it from here.
    const isRoom = room.ask(0);
    if (isRoom === true) this.#setAlarm(nextTick, now);
    else this.#arming = this.#setAlarmIf(isRoom, nextTick);
  }

  /** The alarm that stands behind the timer stays as long as half of its time is left: so it is set twice a minute, and does not ring. */
  #backstop(nextTick: SteadyMs, now: SteadyMs): SteadyMs {
    const aheadMs = Math.max(beatBackstopMs, 2 * (nextTick - now));
    return this.#alarmAt - now <= aheadMs / 2 ? later(now, aheadMs) : this.#alarmAt;
  }

  #setTimer(at: SteadyMs, now: SteadyMs): void {
    if (at === this.#timerAt) return;
    this.#timerAt = at;
    this.#timer.set(Math.max(1, at - now));
  }

  #clearTimer(): void {
    if (this.#timerAt === 0) return;
    this.#timerAt = 0;
    this.#timer.clear();
  }

  async #setAlarmIf(room: Promise<boolean>, nextTick: SteadyMs): Promise<void> {
    const isRoom = await room;
    if (isRoom) this.#setAlarm(nextTick, this.#options.clock.now());
    else this.alarmRang();
    this.#options.roomTold(isRoom);
  }

  #setAlarm(nextTick: SteadyMs, now: SteadyMs): void {
    const { storage, clock, isOwnDisk } = this.#options;
    const at = isOwnDisk ? this.#backstop(nextTick, now) : nextTick;
    if (at === this.#alarmAt) return;
    this.#alarmAt = at;
    // Inside of alarm() one that is set for now can be lost.
    void storage.setAlarm(clock.wallAt(Math.max(at, now + 1)), { allowUnconfirmed: true });
  }
}
