import { digestResponse, secretsOf } from "../../../sip/auth/digest.ts";
import { hash, valuesOf, type Sent } from "./harness.ts";

/** What a phone does with a challenge: the Authorization that answers the first one of the wanted algorithm. */
export function credentials(
  challenge: Sent | undefined,
  options: { user: string; password: string; method: string; uri: string; algorithm?: "MD5" | "SHA-256"; nc?: string },
): string {
  const algorithm = options.algorithm ?? "MD5";
  const status = challenge?.message.status;
  const name = status === 401 ? "WWW-Authenticate" : "Proxy-Authenticate";
  const text = valuesOf(challenge, name).find((value) => value.includes(`algorithm=${algorithm}`)) ?? "";
  const nonce = /nonce="([^"]+)"/.exec(text)?.[1] ?? "";
  const realm = /realm="([^"]+)"/.exec(text)?.[1] ?? "";
  const secrets = secretsOf(hash, `${options.user}@${realm}`, options.password);
  const { uri, method } = options;
  const nc = options.nc ?? "00000001";
  const cnonce = "0a4f113b";
  const ha1 = algorithm === "MD5" ? secrets.ha1Md5 : secrets.ha1Sha256;
  const response = digestResponse(hash, algorithm, ha1, method, { nonce, nc, cnonce, qop: "auth", uri });
  const header = status === 401 ? "Authorization" : "Proxy-Authorization";
  return (
    `${header}: Digest username="${options.user}", realm="${realm}", nonce="${nonce}", uri="${uri}", response="${response}", ` +
    `algorithm=${algorithm}, cnonce="${cnonce}", qop=auth, nc=${nc}`
  );
}
