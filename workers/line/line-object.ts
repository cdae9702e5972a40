import { DurableObject } from "cloudflare:workers";
import { messageOctetsMax, retryAfterSeconds } from "../../sip/limits.ts";
import { lineOf } from "../../sip/flow/flow.ts";
import type { SendAnswer, SendOrder } from "../../actors/core-group/line-drain.ts";
import { ExchangeSockets } from "../../actors/line/exchange-sockets.ts";
import { Line, type LinePorts } from "../../actors/line/line.ts";
import { lineStandstillWaitMs } from "../../actors/limits.ts";
import type { Timer } from "../../actors/timer.ts";
import { openCellSocket, within } from "../cells.ts";
import { answerClose } from "../close-socket.ts";
import {
  clusterMapOf,
  codeOf,
  coreGroupObject,
  type Environment,
  environmentOfObject,
  exchangeObject,
  numberOfName,
} from "../environment.ts";
import { drainHoldMs, firstMessageMs, socketMessagesPerSecondMax } from "../limits.ts";
import { openFrameSocket } from "../frame-sockets.ts";
import { isMoved, learnWhereTo } from "../moved.ts";
import { objectTimers } from "../object-timers.ts";
import { randomIds } from "../random-id.ts";
import { TimelyCalls } from "../timely-calls.ts";
import { warnOf } from "../way-lost.ts";
import { shareOf, SoftphoneShare } from "./softphone-share.ts";
import { Softphones } from "./softphones.ts";
import type { SteadyMs, WallMs } from "../../sip/time.ts";

const crlfcrlf = 4;

/** The object of a line: it gives {@link Line} WebSockets, calls to exchanges, clock and timers, and says who may connect. */
export class LineObject extends DurableObject<Environment> {
  readonly #access: string;
  readonly #timers = objectTimers();
  readonly #softphones: Softphones;
  readonly #share: SoftphoneShare;
  readonly #calls: TimelyCalls;
  readonly #sockets: ExchangeSockets;
  readonly #line: Line<WebSocket>;
  /** Looks for those that say nothing, where that is no alarm. */
  readonly #silentTimer: Timer;
  /** No new softphones before this. */
  #fullUntil: SteadyMs = 0;
  /** When it will be looked for those that say nothing; 0: not, for all that this start knows. */
  #alarmAt: WallMs = 0;

  constructor(ctx: DurableObjectState, shared: Environment) {
    const env = environmentOfObject(shared);
    super(ctx, env);
    this.#access = lineOf(env.CELL, numberOfName(ctx.id));
    this.#softphones = new Softphones(ctx, randomIds(), this.#timers.clock.now);
    this.#share = new SoftphoneShare(shareOf(env.SOFTPHONES_MAX, clusterMapOf(env).lineCount), () => ctx.getWebSockets().length);
    this.#calls = new TimelyCalls(env, this.#timers.clock.now);
    this.#sockets = this.#exchangeSockets();
    this.#line = new Line({ access: this.#access, cell: env.CELL, map: () => clusterMapOf(env) }, this.#ports());
    this.#silentTimer = this.#timers.timer(() => this.alarm());
  }

