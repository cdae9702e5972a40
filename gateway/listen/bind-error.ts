import { hostInUri } from "../../sip/host-in-uri.ts";
import { GatewayError, codeOf } from "../errors.ts";

/** What binding a listener failed with, as one line that names the address. */
export function bindError(
  listener: { readonly transport: string; readonly host: string; readonly port: number },
  error: unknown,
): GatewayError {
  const address = `${listener.transport} ${hostInUri(listener.host)}:${listener.port}`;
  const code = codeOf(error);
  switch (code) {
    case "EADDRINUSE":
      // One instance per cluster address and node: two would share its datagrams at random.
      return new GatewayError(
        `${address} is in use: another gateway already serves this cluster address on this machine (or another program its port)`,
      );
    case "EADDRNOTAVAIL":
      return new GatewayError(
        `${address} is no address of this machine: add the cluster address first, for example to the loopback interface`,
      );
    case "EACCES":
      return new GatewayError(`${address} may not be bound by this user`);
    case undefined:
    default:
      return new GatewayError(`${address} cannot be bound (${code ?? String(error)})`);
  }
}
