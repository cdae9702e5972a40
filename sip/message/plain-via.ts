import { isParseError } from "../errors.ts";
import { SP, TOKEN, characterClasses } from "./characters.ts";
import { stringOf } from "./octets.ts";
import { noParams, parseParams } from "./params.ts";
import type { Params } from "./params.ts";
import { endOfPlainHost, isIpv4At, plainPort } from "./plain-host.ts";
import { plainParam, plainParamsEnd, plainValueEnd, plainValueStart, readPlainParams } from "./plain-params.ts";
import type { Via } from "./via.ts";

const versionAndSlash = "SIP/2.0/";
const transports: readonly string[] = ["UDP", "TCP", "TLS", "WS", "WSS"];
/** Offset of what is not there. */
const NONE = -1;

/**
 * Reads the Via value that begins at `start` and ends at `end` or a comma. It reads the form that nearly everybody writes. Its texts are made when
 * they are asked for. Undefined is any other, malformed ones among them: `parseVia` decides about those.
 */
export function plainViaAt(octets: Uint8Array, start: number, end: number): PlainVia | undefined {
  const transportStart = start + versionAndSlash.length;
  if (transportStart >= end) return undefined;
  for (let i = 0; i < versionAndSlash.length; i++) if (octets[start + i] !== versionAndSlash.charCodeAt(i)) return undefined;
  let transportEnd = transportStart;
  while (transportEnd < end && ((characterClasses[octets[transportEnd] ?? 0] ?? 0) & TOKEN) !== 0) transportEnd++;
  if (transportEnd === transportStart || transportEnd === end || octets[transportEnd] !== SP) return undefined;
  const hostEnd = endOfPlainHost(octets, transportEnd + 1, end);
  if (hostEnd < 0) return undefined;
  let port: number | undefined;
  let paramsStart = hostEnd;
  if (hostEnd < end && octets[hostEnd] === 0x3a) {
    paramsStart++;
    while (paramsStart < end && (octets[paramsStart] ?? 0) >= 0x30 && (octets[paramsStart] ?? 0) <= 0x39) paramsStart++;
    port = plainPort(octets, hostEnd + 1, paramsStart);
    if (port < 0) return undefined;
  }
  const count = readPlainParams(octets, paramsStart, end);
  if (count < 0) return undefined;
  const via = new PlainVia(octets, start, plainParamsEnd(), transportEnd, hostEnd, paramsStart, port);
  return via.takeParams(count) ? via : undefined;
}

/** Made by {@link plainViaAt}. */
export class PlainVia implements Via {
  readonly port: number | undefined;
  rport: number | true | undefined = undefined;

  readonly #octets: Uint8Array;
  readonly #start: number;
  /** Offset behind the value. */
  readonly end: number;
  readonly #transportEnd: number;
  readonly #hostEnd: number;
  readonly #paramsStart: number;
  #branchStart = NONE;
  #branchEnd = NONE;
  #receivedStart = NONE;
  #receivedEnd = NONE;
  #host: string | undefined = undefined;
  #branch: string | undefined = undefined;

  constructor(
    octets: Uint8Array,
    start: number,
    end: number,
    transportEnd: number,
    hostEnd: number,
    paramsStart: number,
    port: number | undefined,
  ) {
    this.#octets = octets;
    this.#start = start;
    this.end = end;
    this.#transportEnd = transportEnd;
    this.#hostEnd = hostEnd;
    this.#paramsStart = paramsStart;
    this.port = port;
  }

  /** Notes what it needs of the parameters that were read last; false when one of them is not plain. */
  takeParams(count: number): boolean {
    const octets = this.#octets;
    const branch = plainParam(octets, count, "branch");
    if (branch >= 0) {
      this.#branchStart = plainValueStart(branch);
      this.#branchEnd = plainValueEnd(branch);
      if (this.#branchStart === this.#branchEnd) return false;
    }
    const received = plainParam(octets, count, "received");
    if (received >= 0) {
      this.#receivedStart = plainValueStart(received);
      this.#receivedEnd = plainValueEnd(received);
      if (!isIpv4At(octets, this.#receivedStart, this.#receivedEnd)) return false;
    }
    const rport = plainParam(octets, count, "rport");
    if (rport < 0) return true;
    const rportStart = plainValueStart(rport);
    const rportEnd = plainValueEnd(rport);
    this.rport = rportStart === rportEnd ? true : plainPort(octets, rportStart, rportEnd);
    return this.rport !== -1;
  }

  get transport(): string {
    const start = this.#start + versionAndSlash.length;
    const length = this.#transportEnd - start;
    for (const known of transports) {
      if (known.length !== length) continue;
      let i = 0;
      while (i < length && this.#octets[start + i] === known.charCodeAt(i)) i++;
      if (i === length) return known;
    }
    return stringOf(this.#octets, start, this.#transportEnd).toUpperCase();
  }

  get host(): string {
    return (this.#host ??= stringOf(this.#octets, this.#transportEnd + 1, this.#hostEnd));
  }

  get branch(): string | undefined {
    if (this.#branchStart === NONE) return undefined;
    return (this.#branch ??= stringOf(this.#octets, this.#branchStart, this.#branchEnd));
  }

  get received(): string | undefined {
    return this.#receivedStart === NONE ? undefined : stringOf(this.#octets, this.#receivedStart, this.#receivedEnd);
  }

  get params(): Params {
    const params = parseParams(stringOf(this.#octets, this.#paramsStart, this.end), 0);
    return isParseError(params) ? noParams : params;
  }

  get text(): string {
    return stringOf(this.#octets, this.#start, this.end);
  }
}