  #ports(): LinePorts<WebSocket> {
    return {
      now: this.#timers.clock.now,
      wallAt: this.#timers.clock.wallAt,
      timer: this.#timers.timer,
      send: (flowKey, octets) => this.#softphones.send(flowKey, octets),
      close: (flowKey) => this.#softphones.close(flowKey, 1000, "closed by the registrar"),
      remember: (socket, exchange) => this.#softphones.remember(socket, exchange),
      exchangesOf: (socket) => this.#softphones.exchangesOf(socket),
      call: (exchange, cell, frame, over) => {
        // What fails over its answer has failed as well.
        void this.#call(exchange, cell, frame)
          .then(over)
          .catch((error: unknown) => over(error instanceof Error ? error : new Error(String(error))));
      },
      random: () => Math.random(),
      wentOnAgo: (told) => void this.#wentOnAgoMs().then(told),
      unreachable: (_exchange, _cell, reason) => warnOf(`line ${this.#access}`, reason),
      overload: (exchange, news) =>
        console.warn(
          `line ${this.#access}: exchange ${exchange} ${news === "began" ? "is late: new requests are refused" : "is in time again"}`,
        ),
    };
  }

  /** Takes a softphone's WebSocket, or answers 503 with Retry-After (RFC 9110 15.6.4): it is to connect to another cell, or later. */
  override fetch(request: Request): Response {
    const now = this.#timers.clock.now();
    if (now < this.#fullUntil) return unavailable(`Cell ${this.env.CELL} is out of service: connect to another one.`);
    if (!this.#softphones.mayCome(request))
      return unavailable(`Cell ${this.env.CELL} has too many from your address that do not register.`);
    if (!this.#share.take(now) && !this.#softphones.makeRoomFor(request))
      return unavailable(`Cell ${this.env.CELL} has no room for another softphone: connect to another one, or later.`);
    const response = this.#softphones.accept(request);
    this.#lookForSilentAt(Date.now() + firstMessageMs);
    return response;
  }

  /** Some have been here for a while: those that have said nothing are closed. */
  override alarm(): void {
    this.#alarmAt = 0;
    const now = Date.now();
    if (this.#softphones.closeSilent(now)) this.#lookForSilentAt(now + firstMessageMs);
  }

  /**
   * On Cloudflare by an alarm, so that the object may sleep. On a disk of one's own an alarm is two commits, and a line that writes nothing serves while
   * the disk is full. There it is a timer: who is looked for ends with the process as well.
   */
  #lookForSilentAt(at: WallMs): void {
    if (this.#alarmAt > 0) return;
    this.#alarmAt = at;
    // One that cannot be set looks for nobody: it is only for order.
    if (this.env.DISK === undefined) void this.ctx.storage.setAlarm(at).catch(() => undefined);
    else this.#silentTimer.set(at - Date.now());
  }

  /** Does nothing else. */
  stayAwake(): void {}

  /** WebSockets of softphones that are open. */
  softphones(): number {
    return this.ctx.getWebSockets().length;
  }

  code(): string {
    return codeOf(this.env);
  }

  override webSocketMessage(socket: WebSocket, data: ArrayBuffer | string): void {
    const octets = typeof data === "string" ? utf8(data) : new Uint8Array(data);
    if (octets === undefined || octets.length > messageOctetsMax) {
      socket.close(1009, `a SIP message has at most ${messageOctetsMax} octets`);
      return;
    }
    const now = this.#timers.clock.now();
    if (!this.#softphones.mayReceive(socket, now)) {
      socket.close(1008, `more than ${socketMessagesPerSecondMax} messages a second`);
      return;
    }
    if (octets.length <= crlfcrlf && octets.every((octet) => octet === 0x0d || octet === 0x0a)) {
      if (octets.length === crlfcrlf) this.#softphones.answerKeepAlive(socket);
      return;
    }
    this.#softphones.heard(socket, octets);
    this.#line.said({ key: this.#softphones.flowKeyOf(socket), octets, softphone: socket }, now);
  }

  override webSocketClose(socket: WebSocket, code: number, reason: string): void {
    answerClose(socket, code, reason);
    this.#ended(socket);
  }

  override webSocketError(socket: WebSocket, error: unknown): void {
    if (isProtocolError(error)) this.#softphones.broke(socket);
    this.#ended(socket);
  }

  #ended(socket: WebSocket): void {
    const key = this.#softphones.flowKeyOf(socket);
    this.#softphones.ended(socket);
    this.#line.ended(key, socket);
  }

  /**
   * This cell is out of service. Closes some WebSockets, so that their softphones connect elsewhere, and takes no new ones until {@link drainHoldMs}
   * after it was last told so.
   */
  sendElsewhere(order: SendOrder): SendAnswer {
    const now = this.#timers.clock.now();
    this.#fullUntil = now + drainHoldMs;
    return { left: this.#softphones.closeSome(order, now), lateMs: this.#line.lateMs(now) };
  }

  /** This cell is in service again. */
  takeSoftphones(): void {
    this.#fullUntil = 0;
  }

  /**
   * A frame from an exchange. The answer brings back what could not be delivered. Undefined: it came after this time (ms), and the exchange has
   * given it up; no new request of it was delivered.
   */
  deliver(octets: Uint8Array, until?: number): Uint8Array | undefined {
    return this.#line.deliver(octets, until);
  }

  async #wentOnAgoMs(): Promise<number> {
    try {
      return await within(coreGroupObject(this.env).wentOnAgoMs(), lineStandstillWaitMs);
    } catch (error) {
      console.warn(`line ${this.#access}: the core group does not say whether this cell stood still: ${String(error)}`);
      return Number.POSITIVE_INFINITY;
    }
  }

  async #call(exchange: number, cell: string, frame: Uint8Array): Promise<Uint8Array> {
    if (cell === this.env.CELL) return await this.#callHere(exchange, frame);
    const path = `/cell/exchange/${exchange}?access=${this.#access}`;
    return await this.#calls.bring(cell, path, frame, () => this.#sockets.socketFor(exchange, cell));
  }

  /** Those to replicas in other cells. */
  #exchangeSockets(): ExchangeSockets {
    const { clock, timer } = this.#timers;
    return new ExchangeSockets({
      now: clock.now,
      wallAt: clock.wallAt,
      timer,
      take: (frame, until, answer) => answer(this.#line.deliver(frame, until) ?? "late"),
      open: (exchange, cell, opened) => {
        const path = `/line/${exchange}?access=${this.#access}`;
        const open = async (signal: AbortSignal): Promise<WebSocket> =>
          await openCellSocket(this.env, clusterMapOf(this.env), cell, path, `line ${exchange}`, signal);
        void openFrameSocket(open, opened);
      },
    });
  }

  /** Within the cell nothing is given up, so that nothing can come too late. */
  async #callHere(exchange: number, frame: Uint8Array): Promise<Uint8Array> {
    let answer: Uint8Array | undefined;
    try {
      answer = await exchangeObject(this.env, exchange).takeLineFrame(this.#access, frame);
    } catch (error) {
      if (isMoved(error)) await learnWhereTo(this.env);
      throw error;
    }
    if (answer === undefined) throw new Error(`exchange ${exchange} does not take what may come at any time`);
    return answer;
  }
}

function unavailable(text: string): Response {
  return new Response(`${text}\n`, { status: 503, headers: { "retry-after": String(retryAfterSeconds) } });
}

/** Text as octets; undefined when it is too long for a message whatever its characters are. */
function utf8(text: string): Uint8Array | undefined {
  return text.length > messageOctetsMax ? undefined : new TextEncoder().encode(text);
}

/** How workerd words what a WebSocket did that none may do (RFC 6455 7.4.1, 1002). */
function isProtocolError(error: unknown): boolean {
  return /protocol error/i.test(String(error));
}
