import { digestResponse, secretsOf } from "../../../sip/auth/digest.ts";
import { hash, valuesOf, type Sent } from "./harness.ts";

/** What a phone does with a challenge: the header line that answers its MD5 one. */
export function proofOf(challenge: Sent | undefined, method: string, uri: string, user: string, password = "password"): string {
  const isProxy = challenge?.message.status === 407;
  const text = valuesOf(challenge, isProxy ? "Proxy-Authenticate" : "WWW-Authenticate").find((value) => value.includes("MD5")) ?? "";
  const nonce = /nonce="([^"]+)"/.exec(text)?.[1] ?? "";
  const realm = /realm="([^"]+)"/.exec(text)?.[1] ?? "";
  const { ha1Md5 } = secretsOf(hash, `${user}@${realm}`, password);
  const response = digestResponse(hash, "MD5", ha1Md5, method, { nonce, nc: "00000001", cnonce: "c", qop: "auth", uri });
  const header = isProxy ? "Proxy-Authorization" : "Authorization";
  const parts = `username="${user}", realm="${realm}", nonce="${nonce}", uri="${uri}", response="${response}"`;
  return `${header}: Digest ${parts}, algorithm=MD5, cnonce="c", qop=auth, nc=00000001`;
}
