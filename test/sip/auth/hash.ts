import { createHash, createHmac } from "node:crypto";
import type { Hash } from "../../../sip/auth/digest.ts";

export const hash: Hash = (algorithm, text) =>
  createHash(algorithm === "MD5" ? "md5" : "sha256")
    .update(Buffer.from(text, "latin1"))
    .digest("hex");

export function sign(text: string): string {
  return createHmac("sha256", "cluster secret").update(text).digest("base64url").slice(0, 20);
}
