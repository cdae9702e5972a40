import { createRequire } from "node:module";
import { UsageError } from "../errors.ts";

/** A socket of gateway/native/datagrams.c. Nothing here looks into it. */
export type NativeSocket = { readonly nativeSocket: never };

/** What gateway/native/datagrams.c offers: see there for areas and numbers. A negative number is that of an error of the system. */
export type NativeDatagrams = {
  /** Of the source that it was built from: test/gateway/native.test.ts. */
  readonly sourceDigest: string;
  /** Datagrams of one batch, octets that the inbox has for each, and numbers that describe one. */
  readonly slots: number;
  readonly slotOctets: number;
  readonly rowNumbers: number;
  open(
    isIpv6: boolean,
    address: string,
    port: number,
    bufferOctets: number,
    inbox: ArrayBuffer,
    arrivals: ArrayBuffer,
    outbox: ArrayBuffer,
    leavings: ArrayBuffer,
    arrived: (count: number) => void,
    writable: () => void,
    failed: (error: number) => void,
  ): NativeSocket | number;
  /** Sends leavings from `first` to before `end`: how many have left. */
  send(socket: NativeSocket, first: number, end: number): number;
  /** Whether `writable` is to be called when the kernel has room. */
  watch(socket: NativeSocket, isWanted: boolean): number;
  close(socket: NativeSocket): number;
  bound(socket: NativeSocket): { readonly port: number; readonly receiveBufferOctets: number } | undefined;
};

/** Where there is a file for. Elsewhere, and where it cannot be loaded (musl), sockets are Node's own. */
const builds: readonly string[] = ["linux-x64", "linux-arm64"];

/** What TANDEM_NATIVE says: whether the library is wanted. Throws a {@link UsageError} for what says neither. */
export function wantsNative(value = ""): boolean {
  const word = value.toLowerCase();
  if (word !== "" && word !== "on" && word !== "off") throw new UsageError(`TANDEM_NATIVE takes on or off, is ${value}`);
  return word !== "off";
}

/** The library for this machine; undefined: there is none. `missing` is told why there is none where there should be one. */
export function loadNative(missing: (reason: string) => void): NativeDatagrams | undefined {
  const build = `${process.platform}-${process.arch}`;
  if (!builds.includes(build)) return undefined;
  try {
    return createRequire(import.meta.url)(`./${build}.node`) as NativeDatagrams;
  } catch (error) {
    // What Node says goes on with the modules that have asked for it, each in a line.
    missing((error instanceof Error ? error.message : String(error)).split("\n", 1)[0] ?? "");
    return undefined;
  }
}
