import {
  failedLoginMsPerAddress,
  failedLoginMsPerFlow,
  failedLoginMsPerNewcomer,
  failedLoginMsPerUser,
  failedLoginsPerAddressDefault,
  failedLoginsRememberedMax,
  knownFlowsMax,
  knownLoginMs,
  knownLoginsMax,
  newcomersTriesFactor,
  newcomersTriesShare,
} from "../limits.ts";
import type { SteadyMs } from "../time.ts";

/**
 * How many wrong passwords were sent of late, each under a key. As many as `burst` are borne at once, and one more every `refillMs`. What a key
 * has left is one number, the time when all is forgotten (the generic cell rate algorithm). Bounded: the one that failed longest ago is
 * forgotten first.
 */
class Failures {
  readonly #forgottenAt = new Map<string, number>();
  readonly #burst: number;
  readonly #refillMs: number;

  constructor(burst: number, refillMs: number) {
    this.#burst = burst;
    this.#refillMs = refillMs;
  }

  get size(): number {
    return this.#forgottenAt.size;
  }

  has(key: string, now: SteadyMs): boolean {
    return (this.#forgottenAt.get(key) ?? 0) > now;
  }

  /** How long until another one is borne, ms; 0: now. */
  waitMs(key: string, now: SteadyMs): number {
    const forgottenAt = this.#forgottenAt.get(key);
    return forgottenAt === undefined ? 0 : Math.max(0, forgottenAt - now - (this.#burst - 1) * this.#refillMs);
  }

  add(key: string, now: SteadyMs): void {
    // What was let through over the burst makes nobody wait for longer.
    const forgottenAt = Math.min(Math.max(this.#forgottenAt.get(key) ?? 0, now), now + (this.#burst - 1) * this.#refillMs) + this.#refillMs;
    this.#forgottenAt.delete(key);
    makeRoom(this.#forgottenAt, failedLoginsRememberedMax);
    this.#forgottenAt.set(key, forgottenAt);
  }

  forget(key: string): void {
    this.#forgottenAt.delete(key);
  }
}

function makeRoom(map: Map<string, unknown>, max: number): void {
  if (map.size < max) return;
  const [oldest] = map.keys();
  if (oldest !== undefined) map.delete(oldest);
}

/**
 * Who asks to be let in: the flow it sends on (port or connection included), the address as limits count it (see sourceOf), and the user it claims to
 * be.
 */
export type Login = { readonly flow: string; readonly source: string; readonly user: string };

/** When a user last gave the right password at an address, and on which flows there, the latest first. */
type Known = { readonly at: SteadyMs; readonly flows: readonly string[] };

/**
 * The brake on guessing: who has sent too many wrong passwords is not checked for a while, right or wrong. What counts:
 *
 * - one flow as one user. A phone with an old password uses up its own, and not its neighbours' behind the same NAT;
 * - one address for all users;
 * - one user from all addresses that have failed as that one.
 *
 * Nobody is locked out by strangers. The first guess of an address as a user is looked at, whatever others do. Some more are counted apart from those
 * of persistent guessers, each of whom has used up his own (decision 0014).
 *
 * Where a user was right before, others are no hindrance. On a flow that it was right on, its own failures count alone. At an address that it was
 * right at, those count that were made in its name there.
 *
 * Whoever is counted was asked at that very address (nonces are made for one): a forged source counts for nobody. Each replica counts for itself.
 */
export class GuessBrake {
  readonly #flows: Failures;
  readonly #sources: Failures;
  readonly #pairs: Failures;
  readonly #users: Failures;
  /** What each address has of its own as one user, and what all of them have had so as that one. */
  readonly #newcomers: Failures;
  readonly #newcomersOf: Failures;
  readonly #known = new Map<string, Known>();
  readonly #isOff: boolean;

  /** `perAddress`: wrong passwords that one address may send at once, for whomever; 0: as many as it likes. */
  constructor(perAddress: number = failedLoginsPerAddressDefault) {
    this.#isOff = perAddress === 0;
    this.#flows = new Failures(Math.ceil(perAddress / 4), failedLoginMsPerFlow);
    this.#sources = new Failures(perAddress, failedLoginMsPerAddress);
    this.#pairs = new Failures(perAddress, failedLoginMsPerUser);
    this.#users = new Failures(perAddress * 2, failedLoginMsPerUser);
    this.#newcomers = new Failures(Math.ceil(perAddress * newcomersTriesShare), failedLoginMsPerNewcomer);
    this.#newcomersOf = new Failures(perAddress * newcomersTriesFactor, failedLoginMsPerUser);
  }

  /** Everything that is remembered, for the limits' tests. */
  get size(): number {
    const ofUsers = this.#users.size + this.#newcomers.size + this.#newcomersOf.size;
    return this.#flows.size + this.#sources.size + this.#pairs.size + ofUsers + this.#known.size;
  }

  /** True when nobody has failed. */
  get isReleased(): boolean {
    return this.#sources.size === 0;
  }

  /** How long this one must wait before a password is checked, ms; 0: it is checked now. */
  waitMs({ flow, source, user }: Login, now: SteadyMs): number {
    // Nearly always.
    if (this.isReleased) return 0;
    const own = this.#flows.waitMs(keyOf(flow, user), now);
    const pair = keyOf(source, user);
    const known = this.#known.get(pair);
    if (own > 0 || known?.flows.includes(flow) === true) return own;
    if (known !== undefined) return this.#pairs.waitMs(pair, now);
    const wait = this.#sources.waitMs(source, now);
    return wait > 0 || !this.#newcomers.has(pair, now) ? wait : this.#waitOfOthers(pair, user, now);
  }

  /** For an address that has failed as this user, and was never right. It may use what all have together, or else what it has of its own. */
  #waitOfOthers(pair: string, user: string, now: SteadyMs): number {
    const wait = this.#users.waitMs(user, now);
    if (wait === 0 || this.#newcomers.waitMs(pair, now) > 0) return wait;
    return Math.min(wait, this.#newcomersOf.waitMs(user, now));
  }

  failed({ flow, source, user }: Login, now: SteadyMs): void {
    if (this.#isOff) return;
    this.#flows.add(keyOf(flow, user), now);
    this.#sources.add(source, now);
    const pair = keyOf(source, user);
    const isKnown = this.#known.has(pair);
    (isKnown ? this.#pairs : this.#newcomers).add(pair, now);
    if (this.#users.waitMs(user, now) === 0) this.#users.add(user, now);
    else if (!isKnown) this.#newcomersOf.add(user, now);
  }

  succeeded({ flow, source, user }: Login, now: SteadyMs): void {
    if (this.#isOff) return;
    if (!this.isReleased) this.#flows.forget(keyOf(flow, user));
    const pair = keyOf(source, user);
    const known = this.#known.get(pair);
    const isThere = known?.flows.includes(flow) === true;
    if (known !== undefined && isThere && now - known.at < knownLoginMs) return;
    const others = known === undefined ? [] : known.flows.filter((each) => each !== flow).slice(0, knownFlowsMax - 1);
    this.#known.delete(pair);
    makeRoom(this.#known, knownLoginsMax);
    this.#known.set(pair, { at: now, flows: [flow, ...others] });
  }
}

function keyOf(place: string, user: string): string {
  return `${place} ${user}`;
}
