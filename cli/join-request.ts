import { createHash, sign, type X509Certificate } from "node:crypto";
import { request as requestHttps } from "node:https";
import { isIP } from "node:net";
import { connect } from "node:tls";
import { otherVersionText, protocolVersion, versionHeader, versionOf } from "../cluster/protocol-version.ts";
import { refusalSchema } from "../schemas/api-answers.ts";
import { type JoinAnswer, joinAnswerSchema, joinForm, joinProofHeader, joinProofText } from "../schemas/join.ts";
import { read } from "../schemas/reading.ts";
import type { HostIdentity } from "./api-client.ts";
import { fingerprintOf } from "./authority.ts";
import { codeOf, Failure } from "./errors.ts";
import type { MemberRequest } from "./membership.ts";
import { networkReasonOf } from "./network-reason.ts";
import { doorPortDefault } from "./settings.ts";

/** A door that is reached answers within this, and one that has lost its cell within as long as it waits for one. */
const answerMsMax = 20_000;
const connectMsMax = 10_000;
/** Certificates, a keyring and a map: the map is the largest. */
const answerOctetsMax = 4 * 1024 * 1024;

/** A join door that has shown that it is of the system of the token. */
export type Door = {
  readonly url: string;
  /** The authority's certificate, PEM. */
  readonly authority: string;
  /** From which address of this machine it was reached. */
  readonly ownAddress: string;
};

/**
 * Connects to a door and looks whose certificate it shows, before anything is said. `fingerprint`: of the authority's certificate, as the token says it. Throws a
 * {@link Failure}.
 */
export async function openDoor(url: string, fingerprint: string): Promise<Door> {
  const { hostname, port } = new URL(url);
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  return await new Promise<Door>((opened, failed) => {
    const socket = connect({
      host,
      port: port === "" ? 443 : Number(port),
      ...(isIP(host) === 0 ? { servername: host } : {}),
      minVersion: "TLSv1.3",
      // Nothing is sent on this connection. Its certificates are looked at, and the next one trusts none but the authority of the token.
      rejectUnauthorized: false,
    });
    socket.setTimeout(connectMsMax, () => socket.destroy(new Error(`no answer within ${connectMsMax / 1000} s`)));
    socket.once("error", (error) => failed(new Failure(`${url} cannot be reached: ${networkReason(error)}`)));
    socket.once("close", () => failed(new Failure(`${url} cannot be reached: the connection was closed`)));
    socket.once("secureConnect", () => {
      const root = rootOf(socket.getPeerX509Certificate());
      const ownAddress = socket.localAddress ?? "";
      socket.destroy();
      if (root === undefined || fingerprintOf(root.toString()) !== fingerprint)
        return failed(
          new Failure(
            `${url} is not of the system that the token is for: somebody may stand between, and was told nothing${otherDoorText(port)}`,
          ),
        );
      opened({ url, authority: root.toString(), ownAddress });
    });
  });
}

/** Where members listen, the next port, nobody may join. */
function otherDoorText(port: string): string {
  const isUsual = port === String(doorPortDefault);
  return isUsual ? "" : `; or is that no door? tandem invite prints the URL, which has port ${doorPortDefault} unless another was chosen`;
}

/** Who has signed all the others, of the certificates that were shown. */
function rootOf(leaf: X509Certificate | undefined): X509Certificate | undefined {
  let certificate = leaf;
  for (let depth = 0; depth < 8; depth += 1) {
    const issuer = certificate?.issuerCertificate;
    if (issuer === undefined || issuer.fingerprint256 === certificate?.fingerprint256) return certificate;
    certificate = issuer;
  }
  return undefined;
}

export type Asking = {
  readonly token: string;
  readonly release: string;
  /** The host first. */
  readonly members: readonly MemberRequest[];
  readonly key: HostIdentity["key"];
};

/** Asks a door to take these. Throws a {@link Failure} with what the door says. */
export async function askDoor({ url, authority }: Door, { token, release, members, key }: Asking, now: number): Promise<JoinAnswer> {
  const body = Buffer.from(JSON.stringify({ form: joinForm, protocol: protocolVersion, release, now, token, members }));
  const bodyHash = createHash("sha256").update(body).digest("hex");
  const proof = sign(null, Buffer.from(joinProofText(bodyHash)), key).toString("base64url");
  const { status, text, version } = await post(`${url}/join`, authority, body, proof);
  const json = parsed(text);
  if (status !== 200) {
    const said = read(refusalSchema, json).value?.error;
    const theirs = versionOf(version);
    if (said === undefined && theirs !== protocolVersion) throw new Failure(otherVersionText(url, theirs, "this machine"));
    throw new Failure(said ?? `${url} answered ${status}`);
  }
  const { value } = read(joinAnswerSchema, json);
  if (value === undefined) throw new Failure(`${url} has answered what this release does not understand: is it of another one?`);
  return value;
}

type Posted = { readonly status: number; readonly text: string; readonly version: string | undefined };

function post(url: string, authority: string, body: Uint8Array, proof: string): Promise<Posted> {
  return new Promise((answered, failed) => {
    const outgoing = requestHttps(
      url,
      {
        method: "POST",
        agent: false,
        ca: authority,
        minVersion: "TLSv1.3",
        headers: {
          "content-type": "application/json",
          "content-length": body.length,
          [joinProofHeader]: proof,
          [versionHeader]: String(protocolVersion),
        },
        signal: AbortSignal.timeout(answerMsMax),
      },
      (incoming) => {
        let text = "";
        incoming.setEncoding("utf8");
        incoming.on("data", (chunk: string) => {
          text += chunk;
          if (text.length > answerOctetsMax) incoming.destroy(new Error("its answer has no end"));
        });
        incoming.once("end", () =>
          answered({ status: incoming.statusCode ?? 0, text, version: incoming.headers[versionHeader]?.toString() }),
        );
        incoming.once("error", failed);
      },
    );
    outgoing.once("error", failed);
    outgoing.end(body);
  }).catch((error: unknown) => {
    throw new Failure(`${url.replace(/\/join$/, "")} cannot be asked: ${networkReason(error)}`);
  }) as Promise<Posted>;
}

function networkReason(error: unknown): string {
  const code = codeOf(error) ?? "";
  if (code === "EHOSTUNREACH" || code === "ENETUNREACH") return "no way leads there";
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID")
    return "its certificate is not valid by the clock of this machine, which may be wrong";
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") return "its certificate is not for that address";
  return networkReasonOf(error, answerMsMax);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
