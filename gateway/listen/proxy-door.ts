import type { Server, Socket } from "node:net";
import type { Log } from "../../actors/gateway/ports.ts";
import type { SteadyMs } from "../../sip/time.ts";
import type { Counters } from "../counters.ts";
import { proxyHeaderMs, proxyHeadersMax, proxySaidMs } from "../limits.ts";
import { steadyNow } from "../steady-now.ts";
import { Networks } from "./networks.ts";
import { type ProxiedPlace, readProxyHeader } from "./proxy-header.ts";

/**
 * Takes the PROXY header off connections that come from configured load balancers, before TLS and HTTP see them, and knows whom it named. A balancer has to
 * send one. Who is no balancer is passed on as he is: what he says is read by nobody as a header.
 */
export class ProxyDoor {
  readonly #balancers: Networks;
  readonly #counters: Counters;
  readonly #log: Log;
  readonly #named = new WeakMap<Socket, ProxiedPlace>();
  readonly #waiting = new Set<Socket>();
  #saidAt: SteadyMs = Number.NEGATIVE_INFINITY;

  /** `balancers`: addresses and networks, as `networkIn` has them. */
  constructor(balancers: readonly string[], counters: Counters, log: Log) {
    this.#counters = counters;
    this.#log = log;
    this.#balancers = new Networks(balancers);
  }

  /** From now on these are the balancers, and no others. */
  believe(balancers: readonly string[]): void {
    this.#balancers.become(balancers);
  }

  /** The phone that a balancer has named; undefined: the other end of the socket is the one that it is. */
  namedBy(socket: Socket): ProxiedPlace | undefined {
    return this.#named.get(socket);
  }

  /** Goes before all that the server does with connections. To be called when everybody listens to it. */
  guard(server: Server): void {
    const others = server.listeners("connection");
    server.removeAllListeners("connection");
    server.on("connection", (socket: Socket) => {
      this.#meet(socket, () => {
        for (const each of others) Reflect.apply(each, server, [socket]);
      });
    });
  }

  stop(): void {
    for (const socket of this.#waiting) socket.destroy();
  }

  #meet(socket: Socket, pass: () => void): void {
    const { remoteAddress = "" } = socket;
    if (!this.#balancers.has(remoteAddress)) pass();
    else if (this.#waiting.size >= proxyHeadersMax) this.#refuse(socket, remoteAddress, "too many wait for theirs");
    else this.#read(socket, remoteAddress, pass);
  }

  #read(socket: Socket, balancer: string, pass: () => void): void {
    let octets = Buffer.alloc(0);
    const read = (): void => {
      for (let chunk: Buffer | null = socket.read(); chunk !== null; chunk = socket.read()) {
        octets = Buffer.concat([octets, chunk]);
        const header = readProxyHeader(octets);
        if (header.kind === "more") continue;
        over();
        if (header.kind === "refused") return this.#refuse(socket, balancer, header.reason);
        if (header.from !== undefined) this.#named.set(socket, header.from);
        // TLS, HTTP and streams alike take what lies ready first.
        if (octets.length > header.length) socket.unshift(octets.subarray(header.length));
        return pass();
      }
    };
    const ended = (): void => {
      over();
      // A balancer that only looks whether the port is open says nothing.
      if (octets.length > 0) this.#refuse(socket, balancer, "it ends too early");
    };
    const timer = setTimeout(() => {
      over();
      this.#refuse(socket, balancer, "it is late");
    }, proxyHeaderMs);
    const over = (): void => {
      clearTimeout(timer);
      this.#waiting.delete(socket);
      socket.off("readable", read).off("close", ended);
    };
    this.#waiting.add(socket);
    // The error itself says nothing that the close does not.
    socket
      .on("error", () => {})
      .on("close", ended)
      .on("readable", read);
  }

  #refuse(socket: Socket, balancer: string, reason: string): void {
    socket.destroy();
    this.#counters.proxyHeadersRefused += 1;
    const now = steadyNow();
    if (now - this.#saidAt < proxySaidMs) return;
    this.#saidAt = now;
    this.#log("proxy-header-refused", { from: balancer, reason, refused: this.#counters.proxyHeadersRefused });
  }
}
